"""Loss and score of networks, epoch by epoch."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import _colours as colours
from .._sklearn_private import check_matplotlib_support
from .._typing import Style
from ._axes import legends_beside, panels_of
from ._within import model_within

# What a network scores itself by: the one of these columns that its history has.
_SCORES = ("accuracy", "r2")
_AXIS = {"loss": "loss", "accuracy": "accuracy", "r2": "R²"}
_VALIDATION = "val_"


class TrainingHistoryDisplay:
    """Learning curves: loss and score of one or several networks against the epoch, in training and validation.

    A training loss that falls while the validation loss rises is overfitting. Every network has a colour; full lines
    are of the training rows, dashed ones of the held-out rows. Where early stopping went back to the best epoch, that
    is marked. Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    histories : dict of str to list of dict
        For each name of a network one dict an epoch, as `TorchMLPClassifier.history_` has it: epoch, loss, a score, and
        the same of held-out rows with the prefix `val_`.
    best_epochs : dict of str to int, default=None
        The epoch whose weights a network has, where early stopping went back to it.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The axes of the panels.
    figure_ : matplotlib Figure
        Their figure.
    training_lines_, validation_lines_ : dict of (str, str) to matplotlib Line2D
        The lines by quantity and name of the network; those of validation where there are any.
    best_epoch_lines_ : list of matplotlib Line2D
        The marks of best epochs.

    See Also
    --------
    TorchMLPClassifier : Its `history_` is what is drawn.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_svmdl import TorchMLPClassifier, TrainingHistoryDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> options = {"monitor_validation": True, "max_iter": 30, "n_iter_no_change": float("inf"), "random_state": 0}
    >>> networks = [TorchMLPClassifier((n,), learning_rate_init=0.02, **options).fit(X, y) for n in (50, 5)]
    >>> display = TrainingHistoryDisplay.from_estimator(*networks, names=["50 units", "5 units"])
    >>> display.figure_.savefig("learning_curves.png")  # doctest: +SKIP
    """

    def __init__(
        self, *, histories: dict[str, list[dict[str, Any]]], best_epochs: dict[str, int | None] | None = None
    ) -> None:
        self.histories = histories
        self.best_epochs = best_epochs

    @classmethod
    def from_estimator(
        cls, estimator: Any, *others: Any, names: Sequence[str] | None = None, ax: Any = None, **options: Any
    ) -> Self:
        """Draw fitted networks.

        Parameters
        ----------
        estimator : TorchMLPClassifier or TorchMLPRegressor, or a Pipeline or search around one
            A fitted network.
        *others : the same
            Further ones, to draw together.
        names : sequence of str, default=None
            What they are called; None for their classes, with numbers where there are several.
        ax : matplotlib Axes or sequence of them, default=None
            One for each quantity; a new figure if None.
        **options : dict
            As for :meth:`plot`.

        Returns
        -------
        display : TrainingHistoryDisplay
            The picture, already drawn.

        Raises
        ------
        ValueError
            An estimator without a history, or another number of names than of estimators.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        networks = [_network_of(each) for each in (estimator, *others)]
        names = _names_of(networks) if names is None else [str(name) for name in names]
        if len(set(names)) != len(networks):
            raise ValueError(f"names must hold {len(networks)} different names, got {names}.")
        histories = {name: network.history_ for name, network in zip(names, networks, strict=True)}
        best = {name: _best_epoch(network) for name, network in zip(names, networks, strict=True)}
        known = {name: epoch for name, epoch in best.items() if epoch is not None}
        return cls(histories=histories, best_epochs=known).plot(ax=ax, **options)

    def plot(
        self,
        ax: Any = None,
        *,
        quantities: Sequence[str] | None = None,
        training_kw: Style = None,
        validation_kw: Style = None,
    ) -> Self:
        """Draw a panel for each quantity.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            One for each quantity; a new figure if None.
        quantities : sequence of str, default=None
            Columns of the histories, such as "loss", "accuracy", "r2", or those of callbacks. None is the loss and the
            network's own score.
        training_kw, validation_kw : dict, default=None
            Keywords for `Axes.plot` of the training and the validation lines.

        Returns
        -------
        self : TrainingHistoryDisplay
            The display, with `axes_` and `figure_`.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        quantities = self._checked(quantities)
        self.axes_ = panels_of(ax, quantities, height=2.6)
        self.figure_ = self.axes_[0].figure
        self.training_lines_: dict[tuple[str, str], Any] = {}
        self.validation_lines_: dict[tuple[str, str], Any] = {}
        self.best_epoch_lines_: list[Any] = []
        training, validation = training_kw or {}, {"linestyle": "--", **(validation_kw or {})}
        for panel, quantity in zip(self.axes_, quantities, strict=True):
            for (name, rows), (color, _) in zip(self.histories.items(), colours.of_classes(len(self.histories))):
                self._draw(panel, quantity, name, rows, {"color": color, **training}, {"color": color, **validation})
            panel.set_ylabel(_AXIS.get(quantity, quantity))
        legends_beside(self.axes_)
        self.axes_[-1].set_xlabel("epoch")
        return self

    def _checked(self, quantities):
        known = set().union(*(row for rows in self.histories.values() for row in rows))
        if quantities is None:
            return ["loss", *(name for name in _SCORES if name in known)]
        unknown = [name for name in quantities if name not in known]
        if unknown or not len(quantities):
            raise ValueError(f"quantities must be columns of the histories, {sorted(known)}; got {list(quantities)}.")
        return list(quantities)

    def _draw(self, ax, quantity, name, rows, training, validation):
        """The lines of a network; a column that it does not have has none."""
        line = _line(ax, rows, quantity, f"{name}, training", training)
        if line is not None:
            self.training_lines_[quantity, name] = line
        line = _line(ax, rows, _VALIDATION + quantity, f"{name}, validation", validation)
        if line is not None:
            self.validation_lines_[quantity, name] = line
        if name in (self.best_epochs or {}):
            mark = {"color": training["color"], "linestyle": ":", "linewidth": 1.2}
            epoch = self.best_epochs[name]
            self.best_epoch_lines_.append(ax.axvline(epoch, label=f"{name}, best epoch: {epoch}", **mark))


def _line(ax, rows, column, label, style):
    """The values of the epochs that have the column; None where none has."""
    known = [(row["epoch"], row[column]) for row in rows if column in row]
    if not known:
        return None
    (line,) = ax.plot(*zip(*known), label=label, **style)
    return line


def _network_of(estimator):
    check_is_fitted(estimator)
    network = model_within(estimator)
    if not hasattr(network, "history_"):
        raise ValueError(
            f"TrainingHistoryDisplay draws networks that have a history_, such as TorchMLPClassifier; got "
            f"{type(network).__name__}."
        )
    return network


def _names_of(networks):
    """Class names, numbered where there are several networks."""
    if len(networks) == 1:
        return [type(networks[0]).__name__]
    return [f"{type(network).__name__} {number}" for number, network in enumerate(networks, start=1)]


def _best_epoch(network):
    """The epoch that early stopping went back to; None where it did not."""
    if not network.early_stopping or network.best_validation_score_ is None:
        return None
    epochs = [row["epoch"] for row in network.history_]
    return epochs[int(np.argmax(network.validation_scores_))]
