"""Exact leave-one-out decisions: each support vector is taken out of the solution of all samples, and pivoting goes on.

A sample whose dual is 0 costs no slack: without it the solution is the same, whether the total budget or the cost is
held. Without a support vector few others change side. So the conditions of `kkt` are solved once for the free samples
and the intercept, for every change there can be, and all removals share that table. With the residuals
g = p - K beta - b it maps inputs to outputs:

    sample at zero or at bound    input: change of its dual     output: change of its residual
    free sample                   input: change of its residual output: change of its dual

(a principal pivot transform: Tucker 1960; Cottle, Pang, Stone, The Linear Complementarity Problem, 1992, chapter 2;
exact leave-one-out by such steps: Cauwenberghs, Poggio, NIPS 2000).

A removal takes the dual of its sample down to 0
along a path that is linear between changes of side (the budget gives way by the slack that is removed, in proportion),
one change after the other. Its inputs are those of its own sample and of the q that changed side, and lam: a system of
q + 1 equations, and n (q + 1) operations for all outputs. All removals take their steps side by side; those that do not
arrive, or whose conditions do not hold afresh, are solved from nothing.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from ..kernels.blas import dot, matmul
from ..kernels.sources import MEGABYTE
from .factor import cholesky, shifted_gram, solve_factorised
from .kkt import BOUND, FREE, ZERO, spread_of, twins_of
from .problem import kkt_violation, least_slack_intercept, slack_of
from .solve import solve
from .working_set import state_of

# Samples that may change side on the way of one removal, and that may stand elsewhere at once.
_MOST_STEPS, _MOST_CHANGED = 100, 48
# Outputs that are held at a time.
_AT_A_TIME = 2**21
# Violation, imbalance and budget error up to which a removal counts as solved.
_EXACT_ENOUGH = 1e-8
# Where there is no slack lam is any cost large enough: this many times the least is, without a sample too.
_BEYOND = 1e3
# The weight that keeps the conditions regular, relative to the spread.
_REGULAR = 1e-12


def left_out_decisions(problem, solution, *, tol=1e-3, max_iter=100_000, cache_size=200.0):
    """The decision on each sample by the solution of all others, with the same total budget or the same cost.

    Of a regression it is found for the side that holds the sample: the sample only gets further away without it, and
    the other side holds nothing.

    Parameters
    ----------
    problem : DualProblem with a budget or a cost; of a regression a sample is left out with both its sides
    solution : DualSolution of it; where its budget was not kept, the budget in force is what the others may spend
    tol, max_iter, cache_size : as for `solve`

    Returns
    -------
    ndarray (n,) : where the budget pays for a constant, or there is one class left, the others' constant
    """
    if problem.budget is not None:
        problem = problem.with_budget(solution.budget)
    everyone, twin = np.arange(problem.n_samples), _twins(problem)
    solution = _on_one_side_each(problem, solution, twin)
    fit = problem.fit(solution.beta)
    decisions = fit + solution.intercept
    constant = _constants_without(problem, decisions, twin)
    removed = np.flatnonzero((solution.beta != 0) & ~constant)
    left = removed
    if len(removed) and 24 * problem.n_samples**2 <= cache_size * MEGABYTE:
        try:
            table = _Table(problem.stored(), solution, fit, twin)
            found = table.decisions(removed)
        except np.linalg.LinAlgError:
            found = np.full(len(removed), np.nan)
        decisions[removed] = found
        left = removed[np.isnan(found)]
    for i in left:
        others = np.delete(everyone, [i, twin[i]])
        without = solve(problem.take(others), tol=tol, max_iter=max_iter, cache_size=cache_size)
        support = np.flatnonzero(without.beta)
        (value,) = problem.source.apply(others[support], without.beta[support], np.array([i]))
        decisions[i] = value + without.intercept
    return decisions


def _twins(problem):
    """The other side of each sample of a regression; each variable itself where there is none."""
    index = problem.source.index
    return np.arange(problem.n_samples) if index is None else twins_of(index)


def _on_one_side_each(problem, solution, twin):
    """The solution, with what both sides of a sample hold left out of either: in a tube of no width they may share."""
    shared = np.where(twin == np.arange(len(twin)), 0.0, np.minimum(np.abs(solution.beta), np.abs(solution.beta[twin])))
    return replace(solution, beta=solution.beta - problem.sign * shared)


def _constants_without(problem, decisions, twin):
    """Mask of the variables without which a constant is the solution: the decisions on them become that constant."""
    weight, linear, sign = problem.weight, problem.linear, problem.sign
    rounding, budget = 1e-12 * weight.sum(), problem.charge
    if np.all(linear == sign):
        left = problem.bound.sum() - problem.bound
        least, constant = weight.sum() - weight - np.abs(left), np.where(left >= 0, 1.0, -1.0)
    elif budget < problem.largest_budget - weight.max() * np.ptp(linear) - rounding:
        # The slack of the best constant falls by no more than that of one variable.
        return np.zeros(problem.n_samples, dtype=bool)
    else:
        everyone, weight = np.arange(problem.n_samples), np.tile(weight, (problem.n_samples, 1))
        weight[everyone, everyone] = weight[everyone, twin] = 0.0
        constant = least_slack_intercept(np.broadcast_to(linear, weight.shape), sign, weight)
        least = (weight * slack_of(linear - constant[:, None], sign)).sum(axis=1)
    found = (least <= rounding) | (budget >= least * (1.0 - 1e-12))
    decisions[found] = constant[found]
    return found


class _Table:
    """What every input does to every output, around the solution of all samples.

    The Gram matrix has a row a sample, which the two sides of a regression share: `row` is that of each variable.

    Raises
    ------
    numpy.linalg.LinAlgError : the kernel matrix of the free samples is not positive definite.
    """

    def __init__(self, problem, solution, fit, twin):
        self.twin = twin
        self.gram, self.beta, self.lam = problem.source.distinct.whole(), solution.beta, solution.lam
        index = problem.source.index
        self.row = np.arange(problem.n_samples) if index is None else index
        self.residual = problem.linear - fit - solution.intercept
        self.side = state_of(problem, solution).side
        if problem.budget is not None and not (self.side == BOUND).any():
            # No slack at all: any larger cost has this solution, and without a sample there is none either.
            self.lam *= _BEYOND
            problem = problem.with_cost(self.lam)
        self.problem = problem
        self._at_least_one_free()
        self.free = self.side == FREE
        self.t = np.where(self.side == BOUND, problem.bound, 0.0)
        self.largest = np.abs(np.diagonal(self.gram)).max()
        self.map = self._map()
        # The table is symmetric but for the sign where one of input and output is of a free sample.
        self.sign = np.where(self.free, -1.0, 1.0)
        self.of_lam = matmul(self.map, self.t)
        self.pull = matmul(self.gram, np.bincount(self.row, self.t, len(self.gram)))[self.row]

    def _at_least_one_free(self):
        """Without a free sample b may lie anywhere in an interval: it moves to the nearest end, where one is free."""
        if not (self.side == FREE).any():
            nearest = np.abs(self.residual).argmin()
            self.side[nearest] = FREE
            self.residual = self.residual - self.residual[nearest]

    def _map(self):
        """The table (n, n)."""
        F, N, n = np.flatnonzero(self.free), np.flatnonzero(~self.free), len(self.beta)
        rows_of_free, rows_of_rest = self.row[F], self.row[N]
        shift = spread_of(self.gram)
        delta = max(_REGULAR * shift, n * np.finfo(float).eps * self.largest)
        factor = cholesky(shifted_gram(self.gram, rows_of_free, shift, delta))
        to_rest = np.asfortranarray(self.gram[rows_of_free][:, rows_of_rest] + shift)
        H = solve_factorised(factor, to_rest.copy(order="F"))
        G = solve_factorised(factor, np.asfortranarray(np.eye(len(F))))
        ones = G.sum(axis=1)
        unmoved = 1.0 - H.sum(axis=0)
        table, total = np.empty((n, n)), ones.sum()
        rest = self.gram[rows_of_rest][:, rows_of_rest] + shift - matmul(np.ascontiguousarray(to_rest.T), H)
        table[np.ix_(N, N)] = -rest - np.outer(unmoved, unmoved) / total
        across = H + np.outer(ones, unmoved) / total
        table[np.ix_(F, N)], table[np.ix_(N, F)] = -across, across.T
        table[np.ix_(F, F)] = np.outer(ones, ones) / total - G
        return table

    def decisions(self, removed):
        """The decisions on the removed samples, nan where they did not settle."""
        size = max(1, _AT_A_TIME // len(self.beta))
        return np.concatenate([self._decisions(removed[k : k + size]) for k in range(0, len(removed), size)])

    def _decisions(self, removed):
        found = np.full(len(removed), np.nan)
        rows, side = np.arange(len(removed)), np.repeat(self.side[None], len(removed), axis=0)
        side[rows, removed] = ZERO
        side, share = self._balanced(side, np.broadcast_to(self.residual, side.shape), removed), np.ones(len(removed))
        for _ in range(_MOST_STEPS):
            try:
                end, slope = self._line(side, removed[rows])
            except np.linalg.LinAlgError:
                break
            share, side = self._next_side(side, end, slope, share, removed[rows])
            done = share <= 0.0
            found[rows[done]] = self._checked(end.lam[done], end.dual[done], removed[rows[done]])
            going = ~done & ((side != self.side).sum(axis=1) <= _MOST_CHANGED)
            if not going.any():
                break
            residual = end.residual[going] + share[going, None] * slope.residual[going]
            rows, side, share = rows[going], side[going], share[going]
            side = self._balanced(side, residual, removed[rows])
        return found

    def _next_side(self, side, end, slope, share, removed):
        """The share of the removed dual at which the next sample changes side, 0 where none does, and the sides."""
        sign, weight, row = self.problem.sign, self.problem.weight, np.arange(len(side))
        free = side == FREE
        # What must not become negative: at share 0, and its slope. Free samples have two ends.
        inside = np.where(side == ZERO, -sign, sign)
        at, by = (np.where(free, sign * line.dual, inside * line.residual) for line in (end, slope))
        # Few columns have free samples.
        some = np.flatnonzero(free.any(axis=0))
        weight, of_some = weight[some], sign[some]
        above, above_by = (line.lam[:, None] * weight - of_some * line.dual[:, some] for line in (end, slope))
        by[row, removed] = by[row, self.twin[removed]] = 0.0
        low, high = _zeros_of(at, by, True), _zeros_of(above, above_by, free[:, some])
        low_first, high_first = low.argmax(axis=1), some[high.argmax(axis=1)]
        lowest, highest = low[row, low_first], high.max(axis=1)
        first = np.where(lowest >= highest, low_first, high_first)
        side = side.copy()
        was_free = free[row, first]
        side[row, first] = np.where(was_free, np.where(lowest >= highest, ZERO, BOUND), FREE)
        next_share = np.minimum(np.maximum(lowest, highest), share)
        return np.maximum(next_share, 0.0), side

    def _balanced(self, side, residual, removed):
        """The sides, with the nearest sample that can take over what the removed one gives freed where none is free."""
        (stuck,) = np.nonzero(~(side == FREE).any(axis=1))
        if len(stuck) == 0:
            return side
        side, of_removed = side.copy(), self.problem.sign[removed[stuck]][:, None]
        helps = np.where(side[stuck] == BOUND, -self.problem.sign, self.problem.sign) == of_removed
        distance = np.where(helps, np.abs(residual[stuck]), np.inf)
        distance[np.arange(len(stuck)), removed[stuck]] = np.inf
        side[stuck, distance.argmin(axis=1)] = FREE
        return side

    def _line(self, side, removed):
        """Where the sides lead when nothing of the removed dual is left, and how that depends on its share."""
        row = np.arange(len(side))
        changed = side != self.side
        changed[row, removed] = True
        samples, real = _padded(changed)
        now, was_free = side[row[:, None], samples], self.free[samples]
        pad = ~real
        t_now = np.where(now == BOUND, self.problem.bound[samples], 0.0)
        t_was, of_lam = self.t[samples], self.of_lam[samples]
        table = self.map[samples[:, :, None], samples[:, None, :]]
        # A known change of a dual, or an output that is known.
        given = ~was_free & (now != FREE) | pad
        q = samples.shape[1]
        matrix, rhs = np.zeros((len(side), q + 1, q + 1)), np.zeros((len(side), q + 1, 2))
        matrix[:, :q, :q] = np.where(given[:, :, None], np.eye(q), table)
        matrix[:, :q, q] = np.where(pad, 0.0, np.where(given, t_was - t_now, of_lam - np.where(was_free, t_now, 0.0)))
        target = np.where(now == FREE, -self.residual[samples], self.lam * t_now - self.beta[samples])
        rhs[:, :q, 0] = np.where(pad, 0.0, target)
        rhs[:, :q, 1] = np.where(real & (samples == removed[:, None]), self.beta[samples], 0.0)
        if self.problem.budget is not None:
            rhs[:, q, 1] = -self.t[removed] * self.residual[removed]
        self._of_budget(matrix, rhs, real, was_free, t_now - t_was, of_lam, samples, table)
        solved = np.linalg.solve(matrix, rhs)
        solved[:, :q] = np.where(pad[:, :, None], 0.0, solved[:, :q])
        changes = _Changes(side, samples, real, real & was_free, real & ~was_free & (now == FREE), t_was)
        base = _Line(self.lam, self.beta, self.residual)
        nothing = _Line(0.0, np.zeros_like(self.beta), np.zeros_like(self.beta))
        return self._moved(base, changes, solved[:, :, 0]), self._moved(nothing, changes, solved[:, :, 1])

    def _moved(self, start, changes, solved):
        """The line's start, moved by inputs and lam."""
        inputs, more = solved[:, :-1], solved[:, -1:]
        outputs = self._outputs(changes, inputs)
        outputs += more * self.of_lam
        outputs += np.where(self.free, start.dual, start.residual)
        lam = start.lam + more
        residual = np.where(self.free, 0.0, outputs)
        fixed = np.where(changes.side == BOUND, lam * self.problem.bound, 0.0)
        dual = np.where(self.free & (changes.side == FREE), outputs, fixed)
        r, k = np.nonzero(changes.left)
        residual[r, changes.samples[r, k]] = inputs[r, k]
        r, k = np.nonzero(changes.entered)
        dual[r, changes.samples[r, k]] = (start.dual[changes.samples] + more * changes.t_was + inputs)[r, k]
        return _Line(lam[:, 0], dual, residual)

    def _outputs(self, changes, inputs):
        """What the inputs do to all outputs (m, n): each row has few."""
        ends = np.concatenate([[0], np.cumsum(changes.real.sum(axis=1))])
        shape = len(inputs), len(self.beta)
        samples = changes.samples[changes.real]
        signed = csr_array((self.sign[samples] * inputs[changes.real], samples, ends), shape=shape)
        return (signed @ self.map) * self.sign

    def _of_budget(self, matrix, rhs, real, was_free, change, of_lam, samples, table):
        """The last equation: lam is the cost that was given, or the slack of those at bound the budget."""
        if self.problem.budget is None:
            matrix[:, -1, -1] = 1.0
            return
        change = np.where(real, change, 0.0)
        of_rest = np.where(was_free, 0.0, change)
        row = np.where(was_free, change - of_lam, of_lam) + np.einsum("mq,mqk->mk", of_rest, table)
        matrix[:, -1, :-1] = np.where(real, row, 0.0)
        matrix[:, -1, -1] = dot(self.t, self.of_lam) + (of_rest * of_lam).sum(axis=1)
        spent = dot(self.t, self.residual) + (of_rest * self.residual[samples]).sum(axis=1)
        rhs[:, -1, 0] = self.problem.budget - spent

    def _checked(self, lam, dual, removed):
        """The decisions on the removed samples from kernel values and duals alone; nan where the conditions fail."""
        row = np.arange(len(removed))
        upper = lam[:, None] * self.problem.weight
        upper[row, removed] = 0.0
        sign = np.repeat(self.problem.sign[None], len(removed), axis=0)
        sign[row, removed] = sign[row, self.twin[removed]] = 0.0
        weight = np.where(sign != 0, self.problem.weight, 0.0)
        dual = np.clip(sign * dual, 0.0, upper) * sign
        # Those at bound before grow with lam: the rest has few columns.
        beyond = dual - lam[:, None] * self.t
        beyond[row, removed] = 0.0
        columns = np.flatnonzero(beyond.any(axis=0))
        fit = matmul(np.ascontiguousarray(beyond[:, columns]), self.gram[self.row[columns]])
        fit -= (lam * self.t[removed])[:, None] * self.gram[self.row[removed]]
        fit = fit[:, self.row] + lam[:, None] * self.pull
        gradient = self.problem.linear - fit
        intercept = least_slack_intercept(gradient, sign, weight)
        # The removed sample limits nothing.
        kept = np.where(sign != 0, gradient, intercept[:, None])
        error = kkt_violation(kept, dual, upper, sign)
        error = np.maximum(error, np.abs(dual.sum(axis=1)) / np.abs(dual).max(axis=1))
        if self.problem.budget is not None:
            spent = (weight * slack_of(gradient - intercept[:, None], sign)).sum(axis=1)
            scale = max(self.problem.budget, self.problem.weight.min())
            error = np.maximum(error, np.abs(spent - self.problem.budget) / scale)
        return np.where(error <= _EXACT_ENOUGH, fit[row, removed] + intercept, np.nan)


class _Line(NamedTuple):
    """lam, duals and residuals, or how fast they change."""

    lam: object
    dual: np.ndarray
    residual: np.ndarray


class _Changes(NamedTuple):
    """Sides (m, n); the samples (m, q) with inputs; which are no padding, were free, are free now; bounds before."""

    side: np.ndarray
    samples: np.ndarray
    real: np.ndarray
    left: np.ndarray
    entered: np.ndarray
    t_was: np.ndarray


def _zeros_of(at, by, where):
    """Where at + share * by reaches 0 as the share falls; -inf where it does not."""
    return np.divide(-at, by, out=np.full(at.shape, -np.inf), where=where & (by > 0))


def _padded(mask):
    """The columns (m, q) where the rows of a mask are true, and which are real: rows with fewer are filled up."""
    count = mask.sum(axis=1)
    row, column = np.nonzero(mask)
    count = mask.sum(axis=1)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    samples, real = np.zeros((len(mask), count.max()), dtype=int), np.arange(count.max()) < count[:, None]
    samples[row, place] = column
    return samples, real
