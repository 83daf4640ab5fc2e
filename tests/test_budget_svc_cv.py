"""BudgetSVCCV finds what GridSearchCV over BudgetSVC finds, and behaves like scikit-learn's own *CV estimators."""

import re

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, make_classification, make_moons
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetWarning, IndefiniteKernelWarning, InfeasibleBudgetError

CS = [0.02, 0.1, 0.4]


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X)[::2], y[::2]


def iris():
    # The features are whole tenths: a test sample may lie exactly on a boundary, where rounding decides its class.
    X, y = load_iris(return_X_y=True)
    return X + np.random.RandomState(0).uniform(-0.01, 0.01, X.shape), y


def moons():
    return make_moons(120, noise=0.3, random_state=0)


def grid(kernels, Cs=CS, gammas=(0.05, "scale"), degrees=(2, 3)):
    own = {"linear": {}, "rbf": {"gamma": gammas}, "poly": {"gamma": gammas, "degree": degrees}}
    return [{"C": Cs, "kernel": [name], **own[name]} for name in kernels]


def both(X, y, kernels, cv=3, scoring=None, **params):
    ours = BudgetSVCCV(CS, kernel=kernels, gammas=[0.05, "scale"], cv=cv, scoring=scoring, **params).fit(X, y)
    model = BudgetSVC(unit="relative", **params)
    theirs = GridSearchCV(model, grid(kernels), cv=cv, scoring=scoring).fit(X, y)
    return ours, theirs


@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
@pytest.mark.parametrize("data", [breast_cancer, iris, moons])
@pytest.mark.parametrize("params", [{}, {"multi_class": "ovr", "class_weight": "balanced"}], ids=str)
def test_equals_grid_search(data, params):
    X, y = data()
    ours, theirs = both(X, y, ["linear", "rbf", "poly"], **params)
    assert list(ours.cv_results_["params"]) == theirs.cv_results_["params"]
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    for key in theirs.cv_results_:
        if key.startswith(("split", "mean_test", "std_test", "rank", "param_")):
            assert_array_equal(ours.cv_results_[key], theirs.cv_results_[key], err_msg=key)
            assert ours.cv_results_[key].dtype == theirs.cv_results_[key].dtype
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_index_ == theirs.best_index_
    assert ours.best_score_ == theirs.best_score_
    assert_array_equal(ours.predict(X), theirs.predict(X))
    assert len(pd.DataFrame(ours.cv_results_)) == len(theirs.cv_results_["params"])


def test_fitted_attributes_are_those_of_the_refitted_model():
    X, y = breast_cancer()
    ours = BudgetSVCCV(CS, kernel=["linear", "poly"], degrees=[2], gammas=1, cv=3).fit(X, y)
    best = BudgetSVC(unit="relative", **ours.best_params_).fit(X, y)
    for name in ("support_", "dual_coef_", "intercept_", "margin_", "slack_", "budget_", "cost_", "classes_"):
        assert_array_equal(getattr(ours, name), getattr(best, name), err_msg=name)
    assert (ours.C_, ours.kernel_) == (ours.best_params_["C"], ours.best_params_["kernel"])
    assert ours.degree_ == ours.best_params_.get("degree") and ours.gamma_ == ours.best_params_.get("gamma")
    assert_array_equal(ours.decision_function(X), best.decision_function(X))
    assert ours.score(X, y) == best.score(X, y)


@pytest.mark.parametrize("scoring", ["roc_auc", "balanced_accuracy", "f1", make_scorer(accuracy_score)], ids=str)
def test_any_scorer(scoring):
    X, y = breast_cancer()
    ours, theirs = both(X, y, ["rbf"], scoring=scoring)
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-12)
    assert ours.score(X, y) == theirs.score(X, y)


@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
@pytest.mark.parametrize("form", [sparse.csr_array, np.float32, pd.DataFrame])
def test_kinds_of_input(form):
    X, y = moons()
    X = form(X) if form is not np.float32 else X.astype(np.float32)
    ours, theirs = both(X, np.where(y == 1, "up", "down"), ["linear", "rbf"])
    assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
@pytest.mark.parametrize("kernel", ["precomputed", "laplacian", lambda A, B: A @ B.T + (A @ B.T) ** 2])
def test_kernels_without_a_shared_matrix_and_precomputed_ones(kernel):
    X, y = moons()
    X = np.exp(-((X[:, None] - X[None]) ** 2).sum(-1)) if kernel == "precomputed" else X
    ours = BudgetSVCCV(CS, kernel=kernel, gammas=["scale"], cv=3).fit(X, y)
    theirs = GridSearchCV(BudgetSVC(kernel=kernel, unit="relative"), {"C": CS}, cv=3).fit(X, y)
    assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert_array_equal(ours.predict(X), theirs.predict(X))


