"""Margin, support vectors and errors against C: the picture of bias and variance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from .. import _colours as colours
from .._sklearn_private import check_matplotlib_support
from .._typing import Array, Floats, MatrixLike, Style, Unit
from ..svm._budget_path import BudgetPath
from ..svm._ranges import Ranges, ranges_of
from ..svm._units import UNITS, Cost, Fraction
from ._axes import legends_beside, panels_of, plain_log

# The panels and what their axes are called; that of the error has a name of its own.
_PANELS = {"error": None, "margin": "margin M", "support": "support vectors"}
# How C is called in each unit.
_AXIS = {
    "total": "C, total slack allowed (right: softer)",
    "relative": "C, slack allowed as a fraction of C_max (right: softer)",
    "cost": "C, cost of a unit of slack (right: harder)",
}
# What an estimator scores by when nothing else is asked for.
_OWN_SCORE = {"classifier": "accuracy", "regressor": "R²"}
# A path that comes this near to C_max is drawn beyond it, up to this much.
_NEAR, _BEYOND = 0.5, 1.15
# Counts begin at 0, with room above the largest.
_HEADROOM = 1.08
# A legend names up to so many binary problems.
_MOST_NAMED = 6
_STYLES = {
    "training": {"color": colours.BLUE, "marker": "o", "markersize": 4, "linestyle": "--"},
    "validation": {"color": colours.VERMILION, "marker": "s", "markersize": 4},
    "band": {"color": colours.VERMILION, "alpha": 0.2, "linewidth": 0},
    "line": {"marker": "o", "markersize": 4},
    "chosen": {"color": "black", "linewidth": 1.0, "linestyle": ":"},
    "infeasible": {"facecolor": "0.93", "hatch": "///", "edgecolor": "0.8", "linewidth": 0},
    "trivial": {"facecolor": "0.96", "hatch": "...", "edgecolor": "0.75", "linewidth": 0},
}


class BudgetPathDisplay:
    """Errors, margin and support vectors of a budget machine against its C.

    A small budget (a high cost) makes a narrow margin that few samples hold: it follows the training samples, low bias
    and high variance. A large budget (a low cost) makes a wide margin that many samples hold: high bias and low
    variance. The training error tells nothing about it; the cross-validated error does, with a band of one standard
    error. Budgets that no hyperplane keeps are shaded, as are those from C_max on, where the classifier is constant.
    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    Cs : ndarray of shape (n_Cs,)
        Values of C, rising.
    unit : {"total", "relative", "cost"}
        What C means, as for `BudgetSVC`.
    margins : ndarray of shape (n_Cs, n_problems)
        Margin M of each binary problem; infinite where C >= C_max.
    n_support : ndarray of shape (n_Cs,)
        Number of samples that are support vectors.
    training_error : ndarray of shape (n_Cs,)
        Error on the training samples.
    validation_error, standard_error : ndarray of shape (n_Cs,), default=None
        Cross-validated error and its standard error.
    chosen : float, default=None
        The C that the search chose.
    infeasible_below, trivial_from : float, default=None
        C_min and C_max in the unit of C: the largest C_min and the least C_max of several binary problems. None for
        costs, every one of which is feasible.
    problems : sequence of str, default=()
        Names of the binary problems.
    error_name : str, default="error"
        What the error is called.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The axes of the panels.
    figure_ : matplotlib Figure
        Their figure.
    training_line_, validation_line_ : matplotlib Line2D or None
        The errors.
    band_ : matplotlib PolyCollection or None
        One standard error on either side of the cross-validated error.
    margin_lines_ : list of matplotlib Line2D
        The margin of each binary problem.
    support_line_ : matplotlib Line2D or None
        The numbers of support vectors.
    chosen_lines_ : list of matplotlib Line2D
        The chosen C, in each panel.
    infeasible_spans_, trivial_spans_ : list of matplotlib Polygon or Rectangle
        The shaded ranges, one for each panel in which they can be seen.

    See Also
    --------
    MarginDisplay : The picture of one model of two features.
    budget_path : The solutions along decreasing budgets.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import make_moons
    >>> from sklearn_svmdl import BudgetPathDisplay, BudgetSVCCV
    >>> X, y = make_moons(80, noise=0.3, random_state=0)
    >>> search = BudgetSVCCV(5, unit="relative", gammas=1).fit(X, y)
    >>> display = BudgetPathDisplay.from_estimator(search, X, y)
    >>> display.figure_.savefig("path.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        Cs: Floats,
        unit: Unit,
        margins: Floats,
        n_support: Array,
        training_error: Floats,
        validation_error: Floats | None = None,
        standard_error: Floats | None = None,
        chosen: float | None = None,
        infeasible_below: float | None = None,
        trivial_from: float | None = None,
        problems: Sequence[str] = (),
        error_name: str = "error",
    ) -> None:
        self.Cs = Cs
        self.unit = unit
        self.margins = margins
        self.n_support = n_support
        self.training_error = training_error
        self.validation_error = validation_error
        self.standard_error = standard_error
        self.chosen = chosen
        self.infeasible_below = infeasible_below
        self.trivial_from = trivial_from
        self.problems = problems
        self.error_name = error_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: MatrixLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        unit: Unit | None = None,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Draw a fitted search, or a path.

        A search knows its cross-validated scores; the models of each C, with the chosen kernel and its parameters, are
        fitted on (X, y) here.

        Parameters
        ----------
        estimator : BudgetSVCCV, Pipeline that ends in one, or BudgetPath
            A fitted search over several C, or the solutions of `budget_path`.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The samples that it was fitted on.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.
        unit : {"total", "relative", "cost"}, default=None
            The unit to draw C in; None is that of the estimator. In another one C is what is in force, on the mean of
            the binary problems.
        ax : matplotlib Axes or sequence of them, default=None
            One for each of the `quantities`; a new figure if None.
        **options : dict
            As for :meth:`plot`.

        Returns
        -------
        display : BudgetPathDisplay
            The picture, already drawn.

        Raises
        ------
        ValueError
            No fitted search or path over a budget's C, or an unknown unit.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if unit is not None and unit not in UNITS:
            raise ValueError(f"unit must be one of {sorted(UNITS)} or None, got {unit!r}.")
        walked, samples = _last_step(estimator, X)
        walk = _walk_of(walked, samples, y, sample_weight)
        return cls(**walk.arguments(unit)).plot(ax=ax, **options)

    def plot(
        self,
        ax: Any = None,
        *,
        quantities: Sequence[str] = ("error", "margin", "support"),
        training_kw: Style = None,
        validation_kw: Style = None,
    ) -> Self:
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            One for each of the quantities; a new figure if None.
        quantities : sequence of {"error", "margin", "support"}, default=("error", "margin", "support")
            What to draw, a panel each.
        training_kw, validation_kw : dict, default=None
            Keywords for `Axes.plot` of the training and the cross-validated error.

        Returns
        -------
        self : BudgetPathDisplay
            The display, with `axes_` and `figure_`.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        unknown = [name for name in quantities if name not in _PANELS]
        if unknown or not len(quantities):
            raise ValueError(f"quantities must be some of {list(_PANELS)}, got {quantities!r}.")
        self.axes_ = panels_of(ax, quantities, height=2.1)
        self.figure_ = self.axes_[0].figure
        self.training_line_ = self.validation_line_ = self.band_ = self.support_line_ = None
        self.margin_lines_: list[Any] = []
        for panel, name in zip(self.axes_, quantities, strict=True):
            self._draw(panel, name, training_kw or {}, validation_kw or {})
            panel.set_ylabel(_PANELS[name] or self.error_name)
        self._draw_ranges()
        legends_beside(self.axes_)
        self.axes_[-1].set_xlabel(_AXIS[self.unit])
        return self

    def _draw(self, ax, name, training, validation):
        if name == "error":
            self._draw_errors(ax, training, validation)
        elif name == "margin":
            self._draw_margins(ax)
        else:
            (self.support_line_,) = ax.plot(self.Cs, self.n_support, color=colours.PURPLE, **_STYLES["line"])
            ax.set_ylim(0, _HEADROOM * max(1, np.max(self.n_support)))

    def _draw_errors(self, ax, training, validation):
        own = {**_STYLES["training"], **training}
        (self.training_line_,) = ax.plot(self.Cs, self.training_error, label="training", **own)
        if self.validation_error is None:
            return
        own = {**_STYLES["validation"], **validation}
        (self.validation_line_,) = ax.plot(self.Cs, self.validation_error, label="cross-validated", **own)
        if self.standard_error is not None:
            low, high = self.validation_error - self.standard_error, self.validation_error + self.standard_error
            self.band_ = ax.fill_between(self.Cs, low, high, label="one standard error", **_STYLES["band"])

    def _draw_margins(self, ax):
        margins = np.where(np.isinf(self.margins), np.nan, self.margins)
        looks = colours.of_classes(margins.shape[1])
        named = 1 < margins.shape[1] <= _MOST_NAMED
        names = self.problems if named else ["_nolegend_"] * margins.shape[1]
        for of_one, (color, marker), name in zip(margins.T, looks, names, strict=True):
            self.margin_lines_ += ax.plot(self.Cs, of_one, color=color, marker=marker, markersize=4, label=name)
        ax.set_yscale("log")
        plain_log(ax.yaxis)

    def _draw_ranges(self):
        """The ranges that make no sense, and the chosen C; the limits of the axes stay as they are after that."""
        self.chosen_lines_, self.infeasible_spans_, self.trivial_spans_ = [], [], []
        for ax in self.axes_:
            if self.Cs.min() > 0:
                ax.set_xscale("log")
            low, high = ax.get_xlim()
            if self.trivial_from is not None and _NEAR * self.trivial_from < self.Cs.max():
                high = max(high, _BEYOND * self.trivial_from)
            if self.infeasible_below is not None and self.infeasible_below > low:
                upto = min(self.infeasible_below, high)
                label = f"infeasible: C < C_min = {self.infeasible_below:.3g}"
                self.infeasible_spans_.append(ax.axvspan(low, upto, label=label, zorder=0, **_STYLES["infeasible"]))
            if self.trivial_from is not None and self.trivial_from < high:
                label = f"constant: C >= C_max = {self.trivial_from:.3g}"
                self.trivial_spans_.append(
                    ax.axvspan(max(low, self.trivial_from), high, label=label, zorder=0, **_STYLES["trivial"])
                )
            if self.chosen is not None:
                label = f"chosen: C = {self.chosen:.3g}"
                self.chosen_lines_.append(ax.axvline(self.chosen, label=label, **_STYLES["chosen"]))
            ax.set_xlim(low, high)
            if self.Cs.min() > 0:
                plain_log(ax.xaxis)


