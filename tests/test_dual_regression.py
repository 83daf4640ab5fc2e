"""Epsilon-insensitive regression is the same problem as classification: the solvers know nothing of it.

Independent evidence: libsvm's epsilon-SVR for the same cost, or for the cost whose total slack is the budget; brute
force for constants; the symmetries of the problem.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from reference import single_precision
from sklearn.datasets import make_friedman1
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVR

from sklearn_svmdl.dual.active_set import _length
from sklearn_svmdl.dual.interior import operator_in_features, operator_of
from sklearn_svmdl.dual.kkt import (
    BOUND,
    FREE,
    ZERO,
    Block,
    FixedSamples,
    KKTSystem,
    Point,
    ProximalTerm,
    one_side_each,
    sides_of_rows,
    twins_of,
)
from sklearn_svmdl.dual.levels import share_of
from sklearn_svmdl.dual.path import walk
from sklearn_svmdl.dual.problem import Status, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.kernels import MEGABYTE, GramSource, Kernel

N = 60
PARAMETERS = {"rbf": {"gamma": 0.5}, "poly": {"gamma": 0.5, "degree": 3, "coef0": 1.0}, "linear": {}}
# With samples on a coarse grid the values of the linear and the polynomial kernel are exact in single precision: to
# round a kernel matrix of low rank makes it indefinite, and no longer of low rank.
GRID = np.array([(a, b) for a in np.arange(-8, 9) / 4 for b in np.arange(-8, 9) / 4])


@cache
def samples(seed):
    """Distinct points of the grid, a noisy function of them, and weights of several sizes."""
    random = np.random.RandomState(seed)
    X = GRID[random.permutation(len(GRID))[:N]]
    y = np.sin(2.0 * X[:, 0]) + 0.5 * X[:, 1] + 0.3 * random.randn(N)
    return X, y, random.choice([0.5, 1.0, 3.0], N)


def values_of(kernel, X):
    """The kernel matrix; the polynomial one by products, as a power need not be exact in the last bit (numpy 1.26)."""
    if kernel == "poly":
        gamma, degree, coef0 = PARAMETERS["poly"].values()
        return np.prod([gamma * (X @ X.T) + coef0] * degree, axis=0)
    return pairwise_kernels(X, metric=kernel, **PARAMETERS[kernel])


@cache
def gram_of(kernel, seed):
    """The kernel matrix as libsvm keeps it."""
    exact = values_of(kernel, samples(seed)[0])
    rounded = single_precision(exact)
    assert kernel == "rbf" or (rounded == exact).all()
    return rounded


def slack_at(f, y, weight, epsilon):
    """The total epsilon-insensitive slack of decisions f."""
    return weight @ np.maximum(0.0, np.abs(y - f) - epsilon)


def feasible(y, weight, epsilon=0.2):
    """A budget of less than a constant's slack that hyperplanes keep, too."""
    return 0.92 * min(slack_at(b, y, weight, epsilon) for b in np.concatenate([y - epsilon, y + epsilon]))


def decisions(gram, solution):
    """f at all samples; the duals of the two sides of each add up."""
    n = len(gram)
    return gram @ (solution.beta[:n] + solution.beta[n:]) + solution.intercept


@cache
def libsvm(kernel, seed, weighted, epsilon, cost):
    """The kernel matrix, targets and weights with libsvm's decisions and their total slack."""
    gram, (_, y, weight) = gram_of(kernel, seed), samples(seed)
    weight = weight if weighted else np.ones(N)
    model = SVR(C=cost, epsilon=epsilon, kernel="precomputed", tol=1e-10).fit(gram, y, sample_weight=weight)
    f = model.predict(gram)
    return gram, y, weight, f, slack_at(f, y, weight, epsilon)


every_problem = [
    pytest.mark.parametrize("kernel", PARAMETERS),
    pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"]),
    pytest.mark.parametrize("epsilon", [0.0, 0.2, 0.6]),
]


def on_every_problem(test):
    """Parametrise a test by kernel, weights and epsilon."""
    for mark in every_problem:
        test = mark(test)
    return test


