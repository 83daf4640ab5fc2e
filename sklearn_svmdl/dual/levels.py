"""From coarse to fine: a quarter of the samples says where the others belong; those near the margin are solved.

A level is a stratified share of the samples with the same share of the budget, so lam means the same at every level.
Its solution predicts the new samples: as many as it has at bound, per sample, are held at their bound, as many as it
has at zero are held there, and those between are the first working set of the next level.

Where there are many samples, kernel values in single precision, which cost half the time and memory, find their sides.
What is left has few samples: zeros have no part in a solution, so it is the one of the support vectors and of the
samples near the margin, in double precision from sides that are nearly all right (`polish`). Zeros that were wrong show
in the certificate, which looks at all samples, and take part in the next solution.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..kernels.blas import dot
from .active_set import Effort, State
from .kkt import BOUND, FREE, ZERO, Point, inward
from .problem import least_slack_intercept
from .smo import likely_lam, starting_point
from .working_set import ROOM, BoundSum, TooLarge, refine

# Levels shrink by this factor down to this many samples, which are solved from nothing. So many of a class are all
# there: of fewer each may matter.
_RATIO, _COARSEST, _FEW_OF_CLASS = 4, 300, 10
# Up to this many samples the working set is the whole level; so it is where it would hold this share of the level.
_SMALL, _NEARLY_ALL = 400, 0.95
# The working set reaches this share of the expected number of new free samples, and some more, beyond the expected
# window.
_SLACK_SHARE, _SLACK_COUNT, _SLACK_OF_NEW = 0.5, 30, 0.03
# From this share of free samples on, and of a regression, count instead of trusting signs. Samples of the level below
# within this share of the window's width belong to the working set too.
_MOSTLY_FREE, _OLD_SHARE = 0.03, 0.175
# Coarse levels follow lam to this share of where the finest does: further out their lam says nothing about it.
_COARSE_REACH = 1e-4
# What a dual moves its own f by, as a share of the scale, and the most slack that a free sample may have at first.
_OWN, _COSTLY, _NEAR = 0.3, 0.6, 0.05
# Samples from which the first lam is told.
_PROBE = 200
# What a coarse level is asked for.
_ROUGH = Effort(overlook=0.1, rough=True)

# From this many samples on single precision saves more time than the second solution takes.
_MANY = 1000
# In single precision this share of the free samples may be left on the wrong side. It is for pivots alone: where its
# roundings lead these astray, samples that are nearly equal or a large lam, steps inside the bounds are as lost.
_HASTILY = 0.02
# Zeros this close to the margin take part in double precision; the first working set has those this close, and some.
_NEAR_ZERO, _FEWEST = 0.01, 20
# The largest rounding error of a kernel value, relative to the largest of all; samples that are tried.
_MOST_ROUNDING, _N_PROBE = 1e-4, 32


@dataclass(frozen=True)
class Level:
    """A level's solution: its state, the sum over samples at bound, and the free samples of the level below."""

    state: State
    bound_sum: BoundSum
    n_free_before: int = 0


def cold_state(problem):
    """The limit lam -> 0, with the lam that the budget may ask for; of a regression the constant, half of the samples
    outside its tube free: they tell nearly what all would, for an eighth."""
    unit, lam = starting_point(problem)
    lam = min(max(likely_lam(problem, lam), problem.lam_range[0]), problem.lam_range[1])
    zeros = np.zeros(problem.n_samples)
    if problem.source.index is not None:
        outside = problem.sign * (problem.linear - problem.constant) > 0
        free = outside & (problem.source.index % 2 == 0)
        return State(np.where(free if free.any() else outside, FREE, ZERO), Point(zeros, lam, problem.constant, zeros))
    side = np.where(np.abs(unit) >= problem.weight, BOUND, FREE).astype(np.int8)
    return State(side, Point(lam * unit, lam, 0.0, zeros))


def first_lam(problem):
    """Where lam may begin, of a share of the samples: that of all would take all kernel values."""
    if problem.budget is None:
        return problem.cost
    some = share_of(problem, problem.n_distinct / _PROBE, np.random.RandomState(0))
    return cold_state(coarse_problem(problem, some)).point.lam


def between_means(problem, cold, scale):
    """A cold state of classes with the sides that the direction between their means tells.

    As much of it as is best for the dual objective. A dual moves its own f by a share of the scale: those that would go
    beyond an end of their range are there, the others free, at half of their bounds.
    """
    lam = cold.point.lam
    unit = cold.point.beta / lam
    fit = problem.fit(unit)
    curvature, reward = dot(unit, fit), dot(unit, problem.linear)
    best = reward / curvature if reward < lam * curvature else lam
    residual = problem.linear - best * fit
    inward = problem.sign * (residual - least_slack_intercept(residual, problem.sign, problem.weight))
    own = _OWN * scale
    costly, far = np.clip(own * (lam - best), _NEAR, _COSTLY), max(own * best, _NEAR)
    side = np.where(inward > costly, BOUND, np.where(inward < -far, ZERO, FREE))
    if not (side == FREE).any():
        return cold
    # ZERO, FREE and BOUND are 0, 1 and 2.
    return replace(cold, side=side, point=cold.point._replace(beta=0.5 * lam * side * problem.bound))


