"""From coarse to fine: a quarter of the samples says where the others belong; those near the margin are pivoted.

A level is a stratified share of the samples with the same share of the budget, so lam means the same at every level.
Its solution predicts the new samples: as many as it has at bound, per sample, are held at their bound, as many as it
has at zero are held there, and those between are the first band of the next level.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from .band import ROOM, ROUGH, THOROUGH, BoundSum, Guess, OutOfReach, refine
from .block import BOUND, FREE, ZERO
from .feasibility import least_budget
from .pivoting import EXACT
from .precision import refine_by_precision
from .proximal import FAR_OUT, FIRST, OUT_OF_REACH, Effort
from .smo import starting_point

# Levels shrink by this factor down to this many samples, which are solved from nothing.
_RATIO, _COARSEST = 4, 300
# Up to this many samples the band is the whole level; so it is where it would hold this share of the level.
_SMALL, _NEARLY_ALL = 400, 0.95
# The band reaches this share of the expected number of new free samples, and some more, beyond the expected window.
_SLACK_SHARE, _SLACK_COUNT, _SLACK_OF_NEW = 0.5, 30, 0.03
# A coarsest level that takes more pivots than these is hard.
_EASY = 40
# Up to this many samples time allows to follow lam far out.
_CHEAP = 800
# How far a coarse level's budget may be raised, as a share of the way to the largest.
_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)
# From this share of free samples on, count instead of trusting signs. Samples of the level below within this share of
# the band's width belong to it too.
_MOSTLY_FREE, _OLD_SHARE = 0.03, 0.175


def cold_guess(problem):
    """The limit lam -> 0: the minority class at its bound, the majority free."""
    unit, lam = starting_point(problem)
    side = np.where(np.abs(unit) >= problem.weight, BOUND, FREE).astype(np.int8)
    zeros = np.zeros(problem.n_samples)
    return Guess(side, lam * unit, lam, 0.0, zeros, FIRST, settled=False, exact=False, n_iter=0)


def stratified_share(target, ratio, random):
    """Indices of a 1 / ratio share of each class, sorted."""
    members = (np.flatnonzero(target == label) for label in (-1.0, 1.0))
    chosen = [random.permutation(group)[: max(1, round(len(group) / ratio))] for group in members]
    return np.sort(np.concatenate(chosen))


def coarse_problem(problem, chosen):
    """The problem on the chosen samples, with the same budget relative to its largest."""
    coarse = problem.take(chosen)
    return coarse.with_budget(problem.budget / problem.largest_budget * coarse.largest_budget)


def predict(problem, chosen, coarse, capacity):
    """The coarse solution's guess for all samples of the problem, and the band: the samples whose side is in doubt."""
    n = problem.n_samples
    new = np.setdiff1d(np.arange(n), chosen, assume_unique=True)
    t, values, fit = np.zeros(n), np.empty(n), np.empty(n)
    beta, side = np.zeros(n), np.zeros(n, dtype=np.int8)
    fit[chosen], beta[chosen], side[chosen] = coarse.fit, coarse.beta, coarse.side
    coarse.bound_sum.bring(np.where(coarse.side == BOUND, problem.bound[chosen], 0.0))
    t[chosen], values[chosen] = coarse.bound_sum.t, coarse.bound_sum.values
    # One pass over the kernel values: what the samples at their bound add is of use for the band, too.
    beyond = beta - coarse.lam * t
    support = np.flatnonzero((t != 0) | (beyond != 0))
    values[new], fit[new] = problem.source.apply(support, np.stack([t, beyond], axis=1)[support], new).T
    fit[new] += coarse.lam * values[new]
    bound_sum = BoundSum(problem.source, t, values)
    guess = replace(coarse, side=side, beta=beta, fit=fit, settled=False, exact=False, bound_sum=bound_sum)
    inward = guess.inward(problem.target)
    new = new[np.argsort(-inward[new], kind="stable")]
    free, bound = expected_counts(coarse, len(new))
    if free > _MOSTLY_FREE * len(new):
        # Where most samples end up on the margin the sign says little; the counts carry over.
        side[new[:bound]], side[new[bound : bound + free]] = BOUND, FREE
    else:
        side[new] = np.where(inward[new] > 0, BOUND, ZERO)
    return guess, doubtful_band(side, inward, chosen, new, free, bound, capacity)


