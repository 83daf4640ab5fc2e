"""Leave-one-out decisions equal as many refits."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris, make_classification, make_moons
from sklearn.model_selection import GridSearchCV, LeaveOneOut
from sklearn.svm import SVC

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, leave_one_out_decisions
from sklearn_svmdl.dual import leave_one_out
from sklearn_svmdl.dual import solve as solve_module
from sklearn_svmdl.dual.leave_one_out import left_out_decisions
from sklearn_svmdl.dual.problem import BEYOND_REACH, classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.kernels import MEGABYTE, Kernel


def refits(model, X, y, weight=None, **changed):
    """Decisions of n models, each without one sample."""
    weight = np.ones(len(y)) if weight is None else weight
    found = []
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        without = BudgetSVC(**{**model.get_params(), **changed}).fit(X[others], y[others], weight[others])
        found.append(without.decision_function(X[i : i + 1])[0])
    return np.array(found)


def of_kind(kind):
    """Two noisy moons as classes, or a noisy curve."""
    X, y = make_moons(40, noise=0.3, random_state=0)
    source = Kernel("rbf", {"gamma": 1.0}).source(X)
    if kind == "classes":
        return classification(source, np.where(y, 1.0, -1.0), np.ones(40))
    return regression(source, X[:, 0] * X[:, 1] + 0.3 * y, np.ones(40), 0.1)


@pytest.fixture
def solves(monkeypatch):
    """How many removals were solved from nothing."""
    count, solve = [], leave_one_out.solve
    monkeypatch.setattr(leave_one_out, "solve", lambda *a, **k: (count.append(1), solve(*a, **k))[1])
    return count


# Without a sample some budgets pay for a whole class.
@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
@pytest.mark.parametrize("kernel", [dict(kernel="linear"), dict(gamma=0.3), dict(gamma=3.0)], ids=str)
@pytest.mark.parametrize("cost", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_equal_to_refits_with_the_cost_or_the_budget(kernel, cost, weighted, solves):
    X, y = make_classification(60, 4, flip_y=0.1, random_state=1)
    weight = np.random.RandomState(0).uniform(0.5, 2.0, 60) if weighted else None
    model = BudgetSVC(cost, unit="cost", **kernel).fit(X, y, weight)
    found = leave_one_out_decisions(model, X, y, weight)
    assert_allclose(found, refits(model, X, y, weight), atol=1e-6)
    assert len(solves) <= 6
    total = BudgetSVC(model.budget_[0], **kernel).fit(X, y, weight)
    assert_allclose(leave_one_out_decisions(total, X, y, weight), refits(total, X, y, weight), atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), fraction=st.floats(0.1, 0.9), gamma=st.floats(0.05, 5.0))
def test_equal_to_refits_with_the_budget_of_a_fraction(seed, fraction, gamma):
    X, y = make_moons(30, noise=0.3, random_state=seed)
    model = BudgetSVC(fraction, unit="relative", gamma=gamma).fit(X, y)
    # Where no sample stands on the margin b may lie anywhere in an interval.
    assume(np.any(np.abs(model.dual_coef_) < model.cost_[0] * (1.0 - 1e-9)))
    # At the edge of what is within reach K beta, and with it decisions far from all samples, is rounded too much.
    assume(model.cost_[0] < 1e6)
    expected = refits(model, X, y, C=model.budget_[0], unit="total")
    found = leave_one_out_decisions(model, X, y)
    assert_allclose(found, expected, atol=1e-6)
    others = np.setdiff1d(np.arange(30), model.support_)
    assert_allclose(found[others], model.decision_function(X)[others], atol=1e-9)


def test_equal_to_svc_in_a_loop():
    X, y = make_moons(80, noise=0.3, random_state=0)
    found = leave_one_out_decisions(BudgetSVC(2.0, unit="cost", gamma=1.0).fit(X, y), X, y)
    for i in range(80):
        others = np.arange(80) != i
        without = SVC(C=2.0, gamma=1.0, tol=1e-8).fit(X[others], y[others])
        # libsvm keeps kernel values in single precision.
        assert found[i] == pytest.approx(without.decision_function(X[i : i + 1])[0], abs=1e-5)


@pytest.mark.parametrize("multi_class", ["ovo", "ovr"])
def test_several_classes(multi_class):
    X, y = load_iris(return_X_y=True)
    X, y = X[::3], y[::3]
    model = BudgetSVC(3.0, unit="cost", gamma=0.5, multi_class=multi_class).fit(X, y)
    assert_allclose(leave_one_out_decisions(model, X, y), refits(model, X, y), atol=1e-6)


def test_kernel_values_on_demand_and_precomputed_ones():
    X, y = make_moons(60, noise=0.3, random_state=0)
    model = BudgetSVC(5.0, unit="cost", gamma=1.0).fit(X, y)
    expected = leave_one_out_decisions(model, X, y)
    assert_allclose(leave_one_out_decisions(model.set_params(cache_size=0.075), X, y), expected, atol=1e-6)
    K = np.exp(-((X[:, None] - X[None]) ** 2).sum(axis=-1))
    stored = BudgetSVC(5.0, unit="cost", kernel="precomputed").fit(K, y)
    assert_allclose(leave_one_out_decisions(stored, K, y), expected, atol=1e-6)


def test_samples_of_no_weight_get_the_decision_of_the_model():
    X, y = make_moons(40, noise=0.3, random_state=0)
    weight = np.where(np.arange(40) % 5 == 0, 0.0, 1.0)
    model = BudgetSVC(gamma=1.0).fit(X, y, weight)
    found = leave_one_out_decisions(model, X, y, weight)
    assert_allclose(found[weight == 0], model.decision_function(X)[weight == 0])
    kept = weight > 0
    assert_allclose(found[kept], leave_one_out_decisions(BudgetSVC(gamma=1.0).fit(X[kept], y[kept]), X[kept], y[kept]))


def test_where_a_constant_is_left():
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 1, 1])
    found = leave_one_out_decisions(BudgetSVC(1.0, unit="cost", kernel="linear").fit(X, y), X, y)
    assert found[0] == 1.0
    X, y = make_moons(20, noise=0.1, random_state=0)
    model = BudgetSVC(19.0, gamma=1.0).fit(X, y)
    # Without a sample C_max is 18: the heavier class is the other one.
    assert_array_equal(leave_one_out_decisions(model, X, y), np.where(y == 1, -1.0, 1.0))


def test_other_samples_are_refused():
    X, y = make_moons(40, noise=0.3, random_state=0)
    model = BudgetSVC().fit(X, y)
    with pytest.raises(ValueError, match="must be what the model was fitted on"):
        leave_one_out_decisions(model, X[:30], y[:30])


@pytest.mark.parametrize("cv", ["loo", LeaveOneOut()])
@pytest.mark.parametrize("unit, Cs", [("cost", [0.1, 10.0]), ("total", [20.0, 3.0])])
def test_a_search_scores_as_grid_search_does(cv, unit, Cs):
    X, y = make_moons(40, noise=0.3, random_state=0)
    search = BudgetSVCCV(Cs, unit=unit, gammas=[0.3, 3.0], cv=cv).fit(X, y)
    grid = {"C": Cs, "gamma": [0.3, 3.0]}
    theirs = GridSearchCV(BudgetSVC(unit=unit), grid, cv=LeaveOneOut()).fit(X, y)
    for key in theirs.cv_results_:
        if "_test_" in key:
            assert_array_equal(search.cv_results_[key], theirs.cv_results_[key], err_msg=key)
    expected = refits(search.best_estimator_, X, y)
    assert_allclose(search.out_of_fold_decisions_, expected, atol=1e-6)
    assert_allclose(leave_one_out_decisions(search, X, y), expected, atol=1e-6)
    assert search.n_splits_ == 40


@pytest.mark.parametrize("kind", ["classes", "regression"])
@pytest.mark.parametrize("cost", [0.3, 10.0])
def test_without_memory_for_a_table_each_removal_is_solved_alone(kind, cost, solves, monkeypatch):
    problem = of_kind(kind).with_cost(cost)
    solution = solve(problem, tol=1e-8)
    expected = left_out_decisions(problem, solution, tol=1e-8)
    assert len(solves) <= 2
    tables = []
    monkeypatch.setattr(leave_one_out, "_Table", lambda *args: tables.append(args))
    # 24 bytes for each pair of variables are too many; a solve has room.
    few = 23 * problem.n_samples**2 / MEGABYTE
    assert_allclose(left_out_decisions(problem, solution, tol=1e-8, cache_size=few), expected, atol=1e-6)
    assert not tables and len(solves) >= np.count_nonzero(solution.beta)


@pytest.mark.parametrize("kind", ["classes", "regression"])
def test_removals_that_went_astray_are_solved_from_nothing(kind, solves, monkeypatch):
    problem = of_kind(kind).with_cost(1.0)
    solution = solve(problem, tol=1e-8)
    expected = left_out_decisions(problem, solution, tol=1e-8)
    own = leave_one_out._Table._checked

    def spoilt(table, side, end, removed):
        error = 1.0 + 1e-3 * np.random.RandomState(0).randn(*end.room.shape)
        return own(table, side, end._replace(room=end.room * error), removed)

    monkeypatch.setattr(leave_one_out._Table, "_checked", spoilt)
    solves.clear()
    assert_allclose(left_out_decisions(problem, solution, tol=1e-8), expected, atol=1e-6)
    assert len(solves) == np.count_nonzero(solution.beta)


def test_a_budget_that_was_not_kept_is_held_as_what_was_spent(monkeypatch):
    problem = of_kind("classes")
    asked = problem.with_budget(0.01 * problem.largest_budget)
    with monkeypatch.context() as near:
        # A hardest margin that is soft.
        near.setattr(solve_module, "_REACH", 2.0)
        solution = solve(asked, tol=1e-8)
    assert solution.status in BEYOND_REACH and solution.budget > 2 * asked.budget
    found = left_out_decisions(asked, solution, tol=1e-8)
    held = problem.with_budget(solution.budget)
    assert_allclose(found, left_out_decisions(held, solve(held, tol=1e-8), tol=1e-8), atol=1e-5)


def test_most_removals_are_steps_from_the_solution(solves):
    X, y = make_classification(200, 8, n_informative=5, flip_y=0.1, random_state=0)
    for cost in (0.1, 1.0, 10.0):
        leave_one_out_decisions(BudgetSVC(cost, unit="cost").fit(X, y), X, y)
    assert len(solves) <= 3
