"""From coarse to fine: a quarter of the samples says where the others belong; those near the margin are pivoted.

A level is a stratified share of the samples with the same share of the budget, so lam means the same at every level.
Its solution predicts the new samples: as many as it has at bound, per sample, are held at their bound, as many as it
has at zero are held there, and those between, the *band*, form a block with a stored Gram matrix that is solved
exactly. A look at all other samples then finds those held on the wrong side; they join the band until none is left, and
the level is solved exactly: the gradient outside the band is summed from kernel values at every look.
"""

from dataclasses import dataclass, replace

import numpy as np

from .blas import dot
from .block import BOUND, FREE, ZERO, Block, Held, product
from .feasibility import least_budget
from .gram import GrowingGram
from .kernels import MEGABYTE
from .pivoting import EXACT, Pivoted
from .problem import BudgetProblem
from .proximal import FAR_OUT, FIRST, OUT_OF_REACH, Effort, point_at, solve_block
from .smo import starting_point

# Levels shrink by this factor down to this many samples, which are solved from nothing.
_RATIO, _COARSEST = 4, 300
# Up to this many samples the band is the whole level; so it is where it would hold this share of the level.
_SMALL, _NEARLY_ALL = 400, 0.95
# The band reaches this share of the expected number of new free samples, and some more, beyond the expected window.
_SLACK_SHARE, _SLACK_COUNT, _SLACK_OF_NEW = 0.5, 30, 0.03
# With each look at most this share of the band joins it from the right side of the margin, and at most this many for
# each sample on the wrong side.
_NEAR_SHARE, _NEAR_PER_WRONG = 0.15, 3
# A coarsest level that takes more pivots than these is hard.
_EASY = 40
# Up to this many samples time allows to follow lam far out.
_CHEAP = 800
# How far a coarse level's budget may be raised, as a share of the way to the largest.
_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)
# What the finest level asks for, and a coarse one, which may leave a share of the free samples on the wrong side.
THOROUGH, ROUGH = Effort(), Effort(exact=False, overlook=0.1)
_WRONG, _ROUGHLY_WRONG = 1e-9, 1e-3
# From this share of free samples on, count instead of trusting signs. Samples of the level below within this share of
# the band's width belong to it too.
_MOSTLY_FREE, _OLD_SHARE = 0.03, 0.175
# A band that outgrew its memory starts again at this share of it.
_ROOM = 0.9
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


def cold_guess(problem):
    """The limit lam -> 0: the minority class at its bound, the majority free."""
    unit, lam = starting_point(problem)
    side = np.where(np.abs(unit) >= problem.weight, BOUND, FREE).astype(np.int8)
    zeros = np.zeros(problem.n_samples)
    return Guess(side, lam * unit, lam, 0.0, zeros, FIRST, settled=False, exact=False, n_iter=0)


def stratified_share(target, ratio, random):
    """Indices of a 1 / ratio share of each class, sorted."""
    members = (np.flatnonzero(target == label) for label in (-1.0, 1.0))
    chosen = [random.permutation(group)[: max(1, round(len(group) / ratio))] for group in members]
    return np.sort(np.concatenate(chosen))


def coarse_problem(problem, chosen):
    """The problem on the chosen samples, with the same budget relative to its largest."""
    coarse = BudgetProblem(problem.source.take(chosen), problem.target[chosen], problem.weight[chosen], 0.0)
    return coarse.with_budget(problem.budget / problem.largest_budget * coarse.largest_budget)


