"""Epochs as tasks of scikit-learn's callbacks."""

from copy import copy, deepcopy

from skorch.callbacks import Callback

from .._callbacks import steps_of
from ._training import StopTraining


class EpochTasks(Callback):
    """A skorch callback that tells scikit-learn's callbacks of each epoch, and stops where one of them asks for it.

    It is the net's for a training only: afterwards the net does not know it, and a copy of the net, or a stored one,
    has a callback in its place that does nothing.
    """

    def __init__(self, estimator, steps):
        self.estimator, self.steps = estimator, steps

    def __reduce__(self):
        return Callback, ()

    def on_epoch_begin(self, net, **kwargs):
        """An epoch begins."""
        self.steps.begin()

    def on_epoch_end(self, net, **kwargs):
        """An epoch ends, or the training does."""
        if self.steps.end(lambda: self._fitted(net)):
            raise StopTraining

    def on_train_end(self, net, **kwargs):
        """Leave the net."""
        net.callbacks = [callback for callback in net.callbacks if callback is not self]
        net.callbacks_ = [(name, callback) for name, callback in net.callbacks_ if callback is not self]

    def _fitted(self, net):
        """The fitted attributes as if this were the last epoch."""
        run, shadow = net.run_, copy(self.estimator)
        return vars(shadow._store(deepcopy(net), run, run.train.dataset.X.dtype))


def epoch_tasks(estimator, X, y, sample_weight):
    """The callbacks that a net needs besides the user's; several networks, which take none, are one task."""
    if estimator.n_networks > 1:
        return []
    steps = steps_of(estimator, X, y, sample_weight, "epoch")
    return [] if steps is None else [EpochTasks(estimator, steps)]
