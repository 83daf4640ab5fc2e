"""What the two estimators share: the flow of fit and of prediction.

fit: X, y -> validate -> y as the net takes it -> rows (weights, held-out part) -> skorch net -> epochs -> fitted
attributes. predict: X -> validate -> raw outputs -> the head's link -> labels or units of y.
"""

from abc import ABC, abstractmethod
from contextlib import contextmanager
from copy import deepcopy
from math import inf, isfinite
from numbers import Integral
from typing import Any
from warnings import warn

import numpy as np
import torch
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y, validate_data

from .._callbacks import EstimatorMixin
from .._memory import memory_advice
from .._sklearn_private import _check_sample_weight
from .._typing import Array
from ._columns import TabularModule, as_numbers, cardinalities, categorical_columns, fit_columns, is_frame
from ._epoch_tasks import epoch_tasks
from ._module import MLPModule, looks_squashed, outputs
from ._parameters import SkorchParameters
from ._recipe import Progress, Recipe, python_scalar
from ._rows import hold_out, make_rows
from ._runtime import accepted_dtypes, device_or_cpu, draw_seed, fitting_threads, resolve_device
from ._solvers import FLAT_SOLVERS
from ._training import Run, check_finite

# How far above the loss of the best constant prediction a training may end without being called a failure:
# the loss of an epoch is a running one, from before each step.
_ABOVE_CONSTANT = 1.01
# The loss of a constant prediction that is right: one class only, or a constant y.
_NOTHING_TO_LEARN = 1e-12


