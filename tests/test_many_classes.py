"""Many classes: memory grows with samples times classes, and everything is read as before."""

import pickle
from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import issparse
from sklearn.datasets import make_blobs

from sklearn_svmdl import BudgetSVC


def blobs(n_classes, per_class=8):
    return make_blobs(n_classes * per_class, centers=n_classes, n_features=4, cluster_std=3.0, random_state=0)


@pytest.fixture(scope="module", params=["rbf", "linear", "precomputed"])
def fitted(request):
    X, y = blobs(6)
    model = BudgetSVC(C=1.0, unit="cost", kernel=request.param, gamma=0.1)
    if request.param == "precomputed":
        X = X @ X.T
    return model.fit(X, y), X, y


def test_a_row_of_slacks_is_that_of_its_pair(fitted):
    model, X, y = fitted
    decisions = model.set_params(decision_function_shape="ovo").decision_function(X)
    pairs = list(combinations(range(6), 2))
    assert model.slack_.shape == (15, len(y)) and len(model.slack_) == 15
    for k, (i, j) in enumerate(pairs):
        part = np.isin(y, [i, j])
        row = model.slack_[k]
        assert_array_equal(np.isnan(row), ~part)
        expected = np.maximum(0, 1 - np.where(y == j, 1, -1) * decisions[:, k])
        assert_allclose(row[part], expected[part], atol=1e-6)
        assert_allclose(row[part].sum(), model.budget_[k], rtol=1e-9)
    with pytest.raises(IndexError):
        model.slack_[15]


def test_slacks_behave_as_the_array_they_stand_for(fitted):
    slack, whole = fitted[0].slack_, np.asarray(fitted[0].slack_)
    assert whole.shape == slack.shape and np.shape(slack) == whole.shape
    assert_array_equal(np.nansum(slack, axis=1), np.nansum(whole, axis=1))
    assert_array_equal(slack > 1, whole > 1)
    assert_array_equal(1.0 - slack, 1.0 - whole)
    assert_array_equal(slack[:, 3:5], whole[:, 3:5])
    assert_array_equal(slack[-1], whole[-1])
    assert_array_equal(list(slack)[2], whole[2])
    assert_array_equal(pickle.loads(pickle.dumps(slack)), whole)
    assert np.asarray(slack, dtype=np.float32).dtype == np.float32


def test_duals_are_an_array_and_give_the_decisions(fitted):
    model, X, y = fitted
    model.set_params(decision_function_shape="ovo")
    assert isinstance(model.dual_coef_, np.ndarray)
    assert model.dual_coef_.shape == (15, len(model.support_))
    if model.kernel == "precomputed":
        expected = X[:, model.support_] @ model.dual_coef_.T + model.intercept_
    else:
        expected = model._kernel(X, model.support_vectors_) @ model.dual_coef_.T + model.intercept_
    assert_allclose(model.decision_function(X), expected, atol=1e-9)
    labels, scores = model.predict(X), model.set_params(decision_function_shape="ovr").decision_function(X)
    assert_array_equal(labels, scores.argmax(axis=1))


def test_each_pair_is_the_model_of_its_two_classes():
    X, y = blobs(5)
    model = BudgetSVC(C=1.0, unit="cost", gamma=0.1, decision_function_shape="ovo").fit(X, y)
    decisions = model.decision_function(X)
    for k, (i, j) in enumerate(combinations(range(5), 2)):
        part = np.isin(y, [i, j])
        alone = BudgetSVC(C=1.0, unit="cost", gamma=0.1).fit(X[part], y[part])
        assert_allclose(alone.decision_function(X), decisions[:, k], atol=1e-6)
        for name in ("margin_", "budget_", "intercept_"):
            assert_allclose(getattr(model, name)[k], getattr(alone, name)[0], atol=1e-7)


def test_memory_grows_with_samples_times_classes():
    few, many = ({"model": BudgetSVC(gamma=0.1).fit(*blobs(k)), "n": 8 * k, "k": k} for k in (10, 40))
    for fit in (few, many):
        slack = fit["model"].slack_
        assert sum(len(values) for values in slack.values) == fit["n"] * (fit["k"] - 1)
        assert issparse(fit["model"]._duals) and fit["model"]._duals.nnz <= fit["n"] * (fit["k"] - 1)
    sizes = [len(pickle.dumps(fit["model"])) / (fit["n"] * fit["k"]) for fit in (few, many)]
    # A dense array of all pairs would take four times as much a sample and class.
    assert sizes[1] < 1.5 * sizes[0]


def test_scores_in_pieces_are_the_scores(monkeypatch):
    X, y = blobs(6)
    model = BudgetSVC(gamma=0.1).fit(X, y)
    whole = model.decision_function(X)
    sevens = [slice(start, start + 7) for start in range(0, len(X), 7)]
    monkeypatch.setattr("sklearn_svmdl.svm._budget_svc.row_blocks", lambda n, m: sevens)
    assert_allclose(model.decision_function(X), whole, rtol=1e-12)
