"""The convex problem, its solution, and the certificate that ties the two together.

In signed form every dual beta_i lies between 0 and lam t_i, whatever its sign (one solver for classes and for numbers:
libsvm's, Chang, Lin, ACM TIST 2011, section 4):

    max over lam, beta :   p'beta - 1/2 beta'K beta - lam C
    s.t.  beta_i between 0 and lam t_i,   1'beta = 0,   lam >= 0

with the kernel matrix K, the linear term p, the unit bounds t_i = s_i sign_i and the budget C; s_i > 0 are weights. lam
is the multiplier of the budget in

    min 1/2 |w|^2   s.t.   sum_i s_i e_i <= C,   e_i = max(0, sign_i (p_i - w.x_i - b))

or, where a *cost* is given in place of the budget, lam is that cost. Two problems take this form:

* Classification, y in {-1, +1}: p_i = y_i, t_i = s_i y_i, so e_i = max(0, 1 - y_i f(x_i)), margin M = 1 / |w|
  (James, Witten, Hastie, Tibshirani, An Introduction to Statistical Learning, eq. 9.12-9.15, divided by M).
* Epsilon-insensitive regression: each sample twice, p = y - epsilon with t = s and p = y + epsilon with t = -s.
"""

from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels.blas import dense_product, dot
from ..kernels.sources import IndexedSource
from .work import Work


class Status(Enum):
    """How a solve ended; the value is the sentence shown to the user."""

    OPTIMAL = "The certificate holds: violation, budget error and duality gap are within tol."
    MAX_ITER = "The solver stopped before the certificate held."
    INFEASIBLE_BUDGET = "No hyperplane has as little total slack as the budget allows."
    OUT_OF_REACH = "Hyperplanes with so little slack, if there are any, have margins too narrow for doubles."
    UNBOUNDED_MARGIN = "The budget pays for the slack of a constant; the margin is infinite."


_SMALLEST = np.finfo(float).tiny
# Slopes of the total slack below this share of all weights are none.
_TIE = 1e-12
# Duals no further than this share of their range from an end of it are there, where a solve ends within.
_NEXT = 1e-7
# Budgets that no solution keeps.
BEYOND_REACH = (Status.INFEASIBLE_BUDGET, Status.OUT_OF_REACH)


class Bounds:
    """What the unit bounds `bound`, t_i = s_i sign_i, of some variables tell, of one problem or of many; 0 is none."""

    @cached_property
    def sign(self):
        """sign_i: which side of p_i costs slack."""
        return np.sign(self.bound)

    @cached_property
    def weight(self):
        """s_i, what a unit of slack of each variable weighs."""
        return np.abs(self.bound)


@dataclass(frozen=True)
class DualProblem(Bounds):
    """One problem in signed form; exactly one of budget and cost is given.

    Parameters
    ----------
    source : KernelSource, GramSource or IndexedSource
        The kernel values of the n variables.
    linear : ndarray (n,), the linear term p
    bound : ndarray (n,), the unit bounds t_i = s_i sign_i, not zero, of both signs
    budget : float >= 0, the total slack allowed, or None
    cost : float > 0, the price lam of a unit of slack, or None
    largest_cost : float, how far lam is followed to keep a budget
    """

    source: object
    linear: np.ndarray
    bound: np.ndarray
    budget: float | None = None
    cost: float | None = None
    largest_cost: float = np.inf

    @property
    def charge(self):
        """What lam is multiplied by in the dual objective: the budget, 0 where the cost is given."""
        return 0.0 if self.budget is None else self.budget

    @property
    def lam_range(self):
        """The least and the largest lam: the cost twice, where it is given."""
        return (0.0, self.largest_cost) if self.cost is None else (self.cost, self.cost)

    @property
    def n_samples(self):
        """The number of variables n."""
        return len(self.linear)

    @property
    def n_distinct(self):
        """The number of samples that the kernel values are of: of a regression half as many as variables."""
        return self.source.distinct.n_samples

    @cached_property
    def constant(self):
        """The constant b of least total slack, the solution w = 0."""
        return least_slack_intercept(self.linear, self.sign, self.weight)

    @cached_property
    def largest_budget(self):
        """C_max, the total slack of the best constant: from here on w = 0 is optimal and the margin infinite.

        For classes with total weights W+ and W- it is 2 min(W+, W-).
        """
        return dot(self.weight, slack_of(self.linear - self.constant, self.sign))

    @property
    def is_trivial(self):
        """Whether the budget pays for the slack of a constant."""
        return self.budget is not None and self.budget >= self.largest_budget * (1.0 - 1e-12)

    def fit(self, beta):
        """K beta, evaluated from the kernel values."""
        support = np.flatnonzero(beta)
        return self.source.apply(support, beta[support])

    def gradient(self, beta):
        """p - K beta."""
        return self.linear - self.fit(beta)

    def take(self, rows):
        """The problem on some of the variables, with the same budget or cost."""
        return replace(self, source=self.source.take(rows), linear=self.linear[rows], bound=self.bound[rows])

    def with_budget(self, budget):
        """The same problem with another budget, whether it had one or a cost."""
        return self._with(budget=float(budget), cost=None)

    def with_cost(self, cost):
        """The same problem with the cost given, whether it had one or a budget."""
        return self._with(budget=None, cost=float(cost))

    def within(self, largest_cost):
        """The same problem, with lam followed no further than this."""
        return self._with(largest_cost=float(largest_cost))

    def counted(self, tally):
        """The same problem; the kernel values evaluated for it are counted."""
        return self._with(source=self.source.counted(tally))

    def stored(self, out=None):
        """The same problem with all its kernel values evaluated at once, in `out` if given."""
        return self._with(source=self.source.stored(out))

    def _with(self, **given):
        """The problem with other fields; what is known of it and does not depend on them is kept."""
        other = replace(self, **given)
        kept = ("sign", "weight", "constant", "largest_budget")
        vars(other).update({name: vars(self)[name] for name in kept if name in vars(self)})
        return other


