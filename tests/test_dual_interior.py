"""Interior steps: the same optimum as other people's solvers, however the linear systems are solved.

Independent evidence: SLSQP on duals and multiplier, libsvm at a cost, and numpy's solution of the linear systems.
"""

from dataclasses import replace

import numpy as np
import pytest
from blocks import block_of, block_optimum, random_block, random_problem
from reference import cost_svm, single_precision

from sklearn_svmdl.dual import interior
from sklearn_svmdl.dual.interior import (
    MOST_STEPS,
    Factored,
    Interior,
    InteriorSolver,
    Iterate,
    _Dense,
    _NewtonSystem,
    low_rank_factor,
    operator_of,
)
from sklearn_svmdl.dual.kkt import BOUND, FREE, ZERO, Block, FixedSamples
from sklearn_svmdl.dual.problem import BEYOND_REACH, DualProblem, Status, classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.kernels import GramSource, Kernel

GAP = 1e-10


def follow(block, gap=GAP, lam=1.0, operator=None):
    """The end of the interior steps from a cold start."""
    solver = InteriorSolver(block, operator)
    return solver.follow(solver.start(block.clip_lam(lam)), gap)[1]


def sides_of(block, beta, lam):
    share = block.sign * beta / (lam * block.weight)
    return np.where(share < 1e-4, ZERO, np.where(share > 1 - 1e-4, BOUND, FREE))


@pytest.mark.parametrize("cost", [None, 0.5, 20.0])
@pytest.mark.parametrize("n_fixed", [0, 5])
@pytest.mark.parametrize("seed", range(8))
def test_optimum_is_that_of_slsqp(seed, n_fixed, cost):
    block, problem = random_block(seed, n=15, n_fixed=n_fixed, cost=cost)
    inside = follow(block)
    beta, lam = block_optimum(block, problem)
    assert inside.gap <= GAP
    assert inside.point.lam == pytest.approx(lam, rel=1e-5)
    np.testing.assert_allclose(inside.point.beta, beta, atol=1e-5 * lam)
    np.testing.assert_array_equal(inside.side, sides_of(block, beta, lam))


