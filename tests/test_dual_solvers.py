"""The solvers against other codes and other formulations.

Independent evidence: libsvm solves the C-SVC with the multiplier as its cost, on the same Gram matrix rounded
to single precision, because it keeps no more; SLSQP solves the primal with the hyperplane and the slacks as
variables. Identities of the budget problem (repetition, scaling, translation, reflection, repeated features)
relate fits to each other that share no numbers.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import budget_primal, cost_svm, least_total_slack, second_degree_map, single_precision
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_circles,
    make_classification,
    make_moons,
)
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from sklearn_svmdl import BudgetSVC
from sklearn_svmdl.dual import solve as solve_module
from sklearn_svmdl.dual.buffer import Buffer
from sklearn_svmdl.dual.problem import Status, certify, classification
from sklearn_svmdl.dual.smo import Ascent, ColumnCache, ascend, starting_point
from sklearn_svmdl.dual.solve import block_steps, solve
from sklearn_svmdl.dual.work import Tally, Work
from sklearn_svmdl.dual.working_set import Workspace
from sklearn_svmdl.kernels import GramSource


def pair_of(loader, first, second):
    X, y = loader(return_X_y=True)
    kept = (y == first) | (y == second)
    return X[kept], y[kept] == second


def some_digits():
    X, y = load_digits(return_X_y=True)
    return X[::3], y[::3] >= 5


DATA = {
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": some_digits,
    "wine 0, 1": lambda: pair_of(load_wine, 0, 1),
    "wine 1, 2": lambda: pair_of(load_wine, 1, 2),
    "iris 0, 1": lambda: pair_of(load_iris, 0, 1),
    "iris 1, 2": lambda: pair_of(load_iris, 1, 2),
    "moons": lambda: make_moons(200, noise=0.3, random_state=0),
    "circles": lambda: make_circles(200, noise=0.15, factor=0.5, random_state=0),
    "classification": lambda: make_classification(300, 20, flip_y=0.1, random_state=0),
    "unbalanced": lambda: make_classification(300, 10, weights=[0.85], flip_y=0.1, random_state=1),
}


def load(name):
    """Scaled samples and labels of -1 and +1."""
    X, y = DATA[name]()
    return StandardScaler().fit_transform(X), np.where(y, 1.0, -1.0)


def gram_of(X, kernel):
    params = {"gamma": 1.0 / X.shape[1], "degree": 3, "coef0": 1.0}
    return pairwise_kernels(X, metric=kernel, filter_params=True, **params)


# Data, kernel, budget as a fraction of the largest.
COMBINATIONS = [
    ("breast cancer", "rbf", 0.05),
    ("breast cancer", "rbf", 0.3),
    ("breast cancer", "linear", 0.1),
    ("breast cancer", "poly", 0.2),
    ("digits", "rbf", 0.1),
    ("digits", "rbf", 0.5),
    ("digits", "linear", 0.6),
    ("digits", "poly", 0.1),
    ("wine 0, 1", "rbf", 0.01),
    ("wine 0, 1", "linear", 0.2),
    ("wine 1, 2", "poly", 0.05),
    ("wine 1, 2", "linear", 0.0),
    ("iris 0, 1", "linear", 0.0),
    ("iris 0, 1", "rbf", 0.4),
    ("iris 1, 2", "rbf", 0.1),
    ("iris 1, 2", "poly", 0.3),
    ("iris 1, 2", "linear", 0.15),
    ("moons", "rbf", 0.15),
    ("moons", "rbf", 0.9),
    ("moons", "linear", 0.5),
    ("moons", "poly", 0.25),
    ("circles", "rbf", 0.15),
    ("circles", "poly", 0.4),
    ("classification", "rbf", 0.01),
    ("classification", "linear", 0.4),
    ("classification", "poly", 0.3),
    ("unbalanced", "rbf", 0.2),
    ("unbalanced", "linear", 0.8),
]


@pytest.mark.parametrize("name, kernel, fraction", COMBINATIONS)
def test_decision_is_that_of_libsvm_with_the_multiplier_as_cost(name, kernel, fraction):
    X, y = load(name)
    K = single_precision(gram_of(X, kernel))
    model = BudgetSVC(C=fraction, unit="relative", kernel="precomputed", tol=1e-8).fit(K, y)
    decision, expected = model.decision_function(K), cost_svm(K, y, model.cost_[0])
    assert np.abs(decision - expected).max() <= 1e-7 * np.abs(expected).max()

    budget = fraction * 2 * min((y > 0).sum(), (y < 0).sum())
    slack = np.maximum(0.0, 1.0 - y * decision).sum()
    assert slack == pytest.approx(budget, rel=1e-6, abs=1e-6)
    assert (y * decision < 0).sum() <= budget
    assert model.duality_gap_[0] <= 1e-7


def problem_of(K, y, fraction, weight=None):
    problem = classification(GramSource(K), y, np.ones(len(y)) if weight is None else weight)
    return problem.with_budget(fraction * problem.largest_budget)


@pytest.mark.parametrize(
    "name, kernel, fraction", [row for row in COMBINATIONS if row[1] != "linear" and row[0] != "digits"]
)
def test_pair_steps_and_block_steps_agree(name, kernel, fraction):
    X, y = load(name)
    K = gram_of(X, kernel)
    problem = problem_of(K, y, fraction)
    exact = solve(problem, tol=1e-8)
    pairs = solve(problem, solver="smo", tol=1e-7, max_iter=400_000)
    assert exact.status is Status.OPTIMAL and pairs.status is Status.OPTIMAL
    fits = [K @ solution.beta + solution.intercept for solution in (exact, pairs)]
    assert np.abs(fits[0] - fits[1]).max() <= 1e-5 * np.abs(fits[0]).max()
    assert pairs.margin == pytest.approx(exact.margin, rel=1e-5)


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_weighted_problem_is_that_of_libsvm_with_weighted_costs(fraction):
    X, y = load("unbalanced")
    weight = np.random.RandomState(0).choice([0.3, 1.0, 2.5], len(y))
    K = single_precision(gram_of(X, "rbf"))
    solution = solve(problem_of(K, y, fraction, weight), tol=1e-8)
    expected = cost_svm(K, y, solution.lam, weight)
    assert np.abs(K @ solution.beta + solution.intercept - expected).max() <= 1e-7 * np.abs(expected).max()
    slack = weight @ np.maximum(0.0, 1.0 - y * expected)
    positive = weight[y > 0].sum()
    assert slack == pytest.approx(fraction * 2 * min(positive, weight.sum() - positive), rel=1e-6)


# Tiny problems, primal


@dataclass(frozen=True)
class Tiny:
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    fraction: float

    @property
    def largest(self):
        positive = self.weight[self.y > 0].sum()
        return 2.0 * min(positive, self.weight.sum() - positive)

    @property
    def budget(self):
        """A budget inside the feasible range."""
        least = least_total_slack(self.X, self.y, self.weight)
        return least + self.fraction * (self.largest - least)


def tiny(seed, fraction, n=14, d=2, weighted=True):
    random = np.random.RandomState(seed)
    X = random.randn(n, d)
    y = np.repeat([-1.0, 1.0], [n // 2, n - n // 2])
    X[:, 0] += y
    weight = random.choice([0.5, 1.0, 2.0], n) if weighted else np.ones(n)
    return Tiny(X, y, weight, fraction)


def fit(case, budget=None, **changes):
    X, y = changes.get("X", case.X), changes.get("y", case.y)
    weight = changes.get("weight", case.weight)
    model = BudgetSVC(C=case.budget if budget is None else budget, kernel="linear", tol=1e-9)
    return model.fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.8])
def test_tiny_problem_has_the_objective_and_margin_of_the_primal(seed, fraction):
    case = tiny(seed, fraction)
    expected = budget_primal(case.X, case.y, case.budget, case.weight)
    model = fit(case)
    w = model.coef_[0]
    assert 0.5 * w @ w == pytest.approx(expected.objective, rel=1e-6)
    assert model.margin_[0] == pytest.approx(expected.margin, rel=1e-6)
    np.testing.assert_allclose(w, expected.w, atol=1e-4 * np.linalg.norm(expected.w))


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.8])
def test_polynomial_kernel_has_the_objective_of_the_primal_in_its_features(fraction):
    case = tiny(7, fraction)
    lifted = Tiny(second_degree_map(case.X), case.y, case.weight, fraction)
    expected = budget_primal(lifted.X, lifted.y, lifted.budget, lifted.weight)
    model = BudgetSVC(C=lifted.budget, kernel="poly", degree=2, gamma=1, coef0=1, tol=1e-9)
    model.fit(case.X, case.y, sample_weight=case.weight)
    assert 0.5 / model.margin_[0] ** 2 == pytest.approx(expected.objective, rel=1e-6)


@pytest.mark.parametrize("name, fraction", [("moons", 0.45), ("moons", 0.8), ("iris 0, 1", 0.0), ("wine 1, 2", 0.1)])
def test_explicit_features_and_polynomial_kernel_agree(name, fraction):
    X, y = load(name)
    options = {"C": fraction, "unit": "relative", "tol": 1e-8}
    implicit = BudgetSVC(kernel="poly", degree=2, gamma=1, coef0=1, **options)
    explicit = BudgetSVC(kernel="linear", **options)
    phi = second_degree_map(X)
    decisions = [implicit.fit(X, y).decision_function(X), explicit.fit(phi, y).decision_function(phi)]
    np.testing.assert_allclose(decisions[0], decisions[1], atol=1e-6 * np.abs(decisions[0]).max())
    assert implicit.margin_[0] == pytest.approx(explicit.margin_[0], rel=1e-6)


def test_squares_of_the_features_are_a_kernel():
    X, y = load("iris 1, 2")
    phi = np.hstack([X, X**2])
    K = X @ X.T + (X**2) @ (X**2).T
    linear = BudgetSVC(C=0.2, unit="relative", kernel="linear", tol=1e-8).fit(phi, y)
    kernel = BudgetSVC(C=0.2, unit="relative", kernel="precomputed", tol=1e-8).fit(K, y)
    decision = linear.decision_function(phi)
    np.testing.assert_allclose(kernel.decision_function(K), decision, atol=1e-6 * np.abs(decision).max())
    least = least_total_slack(phi, y)
    assert linear.budget_[0] > least
    # The two-dimensional picture of it: a quadratic boundary through the origin needs the squares.
    assert np.linalg.norm(linear.coef_[0, 4:]) > 0


@pytest.mark.parametrize(
    "seed, fraction, n, weighted",
    [(5319, 0.5, 35, True), (5905, 0.07177246584735059, 38, True), (3179, 0.37231925358184575, 31, False)],
)
def test_block_steps_alone_balance_duals_that_are_nearly_all_at_their_bounds(seed, fraction, n, weighted):
    """In one dimension the optimum has one free sample or none; on the way there guesses have none either."""
    case = tiny(seed, fraction, n=n, d=1, weighted=weighted)
    problem = classification(GramSource(case.X @ case.X.T), case.y, case.weight, budget=case.budget)
    workspace = Workspace(Buffer(n), Tally())
    _, solution = block_steps(problem, workspace, tol=1e-9, cache_size=10.0)
    assert solution.status is Status.OPTIMAL
    assert solution.work.pair_steps == 0
    primal = budget_primal(case.X, case.y, case.budget, case.weight)
    assert solution.margin == pytest.approx(primal.margin, rel=1e-6)


# Identities


cases = st.builds(
    tiny,
    seed=st.integers(0, 10_000),
    fraction=st.floats(0.02, 0.95),
    n=st.integers(6, 60),
    d=st.integers(1, 4),
    weighted=st.booleans(),
).filter(lambda case: least_total_slack(case.X, case.y, case.weight) < 0.9 * case.largest)
identity = settings(max_examples=15, deadline=None, derandomize=True)


def same_hyperplane(first, second, factor=1.0, margin=1.0):
    """w and margin of `second` are `factor` and `margin` times those of `first`."""
    w = factor * first.coef_[0]
    np.testing.assert_allclose(second.coef_[0], w, atol=1e-6 * np.linalg.norm(w))
    assert second.margin_[0] == pytest.approx(margin * first.margin_[0], rel=1e-6)


@given(cases)
@identity
def test_slack_equals_the_budget_and_bounds_the_mistakes(case):
    model = fit(case)
    slack = np.maximum(0.0, 1.0 - case.y * model.decision_function(case.X))
    assert case.weight @ slack == pytest.approx(case.budget, rel=1e-6)
    mistakes = case.y * model.decision_function(case.X) < 0
    assert case.weight @ mistakes <= case.budget * (1 + 1e-9)


@given(cases)
@identity
def test_all_rows_twice_with_twice_the_budget_is_the_same_fit(case):
    X, y, weight = np.vstack([case.X] * 2), np.tile(case.y, 2), np.tile(case.weight, 2)
    same_hyperplane(fit(case), fit(case, 2 * case.budget, X=X, y=y, weight=weight))


@given(cases)
@identity
def test_weights_are_repetition(case):
    times = (2 * case.weight).astype(int)
    X, y = np.repeat(case.X, times, axis=0), np.repeat(case.y, times)
    repeated = fit(case, 2 * case.budget, X=X, y=y, weight=None)
    same_hyperplane(fit(case), repeated)


@given(cases)
@identity
def test_weight_zero_is_removal(case):
    random = np.random.RandomState(0)
    kept = np.repeat([True, False], [len(case.y), 10])
    X = np.vstack([case.X, 5 * random.randn(10, case.X.shape[1])])
    y = np.concatenate([case.y, random.choice([-1.0, 1.0], 10)])
    weight = np.concatenate([case.weight, np.zeros(10)])
    shuffled = random.permutation(len(y))
    padded = fit(case, case.budget, X=X[shuffled], y=y[shuffled], weight=weight[shuffled])
    same_hyperplane(fit(case), padded)
    assert set(padded.support_) <= set(np.flatnonzero(kept[shuffled]))


@given(cases, st.sampled_from([1e-3, 3.0, 100.0]))
@identity
def test_larger_features_widen_the_margin_in_proportion(case, factor):
    larger = fit(case, case.budget, X=factor * case.X)
    same_hyperplane(fit(case), larger, factor=1 / factor, margin=factor)


@given(cases, st.floats(-20, 20))
@identity
def test_translation_keeps_the_normal(case, shift):
    moved = fit(case, case.budget, X=case.X + shift)
    same_hyperplane(fit(case), moved)


@given(cases)
@identity
def test_swapped_labels_turn_the_normal_round(case):
    same_hyperplane(fit(case), fit(case, y=-case.y), factor=-1.0)


@given(cases)
@identity
def test_features_twice_widen_the_margin_by_the_root_of_two(case):
    doubled = fit(case, case.budget, X=np.hstack([case.X] * 2))
    single = fit(case)
    halves = np.split(doubled.coef_[0], 2)
    np.testing.assert_allclose(halves[0], halves[1], atol=1e-9 * abs(halves[0]).max())
    assert doubled.margin_[0] == pytest.approx(np.sqrt(2) * single.margin_[0], rel=1e-6)
    norm = np.linalg.norm(single.coef_[0])
    np.testing.assert_allclose(halves[0] + halves[1], single.coef_[0], atol=1e-6 * norm)


@given(cases)
@identity
def test_margin_never_falls_with_the_budget(case):
    least = least_total_slack(case.X, case.y, case.weight)
    budgets = least + np.linspace(0.02, 0.98, 7) * (case.largest - least)
    margins = np.array([fit(case, budget).margin_[0] for budget in budgets])
    assert (np.diff(margins) > 0).all()
    # 1/2 |w|^2 is convex in the budget with slope -lam.
    penalties = np.array([fit(case, budget).cost_[0] for budget in budgets])
    objective = 0.5 / margins**2
    for k in range(6):
        fall = objective[k] - objective[k + 1]
        step = budgets[k + 1] - budgets[k]
        assert penalties[k + 1] * step * (1 - 1e-6) <= fall <= penalties[k] * step * (1 + 1e-6)


@given(cases, st.integers(0, 3))
@identity
def test_order_of_the_samples_does_not_matter(case, seed):
    order = np.random.RandomState(seed).permutation(len(case.y))
    assume((order != np.arange(len(order))).any())
    same_hyperplane(fit(case), fit(case, X=case.X[order], y=case.y[order], weight=case.weight[order]))


# Zero budget


def separable(seed, n=60):
    random = np.random.RandomState(seed)
    X = random.randn(n, 2)
    y = np.where(X @ [1.0, 0.5] > 0, 1.0, -1.0)
    return X + 0.3 * y[:, None] * np.array([1.0, 0.5]), y


@pytest.mark.parametrize("seed", range(5))
def test_zero_budget_is_the_hard_margin(seed):
    X, y = separable(seed)
    model = BudgetSVC(C=0, kernel="linear", tol=1e-9).fit(X, y)
    K = single_precision(X @ X.T)
    rounded = BudgetSVC(C=0, kernel="precomputed", tol=1e-9).fit(K, y)
    # Any cost above the largest dual is a hard margin.
    expected = cost_svm(K, y, 1e3 * np.abs(rounded.dual_coef_).max())
    np.testing.assert_allclose(rounded.decision_function(K), expected, atol=1e-7 * np.abs(expected).max())
    primal = budget_primal(X, y, 0.0)
    assert model.margin_[0] == pytest.approx(primal.margin, rel=1e-6)
    margins = y * model.decision_function(X)
    assert margins.min() == pytest.approx(1.0, abs=1e-7)
    np.testing.assert_allclose(margins[model.support_], 1.0, atol=1e-7)
    nearest = np.abs(model.decision_function(X)).min() / np.linalg.norm(model.coef_[0])
    assert nearest == pytest.approx(model.margin_[0], rel=1e-7)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("C", [0, 4])
def test_a_point_outside_the_margin_may_move_without_consequence(kernel, C):
    X, y = separable(0)
    options = {"C": C, "kernel": kernel, "gamma": 0.5, "tol": 1e-9}
    model = BudgetSVC(**options).fit(X, y)
    margins = y * model.decision_function(X)
    outside = np.setdiff1d(np.flatnonzero(margins > 1.05), model.support_)
    assert len(outside) > 5
    moved = X.copy()
    for i in outside[:5]:
        # Halfway toward the farthest point of its class, which is outside too, as long as it stays outside.
        ends = X[y == y[i]][margins[y == y[i]].argmax()]
        moved[i] = 0.5 * (X[i] + ends)
    assert (y * model.decision_function(moved))[outside[:5]].min() > 1.0
    assert np.abs(moved - X).max() > 0.1
    grid = np.random.RandomState(1).uniform(-2, 2, size=(100, 2))
    refit = BudgetSVC(**options).fit(moved, y).decision_function(grid)
    np.testing.assert_allclose(refit, model.decision_function(grid), atol=1e-7)


# Pair steps


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf"])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_pair_step_lowers_the_dual_objective(kernel, weighted):
    """For a fixed multiplier; where the multiplier moves, the duals stay feasible."""
    X, y = load("moons")
    X, y = X[::2], y[::2]
    K = gram_of(X, kernel)
    weight = np.random.RandomState(0).choice([0.5, 1.0, 3.0], len(y)) if weighted else None
    problem = problem_of(K, y, 0.4, weight)
    unit, lam = starting_point(problem)
    tally = Tally()
    ascent = Ascent(problem, lam * unit, lam, ColumnCache(problem.source, 10.0), tally, 0)

    def objective():
        beta = ascent.beta
        return y @ beta - 0.5 * beta @ K @ beta - ascent.lam * problem.budget

    def check_feasible():
        assert (y * ascent.beta).min() >= 0
        assert (y * ascent.beta - ascent.lam * problem.weight).max() <= 1e-12 * ascent.lam
        assert abs(ascent.beta.sum()) <= 1e-10 * np.abs(ascent.beta).sum()

    first = objective()
    for _ in range(150):
        climb = [objective()]
        for _ in range(3):
            ascent.end = tally.pair_steps + 1
            ascent.pair_steps(1e-12)
            climb.append(objective())
        assert (np.diff(climb) >= -1e-12 * np.abs(climb).max()).all()
        slack, spent, squared_norm = ascent.totals()
        ascent.lam_step(spent - problem.budget, squared_norm, np.inf)
        check_feasible()
    best = solve(problem, tol=1e-9)
    top = y @ best.beta - 0.5 * best.beta @ K @ best.beta - best.lam * problem.budget
    assert first < objective() <= top * (1 + 1e-9)


@pytest.mark.parametrize("lam", [0.1, 1.0, 100.0])
def test_pair_steps_recover_from_a_start_that_earns_less_than_its_budget_costs(lam):
    """With far too large a multiplier and the duals of its own cost the dual objective is negative."""
    X, y = load("moons")
    K = gram_of(X, "linear")
    problem = problem_of(K, y, 0.6)
    beta = optimum_of_cost(K, y, lam)
    start = certify(problem, beta, lam, Work(), 1e-6)
    assert y @ start.beta < lam * problem.budget
    end = ascend(problem, 1e8, start=(beta, lam), tol=1e-6, tally=Tally(20_000), cache_size=10.0)
    assert end.status is Status.OPTIMAL


def optimum_of_cost(K, y, lam):
    """libsvm's duals for the cost lam."""
    model = SVC(C=lam, kernel="precomputed", tol=1e-8).fit(K, y)
    beta = np.zeros(len(y))
    beta[model.support_] = model.dual_coef_[0]
    return beta