def classification(source, target, weight, *, budget=None, cost=None):
    """The soft-margin classifier of samples with targets -1.0 and +1.0 and positive weights, as a `DualProblem`."""
    problem, balance = DualProblem(source, target, weight * target, budget, cost), dot(weight, target)
    # The heavier class, or the middle where they tie: what `least_slack_intercept` finds.
    constant = float(np.sign(balance)) if abs(balance) > _TIE * weight.sum() else 0.0
    largest = largest_budget_of_classes(target, weight)
    vars(problem).update(sign=target, weight=weight, constant=constant, largest_budget=largest)
    return problem


def largest_budget_of_classes(target, weight):
    """C_max of a classification: the constant is the heavier class, and every sample of the other has a slack of 2."""
    return float(weight.sum() - abs(dot(weight, target)))


def regression(source, y, weight, epsilon, *, budget=None, cost=None):
    """Epsilon-insensitive regression as a `DualProblem` of 2n variables; sample i is the variables i and n + i.

    The kernel values are indexed, not repeated. The duals of a sample add up:
    f = sum_i (beta_i + beta_{n+i}) k(x_i, .) + b.
    """
    everyone = np.arange(len(y))
    twice = IndexedSource(source, np.concatenate([everyone, everyone]))
    linear, bound = np.concatenate([y - epsilon, y + epsilon]), np.concatenate([weight, -weight])
    return DualProblem(twice, linear, bound, budget, cost)


