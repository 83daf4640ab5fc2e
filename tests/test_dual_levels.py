"""Coarse to fine and single precision first: the same solution from less memory and less work.

Independent evidence: the whole problem as one block of doubles, certificates from the whole kernel matrix, sources that
record what they are asked for, and sources in single precision that lie.
"""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_blobs, make_classification, make_friedman1, make_moons
from threadpoolctl import threadpool_limits

from sklearn_svmdl import BudgetSVC
from sklearn_svmdl.dual import levels
from sklearn_svmdl.dual.buffer import Buffer
from sklearn_svmdl.dual.kkt import BOUND, FREE, ZERO
from sklearn_svmdl.dual.levels import (
    Level,
    between_means,
    coarse_problem,
    cold_state,
    hasty,
    in_single_precision,
    polish,
    solve_levels,
    stratified_share,
)
from sklearn_svmdl.dual.problem import Status, certify, classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.dual.work import Tally, Work
from sklearn_svmdl.dual.working_set import TooLarge, Workspace, refine
from sklearn_svmdl.kernels import BLOCK, MEGABYTE, GramSource, Kernel, KernelSource

KERNELS = {
    "linear": Kernel("linear"),
    "poly": Kernel("poly", {"gamma": 0.1, "degree": 3, "coef0": 1.0}),
    "rbf": Kernel("rbf", {"gamma": 0.1}),
}


class RecordingSource(KernelSource):
    """A source that remembers the bytes of the blocks asked for, also of the sources made from it."""

    def __init__(self, kernel, rows):
        super().__init__(kernel, rows)
        self.sizes = []

    def block(self, rows, columns):
        values = super().block(rows, columns)
        self.sizes.append(values.nbytes)
        return values


def data_of(n, seed=0):
    return make_classification(n, 10, n_informative=5, flip_y=0.05, random_state=seed)


def problem_of(kernel, n, fraction, seed=0, weighted=False, source=KernelSource):
    X, y = data_of(n, seed)
    return _problem(KERNELS[kernel], X, y, fraction, weighted, source)


def _problem(kernel, X, y, fraction, weighted=False, source=KernelSource):
    n = len(y)
    weight = np.random.RandomState(1).choice([0.5, 1.0, 2.0], n) if weighted else np.ones(n)
    problem = classification(source.of(kernel, X), np.where(y, 1.0, -1.0), weight)
    return problem.with_budget(fraction * problem.largest_budget)


def workspace_of(n, most=np.inf):
    return Workspace(Buffer(n), Tally(most))


def by_levels(problem, n=None, seed=0):
    """The state that the levels end in, with room for n samples, all by default."""
    workspace = workspace_of(n or problem.n_samples)
    return solve_levels(problem, workspace, np.random.RandomState(seed))[0]


def everywhere(problem):
    """The cold state and all samples, as the beginning of a level."""
    return cold_state(problem), np.ones(problem.n_samples, dtype=bool), None


def in_double(problem):
    """The exact solution, every sample in one block of doubles."""
    state, inside, _ = everywhere(problem)
    return refine(problem, state, inside, workspace_of(problem.n_samples), trusted=False)[0]


def fit_of(problem, beta):
    return problem.source.stored().gram @ beta


def same_solution(problem, first, second, rtol):
    fits = [fit_of(problem, solution.beta) for solution in (first, second)]
    scale = np.abs(fits[0]).max()
    np.testing.assert_allclose(fits[1] - fits[0], 0.0, atol=rtol * scale)
    assert second.lam == pytest.approx(first.lam, rel=10 * rtol)


def assert_exact(problem, point):
    """The certificate of the point, from the whole kernel matrix; returns the fit."""
    stored = replace(problem, source=GramSource(problem.source.stored().gram))
    solution = certify(stored, point.beta, point.lam, Work(), 1e-8)
    assert solution.status is Status.OPTIMAL
    assert abs(solution.duality_gap) <= 1e-8
    return fit_of(problem, point.beta)


# Levels


# The fraction is above the least one that the kernel can reach.
LEVELS = [("linear", 700, 0.6), ("poly", 900, 0.3), ("rbf", 900, 0.1), ("rbf", 900, 0.6)]


