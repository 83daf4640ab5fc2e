"""A fit is all or nothing: whatever ends it, the estimator is as it was, or as the fit makes it."""

import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_svmdl import BudgetSVC, InfeasibleBudgetError


class Interrupt(KeyboardInterrupt):
    """Ctrl-C, where this test sends it."""


def interrupted(call, after):
    """Run `call`, interrupted as the function number `after` is entered; whether it was, and how many there are."""
    entered, configuration = 0, sklearn.get_config()

    def watch(frame, event, argument):
        nonlocal entered
        entered += event == "call"
        if entered == after and event == "call":
            raise Interrupt

    sys.setprofile(watch)
    try:
        call()
    except Interrupt:
        return True, entered
    finally:
        sys.setprofile(None)
        # Interrupted as it leaves its own context, scikit-learn does not restore it.
        sklearn.set_config(**configuration)
    return False, entered


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_an_interrupt_anywhere_leaves_the_old_model_or_the_new(kernel, iris):
    X, y = iris
    old = BudgetSVC(C=20, kernel="poly", degree=2).fit(X[:, :3], y)
    new = BudgetSVC(C=5, kernel=kernel, multi_class="ovr", infeasible="relax", unit="cost")
    before, after = old.decision_function(X[:, :3]), new.fit(X, y).decision_function(X)
    _, n_calls = interrupted(lambda: new.fit(X, y), -1)
    ends = []
    for point in np.unique(np.linspace(1, n_calls, 60).astype(int)):
        model = BudgetSVC(C=20, kernel="poly", degree=2).fit(X[:, :3], y)
        model.set_params(**new.get_params())
        state = dict(vars(model))
        interrupted(lambda model=model: model.fit(X, y), point)
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
    was, _ = interrupted(lambda: model.fit(*iris), point)
    assert was and vars(model) == vars(BudgetSVC())
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


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
