"""The skorch net inside the estimators.

Callbacks, and a module, criterion, optimizer or iterator of the user's, are served by skorch's own loop. What
is filled in here are the places that skorch leaves open: how the parts are made, what a step and a loss are,
and what the net itself does at each moment, before the callbacks are told.
"""

from contextlib import nullcontext
from copy import deepcopy
from inspect import signature
from math import inf

import numpy as np
import torch
from scipy import sparse
from sklearn.base import ClassifierMixin, RegressorMixin
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History
from skorch.utils import to_tensor
from torch import nn
from torch.utils.data import DataLoader

from ._gradient import WrittenOutGradient, silent_overflow
from ._heads import HeadLoss, smoothed
from ._lbfgs import minimise_loss
from ._module import MLPModule, as_matrix, draw_weights, is_penalised, penalised
from ._recipe import Progress
from ._rows import RowBatches, Rows, WeightedDataset, make_rows, without_weight
from ._runtime import borrowed_global_generator, make_generator
from ._solvers import FlatOptimizer, torch_optimizer
from ._training import FastEpochs, Run, StopTraining, Supervisor, noting_interruption, train_fast

# Where callbacks may end the training.
_MOMENTS_TO_STOP = ("on_epoch_begin", "on_epoch_end")
_MOMENTS_TO_DRAW = ("on_train_begin", "on_epoch_begin")
_MOMENTS_OF_BATCHES = ("on_batch_begin", "on_grad_computed", "on_batch_end")


