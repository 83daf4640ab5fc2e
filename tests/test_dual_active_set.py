"""Blocks solved by pivoting, with interior steps where pivoting does not settle.

Independent evidence: the optimality conditions on the whole Gram matrix, and SLSQP on duals and multiplier.
"""

from dataclasses import replace

import numpy as np
import pytest
from blocks import block_of, block_optimum, free_state, random_block, random_problem
from sklearn.datasets import make_classification

from sklearn_svmdl.dual import active_set
from sklearn_svmdl.dual.active_set import (
    EXACT,
    Effort,
    State,
    balanced,
    pivot,
    pivot_ever_closer,
    pivot_exactly,
    solve_block,
    step_inside,
)
from sklearn_svmdl.dual.kkt import BOUND, FREE, ZERO, Block, FixedSamples, point_at
from sklearn_svmdl.dual.levels import cold_state
from sklearn_svmdl.dual.problem import Status, certify, classification
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.kernels import GramSource


def assert_optimal(problem, point, tol=1e-8):
    """The optimality conditions, on the whole Gram matrix; that of the budget where one is given."""
    K, s, sign = problem.source.gram, problem.weight, problem.sign
    beta, lam = point.beta, point.lam
    z = sign * (problem.linear - K @ beta - point.intercept)
    magnitude = sign * beta
    assert lam > 0
    assert beta.sum() == pytest.approx(0.0, abs=1e-9 * max(1.0, lam))
    assert magnitude.min() >= -1e-9 * lam
    assert (magnitude - lam * s).max() <= 1e-9 * lam
    assert z[magnitude < (1 - 1e-9) * lam * s].max() <= tol
    assert z[magnitude > 1e-9 * lam].min() >= -tol
    if problem.budget is None:
        assert lam == problem.cost
    else:
        assert s @ np.maximum(0.0, z) == pytest.approx(problem.budget, rel=tol)


@pytest.mark.parametrize("cost", [None, 0.3, 30.0])
@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_solved_block_satisfies_the_optimality_conditions(seed, trusted, cost):
    problem = random_problem(seed, n=60)
    problem = problem if cost is None else problem.with_cost(cost)
    block = block_of(problem)
    done = solve_block(block, free_state(block, cost or 1.0), trusted=trusted)
    assert done.settled and done.exact
    assert_optimal(problem, done.point)


@pytest.mark.parametrize("cost", [None, 0.5])
@pytest.mark.parametrize("seed", range(8))
def test_block_beside_samples_that_are_held_is_solved_as_by_slsqp(seed, cost):
    block, problem = random_block(seed, n=15, n_fixed=5, cost=cost)
    done = solve_block(block, free_state(block, cost or 1.0), trusted=False)
    beta, lam = block_optimum(block, problem)
    assert done.settled and done.exact
    assert done.point.lam == pytest.approx(lam, rel=1e-5)
    np.testing.assert_allclose(done.point.beta, beta, atol=1e-5 * lam)


def nearly_singular(n=120):
    """A wide Gaussian kernel on a line: a few eigenvalues, and rounding."""
    x = np.linspace(0.0, 1.0, n)
    y = np.where(np.sin(12 * x) + 0.8 * np.random.RandomState(0).randn(n) > 0, 1.0, -1.0)
    problem = classification(GramSource(np.exp(-np.square(x[:, None] - x))), y, np.ones(n))
    return problem.with_budget(0.75 * problem.largest_budget)


def test_interior_steps_solve_what_pivoting_does_not_settle():
    cost = 1e6
    problem = nearly_singular().with_cost(cost)
    block = block_of(problem)
    start = free_state(block, cost)
    assert not pivot(block, start).settled
    tally = Tally()
    done = solve_block(replace(block, tally=tally), start)
    assert done.settled and tally.interior_steps > 0
    assert tally.done().iterations <= 200
    solution = certify(problem, done.point.beta, done.point.lam, tally.done(), 1e-6)
    assert solution.status is Status.OPTIMAL


def test_single_precision_that_goes_astray_is_given_up():
    # Where samples that are nearly the same leave, a factor in single precision that follows them loses its digits.
    X, y = make_classification(1300, 5, n_informative=3, weights=[0.99], flip_y=0, random_state=3)
    gram = np.exp(-13.0 * np.square(X[:, None] - X).sum(axis=2))
    problem = classification(GramSource(gram), np.where(y > 0, 1.0, -1.0), np.ones(1300)).with_cost(1.0)
    block = replace(block_of(problem), gram=gram.astype(np.float32))
    done = pivot(block, free_state(block, 1.0))
    assert done.settled
    exact = pivot(block_of(problem), free_state(block, 1.0))
    assert exact.settled and exact.exact and np.mean(done.side == exact.side) > 0.99
    assert_optimal(problem, exact.point)


