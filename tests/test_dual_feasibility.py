"""Which budgets are feasible.

Independent evidence: the least total slack as the primal linear programme in the hyperplane and the slacks,
on explicit features; the cheapest value for each group of equal points by trying them all.
"""

import warnings

import numpy as np
import pytest
from reference import least_total_slack, second_degree_map
from scipy import sparse
from scipy.optimize import linprog
from sklearn.datasets import (
    load_breast_cancer,
    load_iris,
    load_wine,
    make_blobs,
    make_circles,
    make_classification,
    make_moons,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC
from sklearn_svmdl.dual.feasibility import is_least, least_budget, least_slack_shown
from sklearn_svmdl.dual.linear import pivoted_cholesky
from sklearn_svmdl.dual.problem import Status, classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.kernels import GramSource, Kernel


def one_against_rest(loader, label):
    X, y = loader(return_X_y=True)
    return X, y == label


DATA = {
    "iris 1": lambda: one_against_rest(load_iris, 1),
    "iris 2": lambda: one_against_rest(load_iris, 2),
    "wine 0": lambda: one_against_rest(load_wine, 0),
    "breast cancer, 5 features": lambda: (
        load_breast_cancer().data[:, :5],
        load_breast_cancer().target,
    ),
    "moons": lambda: make_moons(150, noise=0.3, random_state=0),
    "circles": lambda: make_circles(150, noise=0.1, factor=0.5, random_state=0),
    "blobs": lambda: make_blobs(200, centers=[[0, 0], [1, 1]], random_state=0),
}


def load(name, scaled=True):
    X, y = DATA[name]()
    return StandardScaler().fit_transform(X) if scaled else X, np.where(y, 1.0, -1.0)


def weights(n, seed=0):
    return np.random.RandomState(seed).choice([0.2, 1.0, 3.0], n)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_range_of_a_linear_problem_is_that_of_the_primal_programme(name, scaled, weighted):
    X, y = load(name, scaled)
    s = weights(len(y)) if weighted else np.ones(len(y))
    least, largest = BudgetSVC(kernel="linear").feasible_budget(X, y, sample_weight=s)
    assert least[0] == pytest.approx(least_total_slack(X, y, s), rel=1e-3, abs=1e-3)
    assert largest[0] == pytest.approx(2 * min(s[y > 0].sum(), s[y < 0].sum()))


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_samples_have_the_same_range(container):
    X, y = load("moons")
    X = np.where(np.abs(X) < 0.5, 0.0, X)
    least, _ = BudgetSVC(kernel="linear").feasible_budget(container(X), y)
    assert least[0] == pytest.approx(least_total_slack(X, y), rel=1e-6)


@pytest.mark.parametrize("name", ["iris 1", "moons", "circles", "blobs"])
def test_polynomial_range_is_that_of_its_features(name):
    X, y = load(name)
    model = BudgetSVC(kernel="poly", degree=2, gamma=1, coef0=1)
    least, _ = model.feasible_budget(X, y)
    assert least[0] == pytest.approx(least_total_slack(second_degree_map(X), y), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", ["iris 1", "moons"])
def test_stored_kernel_values_have_the_same_range(name):
    X, y = load(name)
    least, _ = BudgetSVC(kernel="precomputed").feasible_budget(X @ X.T, y)
    assert least[0] == pytest.approx(least_total_slack(X, y), rel=1e-3)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_cholesky_features_have_the_rank_and_the_values_of_the_kernel(degree):
    X = np.random.RandomState(0).randn(80, 2)
    kernel = Kernel("poly", {"gamma": 1.0, "degree": degree, "coef0": 1.0})
    K = (1.0 + X @ X.T) ** degree
    phi = pivoted_cholesky(kernel.source(X), 60, 1e-10)
    # The number of monomials of two variables up to the degree.
    assert phi.shape == (80, (degree + 1) * (degree + 2) // 2)
    np.testing.assert_allclose(phi @ phi.T, K, atol=1e-8 * K.max())


def test_full_rank_and_too_many_features_have_none():
    X = np.random.RandomState(0).randn(30, 3)
    assert pivoted_cholesky(GramSource(np.eye(30) + X @ X.T), 500, 1e-10) is None
    assert pivoted_cholesky(GramSource((1.0 + X @ X.T) ** 2), 9, 1e-10) is None


def conflicting(seed):
    """Points on a small grid, so that many coincide, with labels and weights at random."""
    random = np.random.RandomState(seed)
    X = random.randint(0, 4, size=(60, 2)).astype(float)
    return X, random.choice([-1.0, 1.0], 60), random.choice([0.5, 1.0, 2.0], 60)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian"])
@pytest.mark.parametrize("seed", range(3))
def test_only_equal_points_of_different_classes_cost_slack_under_a_definite_kernel(kernel, seed):
    X, y, s = conflicting(seed)
    expected = 0.0
    for point in {tuple(row) for row in X}:
        here = (point == X).all(axis=1)
        # f is one number here: the cheapest is at +1 or -1, where the lighter class pays 2 each.
        costs = [s[here] @ np.maximum(0.0, 1.0 - y[here] * f) for f in np.linspace(-2, 2, 81)]
        expected += min(costs)
    assert expected > 0
    least, _ = BudgetSVC(kernel=kernel).feasible_budget(X, y, sample_weight=s)
    assert least[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_conflicting_points_can_be_fitted_down_to_the_least_budget_and_no_further(seed):
    X, y, s = conflicting(seed)
    options = {"kernel": "rbf", "gamma": 1.0, "infeasible": "raise"}
    least = BudgetSVC(**options).feasible_budget(X, y, sample_weight=s)[0][0]
    model = BudgetSVC(C=1.01 * least, **options).fit(X, y, sample_weight=s)
    assert s @ model.slack_[0] == pytest.approx(1.01 * least, rel=1e-3)
    with pytest.raises(ValueError, match="infeasible"):
        BudgetSVC(C=0.99 * least, **options).fit(X, y, sample_weight=s)


@pytest.mark.parametrize("name", ["moons", "blobs", "iris 1", "circles"])
def test_below_the_least_budget_no_fit_is_called_optimal(name):
    X, y = load(name)
    least = least_total_slack(X, y)
    for share in (0.0, 0.5, 0.99):
        model = BudgetSVC(C=share * least, kernel="linear", infeasible="raise", max_iter=5000)
        with pytest.raises(ValueError, match="infeasible"):
            model.fit(X, y)


@pytest.mark.parametrize("name", ["moons", "blobs", "iris 1", "circles"])
def test_below_the_least_budget_no_end_of_pair_steps_is_called_optimal(name):
    """Few of them do not get to the largest cost within reach: that alone may be all that is said."""
    X, y = load(name)
    least = least_total_slack(X, y)
    for share in (0.0, 0.5, 0.99):
        model = BudgetSVC(C=share * least, kernel="linear", infeasible="raise", solver="smo", max_iter=5000)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                model.fit(X, y)
            except ValueError as error:
                assert "infeasible" in str(error)
            else:
                assert [warning.category for warning in caught] == [ConvergenceWarning]


@pytest.mark.parametrize("name", ["moons", "blobs", "iris 1"])
def test_relaxed_fit_has_the_least_total_slack_and_is_the_solution_of_its_cost(name):
    X, y = load(name)
    least = least_total_slack(X, y)
    with pytest.warns(UserWarning, match="infeasible"):
        model = BudgetSVC(C=0.5 * least, kernel="linear").fit(X, y)
    slack = np.maximum(0.0, 1.0 - y * model.decision_function(X)).sum()
    assert least * (1 - 1e-9) <= slack <= least * (1 + 1e-3)
    # At the largest cost within reach K beta is rounded to 1e-8.
    assert model.budget_[0] == pytest.approx(slack, rel=1e-7)
    # The relative gap of the problem with this cost, from its definition.
    w, lam = model.coef_[0], model.cost_[0]
    primal, dual = 0.5 * w @ w + lam * slack, np.abs(model.dual_coef_).sum() - 0.5 * w @ w
    assert abs(primal - dual) <= 1e-3 * primal
    assert np.abs(model.dual_coef_).max() <= lam * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_least_slack_of_a_linear_regression_is_that_of_the_primal_programme(seed, epsilon):
    random = np.random.RandomState(seed)
    X, s = random.randn(40, 3), weights(40, seed)
    y = X[:, 0] + random.randn(40)
    # min s'(e + e*) over w, b and slacks e, e* >= 0 that keep |y - Xw - b| <= epsilon + slack.
    hyperplane = np.column_stack([X, np.ones(40)])
    rows = np.block([[-hyperplane, -np.eye(40), np.zeros((40, 40))], [hyperplane, np.zeros((40, 40)), -np.eye(40)]])
    bounds = [(None, None)] * 4 + [(0, None)] * 80
    answer = linprog(np.r_[np.zeros(4), s, s], A_ub=rows, b_ub=np.r_[epsilon - y, epsilon + y], bounds=bounds)
    problem = regression(Kernel("linear").source(X), y, s, epsilon)
    assert least_budget(problem) == pytest.approx(answer.fun, rel=1e-6)
    assert least_budget(problem, small=79) is None


def test_equal_points_with_different_values_cost_slack_under_a_definite_kernel():
    X, y = np.array([[0.0], [0.0], [0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 5.0, 3.0, -1.0])
    problem = regression(Kernel("rbf", {"gamma": 1.0}).source(X), y, np.ones(5), 0.25)
    # Of 0, 1 and 5 the value 1 is the cheapest: it pays 0.75 and 3.75.
    assert least_budget(problem) == pytest.approx(4.5)


def test_separable_and_trivial_extremes():
    X, y = make_blobs(40, centers=[[-5, 0], [5, 0]], random_state=0)
    y = np.where(y, 1.0, -1.0)
    problem = classification(Kernel("linear").source(X), y, np.ones(40))
    assert least_budget(problem) == pytest.approx(0.0, abs=1e-9)
    # Two classes with the same points: no hyperplane is better than none.
    twice = np.vstack([X, X])
    labels = np.repeat([-1.0, 1.0], 40)
    same = classification(Kernel("linear").source(twice), labels, np.ones(80))
    assert least_budget(same) == pytest.approx(same.largest_budget, rel=1e-9)


def test_a_kernel_that_is_positive_on_balanced_duals_alone_has_the_least_budget_of_its_centred_matrix():
    """Minus the squared distance: twice the inner products, as far as duals that add up to zero can tell."""
    random = np.random.RandomState(0)
    X = random.randn(60, 2)
    y = np.where(X[:, 0] + 0.5 * random.randn(60) > 0, 1.0, -1.0)
    distances = -np.square(X[:, None] - X).sum(axis=2)
    expected = least_budget(classification(GramSource(2.0 * X @ X.T), y, np.ones(60)))
    assert 0 < expected < 2 * min((y > 0).sum(), (y < 0).sum())
    assert least_budget(classification(GramSource(distances), y, np.ones(60))) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", ["moons", "blobs", "iris 1", "circles"])
@pytest.mark.parametrize("share", [1e4, 1.0, 1e-6])
def test_what_duals_show_of_the_least_budget_is_never_more_than_it_and_all_of_it_at_a_large_cost(name, share):
    X, y = load(name)
    problem = classification(Kernel.of("linear", gamma=None, degree=None, coef0=None).source(X), y, np.ones(len(y)))
    spread = np.var(X, axis=0).sum()
    solution = solve(problem.with_cost(share / spread), tol=1e-9)
    shown = least_slack_shown(X, problem.linear, problem.bound, solution.beta, solution.lam)
    least = least_total_slack(X, y)
    assert shown <= least * (1 + 1e-9)
    assert is_least(solution.budget, shown) == (share == 1e4)
    if share == 1e4:
        assert solution.budget == pytest.approx(least, rel=1e-8)
        # More slack than that is not the least.
        assert not is_least(1.001 * least + 1e-6, shown)
    # Duals with an error show less, or nothing.
    random = np.random.RandomState(0)
    spoilt = solution.beta * (1.0 + 0.01 * random.randn(len(y)))
    assert least_slack_shown(X, problem.linear, problem.bound, spoilt, solution.lam) <= least * (1 + 1e-9)


def in_many_features(n, d, seed):
    """A linear problem of noisy classes, and its C_min by a linear programme."""
    X, y = make_classification(n, d, n_informative=d // 2, n_redundant=0, flip_y=0.2, random_state=seed)
    signs = np.where(y == 1, 1.0, -1.0)
    problem = classification(Kernel.of("linear", gamma=None, degree=None, coef0=None).source(X), signs, np.ones(n))
    return problem, least_budget(problem)


@pytest.mark.parametrize(("n", "d", "seed"), [(500, 100, 0), (357, 64, 1), (200, 40, 1)])
def test_an_infeasible_budget_in_many_features_is_told_without_a_linear_programme(monkeypatch, n, d, seed):
    problem, least = in_many_features(n, d, seed)
    monkeypatch.setattr("sklearn_svmdl.dual.feasibility.linprog", None)
    solution = solve(problem.with_budget(0.5 * least))
    assert solution.status is Status.INFEASIBLE_BUDGET
    assert solution.least_budget == pytest.approx(least, rel=1e-9)
    assert solution.budget == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_budget_between_the_least_and_that_of_the_largest_cost_is_not_called_infeasible(seed):
    problem, least = in_many_features(200, 40, seed)
    budget = 0.5 * (least + solve(problem.with_budget(0.5 * least)).budget)
    assert least < budget
    solution = solve(problem.with_budget(budget), tol=1e-8)
    assert solution.status is Status.OPTIMAL and solution.budget == budget
    shown = solution.beyond(budget, least)
    assert shown.status is Status.OUT_OF_REACH and shown.least_budget == least
    assert solution.beyond(0.999 * least, least).status is Status.INFEASIBLE_BUDGET
