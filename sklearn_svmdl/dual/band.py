"""The samples near the margin are pivoted; those held elsewhere are looked at until none stands wrong.

The *band* is a block of samples with a stored Gram matrix that is solved exactly, all others held at zero or at their
bound. A look at those finds the ones held on the wrong side; they join the band until none is left, and the problem is
solved exactly: the gradient outside the band is summed from kernel values at every look.
"""

from dataclasses import dataclass, replace

import numpy as np

from .blas import dot
from .block import BOUND, FREE, ZERO, Block, Held, product
from .gram import GrowingGram
from .kernels import MEGABYTE
from .pivoting import EXACT, Pivoted
from .proximal import OUT_OF_REACH, Effort, point_at, solve_block

# With each look at most this share of the band joins it from the right side of the margin, and at most this many for
# each sample on the wrong side.
_NEAR_SHARE, _NEAR_PER_WRONG = 0.15, 3
# What the finest level asks for, and a coarse one, which may leave a share of the free samples on the wrong side.
THOROUGH, ROUGH = Effort(), Effort(patience=0, overlook=0.1)
_WRONG, _ROUGHLY_WRONG = 1e-9, 1e-3
# A band that outgrew its memory starts again at this share of it; one of more samples than these moves, and grows only
# where half of it is free: to touch more memory costs more than to let go of samples far from the margin.
ROOM, _STEADY = 0.9, 2500
_MOST_LOOKS = 40


class BoundSum:
    """K t of the bounds t of those samples that stand at their bound, kept up to date as they come and go.

    Parameters
    ----------
    source : KernelSource or GramSource
    t, values : ndarrays (n,), where to begin; zeros if None
    """

    def __init__(self, source, t=None, values=None):
        self.source = source
        self.t = np.zeros(source.n_samples) if t is None else t
        self.values = np.zeros(source.n_samples) if values is None else values

    def bring(self, t):
        """The sum for new bounds t: only the columns of the samples that changed are evaluated."""
        change = t - self.t
        if np.count_nonzero(change) > np.count_nonzero(t):
            change, self.values = t, np.zeros(len(t))
        changed = np.flatnonzero(change)
        self.values = self.values + self.source.apply(changed, change[changed])
        self.t = t


@dataclass(frozen=True)
class Guess:
    """A (possibly inexact) solution of a level: the sides, duals and fit of its samples.

    Of the fit, `bound_sum` holds what samples at their bound contribute, if it is known.
    """

    side: np.ndarray
    beta: np.ndarray
    lam: float
    intercept: float
    fit: np.ndarray
    delta: float
    settled: bool
    exact: bool
    n_iter: int
    n_free_before: int = 0
    bound_sum: object = None

    def inward(self, target):
        """y_i (y_i - f_i - b): positive inside the margin."""
        return target * (target - self.fit - self.intercept)


class OutOfReach(Exception):
    """The multiplier left the range in which doubles can tell the slack from that of any larger multiplier.

    So it does for infeasible budgets, and on overlapping classes with a smooth kernel, which separates them in theory
    by a function of astronomical norm.
    """


class TooLarge(Exception):
    """The samples on the margin do not fit in memory."""


def largest_band(cache_size):
    """Samples whose Gram matrix, with the factors of half as many free ones, takes cache_size megabytes."""
    return int(np.sqrt(cache_size * MEGABYTE / (8 * 1.25)))


class Band:
    """The samples that are pivoted, their Gram matrix, and the sum K t over all samples at their bound.

    Samples outside the band are held at zero or at their bound. `bound_sum` also counts samples in the band, as they
    stood at the last look, so it need not change when a sample joins or leaves the band.
    """

    def __init__(self, problem, inside, bound_sum, room):
        self.problem, self.bound_sum = problem, bound_sum
        self.inside = inside.copy()
        self.gram = GrowingGram(problem.source, np.flatnonzero(inside), room)

    @classmethod
    def around(cls, problem, inside, guess, room):
        """The first band of a level: the samples outside it stand where the guess says."""
        known = None if inside.all() else guess.bound_sum
        bound_sum = known or BoundSum(problem.source)
        bound_sum.bring(np.where(inside, bound_sum.t, np.where(guess.side == BOUND, problem.bound, 0.0)))
        return cls(problem, inside, bound_sum, room)

    @property
    def indices(self):
        """The samples in the band, in the order of its Gram matrix."""
        return self.gram.indices

    @property
    def outside(self):
        """The samples that are held."""
        return np.flatnonzero(~self.inside)

    def block(self):
        """The problem on the band: of what the bounds add, the band's own part is taken out again."""
        problem, band, gram = self.problem, self.indices, self.gram.values
        t, values = self.bound_sum.t, self.bound_sum.values
        own_t = t[band]
        own = product(gram, own_t)
        held = Held(
            pull=values[band] - own,
            curvature=dot(t, values) - 2.0 * dot(own_t, values[band]) + dot(own_t, own),
            reward=dot(problem.target, t) - dot(problem.target[band], own_t),
            total=float(t.sum() - own_t.sum()),
        )
        return Block(gram, problem.target[band], problem.bound[band], problem.budget, held)

    def add(self, samples):
        """Take `samples` into the band."""
        self.gram.add(samples)
        self.inside[samples] = True

    def become(self, inside):
        """Consist of the samples `inside` from now on."""
        self.gram.keep(inside[self.indices])
        self.gram.add(np.flatnonzero(inside & ~self.inside))
        self.inside = inside

    def spread(self, pivoted, guess):
        """The guess for all samples: the band as pivoted, the held ones at zero or at lam times their bound."""
        problem, point, band, outside = self.problem, pivoted.point, self.indices, self.outside
        side, beta, fit = guess.side.copy(), np.empty(problem.n_samples), np.empty(problem.n_samples)
        if len(outside):
            t = self.bound_sum.t.copy()
            t[band] = np.where(pivoted.side == BOUND, problem.bound[band], 0.0)
            self.bound_sum.bring(t)
            beyond = point.beta - point.lam * t[band]
            support = beyond != 0
            beta[outside] = point.lam * t[outside]
            fit[outside] = point.lam * self.bound_sum.values[outside]
            fit[outside] += problem.source.apply(band[support], beyond[support], outside)
        side[band], beta[band], fit[band] = pivoted.side, point.beta, point.fit
        return replace(
            guess,
            side=side,
            beta=beta,
            lam=point.lam,
            intercept=point.intercept,
            fit=fit,
            bound_sum=self.bound_sum,
        )