@on_every_problem
@pytest.mark.parametrize("cost", [0.1, 1.0, 10.0])
def test_decisions_are_libsvms_at_its_cost_and_at_the_budget_that_it_spends(kernel, weighted, epsilon, cost):
    gram, y, weight, f, spent = libsvm(kernel, 0, weighted, epsilon, cost)
    # Where libsvm spends no more than the least there is, the multiplier is large, and with it the gap's rounding.
    for given, tol in (({"cost": cost}, 1e-9), ({"budget": spent}, 1e-7)):
        solution = solve(regression(GramSource(gram), y, weight, epsilon, **given), tol=tol)
        assert solution.status is Status.OPTIMAL
        np.testing.assert_allclose(decisions(gram, solution), f, atol=1e-6)
        assert weight @ (solution.slack[:N] + solution.slack[N:]) == pytest.approx(spent, rel=1e-6, abs=1e-6)


@on_every_problem
@pytest.mark.parametrize("cost", [0.1, 1.0])
def test_pair_steps_alone_come_near_libsvm(kernel, weighted, epsilon, cost):
    gram, y, weight, f, spent = libsvm(kernel, 1, weighted, epsilon, cost)
    for given in ({"cost": cost}, {"budget": spent}):
        # Where several costs spend the same the largest of them takes many more steps than the least.
        problem = regression(GramSource(gram), y, weight, epsilon, **given)
        solution = solve(problem, solver="smo", tol=1e-5, max_iter=1_000_000)
        assert solution.status is Status.OPTIMAL
        np.testing.assert_allclose(decisions(gram, solution), f, atol=1e-3)


@pytest.mark.parametrize("kernel", PARAMETERS)
def test_samples_and_their_stored_kernel_values_are_the_same_regression(kernel):
    X, y, weight = samples(2)
    source = Kernel(kernel, PARAMETERS[kernel]).source(X)
    for given in ({"cost": 1.0}, {"budget": feasible(y, weight)}):
        first, second = (
            solve(regression(read, y, weight, 0.2, **given), tol=1e-9) for read in (source, source.stored())
        )
        assert first.status is second.status is Status.OPTIMAL
        gram = source.stored().gram
        np.testing.assert_allclose(decisions(gram, first), decisions(gram, second), atol=1e-6)


@on_every_problem
def test_no_sample_pays_on_both_sides_and_slack_costs_the_full_price(kernel, weighted, epsilon):
    gram, y, weight, _, _ = libsvm(kernel, 0, weighted, epsilon, 1.0)
    solution = solve(regression(GramSource(gram), y, weight, epsilon, cost=1.0), tol=1e-9)
    above, below = solution.beta[:N], -solution.beta[N:]
    assert min(above.min(), below.min()) >= 0
    residual = y - decisions(gram, solution)
    np.testing.assert_allclose(above[residual > epsilon + 1e-6], weight[residual > epsilon + 1e-6], rtol=1e-9)
    np.testing.assert_allclose(below[residual < -epsilon - 1e-6], weight[residual < -epsilon - 1e-6], rtol=1e-9)
    if epsilon > 0:
        assert not np.any((above > 0) & (below > 0))
        assert not solution.beta[:N][residual < epsilon - 1e-6].any()
        assert not solution.beta[N:][residual > -epsilon + 1e-6].any()


@pytest.mark.parametrize("kernel", PARAMETERS)
@pytest.mark.parametrize("solver", ["auto", "smo"])
@pytest.mark.parametrize("given", [{"budget": 0.0}, {"budget": 1.0}, {"cost": 0.01}, {"cost": 100.0}])
@pytest.mark.parametrize("beyond", [1.0, 1.5])
def test_epsilon_beyond_the_range_of_y_leaves_a_constant_within_it(kernel, solver, given, beyond):
    gram, (_, y, weight) = gram_of(kernel, 0), samples(0)
    epsilon = beyond * 0.5 * (y.max() - y.min())
    solution = solve(regression(GramSource(gram), y, weight, epsilon * (1.0 + 1e-12), **given), solver=solver)
    f = decisions(gram, solution)
    assert np.ptp(f) == 0 and solution.margin == np.inf
    assert solution.status is Status.UNBOUNDED_MARGIN
    assert np.abs(y - f).max() <= epsilon * (1.0 + 1e-9)
    if beyond == 1.0:
        assert f[0] == pytest.approx(0.5 * (y.max() + y.min()))


