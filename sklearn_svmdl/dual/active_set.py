"""Block pivoting: every sample on the wrong side changes side at once.

The primal-dual active set method (Hintermueller, Ito, Kunisch, SIAM J. Optim. 2002; block pivoting in Judice, Pires,
Comput. Oper. Res. 1994) on the joint conditions in (beta, lam, b): solve them for a guess of the sides, move all
samples that contradict the guess, repeat. No step length, no ratio test; a dozen factorisations where it works. It may
cycle: where a round leaves no fewer samples on the wrong side, and few, or frees more than can be in few features, the
most wrong alone are moved; when the kernel matrix is nearly singular that is no help, so it gives up and says so.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..kernels.blas import dot
from .factor import SolverCache
from .interior import InteriorSolver
from .kkt import BOUND, FREE, ZERO, Point, ProximalTerm, inward, is_balanced, one_side_each

# The proximal weight of an exact solve, relative to the block's scale: far below the certificate, enough for Cholesky.
EXACT = 1e-11
# Rounds without fewer samples on the wrong side before the pivoting gives up, and rounds in all.
_PATIENCE, _MOST_ROUNDS = 4, 30
# A round that leaves no fewer samples on the wrong side, and no more than this share of the free ones, moves this share
# of them alone, the most wrong: all at once they may cycle.
_CALM, _MOVED = 0.5, 0.25
# How far a sample may stand on the wrong side of its bound (relative) and of the margin without being moved.
TOLERANCES = {np.dtype(np.float64): (1e-11, 1e-10), np.dtype(np.float32): (1e-5, 1e-5)}
# Where single precision makes no progress, it cannot place some samples: it may overlook this share of the free ones.
_UNCLEAR = 0.1
# lam may change by this factor in one round.
LAM_RANGE = 10.0
# A round that leaves no fewer samples on the wrong side, and this share of the free ones about to leave again, is one
# of a cycle; some leave in any round.
_LEAVING, _SOME = 0.8, 20
# The proximal weight, relative to the block's scale, falls from the heaviest to the lightest, by a factor as soon as no
# more than a share of the free samples are on the wrong side, with patience once it is a share of the first. Where next
# to none are an exact solution is tried, given up where its first round leaves more than a share on the wrong side, and
# again at a share of the weight. Where it fell too soon it is the heaviest again, around the last duals with few on the
# wrong side, so many times. A rough solution of a budget takes one between. Where lam is more than so many times the
# inverse scale no weight is of use: interior steps cost less.
_HEAVIEST, _LIGHT, _LIGHTEST, _FAST, _PATIENT, _MOST_FALLING = 0.3, 1 / 30, 1e-6, (0.5, 0.5), (0.7, 0.1), 150
_CLOSE, _HOPE, _AGAIN, _MOST_BACKS, _ROUGHLY_HELD, _HARDEST = 0.05, 0.5, 0.3, 2, 0.1, 1e4
# The loss of a regression is smooth over these shares of a typical residual, one after the other: from the third on
# where pivots went astray, from the fourth on where the sides are known roughly, and never by a proximal weight of more
# than the widest, relative to the block's scale. This share of the free samples may stay on the wrong side.
_SMOOTHED, _MISLED, _ROUGHLY, _SMOOTHLY, _WIDEST = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003), 2, 3, 0.3, 0.4
# A share that changes no more sides than this share of the free ones may be the last, once.
_FEW_CHANGES = 0.2
# How far a round goes is told in so many looks, each no less than this share of the last: where the slope of the
# objective is at most this share of what it was. A shorter way leads nowhere.
_MOST_LOOKS, _SHORTEST, _FLATTER, _TOO_SHORT = 4, 0.1, 0.5, 0.02
# A solution that its centre pulls further than this is solved again around itself.
PULLED = 1e-10


@dataclass(frozen=True)
class State:
    """Where a solve stands.

    side : ZERO, FREE or BOUND for each variable
    point : Point
    settled : whether both agree as far as was asked
    exact : whether they agree to rounding error
    pivoted : whether they came of pivoting alone, so that it is worth a try to pivot on from them
    """

    side: np.ndarray
    point: Point
    settled: bool = False
    exact: bool = False
    pivoted: bool = False


def wanted_sides(conditions, point):
    """The sides that the point asks for, equal to the guess where it is right, and y - f - b."""
    block, centre = conditions.block, conditions.centre
    residual = block.linear - point.fit - centre.pull(point.beta, point.lam) - point.intercept
    at_bound, at_margin = TOLERANCES[block.dtype]
    tolerance = at_margin + 1e-15 * np.abs(point.fit).max() + block.rounding(point.beta)
    side, inward = conditions.side, block.sign * residual
    magnitude, upper = block.sign * point.beta, point.lam * block.weight
    wanted = sides_asked_for(side, inward, tolerance, magnitude, upper, at_bound)
    if block.without_width is not None:
        # What one side holds the other need not; below zero is above it on the other side.
        wanted[block.without_width & (side == ZERO) & (side[block.twin] != ZERO)] = ZERO
        across = np.flatnonzero(block.without_width & (side == FREE) & (wanted == ZERO))
        wanted[block.twin[across]] = np.where(-magnitude[across] > (1.0 + at_bound) * upper[across], BOUND, FREE)
    return one_side_each(block, wanted, inward), residual


def sides_asked_for(side, inward, at_margin, magnitude, upper, at_bound):
    """The guess of the sides, corrected where residuals or duals contradict it.

    Parameters
    ----------
    side, inward, magnitude, upper : ndarrays (n,), or (k, n) of k problems: the guess, sign_i (p_i - f(x_i)), sign_i
        beta_i, lam s_i
    at_margin, at_bound : how far on the wrong side of the margin, and beyond an end of 0 .. upper relative to the
        largest dual or the largest upper of the free, whichever is less, nothing is wrong
    """
    free = side == FREE
    # Those at zero join from inward on, those at their bound from outward.
    wanted = np.where((FREE - side) * inward > at_margin, FREE, side)
    largest, bound = (np.maximum.reduce(of, axis=-1, keepdims=True) for of in (np.abs(magnitude), free * upper))
    # Bounds may be far beyond all duals, where the budget is next to nothing.
    slip = at_bound * np.minimum(largest, bound)
    wanted[free & (magnitude < -slip)] = ZERO
    wanted[free & (magnitude > (1.0 + at_bound) * upper)] = BOUND
    return wanted


class Round(NamedTuple):
    """The conditions for one guess of the sides, their solution, the sides that it asks for, and y - f - b.

    `stands` tells whether lam meets the budget (it may change by a factor of `LAM_RANGE` only in one round), `exact`
    whether the solution is one in the precision of the kernel values.
    """

    conditions: object
    point: Point
    wanted: np.ndarray
    residual: np.ndarray
    stands: bool
    exact: bool


def solve_round(block, side, centre, previous, factor):
    """Solve the conditions for a guess of the sides.

    Raises
    ------
    numpy.linalg.LinAlgError : they have no solution, or rounding leaves nothing of it.
    """
    conditions = block.conditions(side, centre, previous, factor)
    wanted_lam = block.clip_lam(conditions.multiplier(centre.lam))
    lam = min(max(wanted_lam, centre.lam / LAM_RANGE), centre.lam * LAM_RANGE)
    if not np.isfinite(lam):
        raise np.linalg.LinAlgError("no multiplier meets the budget")
    point = conditions.point(lam)
    wanted, residual = wanted_sides(conditions, point)
    if conditions.is_lost(point, residual):
        raise np.linalg.LinAlgError("rounding leaves nothing of the conditions")
    return Round(conditions, point, wanted, residual, lam == wanted_lam, not conditions.is_rough)


def balanced(block, side, residual):
    """`side`, with the sample of each class nearest to the margin freed where none can balance those at bound."""
    if (side == FREE).any() or is_balanced(block, side):
        return side
    side = side.copy()
    for sign in (-1.0, 1.0):
        members = np.flatnonzero(block.sign == sign)
        if len(members):
            side[members[np.argmin(np.abs(residual[members]))]] = FREE
    return side


def _most_wrong(block, solved):
    """The sides of a round's guess with some of those changed that its solution contradicts, the most wrong."""
    side, point = solved.conditions.side, solved.point
    (changes,) = (solved.wanted != side).nonzero()
    magnitude, upper = block.sign[changes] * point.beta[changes], point.lam * block.weight[changes]
    beyond = np.maximum(-magnitude, magnitude - upper) * block.scale
    wrong = np.where(side[changes] == FREE, beyond, np.abs(solved.residual[changes]))
    moved = changes[np.argsort(-wrong)[: max(1, int(_MOVED * len(changes)))]]
    some = side.copy()
    some[moved] = solved.wanted[moved]
    return some


