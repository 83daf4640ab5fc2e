"""Pair steps: against libsvm in values and in counts, and certificates against the definitions.

libsvm solves the problem for the multiplier that was found; everything a certificate says is computed again
here from the whole Gram matrix.
"""

import weakref

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_classification, make_moons
from sklearn.metrics.pairwise import linear_kernel, polynomial_kernel, rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from sklearn_svmdl.dual.problem import Status, classification, regression
from sklearn_svmdl.dual.smo import ColumnCache, ascend, starting_point
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.kernels import MEGABYTE, GramSource, IndexedSource, Kernel, KernelSource

REACH = 1e8


def climb(problem, tol=1e-6, most=300_000, lam_max=REACH, cache_size=200.0, **options):
    return ascend(problem, lam_max, tol=tol, tally=Tally(most), cache_size=cache_size, **options)


def random_classes(seed, n=60):
    """Overlapping classes with weights of several sizes: the problem without a budget or cost, and its Gram matrix."""
    random = np.random.RandomState(seed)
    X = random.randn(n, 3)
    target = np.where(X[:, 0] + random.randn(n) > 0, 1.0, -1.0)
    target[:2] = -1.0, 1.0
    gram = reference.single_precision(rbf_kernel(X, gamma=0.3))
    return classification(GramSource(gram), target, random.choice([0.5, 1.0, 3.0], n)), gram


def random_curve(seed, n=50, epsilon=0.2):
    """A noisy curve with weights: its regression problem, the targets, the weights, and the Gram matrix."""
    random = np.random.RandomState(seed)
    X = random.uniform(-3, 3, (n, 1))
    y, weight = np.sin(X[:, 0]) + 0.4 * random.randn(n), random.choice([0.5, 1.0, 3.0], n)
    gram = reference.single_precision(rbf_kernel(X, gamma=0.5))
    return regression(GramSource(gram), y, weight, epsilon), y, weight, gram


def fit_of(problem, solution):
    """f at all samples of the problem."""
    n = problem.n_samples
    gram = problem.source.block(np.arange(n), np.arange(n))
    return gram @ solution.beta + solution.intercept


def assert_truthful(problem, solution):
    """Every number of the certificate, from its definition."""
    n, beta, lam = problem.n_samples, solution.beta, solution.lam
    gram = problem.source.block(np.arange(n), np.arange(n))
    p, sign, weight = problem.linear, np.sign(problem.bound), np.abs(problem.bound)
    assert np.isfinite(beta).all() and np.isfinite([solution.intercept, lam, solution.norm]).all()
    gradient = p - gram @ beta
    # Convex and piecewise linear with kinks at the gradients: the least slack is at one of them.
    least = min(weight @ np.maximum(0.0, sign * (gradient - b)) for b in gradient)
    assert weight @ solution.slack == pytest.approx(least, rel=1e-9, abs=1e-9)
    squared = max(0.0, beta @ gram @ beta)
    assert solution.norm**2 == pytest.approx(squared, rel=1e-6, abs=1e-9)
    primal = 0.5 * squared + (0.0 if problem.cost is None else lam * least)
    dual = p @ beta - 0.5 * squared - (lam * problem.budget if problem.cost is None else 0.0)
    if problem.cost is None:
        assert solution.budget_error * max(problem.budget, weight.min()) == pytest.approx(
            abs(least - problem.budget), rel=1e-6, abs=1e-8
        )
        # Where the budget is missed, what lam pays for the difference is no part of the gap.
        primal += lam * (least - problem.budget)
    if solution.duality_gap < np.inf:
        objective = 0.5 * squared + (0.0 if problem.cost is None else lam * least)
        assert solution.duality_gap * objective == pytest.approx(primal - dual, rel=1e-6, abs=1e-8)
    room = np.minimum(sign * beta, lam * weight - sign * beta)
    assert room.min() >= -1e-12 * np.abs(beta).max()
    assert abs(beta.sum()) <= 1e-9 * np.abs(beta).max()
    can_grow = np.where(sign > 0, beta < lam * weight, beta < 0)
    can_shrink = np.where(sign > 0, beta > 0, beta > -lam * weight)
    violation = gradient[can_grow].max(initial=-np.inf) - gradient[can_shrink].min(initial=np.inf)
    assert solution.violation == pytest.approx(max(0.0, violation), rel=1e-6, abs=1e-8)


