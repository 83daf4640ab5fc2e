"""The proximal point method with a globally convergent Newton step, for kernels on which pivoting alone cycles.

Around a centre lam_c (u, 1) the proximal problem's dual is to minimise over the fit f = K beta and the intercept b

    psi(f, b) = 1/2 |w|^2 + theta(z),   z = y - f - b,
    theta(z)  = max over lam >= 0, 0 <= y_i beta_i <= lam s_i of
                z'beta - lam C - delta/2 (|beta - lam u|^2 + (lam - lam_c)^2)

psi is convex, once differentiable and piecewise quadratic: its gradient needs only the maximising (beta, lam), found
by a one-dimensional search. A Newton step solves the conditions of block.py for the sides of that maximiser; with an
exact line search it descends from anywhere and ends when the sides repeat (semismooth Newton augmented Lagrangian: Li,
Sun, Toh, SIAM J. Optim. 2018). Pair with `pivot`, which turns the right sides into the exact solution.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from .block import BOUND, FREE, ZERO, Centre, Conditions, Point, is_balanced, product
from .factor import Memory
from .pivoting import EXACT, Pivoted, balanced, pivot

# First proximal weight of a hard block (in units of its scale), the factor from one to the next, and the smallest.
FIRST, _SHRINK, _LEAST = 0.1, 0.3, 1e-9
_LARGER, _MOST_FAILURES = 10.0, 3
# lam times the squared spread of the samples from which on a problem that cannot be settled is out of reach, and that
# to which it is followed where time allows. lam flees if it grew by this factor in this many stages, as 1 / delta does.
OUT_OF_REACH, FAR_OUT, _FLEES, _MOST_FLIGHTS = 1e4, 1e7, 2.0, 3
_MOST_STEPS, _MOST_STAGES, _MOST_SEARCHES = 40, 30, 12
# An exact solve that its centre pulls further than this is repeated around its solution.
_PULLED = 1e-10
# How far from its last value an intercept is looked for.
_WIDEST = 1e9
# A full step is taken when the slope at its end is at most this share of the slope at its start.
_FLAT_ENOUGH, _SEARCH_ENDS = 1e-2, 0.2


@dataclass(frozen=True)
class Effort:
    """How far to take a solve.

    patience : pivots after which a hard block is left at its first proximal stage
    overlook : share of the free samples that a pivoting may leave on the wrong side
    give_up : lam * block.scale from which on a lam that flees is followed no more
    """

    patience: float = np.inf
    overlook: float = 0.0
    give_up: float = FAR_OUT

    @property
    def exact(self):
        """Whether every block is solved to rounding error."""
        return self.patience == np.inf


class Best(NamedTuple):
    """A point and the duals that maximise theta there: their multiplier, and y_i z_i, which give all of them."""

    point: Point
    lam: float
    reach: np.ndarray


class ProximalDual:
    """psi and its maximisers for one block and one centre."""

    def __init__(self, block, centre):
        self.block, self.centre = block, centre
        self.shape = block.target * centre.shape
        self.room = block.weight - self.shape

    def best(self, point, lam):
        """The maximiser of theta at the point; `lam` starts the search."""
        block, centre = self.block, self.centre
        reach = block.target * (block.target - point.fit - point.intercept)
        budget = block.budget - (block.held.reward - point.held_fit - point.intercept * block.held.total)
        return Best(point, self._best_lam(reach, budget - centre.delta * centre.lam, lam), reach)

    def _best_lam(self, reach, budget, lam):
        """Root of the decreasing, convex, piecewise linear slope of theta in lam, by Newton's method."""
        delta, shape, room, weight = self.centre.delta, self.shape, self.room, self.block.weight
        scaled = reach / delta
        for _ in range(50):
            above, below = scaled >= lam * room, scaled <= -lam * shape
            gain = np.where(above, weight, np.where(below, 0.0, shape))
            away = gain - shape
            new = max((gain @ scaled - budget / delta) / (away @ away + 1.0), 0.0)
            if abs(new - lam) <= 1e-14 * lam:
                return new
            lam = new
        return lam

    def sides(self, best):
        """Where the maximiser puts each sample."""
        step = self.centre.delta * best.lam
        inside = np.where(best.reach <= -step * self.shape, ZERO, FREE)
        return np.where(best.reach >= step * self.room, BOUND, inside)

    def duals(self, best):
        """The maximising y_i beta_i."""
        unbounded = best.reach / self.centre.delta + best.lam * self.shape
        return np.minimum(np.maximum(unbounded, 0.0), best.lam * self.block.weight)


