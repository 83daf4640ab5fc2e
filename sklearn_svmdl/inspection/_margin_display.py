"""Boundary, margins and support vectors of a classifier in two dimensions."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

from .. import _colours as colours

# Room around the samples, as a fraction of their range.
_PADDING = 0.15
# The parts of a picture and how they look; what the user asks for comes on top.
_STYLES = {
    "regions": {"alpha": 0.16},
    "boundary": {"colors": "black", "linestyles": "solid", "linewidths": 1.4},
    "margins": {"colors": "black", "linestyles": "dashed", "linewidths": 1.0},
    "samples": {"s": 22, "edgecolors": "white", "linewidths": 0.4},
    "support": {"s": 90, "facecolors": "none", "edgecolors": "black", "linewidths": 0.9},
    "mistakes": {"s": 36, "marker": "x", "color": "black", "linewidths": 1.0},
}


class MarginDisplay:
    """Picture of a classifier in two dimensions: boundary, margins, support vectors, mistakes.

    The regions of the classes are tinted and parted by full lines. Of two classes the boundary is f(x) = 0, and the
    margins f(x) = -1 and f(x) = 1 are dashed. Support vectors are ringed. Misclassified samples are crossed out. Both
    axes have the same scale, so that distances are what they look like. Use :meth:`from_estimator` to make one.

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
    support_vectors : ndarray of shape (n_SV, 2)
        Support vectors to ring; may be empty.
    classes : sequence of length n_classes
        Labels for the legend.
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
    support_ring_ : matplotlib PathCollection
        Rings around the support vectors.
    mistakes_ : matplotlib PathCollection
        Crosses on the misclassified samples.

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

    def __init__(self, *, xx0, xx1, decision, X, target, mistakes, support_vectors, classes, feature_names=None):
        self.xx0 = xx0
        self.xx1 = xx1
        self.decision = decision
        self.X = X
        self.target = target
        self.mistakes = mistakes
        self.support_vectors = support_vectors
        self.classes = classes
        self.feature_names = feature_names

    @classmethod
    def from_estimator(cls, estimator, X, y, *, ax=None, grid_resolution=200, support_vectors=None, **styles):
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
        display = cls(
            xx0=xx0,
            xx1=xx1,
            decision=decision.reshape(*xx0.shape, *decision.shape[1:]),
            X=points,
            target=target,
            mistakes=_mistakes(estimator.decision_function(X), target),
            support_vectors=points[np.asarray(support_vectors, dtype=int)],
            classes=classes,
            feature_names=names,
        )
        return display.plot(ax=ax, **styles)

    def plot(
        self,
        ax=None,
        *,
        colors=None,
        aspect="equal",
        regions_kw=None,
        boundary_kw=None,
        margins_kw=None,
        samples_kw=None,
        support_kw=None,
        mistakes_kw=None,
    ):
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.
        colors : sequence of n_classes matplotlib colours, default=None
            The colours of the classes; None are colours that people with any colour vision can tell apart.
        aspect : {"equal", "auto"} or float, default="equal"
            Aspect of the axes, as `Axes.set_aspect` takes it.
        regions_kw, boundary_kw, margins_kw : dict, default=None
            Keywords for `Axes.contourf` of the regions and `Axes.contour` of the lines.
        samples_kw, support_kw, mistakes_kw : dict, default=None
            Keywords for `Axes.scatter` of the samples, the rings and the crosses.

        Returns
        -------
        self : MarginDisplay
            The display, with `ax_` and `figure_`.
        """
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        looks = self._looks(colors)
        self._draw_regions(ax, [color for color, _ in looks], _styled("regions", regions_kw))
        self._draw_lines(ax, _styled("boundary", boundary_kw), _styled("margins", margins_kw))
        self._draw_samples(ax, looks, _styled("samples", samples_kw))
        self.support_ring_ = _scatter(ax, self.support_vectors, "support vectors", _styled("support", support_kw))
        self.mistakes_ = _scatter(ax, self.X[self.mistakes], "misclassified", _styled("mistakes", mistakes_kw))
        if self.feature_names is not None:
            ax.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])
        ax.set_aspect(aspect)
        ax.legend(loc="best")
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


def _points_and_names(X):
    names = [str(name) for name in X.columns] if hasattr(X, "columns") else None
    return check_array(X, dtype=np.float64), names


def _like(X, points):
    """The points in the form of X: a DataFrame (pandas, polars) with its columns, or the array."""
    return type(X)(dict(zip(X.columns, points.T, strict=True))) if hasattr(X, "columns") else points


def _check_drawable(estimator, points):
    if not is_classifier(estimator) or not hasattr(estimator, "decision_function"):
        raise ValueError(
            f"MarginDisplay draws classifiers with a decision_function, got {type(estimator).__name__}."
        )
    if points.shape[1] != 2:
        raise ValueError(f"MarginDisplay draws 2 features, but X has {points.shape[1]}; choose two columns.")
    pairs = getattr(_model_within(estimator), "decision_function_shape", None) == "ovo"
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


def _model_within(estimator):
    """The model inside searches and pipelines."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        else:
            return estimator


def _support_of(estimator, n_samples):
    """Support vectors' row numbers, where the model knows them and was fitted on as many samples."""
    model = _model_within(estimator)
    fitted_on = getattr(model, "shape_fit_", np.shape(getattr(model, "slack_", [[]]))[::-1])[0]
    return getattr(model, "support_", []) if fitted_on == n_samples else []
