"""The samples near the margin are solved; those held elsewhere are looked at until none stands wrong.

The *working set* is a block of samples with a stored Gram matrix that is solved exactly, all others held at zero or at
their bound. A look at those finds the ones held on the wrong side; they join the working set until none is left, and
the problem is solved exactly.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..kernels.blas import dot
from .active_set import Effort, State, solve_block
from .buffer import Buffer, GrowingGram
from .kkt import BOUND, FREE, ZERO, Block, FixedSamples, Point, inward, point_at
from .work import Tally

_EFFORT = Effort()
# With each look at most this share of the working set joins it from the right side of the margin, and at most this many
# for each sample on the wrong side.
_NEAR_SHARE, _NEAR_PER_WRONG = 0.15, 3
# How far on the wrong side of the margin a sample outside may stand for an exact and for a rough solution.
_WRONG, _ROUGHLY_WRONG = 1e-9, 1e-3
# A working set that outgrew its memory starts again at this share of it. One that would be of more samples than these
# moves, lets go of samples far from the margin, unless half of it is free: to touch more memory costs more. So does one
# of more than these that would be so many times as large, while the wrong samples are no more than a share of the last.
ROOM, _STEADY, _MOVES, _LARGER, _FALLING = 0.9, 2500, 800, 1.3, 0.7
# Where they were solved roughly, samples that are not free are at least one in so many of a set that moves.
_ROUGHLY_FREE = 4
_MOST_LOOKS = 40


@dataclass(frozen=True)
class Workspace:
    """What the solves of a fit share: memory for kernel values, and the counts of their work."""

    buffer: Buffer
    tally: Tally


class TooLarge(Exception):
    """The samples on the margin do not fit in memory."""


class BoundSum:
    """K t of the bounds t of those samples that stand at their bound, kept up to date as they come and go.

    Parameters
    ----------
    source : KernelSource or GramSource
    t, values : ndarrays (n,), where to begin; zeros if None
    """

    def __init__(self, source, t=None, values=None):
        self.source = source
        self.t = np.zeros(source.n_samples) if t is None else t
        self.values = np.zeros(source.n_samples) if values is None else values

    def bring(self, t):
        """The sum for new bounds t: only the columns of the samples that changed are evaluated."""
        change = t - self.t
        if np.count_nonzero(change) > np.count_nonzero(t):
            change, self.values = t, np.zeros(len(t))
        changed = np.flatnonzero(change)
        self.values = self.values + self.source.apply(changed, change[changed])
        self.t = t


def state_of(problem, solution):
    """Where a solution leaves every sample."""
    share, upper = problem.sign * solution.beta, solution.lam * problem.weight
    side = np.where(share <= 0, ZERO, np.where(share >= upper * (1.0 - 1e-12), BOUND, FREE)).astype(np.int8)
    fit = problem.fit(solution.beta)
    return State(side, Point(solution.beta, solution.lam, solution.intercept, fit), settled=True, exact=True)


def near_margin(problem, state, count, most):
    """Mask of the free samples and as many of those nearest to the margin and some more, no more than `most` in all."""
    near = state.side == FREE
    free = np.count_nonzero(near)
    distance = np.abs(inward(problem, state.point))
    distance[near] = np.inf
    near[nearest(distance, min(free + count, max(most - free, 0), problem.n_samples - free))] = True
    return near


def nearest(distance, count):
    """The numbers of the `count` least distances, the least first."""
    some = np.argpartition(distance, count)[:count] if count < len(distance) else np.arange(len(distance))
    return some[np.argsort(distance[some], kind="stable")]


class WorkingSet:
    """The samples that are solved, their Gram matrix, and the sum K t over all samples at their bound.

    Samples outside are held at zero or at their bound. `bound_sum` also counts samples inside, as they stood at the
    last look, so it need not change when a sample joins or leaves. Of a regression a sample is inside with both sides,
    and has one row of the Gram matrix.
    """

    def __init__(self, problem, inside, bound_sum, workspace):
        self.problem, self.bound_sum, self.tally, self.n_wrong = problem, bound_sum, workspace.tally, np.inf
        self.gram = GrowingGram(problem.source.distinct, distinct_samples(problem, inside), workspace.buffer)
        self._look_up()

    @classmethod
    def around(cls, problem, inside, state, bound_sum, workspace):
        """The first working set of a level: the samples outside stand where the state says."""
        if bound_sum is None or inside.all():
            bound_sum = BoundSum(problem.source)
        bound_sum.bring(np.where(inside, bound_sum.t, np.where(state.side == BOUND, problem.bound, 0.0)))
        return cls(problem, inside, bound_sum, workspace)

    def _look_up(self):
        """Note the variables inside, a mask of them, and their rows of the Gram matrix: None where those are the same.

        In the order of the Gram matrix where they are.
        """
        index, samples = self.problem.source.index, self.gram.indices
        place = np.full(self.problem.n_distinct, -1)
        place[samples] = np.arange(len(samples))
        if index is None:
            self.inside, self.indices, self.row = place >= 0, samples, None
        else:
            row = place[index]
            self.inside = row >= 0
            self.indices = self.inside.nonzero()[0]
            self.row = row[self.indices]

    @property
    def outside(self):
        """The variables that are held."""
        return np.flatnonzero(~self.inside)

    def block(self):
        """The problem on the samples inside: of what the bounds add, their own part is taken out again."""
        problem, here = self.problem, self.indices
        features = problem.source.distinct.features
        if features is not None:
            features = dense_features(features[self.gram.indices])
        linear, bound, nothing = problem.linear[here], problem.bound[here], FixedSamples(np.zeros(len(here)))
        given = problem.charge, nothing, problem.lam_range, features, self.row, self.tally
        block = Block(self.gram.values, linear, bound, *given)
        t, values = self.bound_sum.t, self.bound_sum.values
        own_t = t[here]
        own = block.product(own_t)
        fixed = FixedSamples(
            pull=values[here] - own,
            curvature=dot(t, values) - 2.0 * dot(own_t, values[here]) + dot(own_t, own),
            reward=dot(problem.linear, t) - dot(linear, own_t),
            total=float(t.sum() - own_t.sum()),
        )
        return replace(block, fixed=fixed)

    def solve(self, state, effort, trusted):
        """The state after the block has been solved."""
        block, here = self.block(), self.indices
        point = point_at(block, state.point.beta[here], state.point.lam, state.point.intercept)
        start = State(state.side[here], point)
        return self._spread(solve_block(block, start, effort, trusted), state.side)

    def _spread(self, solved, side):
        """The state of all samples: those inside as solved, the held ones at zero or at lam times their bound."""
        problem, point, here, outside = self.problem, solved.point, self.indices, self.outside
        side, beta, fit = side.copy(), np.empty(problem.n_samples), np.empty(problem.n_samples)
        if len(outside):
            t = self.bound_sum.t.copy()
            t[here] = np.where(solved.side == BOUND, problem.bound[here], 0.0)
            self.bound_sum.bring(t)
            beyond = point.beta - point.lam * t[here]
            support = beyond != 0
            beta[outside] = point.lam * t[outside]
            fit[outside] = point.lam * self.bound_sum.values[outside]
            fit[outside] += problem.source.apply(here[support], beyond[support], outside)
        side[here], beta[here], fit[here] = solved.side, point.beta, point.fit
        return replace(solved, side=side, point=Point(beta, point.lam, point.intercept, fit))

    def check_outside(self, state):
        """Samples outside on the wrong side of the margin, worst first, and the nearest others."""
        outside = self.outside
        into, side = inward(self.problem, state.point)[outside], state.side[outside]
        tolerance = _WRONG if state.exact else _ROUGHLY_WRONG
        wrong = ((side == ZERO) & (into > tolerance)) | ((side == BOUND) & (into < -tolerance))
        distance, right = np.abs(into), (~wrong).nonzero()[0]
        (wrong,) = wrong.nonzero()
        wrong = wrong[np.argsort(distance[wrong], kind="stable")[::-1]]
        return outside[wrong], outside[right[nearest(distance[right], len(self.gram.indices))]]

    def expand(self, state, wrong, right, capacity):
        """Take in the wrong samples and some near ones, or move to the margin where memory asks for it.

        Every sample left out is held where it stands, so the dual objective never falls from one set to the next.

        Returns
        -------
        State : the wrong samples on new sides
        """
        n_inside, n_free = len(self.gram.indices), np.count_nonzero(state.side == FREE)
        # Where it is not settled what is held may contradict the budget: let go of as many samples again.
        most = min(_NEAR_PER_WRONG * len(wrong), int(_NEAR_SHARE * n_inside))
        near = right[:most] if state.settled else right
        joining = self._new_samples(np.concatenate([wrong, near]))
        size = n_inside + len(joining)
        falls, self.n_wrong = len(wrong) <= _FALLING * self.n_wrong, len(wrong)
        largest = max(_MOVES, int(_LARGER * n_inside)) if falls else _STEADY
        if size > capacity:
            return self.recentre(state, wrong, int(ROOM * capacity))
        if size > min(largest, _STEADY) and state.settled and 2 * n_free <= n_inside:
            return self.recentre(state, wrong, max(n_inside, _MOVES))
        self.gram.add(joining)
        self._look_up()
        return reassign(self.problem, state, wrong)

    def _new_samples(self, variables):
        """The samples of variables outside, in their order, each once."""
        index = self.problem.source.index
        if index is None:
            return variables
        samples, first = np.unique(index[variables], return_index=True)
        return samples[np.argsort(first)]

    def recentre(self, state, wrong, size):
        """Become the free samples, the worst of the wrong ones and those nearest to the margin, so many in all.

        Raises
        ------
        TooLarge : the free samples leave no room, or the last set was not solved.
        """
        inside = state.side == FREE
        most = size - np.count_nonzero(inside)
        if most <= 0 or not state.settled or (not state.exact and _ROUGHLY_FREE * most < size):
            raise TooLarge(size)
        entering = wrong[: most // 2]
        inside[entering] = True
        others = np.flatnonzero(~inside)
        distance = np.abs(inward(self.problem, state.point)[others])
        inside[others[nearest(distance, min(most - len(entering), len(others)))]] = True
        samples = distinct_samples(self.problem, inside)
        self.gram.keep(np.isin(self.gram.indices, samples))
        self.gram.add(np.setdiff1d(samples, self.gram.indices, assume_unique=True))
        self._look_up()
        return reassign(self.problem, state, entering)


def whole_block(problem, gram, tally, features=None):
    """The block of all samples, of each of which the Gram matrix has a row, and features of it, if they are few."""
    nothing, row = FixedSamples(np.zeros(problem.n_samples)), problem.source.index
    return Block(gram, problem.linear, problem.bound, problem.charge, nothing, problem.lam_range, features, row, tally)


def distinct_samples(problem, mask):
    """The samples of the variables in a mask, sorted."""
    index = problem.source.index
    if index is None:
        return np.flatnonzero(mask)
    return np.flatnonzero(np.bincount(index[mask], minlength=problem.n_distinct))


def reassign(problem, state, wrong):
    """Samples that stood on the wrong side, worst first, on a new one.

    The nearest to the margin become free, as many as are free already, the others take the side they lean to.
    """
    side = state.side.copy()
    most = min(len(wrong), np.count_nonzero(side == FREE))
    side[wrong] = np.where(inward(problem, state.point)[wrong] > 0, BOUND, ZERO)
    side[wrong[len(wrong) - most :]] = FREE
    return replace(state, side=side)


def dense_features(X):
    """Few features as a dense array; None where they are many, or not known."""
    if X is None or X.shape[1] > _MOST_FEATURES:
        return None
    return X if isinstance(X, np.ndarray) else X.toarray()


# More features than these are no help in solving with the kernel matrix.
_MOST_FEATURES = 500


def refine(problem, state, inside, workspace, effort=_EFFORT, *, bound_sum=None, trusted=True, most=np.inf):
    """Solve the problem from a state, on a working set that starts with the samples `inside` and grows until nothing is
    wrong.

    A hard block is solved roughly until the working set is right, and then with all the effort. The working set has at
    most `most` samples.

    Returns
    -------
    State, BoundSum

    Raises
    ------
    TooLarge : the working set holds or comes to hold more samples than there is room for.
    """
    capacity = min(workspace.buffer.most(problem.source.dtype), most)
    if len(distinct_samples(problem, inside)) > capacity:
        raise TooLarge(capacity)
    working = WorkingSet.around(problem, inside, state, bound_sum, workspace)
    rough = effort if inside.all() else replace(effort, rough=True)
    now = rough
    for _ in range(_MOST_LOOKS):
        solved = working.solve(state, now, trusted)
        if not solved.settled and (workspace.tally.left <= 0 or not now.gaps):
            # The duals that this began with are worth more than those of sides that did not settle; without steps
            # inside the bounds none will.
            break
        state = solved
        wrong, right = working.check_outside(state)
        if len(working.outside) == 0 or (state.settled and len(wrong) == 0):
            if state.exact or now == effort:
                return state, working.bound_sum
            now, trusted = effort, state.pivoted
        elif workspace.tally.left <= 0:
            break
        else:
            state, trusted = working.expand(state, wrong, right, capacity), state.pivoted
    return replace(state, settled=False, exact=False), working.bound_sum