@dataclass(frozen=True)
class _Errors:
    """Errors (n_Cs,) and what they are called; a path has not been validated."""

    name: str
    training: np.ndarray
    validation: np.ndarray | None = None
    standard: np.ndarray | None = None


@dataclass(frozen=True)
class _Walk:
    """The models of all C, the ranges of C, the errors, and which of them was chosen."""

    models: list
    Cs: np.ndarray
    unit: str
    ranges: Ranges
    errors: _Errors
    chosen: float | None = None

    def arguments(self, unit):
        """The parameters of the display, with C in this unit, rising."""
        unit = unit or self.unit
        Cs = self.Cs if unit == self.unit else self._in_force(unit)
        order = np.argsort(Cs, kind="stable")
        low, high = self._limits(unit)
        each = {
            "Cs": Cs,
            "margins": np.array([np.atleast_1d(model.margin_) for model in self.models]),
            "n_support": np.array([len(model.support_) for model in self.models]),
            "training_error": self.errors.training,
            "validation_error": self.errors.validation,
            "standard_error": self.errors.standard,
        }
        return {
            **{name: None if values is None else values[order] for name, values in each.items()},
            "unit": unit,
            "error_name": self.errors.name,
            "chosen": None if self.chosen is None else float(Cs[self.chosen]),
            "infeasible_below": low,
            "trivial_from": high,
            "problems": self.ranges.names,
        }

    def _in_force(self, unit):
        """The C in force in another unit, on the mean of the binary problems."""
        if unit == Cost.name:
            return np.array([np.mean(model.cost_) for model in self.models])
        return np.array([np.mean(model.budget_ / self._parts_of(unit)) for model in self.models])

    def _limits(self, unit):
        """C_min and C_max; none of costs."""
        if unit == Cost.name:
            return None, None
        parts = self._parts_of(unit)
        return float(np.max(self.ranges.least / parts)), float(np.min(self.ranges.largest / parts))

    def _parts_of(self, unit):
        """What total slacks are divided by."""
        return self.ranges.whole if unit == Fraction.name else 1.0


