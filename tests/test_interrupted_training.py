"""Ctrl-C at any moment of a training: the network as it was, or as far as it was trained, which is said."""

import warnings
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
from faults import global_state, moments, strike
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor

SHORT = {"hidden_layer_sizes": (8,), "max_iter": 3, "batch_size": 50, "random_state": 0}


class Listener(Callback):
    """Makes skorch's loop necessary, step by step."""

    def on_batch_end(self, net, **kwargs):
        """Nothing."""


TRAININGS = {
    "fast": TorchMLPClassifier(**SHORT),
    "regression": TorchMLPRegressor(**SHORT),
    "early stopping": TorchMLPClassifier(early_stopping=True, **SHORT),
    "several networks": TorchMLPClassifier(n_networks=3, **SHORT),
    "callback of epochs": TorchMLPClassifier(callbacks=[Callback()], **SHORT),
    "callback of batches": TorchMLPClassifier(callbacks=[Listener()], **SHORT),
    "lbfgs": TorchMLPClassifier(solver="lbfgs", **SHORT),
    "warm start": TorchMLPClassifier(warm_start=True, **SHORT),
}


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def weights_of(network):
    return np.concatenate([p.detach().numpy().ravel() for p in network.module_.parameters()])


def is_told(warned):
    return any("interrupted by user" in str(warning.message) for warning in warned)


@pytest.mark.parametrize("name", TRAININGS)
def test_the_old_network_or_a_warning_and_nothing_changed_elsewhere(name, iris):
    X, y = iris if name != "regression" else (iris[0], iris[0][:, 0])
    with warnings.catch_warnings():
        # Three epochs are few.
        warnings.simplefilter("ignore")
        fitted = clone(TRAININGS[name]).fit(X[::-1], y[::-1])
        old, points = weights_of(fitted), moments(lambda: deepcopy(fitted).fit(X, y), 25)
    ends = []
    for point in points:
        network = deepcopy(fitted)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            before = global_state()
            outcome = strike(lambda network=network: network.fit(X, y), point)
            assert global_state() == before
        if not outcome.struck:
            continue
        if outcome.through:
            assert_array_equal(weights_of(network), old)
            ends.append("old")
        else:
            assert is_told(told)
            assert network.n_iter_ >= 1 and np.isfinite(network.loss_) and network.predict(X).shape == (150,)
            ends.append("kept")
    assert {"old", "kept"} == set(ends)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError])
def test_a_step_of_partial_fit_is_taken_or_it_is_not(fault, iris):
    X, y = iris
    network, twin = (TorchMLPClassifier(**SHORT).partial_fit(X, y, classes=[0, 1, 2]) for _ in range(2))
    old, new = weights_of(twin), weights_of(deepcopy(twin).partial_fit(X, y))
    for point in moments(lambda: deepcopy(twin).partial_fit(X, y), 25):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            before = global_state()
            outcome = strike(partial(network.partial_fit, X, y), point, fault)
            assert global_state() == before
        if outcome.through:
            assert_array_equal(weights_of(network), old)
            assert_array_equal(weights_of(deepcopy(network).partial_fit(X, y)), new)
        else:
            # An interruption after the step, before the end of the call, is told.
            assert is_told(told) == outcome.struck
            assert_array_equal(weights_of(network), new)
            network = deepcopy(twin)