# Solutions


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7, None])
def test_classes_are_separated_as_by_libsvm_with_the_multiplier_for_its_cost(seed, share):
    problem, gram = random_classes(seed)
    problem = problem.with_cost(2.5) if share is None else problem.with_budget(share * problem.largest_budget)
    solution = climb(problem)
    assert solution.status is Status.OPTIMAL
    assert_truthful(problem, solution)
    expected = reference.cost_svm(gram, problem.linear, solution.lam, problem.weight)
    np.testing.assert_allclose(fit_of(problem, solution), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cost", [0.1, 1.0, 10.0])
def test_regression_agrees_with_libsvm_at_its_cost_and_at_the_budget_that_it_spends(seed, cost):
    problem, y, weight, gram = random_curve(seed)
    oracle = SVR(C=cost, epsilon=0.2, kernel="precomputed", tol=1e-10).fit(gram, y, sample_weight=weight)
    values = oracle.predict(gram)
    spent = weight @ np.maximum(0.0, np.abs(y - values) - 0.2)
    for stated in (problem.with_cost(cost), problem.with_budget(spent)):
        solution = climb(stated)
        assert solution.status is Status.OPTIMAL
        assert_truthful(stated, solution)
        assert solution.lam == pytest.approx(cost, rel=1e-3)
        np.testing.assert_allclose(fit_of(stated, solution)[: len(y)], values, atol=1e-4)


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(4, 30),
    share=st.floats(0.02, 0.98),
    degree=st.integers(1, 3),
    repeats=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_budget_ends_in_a_truthful_certificate(seed, n, share, degree, repeats):
    random = np.random.RandomState(seed)
    X = random.randint(-2, 3, (n, 2)) if repeats else random.randn(n, 2)
    target = np.where(random.rand(n) < 0.5, 1.0, -1.0)
    target[:2] = -1.0, 1.0
    gram = polynomial_kernel(X, degree=degree, gamma=0.5)
    problem = classification(GramSource(gram), target, random.choice([0.1, 1.0, 5.0], n))
    problem = problem.with_budget(share * problem.largest_budget)
    solution = climb(problem, tol=1e-4, most=3_000, lam_max=100.0)
    at_reach = solution.lam == 100.0 and problem.weight @ solution.slack > problem.budget
    assert_truthful(problem.with_cost(100.0) if at_reach and solution.budget_error == 0 else problem, solution)
    assert solution.work.pair_steps <= 3_000
    if solution.status is Status.OPTIMAL and not at_reach:
        assert problem.weight @ solution.slack == pytest.approx(
            problem.budget, abs=1e-4 * max(problem.budget, problem.weight.min())
        )


def test_no_slack_gives_the_largest_margin():
    X = np.array([[0.0, 0.0], [0.0, 1.0], [2.0, 0.0], [2.0, 3.0], [9.0, 1.0]])
    target = np.array([-1.0, -1.0, 1.0, 1.0, 1.0])
    solution = climb(classification(GramSource(X @ X.T), target, np.ones(5), budget=0.0))
    assert solution.status is Status.OPTIMAL
    assert solution.margin == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(solution.beta @ X, [1.0, 0.0], atol=1e-5)


# Counts


def scaled(X):
    return StandardScaler().fit_transform(X)


def scale_kernel(X):
    return rbf_kernel(X, gamma=1.0 / (X.shape[1] * X.var()))


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale_kernel(scaled(X)), y > 0


def odd_digits():
    X, y = load_digits(return_X_y=True)
    return scale_kernel(X[:600]), y[:600] % 2 > 0


def threes_and_eights():
    X, y = load_digits(return_X_y=True)
    part = (y == 3) | (y == 8)
    return scale_kernel(X[part]), y[part] == 8


def moons():
    X, y = make_moons(200, noise=0.3, random_state=0)
    return scale_kernel(X), y > 0


def blobs(kernel):
    X, y = make_classification(300, 20, random_state=0)
    return kernel(X), y > 0


def blobs_rbf():
    return blobs(scale_kernel)


def blobs_poly():
    return blobs(lambda X: polynomial_kernel(X, degree=3, gamma=1.0 / (20 * X.var()), coef0=1.0))


def iris(label):
    X, y = load_iris(return_X_y=True)
    return linear_kernel(scaled(X)), y == label


def setosa():
    return iris(0)


def versicolor():
    return iris(1)


def virginica():
    return iris(2)


COUNTED = [
    (breast_cancer, (0.05, 0.1, 0.3, 0.6)),
    (odd_digits, (0.02, 0.1, 0.3)),
    (threes_and_eights, (0.02, 0.1, 0.3)),
    (moons, (0.2, 0.3, 0.6)),
    (blobs_rbf, (0.05, 0.2, 0.5, 0.8)),
    (blobs_poly, (0.02, 0.2, 0.5, 0.8)),
    (setosa, (0.5,)),
    (versicolor, (0.86, 0.9, 0.95)),
    (virginica, (0.4, 0.7)),
]


@pytest.mark.parametrize("data, share", [(data, share) for data, shares in COUNTED for share in shares])
def test_a_budget_takes_at_most_twice_the_steps_that_libsvm_takes_at_the_multiplier(data, share):
    gram, is_positive = data()
    target = np.where(is_positive, 1.0, -1.0)
    problem = classification(GramSource(gram), target, np.ones(len(target)))
    problem = problem.with_budget(share * problem.largest_budget)
    solution = climb(problem, tol=1e-3)
    assert solution.status is Status.OPTIMAL
    n_iter = SVC(C=solution.lam, kernel="precomputed", tol=1e-3).fit(gram, target).n_iter_[0]
    assert solution.work.pair_steps <= 2 * n_iter
    at_cost = climb(problem.with_cost(solution.lam), tol=1e-3)
    assert at_cost.status is Status.OPTIMAL
    assert at_cost.work.pair_steps <= 1.5 * n_iter


@pytest.mark.parametrize("data, share", [(setosa, 0.02), (setosa, 0.1), (virginica, 0.25)])
def test_where_libsvm_takes_few_steps_the_multiplier_takes_a_few_more(data, share):
    gram, is_positive = data()
    problem = classification(GramSource(gram), np.where(is_positive, 1.0, -1.0), np.ones(len(gram)))
    solution = climb(problem.with_budget(share * problem.largest_budget), tol=1e-3)
    assert solution.status is Status.OPTIMAL
    assert solution.work.pair_steps <= 100


@pytest.mark.parametrize("cost", [0.1, 1.0])
def test_regressions_take_at_most_twice_the_steps_of_libsvm(cost):
    """Of six problems together: which pair comes next is a matter of rounding, and so are the steps of a single one."""
    steps = []
    for seed in range(6):
        problem, y, weight, gram = random_curve(seed, n=150)
        oracle = SVR(C=cost, epsilon=0.2, kernel="precomputed", tol=1e-3).fit(gram, y, sample_weight=weight)
        spent = weight @ np.maximum(0.0, np.abs(y - oracle.predict(gram)) - 0.2)
        solutions = [climb(stated, tol=1e-3) for stated in (problem.with_cost(cost), problem.with_budget(spent))]
        assert all(solution.status is Status.OPTIMAL for solution in solutions)
        steps.append([oracle.n_iter_, *(solution.work.pair_steps for solution in solutions)])
    of_libsvm, at_cost, at_budget = np.sum(steps, axis=0)
    assert at_cost <= 1.2 * of_libsvm
    assert at_budget <= 2 * of_libsvm


def test_over_many_problems_a_budget_takes_hardly_more_steps_than_the_cost_that_spends_it():
    taken, at_cost = 0, 0
    for seed in range(60):
        random = np.random.RandomState(seed)
        n, is_regression = random.randint(20, 120), seed % 3 == 0
        X = random.randn(n, random.randint(1, 6))
        gram = rbf_kernel(X, gamma=10 ** random.uniform(-1.5, 0.5))
        weight = random.choice([0.01, 1.0, 30.0], n) if seed % 4 == 0 else np.ones(n)
        y, cost = X[:, 0] + random.rand() * random.randn(n), 10 ** random.uniform(-2, 1) / weight.mean()
        if is_regression:
            y, cost = 100.0 * y, 100.0 * cost
            problem = regression(GramSource(gram), y, weight, 0.1 * y.std())
        else:
            problem = classification(GramSource(gram), np.where(y > 0, 1.0, -1.0), weight)
        expected = climb(problem.with_cost(cost), tol=1e-3)
        spent = problem.weight @ expected.slack
        if spent > 0.99 * problem.largest_budget or spent < 0.01 * problem.largest_budget:
            continue
        solution = climb(problem.with_budget(spent), tol=1e-3)
        assert solution.status is expected.status is Status.OPTIMAL
        assert solution.work.pair_steps <= 8 * expected.work.pair_steps
        taken, at_cost = taken + solution.work.pair_steps, at_cost + expected.work.pair_steps
    assert taken <= 2 * at_cost


# Limits


@pytest.mark.parametrize("most", [1, 2, 5, 20, 80])
@pytest.mark.parametrize("cost", [None, 3.0])
def test_a_small_limit_returns_a_truthful_point(most, cost):
    problem, _ = random_classes(0)
    problem = problem.with_budget(0.2 * problem.largest_budget) if cost is None else problem.with_cost(cost)
    solution = climb(problem, most=most)
    assert solution.work.pair_steps == most
    assert solution.status is Status.MAX_ITER
    assert np.isfinite(solution.error)
    assert_truthful(problem, solution)


def test_steps_of_other_kinds_count_towards_the_limit():
    problem, _ = random_classes(0)
    tally = Tally(30)
    tally.pivots, tally.interior_steps = 15, 8
    solution = ascend(problem.with_cost(3.0), REACH, tol=1e-6, tally=tally, cache_size=1.0)
    assert solution.work.pair_steps == 7
    assert tally.left == 0


@pytest.mark.parametrize("share", [0.2, None])
def test_no_more_steps_than_asked_for_and_none_from_a_solution(share):
    problem, _ = random_classes(1)
    problem = problem.with_cost(2.0) if share is None else problem.with_budget(share * problem.largest_budget)
    part = climb(problem, most=10_000)
    assert climb(problem, start=(part.beta, part.lam), most=10_000).work.pair_steps == 0
    tally = Tally(1000)
    ascend(problem, REACH, tol=1e-9, tally=tally, cache_size=1.0, most=13)
    assert tally.pair_steps == 13


def test_a_start_with_another_multiplier_is_scaled():
    problem, gram = random_classes(2)
    other = climb(problem.with_cost(1.0))
    solution = climb(problem.with_cost(2.0), start=(other.beta, other.lam))
    expected = climb(problem.with_cost(2.0))
    assert solution.status is Status.OPTIMAL and solution.lam == 2.0
    np.testing.assert_allclose(gram @ solution.beta, gram @ expected.beta, atol=1e-4)


def test_the_shape_of_a_start_with_another_multiplier_is_kept():
    problem, _ = random_classes(2)
    other = climb(problem.with_cost(1.0))
    # No step is left.
    begun = climb(problem.with_cost(2.0), start=(other.beta, other.lam), most=0)
    np.testing.assert_allclose(begun.beta, 2.0 * other.beta, rtol=1e-12)


@pytest.mark.parametrize("lam_max", [0.3, 1.0])
def test_a_budget_beyond_the_largest_multiplier_gives_the_solution_of_that_cost(lam_max):
    problem, gram = random_classes(3)
    problem = problem.with_budget(0.05 * problem.largest_budget)
    solution = climb(problem, lam_max=lam_max)
    assert solution.lam == lam_max
    assert solution.status is Status.OPTIMAL
    assert problem.weight @ solution.slack > problem.budget
    assert_truthful(problem.with_cost(lam_max), solution)
    expected = reference.cost_svm(gram, problem.linear, lam_max, problem.weight)
    np.testing.assert_allclose(fit_of(problem, solution), expected, atol=1e-5)
    # From far below, steps in lam stop there.
    below = climb(problem.with_cost(0.2 * lam_max))
    again = climb(problem, lam_max=lam_max, start=(below.beta, below.lam))
    assert again.status is Status.OPTIMAL and again.lam == lam_max


@pytest.mark.parametrize("share", [0.05, 0.3, None])
@pytest.mark.parametrize("tol", [0.0, 1e-15])
def test_an_error_beyond_rounding_is_not_waited_for(share, tol):
    problem, _ = random_classes(4, n=30)
    problem = problem.with_cost(2.0) if share is None else problem.with_budget(share * problem.largest_budget)
    solution = climb(problem, tol=tol, most=np.inf)
    assert solution.error < 1e-9


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.1, 0.5, None])
def test_indefinite_kernels_and_duplicates_end_with_finite_duals(seed, share):
    random = np.random.RandomState(seed)
    X = np.repeat(random.randn(12, 2), 2, axis=0)
    target = np.tile([-1.0, 1.0], 12)
    wild = random.randn(24, 24)
    for gram in (np.tanh(2.0 * X @ X.T - 1.0), wild + wild.T, -np.eye(24), np.zeros((24, 24)), np.ones((24, 24))):
        problem = classification(GramSource(gram), target, random.choice([1.0, 2.0], 24))
        problem = problem.with_cost(1.0) if share is None else problem.with_budget(share * problem.largest_budget)
        solution = climb(problem, tol=1e-3, most=2_000)
        assert solution.work.pair_steps <= 2_000
        assert np.isfinite(solution.beta).all() and np.isfinite([solution.lam, solution.intercept]).all()
        room = np.minimum(problem.sign * solution.beta, solution.lam * problem.weight - problem.sign * solution.beta)
        assert room.min() >= -1e-12 * np.abs(solution.beta).max()


