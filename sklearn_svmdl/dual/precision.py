"""Single precision finds the sides, double precision the solution.

Kernel values in single precision cost half the time and half the memory. They place every sample but those closest to
the margin or to their bounds, so a level of many samples is solved with them first. What is left has few samples: zeros
have no part in a solution, so it is the one of the support vectors and of the samples near the margin. That problem is
solved in double precision, starting from sides that are nearly all right.

Whether the zeros left out stay right is told by how far w moved. For the solutions w and w' before and after,

    |f'(x) - f(x)| <= |w' - w| sqrt(k(x, x)) + |b' - b|,      |w' - w|^2 = (beta' - beta)' K (beta' - beta),

so all that are further from the margin, by more than rounding, need no look; the others get one in double precision.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .band import OutOfReach, TooLarge, refine
from .block import FREE, ZERO
from .pivoting import EXACT
from .problem import BudgetProblem

# From this many samples on single precision saves more time than the second solution takes.
_MANY = 1000
# What single precision is asked for: this share of the free samples may be left on the wrong side.
_OVERLOOK = 0.02
# Zeros this close to the margin take part in double precision; the first band has those this close, and some at least.
_NEAR, _FEWEST = 0.01, 20
# The largest rounding error of a kernel value, relative to the largest of all; samples that are tried.
_MOST_ROUNDING, _N_PROBE = 1e-4, 32
# Errors of n independent roundings add up as sqrt(n) (Higham, Mary, A new approach to probabilistic rounding error
# analysis, SIAM J. Sci. Comput. 2019), with this factor to spare.
_SAFETY = 4.0
# Where more zeros than this share of the others were on the wrong side, single precision misled.
_MISLED, _MOST_TURNS = 0.2, 10


class Single(NamedTuple):
    """A problem with kernel values in single precision, and the largest rounding error of those that were tried."""

    problem: BudgetProblem
    rounding: float


def refine_by_precision(problem, begin, room, effort):
    """Refine a level, in single precision first where that pays and succeeds.

    Parameters
    ----------
    begin : problem -> guess and mask of the first band, for the problem in either precision
    room, effort : as for `refine`
    """
    # What overflows in single precision is infinite or no number, and refused as such.
    with np.errstate(over="ignore", invalid="ignore"):
        single = in_single_precision(problem)
        solved = None if single is None else hasty(single.problem, begin, room, effort)
    if solved is not None and effort.exact:
        solved = polished(problem, solved, single.rounding, room, effort)
    return refine(problem, *begin(problem), room, effort) if solved is None else solved


def in_single_precision(problem):
    """The problem in single precision; None where that does not pay or tells too little."""
    source = problem.source.single() if problem.n_samples >= _MANY else None
    if source is None:
        return None
    probe = np.linspace(0, problem.n_samples - 1, _N_PROBE).astype(int)
    values = problem.source.block(probe, probe)
    rounding = np.abs(source.block(probe, probe) - values).max()
    if not rounding <= _MOST_ROUNDING * np.abs(values).max():
        return None
    return Single(replace(problem, source=source), rounding)


def hasty(problem, begin, room, effort):
    """The solution in single precision; None where it fails."""
    effort = replace(effort, patience=0, overlook=max(effort.overlook, _OVERLOOK))
    try:
        rough = refine(problem, *begin(problem), room, effort)
    except (TooLarge, OutOfReach, np.linalg.LinAlgError):
        return None
    return rough if rough.settled and np.isfinite(rough.fit).all() else None


def polished(problem, rough, rounding, room, effort):
    """The exact solution from that in single precision; None where it is not found.

    Raises
    ------
    OutOfReach : what a part of the samples cannot reach, all of them cannot.
    """
    guess, inward = rough, rough.inward(problem.target)
    # The way to the solution of a hard problem is long: there the rough one is no more than a guess for all samples.
    part = (rough.side != ZERO) | (inward > -_NEAR) if rough.delta == EXACT else np.ones(problem.n_samples, dtype=bool)
    for _ in range(_MOST_TURNS):
        guess = refined_on(problem, part, guess, room, effort)
        if not guess.settled:
            return guess if part.all() else None
        doubtful = np.flatnonzero(~part & (inward > -movement(problem, rough, guess, part, rounding)))
        guess.fit[doubtful] = fit_at(problem, guess.beta, doubtful)
        wrong = doubtful[guess.inward(problem.target)[doubtful] > 0]
        if len(wrong) == 0:
            return guess
        if len(wrong) > _MISLED * np.count_nonzero(part):
            return None
        part[wrong], guess.side[wrong] = True, FREE
    return None


def refined_on(problem, part, guess, room, effort):
    """The solution of the samples in `part`, the others left at zero, where their fit is that of the guess."""
    rows = np.flatnonzero(part)
    side, beta, fit = guess.side.copy(), guess.beta.copy(), guess.fit.copy()
    here = replace(guess, side=side[rows], beta=beta[rows], fit=fit[rows], delta=EXACT, bound_sum=None)
    share = problem.take(rows)
    distance = np.abs(here.inward(share.target))
    nearest = np.partition(distance, _FEWEST)[_FEWEST] if _FEWEST < len(rows) else np.inf
    inside = (here.side == FREE) | (distance <= max(_NEAR, nearest))
    solved = refine(share, here, inside, room, effort)
    side[rows], beta[rows], fit[rows] = solved.side, solved.beta, solved.fit
    return replace(solved, side=side, beta=beta, fit=fit, bound_sum=None)


def movement(problem, rough, guess, part, rounding):
    """How far the decision function may have moved from the rough solution to the guess, at every sample."""
    noise = _SAFETY * rounding * (np.linalg.norm(rough.beta) + np.abs(rough.fit).max())
    change = (guess.beta - rough.beta)[part]
    squared = change @ (guess.fit - rough.fit)[part] + np.abs(change).sum() * noise
    length = np.sqrt(np.maximum(problem.source.diagonal(), 0.0))
    return np.sqrt(max(squared, 0.0)) * length + abs(guess.intercept - rough.intercept) + noise


def fit_at(problem, beta, rows):
    """f - b of the given samples, from kernel values."""
    support = np.flatnonzero(beta)
    return problem.source.apply(support, beta[support], rows)