@pytest.mark.parametrize("cost", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(4))
def test_at_a_cost_the_decision_is_that_of_libsvm(seed, cost):
    problem = random_problem(seed, n=60)
    K = single_precision(problem.source.gram)
    problem = classification(GramSource(K), problem.sign, problem.weight, cost=cost)
    inside = follow(block_of(problem))
    expected = cost_svm(K, problem.linear, cost, problem.weight)
    assert inside.point.lam == cost
    decision = K @ inside.point.beta + inside.point.intercept
    np.testing.assert_allclose(decision, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("start", [1e-6, 1.0, 1e6])
def test_multiplier_is_found_from_far_away(share, start):
    """libsvm with the multiplier that was found for its cost spends the budget."""
    problem = random_problem(1, n=80)
    K = single_precision(problem.source.gram)
    problem = classification(GramSource(K), problem.sign, problem.weight)
    problem = problem.with_budget(share * problem.largest_budget)
    block = block_of(problem)
    inside = follow(block, lam=start)
    assert inside.gap <= GAP
    assert 0 < block.tally.interior_steps <= MOST_STEPS
    expected = cost_svm(K, problem.linear, inside.point.lam, problem.weight)
    slack = problem.weight @ np.maximum(0.0, 1.0 - problem.linear * expected)
    assert slack == pytest.approx(problem.budget, rel=1e-6)


@pytest.mark.parametrize("cost", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_cost_takes_a_few_dozen_steps_whatever_the_kernel_matrix(seed, cost):
    random = np.random.RandomState(seed)
    X = random.randn(100, 1)
    X[50:] = X[:50]
    y = np.where(random.rand(100) > 0.5, 1.0, -1.0)
    wide = np.exp(-0.01 * np.square(X - X.T))
    for K in (wide, X @ X.T, np.ones((100, 100)), np.eye(100)):
        block = block_of(classification(GramSource(K), y, np.ones(100), cost=cost))
        inside = follow(block, gap=1e-6)
        assert inside.gap <= 1e-6
        assert block.tally.interior_steps <= 40
        assert len(block.tally.factored) == block.tally.interior_steps


@pytest.mark.parametrize("cost", [None, 0.01, 1.0, 100.0])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_regression_beside_samples_that_are_held_takes_a_few_dozen_steps(shift, cost):
    """A constant added to all targets is one added to the intercept, whatever the samples inside alone weigh."""
    random = np.random.RandomState(0)
    x = random.uniform(-3, 3, 60)
    y, gram = np.sin(x) + 0.5 * random.randn(60) + shift, np.exp(-np.square(x[:, None] - x))
    problem = regression(GramSource(gram), y, np.ones(60), 0.1)
    # Every variable that a constant leaves on the costly side is held at its bound, but for some.
    outside = (problem.sign * (problem.linear - problem.constant) > 0.2) & (np.arange(120) % 4 > 0)
    everyone = np.arange(120)
    order = np.r_[everyone[~outside], everyone[outside]]
    source = GramSource(np.tile(gram, (2, 2))[np.ix_(order, order)])
    problem = DualProblem(source, problem.linear[order], problem.bound[order])
    problem = problem.with_cost(cost) if cost else problem.with_budget(0.8 * problem.largest_budget)
    block = block_of(problem, np.count_nonzero(~outside))
    inside = follow(block, gap=1e-6)
    assert inside.gap <= 1e-6
    assert block.tally.interior_steps <= 40


@pytest.mark.parametrize("seed", range(4))
def test_iterates_stay_strictly_inside_and_balance(seed):
    block, _ = random_block(seed, n=30, n_fixed=5)
    solver = InteriorSolver(block)
    iterate = solver.start(1.0)
    for _ in range(30):
        assert (iterate.pairs > 0).all() and iterate.lam > 0
        np.testing.assert_allclose(iterate.pairs[0] + iterate.pairs[1], iterate.lam * block.weight, rtol=1e-9)
        inside = solver.solve(iterate, 1e-9, most=1)
        assert isinstance(inside, Interior)
        iterate = inside.iterate
    beta, total = inside.point.beta, inside.point.lam * block.fixed.total
    assert abs(beta.sum() + total) <= 1e-9 * np.abs(beta).sum()


@pytest.mark.parametrize("most", [0, 1, 4])
def test_no_more_steps_are_taken_than_are_left(most):
    block, _ = random_block(0)
    tally = Tally(most)
    inside = follow(replace(block, tally=tally))
    assert tally.interior_steps == most
    assert np.isfinite(inside.point.beta).all()
    assert inside.gap > GAP


# A largest multiplier


@pytest.mark.parametrize("share", [0.02, 0.5])
@pytest.mark.parametrize("seed", range(6))
def test_multiplier_beyond_its_range_ends_in_the_problem_of_the_largest_cost(seed, share):
    block, problem = random_block(seed, n=20, n_fixed=3)
    _, lam = block_optimum(block, problem)
    largest = share * lam
    near = replace(block, lam_range=(0.0, largest))
    inside = follow(near, lam=largest)
    assert inside.point.lam == largest
    beta, _ = block_optimum(block, problem.with_cost(largest))
    np.testing.assert_allclose(inside.point.beta, beta, atol=1e-5 * largest)


@pytest.mark.parametrize("factor", [10.0, 1000.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_largest_multiplier_above_the_solution_does_not_matter(seed, factor):
    """From a start at the largest one the steps may leave the range, and come back."""
    block, problem = random_block(seed, n=20, n_fixed=3)
    beta, lam = block_optimum(block, problem)
    inside = follow(replace(block, lam_range=(0.0, factor * lam)), lam=factor * lam)
    assert inside.gap <= GAP
    assert inside.point.lam == pytest.approx(lam, rel=1e-5)
    np.testing.assert_allclose(inside.point.beta, beta, atol=1e-5 * lam)


# Linear systems


def low_rank_problem(n=300, d=6, budget=0.8, seed=0):
    random = np.random.RandomState(seed)
    X = random.randn(n, d)
    y = np.where(X[:, 0] + random.randn(n) > 0, 1.0, -1.0)
    problem = classification(GramSource(X @ X.T), y, random.choice([0.5, 1.0, 3.0], n))
    return problem.with_budget(budget * problem.largest_budget), X


@pytest.mark.parametrize("spread", [0, 3, 6])
def test_operators_solve_the_bordered_equations_as_numpy_does(spread):
    """(K + D) x + b 1 = r, 1'x = s. The larger the ratios of the entries of D the nearer is the end."""
    problem, X = low_rank_problem(n=60)
    random, K = np.random.RandomState(0), problem.source.gram
    D = 10.0 ** random.uniform(-spread, spread, 60)
    rows, sums, values = random.randn(3, 60), random.randn(3), random.randn(60)
    bordered = np.block([[K + np.diag(D), np.ones((60, 1))], [np.ones(60), 0.0]])
    expected = np.linalg.solve(bordered, np.column_stack([rows, sums]).T).T
    for operator in (_Dense(K, Tally()), Factored(X, Tally())):
        x, b = operator.solver(D)(rows.copy(), sums)
        np.testing.assert_allclose(x, expected[:, :60], atol=1e-8 * np.abs(expected).max())
        np.testing.assert_allclose(b, expected[:, 60], atol=1e-8 * np.abs(expected).max())
        np.testing.assert_allclose(operator.apply(values), K @ values, atol=1e-10)


def test_digits_that_a_small_diagonal_cancels_are_mended(monkeypatch):
    gains = []
    for seed in range(8):
        random = np.random.RandomState(seed)
        G, D = random.randn(60, 4), 10.0 ** random.uniform(-8, 8, 60)
        rows, sums, left = random.randn(2, 60), random.randn(2), []
        for cancels in (interior._CANCELS, 0.0):
            monkeypatch.setattr(interior, "_CANCELS", cancels)
            x, b = Factored(G, Tally()).solver(D)(rows.copy(), sums)
            left.append(np.abs(x @ (G @ G.T) + x * D + b[:, None] - rows).max())
            monkeypatch.undo()
        gains.append(left[1] / left[0])
    # By how much without the correction more is left.
    assert np.exp(np.mean(np.log(gains))) > 2.0


@pytest.mark.parametrize("cost", [None, 2.0])
def test_dense_and_factored_operators_give_the_same_directions(cost):
    problem, X = low_rank_problem()
    problem = problem if cost is None else problem.with_cost(cost)
    block, directions, ends = block_of(problem), [], []
    for operator in (_Dense(block.gram, Tally()), Factored(X, Tally())):
        solver = InteriorSolver(block, operator)
        iterate = solver.start(2.0)
        system = _NewtonSystem(solver, iterate, solver._measure(iterate))
        steps = system.direction(), system.direction(np.full((2, 300), 1e-3))
        # The arrays of a step are used again by the next.
        directions.append([step._replace(pairs=step.pairs.copy()) for step in steps])
        ends.append(solver.solve(iterate, 1e-8))
    for one, other in zip(*directions):
        np.testing.assert_allclose(other.pairs, one.pairs, atol=1e-8 * np.abs(one.pairs).max())
        assert other.lam == pytest.approx(one.lam, rel=1e-7, abs=1e-10)
        assert other.intercept == pytest.approx(one.intercept, rel=1e-7, abs=1e-10)
    np.testing.assert_allclose(ends[1].point.fit, ends[0].point.fit, atol=1e-5 * np.abs(ends[0].point.fit).max())
    assert ends[1].point.lam == pytest.approx(ends[0].point.lam, rel=1e-5)


@pytest.mark.parametrize("cost", [None, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_predicted_step_solves_the_linearised_conditions(seed, cost):
    """Multiplied out: the residuals, the budget, the balance and the products after the step, to first order."""
    block, problem = random_block(seed, n=20, n_fixed=4, cost=cost)
    solver = InteriorSolver(block)
    iterate = solver.start(0.8)
    K, s, sign, fixed = block.gram, block.weight, block.sign, block.fixed
    targets = np.random.RandomState(seed).uniform(0.01, 0.1, (2, 20))
    step = _NewtonSystem(solver, iterate, solver._measure(iterate)).direction(targets)
    after = Iterate(iterate.pairs + step.pairs, iterate.lam + step.lam, iterate.intercept + step.intercept)
    beta, lam = sign * after.pairs[0], after.lam
    fit = K @ beta + lam * fixed.pull
    conditions = sign * (block.linear - fit - after.intercept) + after.pairs[2] - after.pairs[3]
    np.testing.assert_allclose(conditions, 0.0, atol=1e-8)
    np.testing.assert_allclose(after.pairs[0] + after.pairs[1], lam * s, atol=1e-10)
    assert beta.sum() + lam * fixed.total == pytest.approx(0.0, abs=1e-9)
    products = iterate.pairs[:2] * iterate.pairs[2:] + iterate.pairs[:2] * step.pairs[2:]
    np.testing.assert_allclose(products + iterate.pairs[2:] * step.pairs[:2], targets, atol=1e-10)
    if cost is None:
        n, t = 20, problem.bound[20:]
        fit_of_fixed = problem.source.gram[n:] @ np.concatenate([beta, lam * t])
        of_fixed = t @ (problem.linear[n:] - fit_of_fixed - after.intercept)
        assert of_fixed + s @ after.pairs[3] == pytest.approx(problem.budget, abs=1e-8)
    else:
        assert lam == 0.8 and step.lam == 0.0


@pytest.mark.parametrize("rank", [1, 5, 50])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_low_rank_factor_reproduces_the_kernel_matrix(rank, scale):
    X = scale * np.random.RandomState(rank).randn(200, rank)
    K = X @ X.T
    G = low_rank_factor(K)
    assert G.shape == (200, rank)
    np.testing.assert_allclose(G @ G.T, K, atol=1e-12 * K.max())


def test_low_rank_factor_of_a_smooth_kernel_leaves_rounding_only():
    x = np.linspace(0.0, 1.0, 300)
    K = np.exp(-np.square(x[:, None] - x))
    G = low_rank_factor(K)
    assert G.shape[1] < 30
    np.testing.assert_allclose(G @ G.T, K, atol=1e-13)


def test_no_factor_where_the_rank_is_high():
    X = np.random.RandomState(0).randn(100, 60)
    assert low_rank_factor(X @ X.T) is None
    assert low_rank_factor(np.eye(100)) is None


def test_operator_fits_the_block():
    """Features where they are few, else a factor of low rank, else, and in small blocks, the matrix."""
    problem, X = low_rank_problem()
    block = block_of(problem)
    given = operator_of(replace(block, features=X))
    assert isinstance(given, Factored) and given.G is X
    found = operator_of(block)
    assert isinstance(found, Factored) and found.G.shape == (300, 6)
    assert isinstance(operator_of(replace(block, features=np.zeros((300, 200)), gram=np.eye(300))), _Dense)
    small = Block(block.gram[:50, :50], block.linear[:50], block.bound[:50], 1.0, FixedSamples(np.zeros(50)))
    assert isinstance(operator_of(small), _Dense)


@pytest.mark.parametrize("seed", range(4))
def test_steps_beyond_the_precision_of_doubles_lose_nothing(seed):
    """Asked for more than there is, the end is no worse than where the steps stood before."""
    random = np.random.RandomState(seed)
    X = random.randn(60, 1)
    target = np.where(X[:, 0] + random.randn(60) > 0, 1.0, -1.0)
    smooth = np.exp(-1e-3 * np.square(X - X.T))
    problem = classification(GramSource(smooth), target, np.ones(60)).with_cost(1e7)
    solver = InteriorSolver(block_of(problem))
    first = solver.solve(solver.start(1e7), 1e-3)
    assert first.gap <= 1e-3
    then = solver.solve(first.iterate, 1e-300)
    assert then.gap <= first.gap
    again = solver.solve(then.iterate, 1e-300)
    assert again.gap <= then.gap


@pytest.mark.parametrize("n, d, C", [(2_000, 8, 0.3), (5_000, 10, 0.3), (4_000, 20, 0.5)])
def test_an_infeasible_budget_takes_few_more_steps_than_its_cost(n, d, C):
    """lam flees: the problem of the largest cost tells that it does, and its solution is the answer."""
    random = np.random.RandomState(n)
    X = random.randn(n, d)
    target = np.where(X[:, 0] + 2.0 * random.randn(n) > 0, 1.0, -1.0)
    source = Kernel.of("linear", gamma=1.0, degree=3, coef0=1.0).source(X)
    problem = classification(source, target, np.ones(n))
    problem = problem.with_budget(C * problem.largest_budget)
    found = solve(problem)
    assert found.status in BEYOND_REACH
    alone = solve(problem.with_cost(found.lam))
    assert alone.status is Status.OPTIMAL
    assert found.budget == pytest.approx(alone.budget, rel=1e-6)
    assert found.work.interior_steps <= alone.work.interior_steps + 10
    assert max(found.work.factored) <= 400


def weighted_problem(seed, n=80, d=3, share=0.6):
    """Overlapping classes on few features, weights over six decades."""
    random = np.random.RandomState(seed)
    X = random.randn(n, d)
    target = np.where(X[:, 0] + 1.5 * random.randn(n) > 0, 1.0, -1.0)
    source = Kernel.of("linear", gamma=1.0, degree=3, coef0=1.0).source(X)
    problem = classification(source, target, 10.0 ** random.uniform(-3, 3, n))
    return problem.with_budget(share * problem.largest_budget)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("seed", range(12))
def test_weights_over_decades_leave_no_budget_unsolved(seed, share):
    problem = weighted_problem(seed, share=share)
    found = solve(problem)
    assert found.status is not Status.MAX_ITER and found.work.pair_steps == 0
    if found.status is Status.OPTIMAL:
        assert problem.weight @ found.slack == pytest.approx(problem.budget, rel=1e-3)
        # At the cost that was found the slack is the budget, and falls with the cost.
        slacks = [solve(problem.with_cost(factor * found.lam), tol=1e-8).budget for factor in (0.9, 1.0, 1.1)]
        assert slacks[0] >= slacks[1] * (1 - 1e-9) and slacks[1] >= slacks[2] * (1 - 1e-9)
        assert slacks[1] == pytest.approx(problem.budget, rel=1e-3)
    else:
        least = solve(problem.with_cost(found.lam), tol=1e-6).budget
        assert least > problem.budget


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cost", [1.0, 50.0])
def test_a_budget_takes_few_more_iterations_than_its_cost(seed, cost):
    """Features of a cubic kernel that are found: a lam that is far too small begins anew, and is not given up."""
    random = np.random.RandomState(seed)
    X = random.randn(500, 2)
    target = np.where(X[:, 0] + 0.5 * random.randn(500) > 0, 1.0, -1.0)
    problem = classification(Kernel("poly", {"degree": 3, "gamma": 0.5, "coef0": 1.0}).source(X), target, np.ones(500))
    given = solve(problem.with_cost(cost))
    found = solve(problem.with_budget(given.budget))
    assert found.status is Status.OPTIMAL
    assert found.norm == pytest.approx(given.norm, rel=1e-6)
    assert found.work.iterations <= 3 * given.work.iterations