def expected_counts(coarse, n_new):
    """How many new samples to expect free, and how many at their bound.

    The share at bound stays; the number of free samples grows as it did from the level below, less than the level does.
    """
    m = len(coarse.side)
    free = np.count_nonzero(coarse.side == FREE)
    growth = min(free / coarse.n_free_before, 1 + n_new / m) if coarse.n_free_before else 1 + n_new / m
    bound = np.count_nonzero(coarse.side == BOUND) / m
    return int(free * max(growth - 1.0, 0.0)), int(bound * n_new)


def doubtful_band(side, inward, chosen, new, free, bound, capacity):
    """Mask of the samples near the margin, `capacity` at most; new samples left out take the side they lean to."""
    most_free = int(np.count_nonzero(side[chosen] == FREE) / len(chosen) * len(new))
    reach = int(_SLACK_SHARE * most_free + _SLACK_COUNT + _SLACK_OF_NEW * len(new))
    first, last = max(0, bound - reach), min(len(new), bound + free + reach)
    width = inward[new[first]] - inward[new[last - 1]]
    inside = np.zeros(len(side), dtype=bool)
    inside[chosen] = (side[chosen] == FREE) | (np.abs(inward[chosen]) <= _OLD_SHARE * width)
    most = max(1, capacity - np.count_nonzero(inside))
    if last - first > most:
        middle = bound + free // 2
        first = min(max(first, middle - most // 2), last - most)
        last = first + most
    inside[new[first:last]] = True
    side[new[:first]], side[new[last:]] = BOUND, ZERO
    return inside


def looks_infeasible(problem, guess):
    """Whether a rough solution has far more free samples than an exact one: the rank of the kernel, and one."""
    rank = problem.source.n_features
    return rank is not None and guess.delta != EXACT and np.count_nonzero(guess.side == FREE) > 2 * (rank + 1)


def enlarged(problem, share):
    """The problem with a budget this share of the way to the largest one."""
    return problem.with_budget(problem.budget + share * (problem.largest_budget - problem.budget))


def coarsest(problem, room, exact):
    """The coarsest level, solved from nothing.

    A share of the samples may need a little more slack than all of them: if its budget is out of reach, a larger one
    will do for a guess. If that does not help, no finer level will fare better, and here it costs least to notice.
    """
    everything = np.ones(problem.n_samples, dtype=bool)
    if exact:
        return refine(problem, cold_guess(problem), everything, room)
    # Of a hard problem the rough solution is the better guess: the exact multiplier runs ahead of all samples'.
    patience = _EASY if problem.source.n_features is None else np.inf
    effort = Effort(patience, give_up=OUT_OF_REACH)
    for share in _SHARES:
        wider = enlarged(problem, share)
        try:
            return replace(refine(wider, cold_guess(wider), everything, room, effort), delta=EXACT)
        except OutOfReach as reason:
            last = reason
    raise last


def solve_levels(problem, room, random, exact=True):
    """Solve a budget problem from coarse to fine, to rounding error if `exact`.

    Raises
    ------
    TooLarge : more samples stand near the margin than there is room for.
    OutOfReach : no solution of finite norm was found, here or at a coarser level.
    """
    n = problem.n_samples
    if n <= _COARSEST:
        return coarsest(problem, room, exact)
    chosen = stratified_share(problem.target, _RATIO, random)
    reduced = coarse_problem(problem, chosen)
    coarse = solve_levels(reduced, room, random, exact=False)
    if looks_infeasible(reduced, coarse) and enlarged(reduced, _SHARES[-1]).budget < least_budget(reduced):
        raise OutOfReach("a share of the samples has too small a share of the budget")
    effort = replace(THOROUGH if exact else ROUGH, give_up=FAR_OUT if n <= _CHEAP else OUT_OF_REACH)
    refined = refine_by_precision(problem, partial(first_band, chosen, coarse, room), room, effort)
    return replace(refined, n_free_before=np.count_nonzero(coarse.side == FREE))


def first_band(chosen, coarse, room, problem):
    """The guess and the band to begin a level with, given the solution on the chosen samples."""
    n, capacity = problem.n_samples, room.most(problem.source.dtype)
    guess, inside = predict(problem, chosen, coarse, int(ROOM * capacity))
    if n <= capacity and (n <= _SMALL or inside.mean() > _NEARLY_ALL):
        inside = np.ones(n, dtype=bool)
    return guess, inside