def predict(problem, chosen, coarse, capacity):
    """The coarse solution's guess for all samples of the problem, and the band: the samples whose side is in doubt."""
    n = problem.n_samples
    new = np.setdiff1d(np.arange(n), chosen, assume_unique=True)
    t, values, fit = np.zeros(n), np.empty(n), np.empty(n)
    beta, side = np.zeros(n), np.zeros(n, dtype=np.int8)
    fit[chosen], beta[chosen], side[chosen] = coarse.fit, coarse.beta, coarse.side
    coarse.bound_sum.bring(np.where(coarse.side == BOUND, problem.bound[chosen], 0.0))
    t[chosen], values[chosen] = coarse.bound_sum.t, coarse.bound_sum.values
    # One pass over the kernel values: what the samples at their bound add is of use for the band, too.
    beyond = beta - coarse.lam * t
    support = np.flatnonzero((t != 0) | (beyond != 0))
    values[new], fit[new] = problem.source.apply(support, np.stack([t, beyond], axis=1)[support], new).T
    fit[new] += coarse.lam * values[new]
    bound_sum = BoundSum(problem.source, t, values)
    guess = replace(coarse, side=side, beta=beta, fit=fit, settled=False, exact=False, bound_sum=bound_sum)
    inward = guess.inward(problem.target)
    new = new[np.argsort(-inward[new], kind="stable")]
    free, bound = expected_counts(coarse, len(new))
    if free > _MOSTLY_FREE * len(new):
        # Where most samples end up on the margin the sign says little; the counts carry over.
        side[new[:bound]], side[new[bound : bound + free]] = BOUND, FREE
    else:
        side[new] = np.where(inward[new] > 0, BOUND, ZERO)
    return guess, doubtful_band(side, inward, chosen, new, free, bound, capacity)


def expected_counts(coarse, n_new):
    """How many new samples to expect free, and how many at their bound.

    The share at bound stays; the number of free samples grows as it did from the level below, less than the level does.
    """
    m = len(coarse.side)
    free = np.count_nonzero(coarse.side == FREE)
    growth = min(free / coarse.n_free_before, 1 + n_new / m) if coarse.n_free_before else 1 + n_new / m
    bound = np.count_nonzero(coarse.side == BOUND) / m
    return int(free * max(growth - 1.0, 0.0)), int(bound * n_new)


