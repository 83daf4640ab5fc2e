"""Few features and many samples: a smooth loss tells in a few steps who is near the margin.

Where the price of slack rises to lam over slacks of up to a width, instead of at once, the problem in w and b is
smooth. Newton's steps look at all samples, but factorise a matrix in their dimension only, and end in a few while many
samples are within the width (Chapelle, Training a support vector machine in the primal, Neural Comput. 2007). It falls
until few are. What it tells of a budget is an interval: those within it may cost their slack, or nothing. A regression
has such a loss on either side of its tube.
"""

from typing import NamedTuple

import numpy as np

from ..kernels.blas import dot, matmul
from .active_set import flatter
from .factor import cholesky, solve_factorised
from .levels import coarse_problem, share_of

# From so many samples on one in so many of them is first.
_MANY, _RATIO = 8000, 8
# The width at first; it falls by this factor until no more than so many samples a feature, or this share of all, are
# within it. The most steps.
_WIDEST, _NARROWER, _FEW_WITHIN, _SHARE_WITHIN, _MOST_STEPS = 2.0, 0.25, 5, 0.01, 50
# lam stands when a step changes it by no more than this share. The slack is thought to fall no slower than by this
# power of lam, and to no less than this share, and the logarithm of lam changes by no more than this in one step.
_STANDS, _LEAST_POWER, _LEAST_LEFT, _LONGEST = 0.1, 1e-3, 0.1, 2.3
# What keeps the curvature in b apart from that in w where too few samples are within the width.
_SINGULAR = 1e-10
_SMALLEST = np.finfo(float).tiny


class Plane(NamedTuple):
    """A hyperplane, its lam, and the slack over which the loss that it minimises is smooth."""

    w: np.ndarray
    intercept: float
    lam: float
    width: float


def fit_of(problem, X, w):
    """X w, of each variable of a problem whose distinct samples have the features X."""
    fit = matmul(X, w)
    return fit if problem.source.index is None else fit[problem.source.index]


def normal_of(problem, X, beta):
    """w of a problem's duals, where its distinct samples have the features X."""
    index = problem.source.index
    return matmul(X.T, beta if index is None else np.bincount(index, beta, len(X)))


def smooth_plane(problem, X, lam, tally):
    """The hyperplane of a loss that is smooth over a width, which falls until few samples are within it.

    Of many samples a share comes first.

    Parameters
    ----------
    problem : DualProblem
    X : ndarray (n, d), features of its distinct samples
    lam : float, where to begin, for a budget

    Returns
    -------
    Plane or None
        None where the steps got nowhere.
    """
    index, unit, intercept = problem.source.index, 1.0, 0.0
    if index is not None:
        unit, intercept = float(np.abs(problem.linear - problem.constant).mean()), problem.constant
    plane = Plane(np.zeros(X.shape[1]), intercept, lam, _WIDEST * unit)
    if len(X) >= _MANY:
        chosen = share_of(problem, _RATIO, np.random.RandomState(0))
        share = len(chosen) / problem.n_samples
        # The same hyperplane costs fewer samples more each.
        few = coarse_problem(problem, chosen).within(problem.largest_cost / share)
        few = few if problem.cost is None else few.with_cost(problem.cost / share)
        some = chosen if index is None else np.unique(index[chosen])
        below = smooth_plane(few, X[some], lam / share, tally)
        plane = plane if below is None else below._replace(lam=share * below.lam)
    smooth = _SmoothLoss(problem, X, plane, tally)
    try:
        for _ in range(_MOST_STEPS):
            if tally.left <= 0 or smooth.step():
                break
    except np.linalg.LinAlgError:
        return None
    return smooth.plane


