"""Every estimator keeps scikit-learn's rules, in all configurations that change what code runs."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetSVR, BudgetSVRCV

# Each estimator, each unit, several kernels, both ways to take classes apart.
ESTIMATORS = [
    BudgetSVC(),
    BudgetSVC(C=0.2, unit="relative", kernel="linear"),
    BudgetSVC(multi_class="ovr", class_weight="balanced"),
    BudgetSVC(kernel="precomputed"),
    BudgetSVCCV(Cs=2, gammas=2, cv=2),
    BudgetSVR(),
    BudgetSVR(C=10, unit="cost", kernel="poly", degree=2, epsilon=0.0),
    BudgetSVR(kernel="precomputed"),
    BudgetSVRCV(Cs=2, gammas=2, cv=2),
]
MORE = [
    BudgetSVC(kernel="linear"),
    BudgetSVC(kernel="poly"),
    BudgetSVC(C=5),
    BudgetSVC(C=0.2, unit="relative"),
    BudgetSVC(C=10, unit="cost"),
    BudgetSVC(multi_class="ovr"),
    BudgetSVC(class_weight="balanced"),
    BudgetSVC(kernel="laplacian"),
    BudgetSVCCV(Cs=[0.5, 0.2], unit="relative", kernel=["linear", "poly"], gammas=["scale"], degrees=[2], cv=2),
    BudgetSVCCV(Cs=[5.0, 2.0], unit="total", multi_class="ovr", gammas=1, cv=2),
    BudgetSVCCV(Cs=2, unit="relative", gammas=1, cv=2),
    BudgetSVCCV(Cs=2, gammas=1, class_weight="balanced", cv=2, refit="one_standard_error"),
    BudgetSVR(kernel="linear"),
    BudgetSVR(kernel="poly", degree=2),
    BudgetSVR(C=5),
    BudgetSVR(C=0.2, unit="relative", epsilon=0.1),
    BudgetSVR(C=10, unit="cost", epsilon=0.0),
    BudgetSVR(C=0),
    BudgetSVRCV(Cs=[0.5, 0.2], unit="relative", kernel=["linear", "poly"], gammas=["scale"], degrees=[2], cv=2),
    BudgetSVRCV(Cs=2, unit="relative", epsilons=[0.0, 0.1], gammas=1, cv=2, refit="one_standard_error"),
]


# The checks' random labels admit no hyperplane of little slack, which is worth a warning. So are polynomials of
# features around 100: their values, 1e12, leave doubles too few digits for the default tol.
silent = pytest.mark.filterwarnings(
    "ignore::sklearn_svmdl.BudgetWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)


@silent
@parametrize_with_checks(ESTIMATORS)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@silent
@parametrize_with_checks(MORE)
def test_more_estimator_checks(estimator, check):
    check(estimator)


# scikit-learn runs these two on its own estimators only.
@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
@pytest.mark.parametrize(
    "estimator", [BudgetSVC(), BudgetSVCCV(Cs=2, gammas=1, cv=2), BudgetSVR(), BudgetSVRCV(Cs=2, gammas=1, cv=2)]
)
@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
def test_checks_for_scikit_learns_own(check, estimator):
    check(type(estimator).__name__, estimator)
