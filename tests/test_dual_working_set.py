"""Working sets and their memory: samples outside are held, and whatever is held on the wrong side is found.

Independent evidence: the optimality conditions on the whole Gram matrix, the whole problem as one block, and kernel
values evaluated anew.
"""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification

from sklearn_svmdl.dual import working_set
from sklearn_svmdl.dual.active_set import Effort, State
from sklearn_svmdl.dual.buffer import Buffer, GrowingGram
from sklearn_svmdl.dual.kkt import BOUND, FREE, ZERO, Point
from sklearn_svmdl.dual.levels import cold_state
from sklearn_svmdl.dual.path import first_state
from sklearn_svmdl.dual.problem import Status, certify, classification
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.dual.working_set import (
    BoundSum,
    TooLarge,
    WorkingSet,
    Workspace,
    dense_features,
    inward,
    reassign,
    refine,
)
from sklearn_svmdl.kernels import MEGABYTE, Kernel

RBF = Kernel("rbf", {"gamma": 0.1})


def problem_of(n=500, fraction=0.2, seed=0, weighted=True, kernel=RBF):
    X, y = make_classification(n, 10, n_informative=5, flip_y=0.05, random_state=seed)
    weight = np.random.RandomState(1).choice([0.5, 1.0, 2.0], n) if weighted else np.ones(n)
    problem = classification(kernel.source(X), np.where(y, 1.0, -1.0), weight)
    return problem.with_budget(fraction * problem.largest_budget)


def workspace_of(capacity, most=np.inf):
    return Workspace(Buffer(capacity), Tally(most))


def whole(problem):
    """The exact solution, every sample in one block."""
    n = problem.n_samples
    return refine(problem, cold_state(problem), np.ones(n, dtype=bool), workspace_of(n), trusted=False)[0]


def start_of(problem, inside):
    """Sides that a small multiplier asks for, free inside: a sample outside is held, right or wrong."""
    state = first_state(problem)
    return replace(state, side=np.where(inside, FREE, state.side))


def assert_exact(problem, state):
    """The certificate of the state, from fresh kernel values."""
    solution = certify(problem, state.point.beta, state.point.lam, Tally().done(), 1e-8)
    assert solution.status is Status.OPTIMAL, solution.error
    np.testing.assert_allclose(problem.gradient(state.point.beta), problem.linear - state.point.fit, atol=1e-8)


# The working set