def test_a_proximal_weight_that_falls_settles_what_exact_pivots_do_not():
    problem = nearly_singular(60)
    block = block_of(problem)
    start = free_state(block)
    assert not pivot(block, start).settled
    done = solve_block(block, start, trusted=False)
    assert done.settled and done.exact and block.tally.interior_steps == 0
    assert_optimal(problem, done.point)


@pytest.mark.parametrize(
    "seed, n, d, positive, gamma, cost",
    [
        (185160, 96, 1, 48, 7.645612993278701, 6.103684088991745),
        (318269, 139, 2, 69, 1.503379084406652, 2.4644452521085944),
        (738730, 69, 1, 34, 0.10177515010945147, 99.5112590157486),
        (5263, 41, 1, 4, 0.9227312817794977, 66.68098326729351),
    ],
)
def test_a_proximal_weight_that_fell_too_soon_is_heavy_again(seed, n, d, positive, gamma, cost, monkeypatch):
    X = np.random.RandomState(seed).randn(n, d)
    gram = np.exp(-gamma * np.square(X[:, None] - X).sum(axis=2))
    problem = classification(GramSource(gram), np.where(np.arange(n) < positive, 1.0, -1.0), np.ones(n), cost=cost)
    block = block_of(problem)
    done = pivot_ever_closer(block, cold_state(problem))
    assert done.settled and done.exact and block.tally.pivots <= 80
    assert_optimal(problem, done.point, tol=1e-7)
    # Without that they lead nowhere.
    monkeypatch.setattr(active_set, "_MOST_BACKS", 0)
    assert not pivot_ever_closer(block_of(problem), cold_state(problem)).settled


def test_interior_steps_that_no_pivots_follow_are_a_rough_solution_at_best(monkeypatch):
    block = block_of(nearly_singular())
    monkeypatch.setattr(active_set, "pivot_exactly", lambda block, state, *args: replace(state, settled=False))
    assert not step_inside(block, free_state(block)).settled
    rough = step_inside(block, free_state(block), Effort(rough=True))
    assert rough.settled and not rough.exact


def test_a_pivoting_without_hope_takes_one_round():
    """Of a start that is far from the solution, and not of the solution itself."""
    block = block_of(random_problem(0, n=60))
    done = pivot(block, free_state(block), hope=0.1)
    assert not done.settled and block.tally.pivots == 1
    assert pivot(block, solve_block(block, free_state(block), trusted=False), hope=0.1).settled


@pytest.mark.parametrize("seed", range(4))
def test_pivots_from_the_solution_itself_are_one_or_two(seed):
    problem = random_problem(seed, n=60)
    block = block_of(problem)
    done = solve_block(block, free_state(block), trusted=False)
    tally = Tally()
    again = solve_block(replace(block, tally=tally), done)
    assert again.settled and again.exact and again.pivoted
    assert tally.pivots <= 2 and tally.interior_steps == 0
    np.testing.assert_array_equal(again.side, done.side)
    np.testing.assert_allclose(again.point.beta, done.point.beta, atol=1e-9 * done.point.lam)


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("most", [0, 1, 3, 10])
def test_no_more_iterations_are_taken_than_are_left(most, trusted):
    problem = nearly_singular()
    tally = Tally(most)
    block = replace(block_of(problem), tally=tally)
    done = solve_block(block, free_state(block), trusted=trusted)
    assert tally.pivots + tally.interior_steps == most
    assert not done.settled
    assert np.isfinite(done.point.beta).all() and np.isfinite(done.point.lam)


def test_rough_effort_may_leave_some_samples_on_the_wrong_side_and_says_so():
    problem = random_problem(0, n=200, budget=0.2)
    block = block_of(problem)
    rough = solve_block(block, free_state(block), Effort(overlook=0.3, rough=True), trusted=False)
    assert rough.settled and not rough.exact
    exact = solve_block(block, rough)
    assert exact.settled and exact.exact
    assert_optimal(problem, exact.point)