def _cycles(solved):
    """Whether most of the samples that a round's guess has free, and some, are to leave again."""
    free = solved.conditions.free
    return np.count_nonzero(solved.wanted[free] != FREE) > max(_LEAVING * len(free), _SOME)


def _crowds(block, side, wanted):
    """Whether no more samples are free than can be at a vertex, but are to be: in few features these contradict each
    other, unless they are equal."""
    if block.features is None:
        return False
    most = block.features.shape[1] + 1
    return np.count_nonzero(side == FREE) <= most < np.count_nonzero(wanted == FREE)


def _first_wrong(block, before, solved):
    """A round's guess but for the sample that is the first on the wrong side on the way to its solution."""
    side, after = solved.conditions.side, solved.point
    (changes,) = (solved.wanted != side).nonzero()
    held, to_zero = side[changes] != FREE, solved.wanted[changes] == ZERO

    def distances(point, residual):
        """How far each is from where it is wrong."""
        magnitude, upper = block.sign[changes] * point.beta[changes], point.lam * block.weight[changes]
        return np.where(held, np.abs(residual[changes]), np.where(to_zero, magnitude, upper - magnitude))

    near = np.maximum(distances(before, block.linear - before.fit - before.intercept), 0.0)
    beyond = np.abs(distances(after, solved.residual)) + np.finfo(float).tiny
    first = changes[np.argmin(near / (near + beyond))]
    some = side.copy()
    some[first] = solved.wanted[first]
    return some


