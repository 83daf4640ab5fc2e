"""scikit-learn's own estimator checks on the MLPs, with nothing excused."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    estimator_checks_generator,
)

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor

# The checks train for a fixed number of epochs on data where that is too few, or noise; MLPClassifier warns
# there as well.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CONFIGURATIONS = [
    {},
    {"hidden_layer_sizes": (32, 16), "solver": "sgd", "random_state": 0},
    {"solver": "lbfgs", "max_iter": 100},  # scikit-learn's own MLPs are checked with 100 iterations too
    {"dtype": "float32"},
]
MORE = [
    {"hidden_layer_sizes": (32, 16)},
    {"solver": "sgd"},
    {"solver": "adamw"},
    {"random_state": 0},
    {"dtype": "float64"},
]


def checks(classifiers, regressors):
    """Each check of each estimator with these parameters."""
    estimators = [
        *(TorchMLPClassifier(**each) for each in classifiers),
        *(TorchMLPRegressor(**each) for each in regressors),
    ]
    return [pair for estimator in estimators for pair in estimator_checks_generator(estimator)]


def _name(value):
    """How a parametrised test is called: the estimator's parameters, the check's function."""
    function = getattr(value, "func", value)
    return getattr(function, "__name__", None) or repr(value).replace("\n", " ")


@pytest.mark.parametrize(("estimator", "check"), checks(CONFIGURATIONS, CONFIGURATIONS), ids=_name)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), checks([*MORE, {"class_weight": "balanced"}], MORE), ids=_name)
def test_more_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
@pytest.mark.parametrize("estimator", [TorchMLPClassifier(), TorchMLPRegressor()], ids=["classifier", "regressor"])
def test_checks_that_check_estimator_leaves_out(estimator, check):
    check(type(estimator).__name__, estimator)
