"""The solutions of a budget problem along decreasing budgets."""

from dataclasses import dataclass, replace

import numpy as np

from ..dual.path import walk
from ..kernels import MEGABYTE, GramSource, spec_of
from ._budget_svc import BudgetSVC
from ._messages import Outcome, report
from ._training import checked_samples, resolved_kernel, training_on, weigh
from ._units import UNITS, check_Cs


@dataclass(frozen=True)
class BudgetPath:
    """Solutions from the softest to the hardest, from `budget_path`.

    Attributes
    ----------
    Cs : ndarray of shape (n_Cs,)
        What was asked for, the softest first, in the unit asked for: falling budgets or rising costs.
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
        The budgets in force, as total slack, as `BudgetSVC.budget_`.
    costs : ndarray of shape (n_Cs, n_problems)
        The costs in force: `sklearn.svm.SVC` with this C has the same solution.
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
    costs: np.ndarray
    certificates: np.ndarray


def budget_path(
    X,
    y,
    *,
    Cs=10,
    unit="relative",
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
    """Solve the problem of `BudgetSVC` for many budgets or costs, each solution starting from the last.

    Each point is the one that `BudgetSVC` finds for its C, certified by itself; a point costs a few
    factorisations of the free support vectors' kernel matrix.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Training samples, or their kernel values (n_samples, n_samples) if kernel="precomputed".
    y : array-like of shape (n_samples,)
        Class labels.
    Cs : int or array-like of floats, default=10
        The values of C, or how many of them, evenly spaced in their logarithm: between 0.001 and 0.9 of C_max for
        unit="relative", between 0.01 and 1000 for unit="cost".
    unit : {"total", "relative", "cost"}, default="relative"
        What C means, as for `BudgetSVC`: total slacks, fractions of C_max, or costs of a unit of slack.
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
        The solutions, the softest first.

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
    estimator = BudgetSVC(
        unit=unit,
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
    estimator._validate_params()
    Cs = sorted(check_Cs(Cs, unit).tolist(), key=UNITS[unit].hardness)
    X, y, weight, seen = checked_samples(estimator, X, y, sample_weight)
    data = weigh(X, y, weight, class_weight, pairwise=spec_of(kernel).pairwise)
    training = training_on(
        data,
        resolved_kernel(kernel, data, gamma=gamma, degree=degree, coef0=coef0),
        multi_class,
        cache_size=cache_size,
    )
    solutions = walk_tasks(training, Cs, UNITS[unit], tol=tol, max_iter=max_iter)
    report(
        training,
        [
            Outcome.of(problem, C, UNITS[unit], row[k], at=f", path.Cs[{c}]={C:.4g}")
            for k, problem in enumerate(training.problems())
            for c, (C, row) in enumerate(zip(Cs, solutions, strict=True))
        ],
        "solutions of the path",
        infeasible=infeasible,
        tol=tol,
        max_iter=max_iter,
        feature_names=seen.get("feature_names_in_"),
    )
    return _path_of(training, np.array(Cs), solutions)


def _path_of(training, Cs, solutions):
    data, tasks = training.data, training.tasks
    beta = np.zeros((len(Cs), len(tasks), data.n_given))
    slack = np.full(beta.shape, np.nan)
    for c, row in enumerate(solutions):
        for k, (task, solution) in enumerate(zip(tasks, row, strict=True)):
            beta[c, k, data.kept[task.rows]] = solution.beta
            slack[c, k, data.kept[task.rows]] = solution.slack
    return BudgetPath(
        Cs=Cs,
        classes=data.classes,
        dual_coefs=beta,
        intercepts=_each(solutions, "intercept"),
        margins=_each(solutions, "margin"),
        slack=slack,
        n_support=np.count_nonzero(beta, axis=2),
        budgets=_each(solutions, "budget"),
        costs=_each(solutions, "lam"),
        certificates=_each(solutions, "duality_gap"),
    )


def _each(solutions, name):
    return np.array([[getattr(solution, name) for solution in row] for row in solutions])


def walk_tasks(training, Cs, unit, *, tol, max_iter):
    """Solve every binary problem for all Cs, which must come from the softest to the hardest.

    Returns
    -------
    list of lists of DualSolution : for each C one for each task
    """
    limits = dict(tol=tol, max_iter=max_iter, cache_size=training.memory)
    columns = []
    for problem in training.problems():
        stored = replace(problem, dual=_stored_if_it_fits(problem.dual, training.memory))
        columns.append(walk([stored.asking(C, unit) for C in Cs], **limits))
    return [list(row) for row in zip(*columns, strict=True)]


def _stored_if_it_fits(problem, megabytes):
    """The problem with a stored Gram matrix, if that and the factors of all free samples fit."""
    if isinstance(problem.source, GramSource) or 16 * problem.n_samples**2 > megabytes * MEGABYTE:
        return problem
    return replace(problem, source=problem.source.stored())
