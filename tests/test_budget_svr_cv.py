"""BudgetSVRCV finds what GridSearchCV finds; paths and leave-one-out of regressions equal separate fits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_friedman1
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, LeaveOneOut, cross_val_predict
from sklearn.svm import SVR

from sklearn_svmdl import BudgetSVR, BudgetSVRCV, BudgetWarning, budget_path, leave_one_out_decisions


@pytest.fixture(scope="module")
def friedman():
    """100 samples, y in hundreds."""
    X, y = make_friedman1(100, n_features=6, noise=1.0, random_state=0)
    return X, 100.0 * y


GRIDS = {
    "cost": dict(Cs=[100.0, 1000.0], epsilons=[10.0, "auto"], gammas=[0.5, "scale"]),
    "relative": dict(Cs=[0.6, 0.2], epsilons=[50.0], gammas=[0.5, 2.0]),
    "total": dict(Cs=[1e4, 2e3], epsilons=["auto"], gammas=["scale"]),
}


@pytest.mark.parametrize("unit", GRIDS)
@pytest.mark.parametrize("kernels", [["rbf"], ["linear", "poly", "rbf"], ["laplacian"]], ids=str)
@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
def test_scores_and_choice_are_those_of_a_grid_search(unit, kernels, friedman):
    X, y = friedman
    chosen = GRIDS[unit]
    cv = KFold(3, shuffle=True, random_state=0)
    ours = BudgetSVRCV(**chosen, unit=unit, kernel=kernels, degrees=[2], cv=cv, tol=1e-6).fit(X, y)
    has = {"rbf": ["gamma"], "laplacian": ["gamma"], "poly": ["gamma", "degree"], "linear": []}
    values = {"gamma": chosen["gammas"], "degree": [2]}
    grid = [
        {"kernel": [name], "unit": [unit], "C": chosen["Cs"], "epsilon": chosen["epsilons"]}
        | {key: values[key] for key in has[name]}
        for name in kernels
    ]
    theirs = GridSearchCV(BudgetSVR(tol=1e-6), grid, cv=cv).fit(X, y)
    assert [dict(params) for params in ours.cv_results_["params"]] == theirs.cv_results_["params"]
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], atol=1e-6)
    assert ours.best_params_ == theirs.best_params_
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y))
    assert_allclose(ours.slack_, ours.best_estimator_.slack_)


def test_several_scorers_weights_and_groups(friedman):
    X, y = friedman
    weight, groups = np.random.RandomState(0).uniform(0.5, 2.0, 100), np.arange(100) % 5
    scoring = ["r2", "neg_mean_absolute_error"]
    search = BudgetSVRCV(3, gammas=2, cv=GroupKFold(5), scoring=scoring, refit="neg_mean_absolute_error")
    search.fit(X, y, weight, groups=groups)
    (best,) = np.flatnonzero(search.cv_results_["rank_test_neg_mean_absolute_error"] == 1)[:1]
    assert search.best_index_ == best
    scores = []
    for train, test in GroupKFold(5).split(X, y, groups):
        model = BudgetSVR(**search.best_params_).fit(X[train], y[train], weight[train])
        scores.append(-np.average(np.abs(model.predict(X[test]) - y[test]), weights=weight[test]))
    assert search.best_score_ == pytest.approx(np.mean(scores), rel=1e-6)


def test_out_of_fold_predictions_are_those_of_models_that_have_not_seen_the_samples(friedman):
    X, y = friedman
    search = BudgetSVRCV(4, gammas=2, cv=4).fit(X, y)
    expected = cross_val_predict(BudgetSVR(**search.best_params_), X, y, cv=4)
    assert_allclose(search.out_of_fold_predictions_, expected, rtol=1e-6)


def test_the_range_of_costs_follows_the_units_of_y(friedman):
    X, y = friedman
    here, there = (BudgetSVRCV(3, gammas=["scale"], cv=3).fit(X, scale * y) for scale in (1.0, 1e-4))
    Cs = [np.array([params["C"] for params in search.cv_results_["params"]]) for search in (here, there)]
    assert_allclose(1e-4 * Cs[0], Cs[1], rtol=1e-9)
    assert_allclose(here.cv_results_["mean_test_score"], there.cv_results_["mean_test_score"], rtol=1e-6)
    assert here.best_index_ == there.best_index_
    spread = np.median(np.abs(y - np.median(y))) / 0.6744897501960817
    assert Cs[0].min() == pytest.approx(0.01 * spread) and Cs[0].max() == pytest.approx(1000 * spread)


def test_relative_budgets_of_a_search_are_feasible_in_every_fold(friedman):
    X, y = friedman
    search = BudgetSVRCV(4, unit="relative", kernel=["linear", "rbf"], gammas=["scale"], cv=3).fit(X, y)
    assert search.cv_results_["feasible"].all()
    largest = BudgetSVR(kernel=search.kernel_, epsilon=search.epsilon_).feasible_budget(X, y)[1]
    assert search.C_ == search.best_params_["C"] == pytest.approx(search.budget_ / largest, rel=1e-6)


@pytest.mark.parametrize("cv", ["loo", LeaveOneOut()], ids=str)
def test_leave_one_out_scores_are_those_of_refits(cv, friedman):
    X, y = friedman[0][:40], friedman[1][:40]
    Cs = [100.0, 3000.0]
    search = BudgetSVRCV(Cs, epsilons=[20.0], gammas=[1.0], cv=cv, scoring="neg_mean_absolute_error").fit(X, y)
    for C, score in zip(Cs, search.cv_results_["mean_test_score"], strict=True):
        model = BudgetSVR(C, unit="cost", epsilon=20.0, gamma=1.0)
        assert score == pytest.approx(-np.abs(cross_val_predict(model, X, y, cv=LeaveOneOut()) - y).mean(), rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.0, 20.0, 150.0])
@pytest.mark.parametrize(
    "kernel, params",
    [
        ("linear", dict(C=300.0, unit="cost")),
        ("rbf", dict(C=300.0, unit="cost")),
        ("rbf", dict(C=8000.0)),
        ("rbf", dict(C=50.0)),
    ],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
def test_leave_one_out_predictions_are_those_of_refits(epsilon, kernel, params, weighted, friedman):
    X, y = friedman[0][:40], friedman[1][:40]
    weight = np.random.RandomState(0).randint(0, 3, 40).astype(float) if weighted else np.ones(40)
    model = BudgetSVR(**params, epsilon=epsilon, kernel=kernel, gamma=1.0).fit(X, y, weight)
    held = dict(C=model.cost_, unit="cost") if model.unit == "cost" else dict(C=model.budget_)
    expected = []
    for i in range(40):
        others = np.arange(40) != i
        without = BudgetSVR(**held, epsilon=epsilon, kernel=kernel, gamma=1.0, tol=1e-8)
        expected.append(without.fit(X[others], y[others], weight[others]).predict(X[i : i + 1])[0])
    assert_allclose(leave_one_out_decisions(model, X, y, weight), expected, rtol=0, atol=1e-4)


def least_slack_intercepts(residual, epsilon):
    """The ends of the interval of intercepts b with the least total slack of y - w.x - b."""
    kinks = np.sort(np.concatenate([residual - epsilon, residual + epsilon]))
    spent = np.maximum(0.0, np.abs(residual - kinks[:, None]) - epsilon).sum(axis=1)
    best = kinks[spent <= spent.min() + 1e-9]
    return best.min(), best.max()


@pytest.mark.parametrize(
    "params, ties",
    [
        (dict(C=0.6, unit="relative", epsilon=0.3), True),
        (dict(C=0.6, unit="relative", epsilon=0.1), False),
        (dict(C=0.8, unit="relative", epsilon=0.2), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [0, 2, 3, 7])
def test_leave_one_out_of_linear_budgets_is_the_refits_but_for_intercepts_that_tie(params, ties, seed):
    """w and f - b are unique. b may lie anywhere in an interval where no sample is on the edge of the tube: there the
    decision is one with a b of that interval."""
    random = np.random.RandomState(seed)
    X = np.round(random.randn(30, 2), 1)
    y = np.round(X[:, 0] - 0.5 * X[:, 1] + 0.5 * random.randn(30), 1)
    model = BudgetSVR(kernel="linear", **params).fit(X, y)
    found, wide = leave_one_out_decisions(model, X, y), []
    for i in range(30):
        others = np.arange(30) != i
        without = BudgetSVR(model.budget_, epsilon=model.epsilon_, kernel="linear", tol=1e-8).fit(X[others], y[others])
        low, high = least_slack_intercepts(y[others] - X[others] @ without.coef_[0], model.epsilon_)
        wide.append(high - low > 1e-6)
        if not wide[-1]:
            assert found[i] == pytest.approx(without.predict(X[i : i + 1])[0], abs=1e-5)
        assert low - 1e-5 <= found[i] - X[i] @ without.coef_[0] <= high + 1e-5
    assert any(wide) or not ties


def test_leave_one_out_equals_svr_in_a_loop(friedman):
    X, y = friedman[0], friedman[1] / 100.0
    found = leave_one_out_decisions(BudgetSVR(2.0, unit="cost", epsilon=0.3, gamma=1.0).fit(X, y), X, y)
    for i in range(100):
        others = np.arange(100) != i
        without = SVR(C=2.0, epsilon=0.3, gamma=1.0, tol=1e-8).fit(X[others], y[others])
        assert found[i] == pytest.approx(without.predict(X[i : i + 1])[0], abs=2e-5)


def test_leave_one_out_needs_the_samples_of_the_fit(friedman):
    X, y = friedman
    model = BudgetSVR().fit(X, y)
    with pytest.raises(ValueError, match="must be what the model was fitted on"):
        leave_one_out_decisions(model, X, y[::-1])


@pytest.mark.parametrize(
    "kernel, unit, Cs",
    [
        ("rbf", "relative", [0.8, 0.3, 0.1]),
        ("rbf", "total", [1e4, 5e3]),
        ("rbf", "cost", [10.0, 300.0, 1e4]),
        ("linear", "cost", [10.0, 300.0, 1e4]),
    ],
)
def test_a_path_has_the_solutions_of_separate_fits(kernel, unit, Cs, friedman):
    X, y = friedman
    weight = np.random.RandomState(1).randint(0, 3, 100).astype(float)
    path = budget_path(X, y, Cs=Cs, unit=unit, epsilon="auto", kernel=kernel, sample_weight=weight, tol=1e-8)
    for C, budget in zip(path.Cs, path.budgets, strict=True):
        alone = BudgetSVR(C, unit=unit, kernel=kernel, tol=1e-8).fit(X, y, weight)
        assert_allclose(path.predict(X, C), alone.predict(X), atol=1e-3)
        assert budget == pytest.approx(alone.budget_, rel=1e-6, abs=1e-6)
        assert path.at(C).get_params() == alone.get_params() | {"cache_size": 500}
    assert path.slack.shape == path.dual_coefs.shape == (len(Cs), 1, 100)
    assert (np.diff(path.margins[:, 0]) <= 1e-12).all()
    assert path.problems == ("regression",)
    assert "1 regression, 100 samples" in repr(path)


def test_a_number_of_costs_of_a_path_follows_the_units_of_y(friedman):
    X, y = friedman
    here, there = (budget_path(X, scale * y, Cs=4, unit="cost", epsilon="auto") for scale in (1.0, 1e3))
    assert_allclose(1e3 * here.Cs, there.Cs)
    assert_allclose(1e3 * here.budgets, there.budgets, rtol=1e-6, atol=1e-4)
    with pytest.raises(AttributeError, match="classes_"):
        here.classes


def test_a_budget_for_a_constant_is_told_once(friedman):
    X, y = friedman
    with pytest.warns(BudgetWarning, match="pays for the slack of a constant") as caught:
        BudgetSVRCV([1e7, 1e3], unit="total", gammas=["scale"], cv=2).fit(X, y)
    assert len(caught) == 1


@pytest.mark.parametrize("epsilons", [[], [-1.0], ["scale"], [np.inf]], ids=str)
def test_epsilons_that_are_no_good_are_refused(epsilons, friedman):
    with pytest.raises(ValueError, match="epsilons must be a non-empty list"):
        BudgetSVRCV(epsilons=epsilons).fit(*friedman)


def test_without_refit_there_is_no_model(friedman):
    search = BudgetSVRCV(2, gammas=1, cv=2, refit=False).fit(*friedman)
    with pytest.raises(AttributeError) as raised:
        search.predict(friedman[0])
    assert "BudgetSVRCV was made with refit=False" in str(raised.value.__cause__)
    assert "Fit a BudgetSVR " in str(raised.value.__cause__)
    assert_array_equal(sorted(search.best_params_), ["C", "epsilon", "gamma", "kernel", "unit"])


def test_verbose_names_the_search(friedman, capfd):
    BudgetSVRCV(2, gammas=1, cv=2, verbose=1).fit(*friedman)
    out, bar = capfd.readouterr()
    assert out == "" and bar.rstrip().split("\r")[-1].startswith("BudgetSVRCV: 100%")


def test_a_constant_that_fits_best_at_a_cost_is_no_news():
    # Warnings are errors: a tube that holds all of y is what was asked for.
    X, y = np.arange(12.0)[:, None], np.arange(12.0) % 3
    search = BudgetSVRCV([1.0], epsilons=[100.0], gammas=1, cv=3).fit(X, y)
    assert np.isinf(search.margin_) and len(set(search.predict(X))) == 1