def test_beyond_the_cache_the_scores_are_the_same():
    X, y = make_classification(700, 8, n_informative=6, flip_y=0.1, random_state=0)
    search = BudgetSVCCV(CS, gammas=[0.05], cv=2, refit=False)
    small = clone(search).set_params(cache_size=4).fit(X, y)
    large = search.fit(X, y)
    assert_array_equal(small.cv_results_["mean_test_score"], large.cv_results_["mean_test_score"])


@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
def test_jobs_give_the_same_and_progress_is_shown(capfd):
    X, y = iris()
    one = BudgetSVCCV(CS, kernel=["linear", "rbf"], gammas=["scale"], cv=2, verbose=1).fit(X, y)
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("[BudgetSVCCV]")]
    assert [line.split()[1] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    two = clone(one).set_params(n_jobs=2, verbose=0).fit(X, y)
    assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])


def test_infeasible_budgets_never_break_the_search():
    X, y = moons()
    Cs = [0.0, 0.9]
    with pytest.warns(BudgetWarning, match="In 3 of 6 fits on folds the budget was infeasible") as caught:
        relaxed = BudgetSVCCV(Cs, kernel="linear", cv=3, refit=False).fit(X, y)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert np.isfinite(relaxed.cv_results_["mean_test_score"]).all()
    with pytest.warns(BudgetWarning, match="scored nan"), pytest.warns(UserWarning, match="non-finite") as caught:
        strict = BudgetSVCCV(Cs, kernel="linear", cv=3, infeasible="raise").fit(X, y)
    assert_array_equal(np.isnan(strict.cv_results_["mean_test_score"]), [True, False])
    assert strict.C_ == 0.9 and strict.best_estimator_.C == 0.9
    assert [record.filename for record in caught if "non-finite" in str(record.message)] == [__file__]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("Cs, best", [([0.0, 0.9], r"best score 0\.\d{4}"), ([0.0], "best score none")])
