"""Many problems at once: each solution is the one that the problem has alone."""

import warnings
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from blocks import random_problem
from scipy.linalg import block_diag
from sklearn.datasets import make_gaussian_quantiles
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC
from sklearn_svmdl.dual import solve as solving
from sklearn_svmdl.dual import stack_interior, stack_pivots, together
from sklearn_svmdl.dual.feasibility import least_budget
from sklearn_svmdl.dual.interior import Factored, InteriorSolver
from sklearn_svmdl.dual.kkt import FREE
from sklearn_svmdl.dual.problem import DualProblem, Status, certify, classification, regression
from sklearn_svmdl.dual.solve import solve, solve_many, walk_many
from sklearn_svmdl.dual.stack import Stack
from sklearn_svmdl.dual.stack_pivots import MOST_ROUNDS, Blocks, Fixed, pivot_together, start
from sklearn_svmdl.dual.together import LARGEST, LARGEST_WALKED, MOST_ITERATIONS
from sklearn_svmdl.dual.work import Tally, Work
from sklearn_svmdl.dual.working_set import whole_block
from sklearn_svmdl.kernels import GramSource, Kernel


def stacked(problems):
    """Problems on samples of their own as a stack on the samples of all."""
    sizes = [problem.n_samples for problem in problems]
    grams = [problem.source.block(np.arange(n), np.arange(n)) for problem, n in zip(problems, sizes, strict=True)]
    rows, linear, bound = np.zeros((3, len(problems), max(sizes)))
    for k, (problem, n, first) in enumerate(zip(problems, sizes, np.cumsum([0, *sizes]), strict=False)):
        rows[k, :n], linear[k, :n], bound[k, :n] = first + np.arange(n), problem.linear, problem.bound
    stack = Stack(GramSource(block_diag(*grams)), rows.astype(int), linear, bound)
    if problems[0].budget is None:
        return stack.with_cost([problem.cost for problem in problems])
    return stack.with_budget([problem.budget for problem in problems])


def of_classes(X, y, kernel="linear", weight=None, **parameters):
    """All pairs of classes as a stack, and each as a problem of its own."""
    source = Kernel.of(kernel, **{"gamma": None, "degree": None, "coef0": None, **parameters}).source(X)
    weight = np.ones(len(y)) if weight is None else weight
    classes = range(y.max() + 1)
    rows = [np.flatnonzero((y == i) | (y == j)) for i in classes for j in classes if i < j]
    targets = [np.where(y[own] == y[own].max(), 1.0, -1.0) for own in rows]
    alone = [classification(source.take(own), target, weight[own]) for own, target in zip(rows, targets, strict=True)]
    return Stack.of_classes(source, rows, targets, [weight[own] for own in rows]), alone


def blobs(seed, n=600, d=2, k=6, spread=1.5):
    """k classes of unequal sizes that overlap."""
    random = np.random.RandomState(seed)
    y = np.minimum(random.geometric(0.3, n) - 1, k - 1)
    y[:k] = np.arange(k)
    return spread * random.randn(k, d)[y] + random.randn(n, d), y


def assert_same(found, alone, problem):
    """The same certified solution; duals may differ where the kernel matrix is nearly singular, the fit does not.

    The objective grows at least by half the squared distance of w from the best: it is as near as the gap says.
    """
    assert found.status is Status.OPTIMAL and found.is_within(1e-8)
    assert found.lam == pytest.approx(alone.lam, rel=1e-5)
    objective = 0.5 * alone.norm**2 + (0.0 if problem.cost is None else problem.cost * alone.budget)
    near = np.sqrt(2.0 * objective * (abs(found.duality_gap) + abs(alone.duality_gap) + 1e-15))
    assert found.norm == pytest.approx(alone.norm, rel=1e-7, abs=near)
    assert found.budget == pytest.approx(alone.budget, rel=1e-7, abs=1e-9)
    np.testing.assert_allclose(problem.gradient(found.beta), problem.gradient(alone.beta), atol=1e-6)