def solve_levels(problem, workspace, random):
    """Solve a problem from coarse to fine.

    Returns
    -------
    State
    part : mask of the samples that it is a solution for: the zeros among the others have not been looked at in double
        precision

    Raises
    ------
    TooLarge : more samples stand near the margin than there is room for.
    """
    everyone = np.ones(problem.n_samples, dtype=bool)
    if problem.n_distinct <= _COARSEST:
        return refine(problem, cold_state(problem), everyone, workspace, trusted=False)[0], everyone
    begin = _first_working_set(problem.within(_COARSE_REACH * problem.largest_cost), workspace, random)
    rough = hasty(problem, begin, workspace, _HASTILY)
    if rough is None:
        state, inside, bound_sum = begin(problem)
        return refine(problem, state, inside, workspace, bound_sum=bound_sum)[0], everyone
    state = rough.state
    # The way to the solution of a hard problem is long: there the rough one is no more than a guess for all samples.
    part = (state.side != ZERO) | (inward(problem, state.point) > -_NEAR_ZERO) if state.pivoted else everyone
    return polish(problem, part, state, workspace), part


def _coarse_level(problem, workspace, random):
    """The solution of a coarse level, no more exact than a guess has to be."""
    if problem.n_distinct <= _COARSEST:
        everyone = np.ones(problem.n_samples, dtype=bool)
        return Level(*refine(problem, cold_state(problem), everyone, workspace, trusted=False))
    begin = _first_working_set(problem, workspace, random)
    rough = hasty(problem, begin, workspace, _ROUGH.overlook)
    if rough is None:
        state, inside, bound_sum = begin(problem)
        rough = Level(*refine(problem, state, inside, workspace, _ROUGH, bound_sum=bound_sum))
    return replace(rough, n_free_before=begin.n_free)


class _FirstWorkingSet:
    """State, mask and bound sum to begin a level with, given the solution on the chosen samples."""

    def __init__(self, chosen, coarse, workspace):
        self.chosen, self.coarse, self.workspace = chosen, coarse, workspace
        self.n_free = np.count_nonzero(coarse.state.side == FREE)

    def __call__(self, problem):
        n, capacity = problem.n_distinct, self.workspace.buffer.most(problem.source.dtype)
        state, inside, bound_sum = predict(problem, self.chosen, self.coarse, int(ROOM * capacity))
        if n <= capacity and (n <= _SMALL or inside.mean() > _NEARLY_ALL):
            inside = np.ones(problem.n_samples, dtype=bool)
        return state, inside, bound_sum


def _first_working_set(problem, workspace, random):
    """The level below, solved, as the start of this one."""
    chosen = share_of(problem, _RATIO, random)
    return _FirstWorkingSet(chosen, _coarse_level(coarse_problem(problem, chosen), workspace, random), workspace)


def share_of(problem, ratio, random):
    """Indices of a 1 / ratio share of the variables, sorted.

    The two sides of a sample of a regression stay together: one of them alone would pull the function away.
    """
    index = problem.source.index
    if index is None:
        return stratified_share(problem.sign, ratio, random)
    samples = np.unique(index)
    chosen = random.permutation(samples)[: max(1, round(len(samples) / ratio))]
    return np.flatnonzero(np.isin(index, chosen))


def stratified_share(sign, ratio, random):
    """Indices of a 1 / ratio share of each sign, of few all, sorted."""
    members = (np.flatnonzero(sign == side) for side in (-1.0, 1.0))
    chosen = [random.permutation(group)[: max(_FEW_OF_CLASS, round(len(group) / ratio))] for group in members]
    return np.sort(np.concatenate(chosen))


def coarse_problem(problem, chosen):
    """The problem on the chosen samples, with the same budget relative to its largest, or the cost that it stands for.

    Fewer samples at their bound pull as strongly as all where a small cost rises as they become fewer, up to where one
    by itself moves its own f by about the margin: from there on samples are free, at any cost. A regression has its own
    unit, and counts that carry over instead (`predict`).
    """
    coarse = problem.take(chosen)
    if problem.budget is None:
        if problem.source.index is not None:
            return coarse
        same_pull = problem.cost * problem.n_samples / len(chosen)
        typical = max(float(coarse.source.diagonal().mean()), np.finfo(float).tiny)
        return coarse.with_cost(max(problem.cost, min(same_pull, 1.0 / typical)))
    return coarse.with_budget(problem.budget / problem.largest_budget * coarse.largest_budget)