# Kernel columns


class Recorded(KernelSource):
    """Says which columns were evaluated and how many are still held."""

    def block(self, rows, columns):
        values = super().block(rows, columns)
        if columns == slice(None) and len(rows) == 1:
            self.evaluated.append(int(rows[0]))
            self.held.append(weakref.ref(values))
            self.most_held = max(self.most_held, sum(reference() is not None for reference in self.held))
        return values


def recorded(n=80):
    random = np.random.RandomState(0)
    X = random.randn(n, 3)
    source = Recorded.of(Kernel.of("rbf", gamma=0.3), X)
    source.evaluated, source.held, source.most_held = [], [], 0
    return source, np.where(X[:, 0] + 0.5 * random.randn(n) > 0, 1.0, -1.0)


@pytest.mark.parametrize("is_regression", [False, True])
def test_no_more_columns_are_held_than_the_cache_has_room_for(is_regression):
    solutions = []
    for columns in (1000, 7, 0):
        source, y = recorded()
        y = y + np.linspace(0, 1, 80) if is_regression else y
        problem = regression(source, y, np.ones(80), 0.1) if is_regression else classification(source, y, np.ones(80))
        problem = problem.with_budget(0.3 * problem.largest_budget)
        solutions.append(climb(problem, tol=1e-3, cache_size=columns * 80 * 8 / MEGABYTE))
        assert source.most_held <= max(columns, 2)
        if columns > 80:
            assert len(source.evaluated) == len(set(source.evaluated))
        else:
            assert len(source.evaluated) > len(set(source.evaluated))
    for solution in solutions:
        np.testing.assert_array_equal(solution.beta, solutions[0].beta)


