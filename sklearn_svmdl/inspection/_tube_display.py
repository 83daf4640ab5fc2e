"""Function, tube, support vectors and slack of a regressor in one dimension."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_regressor
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from .._typing import Array, Axes, Floats, MatrixLike, Style
from ._margin_display import _like, _points_and_names, _support_of
from ._within import model_within

# Room beside the samples, as a fraction of their range.
_PADDING = 0.05
# The parts of a picture and how they look; what the user asks for comes on top.
_STYLES = {
    "function": {"color": "black", "linewidth": 1.4},
    "tube": {"color": "#0072B2", "alpha": 0.16, "linewidth": 0},
    "slack": {"colors": "#D55E00", "linewidths": 1.0},
    "samples": {"s": 18, "color": "#0072B2", "edgecolors": "white", "linewidths": 0.4},
    "support": {"s": 70, "facecolors": "none", "edgecolors": "black", "linewidths": 0.9},
}


class TubeDisplay:
    """Picture of a support vector regression of one feature: the function, its tube, support vectors and slack.

    The tube of half-width epsilon around the function is tinted. Support vectors, the samples on or outside it, are
    ringed, and a line from the tube to a sample shows its slack. Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    x : ndarray of shape (m,)
        Rising values of the feature.
    function : ndarray of shape (m,)
        f at these values.
    epsilon : float
        Half-width of the tube.
    X : ndarray of shape (n_samples,)
        The feature of the samples to draw.
    y : ndarray of shape (n_samples,)
        Their target values.
    predicted : ndarray of shape (n_samples,)
        f at the samples.
    support : ndarray of int of shape (n_SV,)
        Which samples to ring; may be empty.
    feature_name : str, default=None
        Label of the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure of the axes.
    function_ : matplotlib Line2D
        The function.
    tube_ : matplotlib PolyCollection
        The tube.
    slack_ : matplotlib LineCollection
        Lines from the tube to the samples outside it.
    samples_, support_ring_ : matplotlib PathCollection
        The samples, and the rings around support vectors.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> from sklearn_svmdl import BudgetSVR, TubeDisplay
    >>> X = np.linspace(0, 6, 50)[:, None]
    >>> y = np.sin(X[:, 0]) + np.cos(40 * X[:, 0]) / 4
    >>> display = TubeDisplay.from_estimator(BudgetSVR(C=2, epsilon=0.2).fit(X, y), X, y)
    >>> display.figure_.savefig("tube.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        x: Floats,
        function: Floats,
        epsilon: float,
        X: Floats,
        y: Floats,
        predicted: Floats,
        support: Array,
        feature_name: str | None = None,
    ) -> None:
        self.x = x
        self.function = function
        self.epsilon = epsilon
        self.X = X
        self.y = y
        self.predicted = predicted
        self.support = support
        self.feature_name = feature_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: MatrixLike,
        y: ArrayLike,
        *,
        ax: Axes | None = None,
        grid_resolution: int = 500,
        **styles: Any,
    ) -> Self:
        """Draw a fitted regressor and the samples (X, y).

        Parameters
        ----------
        estimator : BudgetSVR, BudgetSVRCV or `sklearn.svm.SVR`, or a Pipeline or search around one
            A fitted regressor of one feature.
        X : array-like or DataFrame (pandas, polars) of shape (n_samples, 1)
            Samples, in the form that the estimator was fitted on. Support vectors are ringed where they are as many as
            it was fitted on.
        y : array-like of shape (n_samples,)
            Their target values.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.
        grid_resolution : int, default=500
            Points at which the function is drawn.
        **styles : dict
            As for :meth:`plot`.

        Returns
        -------
        display : TubeDisplay
            The picture, already drawn.

        Raises
        ------
        ValueError
            No fitted regressor with a tube, or more than one feature.
        """
        check_is_fitted(estimator)
        model = model_within(estimator)
        epsilon = getattr(model, "epsilon_", getattr(model, "epsilon", None))
        if not is_regressor(estimator) or epsilon is None:
            raise ValueError(
                f"TubeDisplay draws support vector regressors, which have an epsilon, got {type(model).__name__}."
            )
        points, names = _points_and_names(X)
        if points.shape[1] != 1:
            raise ValueError(f"TubeDisplay draws 1 feature, but X has {points.shape[1]}; choose one column.")
        y = np.asarray(y, dtype=float)
        check_consistent_length(points, y)
        room = _PADDING * np.ptp(points)
        x = np.linspace(points.min() - room, points.max() + room, grid_resolution)
        display = cls(
            x=x,
            function=estimator.predict(_like(X, x[:, None])),
            epsilon=float(epsilon),
            X=points[:, 0],
            y=y,
            predicted=estimator.predict(X),
            support=np.asarray(_support_of(estimator, len(y)), dtype=int),
            feature_name=None if names is None else names[0],
        )
        return display.plot(ax=ax, **styles)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        function_kw: Style = None,
        tube_kw: Style = None,
        slack_kw: Style = None,
        samples_kw: Style = None,
        support_kw: Style = None,
    ) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure if None.
        function_kw, tube_kw, slack_kw : dict, default=None
            Keywords for `Axes.plot` of the function, `Axes.fill_between` of the tube and `Axes.vlines` of the slacks.
        samples_kw, support_kw : dict, default=None
            Keywords for `Axes.scatter` of the samples and the rings.

        Returns
        -------
        self : TubeDisplay
            The display, with `ax_` and `figure_`.
        """
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        low, high = self.function - self.epsilon, self.function + self.epsilon
        self.tube_ = ax.fill_between(self.x, low, high, label="tube", **_styled("tube", tube_kw))
        [self.function_] = ax.plot(self.x, self.function, label="f", **_styled("function", function_kw))
        error = self.y - self.predicted
        outside = np.abs(error) > self.epsilon
        edge = (self.predicted + self.epsilon * np.sign(error))[outside]
        style = _styled("slack", slack_kw)
        self.slack_ = ax.vlines(self.X[outside], edge, self.y[outside], label="slack", **style)
        self.samples_ = ax.scatter(self.X, self.y, label="samples", **_styled("samples", samples_kw))
        ringed = self.X[self.support], self.y[self.support]
        label = "support vectors" if len(self.support) else "_nolegend_"
        self.support_ring_ = ax.scatter(*ringed, label=label, **_styled("support", support_kw))
        ax.set(xlabel=self.feature_name, ylabel="y")
        ax.legend(loc="best")
        return self


def _styled(part, asked):
    return {**_STYLES[part], **(asked or {})}
