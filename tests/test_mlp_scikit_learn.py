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

# A ConvergenceWarning is an error in our tests, and not in scikit-learn's.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PRIVATE = "reads or replaces private attributes of scikit-learn's implementation"
STANDARDISED = "y is standardised inside, so tol is met by another network"
EVERY_EPOCH = "n_iter_no_change=np.inf asks for every epoch, so having run them all is no failure"
OTHERWISE = {
    "test_fit": f"{PRIVATE}: sets coefs_, which are views of the torch module here",
    "test_gradient": f"{PRIVATE}: _loss_grad_lbfgs; the gradient is checked against autograd in test_mlp_oracles.py",
    "test_lbfgs_regression": STANDARDISED,
    "test_lbfgs_regression_maxfun": STANDARDISED,
    "test_learning_rate_warmstart": f"{PRIVATE}: _optimizer; the rates are in history_",
    "test_nonfinite_params": "wording: the message says more about what to change",
    "test_verbose_sgd": "wording: a line an epoch in Keras' words",
    "test_adaptive_learning_rate": f"{PRIVATE}: _optimizer; the rates are in history_",
    "test_n_iter_no_change": f"{PRIVATE}: _no_improvement_count",
    "test_n_iter_no_change_inf": f"{PRIVATE}: _no_improvement_count",
    "test_early_stopping_stratified": "rows are held out unstratified where a class is too small to stratify by",
    "test_mlp_warm_start_no_convergence[sgd": EVERY_EPOCH,
    "test_mlp_warm_start_no_convergence[adam": EVERY_EPOCH,
}


@pytest.fixture
def global_random_seed():
    """scikit-learn's fixture of this name."""
    return 42


@pytest.fixture(autouse=True)
def passes_unless_listed(request):
    """Tests of the list have to fail."""
    for name, reason in OTHERWISE.items():
        if f"{request.node.name}[".startswith(name if "[" in name else f"{name}["):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


def with_our_classes():
    """The tests, by name."""
    spec = importlib.util.spec_from_file_location("scikit_learns_test_mlp", original.__file__)
    module = importlib.util.module_from_spec(spec)
    ours = {"MLPClassifier": TorchMLPClassifier, "MLPRegressor": TorchMLPRegressor}
    with patch.multiple(sklearn.neural_network, **ours):
        spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if name.startswith("test_")}


globals().update(with_our_classes())