def test_progress_shows_the_best_of_the_scores_there_are(Cs, best, capsys):
    X, y = moons()
    BudgetSVCCV(Cs, kernel="linear", cv=2, infeasible="raise", refit=False, verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(re.search(best, line) for line in lines)


def test_an_indefinite_kernel_is_told_and_nothing_that_follows_from_it():
    X, y = iris()
    search = BudgetSVCCV(3, kernel=["sigmoid", "rbf"], gammas=["scale"], cv=2, refit=False)
    with pytest.warns(IndefiniteKernelWarning, match="In 6 of 12 fits on folds the kernel") as caught:
        search.fit(X, y)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_one_class_is_shown_as_a_label():
    X, y = moons()
    with pytest.raises(ValueError, match="1 class: '0'"):
        BudgetSVCCV().fit(X, 0 * y)


def test_infeasible_at_refit_follows_the_policy():
    X, y = make_classification(60, 2, n_redundant=0, class_sep=2.0, flip_y=0, random_state=0)
    X, y = np.vstack([X, X[:2]]), np.concatenate([y, 1 - y[:2]])
    # The two contradictions are in the test part only, so C = 0 is feasible on the fold and infeasible on all.
    cv = [(np.arange(60), np.arange(50, 62))]
    search = BudgetSVCCV([0.0], gammas=[1.0], cv=cv)
    with pytest.warns(BudgetWarning, match="infeasible"):
        assert search.fit(X, y).budget_[0] == pytest.approx(4.0, rel=1e-2)
    with pytest.raises(InfeasibleBudgetError):
        search.set_params(infeasible="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_trivial_budgets_are_told_once():
    X, y = moons()
    with pytest.warns(BudgetWarning, match="whole class") as caught:
        BudgetSVCCV([500.0, 5.0], unit="total", gammas=[1.0], cv=2, refit=False).fit(X, y)
    assert len(caught) == 1


def test_one_standard_error():
    X, y = moons()
    search = BudgetSVCCV([0.1, 0.2, 0.4, 0.6, 0.8], gammas=[0.3, 1.0, 3.0], cv=5)
    best, simple = clone(search).fit(X, y), search.set_params(refit="one_standard_error").fit(X, y)
    results = simple.cv_results_
    folds = np.array([results[f"split{k}_test_score"][best.best_index_] for k in range(5)])
    threshold = best.best_score_ - folds.std(ddof=1) / np.sqrt(5)
    within = [p for p, mean in zip(results["params"], results["mean_test_score"]) if mean >= threshold]
    softest = max(p["C"] for p in within)
    assert simple.C_ == softest > best.C_
    assert simple.gamma_ == min(p["gamma"] for p in within if p["C"] == softest)
    assert simple.best_score_ == results["mean_test_score"][simple.best_index_] >= threshold


def test_refit_by_a_callable_and_not_at_all():
    X, y = moons()
    last = BudgetSVCCV(CS, gammas=[1.0], cv=2, refit=lambda results: 2).fit(X, y)
    assert last.best_index_ == 2 and last.best_params_["C"] == CS[2]
    with pytest.raises(IndexError, match="refit returned 7"):
        BudgetSVCCV(CS, gammas=[1.0], cv=2, refit=lambda results: 7).fit(X, y)
    searched = BudgetSVCCV(CS, gammas=[1.0], cv=2, refit=False).fit(X, y)
    assert searched.C_ in CS
    for method in ("predict", "decision_function", "score"):
        assert not hasattr(searched, method)


def test_groups_reach_the_splitter_with_and_without_routing():
    X, y = moons()
    groups = np.random.RandomState(0).randint(0, 4, len(y))
    cv = GroupKFold(4)
    expected = GridSearchCV(BudgetSVC(unit="relative", gamma=1.0), {"C": CS}, cv=cv).fit(X, y, groups=groups)
    search = BudgetSVCCV(CS, gammas=[1.0], cv=cv)
    plain = clone(search).fit(X, y, groups=groups).cv_results_
    assert_array_equal(plain["mean_test_score"], expected.cv_results_["mean_test_score"])
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(search).fit(X, y, groups=groups).cv_results_
    assert_array_equal(routed["mean_test_score"], plain["mean_test_score"])
    with pytest.raises(ValueError):
        search.fit(X, y, colour=groups)


def test_sample_weight_reaches_fits_and_scorer():
    X, y = moons()
    weight = np.random.RandomState(0).randint(1, 4, len(y)).astype(float)
    cv = list(KFold(3).split(X))
    search = BudgetSVCCV([0.1], gammas=[1.0], cv=cv, refit=False)
    scored = search.fit(X, y, sample_weight=weight).cv_results_["mean_test_score"][0]
    fitted = [(BudgetSVC(0.1, unit="relative", gamma=1.0).fit(X[a], y[a], weight[a]), b) for a, b in cv]
    weighted = np.mean([model.score(X[b], y[b], weight[b]) for model, b in fitted])
    plain = np.mean([model.score(X[b], y[b]) for model, b in fitted])
    assert scored == pytest.approx(weighted, rel=1e-12) and weighted != plain
    with sklearn.config_context(enable_metadata_routing=True):
        for requested, expected in ((True, weighted), (False, plain)):
            scorer = make_scorer(accuracy_score).set_score_request(sample_weight=requested)
            routed = clone(search).set_params(scoring=scorer).fit(X, y, sample_weight=weight)
            assert routed.cv_results_["mean_test_score"][0] == pytest.approx(expected, rel=1e-12)


def test_in_a_pipeline_and_splitters():
    X, y = load_breast_cancer(return_X_y=True)
    search = BudgetSVCCV(CS, gammas=2, cv=StratifiedKFold(3, shuffle=True, random_state=0))
    model = make_pipeline(StandardScaler(), search).fit(X, y)
    assert model.score(X, y) > 0.95
    assert model[-1].n_splits_ == 3 and len(model[-1].cv_results_["params"]) == 6


@pytest.mark.parametrize(
    "params, message",
    [
        ({"kernel": ["rbf", "cubic"]}, "must be one or a non-empty list"),
        ({"kernel": []}, "non-empty list"),
        ({"kernel": ["rbf", "precomputed"]}, "precomputed"),
        ({"gammas": [0.1, -1.0]}, "gammas must be"),
        ({"gammas": ["wide"]}, "gammas must be"),
        ({"kernel": "poly", "degrees": [2.5]}, "degrees must be"),
        ({"Cs": [1.5]}, "each of Cs is a fraction of C_max"),
    ],
)
def test_bad_parameters_are_explained(params, message):
    X, y = moons()
    with pytest.raises(ValueError, match=message):
        BudgetSVCCV(**params).fit(X, y)
