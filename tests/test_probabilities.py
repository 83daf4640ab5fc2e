"""Probabilities of BudgetSVCCV agree with predict, and their temperature is the one of least log-loss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit, softmax
from sklearn.datasets import load_iris, make_classification, make_moons
from sklearn.metrics import log_loss
from sklearn.model_selection import RepeatedStratifiedKFold, ShuffleSplit, StratifiedKFold, cross_val_predict

from sklearn_svmdl import BudgetSVC, BudgetSVCCV
from sklearn_svmdl.svm._probabilities import log_probabilities, probabilities, temperature_of

SEARCH = dict(Cs=[0.1, 10.0], gammas=[0.1, 1.0])


def two():
    return make_moons(120, noise=0.3, random_state=0)


def three():
    return load_iris(return_X_y=True)


@pytest.mark.parametrize("data", [two, three])
@pytest.mark.parametrize("multi_class", ["ovo", "ovr"])
def test_out_of_fold_decisions_are_those_of_cross_val_predict(data, multi_class):
    X, y = data()
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    search = BudgetSVCCV(**SEARCH, cv=cv, multi_class=multi_class).fit(X, y)
    model = BudgetSVC(**search.best_params_, multi_class=multi_class)
    expected = cross_val_predict(model, X, y, cv=cv, method="decision_function")
    assert_allclose(search.out_of_fold_decisions_, expected, atol=1e-5)


def test_samples_in_several_test_parts_and_in_none():
    X, y = two()
    cv = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    search = BudgetSVCCV(**SEARCH, cv=cv).fit(X, y)
    model = BudgetSVC(**search.best_params_)
    total = np.zeros(len(y))
    for train, test in cv.split(X, y):
        total[test] += model.fit(X[train], y[train]).decision_function(X[test])
    assert_allclose(search.out_of_fold_decisions_, total / 2, atol=1e-5)
    (split,) = ShuffleSplit(1, test_size=0.3, random_state=0).split(X)
    once = BudgetSVCCV(**SEARCH, cv=[split]).fit(X, y)
    assert_array_equal(np.flatnonzero(np.isfinite(once.out_of_fold_decisions_)), np.sort(split[1]))
    assert np.isfinite(once.predict_proba(X)).all()


def smoothed_log_loss(decisions, y, weight, temperature):
    """Platt's targets, written out."""
    z = np.column_stack([0 * decisions, decisions]) if decisions.ndim == 1 else decisions
    p, loss = softmax(z / temperature, axis=1), 0.0
    for i, k in enumerate(y):
        total = weight[y == k].sum()
        for c in range(p.shape[1]):
            target = (total + 1) / (total + 2) if c == k else 1 / (total + 2) / (p.shape[1] - 1)
            loss -= weight[i] * target * np.log(p[i, c])
    return loss


@pytest.mark.parametrize("data", [two, three])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_is_that_of_another_minimiser(data, weighted):
    X, y = data()
    weight = np.random.RandomState(0).uniform(0.2, 2.0, len(y)) if weighted else np.ones(len(y))
    search = BudgetSVCCV(**SEARCH, cv=3).fit(X, y, sample_weight=weight)
    decisions = search.out_of_fold_decisions_
    found = minimize(
        lambda t: smoothed_log_loss(decisions, y, weight, np.exp(t[0])), [0.0], method="BFGS", options={"gtol": 1e-8}
    )
    assert search.temperature_ == pytest.approx(np.exp(found.x[0]), rel=1e-4)


def test_many_samples_need_no_smoothing():
    random = np.random.RandomState(0)
    decisions = random.normal(size=100_000)
    y = (random.uniform(size=100_000) < expit(decisions / 0.4)).astype(int)
    assert temperature_of(decisions, y, np.ones(len(y))) == pytest.approx(0.4, rel=0.02)


def test_classes_that_no_fold_mistakes_are_not_certain():
    decisions, y = np.array([-2.0, -1.5, 1.5, 2.0]), np.array([0, 0, 1, 1])
    found = probabilities(decisions, temperature_of(decisions, y, np.ones(4)))
    assert found.max(axis=1).min() > 0.6 and found.max() < 0.9


@pytest.mark.parametrize("data", [two, three])
@pytest.mark.parametrize("multi_class", ["ovo", "ovr"])
def test_the_largest_probability_is_that_of_the_predicted_class(data, multi_class):
    X, y = data()
    search = BudgetSVCCV(**SEARCH, cv=3, multi_class=multi_class).fit(X, np.array(["a", "b", "c"])[y])
    wide = np.random.RandomState(0).uniform(-3, 9, (2000, X.shape[1]))
    for points in (X, wide):
        p, log_p = search.predict_proba(points), search.predict_log_proba(points)
        assert_array_equal(search.classes_[p.argmax(axis=1)], search.predict(points))
        assert_array_equal(search.classes_[log_p.argmax(axis=1)], search.predict(points))
        assert_allclose(p.sum(axis=1), 1.0)
        assert_allclose(np.exp(log_p), p, rtol=1e-12, atol=1e-300)
    assert log_loss(y, search.predict_proba(X)) < np.log(len(search.classes_))


@settings(max_examples=200, deadline=None)
@given(
    decisions=arrays(float, st.tuples(st.integers(1, 6), st.integers(2, 4)), elements=st.floats(-1e3, 1e3)),
    temperature=st.floats(1e-6, 1e6),
)
def test_agreement_holds_to_the_last_bit(decisions, temperature):
    for values in (decisions, decisions[:, 0]):
        predicted = values.argmax(axis=1) if values.ndim == 2 else (values > 0).astype(int)
        assert_array_equal(probabilities(values, temperature).argmax(axis=1), predicted)
        assert_array_equal(log_probabilities(values, temperature).argmax(axis=1), predicted)


def test_decisions_worse_than_chance_keep_the_order():
    X, y = make_classification(60, 5, random_state=0)
    decisions = np.where(y == 1, -1.0, 1.0)
    temperature = temperature_of(decisions, y, np.ones(60))
    assert np.isfinite(temperature) and temperature > 100
    assert_array_equal(probabilities(decisions, temperature).argmax(axis=1), decisions > 0)


def test_without_them_an_attribute_error_says_what_to_use():
    for method in ("predict_proba", "predict_log_proba"):
        assert not hasattr(BudgetSVC(), method)
        with pytest.raises(AttributeError, match="BudgetSVCCV.*CalibratedClassifierCV"):
            getattr(BudgetSVC(), method)