class BaseTorchMLP(EstimatorMixin, SkorchParameters, ABC):
    """A multi-layer perceptron trained by torch through skorch; see the two estimators for the parameters."""

    # --- what classifier and regressor say differently

    @property
    @abstractmethod
    def _net_class(self):
        """The class of the skorch net."""

    @abstractmethod
    def _learn_targets(self, y, sample_weight, first_pass, incremental):
        """Learn from y what the targets are: classes and their weights, or nothing."""

    @abstractmethod
    def _check_watched(self, y):
        """Raise ValueError if y, of rows to watch, is not of the kind learnt."""

    @abstractmethod
    def _encoded(self, y):
        """y as the net takes it: class codes, label indicators or numbers."""

    @abstractmethod
    def _loss_weight(self, y):
        """What each row's loss is multiplied by for its class, given an encoded y; or None."""

    @property
    @abstractmethod
    def _head_name(self):
        """The key of the head in `HEADS`."""

    @abstractmethod
    def _n_outputs(self, y):
        """The number of outputs that an encoded y asks for."""

    @abstractmethod
    def _make_task(self, rows):
        """The `Task` that the training rows set."""

    # --- fit

    def _most_epochs(self):
        """The most epochs that a fit has; those of lbfgs are of one network after the other."""
        return self.max_iter * (self.n_networks if self.solver == "lbfgs" else 1)

    def _fit(self, X, y, sample_weight, validation=(None, None, None), incremental=False):
        first_pass = not hasattr(self, "net_") or not (self.warm_start or incremental)
        tasks = epoch_tasks(self, X, y, sample_weight)  # before X and y are checked: callbacks get the user's
        device = resolve_device(self.device)
        self._check_choices(incremental)
        if first_pass:
            self._predicted_dtype = "float32" if _is_single(X) else "float64"
            self._columns = self._fitted_columns(X)
        X, y, sample_weight = self._check_data(X, y, sample_weight, device, first_pass)
        self._learn_targets(y, sample_weight, first_pass, incremental)
        y = self._encoded(y)
        random_state = check_random_state(self.random_state)
        train, valid = self._split(X, y, sample_weight, validation, incremental, random_state)
        recipe = Recipe.of(self)
        run = self._run(recipe, train, valid, tasks, first_pass, incremental)
        seeds = [draw_seed(random_state) for _ in range(self.n_networks)]
        with torch.inference_mode(False), torch.enable_grad():  # whatever the caller is in
            net = self._net(run, recipe, seeds, device, first_pass)
            self._train(net, run, X, y)
        return self._store(net, run, X.dtype)

    @contextmanager
    def _all_or_nothing(self):
        """A fit that fails leaves the estimator as it was: not fitted, or fitted as before."""
        before = dict(vars(self))
        snapshot = self.net_.snapshot() if hasattr(self, "net_") else None
        try:
            with memory_advice(self._memory_advice):
                yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            if snapshot is not None:
                self.net_.go_back(snapshot)
            raise

    def _memory_advice(self):
        return (
            f"{type(self).__name__} needs X, the weights and their gradient, and the outputs of all units on "
            f"batch_size={self.batch_size!r} rows (all rows with solver='lbfgs', in chunks). Try a smaller batch_size, "
            f"fewer units than hidden_layer_sizes={self.hidden_layer_sizes}, dtype='float32', or n_networks=1."
        )

    def _check_choices(self, incremental):
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True; call fit, or set early_stopping=False.")
        self._check_parts()

    def _check_data(self, X, y, sample_weight, device, first_pass):
        dtype = self._accepted_dtypes(device) if first_pass else (np.dtype(self._dtype),)
        X, y = self._check_X_y(X, y, dtype, reset=first_pass)
        return X, y, self._check_weights(sample_weight, X)

    def _accepted_dtypes(self, device):
        """Several networks differ by more than rounding: for them single precision is precise enough."""
        dtype = "float32" if self.dtype == "auto" and self.n_networks > 1 else str(self.dtype)
        return accepted_dtypes(dtype, device)

    def _fitted_columns(self, X):
        """What turns the columns into numbers; None where they are numbers to be taken as they are."""
        categorical = categorical_columns(X, self.categorical_features)
        if not (categorical or self.numeric_embedding or self.allow_missing):
            return None
        if categorical and self.n_networks > 1:
            raise ValueError(
                f"n_networks={self.n_networks} trains networks of numbers, but {len(categorical)} columns of X hold "
                "categories. Encode them before (for instance by OneHotEncoder in a ColumnTransformer), or set "
                "n_networks=1."
            )
        if not is_frame(X):
            X = check_array(X, dtype=None, ensure_all_finite=False)
        return fit_columns(X, categorical, self.numeric_embedding, self.allow_missing)

    def _check_X_y(self, X, y, dtype, reset):
        options = {"multi_output": True, "y_numeric": is_regressor(self), "dtype": dtype, "order": "C"}
        with _naming_allow_missing():
            if self._columns is None:
                X, y = validate_data(self, X, y, accept_sparse="csr", reset=reset, **options)
            else:
                X, y = check_X_y(self._numbers(X, reset), y, **options)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _check_X(self, X):
        options = {"dtype": (np.dtype(self._dtype),), "order": "C"}
        with _naming_allow_missing():
            if self._columns is None:
                return validate_data(self, X, accept_sparse="csr", reset=False, **options)
            return check_array(self._numbers(X, reset=False), input_name="X", **options)

    def _numbers(self, X, reset):
        """The columns as numbers; feature names and count are those of the columns."""
        if not is_frame(X):
            X = check_array(X, dtype=None, ensure_all_finite=False)
        validate_data(self, X, skip_check_array=True, reset=reset)
        return as_numbers(self._columns, X)

    @staticmethod
    def _check_weights(sample_weight, X):
        if sample_weight is None:
            return None
        sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if np.any(sample_weight < 0):
            raise ValueError(f"Negative values in sample_weight, the smallest being {sample_weight.min()}; use >= 0.")
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
            return self._rows(X, y, sample_weight), self._rows(X_val, self._encoded(y_val), weight_val)
        if incremental or self.solver == "lbfgs" or not (self.early_stopping or self.monitor_validation):
            return self._rows(X, y, sample_weight), None
        kept = np.arange(X.shape[0]) if sample_weight is None else np.flatnonzero(sample_weight)
        labels = y[kept] if is_classifier(self) and y.ndim == 1 else None
        parts = hold_out(kept, labels, python_scalar(self.validation_fraction), random_state)
        return [self._rows(X[i], y[i], None if sample_weight is None else sample_weight[i]) for i in parts]

    def _rows(self, X, y, sample_weight):
        return make_rows(X, y, sample_weight, self._loss_weight(y), canonical=self.shuffle)

    def _batch_rows(self, n_rows):
        if isinstance(self.batch_size, str):
            return min(200, n_rows)
        if self.batch_size > n_rows:
            warn(f"batch_size={self.batch_size} is larger than the {n_rows} rows to train on and is clipped to that.")
        return min(int(self.batch_size), n_rows)

    def _net(self, run, recipe, seeds, device, first_pass):
        """A new net, with the weights to go on with if there are any; or the net to go on with."""
        parts = {**self._skorch_parts(), **self._module_parameters(run.train)}
        callbacks = list(self.callbacks or ())
        settings = {"lr": recipe.learning_rate_init, "batch_size": run.batch_size, "verbose": recipe.verbose}
        if not first_pass:
            self._check_continues(run.train)
            if run.incremental and self._is_of(self.net_, parts, callbacks):
                self.net_.take_up(run, recipe, seeds, device, settings)
                return self.net_
        net = self._net_class(
            task=self._make_task(run.train) if first_pass else self.net_.task,
            recipe=recipe,
            dtype=run.train.dataset.X.dtype.name,
            seeds=seeds,
            device=device,
            callbacks=deepcopy(callbacks),
            max_epochs=recipe.max_iter,
            **settings,
            **parts,
        )
        net.run_ = run
        net.initialize()
        if not first_pass:
            net.go_on_from(self.net_, run.incremental)
        self._callbacks_given = callbacks
        return net

    def _is_of(self, net, parts, callbacks):
        """Whether a net has these parts and callbacks, and no others."""
        nested = {name for name in vars(net) if "__" in name.strip("_")}
        same = all(hasattr(net, name) and _same(getattr(net, name), value) for name, value in parts.items())
        return same and nested <= set(parts) and callbacks == self._callbacks_given

    def _module_parameters(self, train):
        """What makes the built-in module, of dense layers alone or with embeddings; nothing for a user's."""
        if self.module is not None:
            return {}
        hidden, dtype = self._hidden_units(), train.dataset.X.dtype.name
        same = {
            "module__activation": str(self.activation),
            "module__dropout": float(self.dropout),
            "module__dtype": dtype,
        }
        categories = [] if self._columns is None else cardinalities(self._columns)
        if categories:
            return {
                "module": TabularModule,
                "module__cardinalities": categories,
                "module__hidden_units": hidden,
                **same,
            }
        return {
            "module": MLPModule,
            "module__layer_units": [train.dataset.X.shape[1], *hidden, self._n_outputs(train.dataset.y)],
            "module__n_networks": int(self.n_networks),
            **same,
        }

    def _check_continues(self, train):
        """Raise ValueError if the network to go on with is not the one that the parameters describe."""
        net, parts = self.net_, self._skorch_parts()
        module = {name: value for name, value in parts.items() if name.split("__")[0] == "module"}
        module |= self._module_parameters(train)
        module.pop("module__dropout", None)  # the steps to come take the new one
        dtype = net.dtype if self.dtype == "auto" else str(self.dtype)
        asked_for = {"loss": self._head_name, "dtype": dtype, **module}
        present = {name: getattr(net, name, None) for name in asked_for} | {"loss": net.task.head_name}
        for name, value in asked_for.items():
            if not _same(value, present[name]):
                raise ValueError(_cannot_go_on(name, present[name], value))

    def _hidden_units(self):
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()
        if any(not isinstance(size, Integral) or size <= 0 for size in sizes):
            raise ValueError(
                f"hidden_layer_sizes must be integers > 0, got {sizes}. Use () for a network without hidden layers."
            )
        return [int(size) for size in sizes]

    def _run(self, recipe, train, valid, tasks, first_pass, incremental):
        if first_pass:
            progresses = [Progress(recipe.learning_rate_init) for _ in range(self.n_networks)]
        else:
            progresses = deepcopy(self._progresses)
        for progress in progresses:
            progress.stopped = False
            if not incremental or not first_pass and not recipe.has_optimizer_of(self.net_.recipe):
                progress.rate = recipe.learning_rate_init
        return Run(
            progresses=progresses,
            epochs=1 if incremental else recipe.max_iter,
            train=train,
            valid=valid,
            batch_size=self._batch_rows(len(train)),
            tasks=tasks,
            rows_seen=0 if first_pass else self.t_,
            epochs_before=0 if first_pass else len(self.net_.history),
            incremental=incremental,
        )

    def _train(self, net, run, X, y):
        with fitting_threads(run.batch_size * sum(p.numel() for p in net.module_.parameters())):
            net.partial_fit(X, y)
        if run.epochs_done == 0:
            raise KeyboardInterrupt("Training was ended before its first epoch was.")
        check_finite(net.module_, net.recipe)
        if run.interrupted:
            warn("Training interrupted by user.")
            return
        lost = not all(isfinite(progress.loss) for progress in run.progresses)
        if lost or not run.incremental:
            self._warn_of_failure(net, run)
        if self.module is not None and looks_squashed(run.last_outputs, net.task.head):
            warn(
                "The outputs of module look like probabilities, but they must be raw: softmax and sigmoid are part "
                "of the loss and of predict_proba. Leave them out at the end of module."
            )

    def _warn_of_failure(self, net, run):
        """Say what a user would else find out too late."""
        said = []
        if run.out_of_epochs and self.n_iter_no_change < inf and self.solver in FLAT_SOLVERS:
            said.append(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization "
                "hasn't converged yet. Increase max_iter, or ask for exactly this many epochs with tol=0, "
                "n_iter_no_change=np.inf."
            )
        loss = max((progress.data_loss for progress in run.progresses), key=lambda loss: (not isfinite(loss), loss))
        constant = net.constant_loss(run.train)
        if not isfinite(loss) or loss > _ABOVE_CONSTANT * constant > _NOTHING_TO_LEARN:
            better = f", above the {constant:.4g} of always predicting the same" if isfinite(constant) else ""
            said.append(
                f"The training loss ended at {loss:.4g}{better}: the network has learnt nothing of use. Scale the "
                "features (for instance with StandardScaler in a Pipeline), and try another learning_rate_init than "
                f"{self.learning_rate_init:g} or more epochs than max_iter={self.max_iter}."
            )
        if said:
            warn(" ".join(said), ConvergenceWarning)

    def _store(self, net, run, dtype):
        progresses, history = run.progresses, net.history
        self.net_ = net
        self._dtype = dtype.name
        self._progresses = progresses
        self.loss_ = _mean_of(progresses, "loss")
        self.n_iter_ = run.epochs_done
        self.t_ = run.rows_seen
        self.n_outputs_ = net.task.n_outputs
        self.out_activation_ = net.task.head.out_activation
        if self.solver != "lbfgs":
            score = f"val_{net.task.head.score_name}"
            watched = [row[score] for row in history if score in row]
            self.loss_curve_ = [row["loss"] for row in history if "loss" in row]
            self.best_loss_ = None if self.early_stopping else _mean_of(progresses, "best_loss")
            self.validation_scores_ = watched or None
            self.best_validation_score_ = _mean_of(progresses, "best_validation_score") if watched else None
        return self

    # --- predict

    def _outputs(self, X, linked=True):
        """The outputs of the fitted net for rows X, of shape ([n_networks,] n, n_outputs): linked, or raw."""
        check_is_fitted(self)
        X = self._check_X(X)
        device = device_or_cpu(self.device)
        module = self.module_ if device == "cpu" else deepcopy(self.module_).to(device)
        link = self.net_.task.head.link if linked else None
        with memory_advice(lambda: "Try to predict fewer rows at a time."):
            return outputs(module, X, self.n_outputs_, device, link=link)

    def _has_members(self):
        """Whether there are several networks, which may disagree."""
        n_networks = self.n_networks_ if "net_" in vars(self) else self.n_networks
        if n_networks == 1:
            raise AttributeError("predict_spread tells how networks differ: set n_networks to two or more.")
        return True

    # --- fitted attributes that are views of the net

    @property
    def module_(self) -> torch.nn.Module:
        """The trained `torch.nn.Module`, on the CPU; it returns raw outputs."""
        return self._fitted_net("module_").module_

    @property
    def history_(self) -> list[dict[str, Any]]:
        """One dict an epoch: epoch, loss, accuracy or r2, the same of a watched part, lr, dur (seconds).

        Callbacks' own columns follow.
        """
        rows = [row for row in self._fitted_net("history_").history if "loss" in row]
        return [{name: value for name, value in row.items() if not _is_skorchs(name)} for row in rows]

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices of shape ([n_networks,] n_inputs, n_units), one a layer; memory of `module_`."""
        return [np.swapaxes(layer.weight.detach().numpy(), -1, -2) for layer in self._own_layers("coefs_")]

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vectors of shape ([n_networks,] n_units), one a layer; they share memory with `module_`."""
        return [layer.bias.detach().numpy() for layer in self._own_layers("intercepts_")]

    @property
    def n_layers_(self) -> int:
        """Number of layers, the inputs included."""
        return len(self._own_layers("n_layers_")) + 1

    @property
    def n_networks_(self) -> int:
        """Number of networks whose predictions are averaged."""
        return len(self._fitted_net("n_networks_").seeds)

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
        if self.solver not in FLAT_SOLVERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic solvers {sorted(FLAT_SOLVERS)}; {self.solver!r} is not."
            )
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = bool(self.allow_missing)
        return tags