@pytest.mark.parametrize("solver", ["auto", "smo"])
@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_a_budget_that_pays_for_a_constant_gets_the_best_one_and_one_that_just_does_not_a_slope(solver, epsilon):
    gram, (_, y, weight) = gram_of("rbf", 0), samples(0)
    kinks = np.concatenate([y - epsilon, y + epsilon])
    least = min(slack_at(b, y, weight, epsilon) for b in kinks)
    problem = regression(GramSource(gram), y, weight, epsilon, budget=least * (1.0 + 1e-9))
    assert problem.largest_budget == pytest.approx(least)
    constant = solve(problem, solver=solver)
    assert constant.status is Status.UNBOUNDED_MARGIN and not constant.beta.any()
    assert slack_at(constant.intercept, y, weight, epsilon) == pytest.approx(least)
    slope = solve(problem.with_budget(0.99 * least), solver=solver, tol=1e-6)
    assert slope.status is Status.OPTIMAL and np.isfinite(slope.margin)
    assert slack_at(decisions(gram, slope), y, weight, epsilon) == pytest.approx(0.99 * least, rel=1e-5)


@pytest.mark.parametrize("kernel", PARAMETERS)
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 2.0, 1e3, 1e6])
@pytest.mark.parametrize("given", ["cost", "budget"])
def test_y_and_epsilon_and_the_price_in_other_units_are_the_same_regression(kernel, scale, given):
    gram, (_, y, weight) = gram_of(kernel, 3), samples(3)
    price = 1.0 if given == "cost" else feasible(y, weight)
    plain = solve(regression(GramSource(gram), y, weight, 0.2, **{given: price}), tol=1e-9)
    # The violation is in units of y.
    there = regression(GramSource(gram), scale * y, weight, scale * 0.2, **{given: scale * price})
    scaled = solve(there, tol=1e-9 * max(1.0, scale))
    assert plain.status is scaled.status is Status.OPTIMAL
    np.testing.assert_allclose(decisions(gram, scaled) / scale, decisions(gram, plain), atol=1e-6)
    assert scaled.margin * scale == pytest.approx(plain.margin, rel=1e-6)


@pytest.mark.parametrize("kernel", PARAMETERS)
def test_weights_are_repetition_and_a_shift_of_y_moves_the_intercept_alone(kernel):
    gram, (_, y, _) = gram_of(kernel, 4), samples(4)
    times = np.random.RandomState(0).randint(1, 4, N)
    again = np.repeat(np.arange(N), times)
    budget = feasible(y, times)
    weight, repeated = times.astype(float), gram[again][:, again]
    one = solve(regression(GramSource(gram), y, weight, 0.2, budget=budget), tol=1e-9)
    many = solve(regression(GramSource(repeated), y[again], np.ones(len(again)), 0.2, budget=budget), tol=1e-9)
    moved = solve(regression(GramSource(gram), y + 100.0, weight, 0.2, budget=budget), tol=1e-9)
    assert one.status is many.status is moved.status is Status.OPTIMAL
    f = decisions(gram, one)
    np.testing.assert_allclose(decisions(repeated, many), f[again], atol=1e-6)
    np.testing.assert_allclose(decisions(gram, moved) - 100.0, f, atol=1e-6)


