"""Epsilon-insensitive regression as a task to solve, and the units of y.

Whatever y is measured in, "auto" means the same: a tube, and a price of slack, in proportion to the spread of y.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..dual.problem import least_slack_intercept, regression, slack_of

# The spread of a normal variable over its median absolute deviation.
_NORMAL = 1.4826022185056018
# epsilon="auto" is so much of the spread of y.
_AUTO_EPSILON = 0.1
# C="auto" is a cost of so many times the spread of y: as large where y is scaled to a spread of 1.
_AUTO_COST = 1.0


@dataclass(frozen=True, slots=True)
class RegressionTask:
    """The regression of the numbers y on all samples; the methods are those of `_multiclass.BinaryTask`.

    Sample i is the variables i and n + i of the dual problem: one for the upper, one for the lower side of its tube.
    There y is measured from `zero` in multiples of `unit`, its median and spread: what the solvers call small is small
    beside 1.
    """

    rows: np.ndarray
    y: np.ndarray
    epsilon: float
    zero: float
    unit: float
    noun, estimator, peer = "regressions", "BudgetSVR", "sklearn.svm.SVR"
    name = "regression"
    constant_pays = "the slack of a constant"
    no_better_than_constant = "for this kernel nothing fits y better than a constant"

    @property
    def auto_cost(self):
        """The cost behind C="auto"."""
        return _AUTO_COST * self.unit

    def dual(self, source, weight):
        """The `DualProblem`, without budget or cost, in its own units."""
        return regression(source, (self.y - self.zero) / self.unit, weight, self.epsilon / self.unit)

    def largest_budget(self, weight):
        """C_max, the total slack of the best constant."""
        sign = np.repeat([1.0, -1.0], len(self.y))
        linear, weight = np.concatenate([self.y, self.y]) - self.epsilon * sign, np.concatenate([weight, weight])
        constant = least_slack_intercept(linear, sign, weight)
        return float(weight @ slack_of(linear - constant, sign))

    def answer(self, solution):
        """The solution of the dual problem in the units of y."""
        grown = ("beta", "lam", "slack", "budget", "norm", "violation", "least_budget")
        in_units = {name: self.unit * getattr(solution, name) for name in grown}
        return replace(solution, intercept=self.zero + self.unit * solution.intercept, **in_units)

    def duals(self, solution):
        """One signed dual for each sample: those of the two sides add up."""
        return _sides(solution.beta).sum(axis=0)

    def slack(self, solution):
        """One slack for each sample: that of the side on which it leaves the tube."""
        # Adding 0 rids it of the sign of -0.
        return _sides(solution.slack).max(axis=0) + 0.0

    def decisions(self, of_variables, solution):
        """The decision of the side that holds the sample, the one of the larger dual, in the units of y."""
        upper, lower = _sides(of_variables)
        above, below = np.abs(_sides(solution.beta))
        return self.zero + self.unit * np.where(below > above, lower, upper)

    def constant_model(self, intercept):
        """What the constant with this intercept is called."""
        return f"the constant of least total slack, {intercept:.6g}"


def regression_task(y, weight, epsilon):
    """The task of a regression on samples of positive weight; epsilon is "auto" or the half-width of the tube."""
    middle = median(y, weight)
    with np.errstate(over="ignore"):
        total = weight @ np.abs(y - middle)
    if not np.isfinite(total):
        raise ValueError(
            f"The total slack of a constant overflows: |y| is up to {np.abs(y).max():.3g}, and the sum of the weights "
            f"{weight.sum():.3g}. Measure y in larger units, or divide the weights by their mean."
        )
    spread = spread_of(y, weight)
    epsilon = _AUTO_EPSILON * spread if epsilon == "auto" else float(epsilon)
    return RegressionTask(np.arange(len(y)), y, epsilon, middle, spread or 1.0)


def _sides(values):
    """The values (2, n) of the upper and the lower side of each sample."""
    return values.reshape(2, -1)


def median(values, weight):
    """The weighted median, the middle of an interval where it may lie anywhere in one."""
    sign = np.repeat([1.0, -1.0], len(values))
    return least_slack_intercept(np.concatenate([values, values]), sign, np.concatenate([weight, weight]))


def spread_of(y, weight):
    """The robust spread of y: its weighted median absolute deviation, as much as the standard deviation if y is normal.

    Where half of y or more is one number it is the standard deviation, and 0 where all of y is.
    """
    middle = median(y, weight)
    distance = np.abs(y - middle)
    robust = _NORMAL * median(distance, weight)
    if robust > 0:
        return float(robust)
    largest = distance.max() or 1.0
    # In units of the largest no square is infinite.
    deviation = (y - middle) / largest
    variance = np.average((deviation - np.average(deviation, weights=weight)) ** 2, weights=weight)
    return float(largest * np.sqrt(variance))