class _SmoothLoss:
    """Newton's steps in w, b and, for a budget, lam.

    A slack r has the share clip(r / width, 0, 1) of the price lam; with these shares of the unit bounds as t,
    w = lam X't and 1't = 0 at the optimum.
    """

    def __init__(self, problem, X, plane, tally):
        self.problem, self.X, self.plane, self.tally = problem, X, plane, tally
        self.into = problem.sign * (problem.linear - fit_of(problem, X, plane.w) - plane.intercept)
        self.share = self._share(self.into)

    def _share(self, into):
        """The share of the price that each slack has."""
        return np.clip(into / self.plane.width, 0.0, 1.0)

    def step(self):
        """One step; whether it is the last.

        Raises
        ------
        numpy.linalg.LinAlgError : no sample is within the width.
        """
        problem, (w, intercept, lam, width), r = self.problem, self.plane, self.X.shape[1]
        self.tally.pivots += 1
        pull = self._pull(self.share)
        lacks = lam * pull
        lacks[:r] -= w
        solved = solve_factorised(cholesky(self._hessian()), np.asfortranarray(np.stack([lacks, pull], axis=1)))
        change, of_lam = solved.T
        wanted = lam if problem.budget is None else self._wanted_lam(change, of_lam)
        change = change + (wanted - lam) * of_lam
        along = -problem.sign * (fit_of(problem, self.X, change[:r]) + change[r])
        length, share = self._length(change[:r], along, wanted)
        self.into = self.into + length * along
        self.plane = Plane(w + length * change[:r], intercept + length * change[r], wanted, width)
        before, self.share = self.share, share
        within = np.count_nonzero((share > 0) & (share < 1))
        moved = np.count_nonzero(((share > 0) != (before > 0)) | ((share < 1) != (before < 1)))
        if length < 1.0 or moved > within:
            return False
        few = max(_FEW_WITHIN * (r + 1), int(_SHARE_WITHIN * len(share)))
        if within <= few:
            return abs(wanted - lam) <= _STANDS * lam
        # Half of these stay: where lam is small all slacks are about the same.
        least = np.partition(self.into[(share > 0) & (share < 1)], few // 2)[few // 2]
        self.plane = self.plane._replace(width=max(_NARROWER * width, least))
        self.share = self._share(self.into)
        return False

    def _pull(self, share):
        """X't and 1't for these shares of the unit bounds."""
        t = self.problem.bound * share
        return np.append(normal_of(self.problem, self.X, t), t.sum())

    def _hessian(self):
        """The curvature of |w|^2 / 2 and the loss in w and b."""
        r, (within,) = self.X.shape[1], ((self.share > 0) & (self.share < 1)).nonzero()
        self.tally.factored.append(r + 1)
        index = self.problem.source.index
        near = self.X[within if index is None else index[within]]
        curvature = self.plane.lam / self.plane.width * self.problem.weight[within]
        scaled = near * curvature[:, None]
        H = np.empty((r + 1, r + 1))
        H[:r, :r] = matmul(scaled.T, near)
        H[r, :r] = H[:r, r] = scaled.sum(axis=0)
        H[r, r] = (1.0 + _SINGULAR) * curvature.sum()
        H.flat[: r * (r + 2) : r + 2] += 1.0
        return H

    def _wanted_lam(self, change, of_lam):
        """The lam that the budget seems to ask for: the slack falls about as a power of it."""
        problem, into, lam = self.problem, self.into, self.plane.lam
        costs = (into > 0).astype(float)
        spent, pull = dot(problem.weight * costs, into), self._pull(costs)
        if spent == 0:
            return lam * np.exp(-_LONGEST)
        after = max(spent - dot(pull, change), _LEAST_LEFT * spent)
        power = max(lam * dot(pull, of_lam) / after, _LEAST_POWER)
        # Those within the width may yet cost nothing.
        within = (self.share > 0) & (self.share < 1)
        unsure = dot(problem.weight, within * into * (1.0 - 0.5 * self.share)) / after
        excess = np.log(after) - np.log(max(problem.budget, _SMALLEST))
        excess = max(excess - unsure, 0.0) if excess > 0 else excess
        return min(lam * np.exp(np.clip(excess / power, -_LONGEST, _LONGEST)), problem.largest_cost)

    def _length(self, change, along, lam):
        """How far to go, and the shares there."""
        costs, falls, curvature = self.problem.weight * along, dot(self.plane.w, change), dot(change, change)

        def slope(length):
            """The slope of |w|^2 / 2 and the loss."""
            return falls + length * curvature + lam * dot(costs, self._share(self.into + length * along))

        length = flatter(slope)
        return length, self._share(self.into + length * along)
