"""Less budget never gives a wider margin, on separable, noisy, infeasible and out-of-reach problems alike.

Independent evidence: order alone; libsvm; the least total slack and the maximal margin by HiGHS and SLSQP; the same
kernel values from another source.
"""

from functools import cache
from itertools import combinations_with_replacement

import numpy as np
import pytest
from blocks import at
from reference import budget_primal, least_total_slack
from sklearn.datasets import load_breast_cancer, make_classification, make_moons
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_svmdl import BudgetSVC, BudgetWarning
from sklearn_svmdl.dual.path import walk
from sklearn_svmdl.dual.problem import BEYOND_REACH, Status, classification
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.kernels import Kernel


def some_rows(X, y, n):
    """n random rows."""
    rows = np.random.RandomState(0).permutation(len(y))[:n]
    return X[rows], y[rows]


@cache
def samples(name):
    """Noisy sets of 200 to 300 samples."""
    random = np.random.RandomState(0)
    if name == "moons":
        return make_moons(250, noise=0.4, random_state=1)
    if name == "flipped":
        return make_classification(250, 4, flip_y=0.3, random_state=2)
    if name == "line":
        x = random.randn(200, 1)
        return x, x[:, 0] + random.randn(200) > 0
    if name == "breast cancer":
        X, y = load_breast_cancer(return_X_y=True)
        return some_rows(StandardScaler().fit_transform(X[:, :2]), y, 250)
    return make_classification(300, 10, n_informative=5, flip_y=0.2, class_sep=0.5, random_state=3)


SETS = [
    ("moons", "rbf"),
    ("flipped", "rbf"),
    ("flipped", "linear"),
    ("line", "poly"),
    ("breast cancer", "poly"),
    ("ten features", "poly"),
]
sets = pytest.mark.parametrize("name, kernel", SETS)
SHARES = np.linspace(0.95, 0.0, 40)


def kernel_of(kernel, X):
    """The kernel with the gamma of "scale"."""
    return Kernel.of(kernel, gamma=1.0 / (X.shape[1] * X.var()), degree=3, coef0=1.0)


@cache
def problem_of(name, kernel):
    """The problem without a budget, and its kernel matrix."""
    X, y = samples(name)
    source = kernel_of(kernel, X).source(X)
    return classification(source, np.where(y, 1.0, -1.0), np.ones(len(y))), source.stored().gram


@cache
def solutions_of(name, kernel, way):
    """The solutions for 40 budgets from .95 C_max to 0, each from nothing or along a path."""
    problem, _ = problem_of(name, kernel)
    budgets = SHARES * problem.largest_budget
    if way == "path":
        return walk(at(problem, budgets))
    return [solve(problem.with_budget(budget)) for budget in budgets]


def decisions(gram, solution):
    """f at all samples."""
    return gram @ solution.beta + solution.intercept


@sets
@pytest.mark.parametrize("way", ["each", "path"])
def test_margin_never_rises_as_the_budget_falls(name, kernel, way):
    solutions = solutions_of(name, kernel, way)
    margins = np.array([solution.margin for solution in solutions])
    assert np.isfinite(margins).all()
    assert (margins[1:] <= margins[:-1] * (1.0 + 1e-6)).all()


@sets
@pytest.mark.parametrize("way", ["each", "path"])
def test_total_slack_never_rises_with_the_multiplier_nor_with_a_smaller_budget(name, kernel, way):
    problem, gram = problem_of(name, kernel)
    solutions = solutions_of(name, kernel, way)
    slack = np.array([np.maximum(0.0, 1.0 - problem.linear * decisions(gram, one)).sum() for one in solutions])
    lam = np.array([solution.lam for solution in solutions])
    tolerance = 1e-6 * problem.largest_budget
    assert np.diff(slack).max() <= tolerance
    assert np.diff(slack[np.argsort(lam, kind="stable")]).max() <= tolerance


