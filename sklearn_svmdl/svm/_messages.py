"""What the user is told about a fit: warnings and errors that say what happened and what to do."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from ..dual.problem import BEYOND_REACH, DualSolution, Status
from ._units import Cost
from ._warn import warn

# Feature scales this many times larger or smaller than the median scale slow any kernel method down.
_ODD_SCALE = 100.0
# Names listed in a message before it says "and n more".
_MOST_NAMES = 5


class BudgetWarning(UserWarning):
    """The budget in force is not the one asked for, or it makes the problem trivial."""


class InfeasibleBudgetError(ValueError):
    """No hyperplane keeps the total slack within the budget."""


class ProbabilitiesNeededError(ValueError):
    """A search over decisions was given a scorer of probabilities."""


class IndefiniteKernelWarning(UserWarning):
    """The kernel has negative eigenvalues, so it is no inner product and the problem is not convex."""


@dataclass(frozen=True)
class Outcome:
    """What was asked of one problem, and what was found.

    Parameters
    ----------
    name : str, what messages call it among others
    task : BinaryTask or RegressionTask
    C : float, in `unit`
    unit : a value of `UNITS`
    whole : float, what relative budgets are fractions of
    largest : float, C_max as total slack
    solution : DualSolution
    """

    name: str
    task: object
    C: float
    unit: type
    whole: float
    largest: float
    solution: DualSolution

    @classmethod
    def of(cls, problem, C, unit, solution, at=""):
        """The outcome of a `Problem`, from its task's answer; `at` says at which of several C."""
        task = problem.task
        return cls(f"{task.name}{at}", task, C, unit, problem.whole, problem.largest, solution)

    @property
    def is_trivial(self):
        """Whether the budget that was asked for pays for a constant; where one is free, or what fits best at a cost, it
        does not.
        """
        return self.solution.status is Status.UNBOUNDED_MARGIN and self.unit is not Cost and self.largest > 0

    def in_unit(self, budget):
        """A total slack in the unit of C."""
        return self.unit.of_budget(budget, self.whole)


def report(training, outcomes, noun, *, infeasible, tol, max_iter, feature_names, stopped=False):
    """Warn or raise where solutions are not what was asked for: at most one warning of a kind.

    Parameters
    ----------
    training : Training
    outcomes : list of Outcome
    noun : str, what several of them are called
    infeasible, tol, max_iter : the parameters of the estimator
    feature_names : sequence or None
    stopped : bool, whether a callback asked to stop
    """
    out_of_reach = describe_infeasible(outcomes, noun, infeasible)
    if out_of_reach is not None and infeasible == "raise":
        raise InfeasibleBudgetError(out_of_reach)
    curvature = training.indefiniteness
    if curvature:
        # Budgets and gaps follow from convexity: where that fails, nothing else is worth telling.
        warn_indefinite(training.kernel.name, curvature)
        return
    if out_of_reach is not None:
        warn(out_of_reach, BudgetWarning)
    warn_unbounded(outcomes, noun)
    open_ = [outcome for outcome in outcomes if outcome.solution.status is Status.MAX_ITER]
    if not open_:
        return
    worst = max(open_, key=lambda outcome: abs(outcome.solution.duality_gap))
    where = _where(open_, outcomes, noun, worst)
    if stopped:
        warn(
            f"A callback stopped the solver before it reached tol={tol:g}{where}; {_so_far(worst)}", ConvergenceWarning
        )
    else:
        X = None if training.kernel.spec.pairwise else training.data.X
        warn_unconverged(worst, where, tol=tol, max_iter=max_iter, X=X, feature_names=feature_names)


# What became of the hardest margin within reach.
_HARDEST = {
    "relax": "Returned is the hardest margin within reach, which spends",
    "raise": "The hardest margin within reach spends",
}


def describe_infeasible(outcomes, noun, policy):
    """Say which budgets are below C_min or out of reach and what became of them, or None where all were kept."""
    short = [outcome for outcome in outcomes if outcome.solution.status in BEYOND_REACH]
    if not short:
        return None
    worst = max(short, key=lambda outcome: outcome.in_unit(outcome.solution.budget) - outcome.C)
    where, solution, C = _where(short, outcomes, noun, worst), worst.solution, f"C={worst.C:.6g}"
    if solution.least_budget >= worst.largest * (1.0 - 1e-9):
        return (
            f"No budget is feasible{where}: {worst.task.no_better_than_constant}, and no hyperplane has less total "
            f"slack than a constant, {worst.in_unit(worst.largest):.6g}; asked for was {C}. "
            f"{_meaning(worst)} {_spent(worst, policy)} Choose a more flexible kernel or other features."
        )
    if solution.status is Status.OUT_OF_REACH:
        reason = (
            f"The budget {C} is out of numerical reach{where}: a hyperplane with so little slack, if there is one, has "
            f"a margin below {solution.margin_of_less(worst.C / worst.in_unit(1.0)):.3g}."
        )
    else:
        reason = (
            f"The budget {C} is infeasible{where}: no hyperplane has a total slack below "
            f"C_min={worst.in_unit(solution.least_budget):.6g}."
        )
    return (
        f"{reason} {_meaning(worst)} {_feasible(outcomes, short)} {_spent(worst, policy)} Choose a feasible C, a more "
        f"flexible kernel, or {_as_cost(worst)}."
    )


