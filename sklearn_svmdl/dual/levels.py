"""From coarse to fine: a quarter of the samples says where the others belong, and only those near the margin are pivoted.

A level is a stratified share of the samples with the same share of the budget, so lam means the same at every level.
Its solution predicts the new samples: as many as it has at bound, per sample, are held at their bound, as many as it has
at zero are held there, and those between, the *band*, form a block with a stored Gram matrix that is solved exactly. A
look at all other samples then finds those held on the wrong side; they join the band until none is left, and the level
is solved exactly: the gradient outside the band is evaluated afresh from the kernel at every look.
"""

from dataclasses import dataclass, replace

import numpy as np

from .block import BOUND, FREE, ZERO, Block, Held
from .kernels import MEGABYTE
from .pivoting import EXACT
from .problem import BudgetProblem
from .proximal import FIRST, solve_block
from .smo import starting_point

# Levels shrink by this factor down to this many samples, which are solved from nothing.
_RATIO, _COARSEST = 4, 150
# Up to this many samples the band is the whole level; so it is where it would hold this share of the level.
_SMALL, _NEARLY_ALL = 400, 0.7
# The band reaches this share of the expected number of new free samples, and some more, beyond the expected window.
_SLACK_SHARE, _SLACK_COUNT = 0.5, 30
# With each look at most this share of the band joins it from the right side of the margin, at most this many per violator.
_NEAR_SHARE, _NEAR_PER_WRONG = 0.15, 3
_WRONG = 1e-9
# A band that outgrew its memory starts again at this share of it.
_ROOM = 0.8
_MOST_LOOKS = 40


@dataclass(frozen=True)
class Guess:
    """A (possibly inexact) solution of a level: the sides, duals and fit of its samples."""

    side: np.ndarray
    beta: np.ndarray
    lam: float
    intercept: float
    fit: np.ndarray
    delta: float
    settled: bool
    n_iter: int

    def inward(self, target):
        """y_i (y_i - f_i - b): positive inside the margin."""
        return target * (target - self.fit - self.intercept)


class TooLarge(Exception):
    """The samples on the margin do not fit in memory."""


def largest_band(cache_size):
    """Samples whose Gram matrix takes half of cache_size megabytes; the other half is for its factors."""
    return int(np.sqrt(cache_size * MEGABYTE / 16))


def cold_guess(problem):
    """The limit lam -> 0: the minority class at its bound, the majority free."""
    unit, lam = starting_point(problem)
    side = np.where(np.abs(unit) >= problem.weight, BOUND, FREE).astype(np.int8)
    zeros = np.zeros(problem.n_samples)
    return Guess(side, lam * unit, lam, 0.0, zeros, FIRST, False, 0)


def stratified_share(target, ratio, random):
    """Indices of a 1 / ratio share of each class, sorted."""
    members = (np.flatnonzero(target == label) for label in (-1.0, 1.0))
    chosen = [random.permutation(group)[: max(1, round(len(group) / ratio))] for group in members]
    return np.sort(np.concatenate(chosen))


def coarse_problem(problem, chosen):
    """The problem on the chosen samples, with the same budget relative to its largest."""
    coarse = BudgetProblem(problem.source.take(chosen), problem.target[chosen], problem.weight[chosen], 0.0)
    return coarse.with_budget(problem.budget / problem.largest_budget * coarse.largest_budget)


def predict(problem, chosen, coarse):
    """The coarse solution's guess for all samples of the problem, and the window of samples it cannot place."""
    n, m = problem.n_samples, len(chosen)
    new = np.setdiff1d(np.arange(n), chosen, assume_unique=True)
    support = np.flatnonzero(coarse.beta)
    fit, beta, side = np.empty(n), np.zeros(n), np.zeros(n, dtype=np.int8)
    fit[chosen], beta[chosen], side[chosen] = coarse.fit, coarse.beta, coarse.side
    fit[new] = problem.source.apply(chosen[support], coarse.beta[support], new)
    guess = Guess(side, beta, coarse.lam, coarse.intercept, fit, coarse.delta, False, coarse.n_iter)
    inward = guess.inward(problem.target)
    new = new[np.argsort(-inward[new], kind="stable")]
    growth = (n - m) / m
    free, bound = (int(np.count_nonzero(coarse.side == code) * growth) for code in (FREE, BOUND))
    _place(side, new, inward, free, bound, mostly_free=free > 0.3 * len(new))
    window = _window(side, inward, chosen, new, free, bound)
    return guess, window


def _place(side, new, inward, free, bound, mostly_free):
    """Give the new samples, sorted from inside the margin outwards, a side."""
    if mostly_free:
        # Where most samples end up on the margin the sign says little; the counts carry over.
        side[new[:bound]], side[new[bound : bound + free]] = BOUND, FREE
    else:
        side[new] = np.where(inward[new] > 0, BOUND, ZERO)


def _window(side, inward, chosen, new, free, bound):
    """Mask of the samples near the margin: those whose side is in doubt."""
    reach = int(_SLACK_SHARE * free) + _SLACK_COUNT
    doubtful = new[max(0, bound - reach) : bound + free + reach]
    window = np.zeros(len(side), dtype=bool)
    window[doubtful] = True
    width = np.ptp(inward[doubtful]) if len(doubtful) else 0.0
    window[chosen] = (side[chosen] == FREE) | (np.abs(inward[chosen]) <= 0.175 * width)
    return window