@dataclass(frozen=True, slots=True)
class DualSolution:
    """A solution that certifies itself.

    Attributes
    ----------
    beta : ndarray (n,), signed duals
    intercept : float, b of f(x) = sum_i beta_i k(x_i, x) + b
    lam : float, the budget's multiplier: the cost in force
    slack : ndarray (n,), e_i = max(0, sign_i (p_i - f(x_i)))
    budget : float, the budget in force: the one asked for where it was kept, else the total slack
    norm : float, |w|
    duality_gap : float, (primal - dual objective) / primal objective: 1/2 |w|^2, with a cost + lam * total slack
    violation : float, max over increasable g_i minus min over decreasable g_i (libsvm's stopping quantity)
    budget_error : float, |total slack - budget| / max(budget, least weight); 0 where a cost was given
    infeasibility : float, how far the duals are from their bounds and from 1'beta = 0, over the largest of them, or lam
        from the cost that was given
    work : Work, what the solve took
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
    work: Work
    status: Status
    least_budget: float = np.nan

    @classmethod
    def of(cls, beta, lam, certificate, work, tol):
        """The solution of given duals, with the status that their certificate allows."""
        intercept, slack, *figures = certificate
        figures = [float(figure) for figure in figures]
        status = Status.OPTIMAL if largest_error(certificate) <= tol else Status.MAX_ITER
        return cls(beta, float(intercept), float(lam), slack, *figures, work, status)

    @property
    def margin(self):
        """M = 1 / |w|."""
        return 1.0 / self.norm if self.norm > 0 else np.inf

    def margin_of_less(self, budget):
        """A bound on the margin of every hyperplane that keeps a smaller budget than this solution of its cost.

        For any w with total slack S, 1/2 |w|^2 + lam S is at least the optimum at the cost lam.
        """
        return 1.0 / np.sqrt(self.norm**2 + 2.0 * self.lam * max(self.budget - budget, 0.0))

    def keeps(self, budget, tol):
        """Whether the total slack is the budget's but for a share tol, or for what, at the cost in force, changes the
        objective by no more than that: rounding."""
        beyond = self.budget - budget
        return beyond <= tol * budget or self.lam * beyond <= tol * 0.5 * self.norm**2

    def beyond(self, budget, least):
        """The solution as that of a budget it does not keep, given C_min or, where that is not known, None."""
        if least is None or budget >= least * (1.0 - 1e-9):
            return replace(self, status=Status.OUT_OF_REACH, least_budget=0.0 if least is None else least)
        return replace(self, status=Status.INFEASIBLE_BUDGET, least_budget=min(least, self.budget))

    @property
    def n_iter(self):
        """Iterations of every kind: pivots, interior and pair steps."""
        return self.work.iterations

    @property
    def error(self):
        """The largest of violation, budget error, infeasibility and duality gap."""
        return largest_error(self)

    def is_within(self, tol):
        """Whether violation, budget error, infeasibility and duality gap are all at most tol."""
        return bool(self.error <= tol)


def largest_error(certified):
    """The largest of violation, budget error, infeasibility and duality gap, of a solution or of certificates."""
    errors = certified.violation, certified.budget_error, certified.infeasibility, certified.duality_gap
    return np.abs(errors).max(axis=0)


def slack_of(residual, sign):
    """e_i = max(0, sign_i (p_i - f(x_i))) for the residuals p - f."""
    return np.maximum(0.0, sign * residual)


def least_slack_intercept(gradient, sign, weight):
    """The b of least total slack sum_i s_i max(0, sign_i (g_i - b)); the midpoint where an interval ties.

    The total slack is convex and piecewise linear in b with kinks at the gradients g; its slope just right of the k-th
    smallest gradient is (negative weight up to it) - (positive weight beyond it). Arrays (n,), or (k, n) of k problems,
    where variables of weight 0 are none.
    """
    n = gradient.shape[-1]
    order = gradient.argsort(axis=-1)
    if gradient.ndim > 1:
        # Where all problems stand in a row.
        order += n * np.arange(len(gradient))[:, None]
    total = np.where(sign > 0, weight, 0.0).sum(axis=-1)
    # One cumulative sum: the slope starts at -W+ and each kink, of either sign, raises it by its weight.
    slope = weight.take(order).cumsum(axis=-1) - total[..., None]
    flat = _TIE * weight.sum(axis=-1)[..., None]
    first, last = (slope < -flat).sum(axis=-1), np.minimum((slope <= flat).sum(axis=-1), n - 1)
    begin = n * np.arange(order.size // n).reshape(first.shape)
    ends = (gradient.take(order.take(begin + end)) for end in (first, last))
    return 0.5 * sum(ends)


def gradients_of_movable(gradient, beta, upper, sign):
    """max{g_i : beta_i can grow} and min{g_i : beta_i can shrink}: b lies between them in a solution."""
    magnitude, positive = sign * beta, sign > 0
    room_above, room_below = magnitude < upper, magnitude > 0
    grow, shrink = np.where(positive, room_above, room_below), np.where(positive, room_below, room_above)
    return np.where(grow, gradient, -np.inf).max(axis=-1), np.where(shrink, gradient, np.inf).min(axis=-1)


def kkt_violation(gradient, beta, upper, sign):
    """max{g_i : beta_i can grow} - min{g_i : beta_i can shrink}, at least 0 (Keerthi et al. 2001; Fan et al. 2005)."""
    highest, lowest = gradients_of_movable(gradient, beta, upper, sign)
    return np.maximum(0.0, highest - lowest)


def dual_infeasibility(beta, upper, sign):
    """The largest excess over 0 <= sign_i beta_i <= upper_i or |1'beta|, over the largest dual; without it a gap means
    nothing.

    Infinite where the duals are all 0, or a bound is negative.
    """
    magnitude = sign * beta
    largest = np.abs(beta).max(axis=-1)
    beyond = np.maximum(-magnitude, magnitude - upper).max(axis=-1)
    excess = np.maximum(np.maximum(beyond, np.abs(beta.sum(axis=-1))), 0.0)
    meaningless = (largest == 0) | (upper.min(axis=-1) < 0) | (upper.max(axis=-1) <= 0)
    return np.where(meaningless, np.inf, excess / np.where(meaningless, 1.0, largest))


def feasible_duals(problem, beta, lam):
    """beta between 0 and lam t and balanced, on the free samples where they have the room; arrays (n,), or (k, n) of k
    problems."""
    upper = np.asarray(lam)[..., None] * problem.bound
    low, high = np.minimum(0.0, upper), np.maximum(0.0, upper)
    beta = np.clip(beta, low, high)
    excess = beta.sum(axis=-1, keepdims=True)
    room = np.where(excess > 0, beta - low, high - beta)
    room_of_free = np.where((low < beta) & (beta < high), room, 0.0)
    have_room = room_of_free.sum(axis=-1, keepdims=True) >= np.abs(excess)
    room = np.where(have_room, room_of_free, room)
    share = excess / np.maximum(room.sum(axis=-1, keepdims=True), _SMALLEST)
    return np.clip(beta - share * room, low, high)


def on_their_bounds(problem, beta, lam):
    """beta, of which what is next to an end of its range is there."""
    upper = np.asarray(lam)[..., None] * problem.bound
    magnitude, most = problem.sign * beta, np.abs(upper)
    return np.where(magnitude <= _NEXT * most, 0.0, np.where(magnitude >= (1.0 - _NEXT) * most, upper, beta))


def certify(problem, beta, lam, work, tol):
    """The solution record of given duals, from nothing but them and the kernel values."""
    fit = problem.fit(beta)
    squared_norm, least_weight = _squared_norm(problem, beta, fit), problem.weight.min()
    gradient, linear, bound = problem.linear - fit, problem.linear, problem.bound
    held = certificate(gradient, beta, np.float64(lam), squared_norm, linear, bound, least_weight, problem.budget)
    if problem.cost is not None:
        # The bounds are those of the cost that was given.
        held = held._replace(infeasibility=max(held.infeasibility, abs(lam / problem.cost - 1.0)))
    return DualSolution.of(beta, lam, held, work, tol)


class Certificate(NamedTuple):
    """What duals are worth as a solution, of one problem or of each of many; the fields are those of `DualSolution`."""

    intercept: object
    slack: object
    budget: object
    norm: object
    duality_gap: object
    violation: object
    budget_error: object
    infeasibility: object


def certificate(gradient, beta, lam, squared_norm, linear, bound, least_weight, budget):
    """The certificate of duals from their gradient p - K beta and |w|^2.

    Parameters
    ----------
    gradient, beta, linear, bound : ndarrays (n,), or (k, n) of k problems, where variables of bound 0 are none
    lam, squared_norm, least_weight, budget : floats, or ndarrays (k,); the budget is None where the cost lam is given
    """
    sign, weight = np.sign(bound), np.abs(bound)
    intercept = least_slack_intercept(gradient, sign, weight)
    slack = slack_of(gradient - intercept[..., None], sign)
    total_slack = _inner(weight, slack)
    gap = squared_norm + lam * total_slack - _inner(linear, beta)
    objective = 0.5 * squared_norm
    if budget is None:
        budget, objective = total_slack, objective + lam * total_slack
    upper = lam[..., None] * weight
    with np.errstate(over="ignore", invalid="ignore"):
        relative_gap = np.where(objective > 0, gap / np.maximum(objective, _SMALLEST), np.inf)
    return Certificate(
        intercept=intercept,
        slack=slack,
        budget=budget,
        norm=np.sqrt(squared_norm),
        duality_gap=relative_gap,
        violation=kkt_violation(gradient, beta, upper, sign),
        # Relative to the budget: beside classes of large weight a budget for small ones must be kept, too.
        budget_error=np.abs(total_slack - budget) / np.maximum(budget, least_weight),
        infeasibility=dual_infeasibility(beta, upper, sign),
    )


def _inner(x, y):
    """x'y, or those of each row."""
    return dot(x, y) if x.ndim == 1 else np.einsum("ki,ki->k", x, y)


def _squared_norm(problem, beta, fit):
    """|w|^2 from K beta: from the features where they are known, since beta'K beta cancels where large duals make a
    small w.
    """
    features = problem.source.features
    if features is None:
        return max(0.0, dot(beta, fit))
    w = dense_product(features.T, beta)
    return float(w @ w)


def constant_solution(problem):
    """The optimum for C >= C_max: w = 0 and the constant of least slack.

    Where a class may tie with the other, of the two constants the positive one.
    """
    sign, weight = problem.sign, problem.weight
    intercept = problem.constant
    if np.all(problem.linear == sign):
        intercept = 1.0 if weight @ sign >= 0 else -1.0
    return DualSolution(
        beta=np.zeros(problem.n_samples),
        intercept=float(intercept),
        lam=0.0 if problem.cost is None else problem.cost,
        slack=slack_of(problem.linear - intercept, sign),
        budget=problem.charge,
        norm=0.0,
        duality_gap=0.0,
        violation=0.0,
        budget_error=0.0,
        infeasibility=0.0,
        work=Work(),
        status=Status.UNBOUNDED_MARGIN,
    )