def test_twins_are_the_sides_of_one_sample_of_which_one_holds_it():
    row, bound = np.array([0, 1, 2, 0, 1, 3]), np.array([1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    linear = np.array([0.1, 0.2, 0.3, 0.5, 0.2, 0.9])
    assert twins_of(row).tolist() == [3, 4, 2, 0, 1, 5]
    first, second = sides_of_rows(row)
    assert first.tolist() == [0, 1, 2, 5] and second.tolist() == [3, 4, 2, 5]
    block = Block(np.eye(4), linear, bound, 1.0, FixedSamples(np.zeros(6)), row=row)
    inward = np.array([0.2, -0.1, 0.1, -0.6, -0.1, 0.0])
    # The first sample is held above, the second lies on both sides of a tube of no width, the others have one side.
    side = one_side_each(block, np.full(6, FREE), inward)
    assert side.tolist() == [FREE, FREE, FREE, ZERO, ZERO, FREE]
    alone = np.array([FREE, ZERO, FREE, ZERO, FREE, FREE])
    assert one_side_each(block, alone, inward).tolist() == alone.tolist()


@pytest.mark.parametrize("features", [False, True])
def test_interior_steps_solve_with_one_unknown_for_each_sample(features):
    random = np.random.RandomState(0)
    G = random.randn(30, 4)
    row = np.concatenate([np.arange(30), random.permutation(30)[:20]])
    bound = np.repeat([1.0, -1.0], [30, 20])
    tally = Tally()
    block = Block(G @ G.T, bound, bound, 1.0, FixedSamples(np.zeros(50)), row=row, tally=tally)
    operator = operator_in_features(G, np.zeros(30), row, tally) if features else operator_of(block)
    D, rows, sums = 10.0 ** random.uniform(-3, 3, 50), random.randn(2, 50), random.randn(2)
    x, b = operator.solver(D)(rows.copy(), sums)
    K = G[row] @ G[row].T
    np.testing.assert_allclose(x @ K + D * x + b[:, None], rows, atol=1e-9)
    np.testing.assert_allclose(x.sum(axis=1), sums, atol=1e-9)
    np.testing.assert_allclose(operator.apply(x[0]), K @ x[0], atol=1e-9)
    assert max(tally.factored) <= 30


def random_tube(seed, n=40):
    """A block of a regression, of some of whose samples one side only, and sides of which one a sample holds it."""
    random = np.random.RandomState(seed)
    X = random.randn(n, 3)
    row = np.concatenate([np.arange(n), random.permutation(n)[: n // 2]])
    sign = np.repeat([1.0, -1.0], [n, n // 2])
    linear, bound = random.randn(n)[row] - 0.3 * sign, sign * random.choice([0.5, 1.0, 2.0], n)[row]
    gram = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(axis=2))
    fixed = FixedSamples(0.1 * random.randn(len(row)), 0.3, 0.2, 0.5)
    block = Block(gram, linear, bound, 4.0, fixed, row=row)
    side = random.choice([ZERO, FREE, BOUND], len(row)).astype(np.int8)
    return block, one_side_each(block, side, random.randn(len(row))), random


def expanded(block):
    """The same block with a row of the Gram matrix for each variable."""
    return replace(block, gram=block.gram[block.row][:, block.row], row=None)


@pytest.mark.parametrize("seed", range(3))
def test_a_row_for_each_sample_and_one_for_each_variable_are_the_same_conditions(seed):
    block, side, random = random_tube(seed)
    beta = random.randn(block.n_samples)
    both = expanded(block)
    np.testing.assert_allclose(block.product(beta), both.product(beta), rtol=1e-12, atol=1e-12)
    nothing = np.zeros(block.n_samples)
    points = [KKTSystem(each, side, ProximalTerm.around(each, 1e-9, nothing, 0.5)).point(0.5) for each in (block, both)]
    for one, other in zip(*points, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_the_proximal_term_sees_the_sum_of_a_samples_duals(seed):
    """To which side a dual belongs makes no difference to its pull on either."""
    block, _, random = random_tube(seed)
    beta, moved = random.randn(2, block.n_samples)
    there = np.where(block.twin != np.arange(block.n_samples), moved, 0.0)
    shifted = beta + there - there[block.twin]
    centre = ProximalTerm.around(block, 0.1, random.randn(block.n_samples), 2.0)
    pull = centre.pull(beta, 0.7)
    np.testing.assert_allclose(pull, centre.pull(shifted, 0.7), atol=1e-12)
    np.testing.assert_allclose(pull, pull[block.twin], atol=0)


@pytest.mark.parametrize("cost", [1.0, 20.0])
def test_pivots_from_nothing_settle_where_the_dual_moves_far(cost):
    """At the larger cost nearly all samples end up free, far from any corner of their bounds."""
    random = np.random.RandomState(0)
    X = random.uniform(0, 1, (300, 10))
    y = np.sin(3.0 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.3 * random.randn(300)
    problem = regression(Kernel("rbf", {"gamma": 1.0}).source(X), y, np.ones(300), 0.05, cost=cost)
    solution = solve(problem, tol=1e-8)
    assert solution.status is Status.OPTIMAL
    assert solution.work.interior_steps == solution.work.pair_steps == 0 and solution.work.pivots <= 25


@pytest.mark.parametrize("seed", range(20))
def test_rounds_on_a_smooth_loss_end_about_where_the_objective_is_least(seed):
    """The objective of the hyperplane itself is the judge, with samples that are held at their bound."""
    random = np.random.RandomState(seed)
    n, d, lam, delta = 40, 3, 2.0, 1.0
    X, y, weight = random.randn(2 * n, d), random.randn(2 * n), random.choice([0.5, 1.0, 2.0], 2 * n)
    row, sign = np.tile(np.arange(n), 2), np.repeat([1.0, -1.0], n)
    linear, bound, held = y[row] - 0.1 * sign, sign * weight[row], weight[n:]
    w_held = X[n:].T @ held
    fixed = FixedSamples(X[row] @ w_held, w_held @ w_held, y[n:] @ held, held.sum())
    block = Block(X[:n] @ X[:n].T, linear, bound, 0.0, fixed, (lam, lam), row=row)
    centre = ProximalTerm.around(block, delta, np.zeros(2 * n), lam)

    def point(beta, intercept):
        w = X[row].T @ beta + lam * w_held
        return Point(beta, lam, intercept, X[row] @ w)

    def objective(at):
        """Half the squared norm and the slack, of which the price rises to lam over a width."""
        w = X[row].T @ at.beta + lam * w_held
        slack, width = np.maximum(sign * (linear - at.fit - at.intercept), 0.0), centre.delta * lam * np.abs(bound)
        loss = np.where(slack < width, slack**2 / (2 * centre.delta), lam * np.abs(bound) * (slack - width / 2))
        return w @ w / 2 + loss.sum() + lam * held @ (y[n:] - X[n:] @ w - at.intercept)

    before = point(lam * bound * random.uniform(0, 0.1, 2 * n), 0.1 * random.randn())
    into = sign * (linear - before.fit - before.intercept)
    side = np.where(into <= 0, ZERO, np.where(into < centre.delta * lam * np.abs(bound), FREE, BOUND))
    after = KKTSystem(block, side, centre).point(lam)
    length = _length(centre, before, after)

    def along(share):
        """The objective so far on the way."""
        moved = (old + share * (new - old) for old, new in zip(before, after, strict=True))
        beta, _, intercept, _ = moved
        return objective(point(beta, intercept))

    def slope(share, step=1e-6):
        """How the objective changes there."""
        return (along(share) - along(share - step)) / step

    first = slope(1e-6)
    # It ends where the way leads up no steeper than half as much as it led down at first, and goes no less far than a
    # tenth of where it does.
    assert 0.0 < length <= 1.0 and first < 0.0 and slope(length) <= -0.55 * first
    assert length == 1.0 or slope(min(1.0, 10.0 * length)) > 0.0


@pytest.mark.parametrize("seed", range(2))
def test_rising_costs_take_few_pivots(seed):
    """All the way at each round they are 215 to 257, of larger sets of free samples."""
    X, y = make_friedman1(600, noise=1.0, random_state=seed)
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    problem = regression(Kernel("rbf", {"gamma": 0.03}).source(X), y, np.ones(600), 0.1)
    solutions = walk([problem.with_cost(cost) for cost in np.geomspace(0.1, 100.0, 7)])
    assert all(solution.status is Status.OPTIMAL for solution in solutions)
    assert sum(solution.work.iterations for solution in solutions) <= 180


@pytest.mark.parametrize("n", [300, 800])
def test_a_gram_matrix_has_one_row_for_each_sample(n):
    random = np.random.RandomState(0)
    X = random.uniform(-1, 1, (n, 5))
    y = np.sin(3 * X[:, 0]) + X[:, 1] + 0.3 * random.randn(n)
    problem = regression(Kernel("rbf", {"gamma": 0.4}).source(X), y, np.ones(n), 0.05, cost=1.0)
    # Memory for the kernel values among the samples is all that it takes.
    solution = solve(problem, cache_size=1.3 * 8 * n**2 / MEGABYTE)
    assert solution.status is Status.OPTIMAL and solution.work.pair_steps == 0
    assert max(solution.work.factored) <= n


@pytest.mark.parametrize("ratio", [3, 4])
def test_a_share_of_a_regression_has_both_sides_of_its_samples(ratio):
    X, y, weight = samples(0)
    problem = regression(Kernel("rbf", PARAMETERS["rbf"]).source(X), y, weight, 0.1, cost=1.0)
    chosen = share_of(problem, ratio, np.random.RandomState(0))
    half = len(chosen) // 2
    assert half == round(N / ratio) and (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen[:half] + N, chosen[half:])


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.5])
def test_pivots_and_kernel_values_stay_few(epsilon):
    iterations = 0
    for seed in range(3):
        random = np.random.RandomState(seed)
        X = random.uniform(-1, 1, (1500, 8))
        y = np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.3 * random.randn(1500)
        problem = regression(Kernel("rbf", {"gamma": 0.4}).source(X), y, np.ones(1500), epsilon, cost=1.0)
        solution = solve(problem)
        assert solution.status is Status.OPTIMAL and solution.work.pair_steps == 0
        assert solution.work.kernel_values <= 8 * 1500**2
        iterations += solution.work.iterations
    assert iterations <= 3 * 150