@sets
@pytest.mark.parametrize("way", ["each", "path"])
def test_every_budget_gets_an_answer_and_none_is_a_softer_model_than_a_larger_one(name, kernel, way):
    """What a budget beyond reach falls back to has no more slack than any budget that is kept."""
    problem, _ = problem_of(name, kernel)
    solutions = solutions_of(name, kernel, way)
    assert {solution.status for solution in solutions} <= {Status.OPTIMAL, *BEYOND_REACH}
    beyond = [solution for solution in solutions if solution.status in BEYOND_REACH]
    kept = [solution for solution in solutions if solution.status is Status.OPTIMAL]
    least = min(solution.budget for solution in kept)
    for solution in beyond:
        assert problem.weight @ solution.slack <= least * (1.0 + 1e-6)
    # Once one is beyond reach, so are all that ask for less.
    assert solutions == kept + beyond


def monomials(X, degree=3):
    """All products of up to `degree` features: what the polynomial kernel's hyperplanes are linear in."""
    columns = [
        X[:, list(chosen)].prod(axis=1)
        for size in range(1, degree + 1)
        for chosen in combinations_with_replacement(range(X.shape[1]), size)
    ]
    return StandardScaler().fit_transform(np.column_stack(columns))


@pytest.mark.parametrize("name, kernel", [pair for pair in SETS if pair[1] != "rbf" and pair[0] != "ten features"])
def test_infeasible_budgets_get_the_least_total_slack_there_is(name, kernel):
    (X, _), (problem, _) = samples(name), problem_of(name, kernel)
    least = least_total_slack(X if kernel == "linear" else monomials(X), problem.linear)
    solution = solutions_of(name, kernel, "each")[-1]
    assert solution.status is Status.INFEASIBLE_BUDGET
    assert solution.budget == pytest.approx(least, abs=1e-3 * problem.largest_budget)
    assert solution.least_budget == pytest.approx(least, abs=1e-6 * problem.largest_budget)


@cache
def slack_of_libsvm(name, kernel):
    """The total slack that libsvm leaves at a cost of 1e4 over the spread of the kernel values."""
    problem, gram = problem_of(name, kernel)
    spread = np.diagonal(gram).mean() - gram.mean()
    model = SVC(C=1e4 / spread, kernel="precomputed", tol=1e-6).fit(gram, problem.linear)
    return np.maximum(0.0, 1.0 - problem.linear * model.decision_function(gram)).sum()


@sets
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_beyond_reach_there_is_no_more_slack_than_libsvm_leaves_at_a_large_cost(name, kernel, share):
    problem, gram = problem_of(name, kernel)
    solution = solve(problem.with_budget(share * problem.largest_budget))
    slack = np.maximum(0.0, 1.0 - problem.linear * decisions(gram, solution)).sum()
    if solution.status in BEYOND_REACH:
        assert slack <= slack_of_libsvm(name, kernel) + 0.01 * problem.largest_budget
    else:
        assert solution.status is Status.OPTIMAL
        assert slack == pytest.approx(share * problem.largest_budget, rel=2e-3, abs=2e-3)


@sets
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3, 0.8])
@pytest.mark.parametrize("read", ["precomputed", "callable"])
def test_the_same_kernel_values_from_another_source_give_the_same_solution(name, kernel, share, read):
    (X, _), (problem, gram) = samples(name), problem_of(name, kernel)
    named = kernel_of(kernel, X)
    source = Kernel("precomputed").source(gram) if read == "precomputed" else Kernel(lambda A, B: named(A, B)).source(X)
    budget = share * problem.largest_budget
    first = solve(problem.with_budget(budget))
    second = solve(classification(source, problem.linear, problem.weight, budget=budget))
    assert first.status is second.status
    f, g = decisions(gram, first), decisions(gram, second)
    np.testing.assert_allclose(g, f, atol=1e-6 * np.abs(f).max())
    assert second.budget == pytest.approx(first.budget, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["flipped", "line", "breast cancer", "moons"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.98])
def test_the_margin_of_a_linear_problem_is_that_of_its_hyperplane(name, share):
    """w is the sum of the samples times their duals: 1 / |w| is the margin, whatever digits the duals' sums lose."""
    X, y = samples(name)
    model = BudgetSVC(C=share, unit="relative", kernel="linear")
    if share < 0.5:
        with pytest.warns(BudgetWarning):
            model.fit(X, y)
    else:
        model.fit(X, y)
    assert model.margin_[0] == pytest.approx(1.0 / np.linalg.norm(model.coef_[0]), rel=1e-3)