def _next_round(block, side, centre, cache, wrong):
    """A round after one with so many samples on the wrong side, by the factor that costs least, or a new one where that
    fails.

    Raises
    ------
    numpy.linalg.LinAlgError : no factor solves it.
    """
    block.tally.pivots += 1
    factor = cache.factor(np.count_nonzero(side == FREE), wrong)
    try:
        return solve_round(block, side, centre, cache.conditions, factor)
    except np.linalg.LinAlgError:
        if not cache.gives_up(factor):
            raise
    return solve_round(block, side, centre, cache.conditions, None)


def pivot(block, state, delta=EXACT, overlook=0.0, cache=None, hope=np.inf):
    """Pivot from a state with proximal weight delta * block.scale around its duals.

    A rough pivoting may overlook samples on the wrong side, as a share of the free ones. `cache` passes on what one
    pivoting leaves to the next on the same Gram matrix and fixed samples. Where the first round leaves more than the
    share `hope` on the wrong side there is no second.

    Returns
    -------
    State
        Not `settled` when the sides stopped improving; its point is then not to be trusted. In single precision it may
        be as near as that comes.
    """
    side, point = state.side, state.point
    side = one_side_each(block, side, inward(block, point))
    centre = ProximalTerm.around(block, delta, point.beta, point.lam)
    fewest, wrong, stalled, nearest = np.inf, block.n_samples, 0, None
    cache = SolverCache(block.dtype) if cache is None else cache
    for _ in range(_MOST_ROUNDS):
        if block.tally.left <= 0:
            break
        try:
            solved = _next_round(block, side, centre, cache, wrong)
        except np.linalg.LinAlgError:
            break
        point, wanted, residual, n_free = solved.point, solved.wanted, solved.residual, len(solved.conditions.free)
        wrong = np.count_nonzero(wanted != side)
        is_hopeless = fewest == np.inf and wrong > hope * n_free
        cache.conditions, centre = solved.conditions, centre._replace(lam=point.lam)
        stalled = 0 if wrong < fewest else stalled + 1
        fewest = min(fewest, wrong)
        if block.is_single and stalled == 0 and solved.stands and wrong < _UNCLEAR * n_free:
            nearest = State(wanted, point, settled=True, pivoted=True)
        enough = wrong == 0 and solved.exact or wrong < overlook * n_free
        if enough and solved.stands:
            return State(wanted, point, settled=True, exact=overlook == 0.0, pivoted=True)
        if stalled >= _PATIENCE or is_hopeless or (stalled and _cycles(solved)):
            break
        if _crowds(block, side, wanted):
            wanted = _first_wrong(block, state.point, solved)
        elif stalled and solved.stands and wrong < _CALM * n_free:
            wanted = _most_wrong(block, solved)
        side = balanced(block, wanted, residual)
    cache.conditions = None
    return State(side, point) if nearest is None else nearest


