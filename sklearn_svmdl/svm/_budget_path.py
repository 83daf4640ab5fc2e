"""The solutions of a budget problem along decreasing budgets."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from .._colours import of_classes
from .._memory import advising_on_memory
from .._typing import (
    Array,
    Axes,
    ClassWeight,
    Floats,
    Gamma,
    Infeasible,
    KernelLike,
    MatrixLike,
    MultiClass,
    Number,
    Unit,
    Whole,
)
from ..dual.path import walk
from ..kernels import MEGABYTE, GramSource
from ._budget_svc import BudgetSVC
from ._budget_svr import BudgetSVR
from ._fitted import publish
from ._messages import Outcome, report
from ._units import UNITS, check_Cs

# A legend names up to so many binary problems.
_MOST_NAMED = 10
# Quantities that a path can draw, and what their axis is called.
_DRAWN = {
    "margins": "margin M",
    "budgets": "budget in force (total slack)",
    "costs": "cost in force (C of SVC)",
    "n_support": "support vectors",
}


@dataclass(frozen=True, repr=False)
class BudgetPath:
    """Solutions from the softest to the hardest, from `budget_path`.

    Attributes
    ----------
    Cs : ndarray of shape (n_Cs,)
        What was asked for, the softest first, in the unit asked for: falling budgets or rising costs.
    unit : {"total", "relative", "cost"}
        What C means.
    models : tuple of BudgetSVC or BudgetSVR
        The fitted model of each C.
    problems : tuple of str
        What each binary problem is called; a regression is one problem.
    classes : ndarray of shape (n_classes,)
        Sorted class labels. In each binary problem +1 is the later class. Not of a regression.
    dual_coefs : ndarray of shape (n_Cs, n_problems, n_samples)
        Signed duals y_i alpha_i; the decisions are K(., X) @ dual_coefs[c].T + intercepts[c].
    intercepts : ndarray of shape (n_Cs, n_problems)
    margins : ndarray of shape (n_Cs, n_problems)
        `M = 1 / |w|`; infinite where C >= C_max.
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

    Cs: Floats
    unit: str
    models: tuple[BudgetSVC | BudgetSVR, ...]
    problems: tuple[str, ...]

    def __repr__(self) -> str:
        ends = f"C={self.Cs[0]:.4g}" + (f" to {self.Cs[-1]:.4g}" if len(self.Cs) > 1 else "")
        kind = "regression" if isinstance(self.models[0], BudgetSVR) else "binary problem"
        problems = f"{len(self.problems)} {kind}{'s' * (len(self.problems) > 1)}"
        n_samples = self.models[0].slack_.shape[-1]
        return f"BudgetPath({len(self.Cs)} solutions, {ends}, unit={self.unit!r}, {problems}, {n_samples} samples)"

    @property
    def classes(self) -> Array:
        """Sorted class labels."""
        return self.models[0].classes_

    @property
    def dual_coefs(self) -> Floats:
        """Signed duals (n_Cs, n_problems, n_samples)."""
        duals = np.zeros((len(self.Cs), len(self.problems), self.models[0].slack_.shape[-1]))
        for of_one, model in zip(duals, self.models, strict=True):
            of_one[:, model.support_] = model.dual_coef_
        return duals

    @property
    def slack(self) -> Floats:
        """Slacks (n_Cs, n_problems, n_samples)."""
        return np.array([np.reshape(model.slack_, (len(self.problems), -1)) for model in self.models])

    @property
    def intercepts(self) -> Floats:
        """Intercepts (n_Cs, n_problems)."""
        return self._each("intercept_")

    @property
    def margins(self) -> Floats:
        """`M = 1 / |w|`, (n_Cs, n_problems)."""
        return self._each("margin_")

    @property
    def n_support(self) -> Array:
        """Numbers of support vectors (n_Cs, n_problems)."""
        return np.array([np.count_nonzero(model.dual_coef_, axis=1) for model in self.models])

    @property
    def budgets(self) -> Floats:
        """Budgets in force (n_Cs, n_problems)."""
        return self._each("budget_")

    @property
    def costs(self) -> Floats:
        """Costs in force (n_Cs, n_problems)."""
        return self._each("cost_")

    @property
    def certificates(self) -> Floats:
        """Relative duality gaps (n_Cs, n_problems)."""
        return self._each("duality_gap_")

    def _each(self, name):
        return np.array([np.reshape(getattr(model, name), len(self.problems)) for model in self.models])

    def at(self, C: Number) -> BudgetSVC | BudgetSVR:
        """The fitted model of one of the path's C.

        Parameters
        ----------
        C : float
            One of `Cs`.

        Returns
        -------
        model : BudgetSVC
            The model.

        Raises
        ------
        ValueError
            C is none of `Cs`.
        """
        (found,) = np.nonzero(np.isclose(self.Cs, C, rtol=1e-9, atol=0.0))
        if len(found) == 0:
            raise ValueError(f"C={C!r} is not on this path. Choose one of path.Cs: {self.Cs.tolist()}.")
        return self.models[found[0]]

    def predict(self, X: MatrixLike, C: Number) -> Array:
        """Predict the class or the number of each sample with one of the path's models.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values with the training samples if kernel="precomputed".
        C : float
            One of `Cs`.

        Returns
        -------
        predicted : ndarray of shape (n_samples,)
            Class labels, or numbers.
        """
        return self.at(C).predict(X)

    def plot(
        self,
        quantity: Literal["margins", "budgets", "costs", "n_support"] = "margins",
        *,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw a quantity of each problem against C.

        Parameters
        ----------
        quantity : {"margins", "budgets", "costs", "n_support"}, default="margins"
            What to draw.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.

        Returns
        -------
        ax : matplotlib Axes
            The axes.
        """
        if quantity not in _DRAWN:
            raise ValueError(f"quantity must be one of {sorted(_DRAWN)}, got {quantity!r}.")
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots()
        values = getattr(self, quantity).astype(float)
        values[np.isinf(values)] = np.nan
        for name, line, (color, marker) in zip(self.problems, values.T, of_classes(len(self.problems))):
            ax.plot(self.Cs, line, color=color, marker=marker, markersize=4, label=name)
        ax.set(xlabel=f"C, unit={self.unit!r} (softest at the left)", ylabel=_DRAWN[quantity])
        ax.set_xscale("log" if self.Cs.min() > 0 else "linear")
        if self.Cs[0] > self.Cs[-1]:
            ax.invert_xaxis()
        if np.nanmin(values, initial=np.inf) > 0:
            ax.set_yscale("log")
        if len(self.problems) <= _MOST_NAMED:
            ax.legend()
        return ax


def budget_path(
    X: MatrixLike,
    y: ArrayLike,
    *,
    Cs: Whole | ArrayLike = 10,
    unit: Unit = "relative",
    epsilon: Number | Literal["auto"] | None = None,
    kernel: KernelLike = "rbf",
    gamma: Gamma = "scale",
    degree: Whole = 3,
    coef0: Number = 1.0,
    sample_weight: ArrayLike | None = None,
    multi_class: MultiClass = "ovo",
    infeasible: Infeasible = "relax",
    class_weight: ClassWeight = None,
    tol: Number = 1e-3,
    max_iter: Whole = 100_000,
    cache_size: Number = 500,
) -> BudgetPath:
    """Solve the problem of `BudgetSVC` or `BudgetSVR` for many budgets or costs, each solution starting from the last.

    Each point is the one that the estimator finds for its C, certified by itself; a point costs a few
    factorisations of the free support vectors' kernel matrix.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Training samples, or their kernel values (n_samples, n_samples) if kernel="precomputed".
    y : array-like of shape (n_samples,)
        Class labels, or with an epsilon the target values of a regression.
    Cs : int or array-like of floats, default=10
        The values of C, or how many of them, evenly spaced in their logarithm: between 0.001 and 0.9 of C_max for
        unit="relative", between 0.01 and 1000 for unit="cost", of a regression times the spread of y.
    unit : {"total", "relative", "cost"}, default="relative"
        What C means, as for `BudgetSVC`: total slacks, fractions of C_max, or costs of a unit of slack.
    epsilon : float >= 0, "auto" or None, default=None
        None for classes. Else y are the numbers of a regression, and epsilon is as for `BudgetSVR`.
    kernel, gamma, degree, coef0, infeasible, tol, max_iter
        As for `BudgetSVC`.
    multi_class, class_weight
        As for `BudgetSVC`; of no use to a regression.
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
    MemoryError
        Memory runs out; says what was needed, and what to try.
    ValueError
        Bad input.

    Examples
    --------
    >>> from sklearn_svmdl import budget_path
    >>> X, y = [[0.0], [1.0], [3.0], [5.0]], [0, 0, 1, 1]
    >>> path = budget_path(X, y, Cs=[0.5, 0.0], kernel="linear")
    >>> path
    BudgetPath(2 solutions, C=0.5 to 0, unit='relative', 1 binary problem, 4 samples)
    >>> path.margins.ravel().round(3)
    array([3.5, 1. ])
    >>> path.predict([[1.5], [2.5]], C=0.0)
    array([0, 1])
    >>> path.slack.sum(axis=2).ravel().round(3)
    array([2., 0.])

    The slope of a line as a regression is given less and less slack:

    >>> path = budget_path(X, [0.0, 1.0, 2.0, 6.0], Cs=[5.0, 2.0], unit="total", epsilon=0, kernel="linear")
    >>> [float(model.coef_[0, 0].round(3)) for model in path.models]
    [0.286, 1.0]
    """
    shared: dict[str, Any] = dict(
        unit=unit, kernel=kernel, gamma=gamma, degree=degree, coef0=coef0, infeasible=infeasible
    )
    limits: dict[str, Any] = dict(tol=tol, max_iter=max_iter, cache_size=cache_size)
    estimator: BudgetSVC | BudgetSVR
    if epsilon is None:
        of_classes_alone: dict[str, Any] = dict(multi_class=multi_class, class_weight=class_weight)
        estimator = BudgetSVC(**shared, **of_classes_alone, **limits)
    else:
        estimator = BudgetSVR(epsilon=epsilon, **shared, **limits)
    estimator._validate_params()
    return _path_of(estimator, X, y, sample_weight, Cs)


@advising_on_memory
def _path_of(estimator, X, y, sample_weight, Cs):
    """The path of an estimator's problem."""
    unit, limits = estimator.unit, dict(tol=estimator.tol, max_iter=estimator.max_iter)
    training, seen = estimator._training(X, y, sample_weight)
    Cs = sorted(check_Cs(Cs, unit, training.tasks[0].unit).tolist(), key=UNITS[unit].hardness)
    rows = [training.answers(row) for row in walk_tasks(training, Cs, UNITS[unit], **limits)]
    report(
        training,
        [
            Outcome.of(problem, C, UNITS[unit], row[k], at=f", path.Cs[{c}]={C:.4g}")
            for k, problem in enumerate(training.problems())
            for c, (C, row) in enumerate(zip(Cs, rows, strict=True))
        ],
        "solutions of the path",
        infeasible=estimator.infeasible,
        feature_names=seen.get("feature_names_in_"),
        **limits,
    )
    models = [clone(estimator).set_params(C=C) for C in Cs]
    for model, row in zip(models, rows, strict=True):
        publish(model, {**seen, **model._attributes(training, row)})
    return BudgetPath(np.array(Cs), unit, tuple(models), tuple(task.name for task in training.tasks))


def walk_tasks(training, Cs, unit, known=None, *, tol, max_iter):
    """Solve every dual problem for all Cs, which must come from the softest to the hardest.

    `known` are solutions as they are returned, with None for those that are not.

    Returns
    -------
    list of lists of DualSolution : for each C one for each task, to be read by `Training.answers`
    """
    limits = dict(tol=tol, max_iter=max_iter, cache_size=training.memory)
    columns = []
    known = [[None] * len(training.tasks)] * len(Cs) if known is None else known
    for task, column in zip(training.tasks, map(list, zip(*known, strict=True)), strict=True):
        left = [c for c, solution in enumerate(column) if solution is None]
        if left:
            problem = training.problem(task)
            stored = replace(problem, dual=_stored_if_it_fits(problem.dual, training.memory))
            for c, solution in zip(left, walk([stored.asking(Cs[c], unit) for c in left], **limits), strict=True):
                column[c] = solution
        columns.append(column)
    return [list(row) for row in zip(*columns, strict=True)]


def _stored_if_it_fits(problem, megabytes):
    """The problem with a stored Gram matrix, if that and the factors of all free samples fit."""
    if isinstance(problem.source.distinct, GramSource) or 16 * problem.n_distinct**2 > megabytes * MEGABYTE:
        return problem
    return replace(problem, source=problem.source.stored())