@pytest.mark.parametrize("budget", [0.02, 0.3, 0.8])
def test_problems_of_many_sizes_with_budgets(budget):
    problems = [random_problem(seed, n=4 + 3 * seed, budget=budget) for seed in range(20)]
    found = solve_many(stacked(problems))
    assert found.count(None) <= 4
    for solution, problem in zip(found, problems, strict=True):
        if solution is not None:
            assert_same(solution, solve(problem, tol=1e-9), problem)


@pytest.mark.parametrize("cost", [1e-3, 1.0, 100.0])
def test_problems_of_many_sizes_with_costs(cost):
    problems = [random_problem(seed, n=4 + 3 * seed).with_cost(cost) for seed in range(20)]
    found = solve_many(stacked(problems))
    assert found.count(None) <= 4
    for solution, problem in zip(found, problems, strict=True):
        if solution is not None:
            assert solution.lam == cost
            assert_same(solution, solve(problem, tol=1e-9), problem)


def test_regressions():
    problems = []
    for seed in range(10):
        random = np.random.RandomState(seed)
        X = random.randn(5 + 2 * seed, 2)
        y = X[:, 0] + 0.3 * random.randn(len(X))
        source = Kernel.of("rbf", gamma=0.5, degree=3, coef0=1.0).source(X)
        problem = regression(source, y, random.choice([1.0, 2.0], len(X)), 0.1, budget=0.0)
        problems.append(problem.with_budget(0.3 * problem.largest_budget))
    for solution, problem in zip(solve_many(stacked(problems)), problems, strict=True):
        assert_same(solution, solve(problem, tol=1e-9), problem)


def test_samples_that_all_stand_at_their_bound():
    """Nobody is free where a balanced problem's budget is nearly the largest; b is the middle of what may be."""
    problems = []
    for seed in range(5):
        random = np.random.RandomState(seed)
        X, target = random.randn(8, 2), np.repeat([-1.0, 1.0], 4)
        problem = classification(GramSource(X @ X.T + np.eye(8)), target, np.ones(8), budget=0.0)
        problems.append(problem.with_budget(0.999 * problem.largest_budget))
    for solution, problem in zip(solve_many(stacked(problems)), problems, strict=True):
        alone = solve(problem, tol=1e-9)
        np.testing.assert_allclose(np.abs(solution.beta), solution.lam, rtol=1e-12)
        assert solution.intercept == pytest.approx(alone.intercept, abs=1e-9)


def test_what_is_not_for_stacks_is_left_alone():
    small = [random_problem(seed, n=10) for seed in range(3)]
    assert all(solve_many(stacked(small)))
    assert solve_many(stacked(small[:2])) == [None, None]
    assert solve_many(stacked(small), solver="smo") == [None] * 3
    assert solve_many(stacked(small), max_iter=MOST_ITERATIONS - 1) == [None] * 3
    large, trivial = random_problem(5, n=LARGEST + 1), small[0].with_budget(small[0].largest_budget)
    found = solve_many(stacked([large, *small, trivial]))
    assert found[0] is None and found[-1] is None and all(found[1:-1])


def test_where_all_are_too_large_none_is_solved_together(monkeypatch):
    monkeypatch.setattr(solving, "LARGEST", 10)
    stack, _ = of_classes(*blobs(1, n=60, k=3))
    for asked in (stack.with_cost(1.0), stack.with_budget(0.5 * stack.largest_budget)):
        assert solve_many(asked) == [None] * 3


def test_budgets_that_cannot_be_kept_are_left_to_solve():
    """Equal samples of both classes: 2 is the least slack, and no multiplier meets less."""
    K, target = np.ones((4, 4)) + np.diag([0.0, 0.0, 1.0, 1.0]), np.array([-1.0, 1.0, -1.0, 1.0])
    problems = [classification(GramSource(K), target, np.ones(4), budget=budget) for budget in (0.5, 1.0, 3.0)]
    found = solve_many(stacked(problems))
    assert found[:2] == [None, None]
    assert_same(found[2], solve(problems[2], tol=1e-9), problems[2])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_budgets_that_no_hyperplane_keeps_get_the_least_slack_of_the_linear_programme(share):
    """Pairs of classes in three features, many of which overlap so far that the share of C_max is below C_min."""
    stack, alone = of_classes(*blobs(3, n=160, d=3, k=8))
    found = solve_many(stack.with_budget(share * stack.largest_budget))
    infeasible = 0
    for solution, problem in zip(found, alone, strict=True):
        least, budget = least_budget(problem), share * problem.largest_budget
        if solution is None:
            assert budget >= least * (1 - 1e-6) or problem.n_samples > 64
        elif budget < least * (1 - 1e-6):
            infeasible += 1
            assert solution.status is Status.INFEASIBLE_BUDGET
            assert solution.least_budget == pytest.approx(least, rel=1e-8)
            assert solution.slack.sum() == pytest.approx(least, rel=1e-8)
            assert certify(problem.with_cost(solution.lam), solution.beta, solution.lam, Work(), 1e-6).is_within(1e-6)
        else:
            assert_same(solution, solve(problem.with_budget(budget), tol=1e-9), problem.with_budget(budget))
    assert infeasible >= (5 if share < 0.5 else 0)