@sets
@pytest.mark.parametrize("share", [0.0, 0.1])
@pytest.mark.parametrize("read", ["precomputed", "callable"])
def test_the_margin_is_finite_below_the_largest_budget(name, kernel, share, read):
    (X, _), (problem, gram) = samples(name), problem_of(name, kernel)
    named = kernel_of(kernel, X)
    source = Kernel("precomputed").source(gram) if read == "precomputed" else Kernel(lambda A, B: named(A, B)).source(X)
    budget = share * problem.largest_budget
    solution = solve(classification(source, problem.linear, problem.weight, budget=budget))
    assert np.ptp(decisions(gram, solution)) > 0.1
    assert np.isfinite(solution.margin)


# No slack at all


def separable(seed, d, n=40):
    """Classes with a gap between them."""
    random = np.random.RandomState(seed)
    X, w = random.randn(n, d), random.randn(d)
    y = np.where(X @ w > 0, 1.0, -1.0)
    return X + 0.2 * y[:, None] * w / np.linalg.norm(w), y


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_no_budget_on_separable_classes_is_the_maximal_margin(seed, d, scale):
    X, y = separable(seed, d)
    model = BudgetSVC(C=0, kernel="linear").fit(scale * X, y)
    assert model.margin_[0] == pytest.approx(scale * budget_primal(X, y, 0.0).margin, rel=1e-6)
    margins = y * model.decision_function(scale * X)
    assert margins.min() >= 1.0 - 1e-6
    np.testing.assert_allclose(margins[model.support_], 1.0, atol=1e-6)
    # The least distance from the hyperplane is the margin.
    assert margins.min() / np.linalg.norm(model.coef_[0]) == pytest.approx(model.margin_[0], rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_no_budget_with_a_polynomial_kernel_is_the_maximal_margin_of_its_features(seed):
    random = np.random.RandomState(seed)
    X = random.randn(30, 2)
    y = np.where((X**2).sum(axis=1) > 1.4, 1.0, -1.0)
    X *= np.where(y > 0, 1.15, 0.87)[:, None]
    model = BudgetSVC(C=0, kernel="poly", degree=2, gamma=1.0, coef0=1.0).fit(X, y)
    a, b = X.T
    root = np.sqrt(2.0)
    features = np.column_stack([np.ones(30), root * a, root * b, a * a, root * a * b, b * b])
    assert model.margin_[0] == pytest.approx(budget_primal(features, y, 0.0).margin, rel=1e-6)
    np.testing.assert_allclose((y * model.decision_function(X))[model.support_], 1.0, atol=1e-6)


# So close to C_min the multiplier on breast cancer is beyond what doubles can tell the duality gap at.
NEAR_LEAST = [
    (name, d, excess)
    for name, d in [("line", 1), ("flipped", 4), ("breast cancer", 2), ("ten features", 10)]
    for excess in (1e-9, 1e-6, 1e-3)
    if (name, excess) != ("breast cancer", 1e-9)
]


@pytest.mark.parametrize("name, d, excess", NEAR_LEAST)
def test_the_least_budget_of_a_linear_problem_is_kept(name, d, excess):
    X, y = samples(name)
    least, largest = BudgetSVC(kernel="linear").feasible_budget(X, y)
    assert least[0] == pytest.approx(least_total_slack(X, np.where(y, 1.0, -1.0)), rel=1e-9)
    budget = least[0] * (1.0 + excess)
    assert X.shape[1] == d and 0 < budget < largest[0]
    model = BudgetSVC(C=budget, kernel="linear").fit(X, y)
    slack = np.maximum(0.0, 1.0 - np.where(y, 1.0, -1.0) * model.decision_function(X)).sum()
    assert slack == pytest.approx(budget, rel=1e-6)
    assert model.budget_[0] == pytest.approx(budget, rel=1e-6)