def held_wrongly(problem, guess, outside):
    """Samples outside the band on the wrong side of the margin, worst first, and the others, nearest first."""
    inward, side = guess.inward(problem.target)[outside], guess.side[outside]
    tolerance = _WRONG if guess.exact else _ROUGHLY_WRONG
    wrong = ((side == ZERO) & (inward > tolerance)) | ((side == BOUND) & (inward < -tolerance))
    distance = np.abs(inward)
    by_distance = np.argsort(distance, kind="stable")
    return outside[by_distance[wrong[by_distance]][::-1]], outside[by_distance[~wrong[by_distance]]]


def turn(problem, guess, wrong):
    """Give samples that stood on the wrong side, worst first, a new one.

    The nearest to the margin become free, as many as are free already, the others take the side they lean to.
    """
    inward = guess.inward(problem.target)[wrong]
    most = min(len(wrong), np.count_nonzero(guess.side == FREE))
    guess.side[wrong] = np.where(inward > 0, BOUND, ZERO)
    guess.side[wrong[len(wrong) - most :]] = FREE


def grown(problem, band, guess, wrong, right, capacity):
    """The band with the wrong samples and some near ones; a new one around the margin where memory asks for it.

    Every sample left out is held where it stands, so the dual objective never falls from one band to the next.
    """
    n_inside, n_free = len(band.indices), np.count_nonzero(guess.side == FREE)
    if guess.settled:
        near = right[: min(_NEAR_PER_WRONG * len(wrong), int(_NEAR_SHARE * n_inside))]
    else:
        # What is held may contradict the budget: let go of as many samples again.
        near = right[:n_inside]
    joining = np.concatenate([wrong, near])
    size = n_inside + len(joining)
    if size > capacity:
        return recentred(problem, band, guess, wrong, int(ROOM * capacity))
    if size > _STEADY and guess.settled and 2 * n_free <= n_inside:
        return recentred(problem, band, guess, wrong, n_inside)
    turn(problem, guess, wrong)
    band.add(joining)
    return band


def recentred(problem, band, guess, wrong, size):
    """A band of so many samples: the free ones, the worst of the wrong ones and those nearest to the margin.

    Raises
    ------
    TooLarge : the free samples leave no room (little, for a rough solution), or the last band was not solved.
    """
    inside = guess.side == FREE
    most = size - np.count_nonzero(inside)
    if most <= 0 or not guess.settled or (guess.delta != EXACT and 2 * most < size):
        raise TooLarge(size)
    entering = wrong[: most // 2]
    inside[entering] = True
    others = np.flatnonzero(~inside)
    nearest = np.argsort(np.abs(guess.inward(problem.target)[others]), kind="stable")
    inside[others[nearest[: most - len(entering)]]] = True
    band.become(inside)
    turn(problem, guess, entering)
    return band


def solve_band(band, guess, effort):
    """The guess after the band's block has been solved."""
    block, here = band.block(), band.indices
    start = Pivoted(guess.side[here], point_at(block, guess.beta[here], guess.lam, guess.intercept), False, 0)
    pivoted, reached, delta = solve_block(block, start, guess.delta, effort)
    spread = band.spread(pivoted, guess)
    return replace(
        spread, delta=delta, settled=pivoted.settled, exact=reached == EXACT, n_iter=guess.n_iter + pivoted.n_iter
    )


def out_of_reach(problem, band, guess):
    """Whether an unsettled band means that the whole problem has no solution within the reach of doubles.

    What is held only lowers the dual objective, which is |w|^2 / 2 at the end: where it runs away on a band, it does
    so without. On finitely many features |w| is finite, and a band may be no more than hard.
    """
    tells = len(band.outside) == 0 or problem.source.n_features is None
    return tells and not guess.settled and guess.lam * band.block().scale > OUT_OF_REACH


def refine(problem, guess, inside, room, effort=THOROUGH):
    """Solve the problem from a guess, on a band that starts with the samples `inside` and grows until nothing is wrong.

    A hard block is solved roughly until the band is right, and then with all the effort.

    Raises
    ------
    TooLarge : the band holds or comes to hold more samples than there is room for.
    """
    capacity = room.most(problem.source.dtype)
    if np.count_nonzero(inside) > capacity:
        raise TooLarge(capacity)
    band = Band.around(problem, inside, guess, room)
    now = effort if inside.all() else replace(effort, patience=0)
    for _ in range(_MOST_LOOKS):
        guess = solve_band(band, guess, now)
        wrong, right = held_wrongly(problem, guess, band.outside)
        if out_of_reach(problem, band, guess):
            raise OutOfReach(f"lam = {guess.lam:.3g}")
        if (guess.settled and len(wrong) == 0) or len(band.outside) == 0:
            if guess.exact or now == effort:
                return guess
            now = effort
        else:
            band = grown(problem, band, guess, wrong, right, capacity)
    return replace(guess, settled=False)
