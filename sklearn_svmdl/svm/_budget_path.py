"""The solutions of a budget problem along decreasing budgets."""

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np

from ..dual.path import walk
from ..kernels import MEGABYTE, GramSource
from ._budget_svc import BudgetSVC
from ._training import binary_problem

# A number of budgets spans these fractions of C_max: from a margin with hardly a slack to nearly the largest.
_SMALLEST_FRACTION, _LARGEST_FRACTION = 1e-3, 0.9


@dataclass(frozen=True)
class BudgetPath:
    """Solutions along decreasing budgets, from `budget_path`.

    Attributes
    ----------
    Cs : ndarray of shape (n_Cs,)
        The budgets asked for, largest first, in the unit asked for.
    classes : ndarray of shape (n_classes,)
        Sorted class labels. In each binary problem +1 is the later class.
    dual_coefs : ndarray of shape (n_Cs, n_problems, n_samples)
        Signed duals y_i alpha_i; the decisions are K(., X) @ dual_coefs[c].T + intercepts[c].
    intercepts : ndarray of shape (n_Cs, n_problems)
    margins : ndarray of shape (n_Cs, n_problems)
        M = 1 / |w|; infinite where C >= C_max.
    slack : ndarray of shape (n_Cs, n_problems, n_samples)
        Slacks e_i; nan where a sample takes no part in a problem.
    n_support : ndarray of shape (n_Cs, n_problems)
        Numbers of support vectors.
    budgets : ndarray of shape (n_Cs, n_problems)
        The budgets in force, as total slack: C_min where a budget was infeasible.
    penalties : ndarray of shape (n_Cs, n_problems)
        The multipliers of the budgets: the equivalent costs of `sklearn.svm.SVC`.
    certificates : ndarray of shape (n_Cs, n_problems)
        Relative duality gaps, each evaluated afresh.
    """

    Cs: np.ndarray
    classes: np.ndarray
    dual_coefs: np.ndarray
    intercepts: np.ndarray
    margins: np.ndarray
    slack: np.ndarray
    n_support: np.ndarray
    budgets: np.ndarray
    penalties: np.ndarray
    certificates: np.ndarray


def budget_path(
    X,
    y,
    *,
    Cs=10,
    budget="relative",
    kernel="rbf",
    gamma="scale",
    degree=3,
    coef0=1.0,
    sample_weight=None,
    multi_class="ovo",
    infeasible="relax",
    class_weight=None,
    tol=1e-3,
    max_iter=100_000,
    cache_size=500,
):
    """Solve the budget problem of `BudgetSVC` for many budgets, each solution starting from the last.

    Each point is the one that `BudgetSVC` finds for its budget, certified by itself; a point costs a few
    factorisations of the free support vectors' kernel matrix.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Training samples, or their kernel values (n_samples, n_samples) if kernel="precomputed".
    y : array-like of shape (n_samples,)
        Class labels.
    Cs : int or array-like of floats, default=10
        The budgets, or how many of them between 0.001 and 0.9 of C_max, evenly spaced in their logarithm
        (budget="relative" only).
    budget : {"total", "relative"}, default="relative"
        Unit of the budgets.
    kernel, gamma, degree, coef0, multi_class, infeasible, class_weight, tol, max_iter
        As for `BudgetSVC`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the slacks, 1 if None.
    cache_size : float > 0, default=500
        Megabytes of kernel values kept in memory. Where they hold all kernel values, and as much again for
        factors of them, a point costs the least. A walk reads them once for each budget, so the default is
        larger than that of `BudgetSVC`, which solves for one.

    Returns
    -------
    path : BudgetPath
        The solutions, largest budget first.

    Raises
    ------
    InfeasibleBudgetError
        A budget is below C_min and infeasible="raise".
    ValueError
        Bad input.

    Examples
    --------
    >>> from sklearn_svmdl import budget_path
    >>> X, y = [[0.0], [1.0], [3.0], [5.0]], [0, 0, 1, 1]
    >>> path = budget_path(X, y, Cs=[0.5, 0.0], kernel="linear")
    >>> path.margins.ravel().round(3)
    array([3.5, 1. ])
    >>> path.slack.sum(axis=2).ravel().round(3)
    array([2., 0.])
    """
    Cs = np.sort(check_Cs(Cs, budget))[::-1]
    common = dict(
        budget=budget,
        kernel=kernel,
        gamma=gamma,
        degree=degree,
        coef0=coef0,
        multi_class=multi_class,
        infeasible=infeasible,
        class_weight=class_weight,
        tol=tol,
        max_iter=max_iter,
        cache_size=cache_size,
    )
    models = [BudgetSVC(C=float(C), **common) for C in Cs]
    models[0]._validate_params()
    return _path_of(models, X, y, sample_weight, Cs)


