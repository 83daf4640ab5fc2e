"""What C may mean: a total slack, a fraction of the largest one, or the price of slack.

Every unit knows which values it allows and how a problem is asked with one of them. `whole` is what fractions are of:
`Problem.whole`, and `scale` what the dual problem measures total slack and its price in.
"""

from typing import NamedTuple

import numpy as np


class Scale(NamedTuple):
    """What a dual problem measures in: total slack, in multiples of `total`, and the cost of slack, of `cost`."""

    total: float
    cost: float

    @classmethod
    def of(cls, slack, weight):
        """The scale where slacks and weights are measured in these."""
        return cls(slack * weight, slack / weight)


def _at_least_zero(C):
    return None if np.isfinite(C) and C >= 0 else "must be a finite number >= 0"


class TotalSlack:
    """C is the total slack allowed."""

    name = "total"
    meaning = "a budget on the total slack: larger is softer, unlike the C of {peer}"
    softer = "a larger C"

    refusal = staticmethod(_at_least_zero)

    @staticmethod
    def ask(problem, C, whole, scale):
        """The dual problem with this C."""
        return problem.with_budget(C / scale.total)

    @staticmethod
    def of_budget(budget, whole):
        """A total slack in this unit."""
        return budget

    @staticmethod
    def hardness(C):
        """What grows as the margin gets harder."""
        return -C

    @staticmethod
    def spread(count, slack):
        """So many values over the range of use."""
        raise ValueError(
            f"Cs={count} asks for {count} values, but how much total slack is of use depends on the data: give the "
            f"list of budgets, or choose unit='relative' or unit='cost'."
        )


class Fraction:
    """C is a fraction of the largest budget that makes sense."""

    name = "relative"
    meaning = "a budget on the total slack, as a fraction of C_max: larger is softer, unlike the C of {peer}"
    softer = TotalSlack.softer

    # From a margin with hardly a slack to nearly the largest.
    _smallest, _largest = 1e-3, 0.9
    # Beyond this a margin is nearly a constant classifier's: where no less is feasible, nothing of use is.
    _most = 0.99
    hardness = TotalSlack.hardness

    @staticmethod
    def refusal(C):
        """Why C is no value of this unit, None where it is one."""
        if _at_least_zero(C) is None and C < 1:
            return None
        return "is a fraction of C_max and must be in [0, 1); unit='total' takes the total slack itself"

    @staticmethod
    def ask(problem, C, whole, scale):
        """The dual problem with this C."""
        return problem.with_budget(C * whole / scale.total)

    @staticmethod
    def of_budget(budget, whole):
        """A total slack in this unit; none is no share of anything."""
        return budget / whole if budget > 0 else 0.0

    @classmethod
    def spread(cls, count, slack=1.0, least=0.0):
        """So many values over the range of use, evenly spaced in their logarithm; none below `least`."""
        smallest = min(max(cls._smallest, least), cls._most)
        return np.geomspace(smallest, max(cls._largest, 0.5 * (smallest + cls._most)), count)


class Cost:
    """C is the price of a unit of slack, as in `sklearn.svm.SVC`."""

    name = "cost"
    meaning = "the cost of a unit of slack, as in {peer}: larger is harder"
    softer = "a smaller C"

    # From where most samples are slack to where hardly any is, on scaled features.
    _smallest, _largest = 1e-2, 1e3

    @staticmethod
    def refusal(C):
        """Why C is no value of this unit, None where it is one."""
        if np.isfinite(C) and C > 0:
            return None
        return "is the cost of a unit of slack and must be a finite number > 0; unit='total' takes C=0, no slack at all"

    @staticmethod
    def ask(problem, C, whole, scale):
        """The dual problem with this C."""
        cost = C / scale.cost
        if not _LEAST_COST <= cost <= _MOST_COST:
            raise ValueError(
                f"The cost C={C:.6g} of slack is out of numerical reach for these sample weights: it must be between "
                f"{_LEAST_COST * scale.cost:.3g} and {_MOST_COST * scale.cost:.3g}. Choose such a C, weights "
                f"nearer to 1, or unit='relative'."
            )
        return problem.with_cost(cost)

    @staticmethod
    def hardness(C):
        """What grows as the margin gets harder."""
        return C

    @classmethod
    def spread(cls, count, slack):
        """So many values over the range of use, evenly spaced in their logarithm: the price of a model is in proportion
        to the square of its values, that of slack to the slack.
        """
        return slack * np.geomspace(cls._smallest, cls._largest, count)


# Costs whose squares, times those of kernel values, doubles can tell from zero and infinity.
_LEAST_COST, _MOST_COST = 1e-100, 1e100
UNITS = {unit.name: unit for unit in (TotalSlack, Fraction, Cost)}
# C="auto": the default of `sklearn.svm.SVC`.
_AUTO_COST = 1.0


def unit_and_value(C, unit, auto_cost=_AUTO_COST):
    """The unit and the number behind the parameters C and unit; raises where they do not go together."""
    if C == "auto":
        return Cost, auto_cost
    found = UNITS[unit]
    reason = found.refusal(C)
    if reason is not None:
        raise ValueError(f"With unit={unit!r}, C {reason}; got C={C!r}.")
    return found, float(C)


def check_Cs(Cs, unit, slack=1.0):
    """The values of C as a float array; a whole number asks for so many over the range of use, of slack measured in
    multiples of `slack`.
    """
    found = UNITS[unit]
    if isinstance(Cs, (int, np.integer)) and not isinstance(Cs, bool):
        if Cs < 1:
            raise ValueError(f"Cs must ask for at least 1 value, got Cs={Cs}.")
        return found.spread(int(Cs), slack)
    values = np.asarray(Cs, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"Cs must be a number of values or a non-empty list of them, got {Cs!r}.")
    for C in values:
        reason = found.refusal(C)
        if reason is not None:
            raise ValueError(f"With unit={unit!r}, each of Cs {reason}; got Cs={Cs!r}.")
    return values