def test_the_column_that_was_not_read_for_longest_makes_room():
    source, _ = recorded()
    cache = ColumnCache(source, 3 * 80 * 8 / MEGABYTE)
    for i in (0, 1, 2, 0, 3, 0, 2, 1):
        np.testing.assert_allclose(cache[i], source.block(np.arange(80), np.array([i]))[:, 0], rtol=1e-12)
    tally = Tally()
    cache = ColumnCache(source.counted(tally), 3 * 80 * 8 / MEGABYTE)
    # Evaluated: 0, 1, 2; 3 in the place of 1; 1 in the place of 3.
    for i, columns in zip((0, 1, 2, 0, 3, 0, 2, 1), (1, 2, 3, 3, 4, 4, 4, 5), strict=True):
        cache[i]
        assert tally.kernel_values == 80 * columns


def test_a_solve_by_pair_steps_has_the_memory_it_was_given():
    source, y = recorded()
    problem = classification(source, y, np.ones(80), cost=1.0)
    solve(problem, solver="smo", cache_size=7 * 80 * 8 / MEGABYTE)
    # Room for 7 columns is not enough to evaluate each of them once.
    assert len(source.evaluated) > len(set(source.evaluated)) > 7


def test_samples_that_stand_for_others_are_solved_as_if_written_out():
    problem, gram = random_classes(5)
    index = np.r_[np.arange(60), np.arange(10)]
    target, weight = problem.linear[index], problem.weight[index]
    written = classification(GramSource(gram[np.ix_(index, index)].copy()), target, weight)
    standing = classification(IndexedSource(GramSource(gram), index), target, weight)
    budget = 0.2 * written.largest_budget
    expected, solution = climb(written.with_budget(budget)), climb(standing.with_budget(budget))
    np.testing.assert_array_equal(solution.beta, expected.beta)


