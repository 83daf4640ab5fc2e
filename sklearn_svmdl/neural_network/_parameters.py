"""The parameters that the two estimators share, those of skorch with a double underscore among them."""

from inspect import signature
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNet
from torch.utils.data import DataLoader

from .._sklearn_private import Interval, Options, StrOptions
from ._activations import ACTIVATIONS
from ._heads import HeadLoss
from ._module import MLPModule
from ._recipe import SCHEDULES
from ._rows import RowBatches
from ._skorch_callbacks import check_callbacks, is_callback
from ._solvers import FLAT_SOLVERS, FlatOptimizer

# What may stand before a double underscore: whose parameters follow.
PARTS = ("module", "criterion", "optimizer", "iterator_train", "iterator_valid", "callbacks")

CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "solver": [StrOptions({"lbfgs", *FLAT_SOLVERS})],
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
    "n_networks": [Interval(Integral, 1, None, closed="left")],
    "monitor_validation": ["boolean"],
    "categorical_features": ["array-like", StrOptions({"auto"}), None],
    "numeric_embedding": [StrOptions({"piecewise"}), None],
    "allow_missing": ["boolean"],
    "callbacks": [list, tuple, None],
    "module": [callable, None],
    "criterion": [callable, None],
    "optimizer": [callable, None],
    "iterator_train": [callable, None],
    "iterator_valid": [callable, None],
}

# Rows to watch need no small batches.
_WATCHED_AT_A_TIME = 2048

# (parameter, whether a refused value looks like it) -> what was probably meant.
HINTS = [
    ("activation", lambda value: value == "sigmoid", "The sigmoid is called 'logistic' here, as in scikit-learn."),
    (
        "learning_rate",
        lambda value: isinstance(value, Real),
        "learning_rate is the schedule here, as in scikit-learn; the number is learning_rate_init.",
    ),
    ("solver", lambda value: callable(value), "A torch optimizer goes into the parameter optimizer."),
]


class SkorchParameters(BaseEstimator):
    """An estimator that takes parameters such as ``module__width`` or ``callbacks__stop__patience``.

    They are attributes of these names once they are set, as in skorch, so they can be cloned and searched.
    """

    _parameter_constraints: dict = CONSTRAINTS

    def __init_subclass__(cls, **kwargs):
        """scikit-learn's checks take every name in a signature for that of a parameter, ``**`` or not."""
        super().__init_subclass__(**kwargs)
        shown = signature(cls)
        named = [p for p in shown.parameters.values() if p.kind is not p.VAR_KEYWORD]
        cls.__signature__ = shown.replace(parameters=named)

    def _set_nested(self, parameters):
        """Store parameters with a double underscore; TypeError if there is no such part."""
        for name, value in parameters.items():
            if not _is_nested(name):
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name!r}. Besides those in its signature it takes "
                    f"parameters that begin with {', '.join(part + '__' for part in PARTS)}."
                )
            setattr(self, name, value)

    @property
    def _nested(self):
        """The parameters with a double underscore that are set."""
        return {name: value for name, value in vars(self).items() if _is_nested(name)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether to list the callbacks' own parameters too, as ``callbacks__name__parameter``.

        Returns
        -------
        params : dict
            Values by name.
        """
        listed = _callback_parameters(self.callbacks) if deep else {}
        return {**super().get_params(deep), **listed, **self._nested}

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params : dict
            Values by name, those of skorch's parts with a double underscore.

        Returns
        -------
        self : object
            The estimator.
        """
        super().set_params(**{name: value for name, value in params.items() if not _is_nested(name)})
        nested = {name: value for name, value in params.items() if _is_nested(name)}
        self._check_callback_names(nested)
        self._set_nested(nested)
        return self

    def _check_callback_names(self, nested):
        known = {name.split("__")[1] for name in _callback_parameters(self.callbacks)}
        for name in nested:
            part, whose = name.split("__")[:2]
            if part == "callbacks" and whose not in known:
                raise ValueError(f"{name}: there is no callback named {whose!r}, only {sorted(known)}.")

    def _validate_params(self):
        """scikit-learn's check, with a hint where a value is known by another name."""
        try:
            super()._validate_params()
        except ValueError as error:
            for name, looks_like_it, hint in HINTS:
                if f"'{name}' parameter" in str(error) and looks_like_it(getattr(self, name)):
                    raise type(error)(f"{error} {hint}") from None
            raise

    def _check_parts(self):
        """Raise an error if skorch's parts are not what they must be, or do not go together."""
        if isinstance(self.module, torch.nn.Module):
            raise TypeError(
                "module must be a class or function (n_features, n_outputs) -> torch.nn.Module, got an "
                f"instance of {type(self.module).__name__}: every fit needs a fresh one. Pass its class, or "
                "a function that makes it."
            )
        check_callbacks(self.callbacks)
        self._check_callback_names(self._nested)
        for name in self._nested:
            part = name.split("__")[0]
            if part in ("module", "criterion") and getattr(self, part) is None:
                raise ValueError(f"{name} is set, but {part} is not: pass the {part} whose parameter it is.")
        if self.n_networks > 1 and (self._nested or any(getattr(self, part) for part in PARTS)):
            used = sorted(self._nested) + [part for part in PARTS if getattr(self, part)]
            raise ValueError(
                f"n_networks={self.n_networks} trains several of the built-in networks side by side, without "
                f"{', '.join(used)}. Set n_networks=1, or put the estimator into a bagging ensemble."
            )

    def _skorch_parts(self):
        """skorch's parts as its net takes them: the user's, or the built-in ones."""
        nested = self._nested
        parts = {"module": self.module or MLPModule, "criterion": self.criterion or HeadLoss}
        parts["optimizer"] = self.optimizer or FlatOptimizer
        for part in ("iterator_train", "iterator_valid"):
            configured = any(name.startswith(part) for name in nested)
            parts[part] = getattr(self, part) or (DataLoader if configured else RowBatches)
        return {"iterator_valid__batch_size": _WATCHED_AT_A_TIME, **parts, **nested}


def _is_nested(name):
    part, _, rest = name.partition("__")
    return part in PARTS and bool(rest)


def _callback_parameters(callbacks):
    """The callbacks and their parameters, by the names that skorch gives them; none if they are no callbacks."""
    parameters = {}
    if not isinstance(callbacks, (list, tuple)) or not all(map(is_callback, callbacks)):
        return parameters
    for name, callback in named_callbacks(callbacks):
        parameters[f"callbacks__{name}"] = callback
        if not isinstance(callback, type):
            for parameter, value in callback.get_params(deep=False).items():
                parameters[f"callbacks__{name}__{parameter}"] = value
    return parameters


def named_callbacks(callbacks):
    """Pairs of name and callback, named as skorch names them."""
    return list(_OnlyCallbacks(None, None, callbacks=list(callbacks))._uniquely_named_callbacks())


class _OnlyCallbacks(NeuralNet):
    """A net that has no callbacks but those it is given."""

    _default_callbacks = ()

    def get_default_callbacks(self):
        """None."""
        return []
