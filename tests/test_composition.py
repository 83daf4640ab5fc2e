"""BudgetSVC inside scikit-learn's pipelines, searches and meta-estimators, without a warning."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_moons
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC


@pytest.fixture(scope="module")
def moons():
    return make_moons(n_samples=120, noise=0.2, random_state=0)


@pytest.fixture
def pipeline():
    return Pipeline([("scale", StandardScaler()), ("svc", BudgetSVC(unit="relative"))])


GRID = [
    {"svc__kernel": ["rbf"], "svc__C": [0.1, 0.4], "svc__gamma": ["scale", 1.0]},
    {"svc__kernel": ["poly"], "svc__C": [0.6], "svc__degree": [2, 3]},
]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_refits_the_best(n_jobs, moons, pipeline):
    X, y = moons
    search = GridSearchCV(pipeline, GRID, cv=3, n_jobs=n_jobs).fit(X, y)
    assert search.best_score_ > 0.9
    assert len(search.cv_results_["params"]) == 6
    refitted = pipeline.set_params(**search.best_params_).fit(X, y)
    np.testing.assert_allclose(search.decision_function(X), refitted.decision_function(X))


def test_cross_validate(moons, pipeline):
    scores = cross_validate(pipeline, *moons, cv=3, scoring=["accuracy", "roc_auc"])
    assert scores["test_accuracy"].min() > 0.85
    assert scores["test_roc_auc"].min() > 0.9


@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration_gives_probabilities(ensemble, moons, pipeline):
    X, y = moons
    calibrated = CalibratedClassifierCV(pipeline, ensemble=ensemble, cv=3).fit(X, y)
    probability = calibrated.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert np.mean(probability[:, 1][y == 1]) > np.mean(probability[:, 1][y == 0]) + 0.4


def test_one_vs_rest_wrapper_agrees_with_our_own():
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    # Unlike "scale", a number: sub-problems then share the kernel.
    model = BudgetSVC(C=0.2, unit="relative", gamma=0.5)
    wrapped = OneVsRestClassifier(model).fit(X, y)
    own = BudgetSVC(C=0.2, unit="relative", gamma=0.5, multi_class="ovr").fit(X, y)
    np.testing.assert_allclose(wrapped.decision_function(X), own.decision_function(X), atol=1e-6)


def test_bagging(moons):
    X, y = moons
    bagging = BaggingClassifier(BudgetSVC(C=0.3, unit="relative"), n_estimators=5, random_state=0).fit(X, y)
    assert bagging.score(X, y) > 0.85
    assert bagging.decision_function(X).shape == (120,)


def test_precomputed_kernels_are_cut_in_both_directions(moons):
    X, y = moons
    K = np.exp(-((X[:, None] - X[None]) ** 2).sum(axis=-1))
    named = cross_validate(BudgetSVC(gamma=1.0), X, y, cv=3)["test_score"]
    precomputed = cross_validate(BudgetSVC(kernel="precomputed"), K, y, cv=3)["test_score"]
    np.testing.assert_allclose(precomputed, named)