@pytest.mark.parametrize("kernel, n, fraction", LEVELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_levels_and_one_whole_block_agree(kernel, n, fraction, weighted):
    problem = problem_of(kernel, n, fraction, weighted=weighted)
    fine, whole = by_levels(problem), in_double(problem)
    assert fine.settled and whole.settled
    same_solution(problem, whole.point, fine.point, rtol=1e-8)


@pytest.mark.parametrize("kernel, cost", [("linear", 0.1), ("poly", 1.0), ("rbf", 0.1), ("rbf", 100.0)])
def test_levels_and_one_whole_block_agree_at_a_cost(kernel, cost):
    problem = problem_of(kernel, 900, 0.5, weighted=True).with_cost(cost)
    fine, whole = by_levels(problem), in_double(problem)
    assert fine.settled and whole.settled
    assert fine.point.lam == cost
    same_solution(problem, whole.point, fine.point, rtol=1e-8)


def test_levels_and_one_whole_block_agree_in_regression():
    X, _ = data_of(500)
    y = np.sin(X[:, 0]) + 0.1 * np.random.RandomState(0).randn(500)
    problem = regression(KERNELS["rbf"].source(X), y, np.ones(500), 0.1, cost=1.0)
    fine, whole = by_levels(problem).point, in_double(problem).point
    fits = [problem.source.apply(np.arange(1000), point.beta) for point in (fine, whole)]
    np.testing.assert_allclose(fits[0], fits[1], atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_samples_drawn_does_not_matter(seed):
    problem = problem_of("rbf", 1000, 0.2)
    solutions = [by_levels(problem, seed=s).point for s in (100, seed)]
    same_solution(problem, *solutions, rtol=1e-8)


@pytest.mark.parametrize("kernel, n, fraction", [("rbf", 1500, 0.05), ("poly", 1500, 0.3), ("linear", 1500, 0.6)])
@pytest.mark.parametrize("megabytes", [4.0, 8.0])
def test_little_memory_gives_the_same_solution(kernel, n, fraction, megabytes):
    problem = problem_of(kernel, n, fraction)
    small = solve(problem, tol=1e-6, cache_size=megabytes)
    large = solve(problem, tol=1e-6, cache_size=200.0)
    assert small.status is Status.OPTIMAL and large.status is Status.OPTIMAL
    same_solution(problem, large, small, rtol=1e-6)


@pytest.mark.parametrize("kernel, n, fraction", [("rbf", 1500, 0.05), ("rbf", 1500, 0.7), ("linear", 1500, 0.6)])
@pytest.mark.parametrize("megabytes", [0.5, 2.0, 4.0])
def test_no_block_of_kernel_values_exceeds_the_memory(kernel, n, fraction, megabytes):
    problem = problem_of(kernel, n, fraction, source=RecordingSource)
    solution = solve(problem, cache_size=megabytes, max_iter=3000)
    assert len(problem.source.sizes) > 0
    assert max(problem.source.sizes) <= megabytes * MEGABYTE
    assert np.isfinite(solution.duality_gap)


@pytest.mark.parametrize("fraction", [0.05, 0.3])
def test_all_memory_in_use_stays_near_the_limit(fraction):
    n, megabytes = 4000, 16.0
    problem = problem_of("rbf", n, fraction)
    tracemalloc.start()
    solution = solve(problem, cache_size=megabytes, max_iter=2000)
    peak = tracemalloc.get_traced_memory()[1] / MEGABYTE
    tracemalloc.stop()
    assert np.isfinite(solution.duality_gap)
    # Beside what is kept, blocks of BLOCK values pass through (values and one copy), and some vectors.
    passing = 2 * 8 * BLOCK / MEGABYTE
    assert peak <= megabytes + passing + 1000 * n / MEGABYTE
    assert 8 * n**2 / MEGABYTE > 2 * peak


def test_a_tube_whose_free_samples_nearly_fill_the_memory_is_solved_in_it():
    n = 1600
    X, y = make_friedman1(n, noise=1.0, random_state=0)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    problem = regression(KERNELS["rbf"].source(X), y, np.ones(n), 0.5, cost=50.0)
    enough = solve(problem, tol=1e-6)
    free = np.count_nonzero((enough.beta != 0) & (np.abs(enough.beta) < 50.0 * (1.0 - 1e-9)))
    # Room for a twentieth more than are free.
    solution = solve(problem, tol=1e-6, cache_size=1.25 * 8 * (1.05 * free) ** 2 / MEGABYTE)
    assert free > 0.6 * n
    assert solution.status is Status.OPTIMAL and solution.work.pair_steps == 0
    assert solution.norm == pytest.approx(enough.norm, rel=1e-6)


def test_margin_beyond_the_memory_is_said_so():
    assert by_levels(problem_of("linear", 1000, 0.9)).settled
    with pytest.raises(TooLarge):
        by_levels(problem_of("rbf", 1000, 0.01), 60)


def test_pair_steps_take_over_where_the_margin_does_not_fit_in_memory():
    problem = problem_of("rbf", 600, 0.05)
    solution = solve(problem, cache_size=0.05)
    assert solution.status is Status.OPTIMAL
    assert solution.work.pair_steps > 0
    same_solution(problem, by_levels(problem).point, solution, rtol=1e-2)


@pytest.mark.parametrize("ratio", [4, 7])
def test_share_is_stratified_and_sorted(ratio):
    sign = np.repeat([1.0, -1.0], [3, 200])
    chosen = stratified_share(sign, ratio, np.random.RandomState(0))
    assert (np.diff(chosen) > 0).all()
    assert np.count_nonzero(sign[chosen] > 0) >= 1
    assert np.count_nonzero(sign[chosen] < 0) == pytest.approx(200 / ratio, abs=1)


@pytest.mark.parametrize("few", [2, 9, 25])
def test_few_of_a_class_are_in_every_share(few):
    sign = np.where(np.arange(2000) < few, 1.0, -1.0)
    chosen = stratified_share(sign, 4, np.random.RandomState(0))
    assert np.count_nonzero(sign[chosen] > 0) == min(few, 10)
    assert np.count_nonzero(sign[chosen] < 0) == round((2000 - few) / 4)


def test_coarse_problem_keeps_the_relative_budget_or_the_cost():
    problem = problem_of("rbf", 400, 0.3, weighted=True)
    chosen = stratified_share(problem.sign, 4, np.random.RandomState(0))
    coarse = coarse_problem(problem, chosen)
    assert coarse.budget / coarse.largest_budget == pytest.approx(0.3)
    np.testing.assert_array_equal(coarse.weight, problem.weight[chosen])
    gram = problem.source.stored().gram
    np.testing.assert_allclose(coarse.source.stored().gram, gram[np.ix_(chosen, chosen)])
    at_cost = coarse_problem(problem.with_cost(3.0), chosen)
    assert at_cost.cost == 3.0 and at_cost.budget is None


@pytest.mark.parametrize("cost, expected", [(0.002, 0.008), (0.1, 0.4), (0.5, 1.0), (1.0, 1.0), (20.0, 20.0)])
def test_few_samples_at_a_small_cost_pull_as_strongly_as_all(cost, expected):
    """k(x, x) is 1."""
    problem = problem_of("rbf", 400, 0.3).with_cost(cost)
    chosen = stratified_share(problem.sign, 4, np.random.RandomState(0))
    assert coarse_problem(problem, chosen).cost == pytest.approx(expected * 100 / len(chosen), rel=0.02)


def test_the_cost_of_a_regression_stays():
    """Its unit is that of y over that of the kernel values."""
    X, y = make_friedman1(200, random_state=0)
    problem = regression(KERNELS["rbf"].source(X), y, np.ones(200), 0.1, cost=0.01)
    assert coarse_problem(problem, np.arange(0, 400, 4)).cost == 0.01


@pytest.mark.parametrize("cost", [0.01, 0.03])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_small_costs_take_small_factors(seed, cost):
    """At the same cost a quarter of the samples all stand at their bound, which tells nothing of all."""
    X, y = make_blobs(2000, 6, centers=2, cluster_std=6.0, random_state=seed)
    kernel = Kernel("rbf", {"gamma": 1.0 / (X.shape[1] * X.var())})
    problem = classification(KernelSource.of(kernel, X), np.where(y, 1.0, -1.0), np.ones(2000)).with_cost(cost)
    solution = solve(problem, tol=1e-8)
    assert solution.status is Status.OPTIMAL
    assert max(solution.work.factored) < 500
    assert_exact(problem, solution)


@pytest.mark.parametrize("kernel, n, fraction", LEVELS)
def test_certificate_is_that_of_fresh_kernel_values(kernel, n, fraction):
    problem = problem_of(kernel, n, fraction)
    solution = solve(problem, tol=1e-8)
    y, s, fit = problem.linear, problem.weight, fit_of(problem, solution.beta)
    slack = np.maximum(0.0, 1.0 - y * (fit + solution.intercept))
    squared = solution.beta @ fit
    gap = (squared + solution.lam * s @ slack - y @ solution.beta) / (0.5 * squared)
    assert solution.status is Status.OPTIMAL
    assert solution.duality_gap == pytest.approx(gap, abs=1e-9)
    assert s @ slack == pytest.approx(problem.budget, rel=1e-7)
    np.testing.assert_allclose(solution.slack, slack, atol=1e-8)
    assert solution.norm == pytest.approx(np.sqrt(squared), rel=1e-9)


def test_rows_in_any_order_and_many_duplicates():
    """Every sample three times: working sets and levels meet equal columns."""
    X, y = make_moons(300, noise=0.3, random_state=0)
    single = _problem(KERNELS["rbf"], X, y, 0.3)
    order = np.random.RandomState(0).permutation(np.tile(np.arange(300), 3))
    triple = _problem(KERNELS["rbf"], X[order], y[order], 0.3)
    first, second = solve(single, tol=1e-8), solve(triple, tol=1e-8)
    assert first.status is Status.OPTIMAL and second.status is Status.OPTIMAL
    fit = fit_of(single, first.beta)
    np.testing.assert_allclose(fit_of(triple, second.beta), fit[order], atol=1e-7 * np.abs(fit).max())
    assert second.margin == pytest.approx(first.margin, rel=1e-7)


@pytest.mark.parametrize("kernel, fraction", [("rbf", 0.05), ("rbf", 0.5), ("poly", 0.3)])
def test_work_is_a_few_passes_over_the_kernel_matrix(kernel, fraction):
    """Prediction, working sets and certificate pass over the kernel matrix once each; no factor is near its size."""
    n = 3000
    solution = solve(problem_of(kernel, n, fraction))
    assert solution.status is Status.OPTIMAL
    assert solution.work.kernel_values <= 3 * n**2
    assert max(solution.work.factored) <= n / 2
    assert solution.n_iter <= 200


# Single precision


HASTY = [("rbf", 0.02), ("rbf", 0.5), ("poly", 0.3)]


@pytest.mark.parametrize("kernel", ["rbf", "poly"])
def test_values_in_single_precision(kernel):
    source = problem_of(kernel, 1200, 0.1).source
    single = source.single()
    rows, columns = np.arange(50), np.arange(20, 90)
    values = single.block(rows, columns)
    assert single.dtype == values.dtype == np.float32
    assert single.take(rows).block(rows[:5], rows[:5]).dtype == np.float32
    np.testing.assert_allclose(values, source.block(rows, columns), rtol=1e-4, atol=1e-5)
    exact = source.apply(columns, np.ones(70))
    np.testing.assert_allclose(single.apply(columns, np.ones(70)), exact, rtol=1e-4, atol=1e-3)
    assert single.single() is None


@pytest.mark.parametrize("kernel", ["linear", "cosine", lambda X, Y: X @ Y.T])
def test_other_kernels_stay_in_double_precision(kernel):
    X = np.random.RandomState(0).randn(30, 3)
    assert Kernel(kernel).source(X).single() is None
    assert GramSource(X @ X.T).single() is None


@pytest.mark.parametrize("kernel, fraction", HASTY)
@pytest.mark.parametrize("weighted", [False, True])
def test_same_solution_as_in_double_precision(kernel, fraction, weighted):
    problem = problem_of(kernel, 1200, fraction, weighted=weighted)
    single, double = solve(problem, tol=1e-8, cache_size=8.0), in_double(problem).point
    assert single.status is Status.OPTIMAL
    fit, expected = assert_exact(problem, single), assert_exact(problem, double)
    np.testing.assert_allclose(fit, expected, atol=1e-8 * np.abs(expected).max())
    assert single.lam == pytest.approx(double.lam, rel=1e-7)


def test_most_of_the_work_is_in_single_precision(monkeypatch):
    """Of a problem with few support vectors, double precision sees few samples."""
    seen, refine_as_is = [], levels.refine

    def spy(problem, *args, **options):
        seen.append((problem.source.dtype, problem.n_samples))
        return refine_as_is(problem, *args, **options)

    monkeypatch.setattr(levels, "refine", spy)
    problem = problem_of("rbf", 1500, 0.05)
    state = by_levels(problem)
    last = seen[seen.index((np.dtype(np.float32), 1500)) + 1 :]
    assert len(last) > 0
    assert all(dtype == np.float64 and n < 700 for dtype, n in last)
    assert_exact(problem, state.point)


@pytest.mark.parametrize("kernel, fraction", HASTY)
def test_polished_samples_are_solved_as_if_there_were_no_others(kernel, fraction):
    problem = problem_of(kernel, 1000, fraction)
    rough = hasty(problem, everywhere, workspace_of(1000), overlook=0.02).state
    part = rough.side != ZERO
    assert 0 < np.count_nonzero(part) < 1000
    state = polish(problem, part, rough, workspace_of(1000))
    assert state.settled and state.exact
    assert (state.point.beta[~part] == 0).all()
    expected = in_double(problem.take(np.flatnonzero(part))).point
    assert state.point.lam == pytest.approx(expected.lam, rel=1e-7)
    fit = fit_of(problem, state.point.beta)[part]
    np.testing.assert_allclose(state.point.fit[part], fit, atol=1e-8 * np.abs(fit).max())
    np.testing.assert_allclose(fit, expected.fit, atol=1e-8 * np.abs(fit).max())


@pytest.mark.parametrize("seed", range(3))
def test_where_single_precision_goes_astray_double_begins_at_once(seed):
    """Many samples of both classes are equal but for roundings, and pivots in doubles are all that it takes."""
    random = np.random.RandomState(seed)
    X = random.randint(0, 5, (1600, 6)).astype(float)
    y = X[:, 0] + X[:, 1] * X[:, 5] / 3.0 + 2.0 * random.normal(size=1600) > 3.5
    kernel = Kernel("rbf", {"gamma": 1.0 / (X.shape[1] * X.var())})
    problem = classification(KernelSource.of(kernel, X), np.where(y, 1.0, -1.0), np.ones(1600)).with_cost(1.0)
    solution = solve(problem, tol=1e-8)
    assert solution.status is Status.OPTIMAL
    assert solution.work.interior_steps == 0


@pytest.mark.parametrize("share", [0.02, 0.9, 0.97, 1.03, 1.2])
def test_zeros_that_do_not_stay_right_are_found(share, monkeypatch):
    """As if single precision had given the solution of another budget: it leaves out samples that this one needs."""
    problem = problem_of("rbf", 1200, 0.2)
    other = in_double(problem.with_budget(share * problem.budget))
    as_is = levels.hasty
    state = replace(other, exact=False, pivoted=True)

    def misled(problem, *args):
        return Level(state, None) if problem.n_samples == 1200 else as_is(problem, *args)

    monkeypatch.setattr(levels, "hasty", misled)
    solution = solve(problem, tol=1e-8)
    assert (solution.beta[other.side == ZERO] != 0).any()
    assert solution.status is Status.OPTIMAL
    assert solution.work.pair_steps == 0
    assert_exact(problem, solution)


@pytest.mark.parametrize("gamma", [0.09, 0.11, 3.0])
def test_a_source_that_lies_changes_nothing(gamma, monkeypatch):
    """Values of another kernel altogether in place of single precision: the solution is the same."""
    problem = problem_of("rbf", 1200, 0.2)
    expected = in_double(problem).point
    other = Kernel("rbf", {"gamma": gamma})

    def lying(source):
        rows = KernelSource.of(other, data_of(1200)[0])
        return KernelSource(other, rows.rows.single(), np.float32) if source.n_samples == 1200 else None

    monkeypatch.setattr(KernelSource, "single", lying)
    assert in_single_precision(problem) is None
    monkeypatch.setattr(levels, "_MOST_ROUNDING", np.inf)
    assert in_single_precision(problem) is not None
    solution = solve(problem, tol=1e-8)
    assert solution.status is Status.OPTIMAL
    fit = assert_exact(problem, solution)
    np.testing.assert_allclose(fit, expected.fit, atol=1e-8 * np.abs(fit).max())


@pytest.mark.parametrize("kernel, scale", [("rbf", 1e25), ("poly", 1e7), ("poly", 1e14)])
def test_values_out_of_the_range_of_single_precision(kernel, scale):
    """Warnings are errors: nothing may be heard of the attempt."""
    X, y = make_classification(1200, 10, n_informative=5, random_state=0)
    outlier = X.copy()
    outlier[7] *= 3.0
    gamma = 0.1 / scale**2 if kernel == "rbf" else 0.1
    params = dict(kernel=kernel, gamma=gamma, C=300.0, coef0=0.0)
    model = BudgetSVC(**params).fit(scale * outlier, y)
    assert model.slack_.sum() == pytest.approx(300.0, rel=1e-6)
    if kernel == "rbf":
        same = BudgetSVC(kernel="rbf", gamma=0.1, C=300.0).fit(outlier, y)
        expected = same.decision_function(outlier)
        np.testing.assert_allclose(model.decision_function(scale * outlier), expected, atol=1e-6)


def test_all_samples_alike():
    """Working sets begin with some samples even where none is free."""
    X, y = make_moons(1200, noise=0.3, random_state=0)
    problem = classification(KERNELS["rbf"].source(X), np.where(y, 1.0, -1.0), np.ones(1200))
    for fraction in (0.98, 0.9999):
        here = problem.with_budget(fraction * problem.largest_budget)
        solution = solve(here, tol=1e-8)
        assert solution.status is Status.OPTIMAL
    distinct = classification(Kernel("rbf", {"gamma": 1e6}).source(X), problem.sign, problem.weight, budget=60.0)
    solution = solve(distinct, tol=1e-8)
    assert solution.status is Status.OPTIMAL
    # K = I nearly, and classes of the same size: each f_i + b is lam y_i + b, whatever b between the slacks is.
    np.testing.assert_allclose(solution.beta, solution.lam * problem.sign, rtol=1e-2)
    assert solution.slack.sum() == pytest.approx(60.0, rel=1e-9)


@pytest.mark.parametrize("kernel, fraction", [("rbf", 0.05), ("poly", 0.3)])
def test_threads_round_otherwise_and_change_nothing(kernel, fraction):
    """The order of sums changes what single precision says, and not the solution."""
    problem, fits = problem_of(kernel, 2000, fraction), []
    for threads in (1, 2):
        with threadpool_limits(threads):
            solution = solve(problem, tol=1e-8)
        fits.append(fit_of(problem, solution.beta))
    np.testing.assert_allclose(fits[1], fits[0], atol=1e-8 * np.abs(fits[0]).max())


# The cold start


@pytest.mark.parametrize("seed", range(3))
def test_first_sides_of_classes_at_a_small_cost_are_the_limit(seed):
    """At a cost that next to no dual makes a difference at, each stands where the best constant leaves it."""
    problem = problem_of("rbf", 100, 0.9, seed, weighted=True).with_cost(1e-6).stored()
    cold = cold_state(problem)
    state = between_means(problem, cold, 1.0)
    np.testing.assert_array_equal(state.side, cold.side)


@pytest.mark.parametrize("cost", [0.1, 1.0, 100.0])
def test_first_sides_of_classes_follow_the_distance_from_the_other_class(cost):
    """Along the difference of the means: zero, free, at bound, and the duals are within their bounds."""
    X, y = make_blobs(80, 2, centers=[[-2.0, 0.0], [2.0, 0.0]], random_state=3)
    problem = classification(Kernel("linear").source(X).stored(), 2.0 * y - 1.0, np.ones(80), cost=cost)
    state = between_means(problem, cold_state(problem), 4.0)
    along = problem.sign * (X @ (X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)))
    for members in (y == 0, y == 1):
        assert (np.diff(state.side[members][np.argsort(along[members])]) <= 0).all()
    assert (state.side == FREE).any() and (state.side == ZERO).any()
    magnitude = problem.sign * state.point.beta
    assert (magnitude >= 0.0).all() and (magnitude <= cost).all()
    assert (magnitude[state.side == BOUND] == cost).all() and (magnitude[state.side == ZERO] == 0.0).all()


@pytest.mark.parametrize("cost", [None, 0.01])
def test_cold_state_is_the_limit_of_small_multipliers(cost):
    problem = problem_of("rbf", 300, 0.9, weighted=True)
    problem = problem if cost is None else problem.with_cost(cost)
    state = cold_state(problem)
    lighter = problem.sign * problem.bound.sum() < 0
    assert (state.side[lighter] == BOUND).all() and (state.side[~lighter] == FREE).all()
    assert state.point.lam > 0 and cost in (None, state.point.lam)
    assert abs(state.point.beta.sum()) <= 1e-9 * np.abs(state.point.beta).sum()