def _last_step(estimator, X):
    """The search at the end of a pipeline, and the samples as they reach it."""
    if hasattr(estimator, "steps"):
        return estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X
    return estimator, X


def _walk_of(estimator, X, y, sample_weight):
    if isinstance(estimator, BudgetPath):
        return _walk_of_path(estimator, X, y, sample_weight)
    if not hasattr(estimator, "Cs"):
        raise ValueError(
            f"BudgetPathDisplay draws a fitted BudgetSVCCV, a Pipeline that ends in one, or a path of budget_path; got "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator, "best_estimator_")
    return _walk_of_search(estimator, X, y, sample_weight)


def _walk_of_path(path, X, y, sample_weight):
    scores = np.array([model.score(X, y, sample_weight) for model in path.models])
    ranges = ranges_of(path.models[0], X, y, sample_weight)
    error, called = _as_error(_own_score(path.models[0]))
    return _Walk(path.models, path.Cs, path.unit, ranges, _Errors(called, error(scores)))


def _walk_of_search(search, X, y, sample_weight):
    """The candidates that differ from the best in C alone, each fitted on all samples."""
    candidates = search.cv_results_["params"]
    best = {**search.best_params_, "C": None}
    numbers = [k for k, params in enumerate(candidates) if {**params, "C": None} == best]
    Cs = [candidates[k]["C"] for k in numbers]
    fit = delayed(_fitted)
    models = Parallel(n_jobs=search.n_jobs)(fit(search.best_estimator_, C, X, y, sample_weight) for C in Cs)
    errors = _errors_of(search, numbers, models, X, y)
    ranges = ranges_of(search.best_estimator_, X, y, sample_weight)
    return _Walk(models, np.array(Cs), search.unit, ranges, errors, chosen=numbers.index(search.best_index_))


