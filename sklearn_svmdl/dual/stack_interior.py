"""The interior steps of `interior`, of many problems with few features in each call of numpy.

The costs are given, and K = G G' + diag(rest) with G (k, m, r) of few columns: the Newton equations of each problem
have r + 1 unknowns. All else is as it is there.
"""

from typing import NamedTuple

import numpy as np

from .interior import NEAR, STALLED
from .kkt import BOUND, FREE, ZERO

# Steps of one run: a cost takes 8 to 25.
MOST_STEPS = 50
_SHORT_OF_BOUNDARY = 0.995
# Where duals begin, as a share of their bounds.
_BEGUN = 0.05
# Multipliers of variables that a problem does not have.
_NOTHING = 1e-300


class Inside(NamedTuple):
    """Where the steps of each problem ended: the sides, y - f - b, after how many, and what is left of the errors."""

    side: np.ndarray
    beta: np.ndarray
    residual: np.ndarray
    steps: np.ndarray
    gap: np.ndarray


class _Problems(NamedTuple):
    """The problems whose steps go on: their numbers, features with a column of ones (k, m, r + 1) and transposed."""

    number: np.ndarray
    G: np.ndarray
    transposed: np.ndarray
    rest: np.ndarray
    linear: np.ndarray
    sign: np.ndarray
    weight: np.ndarray
    there: np.ndarray
    cost: np.ndarray

    def take(self, which):
        """Some of them."""
        return _Problems(*(values[which] for values in self))

    def fit(self, beta):
        """K beta."""
        inner = np.matmul(self.transposed, beta[:, :, None])
        # The ones are no feature.
        inner[:, -1] = 0.0
        return np.matmul(self.G, inner)[:, :, 0] + self.rest * beta


def steps_together(stack, features, rest, gap):
    """Interior steps of each problem until its relative gap and residuals are within `gap`.

    Parameters
    ----------
    stack : Stack with costs
    features : ndarray (k, m, r)
    rest : ndarray (k, m), what they leave of the diagonals of K

    Returns
    -------
    Inside
    """
    there = stack.bound != 0
    G = np.concatenate([features, np.ones((*there.shape, 1))], axis=2) * there[:, :, None]
    transposed = np.ascontiguousarray(np.swapaxes(G, 1, 2))
    constants = stack.linear, stack.sign, stack.weight, there, stack.cost
    on = _Problems(np.arange(len(stack)), G, transposed, rest, *constants)
    side, beta, residual = np.zeros(there.shape, np.int8), np.zeros(there.shape), np.zeros(there.shape)
    out = Inside(side, beta, residual, np.zeros(len(stack), int), np.full(len(stack), np.inf))
    # Of the weighted features: to touch fresh memory costs as much as to fill it.
    room = np.empty(transposed.shape)
    pairs, intercept = _first(on)
    least, since = np.full(len(stack), NEAR), np.zeros(len(stack), int)
    for number in range(MOST_STEPS + 1):
        system = _System(on, pairs, intercept, room[: len(on.number)])
        affine, _ = system.direction()
        ratios = affine / pairs
        halved = system.error < 0.5 * least
        since, least = np.where(halved, 0, since + (least < NEAR)), np.where(halved, system.error, least)
        ends = (number == MOST_STEPS) | (since > STALLED) | ~np.isfinite(system.error)
        done = (system.error <= gap) | ends
        if done.any():
            to_zero, to_bound = ratios[:2, done]
            sides = np.where(to_zero < -0.5, ZERO, FREE)
            sides[(to_bound < -0.5) & (to_bound < to_zero)] = BOUND
            sides[~on.there[done]] = ZERO
            told = sides, system.beta[done], system.residual[done], number, system.error[done]
            for whole, part in zip(out, told, strict=True):
                whole[on.number[done]] = part
            if done.all():
                break
        step, change = system.corrected(affine, ratios)
        length = np.minimum(1.0, _SHORT_OF_BOUNDARY * _longest(step / pairs))
        pairs, intercept = pairs + length[:, None] * step, intercept + length * change
        if done.any():
            on, pairs, intercept = on.take(~done), pairs[:, ~done], intercept[~done]
            least, since = least[~done], since[~done]
    return out