def pivot_exactly(block, state, overlook=0.0, cache=None, hope=np.inf):
    """Pivot with the least proximal weight, once more where its pull toward the centre can still be told."""
    cache = SolverCache(block.dtype) if cache is None else cache
    done = pivot(block, state, overlook=overlook, cache=cache, hope=hope)
    if overlook > 0.0 or not done.settled:
        return done
    start = state.point
    centre = ProximalTerm.around(block, EXACT, start.beta, start.lam)
    pull = centre.pull(done.point.beta, done.point.lam)
    if np.abs(pull).max() > PULLED:
        again = pivot(block, done, cache=cache)
        return again if again.settled else done
    return done


@dataclass(frozen=True)
class Effort:
    """How far to take the solve of a block.

    gaps : relative gaps at which the interior point method hands its sides to the pivoting, one after the other
    overlook : share of the free samples that a pivoting may leave on the wrong side
    rough : whether the first interior solution will do where no pivoting settles
    """

    gaps: tuple = (1e-4, 1e-8, 1e-13)
    overlook: float = 0.0
    rough: bool = False


def pivot_ever_closer(block, start, overlook=0.0, heaviest=_HEAVIEST):
    """Pivot with a proximal weight that falls as soon as few samples are on the wrong side, and then exactly.

    Where that goes astray the weight falls further, and where it fell too soon it begins anew: at `heaviest`, relative
    to the block's scale. It is around the last duals within their bounds. The state is not settled where nothing did.
    """
    side, point, conditions, centre, tried = start.side, start.point, None, None, None
    weight = next_try = heaviest
    last, backs = None, 0
    close = _UNCLEAR if block.is_single else _CLOSE
    for _ in range(_MOST_FALLING):
        if block.tally.left <= 0:
            break
        if centre is None:
            shape = np.clip(block.sign * point.beta, 0.0, point.lam * block.weight) * block.sign
            centre = ProximalTerm.around(block, weight, shape, point.lam)
            fewest, stalled = np.inf, 0
        block.tally.pivots += 1
        try:
            solved = solve_round(block, side, centre, conditions, None)
        except np.linalg.LinAlgError:
            break
        conditions, point = solved.conditions, solved.point
        wrong = np.count_nonzero(solved.wanted != side)
        side, share = balanced(block, solved.wanted, solved.residual), wrong / max(1, len(conditions.free))
        stalled = 0 if wrong < fewest else stalled + 1
        fewest = min(fewest, wrong)
        if share <= close and weight <= next_try and not np.array_equal(side, tried):
            tried, next_try = side, _AGAIN * weight
            done = pivot_exactly(block, State(side, point), overlook, hope=_HOPE)
            if done.settled:
                return done
        fall, soon = _FAST if weight > _LIGHT * heaviest else _PATIENT
        if share <= soon:
            last, weight, centre = (side, point), fall * weight, None
        elif stalled >= _PATIENCE:
            if last is None or backs == _MOST_BACKS or point.lam * block.scale > _HARDEST:
                break
            (side, point), weight, centre, backs = last, heaviest, None, backs + 1
        if weight < _LIGHTEST:
            break
    return State(side, point)