class Line:
    """psi along the way from one point to another."""

    def __init__(self, dual, start, end):
        self.dual, self.start, self.end = dual, start, end
        change_beta, change_lam = end.beta - start.beta, end.lam - start.lam
        change_fit, change_held = end.fit - start.fit, end.held_fit - start.held_fit
        change_b = end.intercept - start.intercept
        self.norm_slope = change_beta @ start.fit + change_lam * start.held_fit
        self.norm_curve = change_beta @ change_fit + change_lam * change_held
        self.loss = dual.block.target * (change_fit + change_b)
        self.held_loss = change_held + change_b * dual.block.held.total

    def slope(self, step, best):
        """The derivative of psi a fraction `step` of the way along, where `best` maximises theta."""
        loss = self.loss @ self.dual.duals(best) + best.lam * self.held_loss
        return self.norm_slope + step * self.norm_curve - loss

    def search(self, low_slope, high_slope, lam):
        """The maximiser at a step where the slope has fallen below `_SEARCH_ENDS` of its first value."""
        low, high, flat = 0.0, 1.0, _SEARCH_ENDS * abs(low_slope)
        low_slope = min(low_slope, -np.finfo(float).tiny)
        for _ in range(_MOST_SEARCHES):
            share = low_slope / (low_slope - high_slope)
            step = low + (high - low) * min(0.9, max(0.1, share))
            best = self.dual.best(self.start.toward(self.end, step), lam)
            here = self.slope(step, best)
            if abs(here) <= flat:
                break
            if here < 0:
                low, low_slope = step, here
            else:
                high, high_slope = step, here
        return best


def line_search(dual, start, end):
    """The maximiser at a point on the way from that of `start` to `end` at which psi is (nearly) flat.

    It is that of `end` itself unless psi turns up before.
    """
    line, whole = Line(dual, start.point, end), dual.best(end, start.lam)
    first, last = line.slope(0.0, start), line.slope(1.0, whole)
    rounding = 1e-13 * (abs(line.norm_slope) + abs(line.norm_curve))
    if last <= _FLAT_ENOUGH * abs(first) + rounding:
        return whole
    return line.search(first, last, start.lam)


def newton(block, centre, point):
    """Minimise psi from `point`; settled when a full step repeats the sides."""
    dual = ProximalDual(block, centre)
    best, previous, target, conditions = dual.best(point, centre.lam), None, None, None
    for n_iter in range(1, _MOST_STEPS + 1):
        side = dual.sides(best)
        if best.point is target and np.array_equal(side, previous):
            return Pivoted(side, target, True, n_iter)
        previous = side
        if not (side == FREE).any() and not is_balanced(block, side):
            # psi has no curvature in b here: only a minimum along b can free a sample.
            moved = best_intercept(dual, best)
            if moved.point.intercept != best.point.intercept:
                best, target = moved, None
                continue
            # At lam = 0 the duals vanish whatever b is: a free pair lets lam grow.
            side, previous = balanced(block, side, best.reach), None
        conditions = Conditions(block, side, centre, conditions)
        target = conditions.point(conditions.multiplier(best.lam))
        best = line_search(dual, best, target)
    return Pivoted(side, best.point, False, n_iter)


