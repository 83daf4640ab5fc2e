"""Epochs as tasks of scikit-learn's callbacks."""

from copy import copy, deepcopy
from dataclasses import replace

from skorch.callbacks import Callback

from .._callbacks import steps_of
from ._training import StopTraining


class EpochTasks(Callback):
    """Tells scikit-learn's callbacks of each epoch of a run, and stops it where one of them asks for it.

    It is a skorch callback in form, but the run's and not the net's: who listens here listens to epochs alone, in
    every loop, and after the net's own callbacks.
    """

    def __init__(self, estimator, steps):
        self.estimator, self.steps = estimator, steps

    def on_epoch_begin(self, net, **kwargs):
        """An epoch begins."""
        self.steps.begin()

    def on_epoch_end(self, net, **kwargs):
        """An epoch ends, or the training does."""
        run = net.run_
        if self.steps.end(lambda: self._fitted(net) if run.is_begun else None):
            raise StopTraining

    def _fitted(self, net):
        """The fitted attributes as if this were the last epoch."""
        run, so_far = replace(net.run_, progresses=deepcopy(net.run_.progresses)), deepcopy(net)
        if net.supervisor_ is not None:
            net.supervisor_.restore(so_far.module_)
        return vars(copy(self.estimator)._store(so_far, run, run.train.dataset.X.dtype))


def epoch_tasks(estimator, X, y, sample_weight):
    """What is told of the epochs of a fit: `EpochTasks`, or a callback that does nothing where nobody listens."""
    steps = steps_of(estimator, X, y, sample_weight, "epoch")
    return Callback() if steps is None else EpochTasks(estimator, steps)