@pytest.mark.parametrize("seed", range(4))
def test_small_classes_whose_kernel_has_few_features_are_solved_in_these(seed):
    """Neighbours on a line under a cubic kernel: samples on the margin together, about which pivots do not settle."""
    random = np.random.RandomState(seed)
    X = random.randn(71, 1)
    y = np.digitize(X[:, 0] + 0.5 * random.randn(71), [-0.4, 0.4])
    stack, alone = of_classes(StandardScaler().fit_transform(X), y, "poly", degree=3, gamma=1.0, coef0=1.0)
    found = solve_many(stack.with_cost(1.0))
    for solution, problem in zip(found, alone, strict=True):
        assert_same(solution, solve(problem.with_cost(1.0), tol=1e-9), problem.with_cost(1.0))


def test_mixed_classes_with_many_known_features_are_solved_in_these():
    """Classes one around the other, which no hyperplane tells apart, in too many features for them to be few."""
    X, y = make_gaussian_quantiles(n_samples=495, n_features=60, n_classes=4, random_state=4)
    stack, alone = of_classes(StandardScaler().fit_transform(X), y)
    found = solve_many(stack.with_cost(1.0))
    for solution, problem in zip(found, alone, strict=True):
        assert solution.work.interior_steps > 0
        assert_same(solution, solve(problem.with_cost(1.0), tol=1e-9), problem.with_cost(1.0))


def test_a_budget_is_called_infeasible_only_where_that_is_shown(monkeypatch):
    """A cost that is too small leaves more than the least slack, and shows nothing of it."""
    monkeypatch.setattr(together, "_HARDEST", 1.0)
    monkeypatch.setattr(together, "_FIRST_ROUNDS", 1)
    stack, alone = of_classes(*blobs(3, n=160, d=3, k=8))
    budgets = 0.3 * stack.largest_budget
    least = np.array([least_budget(problem) for problem in alone])
    assert np.count_nonzero(least < budgets) >= 5
    for solution, may_be_kept in zip(solve_many(stack.with_budget(budgets)), least < budgets, strict=True):
        assert solution is None or not may_be_kept or solution.status is Status.OPTIMAL


KERNELS = {
    "linear": {},
    "poly": {"gamma": 0.5, "degree": 2, "coef0": 1.0},
    "rbf": {"gamma": 0.3},
}