def best_intercept(dual, best):
    """The maximiser at the b that minimises psi with the fit held: where the maximising duals sum to zero."""
    block, start = dual.block, best.point.intercept

    def at(intercept):
        return dual.best(best.point._replace(intercept=intercept), best.lam)

    def slope(intercept):
        here = at(intercept)
        return -(block.target @ dual.duals(here) + here.lam * block.held.total)

    width = np.copysign(1.0, -slope(start))
    while slope(start) * slope(start + width) > 0 and abs(width) < _WIDEST:
        width *= 2.0
    low, high = sorted((start, start + width))
    if slope(low) * slope(high) > 0:
        return best
    return at(brentq(slope, low, high, xtol=1e-14))


def point_at(block, beta, lam, intercept):
    """The point with the given duals."""
    fit = lam * block.held.pull + product(block.gram, beta)
    return Point(beta, lam, intercept, fit, block.held.pull @ beta + lam * block.held.curvature)


def pivot_exactly(block, side, lam, beta, overlook=0.0):
    """Pivot with the least proximal weight, once more where its pull toward the centre can still be told."""
    memory = Memory(block.dtype)
    done = pivot(block, side, lam, beta, overlook=overlook, memory=memory)
    if overlook > 0.0 or not done.settled:
        return done
    pull = Centre.around(EXACT * block.scale, beta, lam).pull(done.point.beta, done.point.lam)
    if np.abs(pull).max() > _PULLED:
        again = pivot(block, done.side, done.point.lam, done.point.beta, memory=memory)
        return replace(again if again.settled else done, n_iter=done.n_iter + again.n_iter)
    return done


def solve_block(block, guess, delta, effort):
    """Solve a block, to rounding error unless patience ends.

    Pivots at once where the last solve could (delta == EXACT); else proximal stages of shrinking weight, each but the
    first followed by an attempt to pivot, unless lam still flees. Where patience ends the solution is that of the first
    stage.

    Parameters
    ----------
    guess : Pivoted, where to begin
    delta : float, proximal weight to begin with, in units of block.scale
    effort : Effort

    Returns
    -------
    Pivoted
    float : the proximal weight of its point, EXACT for an exact solution
    float : the proximal weight to begin with on a similar block
    """
    n_iter = 0
    if delta == EXACT:
        done = pivot_exactly(block, guess.side, guess.point.lam, guess.point.beta, effort.overlook)
        if done.settled:
            return done, FIRST if effort.overlook else EXACT, EXACT
        n_iter, delta = done.n_iter, FIRST
    side, point, failures, fled, first = guess.side, guess.point, 0, 0, None
    for number in range(_MOST_STAGES):
        stage = proximal_stage(block, side, point, delta)
        n_iter += stage.n_iter
        if not stage.settled:
            failures, delta = failures + 1, delta * 10.0
            if failures > _MOST_FAILURES or block.is_single:
                break
            continue
        fled = fled + 1 if stage.point.lam > _FLEES * point.lam else 0
        side, point = stage.side, stage.point
        first = first or (stage, delta)
        if n_iter >= effort.patience:
            stage, delta = first
            return replace(stage, n_iter=n_iter), delta, delta
        if number > 0 and fled == 0:
            done = pivot_exactly(block, side, point.lam, point.beta)
            n_iter += done.n_iter
            if done.settled:
                return replace(done, n_iter=n_iter), EXACT, min(FIRST, _LARGER * delta)
        delta *= _SHRINK
        if delta < _LEAST or (fled >= _MOST_FLIGHTS and point.lam * block.scale > effort.give_up):
            break
    return Pivoted(side, point, False, n_iter), delta, FIRST


def proximal_stage(block, side, point, delta):
    """Solve the proximal problem around `point` by pivoting, or else, in double precision, by Newton's method."""
    stage = pivot(block, side, point.lam, point.beta, delta)
    if stage.settled or block.is_single:
        return stage
    centred = newton(block, Centre.around(delta * block.scale, point.beta, point.lam), point)
    return replace(centred, n_iter=stage.n_iter + centred.n_iter)
