"""Boundary, margins and support vectors of a classifier in two dimensions."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

from .. import _colours as colours
from .._sklearn_private import check_matplotlib_support
from .._typing import Array, Axes, Floats, MatrixLike, Style
from ._axes import legends_beside, new_axes
from ._within import model_within

# Room around the samples, as a fraction of their range.
_PADDING = 0.15
# A slack of less than this is none to the eye: the sample is on the margin.
_ON_MARGIN = 0.01
# The parts of a picture and how they look; what the user asks for comes on top.
_STYLES = {
    "regions": {"alpha": 0.16},
    "boundary": {"colors": "black", "linestyles": "solid", "linewidths": 1.4},
    "margins": {"colors": "black", "linestyles": "dashed", "linewidths": 1.0},
    "samples": {"s": 22, "edgecolors": "white", "linewidths": 0.4},
    "support": {"s": 90, "facecolors": "none", "edgecolors": "black", "linewidths": 0.9},
    "mistakes": {"s": 36, "marker": "x", "color": "black", "linewidths": 1.0},
    "slack": {"fontsize": 7, "xytext": (5, 3), "textcoords": "offset points"},
}
# How the kinds of support vectors differ.
_RINGS = {
    "support vectors": {},
    "support vectors on the margin": {"linewidths": 1.8},
    "support vectors inside the margin": {"linewidths": 1.0, "linestyles": "dashed"},
    "support vectors on the wrong side": {"linewidths": 1.0, "linestyles": "dotted"},
}


class MarginDisplay:
    """Picture of a classifier in two dimensions: boundary, margins, support vectors, mistakes.

    The regions of the classes are tinted and parted by full lines. Of two classes the boundary is f(x) = 0, and the
    margins f(x) = -1 and f(x) = 1 are dashed. Support vectors are ringed: of two classes with a full ring on the margin
    (slack 0), a dashed one inside the margin (slack up to 1), a dotted one on the wrong side of the boundary (slack
    above 1). Misclassified samples are crossed out. Both axes have the same scale, so that distances are what they look
    like. Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (m, m)
        Coordinates of a grid, as from `numpy.meshgrid`.
    decision : ndarray of shape (m, m) or (m, m, n_classes)
        f at the points of the grid, positive for the second of two classes; or the scores of three classes or more, of
        which the largest wins.
    X : ndarray of shape (n_samples, 2)
        Samples to draw.
    target : ndarray of shape (n_samples,)
        Number of each sample's class.
    mistakes : ndarray of bool of shape (n_samples,)
        Which samples are misclassified: of two classes, those of slack > 1.
    support : ndarray of int of shape (n_SV,)
        Rows of X to ring as support vectors; may be empty.
    classes : sequence of length n_classes
        Labels for the legend.
    slack : ndarray of shape (n_samples,), default=None
        The slack of each sample, max(0, 1 - y f(x)) with y = -1 or 1, which tells kinds of support vectors apart; None
        for three classes or more.
    feature_names : sequence of length 2, default=None
        Labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure of the axes.
    boundary_ : list of matplotlib ContourSet
        The boundary f(x) = 0 of two classes, or the boundary of each of several; none of a constant classifier.
    margins_ : matplotlib ContourSet or None
        The margins f(x) = -1 and f(x) = 1 of two classes.
    samples_ : list of matplotlib PathCollection
        The samples of each class.
    support_rings_ : dict of matplotlib PathCollection
        Rings around the support vectors, by their kind as the legend has it.
    mistakes_ : matplotlib PathCollection
        Crosses on the misclassified samples.
    slack_texts_ : list of matplotlib Annotation
        The slacks written beside samples that have one, with include_slack=True.

    See Also
    --------
    BudgetPathDisplay : Margin, support vectors and errors against C, for any number of features.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_svmdl import BudgetSVC, MarginDisplay
    >>> X, y = make_blobs(centers=[[-2, 0], [2, 0]], random_state=0)
    >>> model = BudgetSVC(C=20, kernel="linear").fit(X, y)
    >>> display = MarginDisplay.from_estimator(model, X, y)
    >>> display.figure_.savefig("margin.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        xx0: Floats,
        xx1: Floats,
        decision: Floats,
        X: Floats,
        target: Array,
        mistakes: Array,
        support: Array,
        classes: Sequence[Any] | Array,
        slack: Floats | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self.xx0 = xx0
        self.xx1 = xx1
        self.decision = decision
        self.X = X
        self.target = target
        self.mistakes = mistakes
        self.support = support
        self.classes = classes
        self.slack = slack
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: MatrixLike,
        y: ArrayLike,
        *,
        ax: Axes | None = None,
        grid_resolution: int = 200,
        support_vectors: ArrayLike | None = None,
        **styles: Any,
    ) -> Self:
        """Draw a fitted classifier and the samples (X, y).

        Parameters
        ----------
        estimator : classifier with `decision_function`, or a Pipeline or search around one
            A fitted classifier of two features.
        X : array-like or DataFrame (pandas, polars) of shape (n_samples, 2)
            Samples, in the form that the estimator was fitted on.
        y : array-like of shape (n_samples,)
            Their labels.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.
        grid_resolution : int, default=200
            Grid points along each axis.
        support_vectors : array-like of int, default=None
            Which rows of X to ring. None means the support vectors of the model, also of one within a Pipeline or a
            search, where X has as many rows as it was fitted on.
        **styles : dict
            As for :meth:`plot`.

        Returns
        -------
        display : MarginDisplay
            The picture, already drawn.

        Raises
        ------
        ValueError
            No fitted classifier with a decision function of two features, or labels that it does not know.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        points, names = _points_and_names(X)
        _check_drawable(estimator, points)
        classes = estimator.classes_
        target = _class_numbers(y, classes)
        check_consistent_length(points, target)
        xx0, xx1 = _grid(points, grid_resolution)
        decision = estimator.decision_function(_like(X, np.column_stack([xx0.ravel(), xx1.ravel()])))
        if support_vectors is None:
            support_vectors = _support_of(estimator, len(points))
        at_samples = estimator.decision_function(X)
        display = cls(
            xx0=xx0,
            xx1=xx1,
            decision=decision.reshape(*xx0.shape, *decision.shape[1:]),
            X=points,
            target=target,
            mistakes=_mistakes(at_samples, target),
            support=np.asarray(support_vectors, dtype=int),
            classes=classes,
            slack=_slack(at_samples, target),
            feature_names=names,
        )
        return display.plot(ax=ax, **styles)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        colors: Sequence[Any] | None = None,
        aspect: Literal["auto", "equal"] | float = "equal",
        include_slack: bool = False,
        regions_kw: Style = None,
        boundary_kw: Style = None,
        margins_kw: Style = None,
        samples_kw: Style = None,
        support_kw: Style = None,
        mistakes_kw: Style = None,
        slack_kw: Style = None,
    ) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.
        colors : sequence of n_classes matplotlib colours, default=None
            The colours of the classes; None are colours that people with any colour vision can tell apart.
        aspect : {"equal", "auto"} or float, default="equal"
            Aspect of the axes, as `Axes.set_aspect` takes it.
        include_slack : bool, default=False
            Whether to write its slack beside each sample that has one; of two classes.
        regions_kw, boundary_kw, margins_kw : dict, default=None
            Keywords for `Axes.contourf` of the regions and `Axes.contour` of the lines.
        samples_kw, support_kw, mistakes_kw : dict, default=None
            Keywords for `Axes.scatter` of the samples, the rings and the crosses.
        slack_kw : dict, default=None
            Keywords for `Axes.annotate` of the slacks.

        Returns
        -------
        self : MarginDisplay
            The display, with `ax_` and `figure_`.

        Raises
        ------
        ValueError
            Another number of colours than of classes, or include_slack=True with more than two classes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if include_slack and self.slack is None:
            raise ValueError(
                "include_slack=True needs two classes: of more, a sample has a slack in each binary problem; see the "
                "model's slack_."
            )
        ax = new_axes() if ax is None else ax
        self.ax_, self.figure_ = ax, ax.figure
        looks = self._looks(colors)
        self._draw_regions(ax, [color for color, _ in looks], _styled("regions", regions_kw))
        self._draw_lines(ax, _styled("boundary", boundary_kw), _styled("margins", margins_kw))
        self._draw_samples(ax, looks, _styled("samples", samples_kw))
        self._draw_support(ax, _styled("support", None), support_kw or {})
        self.mistakes_ = _scatter(ax, self.X[self.mistakes], "misclassified", _styled("mistakes", mistakes_kw))
        if self.feature_names is not None:
            ax.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])
        self.slack_texts_ = self._write_slack(ax, _styled("slack", slack_kw)) if include_slack else []
        ax.set_aspect(aspect)
        legends_beside([ax])
        return self

    def _looks(self, colors):
        """Colour and marker of each class."""
        looks = colours.of_classes(len(self.classes))
        if colors is None:
            return looks
        if len(colors) != len(looks):
            raise ValueError(f"colors must name one colour for each of {len(looks)} classes, got {len(colors)}.")
        return [(color, marker) for color, (_, marker) in zip(colors, looks, strict=True)]

    def _fields(self):
        """For each line between regions a field that is 0 on it; one for each class."""
        if self.decision.ndim == 2:
            return [self.decision]
        return [_lead(self.decision, number) for number in range(self.decision.shape[2])]

    def _draw_regions(self, ax, colors, style):
        """Tint where each class wins."""
        fields = self._fields()
        fields = [-fields[0], fields[0]] if len(fields) == 1 else fields
        for field, color in zip(fields, colors, strict=True):
            if field.max() > 0:
                tint = {"levels": [0.0, 2.0 * field.max()], "colors": [color]}
                ax.contourf(self.xx0, self.xx1, field, **{**tint, **style})

    def _draw_lines(self, ax, boundary, margins):
        drawn = [_contour(ax, (self.xx0, self.xx1, field), [0.0], boundary) for field in self._fields()]
        self.boundary_ = [lines for lines in drawn if lines is not None]
        self.margins_ = None
        if self.decision.ndim == 2:
            self.margins_ = _contour(ax, (self.xx0, self.xx1, self.decision), [-1.0, 1.0], margins)

    def _draw_samples(self, ax, looks, style):
        self.samples_ = []
        for number, (label, (color, marker)) in enumerate(zip(self.classes, looks, strict=True)):
            own = {"color": color, "marker": marker, **style}
            self.samples_.append(_scatter(ax, self.X[self.target == number], str(label), own))

    def _draw_support(self, ax, style, asked):
        self.support_rings_ = {
            kind: _scatter(ax, self.X[rows], kind, {**style, **_RINGS[kind], **asked})
            for kind, rows in self._kinds_of_support().items()
        }

    def _kinds_of_support(self):
        """Rows of X to ring, by their kind."""
        rows = np.asarray(self.support, dtype=int)
        if self.slack is None:
            return {"support vectors": rows}
        slack = self.slack[rows]
        return {
            "support vectors on the margin": rows[slack <= _ON_MARGIN],
            "support vectors inside the margin": rows[(slack > _ON_MARGIN) & (slack <= 1)],
            "support vectors on the wrong side": rows[slack > 1],
        }

    def _write_slack(self, ax, style):
        return [
            ax.annotate(f"{self.slack[row]:.2g}", self.X[row], **style)
            for row in np.flatnonzero(self.slack > _ON_MARGIN)
        ]


def _styled(part, asked):
    return {**_STYLES[part], **(asked or {})}


def _scatter(ax, points, label, style):
    """The points; the legend leaves out what is not there, as it does labels that begin with an underscore."""
    return ax.scatter(*points.T, label=label if len(points) else "_nolegend_", **style)


def _contour(ax, grid, levels, style):
    """Lines at those levels that the field crosses on the grid: a flat one has none to draw."""
    crossed = [level for level in levels if grid[2].min() < level < grid[2].max()]
    return ax.contour(*grid, levels=crossed, **style) if crossed else None


def _lead(scores, number):
    """The score of a class over the best of the others."""
    return scores[..., number] - np.delete(scores, number, axis=-1).max(axis=-1)


def _mistakes(decision, target):
    """Which samples are on the wrong side: of two classes those of slack > 1."""
    if decision.ndim == 1:
        return (2 * target - 1) * decision < 0
    return decision.argmax(axis=1) != target


def _slack(decision, target):
    """max(0, 1 - y f) of two classes; None of more."""
    return np.maximum(0.0, 1.0 - (2 * target - 1) * decision) if decision.ndim == 1 else None


def _points_and_names(X):
    names = [str(name) for name in X.columns] if hasattr(X, "columns") else None
    return check_array(X, dtype=np.float64), names


def _like(X, points):
    """The points in the form of X: a DataFrame (pandas, polars) with its columns, or the array."""
    return type(X)(dict(zip(X.columns, points.T, strict=True))) if hasattr(X, "columns") else points


def _check_drawable(estimator, points):
    if not is_classifier(estimator) or not hasattr(estimator, "decision_function"):
        raise ValueError(f"MarginDisplay draws classifiers with a decision_function, got {type(estimator).__name__}.")
    if points.shape[1] != 2:
        raise ValueError(f"MarginDisplay draws 2 features, but X has {points.shape[1]}; choose two columns.")
    pairs = getattr(model_within(estimator), "decision_function_shape", None) == "ovo"
    if pairs and len(estimator.classes_) > 2:
        raise ValueError(
            "MarginDisplay needs a score for each class, but decision_function_shape='ovo' gives the decisions of all "
            "pairs; set it to 'ovr'."
        )


def _class_numbers(y, classes):
    y = np.asarray(y)
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(f"y has labels that the estimator was not fitted on: {unknown.tolist()}.")
    return np.searchsorted(classes, y)


def _grid(points, resolution):
    low, high = points.min(axis=0), points.max(axis=0)
    room = _PADDING * np.where(high > low, high - low, 1.0)
    axes = np.linspace(low - room, high + room, resolution)
    return np.meshgrid(axes[:, 0], axes[:, 1])


def _support_of(estimator, n_samples):
    """Support vectors' row numbers, where the model knows them and was fitted on as many samples."""
    model = model_within(estimator)
    fitted_on = getattr(model, "shape_fit_", np.shape(getattr(model, "slack_", [[]]))[::-1])[0]
    return getattr(model, "support_", []) if fitted_on == n_samples else []
