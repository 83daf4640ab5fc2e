"""The skorch net inside the estimators.

Callbacks, and a module, criterion, optimizer or iterator of the user's, are served by skorch's own loop. What
is filled in are the places that skorch leaves open: how the parts are made (`_net_parts`), what a step and a loss
are (`_net_steps`), how a net is stored (`_net_storage`), and here how it is trained: by which loop, and what the net
itself does at each moment, before the callbacks are told.
"""

from contextlib import nullcontext
from copy import deepcopy
from math import inf

import numpy as np
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from skorch.history import History

from ._gradient import WrittenOutGradient
from ._heads import HeadLoss
from ._lbfgs import minimise_loss
from ._module import MLPModule
from ._net_steps import NetSteps
from ._net_storage import StoredAsArrays
from ._recipe import Progress
from ._rows import RowBatches, WeightedDataset, make_rows
from ._runtime import borrowed_global_generator, make_generator
from ._skorch_callbacks import is_asked_for, listens
from ._solvers import FlatOptimizer
from ._training import FastEpochs, Run, StopTraining, Supervisor, noting_interruption, train_fast

# Where callbacks may end the training.
_MOMENTS_TO_STOP = ("on_epoch_begin", "on_epoch_end")
_MOMENTS_TO_DRAW = ("on_train_begin", "on_epoch_begin")
_MOMENTS_OF_BATCHES = ("on_batch_begin", "on_grad_computed", "on_batch_end")