@contextmanager
def _naming_allow_missing():
    """Let scikit-learn's error about missing values in X name the parameter that allows them."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("Input X contains NaN"):
            raise
        advice = (
            "Fit dense X with allow_missing=True: the mean then replaces missing numbers, which are marked as such."
        )
        raise ValueError(f"{error}\n{advice}") from error


def _is_single(X):
    """Whether data, an array or a data frame, are in single precision."""
    dtypes = [X.dtype] if hasattr(X, "dtype") else list(getattr(X, "dtypes", [None]))
    return all(dtype == np.float32 for dtype in dtypes)


def averaged(outputs):
    """The mean of several networks' outputs; that of the only one as it is."""
    return outputs if outputs.ndim == 2 else outputs.mean(0)


def _is_skorchs(column):
    """Whether skorch's own columns say again what ours say."""
    return column in ("batches", "train_loss", "valid_loss") or column.endswith(("_best", "_batch_count"))


def _mean_of(progresses, name):
    values = [getattr(progress, name) for progress in progresses]
    return None if None in values else sum(values) / len(values)


def _same(value, other):
    """Whether two parameters are the same; arrays and tensors of several numbers are if they are one object."""
    if value is other:
        return True
    try:
        return bool(value == other)
    except (ValueError, RuntimeError):
        return False


def _cannot_go_on(name, present, asked_for):
    parameter = {"module__layer_units": "hidden_layer_sizes"}.get(name, name.removeprefix("module__"))
    return (
        f"The network to go on with was made with {name}={present!r}, but the parameters and the data now ask "
        f"for {asked_for!r}. Keep {parameter}, or set warm_start=False and call fit."
    )
