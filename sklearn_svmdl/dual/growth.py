"""Few samples count: where the classes are apart, or one is rare, a small working set finds them.

Along the difference of the classes' means, told by some samples of each, hardly a sample is nearer to the other class;
or one class has so few samples that as few of the other can balance them at their bound. Then the samples of each that
are nearest to the other and some from everywhere are solved for, and the most wrong of the rest join; as they become
many those on the margin stay, and their neighbours. A few columns of the kernel matrix tell the solution instead of all
of it.
"""

import numpy as np

from .active_set import Effort, State
from .kkt import FREE, ZERO, Point
from .levels import first_lam
from .linear import left_of_some
from .working_set import TooLarge, WorkingSet, nearest

# So many samples of each class tell its mean; of fewer samples in all the whole kernel matrix costs no more.
_SOME, _FEWEST = 20, 500
# The largest share of the samples that may be nearer to the other class; that a rare class has, and its weight; and
# that it has in noise, where the means differ by less than so many times what samples differ from theirs by: there f is
# the constant of the larger class but for little, and hundreds of samples stand on the margin but for less.
NEARER, _RARE, _RARE_IN_NOISE, _TELLING = 0.05, 0.05, 0.35, 0.3
# With all samples at their bound f would differ so much between classes that are apart, by 2 at the margin: then few
# are. A budget of so small a share of C_max leaves few there.
_NARROW, _SMALL_BUDGET = 40.0, 0.01
# A kernel of so few features, which leave no more than a share of it, is solved in these.
_FEW_FEATURES, _NOTHING_LEFT = 40, 1e-12
# So many of each class that are nearest to the other, and so many evenly spaced, are solved for first.
_NEAREST, _EVENLY = 60, 25
# So many of the most wrong join at each look, or as a share of those inside, until the set has so many samples, and so
# many times the free ones; from there on it moves.
_JOINING, _JOINING_SHARE, _LARGEST, _OF_FREE = 100, 0.5, 400, 3
# Given up: where more than a share of the evenly spaced are free at first, or of all later, after so many looks without
# fewer samples on the wrong side, and so many in all.
_MOST_EVENLY, _MOST_FREE, _PATIENCE, _MOST_LOOKS = 0.8, 0.3, 4, 40
# What the first solution, those that follow, and the last are asked for.
_FIRST, _NEXT, _FINAL = Effort(gaps=(), rough=True), Effort(rough=True), Effort()


def between_classes(problem):
    """Where to begin: the samples between the classes and some others free, the rest at zero.

    Returns
    -------
    State or None, where the classes are neither apart nor one of them rare, or many samples would be at their bound
    """
    n, source, sign = problem.n_samples, problem.source, problem.sign
    if n < _FEWEST or source.index is not None or source.n_features is not None:
        return None
    of_up, of_down = some_of(sign > 0), some_of(sign < 0)
    (some,) = (of_up | of_down).nonzero()
    share = (of_up / np.count_nonzero(of_up) - of_down / np.count_nonzero(of_down))[some]
    along = source.apply(some, share)
    # What a sample adds to its own mean tells nothing of the others.
    along[some] -= share * source.take(some).diagonal()
    up, down = along[sign > 0].mean(), along[sign < 0].mean()
    # Squares may overflow.
    is_told = up - down > _TELLING * np.abs(along - along.mean()).mean()
    rare = _RARE if is_told else _RARE_IN_NOISE
    is_rare = _share_of_smaller(problem) <= rare and not _has_few_features(source, n)
    if not (is_rare or _are_apart(problem, sign * (along - 0.5 * (up + down)), up - down)):
        return None
    side = np.full(n, ZERO, dtype=np.int8)
    for members in (sign > 0, sign < 0):
        ahead = np.where(members, sign * along, np.inf)
        side[nearest(ahead, min(_NEAREST, np.count_nonzero(members)))] = FREE
        side[_evenly(members)] = FREE
    return State(side, Point(np.zeros(n), first_lam(problem), 0.0, np.zeros(n)))


def _share_of_smaller(problem):
    """The share that a class has of the samples, or of their weight where that is more, of the class that has less: no
    more weight of the other is at its bound."""
    up, weight = problem.sign > 0, problem.weight
    shares = [max(members.mean(), weight[members].sum() / weight.sum()) for members in (up, ~up)]
    return min(shares)


def _has_few_features(source, n):
    """Whether the kernel of some samples is that of few features, as polynomials of few variables are."""
    smallest = np.finfo(float).eps * float(source.diagonal().max())
    return left_of_some(source, n, _FEW_FEATURES, smallest) <= _NOTHING_LEFT


def _are_apart(problem, ahead, difference):
    """Whether hardly a sample is nearer to the other class, not ahead of the middle of the means, and few are at bound.

    `difference` is that of the means.
    """
    if problem.budget is not None and problem.budget > _SMALL_BUDGET * problem.largest_budget:
        return False
    differs = 0.25 * problem.weight.sum() * difference
    if np.count_nonzero(ahead < 0) > NEARER * problem.n_samples or differs <= 0:
        return False
    return problem.cost is None or problem.cost * differs > _NARROW


def grow(problem, start, workspace):
    """The exact state by pivots on the samples that are free at the start, and on those that stand wrong then.

    Returns
    -------
    State or None, where too many samples are free, or the pivots do not settle
    """
    try:
        return _grow(problem, start, workspace)
    except (TooLarge, np.linalg.LinAlgError):
        return None


def _grow(problem, start, workspace):
    """`grow`, but for what is raised where memory or the digits do not suffice."""
    inside, room = start.side == FREE, workspace.buffer.most(problem.source.dtype)
    if np.count_nonzero(inside) > room:
        return None
    evenly = _evenly(max((problem.sign > 0, problem.sign < 0), key=np.count_nonzero))
    working = WorkingSet.around(problem, inside, start, None, workspace)
    state, effort, trusted, fewest, stalled = start, _FIRST, False, np.inf, 0
    for look in range(_MOST_LOOKS):
        state = working.solve(state, effort, trusted)
        free = state.side == FREE
        if not state.settled or (look == 0 and free[evenly].mean() > _MOST_EVENLY):
            return None
        wrong, right = working.check_outside(state)
        if len(wrong) == 0 and state.exact:
            return state
        stalled = 0 if len(wrong) < fewest else stalled + 1
        fewest = min(fewest, len(wrong))
        if stalled >= _PATIENCE or free.mean() > _MOST_FREE:
            return None
        effort, trusted = _NEXT if len(wrong) else _FINAL, state.pivoted
        if len(wrong):
            state = _taken_in(working, state, wrong, right, room)
    return None


def _taken_in(working, state, wrong, right, room):
    """The state with the most wrong samples inside, on new sides: the set grows, and moves once it is large."""
    n_inside = len(working.indices)
    most = min(room, max(_LARGEST, _OF_FREE * np.count_nonzero(state.side == FREE)))
    joining = wrong[: max(_JOINING, int(_JOINING_SHARE * n_inside))]
    if n_inside + len(joining) > most:
        return working.recentre(state, joining, most)
    return working.expand(state, joining, right, room)


def _evenly(members):
    """The numbers of some of the members of a mask, evenly spaced."""
    (members,) = members.nonzero()
    return members[np.linspace(0, len(members) - 1, min(_EVENLY, len(members))).astype(int)]


def some_of(members):
    """A mask of some of the members of a mask, or of each row of one, evenly spaced."""
    count, number = np.maximum(members.sum(axis=-1, keepdims=True), 1), members.cumsum(axis=-1) - 1
    some = np.minimum(count, _SOME)
    return members & (number * some // count != (number - 1) * some // count)
