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
from .problem import gradients_of_movable, least_slack_intercept, slack_of
from .solve import solve
from .working_set import state_of

# Samples that may change side on the way of one removal, and that may stand elsewhere at once.
_MOST_STEPS, _MOST_CHANGED = 100, 48
# Outputs that are held at a time.
_AT_A_TIME = 2**21
# Violation, imbalance and budget error up to which a removal counts as solved.
_EXACT_ENOUGH = 1e-8
# Duals no further from an end of their range than this share of it are there.
_NEXT = 1e-12
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

    The free samples come first here, in the order `order` of the variables. The Gram matrix has a row a sample, which
    the two sides of a regression share: `row` is that of each variable.

    An output is told as a *room*, what must not become negative: the dual of a free sample, the residual of another,
    times the sign that makes it positive where the sample stands right.

    Raises
    ------
    numpy.linalg.LinAlgError : the kernel matrix of the free samples is not positive definite.
    """

    def __init__(self, problem, solution, fit, twin):
        self.budget, self.lam = problem.budget, solution.lam
        residual, side = problem.linear - fit - solution.intercept, state_of(problem, solution).side
        if self.budget is not None and not (side == BOUND).any():
            # No slack at all: any larger cost has this solution, and without a sample there is none either.
            self.budget, self.lam = None, _BEYOND * self.lam
        if not (side == FREE).any():
            # b may lie anywhere in an interval: it moves to the nearest end, where a sample is free.
            nearest = np.abs(residual).argmin()
            side[nearest], residual = FREE, residual - residual[nearest]
        order = np.argsort(side != FREE, kind="stable")
        self.place = np.empty_like(order)
        self.place[order] = np.arange(len(order))
        index = problem.source.index
        self.gram, self.row = problem.source.distinct.whole(), order if index is None else index[order]
        self.twin, self.side, self.beta, self.residual = (
            self.place[twin[order]],
            side[order],
            solution.beta[order],
            residual[order],
        )
        self.linear, self.bound = problem.linear[order], problem.bound[order]
        self.sign, self.weight = problem.sign[order], problem.weight[order]
        self.n_free = np.count_nonzero(side == FREE)
        self.residual[: self.n_free] = 0.0
        self.t = np.where(self.side == BOUND, self.bound, 0.0)
        self.towards = self._towards(self.side)
        # A row for each input, one for lam, and the rooms there are.
        self.rooms = self._rooms()
        self.of_lam = self.rooms[-2] * self.towards
        self.pull = matmul(self.gram, np.bincount(self.row, self.t, len(self.gram)))[self.row]

    def _towards(self, side, samples=slice(None)):
        """The sign of the room of samples on these sides."""
        sign = self.sign[samples]
        return np.where(side == ZERO, -sign, sign)

    def _rooms(self):
        """What inputs and lam do to the rooms, and the rooms of the solution (n + 2, n)."""
        n, m, towards = len(self.beta), self.n_free, self.towards
        free, rest = self.row[:m], self.row[m:]
        shift = spread_of(self.gram)
        delta = max(_REGULAR * shift, n * np.finfo(float).eps * np.abs(np.diagonal(self.gram)).max())
        factor = cholesky(shifted_gram(self.gram, free, shift, delta))
        to_rest = np.asfortranarray(self.gram[free][:, rest] + shift)
        H = solve_factorised(factor, to_rest.copy(order="F"))
        G = solve_factorised(factor, np.asfortranarray(np.eye(m)))
        ones = G.sum(axis=1)
        unmoved, total = 1.0 - H.sum(axis=0), ones.sum()
        rooms = np.empty((n + 2, n))
        of_rest, across = rooms[m:n, m:], rooms[:m, m:]
        of_rest[:] = matmul(np.ascontiguousarray(to_rest.T), H)
        of_rest -= self.gram[rest][:, rest]
        of_rest -= shift + np.outer(unmoved, unmoved / total)
        across[:] = H + np.outer(ones, unmoved / total)
        rooms[m:n, :m], rooms[:m, :m] = -across.T, np.outer(ones, ones / total) - G
        rooms[:n] *= towards
        rooms[n] = matmul(rooms[m:n].T, self.t[m:])
        rooms[n + 1] = towards * np.where(self.side == FREE, self.beta, self.residual)
        return rooms

    def decisions(self, removed):
        """The decisions on the removed samples, nan where they did not settle."""
        size, removed = max(1, _AT_A_TIME // len(self.beta)), self.place[removed]
        return np.concatenate([self._decisions(removed[k : k + size]) for k in range(0, len(removed), size)])

    def _decisions(self, removed):
        found = np.full(len(removed), np.nan)
        rows, side = np.arange(len(removed)), np.repeat(self.side[None], len(removed), axis=0)
        side[rows, removed] = ZERO
        share, distance = np.ones(len(removed)), np.broadcast_to(np.abs(self.residual), side.shape)
        for _ in range(_MOST_STEPS):
            side = self._balanced(side, distance, removed[rows])
            try:
                end, slope = self._line(side, removed[rows])
            except np.linalg.LinAlgError:
                break
            share, next_side = self._next_side(side, end, slope, share)
            done = share <= 0.0
            found[rows[done]] = self._checked(side[done], _Line(end.lam[done], end.room[done]), removed[rows[done]])
            going = ~done & ((next_side != self.side).sum(axis=1) <= _MOST_CHANGED)
            if not going.any():
                break
            rows, share = rows[going], share[going]
            distance = _Distance(side[going], end.room, slope.room, share, np.flatnonzero(going))
            side = next_side[going]
        return found

    def _next_side(self, side, end, slope, share):
        """The share of the removed dual at which the next sample changes side, 0 where none does, and the sides."""
        # Where a room, or a free sample's way to its bound, is negative in the end.
        r, k = np.nonzero(end.room < 0.0)
        beyond_r, beyond_k = np.nonzero(side == FREE)
        way, by_way = (
            line.lam[beyond_r] * self.weight[beyond_k] - line.room[beyond_r, beyond_k] for line in (end, slope)
        )
        out = way < 0.0
        at = np.concatenate([end.room[r, k], way[out]])
        by = np.concatenate([slope.room[r, k], by_way[out]])
        to = np.concatenate([np.where(side[r, k] == FREE, ZERO, FREE), np.full(np.count_nonzero(out), BOUND)])
        r, k = np.concatenate([r, beyond_r[out]]), np.concatenate([k, beyond_k[out]])
        falls = by > 0.0
        r, k, to, where = r[falls], k[falls], to[falls], -at[falls] / by[falls]
        first = np.zeros(len(side))
        np.maximum.at(first, r, where)
        is_first = where == first[r]
        side = side.copy()
        # One of them where several are.
        r, one = np.unique(r[is_first], return_index=True)
        side[r, k[is_first][one]] = to[is_first][one]
        return np.minimum(first, share), side

    def _balanced(self, side, distance, removed):
        """The sides, with the nearest sample that can take over what the removed one gives freed where none is free."""
        (stuck,) = np.nonzero(~(side == FREE).any(axis=1))
        if len(stuck) == 0:
            return side
        side, of_removed = side.copy(), self.sign[removed[stuck]][:, None]
        helps = np.where(side[stuck] == BOUND, -self.sign, self.sign) == of_removed
        distance = np.where(helps, distance[stuck], np.inf)
        distance[np.arange(len(stuck)), removed[stuck]] = np.inf
        side[stuck, distance.argmin(axis=1)] = FREE
        return side

    def _line(self, side, removed):
        """Where the sides lead when nothing of the removed dual is left, and how that depends on its share."""
        row = np.arange(len(side))
        changed = side != self.side
        changed[row, removed] = True
        samples, real = _padded(changed)
        now, was_free, pad = side[row[:, None], samples], samples < self.n_free, ~real
        t_now, t_was = np.where(now == BOUND, self.bound[samples], 0.0), self.t[samples]
        of_lam = self.of_lam[samples]
        table = self.rooms[samples[:, None, :], samples[:, :, None]] * self.towards[samples][:, :, None]
        # A known change of a dual, or an output that is known.
        given = ~was_free & (now != FREE) | pad
        q = samples.shape[1]
        matrix, rhs = np.zeros((len(side), q + 1, q + 1)), np.zeros((len(side), q + 1, 2))
        matrix[:, :q, :q] = np.where(given[:, :, None], np.eye(q), table)
        matrix[:, :q, q] = np.where(pad, 0.0, np.where(given, t_was - t_now, of_lam - np.where(was_free, t_now, 0.0)))
        target = np.where(now == FREE, -self.residual[samples], self.lam * t_now - self.beta[samples])
        rhs[:, :q, 0] = np.where(pad, 0.0, target)
        rhs[:, :q, 1] = np.where(real & (samples == removed[:, None]), self.beta[samples], 0.0)
        if self.budget is not None:
            rhs[:, q, 1] = -self.t[removed] * self.residual[removed]
        self._of_budget(matrix, rhs, real, was_free, t_now - t_was, of_lam, samples, table)
        solved = np.linalg.solve(matrix, rhs)
        solved[:, :q] = np.where(pad[:, :, None], 0.0, solved[:, :q])
        changes = _Changes(now, samples, real, removed)
        end = self._moved(changes, solved[:, :, 0], 1.0)
        return end._replace(lam=self.lam + end.lam), self._moved(changes, solved[:, :, 1], 0.0)

    def _moved(self, changes, solved, of_base):
        """lam and the rooms, moved by inputs and lam from the solution of all samples, or from nothing."""
        now, samples, real, removed = changes
        inputs, more = solved[:, :-1], solved[:, -1]
        row, towards, was_free = np.arange(len(samples)), self._towards(now, samples), samples < self.n_free
        rooms = self._products(inputs, more, of_base, samples, real)
        of_changed = np.where(was_free, inputs, self.towards[samples] * rooms[row[:, None], samples])
        entered = ~was_free & (now == FREE)
        dual = of_base * self.beta[samples] + more[:, None] * self.t[samples] + inputs
        of_changed = towards * np.where(entered, dual, of_changed)
        r, k = np.nonzero(real)
        rooms[r, samples[r, k]] = of_changed[r, k]
        # The removed sample limits nothing.
        rooms[row, removed] = rooms[row, self.twin[removed]] = 0.0
        return _Line(more, rooms)

    def _products(self, inputs, more, of_base, samples, real):
        """The rooms (m, n) that inputs, lam and the solution add up to: each row has few."""
        m, n = len(inputs), len(self.beta)
        columns = np.column_stack([samples, np.full(m, n), np.full(m, n + 1)])
        values = np.column_stack([inputs, more, np.full(m, of_base)])
        taken = np.column_stack([real, np.ones((m, 2), dtype=bool)])
        ends = np.concatenate([[0], np.cumsum(taken.sum(axis=1))])
        return csr_array((values[taken], columns[taken], ends), shape=(m, n + 2)) @ self.rooms

    def _of_budget(self, matrix, rhs, real, was_free, change, of_lam, samples, table):
        """The last equation: lam is the cost that was given, or the slack of those at bound the budget."""
        if self.budget is None:
            matrix[:, -1, -1] = 1.0
            return
        change = np.where(real, change, 0.0)
        of_rest = np.where(was_free, 0.0, change)
        row = np.where(was_free, change - of_lam, of_lam) + np.einsum("mq,mqk->mk", of_rest, table)
        matrix[:, -1, :-1] = np.where(real, row, 0.0)
        matrix[:, -1, -1] = dot(self.t, self.of_lam) + (of_rest * of_lam).sum(axis=1)
        spent = dot(self.t, self.residual) + (of_rest * self.residual[samples]).sum(axis=1)
        rhs[:, -1, 0] = self.budget - spent

    def _checked(self, side, end, removed):
        """The decisions on the removed samples from kernel values and duals alone; nan where the conditions fail."""
        row, lam = np.arange(len(removed)), end.lam[:, None]
        upper = lam * self.weight
        sign = np.repeat(self.sign[None], len(removed), axis=0)
        for gone in (removed, self.twin[removed]):
            upper[row, gone] = sign[row, gone] = 0.0
        dual = np.where(side == FREE, end.room, np.where(side == BOUND, upper, 0.0))
        # Next to an end of their range they are there: where all are, b may lie anywhere in an interval.
        dual = sign * np.select([dual <= _NEXT * upper, dual >= (1.0 - _NEXT) * upper], [0.0, upper], dual)
        # Those at bound before grow with lam: the rest has few columns.
        beyond = dual - lam * self.t
        beyond[row, removed] = 0.0
        columns = np.flatnonzero(beyond.any(axis=0))
        fit = matmul(np.ascontiguousarray(beyond[:, columns]), self.gram[self.row[columns]])
        fit -= (end.lam * self.t[removed])[:, None] * self.gram[self.row[removed]]
        fit = fit[:, self.row] + lam * self.pull
        gradient = self.linear - fit
        highest, lowest = gradients_of_movable(gradient, dual, upper, sign)
        intercept = 0.5 * (highest + lowest)
        error = np.maximum(highest - lowest, np.abs(dual.sum(axis=1)) / np.abs(dual).max(axis=1))
        if self.budget is not None:
            weight = np.where(sign != 0, self.weight, 0.0)
            spent = (weight * slack_of(gradient - intercept[:, None], sign)).sum(axis=1)
            scale = max(self.budget, self.weight.min())
            error = np.maximum(error, np.abs(spent - self.budget) / scale)
        return np.where(error <= _EXACT_ENOUGH, fit[row, removed] + intercept, np.nan)


class _Line(NamedTuple):
    """lam (m,) and rooms (m, n), or how fast they change."""

    lam: np.ndarray
    room: np.ndarray


class _Changes(NamedTuple):
    """The samples (m, q) with inputs, their sides, and which are no padding; the removed samples (m,)."""

    now: np.ndarray
    samples: np.ndarray
    real: np.ndarray
    removed: np.ndarray


class _Distance(NamedTuple):
    """How far samples are from the margin at a share of the removed dual, by the rooms at its end and their slope."""

    side: np.ndarray
    end: np.ndarray
    slope: np.ndarray
    share: np.ndarray
    rows: np.ndarray

    def __getitem__(self, some):
        rows = self.rows[some]
        rooms = np.abs(self.end[rows] + self.share[some, None] * self.slope[rows])
        return np.where(self.side[some] == FREE, 0.0, rooms)


def _padded(mask):
    """The columns (m, q) where the rows of a mask are true, and which are real: rows with fewer are filled up."""
    count = mask.sum(axis=1)
    row, column = np.nonzero(mask)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    samples, real = np.zeros((len(mask), count.max()), dtype=int), np.arange(count.max()) < count[:, None]
    samples[row, place] = column
    return samples, real