class Band:
    """The samples that are pivoted, their Gram matrix, and what the held ones add to every sample's fit.

    The held samples are those at their bound outside the band; `pull` is K t of their bounds, for all samples.
    """

    def __init__(self, problem, inside, side):
        self.problem = problem
        self.indices = np.flatnonzero(inside)
        self.inside = inside.copy()
        self.gram = problem.source.block(self.indices, self.indices)
        self.held = np.flatnonzero((side == BOUND) & ~inside)
        self.pull = self._applied(self.held)

    def _applied(self, samples):
        everything = np.arange(self.problem.n_samples)
        return self.problem.source.apply(samples, self.problem.bound[samples], everything)

    @property
    def outside(self):
        return np.flatnonzero(~self.inside)

    def block(self):
        problem, held, band = self.problem, self.held, self.indices
        t = problem.bound[held]
        added = Held(
            pull=self.pull[band],
            curvature=float(t @ self.pull[held]),
            reward=float(problem.target[held] @ t),
            total=float(t.sum()),
        )
        return Block(self.gram, problem.target[band], problem.bound[band], problem.budget, added)

    def add(self, samples):
        """Take `samples` into the band."""
        cross = self.problem.source.block(self.indices, samples)
        corner = self.problem.source.block(samples, samples)
        self.gram = np.block([[self.gram, cross], [cross.T, corner]])
        self.indices = np.concatenate([self.indices, samples])
        self.inside[samples] = True
        freed = self.held[self.inside[self.held]]
        self.held = self.held[~self.inside[self.held]]
        if len(freed):
            self.pull = self.pull - self._applied(freed)

    def spread(self, pivoted, side):
        """The guess for all samples: the band as pivoted, the held ones at lam times their bound."""
        problem, point, band = self.problem, pivoted.point, self.indices
        beta = np.zeros(problem.n_samples)
        beta[self.held] = point.lam * problem.bound[self.held]
        beta[band] = point.beta
        side = side.copy()
        side[band] = pivoted.side
        fit = point.lam * self.pull
        fit[band] = point.fit
        outside, support = self.outside, band[point.beta != 0]
        fit[outside] += problem.source.apply(support, beta[support], outside)
        return Guess(side, beta, point.lam, point.intercept, fit, EXACT, pivoted.settled, pivoted.n_iter)


def held_wrongly(problem, guess, outside):
    """Samples outside the band that stand on the wrong side of the margin, and the others nearest first."""
    inward, side = guess.inward(problem.target)[outside], guess.side[outside]
    wrong = ((side == ZERO) & (inward > _WRONG)) | ((side == BOUND) & (inward < -_WRONG))
    right = outside[~wrong]
    return outside[wrong], right[np.argsort(np.abs(inward[~wrong]), kind="stable")]


def trimmed(inside, guess, target, most):
    """Of the samples `inside` the `most` nearest to the margin, all free ones among them.

    Raises
    ------
    TooLarge : more than `most` samples are free.
    """
    if np.count_nonzero(inside) <= most:
        return inside
    free = guess.side == FREE
    room = most - np.count_nonzero(free)
    if room < 0:
        raise TooLarge(most)
    others = np.flatnonzero(inside & ~free)
    nearest = others[np.argsort(np.abs(guess.inward(target)[others]), kind="stable")[:room]]
    kept = free.copy()
    kept[nearest] = True
    return kept


def refine(problem, guess, inside, capacity):
    """Solve the problem from a guess, on a band that starts with the samples `inside` and grows until nothing is wrong."""
    band = Band(problem, trimmed(inside, guess, problem.target, capacity), guess.side)
    for _ in range(_MOST_LOOKS):
        here = band.indices
        pivoted, delta = solve_block(
            band.block(), guess.side[here], guess.lam, guess.beta[here], guess.intercept, guess.delta
        )
        spread = band.spread(pivoted, guess.side)
        guess = replace(spread, delta=delta, n_iter=guess.n_iter + pivoted.n_iter)
        wrong, right = held_wrongly(problem, guess, band.outside)
        if len(wrong) == 0 or not guess.settled:
            return guess
        near = right[: min(_NEAR_PER_WRONG * len(wrong), int(_NEAR_SHARE * len(here)))]
        guess.side[wrong] = FREE
        joining = np.concatenate([wrong, near])
        if len(here) + len(joining) <= capacity:
            band.add(joining)
        else:
            wanted = band.inside.copy()
            wanted[joining] = True
            band = Band(problem, trimmed(wanted, guess, problem.target, int(_ROOM * capacity)), guess.side)
    return replace(guess, settled=False)


def solve_levels(problem, capacity, random):
    """Solve a budget problem from coarse to fine.

    Raises
    ------
    TooLarge : more than `capacity` samples stand near the margin.
    """
    n = problem.n_samples
    everything = np.ones(n, dtype=bool)
    if n <= _COARSEST:
        return refine(problem, cold_guess(problem), everything, capacity)
    chosen = stratified_share(problem.target, _RATIO, random)
    coarse = solve_levels(coarse_problem(problem, chosen), capacity, random)
    guess, window = predict(problem, chosen, coarse)
    whole = n <= _SMALL or (window.mean() > _NEARLY_ALL and n <= capacity)
    return refine(problem, guess, everything if whole else window, capacity)