@pytest.mark.parametrize("seed", range(4))
def test_a_face_is_solved_by_interior_steps_alone(seed, monkeypatch):
    """Few against many of the same kind: that all of the many stand on the margin is a solution, of many duals."""
    random = np.random.RandomState(seed)
    X, y = random.standard_t(5, (400, 1)), random.choice(3, 400, p=[0.9, 0.05, 0.05])
    stack, alone = of_classes(X, y)
    # A solution with more on the margin than a vertex has would take factorisations of their number.
    sizes, cholesky = [], stack_pivots.cholesky
    monkeypatch.setattr(stack_pivots, "cholesky", lambda A: sizes.append(len(A)) or cholesky(A))
    found = solve_many(stack.with_cost(1.0))
    assert None not in found[:2] and max(sizes, default=0) < 100
    for solution, problem in zip(found[:2], alone[:2], strict=True):
        problem = problem.with_cost(1.0)
        assert certify(problem, solution.beta, solution.lam, Work(), 1e-5).status is Status.OPTIMAL
        beta, other = solution.beta, solve(problem, tol=1e-9).beta
        fits = problem.fit(beta), problem.fit(other)
        values = [problem.linear @ duals - duals @ fit / 2 for duals, fit in zip((beta, other), fits, strict=True)]
        assert values[0] == pytest.approx(values[1], rel=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("cost", [0.01, 1.0, 30.0])
def test_pairs_of_classes_in_their_few_features(kernel, cost):
    """Interior steps on features, known or found, and pivots near the margin; weights, and classes of all sizes."""
    X, y = blobs(0)
    weight = np.random.RandomState(1).choice([0.5, 1.0, 3.0], len(y))
    stack, alone = of_classes(X, y, kernel, weight, **KERNELS[kernel])
    found = solve_many(stack.with_cost(cost))
    # Rounding, other with other threads, decides whether a solution that is a face is near enough.
    assert found.count(None) <= 2
    for solution, problem in zip(found, alone, strict=True):
        if solution is not None:
            problem = problem.with_cost(cost)
            assert_same(solution, solve(problem, tol=1e-9), problem)
    steps = [solution.work.interior_steps for solution in found if solution is not None]
    assert max(steps) <= stack_interior.MOST_STEPS and (kernel != "linear" or min(steps) > 0)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_pairs_of_classes_without_few_features_grow_from_between(kernel):
    X, y = blobs(2, n=600, d=90, k=3, spread=0.4)
    stack, alone = of_classes(X, y, kernel, **({"gamma": 0.002} if kernel == "rbf" else {}))
    found = solve_many(stack.with_cost(1.0))
    assert all(found)
    for solution, problem in zip(found, alone, strict=True):
        assert solution.work.interior_steps == 0
        assert_same(solution, solve(problem.with_cost(1.0), tol=1e-9), problem)


@pytest.mark.parametrize(("kernel", "gamma"), [("rbf", 0.03), ("rbf", 0.3), ("rbf", 10.0), ("poly", 0.5)])
def test_walks_together_are_those_of_each_alone(kernel, gamma):
    """Rising costs from where all are at their bound to where hardly any is; weights, and classes of all sizes."""
    X, y = blobs(1, n=300, d=3, k=4)
    weight = np.random.RandomState(2).choice([0.5, 1.0, 3.0], len(y))
    parameters = {"degree": 2, "coef0": 1.0} if kernel == "poly" else {}
    stack, alone = of_classes(X, y, kernel, weight, gamma=gamma, **parameters)
    costs = np.geomspace(1e-3, 1e2, 6)
    found = walk_many(stack, costs)
    assert sum(row.count(None) for row in found) <= 6
    for cost, row in zip(costs, found, strict=True):
        for solution, problem in zip(row, alone, strict=True):
            if solution is not None:
                assert solution.lam == cost and len(solution.beta) == problem.n_samples
                assert_same(solution, solve(problem.with_cost(cost), tol=1e-9), problem.with_cost(cost))


def test_walks_together_take_fewer_rounds_than_each_cost_from_nothing():
    X, y = blobs(4, n=210, d=4, k=3, spread=0.7)
    stack, alone = of_classes(X, y, "rbf", gamma=0.25)
    costs = np.geomspace(0.1, 100.0, 8)
    of_walk = sum(solution.n_iter for row in walk_many(stack, costs) for solution in row)
    of_each = sum(
        (solution or solve(problem.with_cost(cost))).n_iter
        for cost in costs
        for solution, problem in zip(solve_many(stack.with_cost(cost)), alone, strict=True)
    )
    assert of_walk < 0.9 * of_each


def test_what_is_not_for_walks_together_is_left_alone():
    X, y = blobs(1, n=120, k=3)
    of_rbf, of_linear = (of_classes(X, y, kernel, gamma=0.3)[0] for kernel in ("rbf", "linear"))
    nothing = [[None] * 3] * 2
    assert walk_many(of_linear, [0.1, 1.0]) == nothing
    X, y = blobs(1, n=3 * LARGEST_WALKED, k=3)
    assert walk_many(of_classes(X, y, "rbf", gamma=0.3)[0], [0.1, 1.0]) == nothing
    assert walk_many(of_rbf, [0.1, 1.0], max_iter=MOST_ITERATIONS - 1) == nothing
    assert walk_many(of_rbf.take(slice(2)), [0.1, 1.0]) == [[None] * 2] * 2


def test_a_walk_with_a_problem_that_cannot_be_solved_spoils_no_answer():
    """Where kernel values are no numbers no solution is called one."""
    X, y = blobs(1, n=120, k=3)
    stack, _ = of_classes(X, y, "rbf", gamma=0.3)
    source = stack.source.stored()
    source.gram[stack.rows[0, 0]] = source.gram[:, stack.rows[0, 0]] = np.nan
    with np.errstate(all="ignore"):
        found = walk_many(replace(stack, source=source), [0.1, 1.0])
    assert [row[0] for row in found] == [None, None]


def test_interior_steps_together_are_those_of_each_alone():
    """The same sides and the same gaps, whatever the other problems of the stack are."""
    X, y = blobs(3, n=300, d=3, k=3)
    stack, alone = of_classes(X, y)
    stack = stack.with_cost(2.0)
    inside = stack_interior.steps_together(stack, X[stack.rows], np.zeros(stack.rows.shape), 1e-6)
    assert inside.gap.max() <= 1e-6
    for k, problem in enumerate(alone):
        n = problem.n_samples
        block = whole_block(problem.with_cost(2.0), problem.source.whole(), Tally())
        solver = InteriorSolver(block, Factored(problem.source.features, block.tally))
        one = solver.solve(solver.start(2.0), 1e-6)
        np.testing.assert_array_equal(inside.side[k, :n], one.side)
        np.testing.assert_allclose(inside.beta[k, :n], one.point.beta, atol=1e-4)


def test_what_features_leave_of_the_diagonal_is_part_of_the_kernel_matrix():
    """Features and the rest of a diagonal: as if the matrix were their sum."""
    random = np.random.RandomState(4)
    G, rest = random.randn(60, 4), random.rand(60)
    target = np.where(G[:, 0] + random.randn(60) > 0, 1.0, -1.0)
    rows = [np.arange(60)] * 2
    stack = Stack.of_classes(
        GramSource(G @ G.T + np.diag(rest)), rows, [target, -target], [np.ones(len(own)) for own in rows]
    ).with_cost(0.7)
    inside = stack_interior.steps_together(stack, G[stack.rows], rest[stack.rows], 1e-8)
    exact = solve(classification(stack.source, target, np.ones(60), cost=0.7), tol=1e-9)
    np.testing.assert_allclose(inside.beta[0], exact.beta, atol=1e-5)
    np.testing.assert_allclose(inside.beta[1], -exact.beta, atol=1e-5)
    np.testing.assert_allclose(inside.residual[0], target - stack.source.gram @ exact.beta - exact.intercept, atol=1e-5)


def test_pivots_with_samples_held_at_their_bound():
    """Blocks of a stack whose other samples are held give the solution of all."""
    X, y = blobs(5, n=120, k=3)
    stack, alone = of_classes(X, y, "rbf", gamma=1.0)
    stack = stack.with_cost(0.5)
    exact = [solve(problem.with_cost(0.5), tol=1e-9) for problem in alone]
    side = np.zeros(stack.bound.shape, np.int8)
    for k, solution in enumerate(exact):
        magnitude = np.abs(solution.beta)
        side[k, : len(magnitude)] = np.select([magnitude >= 0.5, magnitude > 0], [2, 1], 0)
    guess = together.Guess(side, np.zeros(side.shape), stack.cost, np.full(len(stack), together.ROUGHLY))
    look = together._solve_near(stack, side == FREE, guess)
    assert (look.pivots > 0).all() and not look.wrong.any()
    for k, solution in enumerate(exact):
        np.testing.assert_allclose(look.beta[k, : len(solution.beta)], solution.beta, atol=1e-8)


def test_pivots_that_stall_change_one_side_at_a_time():
    """Nearly dependent samples, many of them free: all changes at once cycle on some of these problems."""
    random = np.random.RandomState(6)
    X = random.randn(40 * 30, 2)
    rows = [np.arange(30 * k, 30 * (k + 1)) for k in range(40)]
    targets = [np.where(X[own, 0] + random.randn(30) > 0, 1.0, -1.0) for own in rows]
    source = Kernel.of("rbf", gamma=0.05, degree=None, coef0=None).source(X)
    stack = Stack.of_classes(source, rows, targets, [np.ones(len(own)) for own in rows]).with_cost(10.0)
    blocks = Blocks.of(stack, stack.gram(), np.inf)
    found = pivot_together(blocks, start(blocks))
    assert np.count_nonzero(found.rounds == 0) <= 2
    for k in np.flatnonzero(found.rounds):
        problem = classification(source.take(rows[k]), targets[k], np.ones(30), cost=10.0)
        np.testing.assert_allclose(
            problem.gradient(found.beta[k]), problem.gradient(solve(problem, tol=1e-9).beta), atol=1e-6
        )


def test_regressions_together_have_costs_and_signs_of_their_own():
    """The stack knows nothing of classes: linear terms and bounds of either sign, features found or not."""
    random = np.random.RandomState(7)
    X = random.randn(150, 2)
    y = np.sin(X[:, 0]) + 0.2 * random.randn(150)
    source = Kernel.of("rbf", gamma=0.5, degree=None, coef0=None).source(X)
    problems = [regression(source, y, np.ones(150), 0.1, cost=cost) for cost in (0.1, 1.0, 5.0)]
    whole = problems[0].source
    rows = np.tile(np.arange(300), (3, 1))
    linear, bound = (np.stack([getattr(p, name) for p in problems]) for name in ("linear", "bound"))
    stack = Stack(whole, rows, linear, bound).with_cost([0.1, 1.0, 5.0])
    found = solve_many(stack)
    for solution, problem in zip(found, problems, strict=True):
        if solution is not None:
            assert_same(solution, solve(problem, tol=1e-9), DualProblem(problem.source, problem.linear, problem.bound))


def test_kernel_values_and_rounds_are_counted():
    random = np.random.RandomState(0)
    kernel = Kernel.of("rbf", gamma=0.5, degree=3, coef0=1.0)
    target = np.repeat([-1.0, 1.0], 10)
    source = kernel.source(random.randn(120, 3) + np.tile(target, 6)[:, None])
    rows = [np.arange(20 * k, 20 * (k + 1)) for k in range(6)]
    found = solve_many(
        Stack.of_classes(source, rows, [target] * 6, [np.ones(len(own)) for own in rows]).with_budget(4.0)
    )
    for solution in found:
        assert solution.work.kernel_values == 400
        assert 3 <= solution.work.pivots == len(solution.work.factored) <= MOST_ROUNDS
        assert solution.n_iter == solution.work.pivots


def test_a_hundred_classes_take_few_solves_of_their_own():
    """All of 4,950 problems in stacks: rounds are counted, and a model of three classes alone is the same."""
    random = np.random.RandomState(0)
    y = np.repeat(np.arange(100), 3)
    X = 2.0 * random.randn(100, 5)[y] + random.randn(300, 5)
    model = BudgetSVC(C=0.1, unit="relative").fit(X, y)
    assert model.n_iter_.max() <= MOST_ROUNDS
    assert np.abs(model.duality_gap_).max() <= 1e-8
    some = y < 2
    alone = BudgetSVC(C=0.1, unit="relative", gamma=model._kernel.params["gamma"]).fit(X[some], y[some])
    assert model.margin_[0] == pytest.approx(alone.margin_[0], rel=1e-8)


def test_one_problem_that_cannot_be_solved_leaves_the_others_as_they_are(monkeypatch):
    problems = [random_problem(seed, n=10, budget=0.3 + 0.01 * seed) for seed in range(5)]
    expected = solve_many(stacked(problems))

    def failing(blocks, *args):
        if problems[3].budget in blocks.budget:
            raise np.linalg.LinAlgError("singular")
        return pivot_together(blocks, *args)

    monkeypatch.setattr(together, "pivot_together", failing)
    found = solve_many(stacked(problems))
    assert found.pop(3) is None
    for solution, same in zip(found, expected[:3] + expected[4:], strict=True):
        np.testing.assert_allclose(solution.beta, same.beta, atol=1e-12)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_a_stack_that_cannot_be_solved_spoils_no_answer(spoilt):
    """Where kernel values are no numbers no solution is called one."""
    problems = [random_problem(seed, n=10) for seed in range(4)]
    problems[1].source.gram[0, 0] = spoilt
    with np.errstate(all="ignore"):
        found = solve_many(stacked(problems))
    assert found[1] is None


def test_few_samples_of_many_features_that_no_hyperplane_separates_end():
    """Of the problems that pivots leave some have fewer samples than features."""
    told = 0
    for seed in range(40):
        random = np.random.RandomState(seed)
        X, y = random.randn(12, 4), random.randint(0, 5, 12)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = BudgetSVC(C=0.0, kernel="linear").fit(X, y)
        told += len(caught)
        alone = [
            BudgetSVC(C=0.0, kernel="linear").feasible_budget(X[np.isin(y, pair)], y[np.isin(y, pair)])[0][0]
            for pair in combinations(np.unique(y), 2)
        ]
        np.testing.assert_allclose(model.budget_, alone, rtol=1e-6, atol=1e-6)
    assert told > 0


# Which problems are pivoted whole


def test_classes_are_mixed_where_many_samples_are_nearer_to_the_other():
    random = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 70)
    X = 10.0 * np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])[y] + random.randn(210, 2)
    stack, _ = of_classes(X, y, "rbf", gamma=0.1)
    mixing = together._mixing(stack, np.arange(3))
    assert mixing[0] > together._WELL_MIXED and not mixing[1:].any()
    np.testing.assert_array_equal(together._mixing(stack, np.array([1])), [0.0, 0.0, 0.0])


