"""Pair steps: coordinate ascent on the dual with the budget's multiplier as one more coordinate.

For fixed lam a pair (i, j) moves along e_i - e_j, which keeps 1'beta = 0: i is the steepest variable that can grow, j
promises the largest gain (Fan, Chen, Lin, Working set selection using second order information, JMLR 2005).

lam follows the budget. With beta / lam held, the dual's slope in lam is what the duals *spend*, (p'beta - |w|^2) / lam,
less the budget C; it is zero at (p'beta - lam C) / |w|^2 times lam. Their hyperplane leaves a total slack larger by
gap / lam. Both settle long before the pair steps end, so lam moves as soon as they differ by no more than the duals'
excess: then they agree on the direction. As beta / lam changes with lam such a step falls short, and a secant makes it
longer.
"""

import numpy as np

from ..kernels.blas import dot
from ..kernels.sources import MEGABYTE, GramSource, IndexedSource
from .problem import certify, feasible_duals, least_slack_intercept, slack_of

# The share of the violation at which pair steps pause.
_PAUSE = 0.5
# The longest step in log lam; the least slope that the secant divides by, and its fall where steps still fall short.
_LONGEST, _LEAST_SLOPE, _FALL = 1.5, 0.2, 0.7
# Smallest curvature of a pair step, relative to the largest kernel value: guards duplicates and indefinite kernels.
_LEAST_CURVATURE = 1e-12
_UNITS = 4.0 * np.finfo(float).eps
_SMALLEST = 1e-200