def doubtful_band(side, inward, chosen, new, free, bound, capacity):
    """Mask of the samples near the margin, `capacity` at most; new samples left out take the side they lean to."""
    most_free = int(np.count_nonzero(side[chosen] == FREE) / len(chosen) * len(new))
    reach = int(_SLACK_SHARE * most_free + _SLACK_COUNT + _SLACK_OF_NEW * len(new))
    first, last = max(0, bound - reach), min(len(new), bound + free + reach)
    width = inward[new[first]] - inward[new[last - 1]]
    inside = np.zeros(len(side), dtype=bool)
    inside[chosen] = (side[chosen] == FREE) | (np.abs(inward[chosen]) <= _OLD_SHARE * width)
    most = max(1, capacity - np.count_nonzero(inside))
    if last - first > most:
        middle = bound + free // 2
        first = min(max(first, middle - most // 2), last - most)
        last = first + most
    inside[new[first:last]] = True
    side[new[:first]], side[new[last:]] = BOUND, ZERO
    return inside


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
    """Give samples that stood on the wrong side a new one: free where they are few, else the side they lean to."""
    if len(wrong) < np.count_nonzero(guess.side == FREE):
        guess.side[wrong] = FREE
    else:
        guess.side[wrong] = np.where(guess.inward(problem.target)[wrong] > 0, BOUND, ZERO)


def grown(problem, band, guess, wrong, right, capacity):
    """The band with the wrong samples and some near ones; a new one around the margin where memory asks for it.

    Every sample left out is held where it stands, so the dual objective never falls from one band to the next.
    """
    n_inside = len(band.indices)
    if guess.settled:
        near = right[: min(_NEAR_PER_WRONG * len(wrong), int(_NEAR_SHARE * n_inside))]
    else:
        # What is held may contradict the budget: let go of as many samples again.
        near = right[:n_inside]
    joining = np.concatenate([wrong, near])
    if n_inside + len(joining) > capacity:
        return recentred(problem, band, guess, wrong, capacity)
    turn(problem, guess, wrong)
    band.add(joining)
    return band


def recentred(problem, band, guess, wrong, capacity):
    """A band of the free samples, the worst of the wrong ones and those nearest to the margin.

    Raises
    ------
    TooLarge : the free samples leave no room (little, for a rough solution), or the last band was not solved.
    """
    inside = guess.side == FREE
    most = int(_ROOM * capacity) - np.count_nonzero(inside)
    if most <= 0 or not guess.settled or (guess.delta != EXACT and 2 * most < capacity):
        raise TooLarge(capacity)
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


def refine(problem, guess, inside, room, effort=THOROUGH):
    """Solve the problem from a guess, on a band that starts with the samples `inside` and grows until nothing is wrong.

    A hard block is solved roughly until the band is right, and then with all the effort.

    Raises
    ------
    TooLarge : the band holds or comes to hold more samples than there is room for.
    """
    if np.count_nonzero(inside) > room.capacity:
        raise TooLarge(room.capacity)
    band = Band.around(problem, inside, guess, room)
    now = effort if inside.all() else replace(effort, exact=False)
    for _ in range(_MOST_LOOKS):
        guess = solve_band(band, guess, now)
        wrong, right = held_wrongly(problem, guess, band.outside)
        if len(band.outside) == 0 and not guess.settled and guess.lam * band.block().scale > OUT_OF_REACH:
            raise OutOfReach(f"lam = {guess.lam:.3g}")
        if (guess.settled and len(wrong) == 0) or len(band.outside) == 0:
            if guess.exact or now == effort:
                return guess
            now = effort
        else:
            band = grown(problem, band, guess, wrong, right, room.capacity)
    return replace(guess, settled=False)


def looks_infeasible(problem, guess):
    """Whether a rough solution has far more free samples than an exact one: the rank of the kernel, and one."""
    rank = problem.source.n_features
    return rank is not None and guess.delta != EXACT and np.count_nonzero(guess.side == FREE) > 2 * (rank + 1)


def enlarged(problem, share):
    """The problem with a budget this share of the way to the largest one."""
    return problem.with_budget(problem.budget + share * (problem.largest_budget - problem.budget))


def coarsest(problem, room, exact):
    """The coarsest level, solved from nothing.

    A share of the samples may need a little more slack than all of them: if its budget is out of reach, a larger one
    will do for a guess. If that does not help, no finer level will fare better, and here it costs least to notice.
    """
    everything = np.ones(problem.n_samples, dtype=bool)
    if exact:
        return refine(problem, cold_guess(problem), everything, room)
    for share in _SHARES:
        wider = enlarged(problem, share)
        try:
            solved = refine(wider, cold_guess(wider), everything, room, Effort(give_up=OUT_OF_REACH))
        except OutOfReach as reason:
            last = reason
            continue
        if solved.n_iter > _EASY and problem.source.n_features is None:
            # Of a hard problem the rough solution is the better guess: the exact multiplier runs ahead of all samples'.
            solved = refine(wider, cold_guess(wider), everything, room, ROUGH)
        return replace(solved, delta=EXACT)
    raise last


def solve_levels(problem, room, random, exact=True):
    """Solve a budget problem from coarse to fine, to rounding error if `exact`.

    Raises
    ------
    TooLarge : more samples stand near the margin than there is room for.
    OutOfReach : no solution of finite norm was found, here or at a coarser level.
    """
    n = problem.n_samples
    everything = np.ones(n, dtype=bool)
    if n <= _COARSEST:
        return coarsest(problem, room, exact)
    chosen = stratified_share(problem.target, _RATIO, random)
    reduced = coarse_problem(problem, chosen)
    coarse = solve_levels(reduced, room, random, exact=False)
    if looks_infeasible(reduced, coarse) and enlarged(reduced, _SHARES[-1]).budget < least_budget(reduced):
        raise OutOfReach("a share of the samples has too small a share of the budget")
    guess, inside = predict(problem, chosen, coarse, int(_ROOM * room.capacity))
    whole = n <= room.capacity and (n <= _SMALL or inside.mean() > _NEARLY_ALL)
    effort = replace(THOROUGH if exact else ROUGH, give_up=FAR_OUT if n <= _CHEAP else OUT_OF_REACH)
    refined = refine(problem, guess, everything if whole else inside, room, effort)
    return replace(refined, n_free_before=np.count_nonzero(coarse.side == FREE))