@dataclass(frozen=True)
class _Point:
    """A binary problem at one budget, as messages name it."""

    task: object
    number: int
    C: float
    noun = "solutions of the path"

    @property
    def name(self):
        return f"{self.task.name}, path.Cs[{self.number}]={self.C:.4g}"


def _path_of(models, X, y, sample_weight, Cs):
    first = models[0]
    data, tasks, source, memory = first._stage(X, y, sample_weight)
    rows = walk_tasks(models, tasks, source, data, memory)
    points = [_Point(task, c, model.C) for c, model in enumerate(models) for task in tasks]
    asked, solutions = zip(*(pair for row in rows for pair in row))
    first._report(data, points, asked, solutions, source)
    beta = np.zeros((len(Cs), len(tasks), data.n_given))
    slack = np.full(beta.shape, np.nan)
    for c, row in enumerate(rows):
        for k, (task, (_, solution)) in enumerate(zip(tasks, row, strict=True)):
            beta[c, k, data.kept[task.rows]] = solution.beta
            slack[c, k, data.kept[task.rows]] = solution.slack
    return BudgetPath(
        Cs=Cs,
        classes=data.classes,
        dual_coefs=beta,
        intercepts=_each(rows, "intercept"),
        margins=_each(rows, "margin"),
        slack=slack,
        n_support=np.count_nonzero(beta, axis=2),
        budgets=_each(rows, "budget"),
        penalties=_each(rows, "lam"),
        certificates=_each(rows, "duality_gap"),
    )


def _each(rows, name):
    return np.array([[getattr(solution, name) for _, solution in row] for row in rows])


def check_Cs(Cs, budget):
    """The budgets as a float array; a number of them becomes fractions of C_max."""
    if isinstance(Cs, Integral) and not isinstance(Cs, bool):
        return _spread_Cs(int(Cs), budget)
    budgets = np.asarray(Cs, dtype=np.float64)
    if budgets.ndim != 1 or len(budgets) == 0:
        raise ValueError(f"Cs must be a number of budgets or a non-empty list of them, got {Cs!r}.")
    if not (np.isfinite(budgets).all() and (budgets >= 0).all()):
        raise ValueError(f"Budgets must be finite numbers >= 0, got Cs={Cs!r}.")
    if budget == "relative" and budgets.max() >= 1:
        raise ValueError(
            f"With budget='relative', budgets are fractions of C_max and must be in [0, 1), got "
            f"Cs={Cs!r}. Use budget='total' to give total slacks."
        )
    return budgets


def _spread_Cs(count, budget):
    if count < 1:
        raise ValueError(f"Cs must ask for at least 1 budget, got Cs={count}.")
    if budget != "relative":
        raise ValueError(
            f"Cs={count} asks for {count} budgets as fractions of C_max, which needs budget='relative'. "
            f"With budget={budget!r} give the list of budgets."
        )
    return np.geomspace(_SMALLEST_FRACTION, _LARGEST_FRACTION, count)


def walk_tasks(models, tasks, source, data, memory):
    """Solve every binary task for the budgets of all models, which must not grow.

    Returns
    -------
    list of lists of (BudgetProblem, DualSolution) : for each model, what was asked and found for each task
    """
    limits = dict(tol=models[0].tol, max_iter=models[0].max_iter, cache_size=memory)
    columns = []
    for task in tasks:
        problem = binary_problem(task, source, data, lambda unit: unit)
        budgets = [model._total_budget(problem.budget) for model in models]
        stored = _stored_if_it_fits(problem, memory)
        solutions = walk([stored.with_budget(budget) for budget in budgets], **limits)
        columns.append([(problem.with_budget(b), s) for b, s in zip(budgets, solutions, strict=True)])
    return [list(row) for row in zip(*columns)]


def _stored_if_it_fits(problem, megabytes):
    """The problem with a stored Gram matrix, if that and the factors of all free samples fit."""
    if isinstance(problem.source, GramSource) or 16 * problem.n_samples**2 > megabytes * MEGABYTE:
        return problem
    return replace(problem, source=problem.source.stored())
