"""The problem and its certificate.

Independent evidence: minima and violations are found here by brute force, objectives are computed from their
definitions with the whole Gram matrix.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from blocks import random_problem
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_svmdl.dual.problem import (
    Status,
    certify,
    classification,
    constant_solution,
    feasible_duals,
    kkt_violation,
    least_slack_intercept,
    on_their_bounds,
    regression,
)
from sklearn_svmdl.dual.work import Tally, Work
from sklearn_svmdl.kernels import GramSource, Kernel


def random_duals(problem, random, lam):
    """Some duals at zero, some at their bound, some between; they sum to zero."""
    share = random.choice([0.0, 1.0, -1.0], problem.n_samples)
    share = np.where(share < 0, random.uniform(size=len(share)), share)
    positive = problem.sign > 0
    masses = [problem.weight[side] @ share[side] for side in (positive, ~positive)]
    share[positive] *= min(1.0, masses[1] / masses[0])
    share[~positive] *= min(1.0, masses[0] / masses[1])
    return lam * problem.bound * share


# The intercept


def total_slack(b, gradient, sign, weight):
    return weight @ np.maximum(0.0, sign * (gradient - b))


values = st.integers(-6, 6).map(lambda k: k / 2)
samples = st.lists(
    st.tuples(values, st.sampled_from([-1.0, 1.0]), st.sampled_from([0.5, 1.0, 2.0])), min_size=2, max_size=12
).filter(lambda rows: len({row[1] for row in rows}) == 2)


@given(samples)
@settings(max_examples=200, deadline=None)
def test_intercept_has_the_least_total_slack_and_is_the_middle_of_all_that_have(rows):
    gradient, sign, weight = np.array(rows).T
    # Convex and piecewise linear with kinks at the gradients: the minimum is at a kink.
    at_kinks = np.array([total_slack(b, gradient, sign, weight) for b in gradient])
    best = gradient[np.isclose(at_kinks, at_kinks.min(), rtol=0, atol=1e-12)]
    b = least_slack_intercept(gradient, sign, weight)
    assert total_slack(b, gradient, sign, weight) == pytest.approx(at_kinks.min(), abs=1e-12)
    assert b == pytest.approx(0.5 * (best.min() + best.max()), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_intercepts_of_many_problems_are_those_of_each(seed):
    """Filled up with variables of weight 0, which are none."""
    random = np.random.RandomState(seed)
    gradient, sign = random.randint(-6, 7, (4, 30)) / 2, random.choice([-1.0, 1.0], (4, 30))
    weight = random.choice([0.0, 0.5, 1.0, 2.0], (4, 30))
    sign[:, :2], weight[:, :2] = [-1.0, 1.0], 1.0
    found = least_slack_intercept(gradient, np.where(weight > 0, sign, 0.0), weight)
    for b, g, s, w in zip(found, gradient, sign, weight, strict=True):
        there = w > 0
        assert b == pytest.approx(least_slack_intercept(g[there], s[there], w[there]), abs=1e-12)


# The problem


@pytest.mark.parametrize("seed", range(3))
def test_largest_budget_of_classes_is_twice_the_weight_of_the_lighter(seed):
    problem = random_problem(seed)
    y, s = problem.linear, problem.weight
    assert problem.largest_budget == pytest.approx(2 * min(s[y > 0].sum(), s[y < 0].sum()))


@pytest.mark.parametrize(
    "weights", [[1.0, 2.0, 4.0, 1.0], [1.0, 2.0, 1.0, 2.0], [0.3, 0.1, 0.1, 0.1], [3.0, 4.0, 1.0, 1.0]]
)
def test_constant_of_classes_is_the_intercept_of_least_slack(weights):
    """The heavier class, and the middle where they tie, but for the rounding of their weights."""
    target, weight = np.array([-1.0, 1.0, 1.0, 1.0]), np.array(weights)
    problem = classification(GramSource(np.eye(4)), target, weight)
    assert problem.constant == least_slack_intercept(target, target, weight)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_regression_has_the_slack_of_either_side_of_the_tube(seed, epsilon):
    random = np.random.RandomState(seed)
    X, y, s = random.randn(20, 2), random.randn(20), random.choice([0.5, 1.0, 3.0], 20)
    source = Kernel("linear").source(X)
    problem = regression(source, y, s, epsilon)
    assert problem.n_samples == 40
    np.testing.assert_allclose(problem.source.stored().block(np.arange(40), np.arange(40)), np.tile(X @ X.T, (2, 2)))
    losses = [s @ np.maximum(0.0, np.abs(y - b) - epsilon) for b in np.concatenate([y - epsilon, y + epsilon])]
    assert problem.largest_budget == pytest.approx(min(losses))
    beta = np.concatenate([random.uniform(size=20) * s, -random.uniform(size=20) * s])
    beta[:20] *= -beta[20:].sum() / beta[:20].sum()
    solution = certify(problem.with_cost(2.0), beta, 2.0, Work(), 1e-3)
    f = X @ (X.T @ (beta[:20] + beta[20:])) + solution.intercept
    both = solution.slack[:20] + solution.slack[20:]
    np.testing.assert_allclose(both, np.maximum(0.0, np.abs(y - f) - epsilon), atol=1e-12)


def test_budget_and_cost_take_each_others_place():
    problem = random_problem(0)
    at_cost = problem.with_cost(3)
    assert (at_cost.budget, at_cost.cost, at_cost.lam_range) == (None, 3.0, (3.0, 3.0))
    assert not at_cost.is_trivial
    again = at_cost.with_budget(2).within(50)
    assert (again.budget, again.cost, again.lam_range) == (2.0, None, (0.0, 50.0))
    assert again.largest_budget == problem.largest_budget
    part = again.take(np.arange(1, 30))
    np.testing.assert_array_equal(part.bound, problem.bound[1:30])
    assert part.budget == 2.0 and part.largest_cost == 50.0
    assert part.largest_budget != problem.largest_budget


@pytest.mark.parametrize("share", [0.9, 0.99, 1.0 - 1e-6, 1.0, 1.2])
def test_a_budget_pays_for_a_constant_from_the_slack_of_the_best_one_on(share):
    for problem in (random_problem(0), regression(GramSource(np.eye(9)), np.arange(9.0) ** 2, np.ones(9), 0.5)):
        kinks = problem.linear
        least = min(total_slack(b, problem.linear, problem.sign, problem.weight) for b in kinks)
        assert problem.with_budget(share * least).is_trivial == (share >= 1.0)


def test_kernel_values_are_counted_where_they_are_evaluated():
    X, tally = np.random.RandomState(0).randn(30, 3), Tally()
    y = np.where(np.arange(30) % 2, 1.0, -1.0)
    problem = classification(Kernel("rbf", {"gamma": 1.0}).source(X), y, np.ones(30), cost=1.0).counted(tally)
    beta = np.where(np.arange(30) < 10, y, 0.0)
    problem.gradient(beta)
    assert tally.done() == Work(kernel_values=300)
    problem.take(np.arange(12)).gradient(np.ones(12))
    assert tally.kernel_values == 300 + 144


def test_work_adds_up():
    work = Work(10, (4, 7), pivots=1, interior_steps=2, pair_steps=4)
    assert work.iterations == 7
    assert "largest 7" in str(work)
    tally = Tally(10)
    tally.pivots, tally.pair_steps = 3, 5
    assert tally.left == 2 and tally.done().iterations == 8


@pytest.mark.parametrize("shift, intercept", [(0.0, 1.0), (1e-3, 1.0), (-1e-3, -1.0)])
def test_constant_solution_is_that_of_the_heavier_class(shift, intercept):
    y, weight = np.array([1.0, -1.0, -1.0]), np.array([2.0 + shift, 1.0, 1.0])
    problem = classification(GramSource(np.eye(3)), y, weight, budget=10.0)
    assert problem.is_trivial
    solution = constant_solution(problem)
    assert solution.status is Status.UNBOUNDED_MARGIN
    assert solution.intercept == intercept and solution.margin == np.inf
    np.testing.assert_array_equal(solution.slack, np.maximum(0.0, 1.0 - y * intercept))


# The certificate


@pytest.mark.parametrize("seed", range(5))
def test_violation_is_the_largest_rate_of_ascent_of_any_allowed_pair(seed):
    random = np.random.RandomState(seed)
    problem, lam = random_problem(seed, n=15), 0.7
    beta, gradient = random_duals(problem, random, lam), random.randn(15)
    low = np.minimum(0.0, lam * problem.bound)
    high = np.maximum(0.0, lam * problem.bound)
    # The steepest are those that cannot move.
    gradient[beta >= high] += 5.0
    gradient[beta <= low] -= 5.0
    can_grow, can_shrink = np.flatnonzero(beta < high), np.flatnonzero(beta > low)
    rates = [gradient[i] - gradient[j] for i in can_grow for j in can_shrink]
    expected = max(0.0, max(rates))
    assert expected > 0
    assert kkt_violation(gradient, beta, lam * problem.weight, problem.sign) == expected


@pytest.mark.parametrize("has_cost", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_gap_is_the_difference_of_the_two_objectives(seed, has_cost):
    random = np.random.RandomState(seed)
    problem, lam = random_problem(seed), 0.4
    K, y, s, budget = problem.source.gram, problem.linear, problem.weight, problem.budget
    beta = random_duals(problem, random, lam)
    stated = problem.with_cost(lam) if has_cost else problem
    solution = certify(stated, beta, lam, Work(), 1e-3)
    squared = beta @ K @ beta
    slack = np.maximum(0.0, 1.0 - y * (K @ beta + solution.intercept))
    # The primal of a fixed multiplier charges lam for slack beyond the budget; the dual is its lower bound.
    free = 0.0 if has_cost else lam * budget
    primal = 0.5 * squared + lam * (s @ slack) - free
    dual = y @ beta - 0.5 * squared - free
    objective = primal if has_cost else 0.5 * squared
    assert solution.duality_gap == pytest.approx((primal - dual) / objective, rel=1e-9)
    assert solution.duality_gap > 0
    assert solution.norm == pytest.approx(np.sqrt(squared))
    np.testing.assert_allclose(solution.slack, slack, atol=1e-12)
    gradient = y - K @ beta
    assert solution.violation == pytest.approx(kkt_violation(gradient, beta, lam * s, problem.sign), abs=1e-12)
    if has_cost:
        assert solution.budget_error == 0.0 and solution.budget == pytest.approx(s @ slack)
    else:
        assert solution.budget_error == pytest.approx(abs(s @ slack - budget) / max(budget, s.min()))
    assert solution.status is Status.MAX_ITER


def test_budget_error_is_relative_to_the_budget_however_small_beside_the_largest():
    """A heavy class raises the largest budget: what a small one misses is told all the same."""
    problem = random_problem(0)
    beta = random_duals(problem, np.random.RandomState(0), 0.4)
    spent = problem.weight @ certify(problem, beta, 0.4, Work(), 1e-3).slack
    missed = certify(problem.with_budget(0.5 * spent), beta, 0.4, Work(), 1e-3)
    assert missed.budget_error == pytest.approx(1.0)
    nothing = certify(problem.with_budget(0.0), beta, 0.4, Work(), 1e-3)
    assert nothing.budget_error == pytest.approx(spent / problem.weight.min())


@pytest.mark.parametrize("fault", ["unbalanced", "above its bound", "below zero", "negative multiplier"])
def test_duals_that_are_not_feasible_are_never_optimal(fault):
    """Every sample is on the margin, so violation, budget and gap alone would call the duals optimal."""
    problem = random_problem(0).with_budget(0.0)
    y, s, lam = problem.linear, problem.weight, 0.5

    def certificate(beta, lam):
        # K beta = y
        fitted = classification(GramSource(np.outer(y, y) / (y @ beta)), y, s, budget=0.0)
        return certify(fitted, beta, lam, Work(), 1e-3)

    beta = 0.5 * lam * problem.bound
    beta[y > 0] *= s[y < 0].sum() / s[y > 0].sum()
    assert certificate(beta, lam).status is Status.OPTIMAL
    first = np.flatnonzero(y > 0)[:2]
    if fault == "unbalanced":
        beta[first[0]] *= 1.5
    if fault == "above its bound":
        beta[first] = np.array([1.1, -0.1]) * lam * s[first]
    if fault == "below zero":
        beta[first] = beta[first].sum() + 0.2, -0.2
    if fault == "negative multiplier":
        lam = -lam
    faulty = certificate(beta, lam)
    assert faulty.violation <= 1e-3 and faulty.budget_error <= 1e-3 and abs(faulty.duality_gap) <= 1e-3
    assert faulty.infeasibility > 1e-3
    assert faulty.status is Status.MAX_ITER


@pytest.mark.parametrize("missing", ["violation", "budget_error", "duality_gap", "infeasibility"])
def test_every_part_of_the_certificate_counts(missing):
    solution = constant_solution(random_problem(1))
    parts = ["violation", "budget_error", "duality_gap", "infeasibility"]
    perfect = replace(solution, **dict.fromkeys(parts, 0.0))
    assert perfect.is_within(0.0)
    faulty = replace(perfect, **{missing: -0.1 if missing == "duality_gap" else 0.1})
    assert faulty.error == 0.1 and not faulty.is_within(0.01)


@pytest.mark.parametrize("seed", range(8))
def test_feasible_duals_are_feasible_and_near(seed):
    problem, lam = random_problem(seed), 0.7
    random = np.random.RandomState(seed)
    wanted = random_duals(problem, random, lam)
    distorted = wanted + 0.1 ** (seed % 4) * random.randn(40)
    beta = feasible_duals(problem, distorted, lam)
    magnitude = problem.sign * beta
    assert magnitude.min() >= 0 and (magnitude - lam * problem.weight).max() <= 0
    assert abs(beta.sum()) <= 1e-12
    # Clipping is the nearest point of the box; balancing moves as much again as it misses by.
    assert np.abs(beta - wanted).sum() <= 2 * np.abs(distorted - wanted).sum()
    np.testing.assert_allclose(feasible_duals(problem, wanted, lam), wanted, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_feasible_duals_of_many_problems_are_those_of_each(seed):
    random = np.random.RandomState(seed)
    problems, lam = [random_problem(10 * seed + k) for k in range(4)], random.uniform(0.1, 2.0, 4)
    beta = random.randn(4, problems[0].n_samples)
    together = feasible_duals(SimpleNamespace(bound=np.stack([problem.bound for problem in problems])), beta, lam)
    for row, problem, own, cost in zip(together, problems, beta, lam, strict=True):
        np.testing.assert_allclose(row, feasible_duals(problem, own, cost), atol=1e-15)


def test_duals_next_to_an_end_of_their_range_are_there():
    problem = classification(GramSource(np.eye(4)), np.array([1.0, 1.0, -1.0, -1.0]), np.ones(4))
    beta = on_their_bounds(problem, 2.0 * np.array([1e-8, 1.0 - 1e-8, -1e-6, -1.0 + 1e-6]), 2.0)
    np.testing.assert_array_equal(beta, 2.0 * np.array([0.0, 1.0, -1e-6, -1.0 + 1e-6]))