class ColumnCache:
    """Kernel columns, evaluated once and kept while they fit in `megabytes`; the one not read for longest makes room.

    A stored Gram matrix is read as it is, and samples that repeat share a column.
    """

    def __init__(self, source, megabytes):
        self.index = source.index if isinstance(source, IndexedSource) else None
        self.source = source if self.index is None else source.source
        self.capacity = max(2, int(megabytes * MEGABYTE) // (8 * self.source.n_samples))
        self.kept = {}

    def __getitem__(self, i):
        return self._column(i) if self.index is None else self._column(self.index[i])[self.index]

    def _column(self, i):
        if isinstance(self.source, GramSource):
            return self.source.gram[i]
        column = self.kept.pop(i, None)
        if column is None:
            if len(self.kept) >= self.capacity:
                del self.kept[next(iter(self.kept))]
            column = self.source.block(np.array([i]), slice(None))[0]
        self.kept[i] = column
        return column


class Ascent:
    """The state of the coordinate ascent: duals beta, multiplier lam and gradient g = p - K beta."""

    def __init__(self, problem, beta, lam, columns, tally, end):
        self.problem, self.columns, self.tally, self.end = problem, columns, tally, end
        self.diagonal = problem.source.diagonal()
        self.largest = max(np.abs(self.diagonal).max(), _SMALLEST)
        self.beta, self.lam, self.last, self.least_slope = beta, lam, None, _LEAST_SLOPE
        self.refresh()

    def refresh(self):
        """Recompute the gradient from scratch: running sums drift."""
        self._mark(self.problem.gradient(self.beta))

    def _mark(self, gradient):
        """Gradients of all variables, of those that can grow (else -inf) and of those that can shrink (else inf)."""
        limits = self.lam * self.problem.bound
        self.low, self.high = np.minimum(0.0, limits), np.maximum(0.0, limits)
        # One array, so that a step changes all three by one operation.
        self.gradients = np.stack([gradient, gradient, gradient])
        self.gradient, self.grow, self.shrink = self.gradients
        self.grow[self.beta >= self.high], self.shrink[self.beta <= self.low] = -np.inf, np.inf

    @property
    def violation(self):
        """What `kkt_violation` is of the running gradient."""
        return float(self.grow.max() - self.shrink.min())

    def pair_steps(self, tol):
        """Pair steps until the violation is at most tol; returns False where the steps are used up or round to none."""
        beta, tally, diagonal = self.beta, self.tally, self.diagonal
        least = _LEAST_CURVATURE * self.largest
        floor = _UNITS * (self.largest * np.linalg.norm(beta) + np.abs(self.problem.linear).max())
        while tally.pair_steps < self.end and tally.left > 0:
            i = self.grow.argmax()
            gain = self.grow[i] - self.shrink
            if gain.max() <= max(tol, floor):
                return tol > floor
            gain = np.maximum(gain, 0.0)
            curvature = np.maximum(diagonal + (diagonal[i] - 2.0 * self.columns[i]), least)
            j = (gain * gain / curvature).argmax()
            tally.pair_steps += 1
            if not self._move(i, j, gain[j] / curvature[j]):
                return False
        return False

    def _move(self, i, j, t):
        """beta_i += t, beta_j -= t, or as far as both can, then exactly onto a bound; returns whether either moved."""
        beta, before = self.beta, (self.beta[i], self.beta[j])
        above, below = self.high[i] - beta[i], beta[j] - self.low[j]
        t = min(t, above, below)
        beta[i] = self.high[i] if t == above else beta[i] + t
        beta[j] = self.low[j] if t == below else beta[j] - t
        self.gradients -= t * (self.columns[i] - self.columns[j])
        for k in (i, j):
            self.grow[k] = self.gradient[k] if beta[k] < self.high[k] else -np.inf
            self.shrink[k] = self.gradient[k] if beta[k] > self.low[k] else np.inf
        return (beta[i], beta[j]) != before

    def totals(self):
        """The total slack that the hyperplane leaves, what the duals spend, and |w|^2."""
        p, sign, weight = self.problem.linear, self.problem.sign, self.problem.weight
        slack = slack_of(self.gradient - least_slack_intercept(self.gradient, sign, weight), sign)
        squared_norm = dot(self.beta, p - self.gradient)
        return dot(weight, slack), (dot(p, self.beta) - squared_norm) / self.lam, squared_norm

    def lam_step(self, excess, squared_norm, lam_max):
        """Move lam, and all duals with it, to where they spend no excess over the budget."""
        here, best = np.log(self.lam), squared_norm + self.lam * excess
        # Where the dual is not concave along lam, or the best lam negative, go far.
        is_concave = min(best, squared_norm) > 0
        change = np.log(best) - np.log(squared_norm) if is_concave else np.copysign(_LONGEST, excess)
        slope = 1.0
        if self.last is not None and self.last[0] != here:
            slope = (self.last[1] - change) / (here - self.last[0])
            falls_short = slope < self.least_slope and change * self.last[1] > 0
            self.least_slope = _FALL * self.least_slope if falls_short else _LEAST_SLOPE
            slope = np.clip(slope, self.least_slope, 1.0)
        self.last = here, change
        lam = min(self.lam * float(np.exp(np.clip(change / slope, -_LONGEST, _LONGEST))), lam_max)
        ratio, p, at_bound = lam / self.lam, self.problem.linear, self.beta == self.lam * self.problem.bound
        self.beta = np.where(at_bound, lam * self.problem.bound, ratio * self.beta)
        self.lam = lam
        self._mark(p - ratio * (p - self.gradient))
        self.tally.pair_steps += 1


def first_shape(problem):
    """The shape beta / lam of the solution in the limit lam -> 0, not balanced yet.

    Variables on the costly side of the best constant are at their bound, those at the constant balance them with equal
    shares of theirs. Of two classes that is the smaller at its bound and the larger in proportion.
    """
    costs = problem.sign * (problem.linear - problem.constant)
    costs[np.abs(costs) <= 1e-12 * np.abs(problem.linear).max()] = 0.0
    return problem.bound * np.heaviside(costs, 0.5)


def starting_point(problem):
    """The shape beta / lam of the solution in the limit lam -> 0, and the lam that is best for it, or the cost."""
    unit = feasible_duals(problem, first_shape(problem), 1.0)
    if problem.budget is None:
        return unit, float(problem.cost)
    curvature = dot(unit, problem.fit(unit))
    # Where the classes have the same mean: as if no two samples had anything in common.
    alone = dot(unit**2, np.abs(problem.source.diagonal()))
    curvature = curvature if curvature > 1e-9 * alone else max(alone, _SMALLEST)
    return unit, max(problem.largest_budget - problem.budget, _SMALLEST) / curvature


def likely_lam(problem, lam):
    """The lam that the budget may ask for, from that of the limit lam -> 0; a cost as it is.

    From there the total slack falls about as C_max / (1 + lam / constant).
    """
    if problem.budget is None:
        return lam
    return max(1.0, problem.largest_budget / max(problem.budget, problem.weight.min())) * lam


def ascend(problem, lam_max, *, start=None, tol, tally, cache_size, most=np.inf):
    """Pair steps and steps in lam until the fresh certificate holds.

    Parameters
    ----------
    problem : DualProblem, a budget being below `largest_budget`
    lam_max : float, the largest lam; where the budget asks for more, what is solved and certified is this cost
    start : (beta, lam) to start from, if any
    tol : float, the error that the certificate may have
    tally : Tally, counts the steps and says how many are left
    cache_size : float, megabytes of kernel columns
    most : steps to take at most

    Returns
    -------
    solution : DualSolution, of the points certified the one with the smallest error
    """
    budget, columns = problem.budget, ColumnCache(problem.source, cache_size)
    ascent = Ascent(problem, *_start(problem, lam_max, start), columns, tally, tally.pair_steps + most)
    unit, best, tight = max(budget or 0.0, problem.weight.min()), None, max(tol, _PAUSE * ascent.violation)
    while True:
        goes_on = ascent.pair_steps(tight)
        slack, spent, squared_norm = ascent.totals()
        stated, objective, excess, missed = problem, 0.5 * squared_norm, 0.0, 0.0
        if budget is None or (ascent.lam >= lam_max and spent > budget):
            stated, objective = problem.with_cost(ascent.lam), objective + ascent.lam * slack
        else:
            excess, missed = spent - budget, abs(slack - budget)
        tally.gap = ascent.lam * (slack - spent) / max(objective, _SMALLEST)
        holds = tight <= tol and missed <= tol * unit and ascent.lam * (slack - spent) <= tol * objective
        if holds or not goes_on:
            solution = certify(stated, ascent.beta.copy(), ascent.lam, tally.done(), tol)
            best = solution if best is None or solution.error <= best.error else best
            if not goes_on or best.is_within(tol):
                return best
            ascent.refresh()
        if max(0.5 * tol * unit, slack - spent) < abs(excess):
            ascent.lam_step(excess, squared_norm, lam_max)
            tight = max(tol, _PAUSE * ascent.violation)
        else:
            tight *= _PAUSE


def _start(problem, lam_max, start):
    """Duals and lam to start from: by default zero, from where only the duals that are needed grow."""
    if start is not None and start[1] > 0:
        beta, lam = start
        now = min(lam, lam_max) if problem.cost is None else problem.cost
        return feasible_duals(problem, now / lam * beta, now), now
    lam = likely_lam(problem, starting_point(problem)[1])
    return np.zeros(problem.n_samples), lam if problem.cost is not None else min(lam, lam_max)
