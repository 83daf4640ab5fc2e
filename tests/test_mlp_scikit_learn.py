"""scikit-learn's own tests of its MLPs, with our classes in the place of its own.

The module is loaded afresh with our names, and its tests run here. What does not pass is listed below with its
reason; the marks are strict, so that a test which comes to pass has to leave the list.
"""

import importlib.util
from unittest.mock import patch

import pytest
import sklearn.neural_network
from sklearn.neural_network.tests import test_mlp as original

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor

OTHERWISE = {}


def tests_with_our_classes():
    spec = importlib.util.spec_from_file_location("scikit_learns_test_mlp", original.__file__)
    module = importlib.util.module_from_spec(spec)
    ours = {"MLPClassifier": TorchMLPClassifier, "MLPRegressor": TorchMLPRegressor}
    with patch.multiple(sklearn.neural_network, **ours):
        spec.loader.exec_module(module)
    for name, function in vars(module).items():
        if name.startswith("test_"):
            reason = OTHERWISE.get(name)
            yield name, pytest.mark.xfail(reason=reason, strict=True)(function) if reason else function


globals().update(tests_with_our_classes())
