"""Problems on which support vector solvers hang, and random ones: a fit ends soon and says how good it is.

Independent evidence: gaps, slacks and optimality conditions are recomputed from the fitted model and the
whole Gram matrix; the work of a fit is counted, because tests may share a machine.
"""

import warnings

import numpy as np
import pytest
from reference import least_total_slack
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetWarning, InfeasibleBudgetError
from sklearn_svmdl.dual.problem import BEYOND_REACH, Status, classification
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.kernels import GramSource, Kernel

# Iterations of a binary problem: pivots and interior steps are a few hundred at most, at O(n^3) each; where they leave
# no certificate, at most so many pair steps follow, at O(n) each. Where even these leave none, all is tried once more
# with a smaller largest cost.
MOST_STEPS, MOST_PAIR_STEPS = 500, 20_000


def fit(X, y, **options):
    """The model and its warnings; only warnings about budget and limit may come."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = BudgetSVC(**options).fit(X, y)
    assert {warning.category for warning in caught} <= {ConvergenceWarning, BudgetWarning}
    return model, caught


def check_honest(model, caught):
    assert (model.n_iter_ <= 2 * (MOST_STEPS + MOST_PAIR_STEPS)).all()
    assert np.isfinite(model.duality_gap_).all()
    for attribute in (model.dual_coef_, model.intercept_, model.cost_, model.margin_):
        assert np.isfinite(attribute).all()
    assert (model.cost_ > 0).all() and (model.margin_ > 0).all()
    stopped = [warning for warning in caught if warning.category is ConvergenceWarning]
    if stopped:
        worst = model.duality_gap_[np.argmax(np.abs(model.duality_gap_))]
        assert f"duality gap {worst:.3g}" in str(stopped[0].message)
    else:
        assert (np.abs(model.duality_gap_) <= 1e-3).all()


@pytest.mark.parametrize("solver", ["auto", "smo"])
@pytest.mark.parametrize("C", [0, 0.01, 0.2, 0.5, 1.9])
def test_two_points_far_from_the_origin(C, solver):
    X, y = np.array([[1.0, 99999.0], [2.0, 99999.0]]), np.array([0, 1])
    model, caught = fit(X, y, C=C, kernel="poly", degree=2, gamma="auto", solver=solver)
    check_honest(model, caught)
    # Squared distance of the images, exactly: (a / 2 + 1)^2 + (b / 2 + 1)^2 - 2 (c / 2 + 1)^2.
    a, b, c = (1 + 99999**2, 4 + 99999**2, 2 + 99999**2)
    squared = ((a + 2) ** 2 + (b + 2) ** 2 - 2 * (c + 2) ** 2) / 4
    # Two points give up the same slack e each: |w| |phi - phi'| = 2 (1 - e).
    expected = np.sqrt(squared) / (2 - C)
    # The kernel values, 2.5e19, have a spacing of 4096; the squared distance is 5e9.
    assert model.margin_[0] == pytest.approx(expected, rel=1e-5)
    assert not caught


# Pair steps alone do not get to the end of the next two at defaults: with fewer of them they must say so.
SOLVERS = [{"solver": "auto"}, {"solver": "smo", "max_iter": 10_000}]


@pytest.mark.parametrize("solver", SOLVERS, ids=["auto", "smo"])
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.02, 0.1, 0.4])
def test_iris_with_a_polynomial_of_degree_seven_and_a_huge_gamma(fraction, solver):
    X, y = load_iris(return_X_y=True)
    options = dict(C=fraction, unit="relative", kernel="poly", degree=7, gamma=4178.0, **solver)
    for first, second in [(0, 1), (0, 2), (1, 2)]:
        pair = (y == first) | (y == second)
        model, caught = fit(X[pair], y[pair], **options)
        check_honest(model, caught)
        if not caught:
            assert np.sum(model.predict(X[pair]) != y[pair]) <= fraction * 100 + 0.1
    if solver["solver"] == "auto":
        check_honest(*fit(X, y, **options))


@pytest.mark.parametrize("solver", SOLVERS, ids=["auto", "smo"])
@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.05, 0.075, 0.1, 0.2, 0.5])
def test_breast_cancer_without_scaling(fraction, solver):
    X, y = load_breast_cancer(return_X_y=True)
    options = dict(C=fraction, unit="relative", kernel="linear", **solver)
    model, caught = fit(X, y, **options)
    check_honest(model, caught)
    for warning in caught:
        if warning.category is ConvergenceWarning:
            assert "scales of the features differ" in str(warning.message)
    if not caught:
        signed = np.where(y == 1, 1.0, -1.0)
        slack = np.maximum(0.0, 1.0 - signed * model.decision_function(X)).sum()
        assert slack == pytest.approx(fraction * 2 * 212, rel=1e-2, abs=0.5)


@pytest.mark.parametrize("fraction", [0.075, 0.1, 0.2, 0.5])
def test_breast_cancer_without_scaling_is_solved_at_defaults(fraction):
    X, y = load_breast_cancer(return_X_y=True)
    model, caught = fit(X, y, C=fraction, unit="relative", kernel="linear")
    assert not caught
    assert abs(model.duality_gap_[0]) <= 1e-3
    assert model.n_iter_[0] <= MOST_STEPS


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.05])
def test_a_budget_beyond_numerical_reach_is_not_called_infeasible(fraction):
    """A hyperplane separates the classes, as the primal linear programme confirms on scaled features.

    What is fitted instead is the solution of a cost, as hard as one within reach: its own certificate holds, and its
    slack is less than at a hundredth of the cost.
    """
    X, y = load_breast_cancer(return_X_y=True)
    signed = np.where(y == 1, 1.0, -1.0)
    assert least_total_slack((X - X.mean(axis=0)) / X.std(axis=0), signed) <= 1e-6
    options = dict(C=fraction, unit="relative", kernel="linear")
    model, caught = fit(X, y, **options)
    assert [warning.category for warning in caught] == [BudgetWarning]
    assert "out of numerical reach" in str(caught[0].message)
    asked, kept = fraction * 2 * 212, model.budget_[0]
    slack = np.maximum(0.0, 1.0 - signed * model.decision_function(X)).sum()
    assert asked < kept and slack == pytest.approx(kept, rel=1e-6)
    # The relative gap of the problem with this cost.
    w = model.coef_[0]
    primal = 0.5 * w @ w + model.cost_[0] * slack
    dual = np.abs(model.dual_coef_).sum() - 0.5 * w @ w
    assert abs(primal - dual) <= 1e-3 * primal
    problem = classification(Kernel("linear").source(X), signed, np.ones(len(y)))
    assert solve(problem.with_cost(0.01 * model.cost_[0])).slack.sum() > kept
    with pytest.raises(InfeasibleBudgetError, match="out of numerical reach"):
        BudgetSVC(infeasible="raise", **options).fit(X, y)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.05, 0.075])
def test_pair_steps_that_end_early_do_not_call_a_budget_infeasible(fraction):
    X, y = load_breast_cancer(return_X_y=True)
    options = dict(C=fraction, unit="relative", kernel="linear", infeasible="raise", solver="smo", max_iter=10_000)
    model, caught = fit(X, y, **options)
    assert BudgetWarning not in {warning.category for warning in caught}
    assert model.budget_[0] == pytest.approx(fraction * 2 * 212)


# Random problems

KERNELS = ("rbf", "linear", "poly")


def random_problem(seed):
    """Size, dimension, noise, kernel, weights and budget at random."""
    random = np.random.RandomState(seed)
    kernel = KERNELS[seed % 3]
    n, d = random.randint(20, 600), random.randint(1, 15)
    X = random.randn(n, d)
    f = X @ random.randn(d) + 0.5 * (X**2).sum(axis=1) - 0.5 * d + random.uniform(0.1, 2.0) * random.randn(n)
    y = np.where(f > np.quantile(f, random.uniform(0.2, 0.8)), 1.0, -1.0)
    weight = random.choice([0.3, 1.0, 2.0], n) if seed % 2 else np.ones(n)
    params = {"gamma": random.choice([0.3, 1.0, 3.0]) / d, "degree": 2 + seed % 2, "coef0": 1.0}
    K = pairwise_kernels(X, metric=kernel, filter_params=True, **params)
    problem = classification(GramSource(K), y, weight)
    return problem.with_budget(random.choice([0.0, 0.05, 0.2, 0.5, 0.8, 0.95]) * problem.largest_budget)


def recomputed_gap(problem, solution):
    """(Primal - dual objective) / (|w|^2 / 2) of duals that are checked to be feasible, and the budget error."""
    K, y, s, beta = problem.source.gram, problem.linear, problem.weight, solution.beta
    magnitude, lam = y * beta, solution.lam
    largest = np.abs(beta).max()
    assert magnitude.min() >= -1e-9 * largest and (magnitude - lam * s).max() <= 1e-9 * largest
    assert abs(beta.sum()) <= 1e-9 * np.abs(beta).sum()
    slack = np.maximum(0.0, 1.0 - y * (K @ beta + solution.intercept))
    half = 0.5 * beta @ K @ beta
    primal = half + lam * (s @ slack - solution.budget)
    dual = y @ beta - half - lam * solution.budget
    return (primal - dual) / half, abs(s @ slack - solution.budget) / max(solution.budget, s.min())


def test_random_problems_are_solved_or_said_not_to_be():
    counts = {"solved": 0, "to 1e-8": 0, "beyond": 0, "stopped": 0}
    for seed in range(42):
        problem = random_problem(seed)
        solution = solve(problem, tol=1e-6, max_iter=20_000)
        if solution.status is Status.MAX_ITER:
            counts["stopped"] += 1
            continue
        gap, budget_error = recomputed_gap(problem, solution)
        assert budget_error <= 1.1e-6, seed
        if solution.status is Status.OPTIMAL:
            # The reported gap is the true one up to the rounding of the objectives.
            assert gap == pytest.approx(solution.duality_gap, abs=1e-7), seed
            assert gap <= 1e-5, seed
            assert solution.n_iter <= MOST_STEPS, seed
            counts["solved"] += 1
            counts["to 1e-8"] += bool(gap <= 1e-8 and budget_error <= 1e-8)
        else:
            # What is returned is the solution of a cost, with its own slack for a budget.
            assert solution.status in BEYOND_REACH
            assert solution.budget > problem.budget, seed
            assert (problem.budget < solution.least_budget) == (solution.status is Status.INFEASIBLE_BUDGET), seed
            assert solution.least_budget <= solution.budget * (1 + 1e-9), seed
            assert abs(solution.duality_gap) <= 1e-6, seed
            squared = 0.5 * solution.norm**2
            assert gap * squared <= 2e-6 * (squared + solution.lam * solution.budget), seed
            counts["beyond"] += 1
    assert counts["stopped"] <= 2
    assert counts["solved"] >= 25
    assert counts["to 1e-8"] >= 0.95 * counts["solved"]


@pytest.mark.parametrize("n", [60, 300, 700, 2000])
@pytest.mark.parametrize("seed", range(3))
def test_no_slack_at_all_is_the_maximal_margin_without_a_warning(n, seed):
    """Separable samples, some of them close to the boundary: rounding makes a slack of 1e-12 of what costs nothing."""
    random = np.random.RandomState(seed)
    X = random.randn(n, 8)
    y = np.where(X @ random.randn(8) > 0, 1, -1)
    model = BudgetSVC(C=0, kernel="linear").fit(X, y)
    assert model.budget_ == 0
    assert (y * model.decision_function(X)).min() == pytest.approx(1, abs=1e-6)
    # Feasible, and as long as its dual: no other hyperplane is shorter.
    squared_norm = (model.coef_**2).sum()
    assert np.abs(model.dual_coef_).sum() == pytest.approx(squared_norm, rel=1e-5)
    assert model.dual_coef_.sum() == pytest.approx(0, abs=1e-6 * squared_norm)


@pytest.mark.parametrize("order", [1, 5])
def test_a_linear_budget_that_nothing_keeps_takes_few_iterations_in_any_order_of_the_rows(order):
    X, y = make_classification(48_531, 3, n_informative=3, n_redundant=0, flip_y=0.1, random_state=8966)
    rows = np.random.default_rng(order).permutation(len(y))
    with pytest.warns(BudgetWarning, match="infeasible|reach"):
        model = BudgetSVC(kernel="linear", C=0.01335, unit="relative").fit(X[rows], y[rows])
    assert model.duality_gap_[0] <= 1e-5 and model.n_iter_[0] <= 2_000


def test_the_budget_of_a_cost_next_to_the_least_slack_takes_few_iterations():
    """Of so many samples a cost of 1 leaves hardly more slack than any larger one: many a lam seems right."""
    options = {"n_informative": 10, "n_redundant": 5, "flip_y": 0.1, "random_state": 0}
    X, y = make_classification(100_000, 30, **options)
    X = StandardScaler().fit_transform(X)
    bought = BudgetSVC(kernel="linear", C=1, unit="cost").fit(X, y)
    model, caught = fit(X, y, kernel="linear", C=bought.budget_[0])
    assert not caught
    assert model.duality_gap_[0] <= 1e-6 and model.n_iter_[0] <= 500
    np.testing.assert_allclose(model.coef_, bought.coef_, atol=1e-3 * np.abs(bought.coef_).max())


@pytest.mark.parametrize("n", [80, 755, 3000])
@pytest.mark.parametrize("seed", range(3))
def test_classes_that_no_hyperplane_tells_apart_get_the_constant(n, seed):
    """One class around the other: every direction costs more slack than none, whatever slack costs."""
    random = np.random.RandomState(seed)
    X = random.randn(n, 5)
    y = np.where(np.abs(X[:, 0]) < 0.5, 1, -1)
    # The means are the same, so that w = 0 is a solution with equal duals of the larger class.
    X = np.vstack([X, -X])
    y = np.concatenate([y, y])
    largest = 2.0 * min(np.sum(y > 0), np.sum(y < 0))
    with pytest.warns(BudgetWarning, match="infeasible|reach"):
        model = BudgetSVC(kernel="linear", C=0.5, unit="relative").fit(X, y)
    assert model.budget_[0] == pytest.approx(largest, rel=1e-4)
    assert np.linalg.norm(model.coef_) <= 1e-4 and model.n_iter_[0] <= 150
    assert (model.predict(X) == -1).all()


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5])
def test_the_constant_is_as_exact_as_other_solutions(seed):
    random = np.random.RandomState(seed)
    X = random.randn(300, 5)
    y = np.where(np.floor(np.abs(2.0 * X[:, 0])) % 2 == 0, 1, -1)
    with pytest.warns(BudgetWarning, match="infeasible|reach"):
        model = BudgetSVC(kernel="linear", C=0.5, unit="relative").fit(X, y)
    assert model.budget_[0] == pytest.approx(2.0 * min(np.sum(y > 0), np.sum(y < 0)), rel=1e-6)
    assert model.duality_gap_[0] <= 1e-6 and model.n_iter_[0] <= 150


@pytest.mark.parametrize("fold, share", [(1, 0.0159), (3, 0.0282)])
def test_balanced_classes_under_a_nearly_diagonal_kernel_take_few_iterations(fold, share):
    """An exact solution is tried where next to none stand wrong, and never twice from the same sides."""
    options = {"flip_y": 0.05, "class_sep": 0.8, "random_state": 7}
    X, y = make_classification(2000, 20, n_informative=10, n_redundant=5, **options)
    X = StandardScaler().fit_transform(X)
    rows = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y))[fold][0]
    least = np.bincount(y[rows]).min()
    rows = np.sort(np.concatenate([rows[y[rows] == label][:least] for label in (0, 1)]))
    model, _ = fit(X[rows], y[rows], C=share, unit="relative", gamma=1.58)
    assert model.duality_gap_[0] <= 1e-6
    assert model.n_iter_[0] <= 80
