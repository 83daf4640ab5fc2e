"""A fit is all or nothing: whatever ends it, the estimator is as it was, or as the fit makes it."""

import numpy as np
import pandas as pd
import pytest
from faults import global_state, moments, strike
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetSVR, BudgetSVRCV, InfeasibleBudgetError, budget_path


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_an_interrupt_anywhere_leaves_the_old_model_or_the_new(kernel, iris):
    X, y = iris
    old = BudgetSVC(C=20, kernel="poly", degree=2).fit(X[:, :3], y)
    new = BudgetSVC(C=5, kernel=kernel, multi_class="ovr", infeasible="relax", unit="cost")
    before, after = old.decision_function(X[:, :3]), new.fit(X, y).decision_function(X)
    ends = []
    for point in moments(lambda: new.fit(X, y), 60):
        model = BudgetSVC(C=20, kernel="poly", degree=2).fit(X[:, :3], y)
        model.set_params(**new.get_params())
        state = dict(vars(model))
        strike(lambda model=model: model.fit(X, y), point)
        if all(vars(model)[name] is state[name] for name in state):
            assert_array_equal(model.set_params(kernel="poly").decision_function(X[:, :3]), before)
            ends.append("old")
        else:
            assert_array_equal(model.decision_function(X), after)
            ends.append("new")
    assert ends.count("old") > 50


@pytest.mark.parametrize("point", [10, 100, 300])
def test_an_interrupted_first_fit_fits_nothing(point, iris):
    model = BudgetSVC()
    assert strike(lambda: model.fit(*iris), point).through and vars(model) == vars(BudgetSVC())
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


FITS = {
    "BudgetSVC": BudgetSVC(C=0.4, unit="relative"),
    "BudgetSVC of many samples": BudgetSVC(solver="smo", max_iter=200, kernel="laplacian"),
    "BudgetSVC in threads": BudgetSVC(C=5.0, unit="cost", n_jobs=2, max_iter=4000),
    "BudgetSVC that tells": BudgetSVC(multi_class="ovr", verbose=1, max_iter=4000),
    "BudgetSVR": BudgetSVR(kernel="linear"),
    "BudgetSVCCV": BudgetSVCCV(2, gammas=1, cv=2),
    "BudgetSVCCV that leaves one out": BudgetSVCCV([1.0], gammas=1, cv="loo"),
    "BudgetSVRCV": BudgetSVRCV(2, gammas=1, cv=2),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("name", FITS)
def test_a_fault_anywhere_leaves_old_or_new_and_nothing_running(name, fault, iris):
    """Whether Ctrl-C strikes, or memory runs out."""
    X, y = iris[0][::3], iris[1][::3]
    if "SVR" in name:
        X, y = X[:, :3], X[:, 3]
    model = clone(FITS[name]).fit(X[:, :2], y)
    old = model.predict(X[:, :2])
    new = clone(FITS[name]).fit(X, y).predict(X)
    n_old = 0
    points = moments(lambda: clone(model).fit(X, y), 12)
    for point in points:
        state, before = dict(vars(model)), global_state()
        outcome = strike(lambda: model.fit(X, y), point, fault)
        assert global_state() == before and outcome.through == outcome.struck
        if all(vars(model)[attribute] is state[attribute] for attribute in state):
            assert_array_equal(model.predict(X[:, :2]), old)
            n_old += 1
        else:
            assert_array_equal(model.predict(X), new)
            vars(model).update(state)
    assert n_old > 8


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError])
def test_a_fault_in_a_path_is_told(fault, iris):
    X, y = iris[0][::3], iris[1][::3]
    before = global_state()
    for point in moments(lambda: budget_path(X, y, Cs=3), 12):
        outcome = strike(lambda: budget_path(X, y, Cs=3), point, fault)
        assert outcome.through == outcome.struck
        assert global_state() == before


BAD = {
    "samples": lambda X, y: (np.where(X > 5, np.nan, X), y),
    "labels": lambda X, y: (X, X[:, 0]),
    "one class": lambda X, y: (X, 0 * y),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_fit_that_raises_changes_nothing(bad, iris):
    X, y = iris
    unfitted = BudgetSVC()
    fitted = BudgetSVC(C=40, kernel="linear").fit(pd.DataFrame(X, columns=list("abcd")), y)
    for model in (unfitted, fitted):
        state = dict(vars(model))
        with pytest.raises(ValueError):
            model.fit(*BAD[bad](X[:, :2], y))
        assert list(vars(model)) == list(state)
        assert all(vars(model)[name] is state[name] for name in state)
    with pytest.raises(NotFittedError):
        check_is_fitted(unfitted)
    check_is_fitted(fitted)


def test_a_refused_budget_leaves_the_model_before_it(iris):
    X, y = iris[0][50:], iris[1][50:]
    model = BudgetSVC(C=40, kernel="linear", infeasible="raise").fit(X, y)
    decisions = model.decision_function(X)
    with pytest.raises(InfeasibleBudgetError):
        model.set_params(C=0).fit(X, y)
    assert_array_equal(model.decision_function(X), decisions)
    assert model.budget_ == 40


def test_a_refit_leaves_nothing_of_the_fit_before(iris):
    X, y = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = BudgetSVC(kernel="linear").fit(frame, y)
    model.my_own = "kept"
    refitted = model.set_params(kernel="rbf").fit(X[:, :2], y)
    fresh = BudgetSVC().fit(X[:, :2], y)
    assert set(vars(refitted)) == {*vars(fresh), "my_own"}
    assert not hasattr(refitted, "feature_names_in_") and not hasattr(refitted, "coef_")


def test_the_normals_cannot_be_written_to(iris):
    model = BudgetSVC(kernel="linear").fit(*iris)
    with pytest.raises(ValueError, match="read-only"):
        model.coef_[0] = 0.0
    with pytest.raises(AttributeError):
        model.coef_ = np.zeros((3, 4))


def test_a_range_of_budgets_leaves_the_estimator_alone(iris):
    model = BudgetSVC().fit(*iris)
    state = dict(vars(model))
    model.feasible_budget(iris[0][:, :2], iris[1])
    assert all(vars(model)[name] is state[name] for name in {*state, *vars(model)})