class MLPNet(StoredAsArrays, NetSteps):
    """A skorch net for one `Task`, whose y are class codes, label indicators or numbers.

    Parameters
    ----------
    module : class or callable
        `MLPModule`, or a user's ``module(n_features, n_outputs)``.
    criterion : class or callable
        `HeadLoss`, or a user's, called with raw outputs and targets.
    task : Task
    recipe : Recipe
    dtype : str
        Precision of the parameters, the name of a torch dtype.
    seeds : sequence of int
        One a network: what its first weights and batches are drawn from.
    optimizer, iterator_train, iterator_valid, **kwargs
        skorch's own parameters.
    """

    def __init__(
        self,
        module=MLPModule,
        criterion=HeadLoss,
        *,
        task,
        recipe,
        dtype,
        seeds,
        optimizer=FlatOptimizer,
        iterator_train=RowBatches,
        iterator_valid=RowBatches,
        dataset=WeightedDataset,
        train_split=None,
        **kwargs,
    ):
        super().__init__(
            module,
            criterion,
            optimizer=optimizer,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            dataset=dataset,
            train_split=train_split,
            **kwargs,
        )
        self.task = task
        self.recipe = recipe
        self.dtype = dtype
        self.torch_dtype_ = getattr(torch, dtype)
        self.seeds = seeds
        self.generators_ = self.run_ = self.supervisor_ = self.gradient_ = self.fast_epochs_ = None
        self.solver_state_ = self.seen_ = None

    @property
    def _default_callbacks(self):
        """None: the net keeps its history and prints its progress line itself."""
        return []

    # --- training

    @property
    def is_plain(self):
        """Whether the fast loop does all that skorch's would."""
        own_optimizer = self.optimizer is not FlatOptimizer or self.get_params_for("optimizer")
        return not (self.callbacks_ or own_optimizer or self.has_own_parts)

    def go_on_from(self, other, incremental=False):
        """Take over weights and history of another net with the same module; in partial_fit its place in training."""
        self.module_.load_state_dict(other.module_.state_dict())
        self.history = History(other.history)
        if incremental:
            self.generators_ = None  # to be made for the rows seen so far
            self.solver_state_ = other.solver_state_ if self._has_optimizer_of(other) else None

    def _has_optimizer_of(self, other):
        same_kind = self.optimizer is other.optimizer and self.has_own_parts == other.has_own_parts
        same_settings = self.get_params_for("optimizer") == other.get_params_for("optimizer")
        return same_kind and same_settings and self.recipe.has_optimizer_of(other.recipe)

    def take_up(self, run, recipe, seeds, device, settings):
        """Make ready to go on with a run, by another recipe perhaps."""
        if not recipe.has_optimizer_of(self.recipe):
            self.solver_state_ = None
        vars(self).update(settings, run_=run, recipe=recipe, seeds=seeds, device=device)
        self.module_.to(device)

    def snapshot(self):
        """What training changes, for `go_back`."""
        kept = ("recipe", "seeds", "solver_state_", "lr", "batch_size", "verbose")
        return deepcopy(self.module_.state_dict()), len(self.history), {name: getattr(self, name) for name in kept}

    def go_back(self, snapshot):
        """Undo a training, which may have ended in the midst of winding up."""
        weights, n_epochs, kept = snapshot
        self.module_.load_state_dict(weights)
        self.history = History(self.history[:n_epochs])
        self._wind_up()
        vars(self).update(kept)

    def constant_loss(self, rows):
        """The loss of the best prediction that is the same for all rows; inf, unknown, by a user's criterion."""
        if self.criterion is not HeadLoss:
            return inf
        weight = rows.all_weights()
        targets = self.training_targets(torch.from_numpy(rows.all_y()))
        return self.task.head.constant_loss(targets, None if weight is None else torch.from_numpy(weight))

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train for `max_epochs` epochs, from the weights as they are, on rows X and their y.

        y are class codes (positions in ``classes_`` of the estimator), label indicators or numbers.
        """
        if not self.initialized_:
            self.initialize()
        if self.run_ is None:
            self.run_ = self._run_on(X, y)
        if self.generators_ is None:
            self.generators_ = [make_generator(seed + self.run_.rows_seen) for seed in self.seeds]
        try:
            return super().partial_fit(X, y, **fit_params)
        finally:
            self._wind_up()

    def _run_on(self, X, y):
        """The run of a user's own call."""
        rows = make_rows(np.asarray(X, self.dtype), np.asarray(y), canonical=self.recipe.shuffle)
        return Run(
            progresses=[Progress(self.recipe.learning_rate_init) for _ in self.seeds],
            epochs=self.max_epochs,
            train=rows,
            valid=None,
            batch_size=min(self.batch_size, len(rows)),
            rows_seen=len(self.history) * len(rows),
            incremental=True,
        )

    def get_split_datasets(self, X, y=None, **fit_params):
        """The rows of the run, which are split already."""
        return self.run_.train, self.run_.valid

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """skorch's loop; the fast one where it gives the same; L-BFGS, which has no batches."""
        with noting_interruption(self.run_):
            if self.recipe.solver == "lbfgs":
                minimise_loss(self, self.run_)
            elif self.is_plain:
                train_fast(self, self.run_)
            else:
                super().fit_loop(X, y, epochs=self.run_.epochs, **fit_params)
        return self

    def notify(self, method_name, **cb_kwargs):
        """Tell the net, its callbacks and the run's; where callbacks may draw, as `Initializer` does, they draw from
        ours.

        Callbacks end the training by raising KeyboardInterrupt at the begin or the end of an epoch.
        """
        may_draw = method_name in _MOMENTS_TO_DRAW and self.callbacks_
        try:
            with borrowed_global_generator(self.generators_[0], self.device) if may_draw else nullcontext():
                super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as stop:
            if method_name in _MOMENTS_TO_STOP and is_asked_for(stop):
                raise StopTraining from stop
            raise
        getattr(self.run_.tasks, method_name)(self, **cb_kwargs)

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Make ready, before any callback is told: they find an optimizer."""
        if isinstance(self.module_, MLPModule):
            self.module_.generator = None if self.has_own_parts else self._device_generator()
            if self.criterion is HeadLoss and self.recipe.solver != "lbfgs":
                self.gradient_ = WrittenOutGradient(self.module_, self.task.head, self.recipe.penalty)
        if self.recipe.solver == "lbfgs" or self.is_plain:
            return
        self.supervisor_ = Supervisor(self, self.run_, self._set_rates)
        self._initialize_optimizer()
        if self.solver_state_ is not None:
            self.optimizer_.load_state_dict(self.remembered())
            self.solver_state_ = None

    def _device_generator(self):
        """Dropout draws from the first network's generator, or from its like on another device."""
        generator = self.generators_[0]
        if self.device == "cpu":
            return generator
        return torch.Generator(self.device).manual_seed(generator.initial_seed())

    def _set_rates(self, rates):
        for group in self.optimizer_.param_groups:
            group["lr"] = rates[0]

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Go on or stop; a new row in the history."""
        with noting_interruption(self.run_):
            if self.supervisor_ is not None:
                self.supervisor_.begin_epoch()
            super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """skorch's epoch; a fast one, which leaves the same behind, if nobody looks at its batches.

        torch's global generator is lent ours if parts of the user's may draw from it.
        """
        if training and self.gradient_ is not None:
            self.gradient_.reclaim()
        if training:
            self.rate_ = self.optimizer_.param_groups[0]["lr"]
        lend = self.has_own_parts and iterator is not None
        solver = self._solver_of_fast_epochs(iterator) if training else None
        if solver is not None:
            self._run_fast_epoch(solver, prefix)
            return
        with borrowed_global_generator(self.generators_[0], self.device) if lend else nullcontext():
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)

    def _solver_of_fast_epochs(self, iterator):
        """The solver to take the steps of an epoch with; None if they are not ours, or somebody looks at batches."""
        ours = isinstance(self.optimizer_, FlatOptimizer) and type(iterator) is RowBatches
        if not ours or self.gradient_.is_overheard():
            return None
        if any(listens(callback, moment) for _, callback in self.callbacks_ for moment in _MOMENTS_OF_BATCHES):
            return None
        return self.optimizer_.undivided_solver()

    def _run_fast_epoch(self, solver, prefix):
        squared_weights = []

        def see(training, z, targets, weight):
            """What a step leaves to the history, and the penalty's part of its loss."""
            self.supervisor_.see(training, z, targets, weight)
            squared_weights.append(self.gradient_.squared_weights())

        if self.fast_epochs_ is None:
            self.fast_epochs_ = FastEpochs(self, self.run_)
        self._set_training(True)
        self.fast_epochs_.run(solver, see)
        self.gradient_.attach()
        for loss, size in self.supervisor_.batch_losses(torch.stack(squared_weights).tolist()):
            self.history.new_batch()
            self.history.record_batch(f"{prefix}_loss", loss)
            self.history.record_batch(f"{prefix}_batch_size", size)
        self.history.record(f"{prefix}_batch_count", len(squared_weights))

    def on_batch_end(self, net, batch=None, training=False, loss=None, y_pred=None, **kwargs):
        """Take note of the outputs."""
        self.supervisor_.see(training, y_pred.detach(), *self.seen_)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Write the epoch into the history before any callback reads it there."""
        if self.supervisor_ is not None:
            with noting_interruption(self.run_):
                self.supervisor_.end_epoch(self.rate_)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Go back to the weights that are to stay."""
        if self.supervisor_ is not None:
            self.supervisor_.restore(self.module_)

    def _wind_up(self):
        """Leave nothing on the net that only training needed; the optimizer's state stays, as arrays."""
        if "optimizer_" in vars(self):
            self.solver_state_ = self._solver_state()
            vars(self).pop("optimizer_")  # skorch's way would forget that there is such a part
        if self.gradient_ is not None:
            self.gradient_.release()
        for parameter in self.module_.parameters():
            parameter.grad = None
        if isinstance(self.module_, MLPModule):
            self.module_.generator = None
        self.module_.to("cpu")
        self.criterion_.to("cpu")
        self.device = "cpu"
        self.generators_ = self.run_ = self.supervisor_ = self.gradient_ = self.fast_epochs_ = self.seen_ = None

    # --- prediction

    def _get_predict_nonlinearity(self):
        """From raw outputs to the head's predictions, averaged over several networks."""
        self.check_is_fitted()
        return self._link

    def _link(self, z):
        linked = self.task.head.link(z)
        return linked if linked.ndim == 2 else linked.mean(1)


class ClassifierNet(ClassifierMixin, MLPNet):
    """The net of a classifier. It speaks of classes by their codes."""

    @property
    def classes_(self):
        """The class codes, or the positions of the labels."""
        return np.arange(2 if self.task.head_name == "binary" else self.task.n_outputs)

    def predict_proba(self, X):
        """Probability of each class, or of each label, for rows."""
        probability = super().predict_proba(X)
        return probability if self.task.head_name != "binary" else np.hstack([1 - probability, probability])

    def predict(self, X):
        """Class codes, or label indicators, for rows."""
        probability = self.predict_proba(X)
        if self.task.head_name == "multilabel-indicator":
            return (probability > 0.5).astype(np.int64)
        return probability.argmax(1)


class RegressorNet(RegressorMixin, MLPNet):
    """The net of a regressor."""

    def predict(self, X):
        """Predictions of y for rows."""
        return self.task.predictions(self.predict_proba(X))
