"""The unit of C: budgets and costs are two ways to the same models, and the costs are those of scikit-learn's SVC."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from reference import single_precision
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_classification, make_moons
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, budget_path

KERNELS = {
    "linear": {},
    "poly": {"gamma": 0.25, "degree": 3, "coef0": 1.0},
    "rbf": {"gamma": 0.25},
    "laplacian": {"gamma": 0.25},
    "cosine": {},
    "chi2": {"gamma": 0.25},
    "additive_chi2": {},
}
EXACT = {"tol": 1e-8, "max_iter": -1}


def noisy(n=150, seed=0):
    """Classes that overlap; features from 0 to 3 in whole numbers, so that many kernel values have few digits."""
    X, y = make_classification(n, 5, n_informative=4, n_redundant=0, flip_y=0.2, random_state=seed)
    X = X - X.min(axis=0)
    return np.round(3 * X / X.max(axis=0)), y


def gram(X, kernel):
    """Kernel values by scikit-learn."""
    return pairwise_kernels(X, metric=kernel, **KERNELS[kernel])


@pytest.mark.parametrize("cost", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_cost_gives_the_decisions_of_svc(kernel, cost):
    X, y = noisy()
    if kernel == "additive_chi2":
        # Of zeros and ones the values are whole numbers: rounded, they would be of no convex problem.
        X = (X > 1.0).astype(float)
    K = gram(X, kernel)
    named = BudgetSVC(C=cost, unit="cost", kernel=kernel, tol=1e-8, **KERNELS[kernel]).fit(X, y)
    ours = BudgetSVC(C=cost, unit="cost", kernel="precomputed", tol=1e-8).fit(K, y)
    assert_allclose(named.decision_function(X), ours.decision_function(K), rtol=0, atol=1e-6)
    # libsvm keeps kernel values in single precision: to compare to 1e-6 both get what it can hold.
    K = single_precision(K)
    ours = BudgetSVC(C=cost, unit="cost", kernel="precomputed", tol=1e-8).fit(K, y)
    theirs = SVC(C=cost, kernel="precomputed", **EXACT).fit(K, y)
    assert_allclose(ours.decision_function(K), theirs.decision_function(K), rtol=0, atol=1e-6)
    assert ours.cost_ == cost


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
def test_weights_are_those_of_svc_on_repeated_rows(kernel):
    X, y = noisy()
    weight = np.random.RandomState(0).randint(0, 4, len(y))
    class_weight = {0: 2.0, 1: 0.5}
    K = single_precision(gram(X, kernel))
    again = np.repeat(np.arange(len(y)), weight)
    ours = BudgetSVC(C=0.7, unit="cost", kernel="precomputed", class_weight=class_weight).fit(K, y, weight)
    repeated = SVC(C=0.7, kernel="precomputed", class_weight=class_weight, **EXACT).fit(K[again][:, again], y[again])
    assert_allclose(ours.decision_function(K), repeated.decision_function(K[:, again]), rtol=0, atol=1e-6)
    assert np.nansum(ours.slack_ * weight * np.where(y == 0, 2.0, 0.5)) == pytest.approx(ours.budget_[0], rel=1e-9)


@pytest.mark.parametrize("scheme", ["ovo", "ovr"])
def test_every_pair_of_classes_gets_the_cost(scheme):
    X, y = load_iris(return_X_y=True)
    K = single_precision(pairwise_kernels(X, metric="rbf", gamma=0.5))
    ours = BudgetSVC(C=2.0, unit="cost", kernel="precomputed", multi_class=scheme).fit(K, y)
    assert_allclose(ours.cost_, 2.0)
    if scheme == "ovo":
        ours.set_params(decision_function_shape="ovo")
        theirs = SVC(C=2.0, kernel="precomputed", decision_function_shape="ovo", **EXACT).fit(K, y)
        # There a positive decision is for the earlier class.
        expected = -theirs.decision_function(K)
    else:
        rest = [SVC(C=2.0, kernel="precomputed", **EXACT).fit(K, y == k) for k in range(3)]
        expected = np.column_stack([model.decision_function(K) for model in rest])
    assert_allclose(ours.decision_function(K), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("unit", ["total", "relative", "cost"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_the_default_is_the_default_of_svc_in_every_unit(unit, class_weight):
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours, theirs = BudgetSVC(unit=unit, class_weight=class_weight).fit(X, y), SVC(class_weight=class_weight).fit(X, y)
    assert_allclose(ours.cost_, 1.0)
    # Its default tolerance is 1e-3.
    assert_allclose(ours.decision_function(X), theirs.decision_function(X), rtol=0, atol=3e-3)
    assert np.mean(ours.predict(X) == theirs.predict(X)) > 0.998
    gamma = 1 / (X.shape[1] * X.var())
    exact = SVC(class_weight=class_weight, gamma=gamma, tol=1e-8).fit(X, y)
    # libsvm keeps kernel values in single precision.
    assert_allclose(ours.decision_function(X), exact.decision_function(X), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
def test_the_default_predicts_what_svc_predicts_with_ties_broken(kernel):
    X, y = load_digits(return_X_y=True)
    X = X[:900] / 16.0
    ours, theirs = BudgetSVC(kernel=kernel), SVC(kernel=kernel, coef0=1.0, break_ties=True)
    predictions = [model.fit(X[:600], y[:600]).predict(X[600:]) for model in (ours, theirs)]
    np.testing.assert_array_equal(*predictions)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    log_cost=st.floats(-2.0, 2.0),
    kernel=st.sampled_from(["linear", "rbf", "poly"]),
    weighted=st.booleans(),
)
def test_the_budget_that_a_cost_buys_has_that_cost(seed, log_cost, kernel, weighted):
    X, y = noisy(60, seed)
    weight = np.random.RandomState(seed).uniform(0.2, 3.0, len(y)) if weighted else None
    options = dict(kernel=kernel, gamma=0.3, class_weight="balanced" if weighted else None)
    bought = BudgetSVC(C=10.0**log_cost, unit="cost", **options).fit(X, y, weight)
    _, largest = bought.feasible_budget(X, y, weight)
    assert 0 <= bought.budget_[0] <= largest[0] * (1 + 1e-9)
    spent = np.sum(bought.slack_ * (1.0 if weight is None else weight) * balance(y, weight, weighted))
    assert spent == pytest.approx(bought.budget_[0], rel=1e-9)
    if not 1e-6 * largest[0] < bought.budget_[0] < largest[0] * (1 - 1e-9):
        # Where all slack is spent or none is, a range of costs buys the same budget.
        return
    kept = BudgetSVC(C=bought.budget_[0], **options).fit(X, y, weight)
    assert_allclose(kept.decision_function(X), bought.decision_function(X), rtol=0, atol=1e-5)
    assert_allclose(kept.margin_, bought.margin_, rtol=1e-5)
    again = BudgetSVC(C=kept.cost_[0], unit="cost", **options).fit(X, y, weight)
    assert_allclose(again.budget_, bought.budget_, rtol=1e-5, atol=1e-8)


def balance(y, weight, weighted):
    """The factors of class_weight="balanced"."""
    if not weighted:
        return 1.0
    totals = np.bincount(y, weight)
    return (totals.sum() / 2 / totals)[y]


def test_the_three_units_of_one_model():
    X, y = make_moons(100, noise=0.3, random_state=0)
    by_cost = BudgetSVC(C=3.0, unit="cost").fit(X, y)
    total = BudgetSVC(C=by_cost.budget_[0]).fit(X, y)
    relative = BudgetSVC(C=by_cost.budget_[0] / 100, unit="relative").fit(X, y)
    for model in (total, relative):
        for name in ("budget_", "cost_", "margin_", "slack_", "intercept_"):
            assert_allclose(getattr(model, name), getattr(by_cost, name), rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("cost", [1e-12, 1e6])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_every_cost_is_feasible(kernel, cost):
    X, y = make_moons(60, noise=0.1, random_state=0)
    X[y == 1] += 3.0
    model = BudgetSVC(C=cost, unit="cost", kernel=kernel, infeasible="raise").fit(X, y)
    assert model.cost_ == cost and np.isfinite(model.margin_).all()
    assert model.slack_.sum() == pytest.approx(60 if cost < 1 else 0, abs=1e-6)


def test_a_path_of_costs_equals_single_fits_and_svc():
    X, y = noisy()
    K = single_precision(gram(X, "rbf"))
    path = budget_path(K, y, Cs=[10.0, 0.1, 1.0], unit="cost", kernel="precomputed")
    assert path.Cs.tolist() == [0.1, 1.0, 10.0]
    assert_allclose(path.costs[:, 0], path.Cs)
    assert (np.diff(path.budgets[:, 0]) < 0).all() and (np.diff(path.margins[:, 0]) < 0).all()
    for c, cost in enumerate(path.Cs):
        theirs = SVC(C=cost, kernel="precomputed", **EXACT).fit(K, y)
        found = K @ path.dual_coefs[c, 0] + path.intercepts[c, 0]
        assert_allclose(found, theirs.decision_function(K), rtol=0, atol=1e-6)
    assert len(budget_path(X, y, Cs=4, unit="cost").Cs) == 4


def test_a_search_over_costs_scores_as_svc_does():
    X, y = noisy(120)
    costs = [0.1, 1.0, 10.0]
    ours = BudgetSVCCV(costs, unit="cost", gammas=[0.3], cv=3).fit(X, y)
    theirs = GridSearchCV(SVC(gamma=0.3, tol=1e-6), {"C": costs}, cv=3).fit(X, y)
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-12)
    assert ours.C_ == theirs.best_params_["C"] == ours.cost_[0]