def predict(problem, chosen, coarse, capacity):
    """The coarse solution's guess for all samples of the problem, and the samples whose side is in doubt."""
    n, point = problem.n_samples, coarse.state.point
    new = np.setdiff1d(np.arange(n), chosen, assume_unique=True)
    t, values, fit = np.zeros(n), np.empty(n), np.empty(n)
    beta, side = np.zeros(n), np.zeros(n, dtype=np.int8)
    fit[chosen], beta[chosen], side[chosen] = point.fit, point.beta, coarse.state.side
    coarse.bound_sum.bring(np.where(coarse.state.side == BOUND, problem.bound[chosen], 0.0))
    t[chosen], values[chosen] = coarse.bound_sum.t, coarse.bound_sum.values
    # One pass over the kernel values: what the samples at their bound add is of use for the working set, too.
    beyond = beta - point.lam * t
    support = np.flatnonzero((t != 0) | (beyond != 0))
    values[new], fit[new] = problem.source.apply(support, np.stack([t, beyond], axis=1)[support], new).T
    fit[new] += point.lam * values[new]
    into = inward(problem, point._replace(fit=fit))
    new = new[np.argsort(-into[new], kind="stable")]
    free, bound = expected_counts(coarse, len(new))
    if free > _MOSTLY_FREE * len(new) or problem.source.index is not None:
        # Where most samples end up on the margin the sign says little, and residuals of samples that a regression has
        # not seen are larger than they will be; the counts carry over.
        side[new[:bound]], side[new[bound : bound + free]] = BOUND, FREE
    else:
        side[new] = np.where(into[new] > 0, BOUND, ZERO)
    inside = doubtful(side, into, chosen, new, free, bound, capacity)
    state = State(side, Point(beta, point.lam, point.intercept, fit))
    return state, inside, BoundSum(problem.source, t, values)


def expected_counts(coarse, n_new):
    """How many new samples to expect free, and how many at their bound.

    The share at bound stays; the number of free samples grows as it did from the level below, less than the level does.
    """
    side = coarse.state.side
    m, free = len(side), np.count_nonzero(side == FREE)
    growth = min(free / coarse.n_free_before, 1 + n_new / m) if coarse.n_free_before else 1 + n_new / m
    bound = np.count_nonzero(side == BOUND) / m
    return int(free * max(growth - 1.0, 0.0)), int(bound * n_new)


def doubtful(side, into, chosen, new, free, bound, capacity):
    """Mask of the samples near the margin, `capacity` at most; new samples left out take the side they lean to."""
    most_free = int(np.count_nonzero(side[chosen] == FREE) / len(chosen) * len(new))
    reach = int(_SLACK_SHARE * most_free + _SLACK_COUNT + _SLACK_OF_NEW * len(new))
    first, last = max(0, bound - reach), min(len(new), bound + free + reach)
    width = into[new[first]] - into[new[last - 1]]
    inside = np.zeros(len(side), dtype=bool)
    inside[chosen] = (side[chosen] == FREE) | (np.abs(into[chosen]) <= _OLD_SHARE * width)
    most = max(1, capacity - np.count_nonzero(inside))
    if last - first > most:
        middle = bound + free // 2
        first = min(max(first, middle - most // 2), last - most)
        last = first + most
    inside[new[first:last]] = True
    side[new[:first]], side[new[last:]] = BOUND, ZERO
    return inside


def in_single_precision(problem):
    """The problem with kernel values in single precision; None where that does not pay or tells too little."""
    source = problem.source.single() if problem.n_distinct >= _MANY else None
    if source is None:
        return None
    probe = np.linspace(0, problem.n_samples - 1, _N_PROBE).astype(int)
    values = problem.source.block(probe, probe)
    rounding = np.abs(source.block(probe, probe) - values).max()
    return replace(problem, source=source) if rounding <= _MOST_ROUNDING * np.abs(values).max() else None


def hasty(problem, begin, workspace, overlook):
    """The level's solution by pivots in single precision that overlook a share; None where it fails or does not pay."""
    effort = Effort(gaps=(), overlook=overlook, rough=True)
    # What overflows in single precision is infinite or no number, and refused as such.
    with np.errstate(over="ignore", invalid="ignore"):
        single = in_single_precision(problem)
        if single is None:
            return None
        try:
            state, inside, bound_sum = begin(single)
            rough = Level(*refine(single, state, inside, workspace, effort, bound_sum=bound_sum))
        except (TooLarge, np.linalg.LinAlgError):
            return None
    return rough if rough.state.settled and np.isfinite(rough.state.point.fit).all() else None


def polish(problem, part, state, workspace):
    """The solution of the samples in the mask `part` in double precision, the others left at zero.

    Their fit is that of the state before.
    """
    rows = np.flatnonzero(part)
    side, point = state.side.copy(), state.point
    here = State(side[rows], Point(point.beta[rows], point.lam, point.intercept, point.fit[rows]))
    share = problem.take(rows)
    distance = np.abs(inward(share, here.point))
    nearest = np.partition(distance, _FEWEST)[_FEWEST] if len(rows) > _FEWEST else np.inf
    inside = (here.side == FREE) | (distance <= max(_NEAR_ZERO, nearest))
    solved, _ = refine(share, here, inside, workspace, trusted=state.pivoted)
    beta, fit = np.zeros(problem.n_samples), point.fit.copy()
    side[rows], beta[rows], fit[rows] = solved.side, solved.point.beta, solved.point.fit
    return replace(solved, side=side, point=Point(beta, solved.point.lam, solved.point.intercept, fit))
