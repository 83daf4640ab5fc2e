"""Many small problems at once: each solution is the one that the problem has alone."""

import numpy as np
import pytest
from blocks import random_problem

from sklearn_svmdl import BudgetSVC
from sklearn_svmdl.dual.problem import Status, classification, regression
from sklearn_svmdl.dual.solve import solve, solve_small
from sklearn_svmdl.dual.together import LARGEST, MOST_ROUNDS
from sklearn_svmdl.kernels import GramSource, Kernel


def assert_same(together, alone, problem):
    """The same certified solution; duals may differ where the kernel matrix is nearly singular, the fit does not."""
    assert together.status is Status.OPTIMAL and together.is_within(1e-8)
    assert together.lam == pytest.approx(alone.lam, rel=1e-5)
    assert together.norm == pytest.approx(alone.norm, rel=1e-7)
    assert together.budget == pytest.approx(alone.budget, rel=1e-7, abs=1e-9)
    np.testing.assert_allclose(problem.gradient(together.beta), problem.gradient(alone.beta), atol=1e-6)


@pytest.mark.parametrize("budget", [0.02, 0.3, 0.8])
def test_problems_of_many_sizes_with_budgets(budget):
    problems = [random_problem(seed, n=4 + 3 * seed, budget=budget) for seed in range(20)]
    found = solve_small(problems)
    assert found.count(None) <= 4
    for together, problem in zip(found, problems, strict=True):
        if together is not None:
            assert_same(together, solve(problem, tol=1e-9), problem)


@pytest.mark.parametrize("cost", [1e-3, 1.0, 100.0])
def test_problems_of_many_sizes_with_costs(cost):
    problems = [random_problem(seed, n=4 + 3 * seed).with_cost(cost) for seed in range(20)]
    found = solve_small(problems)
    assert found.count(None) <= 4
    for together, problem in zip(found, problems, strict=True):
        if together is not None:
            assert together.lam == cost
            assert_same(together, solve(problem, tol=1e-9), problem)


def test_regressions():
    problems = []
    for seed in range(10):
        random = np.random.RandomState(seed)
        X = random.randn(5 + 2 * seed, 2)
        y = X[:, 0] + 0.3 * random.randn(len(X))
        source = Kernel.of("rbf", gamma=0.5, degree=3, coef0=1.0).source(X)
        problem = regression(source, y, random.choice([1.0, 2.0], len(X)), 0.1, budget=0.0)
        problems.append(problem.with_budget(0.3 * problem.largest_budget))
    for together, problem in zip(solve_small(problems), problems, strict=True):
        assert_same(together, solve(problem, tol=1e-9), problem)


def test_samples_that_all_stand_at_their_bound():
    """Nobody is free where a balanced problem's budget is nearly the largest; b is the middle of what may be."""
    problems = []
    for seed in range(5):
        random = np.random.RandomState(seed)
        X, target = random.randn(8, 2), np.repeat([-1.0, 1.0], 4)
        problem = classification(GramSource(X @ X.T + np.eye(8)), target, np.ones(8), budget=0.0)
        problems.append(problem.with_budget(0.999 * problem.largest_budget))
    for together, problem in zip(solve_small(problems), problems, strict=True):
        alone = solve(problem, tol=1e-9)
        np.testing.assert_allclose(np.abs(together.beta), together.lam, rtol=1e-12)
        assert together.intercept == pytest.approx(alone.intercept, abs=1e-9)


def test_what_is_not_for_stacks_is_left_alone():
    small = [random_problem(seed, n=10) for seed in range(3)]
    assert all(solve_small(small))
    assert solve_small(small[:2]) == [None, None]
    assert solve_small(small, solver="smo") == [None] * 3
    assert solve_small(small, max_iter=MOST_ROUNDS - 1) == [None] * 3
    large, trivial = random_problem(5, n=LARGEST + 1), small[0].with_budget(small[0].largest_budget)
    found = solve_small([large, *small, trivial])
    assert found[0] is None and found[-1] is None and all(found[1:-1])


def test_budgets_that_cannot_be_kept_are_left_to_solve():
    """Equal samples of both classes: 2 is the least slack, and no multiplier meets less."""
    K, target = np.ones((4, 4)) + np.diag([0.0, 0.0, 1.0, 1.0]), np.array([-1.0, 1.0, -1.0, 1.0])
    problems = [classification(GramSource(K), target, np.ones(4), budget=budget) for budget in (0.5, 1.0, 3.0)]
    found = solve_small(problems)
    assert found[:2] == [None, None]
    assert_same(found[2], solve(problems[2], tol=1e-9), problems[2])


def test_kernel_values_and_rounds_are_counted():
    random = np.random.RandomState(0)
    kernel = Kernel.of("rbf", gamma=0.5, degree=3, coef0=1.0)
    target = np.repeat([-1.0, 1.0], 10)
    sources = [kernel.source(random.randn(20, 3) + target[:, None]) for _ in range(6)]
    found = solve_small([classification(source, target, np.ones(20), budget=4.0) for source in sources])
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


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_a_stack_that_cannot_be_solved_spoils_no_answer(spoilt):
    """Where kernel values are no numbers no solution is called one."""
    problems = [random_problem(seed, n=10) for seed in range(4)]
    problems[1].source.gram[0, 0] = spoilt
    with np.errstate(all="ignore"):
        found = solve_small(problems)
    assert found[1] is None
