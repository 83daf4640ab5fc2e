"""The pivoting of `active_set`, of many problems in each call of numpy.

One-versus-one on a hundred classes is 4,950 problems of a few samples each. One by one a solve is some fifty calls of
numpy a round on a handful of numbers; together a problem takes as long as its arithmetic. The conditions are those of
`kkt`, in arrays (k, m) and (k, m, m) of k blocks on m variables each. Blocks that do not settle soon say so.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .active_set import EXACT, LAM_RANGE, PULLED, TOLERANCES, sides_asked_for
from .factor import cholesky, shifted_gram, solve_factorised
from .kkt import BOUND, FREE, ROUNDING, UNITS, ZERO, product
from .problem import Bounds, least_slack_intercept, slack_of

# The proximal weights of the pivotings that follow each other, in units of 1 / lam or of the scale, whichever is more,
# and at last of the scale; and the rounds of all of them. Up to this share of the free samples may be on the wrong side
# where the next begins.
_STAGES, MOST_ROUNDS = np.array([0.1, 0.03, 0.01, 0.003, 0.0003, EXACT]), 60
# Where little, the cost alone, the sides roughly, or all is known.
ROUGHLY, AFTER_LAST, NEARLY, EXACTLY = 0, 1, 3, len(_STAGES) - 1
_OVERLOOKED = 0.5
# Up to this share of them the next is the last.
_FEW_WRONG = 0.05
# Up to so many free samples one call of numpy solves the conditions of all blocks, where these are more than a few.
_FEW_FREE, _FEW_BLOCKS = 32, 4
# From so many variables on most of the time of a product goes to reading kernel values.
_WIDE = 128
# Rounds without fewer samples on the wrong side before a pivoting gives up.
_PATIENCE = 8
# Samples of this share, the nearest to the other class, are free at first.
NEAREST = 0.5
# What fills the conditions up has so many times the scale on their diagonal: it stays at zero.
_FILLED = 1e30
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
class Blocks(Bounds):
    """k blocks of m variables each, one a row.

    gram : ndarray (k, m, m)
    linear, bound : ndarrays (k, m), the bound being 0 where a block has no such variable
    budget : ndarray (k,), or None where the costs are given
    least_lam, most_lam : ndarrays (k,), the cost twice where it is given
    scale : ndarray (k,), the mean squared distance of the samples from their mean in feature space
    fixed : Fixed
    """

    gram: np.ndarray
    linear: np.ndarray
    bound: np.ndarray
    budget: np.ndarray | None
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
        scale = _spread(gram, bound != 0)
        least, most = (np.zeros(len(stack)), reach / scale) if stack.cost is None else (stack.cost, stack.cost)
        fixed = Fixed.none(bound.shape) if fixed is None else fixed
        return cls(gram, linear, bound, stack.budget, least, most, scale, fixed)

    def take(self, which):
        """Some of the blocks."""
        own = (getattr(self, field.name) for field in fields(self))
        return Blocks(
            *(part.take(which) if isinstance(part, Fixed) else part if part is None else part[which] for part in own)
        )

    def at_cost(self, cost):
        """The same blocks with this cost."""
        lam = np.full(len(self.scale), float(cost))
        other = replace(self, least_lam=lam, most_lam=lam)
        kept = ("sign", "weight", "largest")
        vars(other).update({name: getattr(self, name) for name in kept})
        return other

    @cached_property
    def largest(self):
        """The largest kernel value of each block."""
        return np.abs(np.einsum("kii->ki", self.gram)).max(axis=1)

    def fit(self, beta):
        """K beta: in one call, or where the kernel values are many from the rows that take part."""
        if self.bound.shape[1] < _WIDE:
            return np.matmul(self.gram, beta[:, :, None])[:, :, 0]
        return np.stack([product(gram, values) for gram, values in zip(self.gram, beta, strict=True)])

    @cached_property
    def first(self):
        """The place (k, 1) of the first variable of each block where all stand in a row."""
        k, m = self.bound.shape
        return m * np.arange(k)[:, None]


def _spread(gram, there):
    """`kkt.spread_of`, of each of the blocks on the variables in the mask."""
    diagonal, there, count = np.einsum("kii->ki", gram) * there, there.astype(float), np.count_nonzero(there, axis=1)
    inner = np.einsum("ki,ki->k", there, np.matmul(gram, there[:, :, None])[:, :, 0])
    spread = diagonal.sum(axis=1) / count - inner / count**2
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


def sides_of(beta, bound, cost):
    """The sides that duals are on at this cost."""
    return np.select([beta == 0, np.abs(beta) >= cost * np.abs(bound)], [ZERO, BOUND], FREE)


def start(blocks):
    """Where to begin from nothing: near the limit lam -> 0, or between the classes where the cost is larger."""
    softest = _softest(blocks)
    if blocks.budget is not None:
        return softest._replace(lam=np.clip(softest.lam, blocks.least_lam, blocks.most_lam))
    larger = (blocks.most_lam > softest.lam)[:, None]
    if not larger.any():
        return softest._replace(lam=blocks.most_lam)
    near = nearest(blocks, blocks.fit(mean_difference(blocks.bound)), NEAREST)
    side = np.where(larger, np.where(near, FREE, ZERO), softest.side)
    return softest._replace(side=side, shape=np.where(larger, 0.0, softest.shape), lam=blocks.most_lam)


def mean_difference(bound):
    """The weighted mean of the positive samples less that of the others, as duals (k, m)."""
    up, down = (np.where(side, np.abs(bound), 0.0).sum(axis=1) for side in (bound > 0, bound < 0))
    return bound / np.where(bound > 0, up[:, None], down[:, None])


def nearest(problems, along, share):
    """Mask of the share of the samples of each problem that are furthest on their wrong side `along` a direction."""
    distance, there = from_middle(problems, along), problems.bound != 0
    count = (share * np.count_nonzero(there, axis=1)).astype(int)
    edge = np.take_along_axis(np.sort(distance, axis=1), count[:, None], axis=1)
    return there & (distance <= edge)


def from_middle(problems, along):
    """How far `along` a direction each sample is on the side of its class from the middle between the classes' means;
    infinite where a problem has no such variable."""
    sign = np.sign(problems.bound)
    ends = [np.einsum("ki,ki->k", along, sign == one) / np.count_nonzero(sign == one, axis=1) for one in (-1.0, 1.0)]
    middle = 0.5 * (ends[0] + ends[1])
    return np.where(sign != 0, sign * (along - middle[:, None]), np.inf)


def _softest(blocks):
    """The limit lam -> 0, with the lam that is best for it: all on the costly side of the best constant at bound."""
    sign, weight = blocks.sign, blocks.weight
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
    unspent = np.einsum("ki,ki->k", weight, slack_of(blocks.linear - constant[:, None], sign)) - (
        0.0 if blocks.budget is None else blocks.budget
    )
    lam = np.divide(unspent, curvature, out=1.0 / blocks.scale, where=curvature > 0)
    side = np.where(costly, BOUND, np.where(at_constant, FREE, ZERO))
    return Guess(side, shape, lam, np.full(len(lam), ROUGHLY))


def _solve_round(blocks, guess, delta, held):
    """The solution of the conditions for the guess: duals, lam, b, y - f - b, whether lam meets the budget, how many
    are free, and the bounds t of those at bound with K t, which the next round begins with as `held`."""
    free, t = guess.side == FREE, blocks.bound * (guess.side == BOUND)
    fixed, shift, count = blocks.fixed, blocks.scale, free.sum(axis=1)
    pull, total = held[1] + blocks.fit(t - held[0]), t.sum(axis=1) + fixed.total
    coupling = pull + (shift * total)[:, None] - delta[:, None] * guess.shape
    if blocks.budget is None:
        lam, stands = guess.lam, True
        rows = blocks.linear - lam[:, None] * coupling, np.ones(t.shape)
        (solved, of_ones), (sums, least) = _solved(blocks, free, count, delta, rows)
        intercept = (sums + lam * total) / (least + _REGULAR / shift)
        solved -= intercept[:, None] * of_ones
    else:
        rows = blocks.linear, coupling, np.ones(t.shape)
        (constant, slope, of_ones), (*sums, least) = _solved(blocks, free, count, delta, rows)
        b = sums[0] / (least + _REGULAR / shift), (sums[1] - total) / (least + _REGULAR / shift)
        constant, slope = constant - b[0][:, None] * of_ones, slope - b[1][:, None] * of_ones
        # The budget is spent.
        curvature = fixed.curvature + (t * (pull + fixed.pull)).sum(axis=1) + shift * total**2
        curvature += delta * (((t - guess.shape) ** 2).sum(axis=1) + 1.0)
        spare = (blocks.linear * t).sum(axis=1) + fixed.reward - blocks.budget + delta * guess.lam
        fall = curvature - (coupling * slope).sum(axis=1) - total * b[1]
        excess = spare - (coupling * constant).sum(axis=1) - total * b[0]
        far = np.where(excess > 0, np.inf, 0.0)
        wanted = np.divide(excess, fall, out=far, where=fall > ROUNDING * np.abs(curvature))
        wanted = np.clip(wanted, blocks.least_lam, blocks.most_lam)
        lam = np.clip(wanted, guess.lam / LAM_RANGE, guess.lam * LAM_RANGE)
        solved, intercept, stands = constant - lam[:, None] * slope, b[0] - lam * b[1], lam == wanted
    beta = lam[:, None] * t + solved
    gradient = blocks.linear - blocks.fit(solved) - lam[:, None] * pull
    gradient -= delta[:, None] * (beta - lam[:, None] * guess.shape)
    if not count.all():
        intercept = np.where(count > 0, intercept, _middle_intercept(gradient, guess.side, blocks.bound))
    return beta, lam, intercept, gradient - intercept[:, None], stands, count, (t, pull)


def _solved(blocks, free, count, delta, rows):
    """A^-1 r of the free for each of the rows (k, m), zero elsewhere: (p, k, m), and its sums (p, k).

    All blocks at once, those with fewer free filled up, or where a factorisation costs more than a call one by one.
    """
    rows = np.stack(rows)
    out, most = np.zeros(rows.shape), int(count.max())
    if most > _FEW_FREE or len(free) <= _FEW_BLOCKS:
        shift, delta = blocks.scale.tolist(), delta.tolist()
        for k, gram in enumerate(blocks.gram):
            own = free[k].nonzero()[0]
            if len(own):
                upper = cholesky(shifted_gram(gram, own, shift[k], delta[k]))
                out[:, k, own] = solve_factorised(upper, rows[:, k, own].T).T
    elif most:
        columns = (~free).argsort(axis=1, kind="stable")[:, :most]
        places = columns + blocks.first
        is_free = free.take(places)
        matrix = blocks.gram.take(places[:, :, None] * free.shape[1] + columns[:, None, :])
        matrix += blocks.scale[:, None, None]
        np.einsum("kii->ki", matrix)[...] += np.where(is_free, delta[:, None], _FILLED * blocks.scale[:, None])
        solved = np.linalg.solve(matrix, rows.reshape(len(rows), -1).take(places, axis=1).transpose(1, 2, 0))
        out[:, free] = solved.transpose(2, 0, 1)[:, is_free]
    return out, out.sum(axis=2)


def _middle_intercept(gradient, side, bound):
    """The middle of the intercepts that leave every sample at zero or at its bound on its side."""
    above = (side == BOUND) == (bound > 0)
    highest = np.where(~above & (bound != 0), gradient, -np.inf).max(axis=1)
    lowest = np.where(above & (bound != 0), gradient, np.inf).min(axis=1)
    highest, lowest = np.where(np.isinf(highest), lowest, highest), np.where(np.isinf(lowest), highest, lowest)
    return 0.5 * (highest + lowest)


def _balanced(side, residual, blocks):
    """`side`, with the sample of each class nearest to the margin freed where none can balance those at bound."""
    (stuck,) = np.nonzero(~(side == FREE).any(axis=1))
    if len(stuck) == 0:
        return side
    bound, total = blocks.bound[stuck], blocks.fixed.total[stuck]
    at_bound = np.where(side[stuck] == BOUND, bound, 0.0)
    unbalanced = np.abs(at_bound.sum(axis=1) + total) > 1e-12 * (np.abs(at_bound).sum(axis=1) + np.abs(total))
    stuck, bound = stuck[unbalanced], bound[unbalanced]
    for sign in (-1.0, 1.0):
        distance = np.where(np.sign(bound) == sign, np.abs(residual[stuck]), np.inf)
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
    k, m = blocks.bound.shape
    out = Settled(np.zeros((k, m)), *np.zeros((2, k)), np.zeros((k, m), np.int8), np.zeros(k, int))
    rows, fewest, stalled, going = np.arange(k), np.full(k, m), np.zeros(k, int), np.ones(k, bool)
    at_bound, at_margin = TOLERANCES[np.dtype(np.float64)]
    held = np.zeros((k, m)), blocks.fixed.pull
    for number in range(1, most_rounds + 1):
        last, sign, least = guess.stage == EXACTLY, blocks.sign, _EPS * blocks.largest
        unit = np.where(last, blocks.scale, np.maximum(blocks.scale, 1.0 / guess.lam))
        delta = np.maximum(_STAGES[guess.stage] * unit, m * least)
        beta, lam, intercept, residual, stands, n_free, held = _solve_round(blocks, guess, delta, held)
        upper, magnitude, inward = lam[:, None] * blocks.weight, sign * beta, sign * residual
        tolerance = at_margin + UNITS * least * np.sqrt(np.einsum("ki,ki->k", beta, beta))
        wanted = sides_asked_for(guess.side, inward, tolerance[:, None], magnitude, upper, at_bound)
        count = (wanted != guess.side).sum(axis=1)
        agree = stands & (count <= np.where(last, 0, _OVERLOOKED * n_free))
        done = going & agree & last
        if done.any():
            done &= delta * np.abs(beta - lam[:, None] * guess.shape).max(axis=1) <= PULLED
            for whole, part in zip(out[:4], (beta, lam, intercept, guess.side), strict=True):
                whole[rows[done]] = part[done]
            out.rounds[rows[done]] = number
            going &= ~done
        stalls = (count >= fewest) & ~agree
        stalled = np.where(stalls, stalled + 1, 0)
        going &= stalled < _PATIENCE
        if not going.any():
            break
        fewest = np.where(agree, m, np.minimum(count, fewest))
        if stalls.any():
            beyond = np.maximum(-magnitude, magnitude - upper) * blocks.scale[:, None]
            wrong = np.where(guess.side == FREE, beyond, np.abs(residual))
            wanted[stalls] = _worst_only(guess.side[stalls], wanted[stalls], wrong[stalls])
        shape = np.where(agree[:, None], beta / lam[:, None], guess.shape)
        stage = np.where(agree & (count <= _FEW_WRONG * n_free), EXACTLY, guess.stage + (agree & ~last))
        guess = Guess(_balanced(wanted, residual, blocks), shape, lam, stage)
        # Those that are done go on until they are as many as the others: their kernel values would have to be copied.
        if 2 * np.count_nonzero(going) <= len(going):
            rows, fewest, stalled = rows[going], fewest[going], stalled[going]
            guess, blocks, held = guess.take(going), blocks.take(going), tuple(values[going] for values in held)
            going = going[going]
    return out