def pivot_smoothly(block, start, effort=Effort(), known=_MISLED):
    """Pivot on the samples of a regression with a loss that is smooth over shares of a typical residual, one after the
    other from the one numbered `known` on, and exactly unless a rough solution will do.

    A proximal term around zero, of weight delta, lets the price of slack rise to lam over slacks of up to delta lam
    instead of at once. As it falls it leads from least squares to the loss itself, a few rounds at a time; the first
    share that changes few sides may be the last. Where the pivots do not settle the state is the last, not settled.
    """
    lam = start.point.lam
    typical = np.abs(block.linear - start.point.intercept).mean() / (lam * block.scale)
    smoothed = block.at_cost(lam)
    weights = [share * typical for share in _SMOOTHED if share * typical <= _WIDEST] or [_SMOOTHED[-1] * typical]
    is_tried = False
    for weight in weights[min(known, len(weights) - 1) :]:
        before, start = start.side, _descend(smoothed, start, weight)
        if not start.settled:
            return start
        changed, free = np.count_nonzero(start.side != before), np.count_nonzero(start.side == FREE)
        if not is_tried and changed <= _FEW_CHANGES * free:
            is_tried, done = True, _from_smooth(block, start, effort)
            if done.settled:
                return done
    return _from_smooth(block, start, effort)


def _from_smooth(block, state, effort):
    """The exact state from one of a smooth loss, or that one where a rough solution will do."""
    if effort.rough and not block.lam_is_free:
        return replace(state, pivoted=False)
    return pivot_exactly(block, state, effort.overlook)


def _descend(block, state, delta):
    """Pivots on a loss that is smooth over slacks of up to delta * block.scale * lam, but for a share of the samples.

    A round's solution is where Newton's method would go: on that way to about where the objective is least, and all of
    it from nothing or where few samples stand wrong, and fewer than before.
    """
    side, point, cache = state.side, state.point, SolverCache(block.dtype)
    centre = ProximalTerm.around(block, delta, np.zeros(block.n_samples), point.lam)
    wrong, fewest = block.n_samples, np.inf
    for _ in range(_MOST_ROUNDS):
        if block.tally.left <= 0:
            return State(side, point)
        try:
            solved = _next_round(block, side, centre, cache, wrong)
        except np.linalg.LinAlgError:
            break
        wrong = np.count_nonzero(solved.wanted != side)
        is_calm = wrong < min(fewest, _CALM * len(solved.conditions.free)) or not point.beta.any()
        length = 1.0 if is_calm else _length(centre, point, solved.point)
        cache.conditions, fewest = solved.conditions, min(fewest, wrong)
        if wrong < _SMOOTHLY * len(solved.conditions.free):
            return State(solved.wanted, solved.point, settled=True, pivoted=True)
        if length < _TOO_SHORT:
            break
        point, side = _between(point, solved.point, length), solved.wanted
        if length < 1.0:
            side = _smoothed_sides(centre, point)
        side = balanced(block, side, block.linear - point.fit - point.intercept)
    return State(side, point)