class MLPNet(NeuralNet):
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

    # The optimizer is made late, but it is one of the parts all along.
    prefixes_ = [*NeuralNet.prefixes_, "optimizer"]
    _optimizers = ["optimizer"]

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

    # --- which loop

    @property
    def has_own_parts(self):
        """Whether anything but callbacks and the optimizer is the user's."""
        iterators = {self.iterator_train, self.iterator_valid}
        return self.module is not MLPModule or self.criterion is not HeadLoss or iterators != {RowBatches}

    @property
    def is_plain(self):
        """Whether the fast loop does all that skorch's would."""
        own_optimizer = self.optimizer is not FlatOptimizer or self.get_params_for("optimizer")
        return not (self.callbacks_ or own_optimizer or self.has_own_parts)

    # --- the parts

    def initialize(self):
        """Make all parts but the optimizer, the first weights drawn from generators of our own."""
        self.generators_ = [make_generator(seed) for seed in self.seeds]
        self.solver_state_ = None
        return super().initialize()

    def initialize_module(self):
        """Make `module_`; a user's module draws from torch's global generator, which is then put back."""
        generators = self.generators_ or [make_generator(seed) for seed in self.seeds]
        if self.module is MLPModule:
            super().initialize_module()
            draw_weights(self.module_, generators)
            return self
        with borrowed_global_generator(generators[0]):
            module = self._own_module()
        if not isinstance(module, nn.Module):
            raise TypeError(f"module must make a torch.nn.Module, got {type(module).__name__}.")
        self.module_ = module.to(self.torch_dtype_)
        return self

    def _own_module(self):
        """The user's module of the number of features and outputs, with the parameters module__..."""
        shape, given = (self.task.n_features, self.task.n_outputs), self.get_params_for("module")
        names = list(signature(self.module).parameters)[:2] if given else []
        if set(names) & set(given):  # skorch's InputShapeSetter may say them too
            return self.module(**dict(zip(names, shape)) | given)
        return self.module(*shape, **given)

    def initialize_criterion(self):
        """Make `criterion_`; row by row where a torch criterion has to be weighted."""
        if self.criterion is HeadLoss:
            self.criterion_ = HeadLoss(self.task.head_name)
            return self
        given = self.get_params_for("criterion")
        is_weighted = self.run_ is not None and self.run_.train.dataset.weight is not None
        if is_weighted and "reduction" in signature(self.criterion).parameters:
            given.setdefault("reduction", "none")
        self.criterion_ = self.initialized_instance(self.criterion, given)
        return self

    def _initialize_optimizer(self, reason=None):
        """Postponed until a step asks for one: making it is slow, and the fast loop needs none."""
        return super()._initialize_optimizer(reason) if self.supervisor_ is not None else self

    def initialize_optimizer(self):
        """Make `optimizer_`: the user's, or the recipe's solver."""
        if self.optimizer is not FlatOptimizer:
            return super().initialize_optimizer()
        settings = self.get_params_for("optimizer")
        if self.gradient_ is not None and not settings:
            self.optimizer_ = FlatOptimizer(self.gradient_, self.recipe)
        elif "param_groups" in settings:
            (groups,), settings = self.get_params_for_optimizer("optimizer", self.get_all_learnable_params())
            self.optimizer_ = torch_optimizer(groups, self.recipe, **settings)
        else:
            self.optimizer_ = torch_optimizer(self._parameter_groups(), self.recipe, **settings)
        return self

    def _parameter_groups(self):
        """The weights, which adamw shrinks, and the rest."""
        named = list(self.get_all_learnable_params())
        weights = [p for name, p in named if is_penalised(name, p)]
        others = [p for name, p in named if not is_penalised(name, p)]
        decay = self.recipe.alpha if self.recipe.solver == "adamw" else 0.0
        groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]

    def get_iterator(self, dataset, training=False):
        """skorch's iterator; our own, for data sets that it knows, with our generator."""
        iterator = self.iterator_train if training else self.iterator_valid
        shuffled = training and self.recipe.shuffle
        if iterator is not RowBatches:
            return self._own_iterator(dataset, training, shuffled)
        data = dataset.dataset if isinstance(dataset, Rows) else dataset
        batch_size = self.get_params_for("iterator_train" if training else "iterator_valid").get("batch_size")
        batch_size = batch_size or self.batch_size
        if not isinstance(data, WeightedDataset) or not (isinstance(data.X, np.ndarray) or sparse.issparse(data.X)):
            return DataLoader(dataset, batch_size, shuffle=shuffled)
        if not shuffled:
            return RowBatches(dataset, batch_size)
        # While the global generator is lent ours, it is the one to draw from.
        return RowBatches(dataset, batch_size, torch.default_generator if self.has_own_parts else self.generators_[0])

    def _own_iterator(self, dataset, training, shuffled):
        """A user's iterator; torch's own shuffles as the estimator is told to, unless told otherwise."""
        is_loader = isinstance(self.iterator_train, type) and issubclass(self.iterator_train, DataLoader)
        given = self.get_params_for("iterator_train")
        if not (training and is_loader and shuffled) or {"shuffle", "sampler", "batch_sampler"} & set(given):
            return super().get_iterator(dataset, training)
        given.setdefault("batch_size", self.batch_size)
        return self.iterator_train(dataset, shuffle=True, **given)

    # --- training

    def remembered(self):
        """What the optimizer of the last training remembers, as tensors."""
        return as_tensors(self.solver_state_ or {})

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
        """Undo a training."""
        weights, n_epochs, kept = snapshot
        self.module_.load_state_dict(weights)
        self.history = History(self.history[:n_epochs])
        vars(self).update(kept, run_=None)

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
        """Tell the net and its callbacks; where these may draw, as `Initializer` does, they draw from ours.

        Callbacks end the training by a KeyboardInterrupt at the begin or the end of an epoch.
        """
        draws = method_name in _MOMENTS_TO_DRAW and self.callbacks_
        try:
            with borrowed_global_generator(self.generators_[0], self.device) if draws else nullcontext():
                super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as stop:
            if method_name in _MOMENTS_TO_STOP and self.callbacks_:
                raise StopTraining from stop
            raise

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
            self.supervisor_.restore()

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

    # --- a step

    def train_step_single(self, batch, **fit_params):
        """Outputs and loss of a batch, the gradient left on the parameters: written out, or by autograd."""
        if self.gradient_ is None:
            return super().train_step_single(batch, **fit_params)
        if self.gradient_.is_overheard():
            self.gradient_.grad.zero_()
            self.gradient_.attach()
            return super().train_step_single(batch, **fit_params)
        if not self.module_.training:
            self._set_training(True)
        X, weight = self._rows_of(batch[0])
        targets = self.training_targets(batch[1])
        with silent_overflow():
            z = self.gradient_.evaluate(X, targets, weight)
        self.gradient_.attach()
        self.seen_ = targets, weight, None
        loss = self.criterion_.forward(z, targets, weight)
        return {"loss": self._penalised_loss(loss, z.shape[0], weight), "y_pred": z}

    def infer(self, x, **fit_params):
        """Raw outputs of shape (n, n_outputs) for rows, with or without weights."""
        X, _ = self._rows_of(x)
        z = self.module_(X, **fit_params)
        return z if self.module is MLPModule else as_matrix(z, len(X), self.task.n_outputs)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """The weighted loss of a batch; in training, of smoothed targets and with the penalty."""
        _, weight = without_weight(X)
        loss = self.data_loss(y_pred, y_true, weight, training)
        return self._penalised_loss(loss, len(y_pred), weight) if training else loss

    def data_loss(self, z, y, weight, training):
        """The weighted loss of a batch by the criterion alone."""
        y = self._tensor(y)
        weight = None if weight is None else self._tensor(weight)
        targets = self.training_targets(y) if training else self.task.targets(y, z.dtype)
        if self.criterion is HeadLoss:
            self.seen_ = targets, weight, None
            return self.criterion_(z, targets, weight)
        loss = weighted(self.criterion_(z, self.task.natural_targets(y, z.dtype)), weight)
        self.seen_ = targets, weight, loss.item()
        return loss

    def _rows_of(self, x):
        """A batch's rows in the precision of the parameters, and their weights or None."""
        X, weight = without_weight(x)
        X = self._tensor(X)
        if X.dtype is not self.torch_dtype_:
            X = X.to(self.torch_dtype_)
        return X, None if weight is None else self._tensor(weight)

    def _tensor(self, values):
        """As skorch's `to_tensor`, at no cost for what is one already."""
        if self.device == "cpu" and isinstance(values, torch.Tensor):
            return values
        return to_tensor(values, self.device)

    def training_targets(self, y):
        """The targets to train on, smoothed ones if asked for, of a batch's y."""
        targets = self.task.targets(self._tensor(y), self.torch_dtype_)
        amount = self.recipe.label_smoothing
        return smoothed(targets, self.task.head, amount) if amount else targets

    def _penalised_loss(self, loss, n_rows, weight):
        if not self.recipe.penalty:
            return loss
        squares = self.squared_weights(differentiable=loss.requires_grad)
        if weight is None:
            return torch.add(loss, squares, alpha=0.5 * self.recipe.penalty / n_rows)
        return loss + 0.5 * self.recipe.penalty / weight.sum() * squares

    def squared_weights(self, differentiable=False):
        """The sum of the squares that alpha shrinks, a number or one a network, as a tensor."""
        if self.gradient_ is not None and not differentiable:
            return self.gradient_.squared_weights()
        squares = sum((w.square().sum() for w in penalised(self.module_)), torch.zeros(()))
        return squares if differentiable else squares.detach()

    # --- prediction

    def _get_predict_nonlinearity(self):
        """From raw outputs to the head's predictions, averaged over several networks."""
        self.check_is_fitted()
        return self._link

    def _link(self, z):
        linked = self.task.head.link(z)
        return linked if linked.ndim == 2 else linked.mean(1)

    # --- persistence

    def _get_module(self, name, msg):
        """A part to save or load; of the optimizer, between trainings, there is only the state."""
        if name == "optimizer_" and name not in vars(self):
            return _SolverState(self)
        return super()._get_module(name, msg)

    def __getstate__(self):
        """Plain arrays, names and the user's own parts: no torch object is stored."""
        parameters = {
            name: value for name, value in vars(self).items() if not name.endswith("_") and not name.startswith("_")
        }
        return {
            "parameters": parameters,
            "module_state": as_arrays(dict(self.module_.state_dict())),
            "criterion_state": as_arrays(dict(self.criterion_.state_dict())),
            "solver_state": self._solver_state(),
            "history": as_columns(self.history),
            "callbacks_": self.callbacks_,
        }

    def _solver_state(self):
        """What the optimizer remembers, as arrays, or None."""
        return as_arrays(self.optimizer_.state_dict()) if "optimizer_" in vars(self) else self.solver_state_

    def __setstate__(self, state):
        self.__init__(**state["parameters"])
        self._initialize_virtual_params()
        self.callbacks_ = state["callbacks_"]
        self._initialize_module()
        self._initialize_criterion()
        self.history = History(as_rows(state["history"]))
        self.module_.load_state_dict(as_tensors(state["module_state"]))
        self.criterion_.load_state_dict(as_tensors(state["criterion_state"]))
        self.solver_state_ = state["solver_state"]
        self.initialized_ = True


