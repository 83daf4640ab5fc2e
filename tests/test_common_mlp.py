"""scikit-learn's own estimator checks on the MLPs, with nothing excused."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor

# The checks train for the default 200 epochs on data where that is too few or not at all converging, as MLPClassifier does.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CONFIGURATIONS = [
    {},
    {"hidden_layer_sizes": (32, 16)},
    {"solver": "sgd"},
    {"solver": "lbfgs"},
    {"solver": "adamw"},
    {"random_state": 0},
    {"dtype": "float64"},
    {"dtype": "float32"},
]
CLASSIFIERS = [TorchMLPClassifier(**parameters) for parameters in [*CONFIGURATIONS, {"class_weight": "balanced"}]]
REGRESSORS = [TorchMLPRegressor(**parameters) for parameters in CONFIGURATIONS]


@parametrize_with_checks(CLASSIFIERS + REGRESSORS)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
@pytest.mark.parametrize("estimator", [TorchMLPClassifier(), TorchMLPRegressor()], ids=["classifier", "regressor"])
def test_checks_that_check_estimator_leaves_out(estimator, check):
    check(type(estimator).__name__, estimator)
