"""The problem, its certificate and the parts that the exact solvers are made of.

Independent evidence: minima and violations are found here by brute force, objectives are computed from their
definitions with the whole Gram matrix, derivatives by finite differences, and linear conditions by
multiplying them out.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_svmdl.dual.block import BOUND, FREE, ZERO, Block, Centre, Conditions, Held, Point, TooRough
from sklearn_svmdl.dual.factor import MANY_FREE, PathFactor
from sklearn_svmdl.dual.pivoting import Pivoted, pivot
from sklearn_svmdl.dual.problem import (
    BudgetProblem,
    Status,
    certify,
    feasible_duals,
    kkt_violation,
    least_slack_intercept,
)
from sklearn_svmdl.dual.proximal import FIRST, Effort, ProximalDual, newton, point_at, solve_block
from sklearn_svmdl.kernels import GramSource, Kernel


def random_problem(seed, n=40, d=3, budget=0.3, scale=1.0):
    """Weights of several sizes, a positive definite Gram matrix, a relative budget."""
    random = np.random.RandomState(seed)
    X = scale * random.randn(n, d)
    target = np.where(X[:, 0] + random.randn(n) > 0, 1.0, -1.0)
    target[:2] = -1.0, 1.0
    squares = np.square(X[:, None] - X[None]).sum(axis=2)
    weight = random.choice([0.5, 1.0, 3.0], n)
    problem = BudgetProblem(GramSource(np.exp(-0.3 * squares)), target, weight, 0.0)
    return problem.with_budget(budget * problem.largest_budget)


def random_duals(problem, random, lam):
    """Some duals at zero, some at their bound, some between; they sum to zero."""
    share = random.choice([0.0, 1.0, -1.0], len(problem.target))
    share = np.where(share < 0, random.uniform(size=len(share)), share)
    positive = problem.target > 0
    masses = [problem.weight[side] @ share[side] for side in (positive, ~positive)]
    share[positive] *= min(1.0, masses[1] / masses[0])
    share[~positive] *= min(1.0, masses[0] / masses[1])
    return lam * problem.bound * share


# The intercept


def total_slack(b, gradient, target, weight):
    return weight @ np.maximum(0.0, target * (gradient - b))


values = st.integers(-6, 6).map(lambda k: k / 2)
samples = st.lists(
    st.tuples(values, st.sampled_from([-1.0, 1.0]), st.sampled_from([0.5, 1.0, 2.0])), min_size=2, max_size=12
).filter(lambda rows: len({row[1] for row in rows}) == 2)


@given(samples)
@settings(max_examples=200, deadline=None)
def test_intercept_has_the_least_total_slack_and_is_the_middle_of_all_that_have(rows):
    gradient, target, weight = np.array(rows).T
    # Convex and piecewise linear with kinks at the gradients: the minimum is at a kink.
    at_kinks = np.array([total_slack(b, gradient, target, weight) for b in gradient])
    best = gradient[np.isclose(at_kinks, at_kinks.min(), rtol=0, atol=1e-12)]
    b = least_slack_intercept(gradient, target, weight)
    assert total_slack(b, gradient, target, weight) == pytest.approx(at_kinks.min(), abs=1e-12)
    assert b == pytest.approx(0.5 * (best.min() + best.max()), abs=1e-12)


# The certificate


@pytest.mark.parametrize("seed", range(5))
def test_violation_is_the_largest_rate_of_ascent_of_any_allowed_pair(seed):
    random = np.random.RandomState(seed)
    problem, lam = random_problem(seed, n=15), 0.7
    beta, gradient = random_duals(problem, random, lam), random.randn(15)
    low = np.minimum(0.0, lam * problem.bound)
    high = np.maximum(0.0, lam * problem.bound)
    can_grow, can_shrink = np.flatnonzero(beta < high), np.flatnonzero(beta > low)
    rates = [gradient[i] - gradient[j] for i in can_grow for j in can_shrink]
    expected = max(0.0, max(rates))
    assert expected > 0
    assert kkt_violation(gradient, beta, lam * problem.weight, problem.target) == expected


@pytest.mark.parametrize("seed", range(5))
def test_gap_is_the_difference_of_the_two_objectives(seed):
    random = np.random.RandomState(seed)
    problem, lam = random_problem(seed), 0.4
    K, y, s = problem.source.gram, problem.target, problem.weight
    beta = random_duals(problem, random, lam)
    solution = certify(problem, beta, lam, y - K @ beta, 0, 1e-3)
    squared = beta @ K @ beta
    slack = np.maximum(0.0, 1.0 - y * (K @ beta + solution.intercept))
    # The primal of a fixed multiplier charges lam for slack beyond the budget; the dual is its lower bound.
    primal = 0.5 * squared + lam * (s @ slack - problem.budget)
    dual = y @ beta - 0.5 * squared - lam * problem.budget
    assert solution.duality_gap == pytest.approx((primal - dual) / (0.5 * squared), rel=1e-9)
    assert solution.duality_gap > 0
    assert solution.norm == pytest.approx(np.sqrt(squared))
    np.testing.assert_allclose(solution.slack, slack, atol=1e-12)
    assert solution.budget_error == pytest.approx(abs(s @ slack - problem.budget) / problem.largest_budget)


# The linear conditions of a block


def random_block(seed, n=12, n_held=4):
    """A block of n samples with n_held others held at their bound, and the whole Gram matrix and bounds."""
    problem = random_problem(seed, n=n + n_held)
    K, bound = problem.source.gram, problem.bound
    t = bound[n:]
    held = Held(
        pull=K[:n, n:] @ t,
        curvature=float(t @ K[n:, n:] @ t),
        reward=float(problem.target[n:] @ t),
        total=float(t.sum()),
    )
    return Block(K[:n, :n], problem.target[:n], bound[:n], problem.budget, held), K, problem


def random_sides(seed, n):
    side = np.random.RandomState(seed).choice(np.array([ZERO, FREE, BOUND], dtype=np.int8), n)
    side[0] = FREE
    return side


def assert_solves(point, block, side, centre, K, problem):
    """The point satisfies the linear conditions, written out for the whole problem."""
    n, lam = block.n_samples, point.lam
    free, t = np.flatnonzero(side == FREE), np.where(side == BOUND, block.bound, 0.0)
    beta = np.concatenate([point.beta, lam * problem.bound[n:]])
    fit = K @ beta
    away = point.beta - lam * centre.shape
    scale = 1e-10 * max(1.0, np.abs(fit).max(), abs(lam))
    np.testing.assert_allclose(point.beta[side == BOUND], lam * block.bound[side == BOUND], atol=scale)
    np.testing.assert_array_equal(point.beta[side == ZERO], 0.0)
    of_free = (block.target - fit[:n] - centre.delta * away - point.intercept)[free]
    np.testing.assert_allclose(of_free, 0.0, atol=scale)
    all_t = np.concatenate([t, problem.bound[n:]])
    slack = all_t @ (problem.target - fit - point.intercept)
    slack += centre.delta * ((centre.shape - t) @ away)
    assert slack - centre.delta * (lam - centre.lam) == pytest.approx(problem.budget, abs=10 * scale)
    assert beta.sum() == pytest.approx(0.0, abs=scale)
    np.testing.assert_allclose(point.fit, fit[:n], atol=scale)
    assert point.held_fit == pytest.approx(problem.bound[n:] @ fit[n:], abs=10 * scale)


@pytest.mark.parametrize("seed", range(10))
def test_conditions_are_solved_for_any_guess_of_the_sides(seed):
    block, K, problem = random_block(seed)
    random, n = np.random.RandomState(seed), block.n_samples
    side, centre = random_sides(seed, n), Centre(0.05, 0.1 * random.randn(n), 0.3)
    before = side.copy()
    before[random.permutation(n)[:3]] = FREE
    for previous in (None, Conditions(block, before, centre)):
        conditions = Conditions(block, side, centre, previous)
        assert_solves(conditions.point(conditions.multiplier(1.0)), block, side, centre, K, problem)


@pytest.mark.parametrize("seed", range(10))
def test_single_precision_is_corrected_to_double(seed):
    block, K, problem = random_block(seed)
    side, centre = random_sides(seed, block.n_samples), Centre(0.05, np.zeros(block.n_samples), 0.3)
    conditions = Conditions(block, side, centre, factor=PathFactor(np.float32))
    point = conditions.corrected(conditions.point(conditions.multiplier(1.0)), 1e-13)
    assert_solves(point, block, side, centre, K, problem)


def test_single_precision_owns_up_to_a_nearly_singular_kernel_matrix():
    x = np.linspace(0.0, 1.0, 40)[:, None]
    K = np.exp(-((x - x.T) ** 2)) + 1e-6 * np.eye(40)
    y = np.where(np.arange(40) % 3 == 0, 1.0, -1.0)
    block = Block(K, y, y, 5.0, Held(np.zeros(40)))
    conditions = Conditions(block, np.full(40, FREE), Centre(1e-11, np.zeros(40), 1.0), factor=PathFactor(np.float32))
    with pytest.raises(TooRough):
        conditions.corrected(conditions.point(1.0), 1e-13)


def test_many_free_samples_are_pivoted_in_single_precision_and_corrected(monkeypatch):
    random = np.random.RandomState(0)
    X, y = random.randn(1400, 60), np.where(random.rand(1400) > 0.5, 1.0, -1.0)
    K = Kernel("rbf", {"gamma": 0.02})(X, X)
    block = Block(K, y, y, 100.0, Held(np.zeros(1400)))
    precisions, corrected = [], Conditions.corrected

    def spy(conditions, point, most):
        precisions.append(conditions.factor.dtype)
        return corrected(conditions, point, most)

    monkeypatch.setattr(Conditions, "corrected", spy)
    done = pivot(block, np.full(1400, FREE), 1.0, np.zeros(1400))
    assert done.settled and np.count_nonzero(done.side == FREE) >= MANY_FREE
    assert set(precisions) == {np.dtype(np.float32)}
    problem = BudgetProblem(GramSource(K), y, np.ones(1400), 100.0)
    solution = certify(problem, done.point.beta, done.point.lam, y - K @ done.point.beta, done.n_iter, 1e-9)
    assert solution.status is Status.OPTIMAL
    assert abs(solution.duality_gap) <= 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_solved_block_satisfies_the_optimality_conditions(seed):
    problem = random_problem(seed, n=60)
    K, y, s = problem.source.gram, problem.target, problem.weight
    block = Block(K, y, problem.bound, problem.budget, Held(np.zeros(60)))
    start = Pivoted(np.full(60, FREE), point_at(block, np.zeros(60), 1.0, 0.0), False, 0)
    outcome, *_ = solve_block(block, start, FIRST, Effort())
    assert outcome.settled
    beta, lam = outcome.point.beta, outcome.point.lam
    z = y * (y - K @ beta - outcome.point.intercept)
    magnitude = y * beta
    assert lam > 0
    assert beta.sum() == pytest.approx(0.0, abs=1e-9)
    assert magnitude.min() >= -1e-9 * lam
    assert (magnitude - lam * s).max() <= 1e-9 * lam
    assert z[magnitude < (1 - 1e-9) * lam * s].max() <= 1e-8
    assert z[magnitude > 1e-9 * lam].min() >= -1e-8
    assert s @ np.maximum(0.0, z) == pytest.approx(problem.budget, rel=1e-8)


# The proximal problem


def brute_theta(block, centre, z, held_slope):
    """theta by a search in lam: for each lam the maximum over the duals is separable and in closed form."""

    def value(lam):
        signed = np.clip(block.target * (z / centre.delta + lam * centre.shape), 0.0, lam * block.weight)
        beta = block.target * signed
        prox = 0.5 * centre.delta * (np.sum((beta - lam * centre.shape) ** 2) + (lam - centre.lam) ** 2)
        return z @ beta - lam * (block.budget - held_slope) - prox

    low, high = 0.0, 1e3
    for _ in range(300):
        third = (high - low) / 3
        if value(low + third) < value(high - third):
            low += third
        else:
            high -= third
    return value(0.5 * (low + high))


def psi(block, centre, point):
    held = block.held
    squared = point.beta @ point.fit + point.lam * point.held_fit
    slope = held.reward - point.held_fit - point.intercept * held.total
    return 0.5 * squared + brute_theta(block, centre, block.target - point.fit - point.intercept, slope)


@pytest.mark.parametrize("seed", range(6))
def test_newton_minimises_the_proximal_dual(seed):
    block, _, _ = random_block(seed, n=20, n_held=5)
    random, n = np.random.RandomState(seed), block.n_samples
    centre = Centre(0.05, random.uniform(size=n) * block.bound, 0.3)
    start = point_at(block, centre.lam * centre.shape, centre.lam, 0.2)
    outcome = newton(block, centre, start)
    assert outcome.settled
    slopes, values = directional_slopes(block, centre, outcome.point, seed)
    at_start, _ = directional_slopes(block, centre, start, seed)
    # Second derivatives jump by about |K d|^2 / delta: at a kink a quotient is off by a step of it.
    assert slopes.max() <= 1e-4 < 1e-2 <= at_start.max()
    assert values.min() >= psi(block, centre, outcome.point) - 1e-12


def directional_slopes(block, centre, point, seed, step=1e-6):
    """Magnitudes of central differences of psi in several directions, lam and b too, and the values used."""
    random, n = np.random.RandomState(seed), block.n_samples
    directions = [(random.randn(n) / np.sqrt(n), random.randn(), random.randn()) for _ in range(10)]
    directions += [(np.zeros(n), 0.0, 1.0), (np.zeros(n), 1.0, 0.0)]
    values = np.empty((len(directions), 2))
    for k, (d_beta, d_lam, d_b) in enumerate(directions):
        for side, h in enumerate((-step, step)):
            duals = point.beta + h * d_beta, point.lam + h * d_lam, point.intercept + h * d_b
            values[k, side] = psi(block, centre, point_at(block, *duals))
    return np.abs(values[:, 1] - values[:, 0]) / (2 * step), values


def test_newton_ends_at_the_maximiser_of_theta():
    """At the minimum of psi the duals that give the fit are the ones that maximise theta there."""
    block, _, _ = random_block(3, n=20, n_held=5)
    centre = Centre(0.05, block.bound, 0.3)
    point = newton(block, centre, point_at(block, centre.lam * centre.shape, centre.lam, 0.0)).point
    dual = ProximalDual(block, centre)
    best = dual.best(point, centre.lam)
    assert best.lam == pytest.approx(point.lam, rel=1e-9)
    np.testing.assert_allclose(block.target * dual.duals(best), point.beta, atol=1e-9)


def test_point_moves_linearly_between_two():
    one = Point(np.zeros(2), 1.0, 0.0, np.ones(2), 2.0)
    other = Point(np.ones(2), 3.0, 4.0, np.zeros(2), 0.0)
    middle = one.toward(other, 0.25)
    np.testing.assert_allclose(middle.beta, [0.25, 0.25])
    np.testing.assert_allclose(middle.fit, [0.75, 0.75])
    assert (middle.lam, middle.intercept, middle.held_fit) == (1.5, 1.0, 1.5)


@pytest.mark.parametrize("fault", ["unbalanced", "above its bound", "below zero", "negative multiplier"])
def test_duals_that_are_not_feasible_are_never_optimal(fault):
    """Every sample is given a gradient of zero, so the violation alone would call it optimal."""
    problem = random_problem(0)
    y, s, lam = problem.target, problem.weight, 0.5
    beta = 0.5 * lam * problem.bound
    beta[y > 0] *= s[y < 0].sum() / s[y > 0].sum()
    intercept_free = certify(problem.with_budget(0.0), beta, lam, np.zeros(40), 0, 1e-3)
    assert intercept_free.status is Status.OPTIMAL
    first = np.flatnonzero(y > 0)[:2]
    if fault == "unbalanced":
        beta[first[0]] *= 1.5
    if fault == "above its bound":
        beta[first] = np.array([1.1, -0.1]) * lam * s[first]
    if fault == "below zero":
        beta[first] = beta[first].sum() + 0.2, -0.2
    if fault == "negative multiplier":
        lam = -lam
    faulty = certify(problem.with_budget(0.0), beta, lam, np.zeros(40), 0, 1e-3)
    assert faulty.violation <= 1e-3 and faulty.budget_error <= 1e-3
    assert faulty.status is Status.MAX_ITER


@pytest.mark.parametrize("seed", range(8))
def test_feasible_duals_are_feasible_and_near(seed):
    problem, lam = random_problem(seed), 0.7
    random = np.random.RandomState(seed)
    wanted = random_duals(problem, random, lam)
    distorted = wanted + 0.1 ** (seed % 4) * random.randn(40)
    beta = feasible_duals(problem, distorted, lam)
    magnitude = problem.target * beta
    assert magnitude.min() >= 0 and (magnitude - lam * problem.weight).max() <= 0
    assert abs(beta.sum()) <= 1e-12
    # Clipping is the nearest point of the box; balancing moves as much again as it misses by.
    assert np.abs(beta - wanted).sum() <= 2 * np.abs(distorted - wanted).sum()
    np.testing.assert_allclose(feasible_duals(problem, wanted, lam), wanted, atol=1e-12)