def test_what_overlooks_samples_is_not_called_exact():
    problem = random_problem(0, n=200, budget=0.2)
    block = block_of(problem)
    right = solve_block(block, free_state(block), trusted=False)
    # Two of the free ones are said to be at zero, where they do not belong.
    side = right.side.copy()
    side[np.flatnonzero(side == FREE)[:2]] = ZERO
    done = pivot(block, replace(right, side=side), overlook=0.5)
    assert done.settled and not done.exact
    assert (done.side != right.side).any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [10.5, 1 / 10.5])
def test_a_multiplier_that_may_not_change_so_far_in_one_round_takes_another(seed, factor):
    problem = random_problem(seed, n=60)
    block = block_of(problem)
    right = solve_block(block, free_state(block), trusted=False)
    # The shape of the solution at another multiplier: its sides are right, the budget is not kept.
    beta, lam = factor * right.point.beta, factor * right.point.lam
    done = pivot(block, State(right.side, point_at(block, beta, lam, right.point.intercept)))
    assert done.settled
    assert_optimal(problem, done.point)


@pytest.mark.parametrize("seed", range(4))
def test_an_exact_solution_is_not_pulled_toward_where_it_began(seed):
    problem = random_problem(seed, n=60).with_cost(1e5)
    block = block_of(problem)
    right = solve_block(block, free_state(block, 1e5), trusted=False)
    start = State(right.side, free_state(block, 1e5).point)
    left = {}
    for name, done in (("pulled", pivot(block, start)), ("exact", pivot_exactly(block, start))):
        assert done.settled
        z = problem.sign * (problem.linear - problem.source.gram @ done.point.beta - done.point.intercept)
        left[name] = np.abs(z[done.side == FREE]).max()
    # One solve leaves delta times the duals, K's spread being about 1/2.
    assert left["pulled"] > 10 * EXACT
    assert left["exact"] < 0.01 * left["pulled"]


def test_samples_nearest_to_the_margin_are_freed_where_none_balances_those_at_bound():
    y = np.array([-1.0, -1.0, 1.0, 1.0, 1.0])
    block = Block(np.eye(5), y, y, 1.0, FixedSamples(np.zeros(5)))
    side = np.array([ZERO, ZERO, BOUND, BOUND, ZERO], dtype=np.int8)
    residual = np.array([3.0, -0.5, 2.0, 0.4, -1.0])
    np.testing.assert_array_equal(balanced(block, side, residual), [ZERO, FREE, BOUND, FREE, ZERO])
    for balances in ([BOUND, ZERO, BOUND, ZERO, ZERO], [FREE, ZERO, BOUND, BOUND, ZERO]):
        kept = np.array(balances, dtype=np.int8)
        np.testing.assert_array_equal(balanced(block, kept, residual), kept)


@pytest.mark.parametrize("seed", range(6))
def test_budget_that_asks_for_more_than_the_largest_cost_ends_in_the_solution_of_that_cost(seed):
    problem = random_problem(seed, n=60, budget=0.05)
    block = block_of(problem.within(0.3))
    done = solve_block(block, free_state(block, 0.1), trusted=False)
    assert done.settled and done.point.lam == 0.3
    assert_optimal(problem.with_cost(0.3), done.point)
    z = problem.sign * (problem.linear - problem.source.gram @ done.point.beta - done.point.intercept)
    assert problem.weight @ np.maximum(0.0, z) > problem.budget


@pytest.mark.parametrize("factor", [1.01, 1.5, 10.0])
@pytest.mark.parametrize("start", [1e-3, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_largest_cost_just_above_the_solution_does_not_matter(seed, start, factor):
    block, problem = random_block(seed, n=20, n_fixed=3)
    beta, lam = block_optimum(block, problem)
    near = replace(block, lam_range=(0.0, factor * lam))
    done = solve_block(near, free_state(near, start * factor * lam), trusted=False)
    assert done.settled and done.exact
    assert done.point.lam == pytest.approx(lam, rel=1e-5)
    np.testing.assert_allclose(done.point.beta, beta, atol=2e-5 * lam)


def test_state_from_another_problem_is_no_more_than_a_start():
    problem = random_problem(3, n=60)
    block = block_of(problem)
    wrong = np.random.RandomState(0).choice(np.array([ZERO, FREE, BOUND], dtype=np.int8), 60)
    start = State(wrong, point_at(block, 5.0 * problem.bound, 5.0, 3.0), settled=True, exact=True)
    done = solve_block(block, start)
    assert done.settled and done.exact
    assert_optimal(problem, done.point)
