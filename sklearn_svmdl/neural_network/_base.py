"""What the two estimators share: the flow of fit and of prediction.

fit: X, y -> validate -> targets -> rows (weights, held-out part) -> skorch net -> epochs -> fitted
attributes. predict: X -> validate -> raw outputs -> the head's link -> labels or units of y.
"""

from abc import ABC, abstractmethod
from copy import deepcopy
from math import inf
from numbers import Integral, Real
from warnings import warn

import numpy as np
import torch
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from .._sklearn_private import Interval, Options, StrOptions, _check_sample_weight
from ._activations import ACTIVATIONS
from ._callbacks import check_callbacks
from ._device import accepted_dtypes, device_or_cpu, resolve_device
from ._hold_out import hold_out
from ._loop import Job
from ._module import MLPModule
from ._net import MLPNet
from ._predict import outputs
from ._random import make_generator
from ._recipe import SCHEDULES, Progress, Recipe
from ._rows import make_rows
from ._solvers import STOCHASTIC_SOLVERS
from ._threads import fitting_threads


class BaseTorchMLP(BaseEstimator, ABC):
    """A multi-layer perceptron trained by torch through skorch; see the two estimators for the parameters."""

    _parameter_constraints: dict = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "solver": [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(SCHEDULES))],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "device": [str],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "callbacks": [list, tuple, None],
        "module": [callable, None],
        "monitor_validation": ["boolean"],
    }

    # --- what classifier and regressor say differently

    @abstractmethod
    def _learn_targets(self, y, sample_weight, first_pass, incremental):
        """Learn from y what the targets are: classes and their weights, or nothing."""

    @abstractmethod
    def _check_watched(self, y):
        """Raise ValueError if y, of rows to watch, is not of the kind learnt."""

    @abstractmethod
    def _targets(self, y):
        """y as numbers of shape (n_samples, n_outputs)."""

    @abstractmethod
    def _loss_weight(self, y):
        """What each row's loss is multiplied by for its class, or None."""

    @abstractmethod
    def _learn_scale(self, train):
        """Learn the units the net is trained in."""

    @abstractmethod
    def _scaled(self, rows):
        """The rows with their targets in these units, in the precision of X."""

    @property
    @abstractmethod
    def _head_name(self):
        """The key of the head in `HEADS`."""

    # --- fit

    def _fit(self, X, y, sample_weight, validation=(None, None, None), incremental=False):
        first_pass = not hasattr(self, "net_") or not (self.warm_start or incremental)
        device = resolve_device(self.device)
        self._check_choices(incremental)
        X, y, sample_weight = self._check_data(X, y, sample_weight, device, first_pass)
        self._learn_targets(y, sample_weight, first_pass, incremental)
        random_state = check_random_state(self.random_state)
        train, valid = self._split(X, y, sample_weight, validation, incremental, random_state)
        if first_pass:
            self._learn_scale(train)
        train, valid = self._scaled(train), valid and self._scaled(valid)
        job = self._job(train, valid, random_state, first_pass, incremental)
        net = self._net(job, device, first_pass)
        self._run(net, job)
        return self._store(net, job, X.dtype)

    def _check_choices(self, incremental):
        if incremental and self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True; call fit, or set early_stopping=False."
            )
        if isinstance(self.module, torch.nn.Module):
            raise TypeError(
                "module must be a class or function (n_features, n_outputs) -> torch.nn.Module, got an "
                f"instance of {type(self.module).__name__}: every fit needs a fresh one. Pass its class, or "
                "a function that makes it."
            )
        check_callbacks(self.callbacks)

    def _check_data(self, X, y, sample_weight, device, first_pass):
        dtype = accepted_dtypes(self.dtype, device) if first_pass else (self._dtype,)
        X, y = self._check_X_y(X, y, dtype, reset=first_pass)
        return X, y, self._check_weights(sample_weight, X)

    def _check_X_y(self, X, y, dtype, reset):
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=is_regressor(self),
            dtype=dtype,
            order="C",
            reset=reset,
        )
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    @staticmethod
    def _check_weights(sample_weight, X):
        if sample_weight is None:
            return None
        sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if np.any(sample_weight < 0):
            raise ValueError(
                f"Negative values in sample_weight, the smallest being {sample_weight.min()}; use >= 0."
            )
        if not np.any(sample_weight > 0):
            raise ValueError("sample_weight must contain at least one non-zero number; all weights are zero.")
        return sample_weight

    def _split(self, X, y, sample_weight, validation, incremental, random_state):
        """The rows to train on, and the rows to watch or None."""
        X_val, y_val, weight_val = validation
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together; only one of them was.")
        if X_val is not None:
            X_val, y_val = self._check_X_y(X_val, y_val, (X.dtype,), reset=False)
            self._check_watched(y_val)
            weight_val = self._check_weights(weight_val, X_val)
            return self._rows(X, y, sample_weight), self._rows(X_val, y_val, weight_val)
        if incremental or self.solver == "lbfgs" or not (self.early_stopping or self.monitor_validation):
            return self._rows(X, y, sample_weight), None
        kept = np.arange(X.shape[0]) if sample_weight is None else np.flatnonzero(sample_weight)
        labels = y[kept] if is_classifier(self) and y.ndim == 1 else None
        parts = hold_out(kept, labels, self.validation_fraction, random_state)
        return [self._rows(X[i], y[i], None if sample_weight is None else sample_weight[i]) for i in parts]

    def _rows(self, X, y, sample_weight):
        return make_rows(X, self._targets(y), sample_weight, self._loss_weight(y), canonical=self.shuffle)

    def _job(self, train, valid, random_state, first_pass, incremental):
        recipe = Recipe.of(self)
        progress = Progress(rate=self.learning_rate_init) if first_pass else self._progress
        state = self._solver_state if incremental and not first_pass else None
        if state is None:
            progress.rate = self.learning_rate_init
        return Job(
            recipe=recipe,
            progress=progress,
            epochs=1 if incremental else self.max_iter,
            train=train,
            valid=valid,
            batch_size=self._batch_rows(len(train)),
            generator=make_generator(random_state, stream=progress.t),
            solver_state=state,
            keep_solver_state=incremental,
        )

    def _batch_rows(self, n_rows):
        if self.batch_size == "auto":
            return min(200, n_rows)
        if self.batch_size > n_rows:
            warn(
                f"batch_size={self.batch_size} is larger than the {n_rows} rows to train on and is clipped "
                "to that."
            )
        return min(self.batch_size, n_rows)

    def _net(self, job, device, first_pass):
        """A new net, or the one to go on with."""
        shape = job.train.X.shape[1], job.train.targets.shape[1]
        layer_units = [shape[0], *self._hidden_units(), shape[1]]
        if not first_pass:
            return self._net_so_far(layer_units, device)
        dtype = torch.float32 if job.train.X.dtype == np.float32 else torch.float64
        own = dict(
            layer_units=layer_units, activation=self.activation, dropout=float(self.dropout), dtype=dtype
        )
        net = MLPNet(
            self.module or MLPModule,
            **({} if self.module else {f"module__{name}": value for name, value in own.items()}),
            head_name=self._head_name,
            shape=shape,
            dtype=dtype,
            device=device,
            callbacks=deepcopy(self.callbacks),
            lr=self.learning_rate_init,
            max_epochs=self.max_iter,
            batch_size=job.batch_size,
            verbose=0,
        )
        return net.build(job.generator, job.recipe)

    def _net_so_far(self, layer_units, device):
        net = self.net_
        if isinstance(net.module_, MLPModule) and net.module_.layer_units != layer_units:
            raise ValueError(
                f"The network to go on with has layers of {net.module_.layer_units} units, but the "
                f"parameters and the data now ask for {layer_units}. Keep hidden_layer_sizes, or set "
                "warm_start=False and call fit."
            )
        net.device = device
        net.module_.to(device)
        return net

    def _hidden_units(self):
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()
        if any(not isinstance(size, Integral) or size <= 0 for size in sizes):
            raise ValueError(
                f"hidden_layer_sizes must be integers > 0, got {sizes}. Use () for a network without hidden layers."
            )
        return sizes

    def _run(self, net, job):
        widest_step = job.batch_size * sum(p.numel() for p in net.module_.parameters())
        try:
            with fitting_threads(widest_step):
                net.partial_fit(job)
        finally:
            net.trim()
        if job.out_of_epochs and not job.keep_solver_state and self.n_iter_no_change < inf:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization "
                "hasn't converged yet. Increase max_iter, or ask for exactly this many epochs with tol=0, "
                "n_iter_no_change=np.inf.",
                ConvergenceWarning,
            )

    def _store(self, net, job, dtype):
        progress = job.progress
        self.net_ = net
        self._dtype = dtype
        self._progress = progress
        self._solver_state = job.solver_state if job.keep_solver_state else None
        self.loss_ = progress.loss
        self.n_iter_ = progress.n_iter
        self.t_ = progress.t
        self.n_outputs_ = job.train.targets.shape[1]
        self.out_activation_ = net.head.out_activation
        if self.solver != "lbfgs":
            watched = bool(progress.validation_scores)
            self.loss_curve_ = progress.loss_curve
            self.best_loss_ = None if self.early_stopping else progress.best_loss
            self.validation_scores_ = progress.validation_scores if watched else None
            self.best_validation_score_ = progress.best_validation_score if watched else None
        return self

    # --- predict

    def _outputs(self, X, linked=True):
        """The outputs of the fitted net for rows X, an ndarray: as the head's link makes them, or raw."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=(self._dtype,), order="C", reset=False)
        device = device_or_cpu(self.device)
        module = self.module_ if device == "cpu" else deepcopy(self.module_).to(device)
        return outputs(module, X, self.n_outputs_, device, link=self.net_.head.link if linked else None)

    # --- fitted attributes that are views of the net

    @property
    def module_(self):
        """The trained `torch.nn.Module`, on the CPU; it returns raw outputs."""
        return self._fitted_net("module_").module_

    @property
    def history_(self):
        """One dict an epoch: epoch, loss, accuracy or r2, the same of a watched part, lr, dur (seconds)."""
        ours = ("epoch", "loss", "accuracy", "r2", "val_loss", "val_accuracy", "val_r2", "lr", "dur")
        return [
            {name: row[name] for name in ours if name in row} for row in self._fitted_net("history_").history
        ]

    @property
    def coefs_(self):
        """Weight matrices of shape (n_inputs, n_units), one a layer; they share memory with `module_`."""
        return [layer.weight.detach().numpy().T for layer in self._own_layers("coefs_")]

    @property
    def intercepts_(self):
        """Bias vectors of shape (n_units,), one a layer; they share memory with `module_`."""
        return [layer.bias.detach().numpy() for layer in self._own_layers("intercepts_")]

    @property
    def n_layers_(self):
        """Number of layers, the inputs included."""
        return len(self._own_layers("n_layers_")) + 1

    def _own_layers(self, name):
        module = self._fitted_net(name).module_
        if not isinstance(module, MLPModule):
            raise AttributeError(f"{name} exists for the built-in network only; look at module_ instead.")
        return module.layers

    def _fitted_net(self, name):
        if "net_" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r} before fit.")
        return self.net_

    def _check_solver(self):
        if self.solver not in STOCHASTIC_SOLVERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic solvers {sorted(STOCHASTIC_SOLVERS)}; "
                f"{self.solver!r} is not."
            )
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
