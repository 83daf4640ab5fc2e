"""Block pivoting: every sample on the wrong side changes side at once.

The primal-dual active set method (Hintermueller, Ito, Kunisch, SIAM J. Optim. 2002; block pivoting in Judice, Pires,
Comput. Oper. Res. 1994) on the joint conditions in (beta, lam, b): solve them for a guess of the sides, move all
samples that contradict the guess, repeat. No step length, no ratio test; a dozen factorisations where it works. It may
cycle when the kernel matrix is nearly singular: then it gives up and says so. Rounds far from the end are taken in
single precision; a solution that is accepted is one in the precision of the kernel values.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .block import BOUND, FREE, ZERO, Centre, Conditions, Point, TooRough, is_balanced
from .factor import MANY_FREE, Memory

# The proximal weight of an exact solve, relative to the block's scale: far below the certificate, enough for Cholesky.
EXACT = 1e-11
# Rounds without fewer samples on the wrong side before the pivoting gives up, and rounds in all.
_PATIENCE, _MOST_ROUNDS = 4, 30
# How far a sample may stand on the wrong side of its bound (relative) and of the margin without being moved.
_TOLERANCES = {np.dtype(np.float64): (1e-11, 1e-10), np.dtype(np.float32): (1e-5, 1e-5)}
# Where single precision makes no progress, it cannot place some samples: it may overlook this share of the free ones.
_UNCLEAR = 0.1
# Up to these shares of the free samples on the wrong side, a solution in single precision is corrected to residuals of
# this size: its errors would mistake others.
_CORRECTIONS = {np.dtype(np.float64): ((0.2, 1e-6), (0.0, 1e-12)), np.dtype(np.float32): ((0.2, 1e-5),)}
# lam may change by this factor in one round.
_LAM_RANGE = 10.0


@dataclass(frozen=True)
class Pivoted:
    """Where a pivoting ended: the sides, the point, and whether they agree."""

    side: np.ndarray
    point: Point
    settled: bool
    n_iter: int


def wanted_sides(conditions, point):
    """The sides that the point asks for, equal to the guess where it is right, and y - f - b."""
    block, side, free, centre = conditions.block, conditions.side, conditions.free, conditions.centre
    residual = block.target - point.fit - centre.pull(point.beta, point.lam) - point.intercept
    wanted = side.copy()
    inward = block.target * residual
    at_bound, at_margin = _TOLERANCES[block.dtype]
    tolerance = at_margin + 1e-15 * np.abs(point.fit).max()
    wanted[(side == ZERO) & (inward > tolerance)] = FREE
    wanted[(side == BOUND) & (inward < -tolerance)] = FREE
    share, upper = (block.target * point.beta)[free], point.lam * block.weight[free]
    wanted[free[share < -at_bound * upper.max(initial=0.0)]] = ZERO
    wanted[free[share > (1.0 + at_bound) * upper]] = BOUND
    return wanted, residual


class Round(NamedTuple):
    """The conditions for one guess of the sides, their solution, the sides that it asks for, and y - f - b.

    `stands` tells whether lam meets the budget (it may change by a factor of `_LAM_RANGE` only in one round), `exact`
    whether the solution is one in the precision of the kernel values.
    """

    conditions: Conditions
    point: Point
    wanted: np.ndarray
    residual: np.ndarray
    stands: bool
    exact: bool


def solve_round(block, side, centre, previous, factor):
    """Solve the conditions for a guess of the sides, more exactly the fewer samples are on the wrong side.

    Raises
    ------
    numpy.linalg.LinAlgError : they have no solution.
    TooRough : they have none in single precision.
    """
    conditions = Conditions(block, side, centre, previous, factor)
    wanted_lam = conditions.multiplier(centre.lam)
    lam = min(max(wanted_lam, centre.lam / _LAM_RANGE), centre.lam * _LAM_RANGE)
    if not np.isfinite(lam):
        raise np.linalg.LinAlgError("no multiplier meets the budget")
    point, stands, exact = conditions.point(lam), lam == wanted_lam, not conditions.is_rough
    wanted, residual = wanted_sides(conditions, point)
    if stands and conditions.is_single and len(conditions.free) >= MANY_FREE:
        for share, most in _CORRECTIONS[block.dtype]:
            if np.count_nonzero(wanted != side) > share * len(conditions.free):
                break
            point = conditions.corrected(point, most)
            wanted, residual = wanted_sides(conditions, point)
        else:
            exact = True
    return Round(conditions, point, wanted, residual, stands, exact)


def balanced(block, side, residual):
    """`side`, with the sample of each class nearest to the margin freed where none can balance those at bound."""
    if (side == FREE).any() or is_balanced(block, side):
        return side
    side = side.copy()
    for label in (-1.0, 1.0):
        members = np.flatnonzero(block.target == label)
        if len(members):
            side[members[np.argmin(np.abs(residual[members]))]] = FREE
    return side


def pivot(block, side, lam, beta, delta=EXACT, overlook=0.0, memory=None):
    """Pivot from the guess (side, lam) with proximal weight delta * block.scale around (beta, lam).

    A rough pivoting may overlook samples on the wrong side, as a share of the free ones. `memory` passes on what one
    pivoting leaves to the next on the same Gram matrix and held samples.

    Returns
    -------
    Pivoted
        Not `settled` when the sides stopped improving; its point is then not to be trusted.
    """
    centre = Centre.around(delta * block.scale, beta, lam)
    fewest, wrong, stalled, point = np.inf, block.n_samples, 0, None
    memory = Memory(block.dtype) if memory is None else memory
    for n_iter in range(1, _MOST_ROUNDS + 1):
        factor = memory.factor(np.count_nonzero(side == FREE), wrong)
        try:
            solved = solve_round(block, side, centre, memory.conditions, factor)
        except TooRough:
            memory.single_fails = True
            continue
        except np.linalg.LinAlgError:
            break
        point, wanted, residual = solved.point, solved.wanted, solved.residual
        memory.conditions, centre = solved.conditions, centre._replace(lam=point.lam)
        wrong = np.count_nonzero(wanted != side)
        stalled = 0 if wrong < fewest else stalled + 1
        fewest = min(fewest, wrong)
        if block.is_single and stalled >= _PATIENCE:
            overlook = max(overlook, _UNCLEAR)
        enough = wrong == 0 and solved.exact or wrong < overlook * len(solved.conditions.free)
        if enough and solved.stands:
            return Pivoted(side, point, True, n_iter)
        if stalled >= _PATIENCE:
            break
        side = balanced(block, wanted, residual)
    memory.conditions = None
    return Pivoted(side, point, False, n_iter)
