"""The optimality conditions for a guess of the sides, multiplied out for all samples, those held included."""

import numpy as np
import pytest
from blocks import random_block

from sklearn_svmdl.dual.factor import PathFactor
from sklearn_svmdl.dual.kkt import (
    BOUND,
    FREE,
    ZERO,
    Block,
    FixedSamples,
    KKTSystem,
    ProximalTerm,
    is_balanced,
    point_at,
    product,
    spread_of,
    typical_spread,
)


def random_sides(seed, n):
    side = np.random.RandomState(seed).choice(np.array([ZERO, FREE, BOUND], dtype=np.int8), n)
    side[0] = FREE
    return side


def assert_solves(point, block, side, centre, problem, spends=True):
    """The point satisfies the linear conditions, written out for the whole problem."""
    n, lam, K, p = block.n_samples, point.lam, problem.source.gram, problem.linear
    free, t = np.flatnonzero(side == FREE), np.where(side == BOUND, block.bound, 0.0)
    beta = np.concatenate([point.beta, lam * problem.bound[n:]])
    fit = K @ beta
    away = point.beta - lam * centre.shape
    scale = 1e-10 * max(1.0, np.abs(fit).max(), abs(lam))
    np.testing.assert_allclose(point.beta[side == BOUND], lam * block.bound[side == BOUND], atol=scale)
    np.testing.assert_array_equal(point.beta[side == ZERO], 0.0)
    of_free = (block.linear - fit[:n] - centre.delta * away - point.intercept)[free]
    np.testing.assert_allclose(of_free, 0.0, atol=scale)
    assert beta.sum() == pytest.approx(0.0, abs=scale)
    np.testing.assert_allclose(point.fit, fit[:n], atol=scale)
    if spends:
        all_t = np.concatenate([t, problem.bound[n:]])
        slack = all_t @ (p - fit - point.intercept)
        slack += centre.delta * ((centre.shape - t) @ away)
        assert slack - centre.delta * (lam - centre.lam) == pytest.approx(problem.budget, abs=10 * scale)


@pytest.mark.parametrize("seed", range(10))
def test_conditions_are_solved_for_any_guess_of_the_sides(seed):
    block, problem = random_block(seed)
    random, n = np.random.RandomState(seed), block.n_samples
    side, centre = random_sides(seed, n), ProximalTerm(block, 0.05, 0.1 * random.randn(n), 0.3)
    before = side.copy()
    before[random.permutation(n)[:3]] = FREE
    for previous in (None, KKTSystem(block, before, centre)):
        conditions = KKTSystem(block, side, centre, previous)
        assert_solves(conditions.point(conditions.multiplier(1.0)), block, side, centre, problem)


@pytest.mark.parametrize("seed", range(6))
def test_with_a_cost_all_conditions_but_the_budget_are_solved(seed):
    block, problem = random_block(seed, cost=0.7)
    side, centre = random_sides(seed, block.n_samples), ProximalTerm(block, 0.05, np.zeros(block.n_samples), 0.7)
    conditions = KKTSystem(block, side, centre, factor=PathFactor())
    lam = block.clip_lam(conditions.multiplier(0.7))
    assert lam == 0.7
    point = conditions.point(lam)
    assert point.lam == 0.7
    assert_solves(point, block, side, centre, problem, spends=False)


@pytest.mark.parametrize("seed", range(4))
def test_without_a_free_sample_the_intercept_lies_between_the_sides(seed):
    """At a vertex on which no sample is free any b between will do: the middle is taken."""
    random = np.random.RandomState(seed)
    n, y = 10, np.tile([-1.0, 1.0], 5)
    X = random.randn(n, 2) + y[:, None]
    block = Block(X @ X.T, y, y, 2.0, FixedSamples(np.zeros(n)))
    side = np.full(n, ZERO)
    side[:4] = BOUND
    assert is_balanced(block, side)
    conditions = KKTSystem(block, side, ProximalTerm(block, 0.0, np.zeros(n), 1.0))
    point = conditions.point(0.01)
    gradient = y - block.gram @ (0.01 * np.where(side == BOUND, y, 0.0))
    above = (side == BOUND) == (y > 0)
    assert point.intercept == pytest.approx(0.5 * (gradient[~above].max() + gradient[above].min()))
    np.testing.assert_allclose(point.beta, 0.01 * np.where(side == BOUND, y, 0.0))