# Costs


@pytest.mark.parametrize("solver", ["auto", "smo"])
@pytest.mark.parametrize("cost", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("name, kernel", [("moons", "rbf"), ("unbalanced", "poly"), ("wine 1, 2", "linear")])
def test_cost_problem_is_that_of_libsvm(name, kernel, cost, solver):
    X, y = load(name)
    K = single_precision(gram_of(X, kernel))
    weight = np.random.RandomState(0).choice([0.3, 1.0, 2.5], len(y))
    problem = classification(GramSource(K), y, weight, cost=cost)
    # Pair steps end at the violation asked for: what is left of the decision function is of that size.
    tol = 1e-9 if solver == "auto" else 1e-7
    solution = solve(problem, solver=solver, tol=tol, max_iter=10**6)
    assert solution.status is Status.OPTIMAL
    assert solution.lam == cost and solution.budget == pytest.approx(weight @ solution.slack)
    expected = cost_svm(K, y, cost, weight)
    atol = (1e-7 if solver == "auto" else 1e-5) * np.abs(expected).max()
    np.testing.assert_allclose(K @ solution.beta + solution.intercept, expected, atol=atol)


@pytest.mark.parametrize("kernel, fraction", [("linear", 0.4), ("linear", 0.8), ("rbf", 0.15), ("rbf", 0.8)])
def test_budget_and_the_cost_that_it_comes_to_have_one_solution(kernel, fraction):
    X, y = load("moons")
    problem = problem_of(gram_of(X, kernel), y, fraction)
    at_budget = solve(problem, tol=1e-8)
    at_cost = solve(problem.with_cost(at_budget.lam), tol=1e-8)
    assert at_budget.status is Status.OPTIMAL and at_cost.status is Status.OPTIMAL
    assert at_cost.budget == pytest.approx(problem.budget, rel=1e-6)
    K = problem.source.gram
    np.testing.assert_allclose(K @ at_cost.beta, K @ at_budget.beta, atol=1e-7 * np.abs(K @ at_cost.beta).max())


def test_the_solver_that_is_asked_for_does_the_work():
    X, y = load("moons")
    problem = problem_of(gram_of(X, "rbf"), y, 0.3)
    auto, pairs = (solve(problem, solver=solver).work for solver in ("auto", "smo"))
    assert auto.pivots > 0 and auto.pair_steps == 0
    assert pairs.pair_steps > 0 and pairs.pivots == pairs.interior_steps == 0


@pytest.mark.parametrize("solver", ["auto", "smo"])
def test_tol_is_what_errors_may_be(solver):
    X, y = load("moons")
    problem = problem_of(gram_of(X, "rbf"), y, 0.3)
    loose, strict = (solve(problem, solver=solver, tol=tol) for tol in (1e-1, 1e-8))
    assert loose.status is strict.status is Status.OPTIMAL
    assert strict.error <= 1e-8
    if solver == "smo":
        # Exact steps end far below any tol.
        assert loose.work.pair_steps < strict.work.pair_steps and 1e-8 < loose.error <= 1e-1


# Limits


@pytest.mark.parametrize("solver", ["auto", "smo"])
@pytest.mark.parametrize("most", [1, 2, 7, 30])
@pytest.mark.parametrize("name, kernel, fraction", [("digits", "rbf", 0.1), ("moons", "linear", 0.5)])
def test_no_more_iterations_of_all_kinds_are_taken_than_allowed(name, kernel, fraction, most, solver):
    X, y = load(name)
    K = gram_of(X, kernel)
    problem = problem_of(K, y, fraction)
    solution = solve(problem, solver=solver, max_iter=most, tol=1e-9)
    assert solution.n_iter <= most
    assert np.isfinite(solution.error)
    slack = np.maximum(0.0, 1.0 - y * (K @ solution.beta + solution.intercept))
    squared = solution.beta @ K @ solution.beta
    gap = squared + solution.lam * slack.sum() - y @ solution.beta
    assert solution.duality_gap == pytest.approx(gap / (0.5 * squared), rel=1e-6)
    if solution.status is not Status.OPTIMAL:
        assert solution.error > 1e-9


@pytest.mark.parametrize("solver", ["auto", "smo"])
@pytest.mark.parametrize("largest", [0.3, 3.0])
def test_budget_out_of_reach_gets_the_solution_of_the_largest_cost_within_reach(largest, solver, monkeypatch):
    X, y = load("moons")
    K = single_precision(gram_of(X, "rbf"))
    problem = problem_of(K, y, 0.01)
    spread = np.mean(np.diagonal(K)) - K.mean()
    monkeypatch.setattr(solve_module, "_REACH", largest * spread)
    solution = solve(problem, solver=solver, tol=1e-7)
    assert solution.lam == pytest.approx(largest)
    expected = cost_svm(K, y, solution.lam)
    decision = K @ solution.beta + solution.intercept
    np.testing.assert_allclose(decision, expected, atol=1e-5 * np.abs(expected).max())
    assert solution.status is Status.OUT_OF_REACH
    assert solution.budget == pytest.approx(solution.slack.sum()) and solution.budget > problem.budget
    assert solution.is_within(1e-7)
    assert solution.least_budget < problem.budget


# Threads


@pytest.mark.parametrize("kernel, fraction", [("rbf", 0.1), ("linear", 0.4), ("poly", 0.3)])
def test_number_of_threads_of_the_linear_algebra_changes_nothing(kernel, fraction):
    X, y = load("classification")
    decisions = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            model = BudgetSVC(C=fraction, unit="relative", kernel=kernel).fit(X, y)
            decisions.append(model.decision_function(X))
    np.testing.assert_allclose(decisions[1], decisions[0], atol=1e-8 * np.abs(decisions[0]).max())
