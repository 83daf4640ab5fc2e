"""Boundary, margins and support vectors of a classifier in two dimensions."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

# Room around the samples, as a fraction of their range.
_PADDING = 0.15


class MarginDisplay:
    """Picture of a two-class problem in two dimensions: boundary, margins, support vectors, mistakes.

    The regions of the classes are tinted, the boundary f(x) = 0 is a full line and the margins f(x) = -1 and
    f(x) = 1 are dashed. Support vectors are ringed. Samples on the wrong side of the boundary (slack > 1) are
    crossed out. Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (m, m)
        Coordinates of a grid, as from `numpy.meshgrid`.
    decision : ndarray of shape (m, m)
        f at the points of the grid.
    X : ndarray of shape (n_samples, 2)
        Samples to draw.
    target : ndarray of shape (n_samples,)
        Number of each sample's class, 0 or 1.
    slack : ndarray of shape (n_samples,)
        Slacks max(0, 1 - y f(x)) with y = -1 and +1 for the classes 0 and 1.
    support_vectors : ndarray of shape (n_SV, 2)
        Support vectors to ring; may be empty.
    classes : sequence of length 2
        Labels for the legend.
    feature_names : sequence of length 2, default=None
        Labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure of the axes.
    boundary_ : matplotlib ContourSet
        The boundary f(x) = 0.
    margins_ : matplotlib ContourSet
        The margins f(x) = -1 and f(x) = 1.
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

    def __init__(self, *, xx0, xx1, decision, X, target, slack, support_vectors, classes, feature_names=None):
        self.xx0 = xx0
        self.xx1 = xx1
        self.decision = decision
        self.X = X
        self.target = target
        self.slack = slack
        self.support_vectors = support_vectors
        self.classes = classes
        self.feature_names = feature_names

    @classmethod
    def from_estimator(cls, estimator, X, y, *, ax=None, grid_resolution=200, support_vectors=None):
        """Draw a fitted two-class classifier and the samples (X, y).

        Parameters
        ----------
        estimator : classifier with `decision_function`, or a Pipeline that ends in one
            A fitted classifier of two classes and two features.
        X : array-like or DataFrame of shape (n_samples, 2)
            Samples, in the form that the estimator was fitted on.
        y : array-like of shape (n_samples,)
            Their labels.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.
        grid_resolution : int, default=200
            Grid points along each axis.
        support_vectors : array-like of int, default=None
            Which rows of X to ring. None means the support vectors of the estimator, or of a Pipeline's last
            step, where X has as many rows as it was fitted on.

        Returns
        -------
        display : MarginDisplay
            The picture, already drawn.
        """
        check_is_fitted(estimator)
        points, names = _points_and_names(X)
        _check_drawable(estimator, points)
        target = _class_numbers(y, estimator.classes_)
        check_consistent_length(points, target)
        xx0, xx1 = _grid(points, grid_resolution)
        decision = estimator.decision_function(_like(X, np.column_stack([xx0.ravel(), xx1.ravel()])))
        slack = np.maximum(0.0, 1.0 - (2 * target - 1) * estimator.decision_function(X))
        if support_vectors is None:
            support_vectors = _support_of(estimator, len(points))
        display = cls(
            xx0=xx0,
            xx1=xx1,
            decision=decision.reshape(xx0.shape),
            X=points,
            target=target,
            slack=slack,
            support_vectors=points[np.asarray(support_vectors, dtype=int)],
            classes=estimator.classes_,
            feature_names=names,
        )
        return display.plot(ax=ax)

    def plot(self, ax=None):
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.

        Returns
        -------
        self : MarginDisplay
            The display, with `ax_` and `figure_`.
        """
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        self._draw_decision(ax)
        self._draw_samples(ax)
        if self.feature_names is not None:
            ax.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])
        ax.legend(loc="best")
        return self

    def _draw_decision(self, ax):
        grid = (self.xx0, self.xx1, self.decision)
        # Beyond any decision, so that the two tints cover the plane.
        far = 1.0 + np.abs(self.decision).max()
        ax.contourf(*grid, levels=[-far, 0.0, far], colors=["C0", "C1"], alpha=0.15)
        self.boundary_ = _contour(ax, grid, [0.0], "solid")
        self.margins_ = _contour(ax, grid, [-1.0, 1.0], "dashed")

    def _draw_samples(self, ax):
        for number, label in enumerate(self.classes):
            _scatter(ax, self.X[self.target == number], str(label), s=20, color=f"C{number}")
        ring = {"s": 90, "facecolors": "none", "edgecolors": "black"}
        self.support_ring_ = _scatter(ax, self.support_vectors, "support vectors", **ring)
        wrong = self.X[self.slack > 1.0]
        self.mistakes_ = _scatter(ax, wrong, "misclassified", s=40, marker="x", color="black")


def _scatter(ax, points, label, **style):
    """The points; the legend leaves out what is not there, as it does labels that begin with an underscore."""
    return ax.scatter(*points.T, label=label if len(points) else "_nolegend_", **style)


def _contour(ax, grid, levels, style):
    """Lines at those levels that the decision crosses on the grid: a flat decision has none to draw."""
    crossed = [level for level in levels if grid[2].min() < level < grid[2].max()]
    return ax.contour(*grid, levels=crossed, colors="black", linestyles=style) if crossed else None


def _points_and_names(X):
    names = [str(name) for name in X.columns] if hasattr(X, "columns") else None
    return check_array(X, dtype=np.float64), names


def _like(X, points):
    """The points in the form of X: a DataFrame with its columns, or the array."""
    return type(X)(points, columns=X.columns) if hasattr(X, "columns") else points


def _check_drawable(estimator, points):
    if not is_classifier(estimator) or not hasattr(estimator, "decision_function"):
        raise ValueError(
            f"MarginDisplay draws classifiers with a decision_function, got {type(estimator).__name__}."
        )
    if len(estimator.classes_) != 2:
        raise ValueError(
            f"MarginDisplay draws two-class problems, but the estimator has {len(estimator.classes_)} "
            f"classes; fit it on two of them."
        )
    if points.shape[1] != 2:
        raise ValueError(f"MarginDisplay draws 2 features, but X has {points.shape[1]}; choose two columns.")


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
    model = estimator[-1] if hasattr(estimator, "steps") else estimator
    fitted_on = np.shape(getattr(model, "slack_", [[]]))[-1]
    return model.support_ if fitted_on == n_samples else []