def test_samples_at_bound_that_none_can_balance_are_refused():
    y = np.array([-1.0, 1.0, 1.0])
    block = Block(np.eye(3), y, y, 1.0, FixedSamples(np.zeros(3)))
    side = np.array([ZERO, BOUND, BOUND], dtype=np.int8)
    assert not is_balanced(block, side)
    with pytest.raises(np.linalg.LinAlgError):
        KKTSystem(block, side, ProximalTerm(block, 0.0, np.zeros(3), 1.0))
    held = Block(np.eye(3), y, y, 1.0, FixedSamples(np.zeros(3), total=-2.0))
    assert is_balanced(held, side)


@pytest.mark.parametrize("seed", range(4))
def test_point_at_given_duals_has_the_fit_of_all_samples(seed):
    block, problem = random_block(seed)
    n, beta = block.n_samples, np.random.RandomState(seed).randn(block.n_samples)
    point = point_at(block, beta, 0.4, 0.2)
    expected = problem.source.gram @ np.concatenate([beta, 0.4 * problem.bound[n:]])
    np.testing.assert_allclose(point.fit, expected[:n], atol=1e-12)
    assert (point.lam, point.intercept) == (0.4, 0.2)


@pytest.mark.parametrize("n_values", [0, 1, 30, 90, 100])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_product_is_the_same_however_many_values_are_not_zero(n_values, dtype):
    random = np.random.RandomState(0)
    gram = random.randn(100, 100)
    gram, values = (gram + gram.T).astype(dtype), random.randn(100)
    values[n_values:] = 0.0
    rtol = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(product(gram, values), gram @ values, rtol=rtol, atol=rtol * 10)


def test_spread_is_the_mean_squared_distance_from_the_mean():
    X = np.random.RandomState(0).randn(30, 4) + 3.0
    expected = np.square(X - X.mean(axis=0)).sum(axis=1).mean()
    assert spread_of(X @ X.T) == pytest.approx(expected)
    assert spread_of(np.zeros((5, 5))) == 1.0
    assert spread_of(np.ones((5, 5))) > 0


@pytest.mark.parametrize("n", [40, 101])
def test_a_few_samples_far_off_do_not_set_the_scale_of_a_block(n):
    X = np.random.RandomState(n).randn(n, 3)
    far = X.copy()
    far[::10] *= 1e4
    near, typical = typical_spread(X @ X.T), typical_spread(far @ far.T)
    assert 0.3 * near <= typical <= 10 * near and spread_of(far @ far.T) > 1e4 * near


def test_pairs_that_are_alike_leave_the_scale_to_the_others():
    X = np.zeros((40, 1))
    X[:4] = [[-1.0], [2.0], [1.0], [-2.0]]
    assert typical_spread(X @ X.T) == spread_of(X @ X.T) == pytest.approx(0.25)


def test_budget_of_a_block_is_changed_without_a_look_at_its_kernel_values():
    block, problem = random_block(0)
    other = block.asking(problem.with_budget(2 * block.budget), block.tally)
    assert other.budget == 2 * block.budget
    at_cost = other.asking(problem.with_cost(0.7), block.tally)
    assert at_cost.lam_range == (0.7, 0.7) and not at_cost.lam_is_free
    assert at_cost.asking(problem.with_budget(3.0).within(50.0), block.tally).lam_range == (0.0, 50.0)
    for name in ("sign", "weight", "scale", "largest"):
        np.testing.assert_array_equal(other.__dict__[name], getattr(block, name))
