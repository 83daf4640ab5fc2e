"""The budget problem, its solution, and the certificate that ties the two together.

With signed duals beta_i = y_i alpha_i the dual of the budget-C soft-margin classifier is

    max over lam >= 0, beta :   y'beta - 1/2 beta'K beta - lam C
    s.t.  0 <= y_i beta_i <= lam s_i,   1'beta = 0

with the kernel matrix K, labels y in {-1, +1}, sample weights s and the budget C. For fixed lam it is the dual of the
C-SVC with cost lam. lam is the multiplier of the budget sum_i s_i e_i <= C in

    min 1/2 |w|^2   s.t.   y_i (w.x_i + b) >= 1 - e_i,  e >= 0,  sum_i s_i e_i <= C,      margin M = 1 / |w|

(James, Witten, Hastie, Tibshirani, An Introduction to Statistical Learning, eq. 9.12-9.15, divided by M).
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from .blas import dot


class Status(Enum):
    """How a solve ended; the value is the sentence shown to the user."""

    OPTIMAL = "The certificate holds: violation and budget error are within tol."
    MAX_ITER = "The iteration limit was reached before the certificate held."
    INFEASIBLE_BUDGET = "No hyperplane has as little total slack as the budget allows."
    UNBOUNDED_MARGIN = "The budget pays for misclassifying a whole class; the margin is infinite."


@dataclass(frozen=True)
class BudgetProblem:
    """One binary budget problem.

    Parameters
    ----------
    source : KernelSource or GramSource
        The kernel values of the n samples.
    target : ndarray (n,) of -1.0 and +1.0, both present
    weight : ndarray (n,), positive
    budget : float, the total slack allowed, >= 0
    """

    source: object
    target: np.ndarray
    weight: np.ndarray
    budget: float

    @property
    def n_samples(self):
        return len(self.target)

    @property
    def bound(self):
        """s_i y_i: beta_i lies between 0 and lam times this."""
        return self.weight * self.target

    @property
    def largest_budget(self):
        """C_max = 2 min(W+, W-): from here on w = 0 is optimal and the margin infinite."""
        positive = self.weight[self.target > 0].sum()
        return 2.0 * min(positive, self.weight.sum() - positive)

    def take(self, rows):
        """The problem on some of the samples, with the same budget."""
        return replace(self, source=self.source.take(rows), target=self.target[rows], weight=self.weight[rows])

    def with_budget(self, budget):
        return replace(self, budget=float(budget))


@dataclass(frozen=True)
class DualSolution:
    """A solution that certifies itself.

    Attributes
    ----------
    beta : ndarray (n,), signed duals
    intercept : float, b of f(x) = sum_i beta_i k(x_i, x) + b
    lam : float, the budget's multiplier, the cost of the equivalent C-SVC
    slack : ndarray (n,), e_i = max(0, 1 - y_i f(x_i))
    budget : float, the budget in force
    norm : float, |w|
    duality_gap : float, (primal - dual objective) / (1/2 |w|^2), computed afresh from beta and lam
    violation : float, max over increasable g_i minus min over decreasable g_i (libsvm's stopping quantity)
    budget_error : float, |total slack - budget| / largest budget
    infeasibility : float, how far the duals are from their bounds and from 1'beta = 0, over the largest of them
    n_iter : int
    status : Status
    least_budget : float, the smallest feasible budget C_min where the solve had to find it, else nan
    """

    beta: np.ndarray
    intercept: float
    lam: float
    slack: np.ndarray
    budget: float
    norm: float
    duality_gap: float
    violation: float
    budget_error: float
    infeasibility: float
    n_iter: int
    status: Status
    least_budget: float = np.nan

    @property
    def margin(self):
        """M = 1 / |w|."""
        return 1.0 / self.norm if self.norm > 0 else np.inf

    def is_within(self, tol):
        """Whether violation, budget error and infeasibility are all at most tol."""
        return max(self.violation, self.budget_error, self.infeasibility) <= tol


def least_slack_intercept(gradient, target, weight):
    """The intercept b of least total slack sum_i s_i max(0, y_i (g_i - b)); the midpoint where an interval ties.

    The total slack is convex and piecewise linear in b with kinks at the gradients g = y - f; its slope just right of
    the k-th smallest gradient is (negative weight up to it) - (positive weight beyond it).
    """
    order = np.argsort(gradient, kind="stable")
    weight, target, gradient = weight[order], target[order], gradient[order]
    # One cumulative sum: the slope starts at -W+ and each kink, of either class, raises it by its weight.
    total = weight[target > 0].sum()
    slope = np.cumsum(weight) - total
    flat = 1e-12 * weight.sum()
    first = np.searchsorted(slope, -flat)
    last = np.searchsorted(slope, flat, side="right")
    last = min(last, len(slope) - 1)
    return 0.5 * (gradient[first] + gradient[last])


def kkt_violation(gradient, beta, upper, target):
    """max{g_i : beta_i can grow} - min{g_i : beta_i can shrink}, at least 0 (Keerthi et al. 2001; Fan et al. 2005)."""
    magnitude = target * beta
    room_above, room_below = magnitude < upper, magnitude > 0
    positive = target > 0
    grow = np.where(positive, room_above, room_below)
    shrink = np.where(positive, room_below, room_above)
    highest = gradient[grow].max(initial=-np.inf)
    lowest = gradient[shrink].min(initial=np.inf)
    return max(0.0, float(highest - lowest))


def dual_infeasibility(beta, upper, target):
    """The largest excess over 0 <= y_i beta_i <= upper_i or |1'beta|, over the largest dual; without it a gap means
    nothing.

    Infinite where the multiplier, and with it the bounds, is not positive.
    """
    largest = np.abs(beta).max()
    if not upper.min() > 0 or largest == 0:
        return np.inf
    magnitude = target * beta
    excess = max(-magnitude.min(), (magnitude - upper).max(), abs(beta.sum()))
    return max(0.0, float(excess)) / largest


def feasible_duals(problem, beta, lam):
    """beta clipped to 0 <= y_i beta_i <= lam s_i and balanced, on the free samples where they have the room."""
    low, high = np.minimum(0.0, lam * problem.bound), np.maximum(0.0, lam * problem.bound)
    beta = np.clip(beta, low, high)
    excess = beta.sum()
    room = beta - low if excess > 0 else high - beta
    room_of_free = np.where((low < beta) & (beta < high), room, 0.0)
    if room_of_free.sum() >= abs(excess):
        room = room_of_free
    return np.clip(beta - excess / room.sum() * room, low, high) if excess != 0 else beta


def certify(problem, beta, lam, gradient, n_iter, tol):
    """The solution record for given duals; `gradient` must be a fresh y - K beta."""
    y, s = problem.target, problem.weight
    intercept = least_slack_intercept(gradient, y, s)
    slack = np.maximum(0.0, y * (gradient - intercept))
    total_slack = dot(s, slack)
    squared_norm = max(0.0, dot(beta, y - gradient))
    gap = squared_norm + lam * total_slack - dot(y, beta)
    solution = DualSolution(
        beta=beta,
        intercept=float(intercept),
        lam=float(lam),
        slack=slack,
        budget=problem.budget,
        norm=float(np.sqrt(squared_norm)),
        duality_gap=gap / (0.5 * squared_norm) if squared_norm > 0 else np.inf,
        violation=kkt_violation(gradient, beta, lam * s, y),
        budget_error=abs(total_slack - problem.budget) / problem.largest_budget,
        infeasibility=dual_infeasibility(beta, lam * s, y),
        n_iter=n_iter,
        status=Status.MAX_ITER,
    )
    return replace(solution, status=Status.OPTIMAL) if solution.is_within(tol) else solution
