"""The pivoting of `active_set`, of many problems in each call of numpy.

One-versus-one on a hundred classes is 4,950 problems of a few samples each. One by one a solve is some fifty calls of
numpy a round on a handful of numbers; together a problem takes as long as its arithmetic. The conditions are those of
`kkt`, in arrays (k, m) and (k, m, m) of k blocks on m variables each. Blocks that do not settle soon say so.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from .active_set import EXACT, LAM_RANGE, PULLED, TOLERANCES, sides_asked_for
from .kkt import BOUND, FREE, ROUNDING, UNITS, ZERO
from .problem import least_slack_intercept, slack_of

# The proximal weights of the pivotings that follow each other, relative to the scale, and the rounds of all of them.
_STAGES, MOST_ROUNDS = np.array([0.1, 0.01, EXACT]), 60
ROUGHLY, NEARLY, EXACTLY = range(len(_STAGES))
# The last entry of the conditions' diagonal, in units of 1 / scale: it keeps them regular where no sample is free.
_REGULAR = 1e-14
_EPS = np.finfo(float).eps


class Fixed(NamedTuple):
    """What samples held at their bound, outside the blocks, add to their conditions: `kkt.FixedSamples` in arrays.

    pull : ndarray (k, m);  curvature, reward, total : ndarrays (k,)
    """

    pull: np.ndarray
    curvature: np.ndarray
    reward: np.ndarray
    total: np.ndarray

    @classmethod
    def none(cls, shape):
        """Nothing is held."""
        return cls(np.zeros(shape), *np.zeros((3, shape[0])))

    def take(self, which):
        """Those of some of the blocks."""
        return Fixed(*(values[which] for values in self))


@dataclass(frozen=True)
class Blocks:
    """k blocks of m variables each, one a row.

    gram : ndarray (k, m, m)
    linear, bound : ndarrays (k, m), the bound being 0 where a block has no such variable
    budget, least_lam, most_lam : ndarrays (k,); where a cost is given it is both ends of the range of lam
    scale : ndarray (k,), the mean squared distance of the samples from their mean in feature space
    fixed : Fixed
    """

    gram: np.ndarray
    linear: np.ndarray
    bound: np.ndarray
    budget: np.ndarray
    least_lam: np.ndarray
    most_lam: np.ndarray
    scale: np.ndarray
    fixed: Fixed

    @classmethod
    def of(cls, stack, gram, reach, columns=None, fixed=None):
        """The variables `columns` (k, m) of each problem, all if None, with their kernel values; lam followed to
        `reach` over the scale."""
        linear, bound = stack.linear, stack.bound
        if columns is not None:
            linear, bound = np.take_along_axis(linear, columns, axis=1), np.take_along_axis(bound, columns, axis=1)
        # Where a problem has no such variable it has no kernel values.
        there = bound != 0
        gram = gram * (there[:, :, None] & there[:, None, :])
        scale = _spread(gram, np.count_nonzero(there, axis=1))
        zeros = np.zeros(len(stack))
        budget = zeros if stack.budget is None else stack.budget
        least, most = (zeros, reach / scale) if stack.cost is None else (stack.cost, stack.cost)
        return cls(gram, linear, bound, budget, least, most, scale, Fixed.none(bound.shape) if fixed is None else fixed)

    def take(self, which):
        """Some of the blocks."""
        own = (getattr(self, field.name) for field in fields(self))
        return Blocks(*(part.take(which) if isinstance(part, Fixed) else part[which] for part in own))

    def fit(self, beta):
        """K beta."""
        return np.matmul(self.gram, beta[:, :, None])[:, :, 0]


def _spread(gram, count):
    """`kkt.spread_of`, of each of the blocks with so many variables."""
    diagonal = np.einsum("kii->ki", gram)
    spread = diagonal.sum(axis=1) / count - gram.sum(axis=(1, 2)) / count**2
    largest = np.abs(diagonal).max(axis=1)
    told, alike = np.maximum(spread, 1e-12 * largest), np.where(largest > 0, largest, 1.0)
    return np.where(spread > ROUNDING * largest, told, alike)


class Guess(NamedTuple):
    """Where the pivoting of each block begins or stands: sides, the centre's shape (k, m), its lam and which proximal
    weight is on (k,)."""

    side: np.ndarray
    shape: np.ndarray
    lam: np.ndarray
    stage: np.ndarray

    def take(self, which):
        """Those of some of the blocks."""
        return Guess(*(values[which] for values in self))


def start(blocks):
    """The limit lam -> 0, with the lam that is best for it: all on the costly side of the best constant at bound."""
    sign, weight = np.sign(blocks.bound), np.abs(blocks.bound)
    constant = least_slack_intercept(blocks.linear, sign, weight)
    costs = sign * (blocks.linear - constant[:, None])
    at_constant = (np.abs(costs) <= 1e-12 * np.abs(blocks.linear).max(axis=1)[:, None]) & (sign != 0)
    costly = (costs > 0) & ~at_constant
    shape = np.where(costly, blocks.bound, 0.0)
    # Those at the constant whose bounds have the sign that is missing take equal shares of the balance.
    missing = -shape.sum(axis=1)[:, None]
    balance = np.where(at_constant & (blocks.bound * missing > 0), blocks.bound, 0.0)
    room = balance.sum(axis=1)[:, None]
    shape += np.divide(missing, room, out=np.zeros_like(room), where=room != 0) * balance
    curvature = np.einsum("ki,ki->k", shape, blocks.fit(shape))
    alone = np.einsum("ki,kii->k", shape**2, blocks.gram)
    curvature = np.where(curvature > 1e-9 * alone, curvature, alone)
    unspent = np.einsum("ki,ki->k", weight, slack_of(blocks.linear - constant[:, None], sign)) - blocks.budget
    lam = np.divide(unspent, curvature, out=1.0 / blocks.scale, where=curvature > 0)
    side = np.select([costly, at_constant], [BOUND, FREE], ZERO)
    return Guess(side, shape, np.clip(lam, blocks.least_lam, blocks.most_lam), np.zeros(len(lam), dtype=int))


def _solve_round(blocks, guess, delta):
    """The solution of the conditions for the guess: duals, lam, b, y - f - b, and whether lam meets the budget."""
    k, m = guess.side.shape
    free, t = guess.side == FREE, np.where(guess.side == BOUND, blocks.bound, 0.0)
    fixed, shift = blocks.fixed, blocks.scale
    pull, total = blocks.fit(t) + fixed.pull, t.sum(axis=1) + fixed.total
    coupling = np.where(free, pull + (shift * total)[:, None] - delta[:, None] * guess.shape, 0.0)
    # The conditions of beta_F and b. The columns are those of the free, filled up with others that read beta_i = 0.
    columns = np.argsort(~free, axis=1, kind="stable")[:, : free.sum(axis=1).max()]
    is_free, of_free = np.take_along_axis(free, columns, axis=1), lambda v: np.take_along_axis(v, columns, axis=1)
    f = columns.shape[1]
    matrix, rhs, on = np.zeros((k, f + 1, f + 1)), np.zeros((k, f + 1, 2)), np.arange(f)
    gram = blocks.gram[np.arange(k)[:, None, None], columns[:, :, None], columns[:, None, :]]
    gram += shift[:, None, None]
    np.multiply(gram, is_free[:, :, None] & is_free[:, None, :], out=matrix[:, :f, :f])
    matrix[:, on, on] += np.where(is_free, delta[:, None], 1.0)
    matrix[:, :f, f] = matrix[:, f, :f] = is_free
    matrix[:, f, f] = -_REGULAR / shift
    rhs[:, :f, 0], rhs[:, :f, 1] = is_free * of_free(blocks.linear), of_free(coupling)
    rhs[:, f, 1] = total
    constant, slope = np.moveaxis(np.linalg.solve(matrix, rhs), 2, 0)
    # The budget is spent.
    away = t - guess.shape
    curvature = fixed.curvature + (t * (pull + fixed.pull)).sum(axis=1) + shift * total**2
    curvature += delta * ((away**2).sum(axis=1) + 1.0)
    spare = (blocks.linear * t).sum(axis=1) + fixed.reward - blocks.budget + delta * guess.lam
    fall = curvature - (rhs[:, :, 1] * slope).sum(axis=1)
    excess = spare - (rhs[:, :, 1] * constant).sum(axis=1)
    far = np.where(excess > 0, np.inf, 0.0)
    wanted = np.divide(excess, fall, out=far, where=fall > ROUNDING * np.abs(curvature))
    wanted = np.clip(wanted, blocks.least_lam, blocks.most_lam)
    lam = np.clip(wanted, guess.lam / LAM_RANGE, guess.lam * LAM_RANGE)
    solved = constant - lam[:, None] * slope
    beta = lam[:, None] * t
    np.put_along_axis(beta, columns, of_free(beta) + is_free * solved[:, :f], axis=1)
    gradient = blocks.linear - blocks.fit(beta) - lam[:, None] * fixed.pull
    gradient -= delta[:, None] * (beta - lam[:, None] * guess.shape)
    middle = _middle_intercept(gradient, guess.side, blocks.bound)
    intercept = np.where(free.any(axis=1), solved[:, f], middle)
    return beta, lam, intercept, gradient - intercept[:, None], lam == wanted


def _middle_intercept(gradient, side, bound):
    """The middle of the intercepts that leave every sample at zero or at its bound on its side."""
    above = (side == BOUND) == (bound > 0)
    highest = np.where(~above & (bound != 0), gradient, -np.inf).max(axis=1)
    lowest = np.where(above & (bound != 0), gradient, np.inf).min(axis=1)
    highest, lowest = np.where(np.isinf(highest), lowest, highest), np.where(np.isinf(lowest), highest, lowest)
    return 0.5 * (highest + lowest)


def _balanced(side, residual, blocks):
    """`side`, with the sample of each class nearest to the margin freed where none can balance those at bound."""
    bound, total = blocks.bound, blocks.fixed.total
    at_bound = np.where(side == BOUND, bound, 0.0)
    unbalanced = np.abs(at_bound.sum(axis=1) + total) > 1e-12 * (np.abs(at_bound).sum(axis=1) + np.abs(total))
    (stuck,) = np.nonzero(unbalanced & ~(side == FREE).any(axis=1))
    for sign in (-1.0, 1.0):
        distance = np.where(np.sign(bound[stuck]) == sign, np.abs(residual[stuck]), np.inf)
        side[stuck, distance.argmin(axis=1)] = FREE
    return side


def _worst_only(side, wanted, wrong):
    """`side` with the most wrong of the changes to `wanted` alone: all at once they may cycle."""
    worst = np.where(wanted != side, wrong, -np.inf).argmax(axis=1)[:, None]
    one = side.copy()
    np.put_along_axis(one, worst, np.take_along_axis(wanted, worst, axis=1), axis=1)
    return one


class Settled(NamedTuple):
    """Where the pivoting of each block ended; `rounds` tells after how many it settled, 0 where it did not."""

    beta: np.ndarray
    lam: np.ndarray
    intercept: np.ndarray
    side: np.ndarray
    rounds: np.ndarray


def pivot_together(blocks, guess, most_rounds=MOST_ROUNDS):
    """Pivot each block with proximal weights that fall, for so many rounds at most.

    Returns
    -------
    Settled
    """
    k = len(blocks.budget)
    shape = blocks.bound.shape
    out = Settled(np.zeros(shape), *np.zeros((2, k)), np.zeros(shape, np.int8), np.zeros(k, int))
    rows, fewest = np.arange(k), np.full(k, blocks.bound.shape[1])
    at_bound, at_margin = TOLERANCES[np.dtype(np.float64)]
    largest = np.abs(np.einsum("kii->ki", blocks.gram)).max(axis=1)
    for number in range(1, most_rounds + 1):
        delta = np.maximum(_STAGES[guess.stage] * blocks.scale, blocks.linear.shape[1] * _EPS * largest)
        beta, lam, intercept, residual, stands = _solve_round(blocks, guess, delta)
        sign, upper = np.sign(blocks.bound), lam[:, None] * np.abs(blocks.bound)
        tolerance = at_margin + UNITS * _EPS * largest * np.linalg.norm(beta, axis=1)
        wanted = sides_asked_for(guess.side, sign * residual, tolerance[:, None], sign * beta, upper, at_bound)
        agree = stands & (wanted == guess.side).all(axis=1)
        pull = delta * np.abs(beta - lam[:, None] * guess.shape).max(axis=1)
        last = guess.stage == EXACTLY
        done = agree & last & (pull <= PULLED)
        for whole, part in zip(out[:4], (beta, lam, intercept, guess.side), strict=True):
            whole[rows[done]] = part[done]
        out.rounds[rows[done]] = number
        count = np.count_nonzero(wanted != guess.side, axis=1)
        stalls = count >= fewest
        fewest = np.where(agree, blocks.bound.shape[1], np.minimum(count, fewest))
        if stalls.any():
            beyond = np.maximum(-sign * beta, sign * beta - upper) * blocks.scale[:, None]
            wrong = np.where(guess.side == FREE, beyond, np.abs(residual))
            wanted[stalls] = _worst_only(guess.side[stalls], wanted[stalls], wrong[stalls])
        shape = np.where(agree[:, None], beta / lam[:, None], guess.shape)
        guess = Guess(_balanced(wanted, residual, blocks), shape, lam, guess.stage + (agree & ~last))
        if done.any():
            rows, largest, fewest = rows[~done], largest[~done], fewest[~done]
            guess, blocks = guess.take(~done), blocks.take(~done)
        if len(rows) == 0:
            break
    return out