def _first(on):
    """Duals within their bounds, balanced, and multipliers to match: a, v, z, e (4, k, m), and b."""
    positive = on.sign > 0
    up, down = (np.where(side, on.weight, 0.0).sum(axis=1) for side in (positive, ~positive))
    share = np.where(positive, np.minimum(1.0, down / up)[:, None], np.minimum(1.0, up / down)[:, None])
    upper = on.cost[:, None] * on.weight
    below = _BEGUN * share * upper
    residual = on.linear - on.fit(on.sign * below)
    count = on.there.sum(axis=1)
    intercept = np.sort(np.where(on.there, residual, np.inf), axis=1)[np.arange(len(count)), count // 2]
    inward = on.sign * (residual - intercept[:, None])
    half = np.maximum(0.5 * np.abs(inward).sum(axis=1) / count, 1e-3)[:, None]
    pairs = np.stack([below, upper - below, np.maximum(-inward, 0.0) + half, np.maximum(inward, 0.0) + half])
    pairs[:2, ~on.there], pairs[2:, ~on.there] = 1.0, _NOTHING
    return pairs, intercept


def _longest(ratios):
    """The longest step of each problem that keeps all distances and multipliers positive."""
    return 1.0 / np.maximum(-ratios.min(axis=2).min(axis=0), _NOTHING)


class _System:
    """The Newton equations at the iterates, with what they lack."""

    def __init__(self, on, pairs, intercept, room):
        self.on, self.pairs = on, pairs
        self.beta = on.sign * pairs[0]
        fit = on.fit(self.beta)
        self.residual = on.linear - fit - intercept[:, None]
        self.imbalance = -self.beta.sum(axis=1)
        self.gap = (pairs[:2] * pairs[2:]).sum(axis=2).sum(axis=0)
        objective = np.einsum("ki,ki->k", self.beta, fit) + on.cost * np.einsum("ki,ki->k", on.weight, pairs[3])
        wrong = np.abs(on.sign * self.residual + pairs[2] - pairs[3]).max(axis=1)
        self.error = np.maximum(self.gap / objective, wrong)
        self.ratios = pairs[2:] / pairs[:2]
        self.inverse = on.there / (self.ratios[0] + self.ratios[1] + on.rest)
        self.H = np.matmul(np.multiply(on.transposed, self.inverse[:, None, :], out=room), on.G)
        np.einsum("kii->ki", self.H)[:, :-1] += 1.0

    def direction(self, targets=None):
        """The step (4, k, m), and that of b, towards a z and v e equal to the targets (2, k, m), zero if None."""
        on, rows, wanted = self.on, self.residual, -self.pairs[2:]
        if targets is not None:
            asked = targets / self.pairs[:2]
            rows, wanted = rows + on.sign * (asked[0] - asked[1]), wanted + asked
        inner = np.matmul(on.transposed, (rows * self.inverse)[:, :, None])
        inner[:, -1, 0] -= self.imbalance
        inner = np.linalg.solve(self.H, inner)
        below = on.sign * (rows - np.matmul(on.G, inner)[:, :, 0]) * self.inverse
        step = np.empty(self.pairs.shape)
        step[0], step[1] = below, -below
        np.subtract(wanted, self.ratios * step[:2], out=step[2:])
        step[2:] *= on.there
        return step, inner[:, -1, 0]

    def corrected(self, affine, ratios):
        """Mehrotra's step after its predictor, which adds these shares to the distances and multipliers."""
        length = np.minimum(1.0, _longest(ratios))
        products = affine[:2] * affine[2:]
        ahead = (1.0 - length) * self.gap + length**2 * products.sum(axis=(0, 2))
        centring = np.maximum((ahead / self.gap) ** 3, (1.0 - length) ** 3)
        middle = centring * self.gap / (2.0 * self.on.there.sum(axis=1))
        return self.direction(middle[:, None] - products)
