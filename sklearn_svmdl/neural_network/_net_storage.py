"""A net as plain arrays, names and the user's own parts, so that no torch object is stored; and back again."""

import numpy as np
import torch
from skorch import NeuralNet
from skorch.history import History


class StoredAsArrays(NeuralNet):
    """Mixin of `MLPNet`: how it is pickled, saved and loaded."""

    def remembered(self):
        """What the optimizer of the last training remembers, as tensors."""
        return as_tensors(self.solver_state_ or {})

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