class _SolverState:
    """The optimizer of a net that is not being trained, for skorch's saving and loading."""

    def __init__(self, net):
        self._net = net

    def state_dict(self):
        """The state as tensors."""
        return self._net.remembered()

    def load_state_dict(self, state_dict):
        """Keep a state for the next training."""
        self._net.solver_state_ = as_arrays(state_dict) or None


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


def weighted(loss, weight):
    """A criterion's loss as one number: the weighted mean of what it says of each row."""
    if loss.ndim == 0:
        if weight is not None:
            raise ValueError(
                "criterion returns one number for a batch, so rows cannot be weighted by sample_weight or "
                "class_weight. Let it return one number a row, or train without weights."
            )
        return loss
    losses = loss.reshape(len(loss), -1).sum(1)
    return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()


def as_arrays(value):
    """The tensors in nested dicts and lists as arrays."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, dict):
        return {key: as_arrays(item) for key, item in value.items()}
    return [as_arrays(item) for item in value] if isinstance(value, (list, tuple)) else value


def as_tensors(value):
    """The arrays in nested dicts and lists as tensors."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: as_tensors(item) for key, item in value.items()}
    return [as_tensors(item) for item in value] if isinstance(value, list) else value


def as_columns(history):
    """An array a column, if every epoch has the same ones and none kept its batches; else the rows."""
    names = [name for name in history[0] if name != "batches"] if len(history) else []
    if any(row["batches"] or list(row) != ["batches", *names] for row in history):
        return list(history)
    return {name: np.array([row[name] for row in history]) for name in names}


def as_rows(columns):
    """The rows of a history from `as_columns`."""
    if isinstance(columns, list):
        return columns
    rows = zip(*(column.tolist() for column in columns.values()))
    return [{"batches": [], **dict(zip(columns, row))} for row in rows]


# --- what may stand in the list of callbacks


def check_callbacks(callbacks):
    """Raise TypeError unless each is a skorch callback, its class, or a pair of its name and one of these."""
    for item in callbacks or ():
        if not is_callback(item):
            raise TypeError(
                f"callbacks must hold skorch.callbacks.Callback objects, their classes, or pairs (name, callback), "
                f"got {item!r}."
            )


def is_callback(item):
    """Whether an item is one of these."""
    is_named = isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str)
    callback = item[1] if is_named else item
    return issubclass(callback if isinstance(callback, type) else type(callback), Callback)


def listens(callback, moment):
    """Whether a callback does anything at a moment, such as "on_batch_end"."""
    return getattr(getattr(callback, moment), "__func__", None) is not getattr(Callback, moment)