def test_large_mixed_problems_are_left_alone():
    """Two of five classes of 260 samples overlap: their pair is left, the others are solved."""
    random = np.random.RandomState(0)
    y = np.repeat(np.arange(5), 260)
    centres = np.vstack([np.zeros((2, 6)), 6.0 * random.randn(3, 6)])
    stack, alone = of_classes(centres[y] + random.randn(1300, 6), y, "rbf", gamma=0.5)
    found = solve_many(stack.with_cost(1.0))
    assert [solution is None for solution in found] == [True] + 9 * [False]
    for solution, problem in zip(found[1:], alone[1:], strict=True):
        assert_same(solution, solve(problem.with_cost(1.0), tol=1e-9), problem.with_cost(1.0))


def test_what_is_pivoted_whole_in_vain_is_not_grown(monkeypatch):
    """Among samples that are nearly equal pivots lead nowhere: from all of them, and so from some that grow."""
    monkeypatch.setattr(together, "_grown", lambda part: pytest.fail("grown"))
    in_vain = 0
    for seed in range(6):
        random = np.random.RandomState(seed)
        y = random.randint(0, 5, 82)
        X = random.poisson(1.5 + 0.5 * y[:, None], (82, 6)) * (random.uniform(size=(82, 1)) < 0.7)
        X = StandardScaler().fit_transform(X + random.normal(0.0, 0.01, (82, 1)))
        stack, alone = of_classes(X, y, "rbf", gamma=0.2)
        found = solve_many(stack.with_cost(1.0))
        in_vain += found.count(None)
        for solution, problem in zip(found, alone, strict=True):
            if solution is not None:
                assert_same(solution, solve(problem.with_cost(1.0), tol=1e-9), problem.with_cost(1.0))
    assert 0 < in_vain < 30


@pytest.mark.parametrize("n", [20, 300])
@pytest.mark.parametrize("share", [0.05, 1.0])
def test_products_of_blocks_are_those_of_their_kernel_matrices(n, share):
    random = np.random.RandomState(n)
    gram = random.randn(3, n, n)
    gram = gram + gram.transpose(0, 2, 1)
    beta = random.randn(3, n) * (random.uniform(size=(3, n)) < share)
    bound = np.ones((3, n))
    blocks = Blocks(gram, bound, bound, None, np.ones(3), np.ones(3), np.ones(3), Fixed.none((3, n)))
    np.testing.assert_allclose(blocks.fit(beta), np.einsum("kij,kj->ki", gram, beta), atol=1e-11)