def _fitted(model, C, X, y, sample_weight):
    return clone(model).set_params(C=C).fit(X, y, sample_weight=sample_weight)


def _errors_of(search, numbers, models, X, y):
    """Training and cross-validated errors, by the score that chose, and the standard error of the latter."""
    column, name, scorer = _chosen_by(search)
    error, called = _as_error(name)
    results = search.cv_results_
    return _Errors(
        called,
        error(np.array([scorer(model, X, y) for model in models])),
        error(results[f"mean_test_{column}"][numbers]),
        results[f"std_test_{column}"][numbers] / np.sqrt(max(search.n_splits_ - 1, 1)),
    )


def _chosen_by(search):
    """The score that chose, the first where none did: its column in `cv_results_`, its name, its scorer."""
    if search.multimetric_:
        name = search.refit if search.refit in list(search.scorer_) else next(iter(search.scorer_))
        return name, name, search.scorer_[name]
    asked = search.scoring
    name = _own_score(search) if asked is None else getattr(asked, "__name__", str(asked))
    return "score", name, search.scorer_


def _own_score(estimator):
    return _OWN_SCORE[get_tags(estimator).estimator_type]


def _as_error(score):
    """The function from scores to errors, and what these are called: scorers that are negated errors are turned."""
    if score.startswith("neg_"):
        return np.negative, score.removeprefix("neg_").replace("_", " ")
    return _complement, f"error (1 - {score})"


def _complement(scores):
    return 1.0 - scores
