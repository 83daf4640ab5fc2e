"""BudgetSVCCV finds what GridSearchCV over BudgetSVC finds, and behaves like scikit-learn's own *CV estimators."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, make_classification, make_moons
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, UnsetMetadataPassedError
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetWarning, IndefiniteKernelWarning, InfeasibleBudgetError
from sklearn_svmdl.kernels import KERNELS
from sklearn_svmdl.svm import _folds_together, _search
from sklearn_svmdl.svm._search_results import best_candidate, one_standard_error

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
    return [{"C": Cs, "kernel": [name], "unit": ["relative"], **own[name]} for name in kernels]


def both(X, y, kernels, cv=3, scoring=None, **params):
    shared = dict(gammas=[0.05, "scale"], cv=cv, scoring=scoring)
    ours = BudgetSVCCV(CS, unit="relative", kernel=kernels, **shared, **params).fit(X, y)
    model = BudgetSVC(**params)
    theirs = GridSearchCV(model, grid(kernels), cv=cv, scoring=scoring).fit(X, y)
    return ours, theirs


@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
@pytest.mark.parametrize("data", [breast_cancer, iris, moons])
@pytest.mark.parametrize("params", [{}, {"multi_class": "ovr", "class_weight": "balanced"}], ids=str)
def test_equals_grid_search(data, params):
    X, y = data()
    ours, theirs = both(X, y, ["linear", "rbf", "poly"], **params)
    assert list(ours.cv_results_["params"]) == theirs.cv_results_["params"]
    told = {"mean_cost", "mean_relative_budget", "mean_relative_margin", "feasible"}
    assert set(ours.cv_results_) == set(theirs.cv_results_) | told
    for key in theirs.cv_results_:
        if key.startswith(("split", "mean_test", "std_test", "rank", "param_")):
            assert_array_equal(ours.cv_results_[key], theirs.cv_results_[key], err_msg=key)
            assert ours.cv_results_[key].dtype == theirs.cv_results_[key].dtype
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-12)
    again = BudgetSVC(**params, **ours.best_params_).fit(X, y)
    assert_array_equal(ours.predict(X), again.predict(X))
    assert len(pd.DataFrame(ours.cv_results_)) == len(theirs.cv_results_["params"])


def test_fitted_attributes_are_those_of_the_refitted_model():
    X, y = breast_cancer()
    ours = BudgetSVCCV(CS, unit="relative", kernel=["linear", "poly"], degrees=[2], gammas=1, cv=3).fit(X, y)
    best = BudgetSVC(**ours.best_params_).fit(X, y)
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
    ours = BudgetSVCCV(CS, unit="relative", kernel=kernel, gammas=["scale"], cv=3).fit(X, y)
    theirs = GridSearchCV(BudgetSVC(kernel=kernel, unit="relative"), {"C": CS}, cv=3).fit(X, y)
    assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert_array_equal(ours.predict(X), theirs.predict(X))


def test_beyond_the_cache_the_scores_are_the_same():
    X, y = make_classification(700, 8, n_informative=6, flip_y=0.1, random_state=0)
    search = BudgetSVCCV(CS, unit="relative", gammas=[0.05], cv=2, refit=False)
    small = clone(search).set_params(cache_size=4).fit(X, y)
    large = search.fit(X, y)
    assert_array_equal(small.cv_results_["mean_test_score"], large.cv_results_["mean_test_score"])


@pytest.mark.parametrize("cache_size, times", [(500, 1), (0.1, 0)])
def test_folds_share_one_matrix_where_there_is_memory_for_it(cache_size, times, monkeypatch):
    X, y = moons()
    bases, functions, own = [], [], KERNELS["rbf"]

    def base(X):
        bases.append(len(X))
        return own.base(X)

    def function(A, B, **params):
        functions.append(A.n_samples * B.n_samples)
        return own.function(A, B, **params)

    monkeypatch.setitem(KERNELS, "rbf", replace(own, base=base, function=function))
    BudgetSVCCV([0.1, 1.0], gammas=[0.5, 1.0, 2.0], cv=4, refit=False, cache_size=cache_size).fit(X, y)
    assert bases == [len(X)] * times
    assert (len(functions) == 0) == (times == 1)


@pytest.mark.parametrize("factor", [1.0, 1e6])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_folds_solved_together_are_those_solved_alone(class_weight, factor, monkeypatch):
    """Weights of any size, classes weighted in each fold, three classes and a fold that lacks one of them."""
    X, y = iris()
    weight = factor * np.random.RandomState(0).choice([0.0, 0.5, 1.0, 2.0], len(y))
    parts = [*KFold(3, shuffle=True, random_state=0).split(X), (np.flatnonzero(y > 0), np.flatnonzero(y == 0))]
    walks, walk_many = [], _folds_together.walk_many
    monkeypatch.setattr(_folds_together, "walk_many", lambda *args, **kw: walks.append(1) or walk_many(*args, **kw))
    costs = np.geomspace(0.1, 100.0, 5) / factor
    search = BudgetSVCCV(costs, gammas=[0.1, 1.0], class_weight=class_weight, cv=parts)
    together = clone(search).fit(X, y, weight)
    assert len(walks) == 2
    monkeypatch.setattr(_folds_together.FoldsTogether, "solutions", lambda *args: None)
    alone = search.fit(X, y, weight)
    assert_allclose(together.out_of_fold_decisions_, alone.out_of_fold_decisions_, atol=1e-6)
    for name in ("mean_test_score", "mean_cost", "mean_relative_budget"):
        assert_allclose(together.cv_results_[name], alone.cv_results_[name], rtol=1e-6)


@pytest.mark.parametrize(
    "counts, multi_class, together",
    [
        ((120, 80), "ovo", True),
        ((120, 81), "ovo", False),
        ((140, 140, 90), "ovo", True),
        ((140, 141, 90), "ovo", False),
        ((100, 90, 90), "ovr", True),
        ((100, 90, 91), "ovr", False),
    ],
)
def test_folds_are_solved_together_where_their_problems_are_small(counts, multi_class, together, monkeypatch):
    """Two classes up to 200 samples; of more any two up to 280, or all of them where each stands against the rest."""
    X, y = np.random.RandomState(0).normal(size=(sum(counts), 2)), np.repeat(np.arange(len(counts)), counts)
    calls, score = [], _search.score_together
    monkeypatch.setattr(_search, "score_together", lambda *args: calls.append(1) or score(*args))
    BudgetSVCCV([0.1], gammas=[1.0], cv=2, multi_class=multi_class, refit=False).fit(X, y)
    assert bool(calls) == together


def test_parameters_reach_the_fits_on_folds_and_the_refit():
    X, y = iris()
    shared = dict(coef0=0.5, multi_class="ovr", class_weight="balanced", tol=1e-5, max_iter=5000, cache_size=100)
    search = BudgetSVCCV([0.1, 1.0], kernel="poly", gammas=["scale"], degrees=[2], cv=3, infeasible="relax", **shared)
    of_refit = search.fit(X, y).best_estimator_.get_params()
    assert {name: of_refit[name] for name in shared} == shared
    each = [BudgetSVC(C, unit="cost", kernel="poly", degree=2, **shared) for C in (0.1, 1.0)]
    scores = [np.mean([m.fit(X[a], y[a]).score(X[b], y[b]) for a, b in StratifiedKFold(3).split(X, y)]) for m in each]
    assert_allclose(search.cv_results_["mean_test_score"], scores)


def test_the_refit_has_the_weights():
    X, y = moons()
    weight = np.random.RandomState(0).uniform(0.1, 3.0, len(y))
    search = BudgetSVCCV([1.0], gammas=[1.0], cv=2).fit(X, y, sample_weight=weight)
    alone = BudgetSVC(C=1.0, unit="cost", gamma=1.0).fit(X, y, weight)
    assert_allclose(search.decision_function(X), alone.decision_function(X), atol=1e-6)
    assert np.abs(search.decision_function(X) - alone.fit(X, y).decision_function(X)).max() > 0.1


@pytest.mark.parametrize("limit, told", [({"max_iter": 1}, "max_iter=1"), ({"tol": 1e-30}, "tol=1e-30")])
def test_limits_of_the_solver_hold_on_folds(limit, told):
    X, y = make_moons(40, noise=0.3, random_state=0)
    with pytest.warns(ConvergenceWarning, match=f"of 4 fits on folds.*{told}"):
        BudgetSVCCV([0.1, 1.0], gammas=1, cv=2, refit=False, **limit).fit(X, y)


def test_a_candidate_is_feasible_if_it_is_in_every_fold_and_every_problem():
    # Samples 0 and 4 are the same point with other labels: C=0 is infeasible in folds that train on both.
    X, y = np.array([[0.0], [-1], [-2], [-3], [0.0], [1], [2], [3]]), np.repeat([0, 1], 4)
    search = BudgetSVCCV([0.0, 3.0], unit="total", kernel="linear", cv=KFold(4), refit=False)
    with pytest.warns(BudgetWarning, match="In 2 of 8 fits on folds"):
        search.fit(X, y)
    assert_array_equal(search.cv_results_["feasible"], [False, True])
    # Of three classes two overlap.
    X, y = np.array([[0.0], [1], [0], [1], [9], [8], [0.5], [0.2], [7]]), [0, 0, 1, 1, 2, 2, 0, 1, 2]
    search = BudgetSVCCV([0.01], unit="relative", kernel="linear", cv=3, refit=False)
    with pytest.warns(BudgetWarning, match="infeasible"):
        search.fit(X, y)
    assert_array_equal(search.cv_results_["feasible"], [False])


def results_of(means, margins):
    """Results of candidates whose scores have a standard deviation of 0.1 over five folds."""
    each = {"mean_test_score": means, "std_test_score": [0.1] * len(means), "mean_relative_margin": margins}
    return {name: np.array(values) for name, values in each.items()}


def test_a_standard_error_is_the_deviation_of_a_sample_over_the_root_of_its_size():
    # std of numpy divides by n: 0.1 / sqrt(5 - 1) = 0.05.
    assert one_standard_error(results_of([0.9, 0.8505, 0.8495], [1.0, 2.0, 3.0]), "score", 5) == 1
    assert one_standard_error(results_of([0.9, 0.8495], [1.0, 2.0]), "score", 5) == 0
    # One fold tells no error.
    assert one_standard_error(results_of([0.9, 0.89], [1.0, 2.0]), "score", 1) == 0


def test_scores_that_differ_by_rounding_are_equal():
    assert best_candidate(results_of([0.9, 0.9 - 2e-16], [1.0, 2.0]), "score") == 1
    assert best_candidate(results_of([0.9, 0.9 - 1e-9], [1.0, 2.0]), "score") == 0
    assert best_candidate(results_of([0.9, 0.9], [2.0, 1.0]), "score") == 0


def test_the_margin_of_several_problems_is_the_narrowest_in_units_of_its_spread():
    X, y = iris()
    search = BudgetSVCCV([1.0], kernel="linear", cv=2, refit=False).fit(X, y)
    margins = []
    for train, _ in StratifiedKFold(2).split(X, y):
        model = BudgetSVC(C=1.0, unit="cost", kernel="linear").fit(X[train], y[train])
        pairs = [np.isin(y[train], pair) for pair in ((0, 1), (0, 2), (1, 2))]
        spreads = [np.sqrt(X[train][pair].var(axis=0).sum()) for pair in pairs]
        margins.append(np.min(model.margin_ / spreads))
    assert_allclose(search.cv_results_["mean_relative_margin"], [np.mean(margins)], rtol=1e-5)


def test_a_number_of_gammas_spans_a_factor_of_ten_on_either_side_of_scale():
    X, y = moons()
    scale = 1.0 / (X.shape[1] * X.var())
    for count, expected in ((1, [1.0]), (3, [0.1, 1.0, 10.0]), (5, [0.1, 10**-0.5, 1.0, 10**0.5, 10.0])):
        search = BudgetSVCCV([1.0], gammas=count, cv=2, refit=False).fit(X, y)
        assert_allclose(search.cv_results_["param_gamma"].astype(float), scale * np.array(expected))


@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_jobs_give_the_same_and_a_bar_shows_how_far_they_are(n_jobs, capfd):
    X, y = iris()
    search = BudgetSVCCV(CS, unit="relative", kernel=["linear", "rbf"], gammas=["scale"], cv=2)
    told = clone(search).set_params(n_jobs=n_jobs, verbose=1).fit(X, y)
    out, bar = capfd.readouterr()
    # Two kernels on two folds; in between, how long it has taken and what is left.
    last = bar.rstrip().split("\r")[-1]
    assert out == "" and last.startswith("BudgetSVCCV: 100%") and "4/4 [" in last
    assert all(re.fullmatch(r"BudgetSVCCV: +\d+%.*\d/4 \[.*<.*\]", line) for line in bar.strip().split("\r"))
    assert_array_equal(told.cv_results_["mean_test_score"], search.fit(X, y).cv_results_["mean_test_score"])
    assert capfd.readouterr() == ("", "")


def test_infeasible_budgets_never_break_the_search():
    X, y = moons()
    Cs = [0.0, 0.9]
    with pytest.warns(BudgetWarning, match="In 3 of 6 fits on folds the budget was infeasible") as caught:
        relaxed = BudgetSVCCV(Cs, unit="relative", kernel="linear", cv=3, refit=False).fit(X, y)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert np.isfinite(relaxed.cv_results_["mean_test_score"]).all()
    with pytest.warns(BudgetWarning, match="scored nan"), pytest.warns(UserWarning, match="non-finite") as caught:
        strict = BudgetSVCCV(Cs, unit="relative", kernel="linear", cv=3, infeasible="raise").fit(X, y)
    assert_array_equal(np.isnan(strict.cv_results_["mean_test_score"]), [True, False])
    assert strict.C_ == 0.9 and strict.best_estimator_.C == 0.9
    assert [record.filename for record in caught if "non-finite" in str(record.message)] == [__file__]


@pytest.mark.parametrize("scoring", ["neg_log_loss", "neg_brier_score", "roc_auc_ovr"])
@pytest.mark.parametrize("error_score", [np.nan, "raise"])
@pytest.mark.parametrize("cv", [2, "loo"])
def test_a_scorer_of_probabilities_is_refused_with_what_to_do(scoring, error_score, cv):
    X, y = iris()
    search = BudgetSVCCV(2, gammas=1, cv=cv, scoring=scoring, error_score=error_score)
    with pytest.raises(ValueError, match="The scorer asks for probabilities.*CalibratedClassifierCV") as caught:
        search.fit(X, y)
    assert "Fold" not in str(caught.value)


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
    search = BudgetSVCCV([0.0], unit="relative", gammas=[1.0], cv=cv)
    with pytest.warns(BudgetWarning, match="infeasible"):
        assert search.fit(X, y).budget_[0] == pytest.approx(4.0, rel=1e-2)
    # What is in force is two contradictions' slack of 2 each, on all samples.
    assert pytest.approx(search.budget_[0] / search.best_estimator_.feasible_budget(X, y)[1][0]) == search.C_
    before = vars(search).copy()
    with pytest.raises(InfeasibleBudgetError):
        search.set_params(infeasible="raise").fit(X, y)
    assert {**vars(search), "infeasible": "relax"} == before


def test_trivial_budgets_are_told_once():
    X, y = moons()
    with pytest.warns(BudgetWarning, match="whole class") as caught:
        BudgetSVCCV([500.0, 5.0], unit="total", gammas=[1.0], cv=2, refit=False).fit(X, y)
    assert len(caught) == 1


def relative_margin(model, X, gamma):
    """1 / |w| over the root mean squared distance of all samples from their mean in feature space."""
    K = rbf_kernel(X, gamma=gamma)
    return model.margin_[0] / np.sqrt(np.mean(np.diagonal(K)) - K.mean())


def candidates_by_margin(results, X, y, folds):
    """Mean margins over the folds, each of a fit of its own."""
    return np.array(
        [
            np.mean([relative_margin(BudgetSVC(**p).fit(X[a], y[a]), X[a], p["gamma"]) for a, _ in folds])
            for p in results["params"]
        ]
    )


@pytest.mark.parametrize("unit, Cs", [("relative", [0.1, 0.2, 0.4, 0.6, 0.8]), ("cost", [0.1, 1.0, 10.0])])
def test_one_standard_error_picks_the_widest_margin(unit, Cs):
    X, y = moons()
    folds = list(StratifiedKFold(5).split(X, y))
    search = BudgetSVCCV(Cs, unit=unit, gammas=[0.3, 1.0, 3.0], cv=folds)
    best, wide = clone(search).fit(X, y), clone(search).set_params(refit="one_standard_error").fit(X, y)
    results = wide.cv_results_
    margins = candidates_by_margin(results, X, y, folds)
    assert_allclose(results["mean_relative_margin"], margins, rtol=1e-6)
    scores = np.array([results[f"split{k}_test_score"][best.best_index_] for k in range(5)])
    threshold = best.best_score_ - scores.std(ddof=1) / np.sqrt(5)
    within = np.flatnonzero(results["mean_test_score"] >= threshold)
    assert len(within) > 1
    assert wide.best_index_ == within[np.argmax(margins[within])] != best.best_index_
    assert wide.best_score_ == results["mean_test_score"][wide.best_index_] >= threshold


def test_ties_go_to_the_largest_margin():
    X, y = make_moons(60, noise=0.02, random_state=0)
    folds = list(StratifiedKFold(3).split(X, y))
    search = BudgetSVCCV([1000.0, 10.0, 100.0], gammas=[2.0, 1.0], cv=folds).fit(X, y)
    tied = np.flatnonzero(search.cv_results_["mean_test_score"] == search.best_score_)
    margins = candidates_by_margin(search.cv_results_, X, y, folds)
    assert len(tied) > 2
    # Above some cost no sample is at its bound: then a larger one changes nothing, and the first of them is chosen.
    assert margins[search.best_index_] >= margins[tied].max() * (1.0 - 1e-9)
    assert margins[search.best_index_] > 1.01 * margins[tied].min()


def test_results_tell_what_was_in_force():
    X, y = moons()
    folds = list(StratifiedKFold(3).split(X, y))
    Cs = [0.8, 0.1]
    with pytest.warns(BudgetWarning):
        results = BudgetSVCCV(Cs, unit="relative", kernel="linear", cv=folds, refit=False).fit(X, y).cv_results_
    with pytest.warns(BudgetWarning):
        models = [[BudgetSVC(C, unit="relative", kernel="linear").fit(X[a], y[a]) for a, _ in folds] for C in Cs]
    assert_allclose(results["mean_cost"], [np.mean([m.cost_[0] for m in row]) for row in models], rtol=1e-4)
    largest = [2 * min(np.bincount(y[a])) for a, _ in folds]
    relative = [np.mean([m.budget_[0] / c for m, c in zip(row, largest)]) for row in models]
    assert_allclose(results["mean_relative_budget"], relative, rtol=1e-6)
    assert results["feasible"].tolist() == [True, False]
    assert results["param_unit"].tolist() == ["relative"] * 2


def test_the_default_is_feasible_and_silent():
    X, y = make_classification(100, 2, n_redundant=0, flip_y=0.5, random_state=0)
    search = BudgetSVCCV(kernel=["linear", "rbf"], gammas=2, cv=3).fit(X, y)
    assert search.cv_results_["feasible"].all()
    assert_allclose(search.cv_results_["mean_cost"], search.cv_results_["param_C"].astype(float))
    assert len(set(search.cv_results_["param_C"])) == 10 and set(search.cv_results_["param_unit"]) == {"cost"}


@pytest.mark.parametrize("weighted", [False, True])
def test_a_number_of_fractions_is_spread_over_what_is_feasible(weighted):
    # Two overlapping normal distributions, as in the textbook: nearly half of C_max is infeasible.
    random = np.random.RandomState(0)
    y = np.arange(50) % 2
    X = random.normal(size=(50, 2)) + 0.7 * y[:, None]
    weight = random.uniform(0.5, 2.0, 50) if weighted else None
    search = BudgetSVCCV(5, unit="relative", kernel=["linear", "rbf"], gammas=2, cv=4, infeasible="raise")
    search.fit(X, y, sample_weight=weight)
    results = search.cv_results_
    assert results["feasible"].all() and np.isfinite(results["mean_test_score"]).all()
    linear = [p["C"] for p in results["params"] if p["kernel"] == "linear"]
    least, largest = BudgetSVC(kernel="linear").feasible_budget(X, y, weight)
    assert len(linear) == 5 and min(linear) >= least[0] / largest[0] - 1e-9
    assert_allclose(np.diff(np.log(linear), n=2), 0.0, atol=1e-9)
    assert max(linear) >= 0.9 and search.best_params_["C"] == search.C_
    assert BudgetSVC(**search.best_params_).fit(X, y, weight).budget_ == pytest.approx(search.C_ * largest[0])


def test_several_scorers():
    X, y = moons()
    scoring = {"accuracy": "accuracy", "auc": "roc_auc"}
    search = BudgetSVCCV([0.1, 10.0], gammas=[0.1, 1.0], cv=3, scoring=scoring, refit="auc").fit(X, y)
    grid_ = {"C": [0.1, 10.0], "gamma": [0.1, 1.0]}
    theirs = GridSearchCV(BudgetSVC(unit="cost"), grid_, cv=3, scoring=scoring, refit="auc").fit(X, y)
    for key in theirs.cv_results_:
        if "_test_" in key:
            assert_allclose(search.cv_results_[key], theirs.cv_results_[key], rtol=1e-12, err_msg=key)
    assert search.best_score_ == theirs.best_score_ and search.score(X, y) == theirs.score(X, y)
    assert set(search.scorer_) == {"accuracy", "auc"} and search.multimetric_
    for refit in (True, "f1", "one_standard_error"):
        with pytest.raises(ValueError, match="refit must be the name of the one that chooses"):
            clone(search).set_params(refit=refit).fit(X, y)
    none = clone(search).set_params(refit=False).fit(X, y)
    assert not hasattr(none, "best_index_") and "mean_test_auc" in none.cv_results_


def lacking_a_class(y):
    """Two folds; the training samples of the second are of one class."""
    everyone, ones = np.arange(len(y)), np.flatnonzero(y == 1)
    return [(everyone[::2], everyone[1::2]), (ones, np.flatnonzero(y == 0))]


def test_a_fold_that_lacks_a_class_is_named():
    X, y = moons()
    search = BudgetSVCCV([0.1, 10.0], gammas=[1.0], cv=lacking_a_class(y), refit=False)
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4.* fold 2: ValueError.*1 class"):
        search.set_params(error_score=0.0).fit(X, y)
    theirs = GridSearchCV(BudgetSVC(unit="cost", gamma=1.0), {"C": [0.1, 10.0]}, cv=search.cv, error_score=0.0)
    with pytest.warns(FitFailedWarning):
        theirs.set_params(refit=False).fit(X, y)
    assert_array_equal(search.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    with pytest.raises(ValueError, match="1 class") as caught:
        clone(search).set_params(error_score="raise").fit(X, y)
    assert "fold 2" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="All the 2 fits failed. fold 1: ValueError"):
        clone(search).set_params(cv=lacking_a_class(y)[1:]).fit(X, y)


def test_a_scorer_that_fails_is_told_with_its_folds():
    X, y = moons()
    cv = [(np.arange(120), np.flatnonzero(y == 1)), (np.arange(120), np.arange(120))]

    def fails_on_one_class(model, X, y):
        if len(set(y)) == 1:
            raise RuntimeError("one class only")
        return model.score(X, y)

    search = BudgetSVCCV([0.1], gammas=[1.0], cv=cv, scoring=fails_on_one_class, error_score=0.25, refit=False)
    with pytest.warns(UserWarning, match="Scoring failed for 1 .* fold 1: RuntimeError: one class only"):
        search.fit(X, y)
    assert search.cv_results_["split0_test_score"] == 0.25
    with pytest.raises(RuntimeError, match="one class only"):
        search.set_params(error_score="raise").fit(X, y)


def test_hints_of_metadata_routing_name_this_class():
    X, y = moons()
    weight = np.arange(120.0)
    with sklearn.config_context(enable_metadata_routing=True):
        search = BudgetSVCCV([0.1], gammas=[1.0], cv=2)
        with pytest.raises(UnsetMetadataPassedError, match="BudgetSVCCV") as caught:
            search.fit(X, y, sample_weight=weight)
        assert "Call `BudgetSVCCV.set_score_request" in str(caught.value)
        search.set_score_request(sample_weight=True).fit(X, y, sample_weight=weight)
        with_weights = search.best_score_
        search.set_score_request(sample_weight=False).fit(X, y, sample_weight=weight)
    plain = BudgetSVCCV([0.1], gammas=[1.0], cv=2).fit(X, y, sample_weight=weight)
    assert with_weights == plain.best_score_ != search.best_score_


def test_refit_by_a_callable_and_not_at_all():
    X, y = moons()
    last = BudgetSVCCV(CS, unit="relative", gammas=[1.0], cv=2, refit=lambda results: 2).fit(X, y)
    assert last.best_index_ == 2 and last.best_params_["C"] == CS[2]
    with pytest.raises(IndexError, match="refit returned 7"):
        BudgetSVCCV(CS, unit="relative", gammas=[1.0], cv=2, refit=lambda results: 7).fit(X, y)
    searched = BudgetSVCCV(CS, unit="relative", gammas=[1.0], cv=2, refit=False).fit(X, y)
    assert searched.C_ in CS
    assert searched.out_of_fold_decisions_.shape == y.shape
    for method in ("predict", "decision_function", "score", "predict_proba", "predict_log_proba"):
        assert not hasattr(searched, method)


def test_groups_reach_the_splitter_with_and_without_routing():
    X, y = moons()
    groups = np.random.RandomState(0).randint(0, 4, len(y))
    cv = GroupKFold(4)
    expected = GridSearchCV(BudgetSVC(unit="relative", gamma=1.0), {"C": CS}, cv=cv).fit(X, y, groups=groups)
    search = BudgetSVCCV(CS, unit="relative", gammas=[1.0], cv=cv)
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
    search = BudgetSVCCV([0.1], unit="relative", gammas=[1.0], cv=cv, refit=False)
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
    search = BudgetSVCCV(CS, unit="relative", gammas=2, cv=StratifiedKFold(3, shuffle=True, random_state=0))
    model = make_pipeline(StandardScaler(), search).fit(X, y)
    assert model.score(X, y) > 0.95
    assert model[-1].n_splits_ == 3 and len(model[-1].cv_results_["params"]) == 6


@pytest.mark.parametrize(
    "params, message",
    [
        ({"refit": "accuracy"}, "The name of a scorer chooses among several"),
        ({"kernel": ["rbf", "cubic"]}, "must be one or a non-empty list"),
        ({"kernel": []}, "non-empty list"),
        ({"kernel": ["rbf", "precomputed"]}, "precomputed"),
        ({"gammas": [0.1, -1.0]}, "gammas must be"),
        ({"gammas": ["wide"]}, "gammas must be"),
        ({"kernel": "poly", "degrees": [2.5]}, "degrees must be"),
        ({"Cs": [1.5], "unit": "relative"}, "each of Cs is a fraction of C_max"),
    ],
)
def test_bad_parameters_are_explained(params, message):
    X, y = moons()
    with pytest.raises(ValueError, match=message):
        BudgetSVCCV(**params).fit(X, y)


# --- leaving one out, where something fails


def unlike_the_values(X, Y):
    """A kernel that fails."""
    raise OSError("the disk is full")


def test_a_search_that_leaves_one_out_fails_as_others_do():
    X, y = moons()
    for search in (BudgetSVCCV([1.0], gammas=1, cv=cv, kernel=[unlike_the_values], refit=False) for cv in (2, "loo")):
        with pytest.raises(ValueError, match="All the .* fits failed.*OSError: the disk is full"):
            search.fit(X, y)
        with pytest.raises(OSError, match="the disk is full"):
            search.set_params(error_score="raise").fit(X, y)


def test_of_kernels_that_leave_one_out_those_that_fail_get_the_error_score():
    X, y = moons()
    X, y = X[:40], y[:40]
    search = BudgetSVCCV([1.0], gammas=1, cv="loo", kernel=["rbf", unlike_the_values], error_score=0.25)
    with pytest.warns(FitFailedWarning, match="40 fits failed.*the disk is full"):
        search.fit(X, y)
    of_rbf, failed = search.cv_results_["mean_test_score"]
    assert of_rbf > 0.5 and failed == 0.25 and search.best_params_["kernel"] == "rbf"


def test_a_class_of_one_sample_cannot_be_left_out():
    X, y = np.arange(6.0)[:, None], np.array([0, 0, 0, 0, 0, 1])
    search = BudgetSVCCV([1.0], gammas=1, cv="loo", error_score=0.0)
    with pytest.warns(FitFailedWarning, match="without sample 5 there is 1 class: '0'"):
        scores = search.fit(X, y).cv_results_["split5_test_score"]
    assert scores.tolist() == [0.0]
    with pytest.raises(ValueError, match="without sample 5 there is 1 class: '0'"):
        search.set_params(error_score="raise").fit(X, y)


@pytest.mark.parametrize("cv", [2, "loo"])
def test_a_refused_budget_gets_the_error_score_or_ends_the_search(cv):
    X, y = moons()
    refuses = dict(unit="relative", kernel="linear", gammas=1, infeasible="raise", cv=cv)
    search = BudgetSVCCV([0.0, 0.6], error_score=0.25, **refuses)
    with pytest.warns(BudgetWarning, match="scored 0.25"):
        search.fit(X, y)
    # Candidates are as they were given.
    refused, kept = search.cv_results_["mean_test_score"]
    assert refused == 0.25 and kept > 0.25 and search.C_ == 0.6
    with pytest.raises(InfeasibleBudgetError, match="infeasible"):
        search.set_params(error_score="raise").fit(X, y)


@pytest.mark.parametrize("found", [None, [0.5]])
def test_a_score_that_is_no_number_is_refused(found):
    X, y = moons()
    with pytest.raises(ValueError, match="scoring must return a number, got"):
        BudgetSVCCV([1.0], gammas=1, cv=2, scoring=lambda *given: {"own": found}, refit="own").fit(X, y)


def test_of_several_scorers_one_may_fail():
    X, y = moons()

    def fails(*given):
        raise OSError("the disk is full")

    scoring = {"accuracy": "accuracy", "own": make_scorer(fails)}
    search = BudgetSVCCV([1.0], gammas=1, cv=2, scoring=scoring, refit="accuracy", error_score=0.25)
    with pytest.warns(UserWarning, match="own: OSError: the disk is full"):
        search.fit(X, y)
    assert search.cv_results_["mean_test_own"].tolist() == [0.25] and search.cv_results_["mean_test_accuracy"][0] > 0.5
