"""Block pivoting: every sample on the wrong side changes side at once.

The primal-dual active set method (Hintermueller, Ito, Kunisch, SIAM J. Optim. 2002; block pivoting in Judice, Pires,
Comput. Oper. Res. 1994) on the joint conditions in (beta, lam, b): solve them for a guess of the sides, move all
samples that contradict the guess, repeat. No step length, no ratio test; a dozen factorisations where it works. It may
cycle when the kernel matrix is nearly singular: then it gives up and says so.
"""

from dataclasses import dataclass

import numpy as np

from .block import BOUND, FREE, ZERO, Centre, Conditions, Point, is_balanced
from .factor import Memory

# The proximal weight of an exact solve, relative to the block's scale: far below the certificate, enough for Cholesky.
EXACT = 1e-11
# Rounds without fewer samples on the wrong side before the pivoting gives up, and rounds in all.
_PATIENCE, _MOST_ROUNDS = 4, 30
# How far a sample may stand on the wrong side of its bound (relative) or of the margin without being moved.
_AT_BOUND, _AT_MARGIN = 1e-11, 1e-10
# Half the price: single precision while this many samples are free and this share of them was wrong. Never for the
# point that is accepted.
_MANY_FREE, _MANY_WRONG = 200, 0.02
# lam may change by this factor in one round.
_LAM_RANGE = 10.0


@dataclass(frozen=True)
class Pivoted:
    """Where a pivoting ended: the sides, the point, and whether they agree."""

    side: np.ndarray
    point: Point
    settled: bool
    n_iter: int


def moves(block, side, point, free, residual):
    """The sides that the point asks for; equal to `side` where the guess is right."""
    wanted = side.copy()
    inward = block.target * residual
    tolerance = _AT_MARGIN + 1e-15 * np.abs(point.fit).max()
    wanted[(side == ZERO) & (inward > tolerance)] = FREE
    wanted[(side == BOUND) & (inward < -tolerance)] = FREE
    share, upper = (block.target * point.beta)[free], point.lam * block.weight[free]
    wanted[free[share < -_AT_BOUND * upper.max(initial=0.0)]] = ZERO
    wanted[free[share > (1.0 + _AT_BOUND) * upper]] = BOUND
    return wanted


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


def affordable(factor, n_free, n_wrong):
    """The precision of the next round and the factor that follows it, if any.

    Many free samples are factorised in single precision while the sides are far from settled; then in double
    precision by a factor that follows the changes, which is cheap once it is made.
    """
    if n_free < _MANY_FREE:
        return np.float64, None
    if n_wrong > _MANY_WRONG * n_free and not factor.is_made:
        return np.float32, None
    return np.float64, factor


def pivot(block, side, lam, centre_beta, delta=EXACT, overlook=0.0, memory=None):
    """Pivot from the guess (side, lam) with proximal weight delta * block.scale around centre_beta.

    A rough pivoting may overlook samples on the wrong side, as a share of the free ones. `memory` passes on what one
    pivoting leaves to the next on the same Gram matrix and held samples.

    Returns
    -------
    Pivoted
        Not `settled` when the sides stopped improving; its point is then not to be trusted.
    """
    fewest, wrong, stalled, point = np.inf, block.n_samples, 0, None
    memory = Memory() if memory is None else memory
    conditions = memory.conditions
    for n_iter in range(1, _MOST_ROUNDS + 1):
        precision, factor = affordable(memory.factor, np.count_nonzero(side == FREE), wrong)
        try:
            centre = Centre(delta * block.scale, centre_beta, lam)
            conditions = Conditions(block, side, centre, conditions, precision, factor)
        except np.linalg.LinAlgError:
            break
        target_lam = conditions.multiplier(lam)
        lam = min(max(target_lam, lam / _LAM_RANGE), lam * _LAM_RANGE)
        if not np.isfinite(lam):
            break
        point = conditions.point(lam)
        residual = conditions.reward - point.fit - centre.delta * point.beta - point.intercept
        wanted = moves(block, side, point, conditions.free, residual)
        wrong = np.count_nonzero(wanted != side)
        enough = wrong == 0 and precision is np.float64 or wrong < overlook * len(conditions.free)
        if enough and lam == target_lam:
            memory.conditions = conditions
            return Pivoted(side, point, True, n_iter)
        stalled = 0 if wrong < fewest else stalled + 1
        fewest = min(fewest, wrong)
        if stalled >= _PATIENCE:
            break
        side = balanced(block, wanted, residual)
    return Pivoted(side, point, False, n_iter)