def warn_unbounded(outcomes, noun):
    """Say where C >= C_max left a constant."""
    trivial = [outcome for outcome in outcomes if outcome.is_trivial]
    if not trivial:
        return
    worst = max(trivial, key=lambda outcome: outcome.C - outcome.in_unit(outcome.largest))
    task = worst.task
    warn(
        f"The budget C={worst.C:.6g} pays for {task.constant_pays}{_where(trivial, outcomes, noun, worst)}: "
        f"returned is {task.constant_model(worst.solution.intercept)}. {_meaning(worst)} "
        f"Choose C below C_max={min(outcome.in_unit(outcome.largest) for outcome in trivial):.6g}, or "
        f"{_as_cost(worst)}.",
        BudgetWarning,
    )


def warn_unconverged(worst, where, *, tol, max_iter, X, feature_names):
    """State the duality gap that is left, and what may have kept the solver from closing it."""
    n_iter = worst.solution.n_iter
    used_up = n_iter >= max_iter
    taken = f"max_iter={max_iter}" if used_up else f"{n_iter} of max_iter={max_iter}"
    more = "Raise max_iter or tol" if used_up else "Raise tol"
    warn(
        f"The solver stopped after {taken} iterations without reaching tol={tol:g}{where}; {_so_far(worst)} "
        f"{_advice(X, feature_names, f'{more}, or try {worst.unit.softer}')}",
        ConvergenceWarning,
    )


def _so_far(outcome):
    """What a solve that was not brought to its end has come to."""
    solution = outcome.solution
    return (
        f"returned is the best model so far: relative duality gap {solution.duality_gap:.3g}, violation "
        f"{solution.violation:.3g}, budget error {solution.budget_error:.3g}."
    )


def warn_indefinite(kernel_name, negative_curvature):
    """Say that the kernel is no inner product on these samples, and what then loses its meaning."""
    name = getattr(kernel_name, "__name__", kernel_name)
    warn(
        f"The kernel {name!r} is not positive semi-definite on these samples (its smallest eigenvalue is "
        f"{-negative_curvature:.3g} of its largest): it is no inner product. The model is a stationary point "
        f"that can be used to predict, but margin_, cost_ and duality_gap_ lose their meaning. Choose "
        f"another kernel, or other values of gamma and coef0.",
        IndefiniteKernelWarning,
    )


def odd_columns(X):
    """Columns of X whose root mean square is more than `_ODD_SCALE` times off the median, oddest first."""
    squares = X.multiply(X) if sparse.issparse(X) else np.square(X, dtype=np.float64)
    scale = np.asarray(squares.mean(axis=0), dtype=float).ravel() ** 0.5
    used = np.flatnonzero(scale)
    if len(used) == 0:
        return used
    magnitude = np.log(scale[used])
    distance = np.abs(magnitude - np.median(magnitude))
    order = np.argsort(-distance, kind="stable")
    return used[order[distance[order] > np.log(_ODD_SCALE)]]


def _meaning(outcome):
    """What C means."""
    return f"C is {outcome.unit.meaning.format(peer=outcome.task.peer)}."


def _feasible(outcomes, short):
    """The values of C that all the problems allow, and that are within reach."""
    least = max(outcome.in_unit(_least(outcome.solution)) for outcome in short)
    largest = min(outcome.in_unit(outcome.largest) for outcome in outcomes)
    if least >= largest:
        return "No single C is feasible for all of them."
    return f"Feasible: {_up(least)} <= C < {largest:.6g}."


def _up(value):
    """A number in six digits, none below it."""
    text = f"{value:.6g}"
    return text if float(text) >= value else f"{value * (1.0 + 5e-6):.6g}"


def _least(solution):
    """The smallest budget that is feasible and within reach, from a solution that is short of one."""
    return solution.budget if solution.status is Status.OUT_OF_REACH else solution.least_budget


def _spent(outcome, policy):
    """What the solution that was found spends, and whether it is the model."""
    return f"{_HARDEST[policy]} {outcome.in_unit(outcome.solution.budget):.6g}."


def _as_cost(outcome):
    """How the same number is asked for as a cost."""
    same = f"C={outcome.C:.6g} is what it is in {outcome.task.peer} and always feasible"
    return f"unit='cost': there {same if outcome.C > 0 else 'every C > 0 is feasible'}"


def _advice(X, feature_names, other):
    odd = [] if X is None else odd_columns(X)
    if len(odd) == 0:
        return f"{other}, a smaller gamma or degree; standardise the features if they are not."
    names = [str(k) if feature_names is None else repr(str(feature_names[k])) for k in odd[:_MOST_NAMES]]
    more = f" and {len(odd) - _MOST_NAMES} more" if len(odd) > _MOST_NAMES else ""
    return (
        f"The scales of the features differ by orders of magnitude: look at column(s) {', '.join(names)}"
        f"{more}. Scale the data, for example with sklearn.preprocessing.StandardScaler."
    )


def _where(affected, outcomes, noun, worst):
    """Which of several problems, or points of a path, the numbers of a message belong to."""
    if len(outcomes) == 1:
        return ""
    return f" in {len(affected)} of {len(outcomes)} {noun} (numbers of the worst, {worst.name})"
