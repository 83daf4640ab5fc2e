"""What the user is told about a fit: warnings and errors that say what happened and what to do."""

import os
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import sklearn
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from ..dual.problem import BEYOND_REACH, Status

# Feature scales this many times larger or smaller than the median scale slow any kernel method down.
_ODD_SCALE = 100.0
# Names listed in a message before it says "and n more".
_MOST_NAMES = 5
# Where the code of this package, scikit-learn and joblib lies.
_NOT_THE_USERS = tuple(
    f"{Path(origin).parent}{os.sep}" for origin in (Path(__file__).parent, sklearn.__file__, joblib.__file__)
)


class BudgetWarning(UserWarning):
    """The budget in force is not the one asked for, or it makes the problem trivial."""


class InfeasibleBudgetError(ValueError):
    """No hyperplane keeps the total slack within the budget."""


class IndefiniteKernelWarning(UserWarning):
    """The kernel has negative eigenvalues, so it is no inner product and the problem is not convex."""


def report(training, tasks, asked, solutions, *, infeasible, tol, max_iter, feature_names):
    """Warn or raise where solutions are not what was asked for: at most one warning of a kind.

    Parameters
    ----------
    training : Training
    tasks : what was solved, with a name and a noun: binary problems, or such problems at the points of a path
    asked, solutions : lists of DualProblem and DualSolution, one for each of the tasks
    infeasible, tol, max_iter : the parameters of `BudgetSVC`
    feature_names : sequence or None
    """
    if infeasible == "raise":
        message = describe_infeasible(tasks, solutions, asked)
        if message is not None:
            raise InfeasibleBudgetError(message)
    curvature = training.indefiniteness
    if curvature:
        # Budgets and gaps follow from convexity: where that fails, nothing else is worth telling.
        warn_indefinite(training.kernel.name, curvature)
        return
    warn_infeasible(tasks, solutions, asked)
    warn_unbounded(tasks, solutions, asked)
    X = None if training.kernel.spec.pairwise else training.data.X
    warn_unconverged(tasks, solutions, tol=tol, max_iter=max_iter, X=X, feature_names=feature_names)


def describe_infeasible(tasks, solutions, asked):
    """Say which budgets are below C_min, or None where all are feasible."""
    short = [k for k, solution in enumerate(solutions) if solution.status in BEYOND_REACH]
    if not short:
        return None
    worst = max(short, key=lambda k: solutions[k].budget - asked[k].budget)
    least, largest = solutions[worst].least_budget, asked[worst].largest_budget
    if least >= largest * (1.0 - 1e-9):
        return (
            f"No budget is feasible{_where(short, tasks, worst)}: for this kernel the classes are alike, and no "
            f"hyperplane has less total slack than the constant classifier, C_max={largest:.6g}, which was asked to "
            f"keep within C={asked[worst].budget:.6g}. Choose a more flexible kernel or other features."
        )
    budget, solution = asked[worst].budget, solutions[worst]
    fitted = (
        f"infeasible='relax' fits the hardest margin within reach, whose total slack is {solution.budget:.6g} "
        f"({solution.budget / largest:.4g} of C_max)"
    )
    where = _where(short, tasks, worst)
    if solution.status is Status.OUT_OF_REACH:
        return (
            f"The budget C={budget:.6g} is out of numerical reach{where}: a hyperplane with so little slack, if there "
            f"is one, has a margin below {solution.margin_of_less(budget):.3g}. {fitted}. Raise C, or choose a more "
            f"flexible kernel (a larger gamma or degree)."
        )
    return (
        f"The budget C={budget:.6g} is infeasible{where}: no hyperplane has a total slack below C_min={least:.6g}. "
        f"Feasible budgets: {least:.6g} <= C < {largest:.6g} (as a fraction of C_max, {least / largest:.4g} <= C < 1). "
        f"{fitted}. Raise C, choose a more flexible kernel, or see feasible_budget(X, y)."
    )


def warn_infeasible(tasks, solutions, asked):
    """Say which budgets could not be kept, and what was fitted instead."""
    message = describe_infeasible(tasks, solutions, asked)
    if message is not None:
        warn(message + ' infeasible="raise" makes this an error.', BudgetWarning)


def warn_unbounded(tasks, solutions, asked):
    """Say where C >= C_max left the constant classifier."""
    trivial = [k for k, solution in enumerate(solutions) if solution.status is Status.UNBOUNDED_MARGIN]
    if not trivial:
        return
    worst = max(trivial, key=lambda k: asked[k].budget - asked[k].largest_budget)
    warn(
        f"The budget C={asked[worst].budget:.6g} pays for misclassifying a whole class"
        f"{_where(trivial, tasks, worst)}: the margin is infinite and every sample is put into the heavier "
        f"class. Choose C below C_max={asked[worst].largest_budget:.6g}, "
        f"or unit='relative' with C in [0, 1).",
        BudgetWarning,
    )


def warn_unconverged(tasks, solutions, *, tol, max_iter, X, feature_names):
    """State the duality gap that is left, and what may have kept the solver from closing it."""
    open_ = [k for k, solution in enumerate(solutions) if solution.status is Status.MAX_ITER]
    if not open_:
        return
    worst = max(open_, key=lambda k: abs(solutions[k].duality_gap))
    solution = solutions[worst]
    warn(
        f"The solver stopped after {solution.n_iter} of max_iter={max_iter} iterations without reaching tol={tol:g}"
        f"{_where(open_, tasks, worst)}: relative duality gap {solution.duality_gap:.3g}, violation "
        f"{solution.violation:.3g}, budget error {solution.budget_error:.3g}. "
        f"{_advice(X, feature_names)}",
        ConvergenceWarning,
    )


def warn_indefinite(kernel_name, negative_curvature):
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


def _advice(X, feature_names):
    odd = [] if X is None else odd_columns(X)
    if len(odd) == 0:
        return "Raise max_iter or tol, or try a larger C, a smaller gamma or degree."
    names = [str(k) if feature_names is None else repr(str(feature_names[k])) for k in odd[:_MOST_NAMES]]
    more = f" and {len(odd) - _MOST_NAMES} more" if len(odd) > _MOST_NAMES else ""
    return (
        f"The scales of the features differ by orders of magnitude: look at column(s) {', '.join(names)}"
        f"{more}. Scale the data, for example with sklearn.preprocessing.StandardScaler."
    )


def _where(affected, tasks, worst):
    """Which of several binary problems, or points of a path, the numbers of a message belong to."""
    if len(tasks) == 1:
        return ""
    return f" in {len(affected)} of {len(tasks)} {tasks[worst].noun} (numbers of the worst, {tasks[worst].name})"


def warn(message, category):
    """Warn at the line of the user, however many frames of this package, scikit-learn and joblib are in between."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