# The start


@pytest.mark.parametrize("seed", range(5))
def test_start_is_the_limit_of_small_multipliers_for_classes(seed):
    problem, gram = random_classes(seed)
    problem = problem.with_budget(0.4 * problem.largest_budget)
    unit, lam = starting_point(problem)
    assert unit.sum() == pytest.approx(0.0, abs=1e-12)
    side = problem.sign
    smaller = side if problem.bound.sum() < 0 else -side
    np.testing.assert_allclose(unit[smaller > 0], problem.bound[smaller > 0])
    share = unit[smaller < 0] / problem.bound[smaller < 0]
    np.testing.assert_allclose(share, share[0])
    assert lam == pytest.approx((problem.largest_budget - problem.budget) / (unit @ gram @ unit))


@given(
    targets=st.lists(st.integers(-5, 5), min_size=2, max_size=15),
    seed=st.integers(0, 1000),
    epsilon=st.sampled_from([0.0, 0.1, 0.3, 2.0]),
)
@settings(max_examples=100, deadline=None)
def test_start_spends_what_the_best_constant_does_in_regression(targets, seed, epsilon):
    random = np.random.RandomState(seed)
    y, n = np.array(targets) / 3.0, len(targets)
    weight = random.choice([0.5, 1.0, 3.0], n)
    problem = regression(GramSource(np.eye(n)), y, weight, epsilon)
    problem = problem.with_budget(0.5 * problem.largest_budget)
    unit, lam = starting_point(problem)
    assert np.isfinite(unit).all() and np.isfinite(lam) and lam > 0
    share = unit / problem.bound
    assert share.min() >= -1e-12 and share.max() <= 1.0 + 1e-12
    assert abs(unit.sum()) <= 1e-12 * weight.sum()
    # Optimal among all shapes for lam -> 0: p'unit = C_max, by the duality of the linear programmes.
    assert problem.linear @ unit == pytest.approx(problem.largest_budget, abs=1e-9)
    assert starting_point(problem.with_cost(0.7))[1] == 0.7


@pytest.mark.parametrize("gram", [np.zeros((4, 4)), np.ones((4, 4)), -np.eye(4)])
def test_start_is_finite_where_the_classes_have_the_same_mean(gram):
    target = np.array([-1.0, 1.0, 1.0, -1.0])
    unit, lam = starting_point(classification(GramSource(gram), target, np.ones(4), budget=1.0))
    np.testing.assert_array_equal(unit, target)
    assert np.isfinite(lam) and lam > 0