@pytest.mark.parametrize("cost", [None, 0.5])
@pytest.mark.parametrize("size", [5, 60, 300])
@pytest.mark.parametrize("seed", range(2))
def test_any_first_working_set_grows_into_the_solution(seed, size, cost):
    problem = problem_of(seed=seed)
    problem = problem if cost is None else problem.with_cost(cost)
    inside = np.zeros(500, dtype=bool)
    inside[np.random.RandomState(seed).permutation(500)[:size]] = True
    state, bound_sum = refine(problem, start_of(problem, inside), inside, workspace_of(500))
    assert state.settled and state.exact
    assert_exact(problem, state)
    expected = whole(problem)
    np.testing.assert_allclose(state.point.fit, expected.point.fit, atol=1e-8 * np.abs(expected.point.fit).max())
    gram = problem.source.stored().gram
    np.testing.assert_allclose(bound_sum.values, gram @ bound_sum.t, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_block_says_what_the_samples_held_outside_add(seed):
    problem = problem_of(n=60, seed=seed)
    random = np.random.RandomState(seed)
    inside = random.rand(60) < 0.5
    side = random.choice(np.array([ZERO, FREE, BOUND], dtype=np.int8), 60)
    state = State(side, Point(np.zeros(60), 1.0, 0.0, np.zeros(60)))
    t_before = random.choice([0.0, 1.0], 60) * problem.bound
    gram = problem.source.stored().gram
    working = WorkingSet.around(
        problem, inside, state, BoundSum(problem.source, t_before, gram @ t_before), workspace_of(60)
    )
    block = working.block()
    here, t = np.flatnonzero(inside), np.where((side == BOUND) & ~inside, problem.bound, 0.0)
    np.testing.assert_array_equal(working.indices, here)
    np.testing.assert_allclose(block.gram, gram[np.ix_(here, here)], atol=1e-12)
    np.testing.assert_allclose(block.fixed.pull, (gram @ t)[here], atol=1e-9)
    assert block.fixed.curvature == pytest.approx(t @ gram @ t, abs=1e-8)
    assert block.fixed.reward == pytest.approx(problem.linear @ t)
    assert block.fixed.total == pytest.approx(t.sum())
    solved = working.solve(state, Effort(), trusted=False)
    held = np.flatnonzero(~inside)
    np.testing.assert_array_equal(solved.side[held], side[held])
    np.testing.assert_allclose(solved.point.beta[held], solved.point.lam * t[held])
    np.testing.assert_allclose(solved.point.fit, gram @ solved.point.beta, atol=1e-8 * max(1.0, solved.point.lam))


def test_samples_held_on_the_wrong_side_come_worst_first_and_the_others_nearest_first():
    problem = problem_of(n=80)
    state = whole(problem)
    side = state.side.copy()
    inside = np.zeros(80, dtype=bool)
    inside[:20] = True
    side[60:] = np.where(side[60:] == ZERO, BOUND, ZERO)
    turned = State(side, state.point, settled=True, exact=True)
    working = WorkingSet.around(problem, inside, turned, None, workspace_of(80))
    wrong, right = working.check_outside(turned)
    into = inward(problem, state.point)
    misplaced = ((side == ZERO) & (into > 1e-9)) | ((side == BOUND) & (into < -1e-9))
    expected = np.flatnonzero(misplaced & ~inside)
    assert set(wrong) == set(expected) and len(expected) > 5
    others = np.setdiff1d(np.arange(20, 80), expected)
    # As many as are inside.
    assert len(right) == min(20, len(others))
    assert np.abs(into[right]).max() <= np.delete(np.abs(into), np.concatenate([np.arange(20), wrong, right])).min()
    assert set(right) <= set(others)
    assert (np.diff(np.abs(into[wrong])) <= 0).all() and (np.diff(np.abs(into[right])) >= 0).all()


def test_wrong_samples_take_a_new_side_the_nearest_are_free():
    problem = problem_of(n=80)
    into_point = Point(np.zeros(80), 1.0, 0.0, problem.linear - problem.sign * np.linspace(-4.0, 4.0, 80))
    side = np.full(80, ZERO)
    side[:3] = FREE
    wrong = np.array([79, 10, 70, 45, 41])
    after = reassign(problem, State(side, into_point), wrong).side
    np.testing.assert_array_equal(after[wrong], [BOUND, ZERO, FREE, FREE, FREE])
    assert (after[:3] == FREE).all() and (after[3:10] == ZERO).all()


@pytest.mark.parametrize("capacity", [150, 200])
def test_a_working_set_moves_where_there_is_no_room_to_grow(capacity):
    """The samples on the margin fit into it, all that it looks at on the way does not."""
    problem = problem_of(fraction=0.3)
    expected = whole(problem)
    assert np.count_nonzero(expected.side == FREE) < capacity
    inside = np.zeros(500, dtype=bool)
    inside[np.argsort(np.abs(inward(problem, expected.point)))[:100]] = True
    state, _ = refine(problem, start_of(problem, inside), inside, workspace_of(capacity))
    assert state.settled and state.exact
    assert_exact(problem, state)


def test_margin_beyond_the_memory_is_said_so():
    problem = problem_of(fraction=0.02)
    inside = np.zeros(500, dtype=bool)
    inside[:30] = True
    with pytest.raises(TooLarge):
        refine(problem, start_of(problem, inside), inside, workspace_of(60))
    with pytest.raises(TooLarge):
        refine(problem, start_of(problem, inside), inside, workspace_of(20))


@pytest.mark.parametrize("most", [1, 5, 15])
def test_no_more_iterations_are_taken_than_are_left(most):
    problem = problem_of()
    inside = np.zeros(500, dtype=bool)
    inside[:30] = True
    workspace = workspace_of(500, most)
    state, _ = refine(problem, start_of(problem, inside), inside, workspace)
    assert workspace.tally.left == 0
    assert not state.settled and not state.exact
    assert np.isfinite(state.point.beta).all()


def test_where_no_iteration_is_left_one_look_is_taken(monkeypatch):
    problem, inside = problem_of(), np.zeros(500, dtype=bool)
    inside[:30] = True

    def looked(looks, most=np.inf):
        """What so many looks take."""
        monkeypatch.setattr(working_set, "_MOST_LOOKS", looks)
        workspace = workspace_of(500, most)
        refine(problem.counted(workspace.tally), start_of(problem, inside), inside, workspace)
        return workspace.tally.done()

    first = looked(1)
    for most in (0, first.iterations):
        assert looked(40, most) == looked(1, most)
    # Nor does any sample join that could not be solved for.
    assert 0 < looked(40, first.iterations).kernel_values < first.kernel_values


def sizes_of(problem, inside, monkeypatch, **limits):
    """The sizes of the working sets from a start on, with other limits, and the state in the end."""
    sizes, own = [], WorkingSet.solve
    with monkeypatch.context() as patch:
        patch.setattr(WorkingSet, "solve", lambda self, *args: sizes.append(len(self.indices)) or own(self, *args))
        for name, value in limits.items():
            patch.setattr(working_set, name, value)
        state, _ = refine(problem, start_of(problem, inside), inside, workspace_of(problem.n_samples))
    return sizes, state


@pytest.mark.parametrize("cost", [None, 0.05])
def test_a_large_working_set_moves_while_fewer_samples_stand_wrong(cost, monkeypatch):
    """It lets go of samples far from the margin; the solution is the same."""
    problem = problem_of(n=1500)
    problem = problem if cost is None else problem.with_cost(cost)
    inside = np.zeros(1500, dtype=bool)
    inside[np.random.RandomState(0).permutation(1500)[:200]] = True
    grown, expected = sizes_of(problem, inside, monkeypatch, _MOVES=10**6)
    moved, state = sizes_of(problem, inside, monkeypatch, _MOVES=300)
    assert max(moved) < 0.65 * max(grown)
    # No smaller than it may be, and larger where few join.
    assert moved[1] == 300
    assert_exact(problem, state)
    np.testing.assert_allclose(state.point.fit, expected.point.fit, atol=1e-8 * np.abs(expected.point.fit).max())


def test_a_set_does_not_move_for_a_few_samples(monkeypatch):
    problem = problem_of(n=1500).with_cost(0.05)
    inside = np.zeros(1500, dtype=bool)
    inside[np.random.RandomState(0).permutation(1500)[:200]] = True
    few, _ = sizes_of(problem, inside, monkeypatch, _MOVES=300)
    none, _ = sizes_of(problem, inside, monkeypatch, _MOVES=300, _FALLING=np.inf, _LARGER=0.0)
    assert none[-1] == 300 < few[-1] <= 1.3 * 300


def test_a_working_set_grows_where_as_many_samples_stand_wrong_as_before(monkeypatch):
    problem = problem_of(n=1500).with_cost(0.05)
    inside = np.zeros(1500, dtype=bool)
    inside[np.random.RandomState(0).permutation(1500)[:200]] = True
    never, _ = sizes_of(problem, inside, monkeypatch, _MOVES=300, _FALLING=1e-9)
    always, _ = sizes_of(problem, inside, monkeypatch, _MOVES=300, _FALLING=np.inf, _LARGER=0.0)
    # The first look has none before it to compare with.
    assert never[1] == always[1] == 300 < never[2]
    assert max(always) == 300
    assert len(always) > len(never)


@pytest.mark.parametrize("seed", range(3))
def test_bound_sum_follows_the_bounds(seed):
    problem, random = problem_of(n=60), np.random.RandomState(seed)
    gram, tally = problem.source.stored().gram, Tally()
    total = BoundSum(problem.counted(tally).source)
    t = np.where(random.rand(60) < 0.5, problem.bound, 0.0)
    total.bring(t)
    np.testing.assert_allclose(total.values, gram @ t, atol=1e-12)
    tally.kernel_values = 0
    t = t.copy()
    t[[3, 8]] = np.where(t[[3, 8]] == 0, problem.bound[[3, 8]], 0.0)
    total.bring(t)
    np.testing.assert_allclose(total.values, gram @ t, atol=1e-12)
    assert tally.kernel_values == 2 * 60
    total.bring(np.zeros(60))
    np.testing.assert_array_equal(total.values, 0.0)
    assert tally.kernel_values == 2 * 60


def test_only_few_features_are_of_use():
    X = np.zeros((5, 501))
    assert dense_features(None) is None and dense_features(X) is None
    assert dense_features(X[:, :500]) is not None


# Memory


@pytest.mark.parametrize("most", [40, 90])
def test_gram_matrix_of_samples_that_come_and_go(most):
    random = np.random.RandomState(0)
    source = RBF.source(random.normal(size=(120, 4)))
    gram = GrowingGram(source, np.arange(0, 30, 3), Buffer(most))
    for _ in range(30):
        strangers = np.setdiff1d(np.arange(120), gram.indices)
        gram.add(random.permutation(strangers)[: random.randint(0, most - len(gram.indices) + 1)])
        assert gram.values.flags.c_contiguous
        np.testing.assert_allclose(gram.values, source.block(gram.indices, gram.indices), rtol=1e-12)
        mask = random.rand(len(gram.indices)) < random.rand()
        kept = gram.indices[mask]
        gram.keep(mask)
        np.testing.assert_array_equal(gram.indices, kept)
        np.testing.assert_allclose(gram.values, source.block(kept, kept), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_buffer_in_either_precision(dtype):
    dtype, buffer = np.dtype(dtype), Buffer(100)
    most = buffer.most(dtype)
    assert most**2 * dtype.itemsize <= 100**2 * 8
    assert (most + 1) ** 2 * dtype.itemsize > 100**2 * 8
    assert buffer.square(most, dtype).shape == (most, most)
    source = RBF.source(np.random.RandomState(0).randn(200, 3))
    source = source.single() if dtype == np.float32 else source
    gram = GrowingGram(source, np.arange(20), buffer)
    gram.add(np.arange(60, most + 40))
    assert gram.values.dtype == dtype and gram.values.flags.c_contiguous
    np.testing.assert_allclose(gram.values, source.block(gram.indices, gram.indices), rtol=1e-6)


def test_buffer_fits_with_the_factor_of_half_of_it():
    for megabytes in (0.1, 1.0, 20.0):
        m = Buffer.of(megabytes, 10**6).capacity
        assert 8 * (m**2 + (m / 2) ** 2) <= megabytes * MEGABYTE < 8 * ((m + 1) ** 2 + ((m + 1) / 2) ** 2)
        assert Buffer.of(megabytes, 50).capacity == 50
