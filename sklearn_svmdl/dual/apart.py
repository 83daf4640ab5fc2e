"""Classes that are apart: the samples between them are solved for, and those that then stand wrong join.

Along the difference of the classes' means, told by some samples of each, hardly a sample is nearer to the other class.
Where the cost leaves few at their bound a small working set then tells the solution, for a few columns of the kernel
matrix instead of all of it.
"""

import numpy as np

from .active_set import Effort, State
from .kkt import FREE, ZERO, Point
from .working_set import TooLarge, nearest, refine

# So many samples of each class tell its mean; of fewer samples in all the whole kernel matrix costs no more.
_SOME, _FEWEST = 20, 500
# The largest share of the samples that may be nearer to the other class.
NEARER = 0.02
# With all samples at their bound f would differ so much between the classes, by 2 at the margin: then few are. A budget
# of so small a share of C_max leaves few there.
_NARROW, _SMALL_BUDGET = 40.0, 0.01
# The share of the samples that are solved for first, up to so many; the largest share later, and after how many looks
# at the others it is given up: many samples count then.
_FIRST, _MOST_FIRST, _MOST, _MOST_LOOKS = 0.1, 200, 0.2, 6
_PIVOTS = Effort(gaps=())


def between_classes(problem):
    """Where to begin: the samples between the classes free, all others at zero.

    Returns
    -------
    State or None, where the classes are not apart, or many samples would be at their bound
    """
    n, source, sign = problem.n_samples, problem.source, problem.sign
    if n < _FEWEST or source.index is not None or source.n_features is not None:
        return None
    if problem.budget is not None and problem.budget > _SMALL_BUDGET * problem.largest_budget:
        return None
    of_up, of_down = some_of(sign > 0), some_of(sign < 0)
    (some,) = (of_up | of_down).nonzero()
    share = (of_up / np.count_nonzero(of_up) - of_down / np.count_nonzero(of_down))[some]
    along = source.apply(some, share)
    # What a sample adds to its own mean tells nothing of the others.
    along[some] -= share * source.take(some).diagonal()
    up, down = along[sign > 0].mean(), along[sign < 0].mean()
    ahead = sign * (along - 0.5 * (up + down))
    differs = 0.25 * problem.weight.sum() * (up - down)
    if np.count_nonzero(ahead < 0) > NEARER * n or differs <= 0:
        return None
    if problem.cost is None:
        lam = float(np.clip(_NARROW / differs, *problem.lam_range))
    elif problem.cost * differs > _NARROW:
        lam = problem.cost
    else:
        return None
    side = np.full(n, ZERO, dtype=np.int8)
    side[nearest(ahead, min(int(_FIRST * n), _MOST_FIRST))] = FREE
    return State(side, Point(np.zeros(n), lam, 0.0, np.zeros(n)))


def grow(problem, start, workspace):
    """The exact state by pivots on the samples that are free at the start, and on those that stand wrong then.

    Returns
    -------
    State or None, where they become too many or the pivots do not settle
    """
    try:
        state, _ = refine(
            problem,
            start,
            start.side == FREE,
            workspace,
            _PIVOTS,
            trusted=False,
            most=int(_MOST * problem.n_samples),
            looks=_MOST_LOOKS,
        )
    except (TooLarge, np.linalg.LinAlgError):
        return None
    return state if state.settled else None


def some_of(members):
    """A mask of some of the members of a mask, or of each row of one, evenly spaced."""
    count, number = np.maximum(members.sum(axis=-1, keepdims=True), 1), members.cumsum(axis=-1) - 1
    some = np.minimum(count, _SOME)
    return members & (number * some // count != (number - 1) * some // count)
