"""Pair steps: coordinate ascent on the dual with the budget's multiplier as one more coordinate.

For fixed lam a pair (i, j) moves along e_i - e_j, which keeps 1'beta = 0: i is the steepest sample that can grow, j
promises the largest gain (Fan, Chen, Lin, Working set selection using second order information, JMLR 2005). In
(beta / lam, lam) the constraints are separable and the objective is smooth and concave in each block, so alternating
pair steps with the exact step in lam climbs to the optimum. Every step raises the dual objective; this is the solver
that always makes progress.
"""

import numpy as np

from .blas import dot
from .kernels import MEGABYTE, GramSource
from .problem import certify

# Pair steps between two steps in lam, as a share of the number of samples.
_BURST = 0.25
# Smallest curvature of a pair step, relative to the largest: guards duplicates and indefinite kernels.
_LEAST_CURVATURE = 1e-12


class ColumnCache:
    """Kernel columns, evaluated once and kept while they fit in `megabytes`; the longest-held one makes room."""

    def __init__(self, source, megabytes):
        self.source = source
        self.everything = np.arange(source.n_samples)
        capacity = int(megabytes * MEGABYTE) // (8 * source.n_samples)
        self.capacity = max(2, min(capacity, source.n_samples))
        self.kept = {}

    def __getitem__(self, i):
        if isinstance(self.source, GramSource):
            return self.source.gram[i]
        if i not in self.kept:
            if len(self.kept) >= self.capacity:
                del self.kept[next(iter(self.kept))]
            self.kept[i] = self.source.block(np.array([i]), self.everything)[0]
        return self.kept[i]


class Ascent:
    """The state of the coordinate ascent: duals beta, multiplier lam and gradient g = y - K beta."""

    def __init__(self, problem, beta, lam, columns):
        self.problem = problem
        self.columns = columns
        self.diagonal = problem.source.diagonal()
        self.positive = problem.target > 0
        self.beta, self.lam = beta.copy(), lam
        self.refresh()

    def refresh(self):
        """Recompute the gradient from scratch: running sums drift."""
        support = np.flatnonzero(self.beta)
        self.gradient = self.problem.target - self.problem.source.apply(support, self.beta[support])

    def _mark_movable(self):
        """Gradients of the samples that can grow (else -inf) and that can shrink (else +inf)."""
        magnitude = self.problem.target * self.beta
        has_room, has_mass = magnitude < self.lam * self.problem.weight, magnitude > 0
        self.low = np.minimum(0.0, self.lam * self.problem.bound)
        self.high = np.maximum(0.0, self.lam * self.problem.bound)
        grow = np.where(np.where(self.positive, has_room, has_mass), self.gradient, -np.inf)
        shrink = np.where(np.where(self.positive, has_mass, has_room), self.gradient, np.inf)
        # One array, so that a step changes all three by one operation.
        self.gradients = np.stack([self.gradient, grow, shrink])
        self.gradient, self.grow, self.shrink = self.gradients

    def pair_steps(self, count, tol):
        """Up to `count` pair steps; returns how many were taken before the violation fell to tol."""
        self._mark_movable()
        least = _LEAST_CURVATURE * max(np.abs(self.diagonal).max(), np.finfo(float).tiny)
        # The vectors are short: allocating them would cost as much as the arithmetic.
        gain, curvature, promise = np.empty((3, len(self.beta)))
        for step in range(count):
            i = int(self.grow.argmax())
            highest = self.grow[i]
            if highest - self.shrink[self.shrink.argmin()] <= tol:
                return step
            column = self.columns[i]
            np.multiply(column, -2.0, out=curvature)
            np.add(curvature, self.diagonal, out=curvature)
            np.add(curvature, self.diagonal[i], out=curvature)
            np.maximum(curvature, least, out=curvature)
            np.subtract(highest, self.shrink, out=gain)
            np.maximum(gain, 0.0, out=gain)
            np.multiply(gain, gain, out=promise)
            np.divide(promise, curvature, out=promise)
            j = int(promise.argmax())
            t = gain[j] / curvature[j]
            t = min(t, self.high[i] - self.beta[i], self.beta[j] - self.low[j])
            self._move(i, j, t, column, self.columns[j])
        return count

    def _move(self, i, j, t, column_i, column_j):
        """beta_i += t, beta_j -= t, ending exactly on a bound where the step reaches it."""
        beta, low, high = self.beta, self.low, self.high
        beta[i] = high[i] if t >= high[i] - beta[i] else beta[i] + t
        beta[j] = low[j] if t >= beta[j] - low[j] else beta[j] - t
        change = t * (column_i - column_j)
        self.gradients -= change
        for k in (i, j):
            self.grow[k] = self.gradient[k] if beta[k] < high[k] else -np.inf
            self.shrink[k] = self.gradient[k] if beta[k] > low[k] else np.inf

    def lam_step(self):
        """The exact maximum along lam with beta / lam held: lam = (y'a - C) / (a'K a), a = beta / lam.

        Returns whether there is one: not where a'K a <= 0, as for an indefinite kernel or an infeasible budget.
        """
        y, beta, lam = self.problem.target, self.beta, self.lam
        fit = y - self.gradient
        curvature = dot(beta, fit)
        reward = dot(y, beta) - lam * self.problem.budget
        if curvature <= 0 or reward <= 0:
            return False
        ratio = reward / curvature
        at_bound = np.abs(beta) >= lam * self.problem.weight
        self.lam = lam * ratio
        self.beta = np.where(at_bound, self.lam * self.problem.bound, beta * ratio)
        self.gradient = y - ratio * fit
        return True


def starting_point(problem):
    """beta / lam in the limit lam -> 0 (minority class at its bound, majority in proportion) and its best lam."""
    y, s = problem.target, problem.weight
    least = 0.5 * problem.largest_budget
    unit = problem.bound * np.where(y > 0, least / s[y > 0].sum(), least / s[y < 0].sum())
    everything = np.arange(problem.n_samples)
    curvature = dot(unit, problem.source.apply(everything, unit))
    return unit, (problem.largest_budget - problem.budget) / curvature if curvature > 0 else 1.0


def ascend(problem, beta, lam, *, tol, max_iter, cache_size):
    """Pair steps and steps in lam from (beta, lam) until the fresh certificate holds or max_iter steps are spent.

    A step in lam counts as one.
    """
    ascent = Ascent(problem, beta, lam, ColumnCache(problem.source, cache_size))
    burst = max(10, int(_BURST * problem.n_samples))
    n_iter, inner = 0, 0.3 * tol
    while n_iter < max_iter:
        before = ascent.lam
        taken = ascent.pair_steps(min(burst, max_iter - n_iter), inner)
        n_iter = min(n_iter + taken + 1, max_iter)
        bounded = ascent.lam_step()
        stands = taken == 0 and abs(ascent.lam - before) <= 1e-12 * before
        if taken < burst or not bounded:
            ascent.refresh()
            solution = certify(problem, ascent.beta, ascent.lam, ascent.gradient, n_iter, tol)
            if solution.is_within(tol) or stands or not bounded:
                return solution
    ascent.refresh()
    return certify(problem, ascent.beta, ascent.lam, ascent.gradient, n_iter, tol)