def _between(before, after, length):
    """The point so far on the way from one to another of the same lam."""
    beta, intercept, fit = (
        old + length * (new - old)
        for old, new in ((before.beta, after.beta), (before.intercept, after.intercept), (before.fit, after.fit))
    )
    return Point(beta, after.lam, intercept, fit)


def _smoothed_sides(centre, point):
    """The sides that the residuals of a point ask for where the loss is smooth."""
    into, width = inward(centre.block, point), centre.delta * point.lam * centre.block.weight
    return np.where(into <= 0, ZERO, np.where(into < width, FREE, BOUND))


def _length(centre, before, after):
    """How far to go from one point to another: where the slope of the objective is at most half of what it was."""
    block, lam = centre.block, after.lam
    into, upper = inward(block, before), lam * block.weight
    along, fit = inward(block, after) - into, after.fit - before.fit
    falls = dot(before.beta, fit) - lam * block.fixed.total * (after.intercept - before.intercept)
    curvature = dot(after.beta - before.beta, fit)

    def slope(length):
        """The slope of |w|^2 / 2 and the loss."""
        prices = np.clip((into + length * along) / centre.delta, 0.0, upper)
        return falls + length * curvature + dot(prices, along)

    return flatter(slope)


def flatter(slope):
    """How far to go, 1 at most: where slope(length) is at most half of what it was, for so many looks, by secants."""
    first, length = slope(0.0), 1.0
    for _ in range(_MOST_LOOKS):
        here = slope(length)
        if first >= 0 or here <= -_FLATTER * first:
            break
        length *= max(_SHORTEST, first / (first - here))
    return length


def pivot_block(block, start, effort=Effort(), trusted=True):
    """Pivot from the start if its sides are trusted, or with proximal weights.

    Returns
    -------
    State
        Where nothing settled, from where to step inside the bounds.
    """
    if trusted:
        done = pivot_exactly(block, start, effort.overlook)
        if done.settled:
            return done
    start = replace(start, settled=False)
    if block.row is None:
        return _pivot_held(block, start, effort)
    if trusted and not effort.rough:
        return start
    known = 0 if not start.point.beta.any() else _MISLED if trusted else _ROUGHLY
    return pivot_smoothly(block, start, effort, known)


def _pivot_held(block, start, effort):
    """Pivots of classes with a proximal weight that falls.

    Where a rough solution of a budget will do, with one that keeps lam near the start's: of some samples alone a budget
    may ask for any.
    """
    if effort.rough and block.lam_is_free:
        done = pivot(block, start, _ROUGHLY_HELD, effort.overlook)
        if done.settled:
            return replace(done, exact=False, pivoted=False)
    is_easy = start.point.lam * block.scale <= _HARDEST
    return pivot_ever_closer(block, start, effort.overlook) if is_easy else start


def solve_block(block, start, effort=Effort(), trusted=True):
    """Solve a block: by pivots alone or, where they do not settle, after steps inside the bounds."""
    done = pivot_block(block, start, effort, trusted)
    return done if done.settled else step_inside(block, done, effort)


def step_inside(block, start, effort=Effort()):
    """Step inside the bounds until the sides can be told, and pivot from there."""
    if block.tally.left <= 0 or not effort.gaps:
        return replace(start, settled=False)
    for inside in _interior_solutions(block, start.point, effort.gaps[:2] if effort.rough else effort.gaps):
        done = pivot_exactly(block, State(inside.side, inside.point), effort.overlook)
        if done.settled:
            return done
    return State(inside.side, inside.point, settled=effort.rough)


def _interior_solutions(block, point, gaps):
    """Where interior steps end, each time closer to the solution."""
    solver = InteriorSolver(block)
    iterate = solver.start(block.clip_lam(point.lam))
    for gap in gaps:
        solver, inside = solver.follow(iterate, gap)
        yield inside
        iterate = inside.iterate
