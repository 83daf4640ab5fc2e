"""Coarse to fine: the same solution from less memory.

Independent evidence: the whole problem as one block, pair steps, and a source that records what it is
asked for.
"""

import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import make_classification, make_moons

from sklearn_svmdl.dual.band import TooLarge, largest_band, refine
from sklearn_svmdl.dual.budget import solve_budget_dual
from sklearn_svmdl.dual.gram import GrowingGram, Room
from sklearn_svmdl.dual.levels import coarse_problem, cold_guess, solve_levels, stratified_share
from sklearn_svmdl.dual.problem import BudgetProblem, Status
from sklearn_svmdl.kernels import BLOCK, MEGABYTE, Kernel, KernelSource

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


def problem_of(kernel, n, fraction, seed=0, weighted=False, source=KernelSource):
    X, y = make_classification(n, 10, n_informative=5, flip_y=0.05, random_state=seed)
    return _problem(KERNELS[kernel], X, y, fraction, weighted, source)


def _problem(kernel, X, y, fraction, weighted=False, source=KernelSource):
    n = len(y)
    weight = np.random.RandomState(1).choice([0.5, 1.0, 2.0], n) if weighted else np.ones(n)
    problem = BudgetProblem(source.of(kernel, X), np.where(y, 1.0, -1.0), weight, 0.0)
    return problem.with_budget(fraction * problem.largest_budget)


def fit_of(problem, beta):
    return problem.source.stored().gram @ beta


def same_solution(problem, first, second, rtol):
    fits = [fit_of(problem, solution.beta) for solution in (first, second)]
    scale = np.abs(fits[0]).max()
    np.testing.assert_allclose(fits[1] - fits[0], 0.0, atol=rtol * scale)
    assert second.lam == pytest.approx(first.lam, rel=10 * rtol)


# The fraction is above the least one that the kernel can reach.
LEVELS = [("linear", 700, 0.6), ("poly", 900, 0.3), ("rbf", 900, 0.1), ("rbf", 900, 0.6)]


@pytest.mark.parametrize("kernel, n, fraction", LEVELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_levels_and_one_whole_block_agree(kernel, n, fraction, weighted):
    problem = problem_of(kernel, n, fraction, weighted=weighted)
    fine = solve_levels(problem, Room(n), np.random.RandomState(0))
    whole = refine(problem, cold_guess(problem), np.ones(n, dtype=bool), Room(n))
    assert fine.settled and whole.settled
    same_solution(problem, whole, fine, rtol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_samples_drawn_does_not_matter(seed):
    problem = problem_of("rbf", 1000, 0.2)
    solutions = [solve_levels(problem, Room(1000), np.random.RandomState(s)) for s in (100, seed)]
    same_solution(problem, *solutions, rtol=1e-8)


@pytest.mark.parametrize(
    "kernel, n, fraction", [("rbf", 1500, 0.05), ("poly", 1500, 0.3), ("linear", 1500, 0.6)]
)
@pytest.mark.parametrize("megabytes", [4.0, 8.0])
def test_little_memory_gives_the_same_solution(kernel, n, fraction, megabytes):
    problem = problem_of(kernel, n, fraction)
    small = solve_budget_dual(problem, tol=1e-6, cache_size=megabytes)
    large = solve_budget_dual(problem, tol=1e-6, cache_size=200.0)
    assert small.status is Status.OPTIMAL and large.status is Status.OPTIMAL
    same_solution(problem, large, small, rtol=1e-6)


@pytest.mark.parametrize(
    "kernel, n, fraction", [("rbf", 1500, 0.05), ("rbf", 1500, 0.7), ("linear", 1500, 0.6)]
)
@pytest.mark.parametrize("megabytes", [0.5, 2.0, 4.0])
def test_no_block_of_kernel_values_exceeds_the_memory(kernel, n, fraction, megabytes):
    problem = problem_of(kernel, n, fraction, source=RecordingSource)
    solution = solve_budget_dual(problem, cache_size=megabytes, max_iter=3000)
    assert len(problem.source.sizes) > 0
    assert max(problem.source.sizes) <= megabytes * MEGABYTE
    assert np.isfinite(solution.duality_gap)


@pytest.mark.parametrize("fraction", [0.05, 0.3])
def test_all_memory_in_use_stays_near_the_limit(fraction):
    n, megabytes = 4000, 16.0
    problem = problem_of("rbf", n, fraction)
    tracemalloc.start()
    solution = solve_budget_dual(problem, cache_size=megabytes, max_iter=2000)
    peak = tracemalloc.get_traced_memory()[1] / MEGABYTE
    tracemalloc.stop()
    assert np.isfinite(solution.duality_gap)
    # Beside what is kept, blocks of BLOCK values pass through (values and one copy), and some vectors.
    passing = 2 * 8 * BLOCK / MEGABYTE
    assert peak <= megabytes + passing + 1000 * n / MEGABYTE
    assert 8 * n**2 / MEGABYTE > 2 * peak


def test_margin_beyond_the_memory_is_said_so():
    problem = problem_of("linear", 1000, 0.9)
    whole = solve_levels(problem, Room(1000), np.random.RandomState(0))
    assert whole.settled
    with pytest.raises(TooLarge):
        solve_levels(problem_of("rbf", 1000, 0.01), Room(60), np.random.RandomState(0))


def test_largest_band_fits_with_the_factor_of_half_of_it():
    for megabytes in (0.1, 1.0, 200.0):
        m = largest_band(megabytes)
        assert 8 * (m**2 + (m / 2) ** 2) <= megabytes * MEGABYTE < 8 * ((m + 1) ** 2 + ((m + 1) / 2) ** 2)


@pytest.mark.parametrize("ratio", [4, 7])
def test_share_is_stratified_and_sorted(ratio):
    target = np.repeat([1.0, -1.0], [3, 200])
    chosen = stratified_share(target, ratio, np.random.RandomState(0))
    assert (np.diff(chosen) > 0).all()
    assert np.count_nonzero(target[chosen] > 0) >= 1
    assert np.count_nonzero(target[chosen] < 0) == pytest.approx(200 / ratio, abs=1)


def test_coarse_problem_keeps_the_relative_budget():
    problem = problem_of("rbf", 400, 0.3, weighted=True)
    chosen = stratified_share(problem.target, 4, np.random.RandomState(0))
    coarse = coarse_problem(problem, chosen)
    assert coarse.budget / coarse.largest_budget == pytest.approx(0.3)
    np.testing.assert_array_equal(coarse.weight, problem.weight[chosen])
    gram = problem.source.stored().gram
    np.testing.assert_allclose(coarse.source.stored().gram, gram[np.ix_(chosen, chosen)])


@pytest.mark.parametrize("kernel, n, fraction", LEVELS)
def test_certificate_is_that_of_fresh_kernel_values(kernel, n, fraction):
    problem = problem_of(kernel, n, fraction)
    solution = solve_budget_dual(problem, tol=1e-8)
    y, s, fit = problem.target, problem.weight, fit_of(problem, solution.beta)
    slack = np.maximum(0.0, 1.0 - y * (fit + solution.intercept))
    squared = solution.beta @ fit
    gap = (squared + solution.lam * s @ slack - y @ solution.beta) / (0.5 * squared)
    assert solution.duality_gap == pytest.approx(gap, abs=1e-9)
    assert s @ slack == pytest.approx(problem.budget, rel=1e-7)
    np.testing.assert_allclose(solution.slack, slack, atol=1e-8)
    assert solution.norm == pytest.approx(np.sqrt(squared), rel=1e-9)


def test_rows_in_any_order_and_many_duplicates():
    """Every sample three times: bands and levels meet equal columns."""
    X, y = make_moons(300, noise=0.3, random_state=0)
    single = _problem(KERNELS["rbf"], X, y, 0.3)
    order = np.random.RandomState(0).permutation(np.tile(np.arange(300), 3))
    triple = _problem(KERNELS["rbf"], X[order], y[order], 0.3)
    first, second = solve_budget_dual(single, tol=1e-8), solve_budget_dual(triple, tol=1e-8)
    assert first.status is Status.OPTIMAL and second.status is Status.OPTIMAL
    fit = fit_of(single, first.beta)
    np.testing.assert_allclose(fit_of(triple, second.beta), fit[order], atol=1e-7 * np.abs(fit).max())
    assert second.margin == pytest.approx(first.margin, rel=1e-7)


@pytest.mark.parametrize("most", [40, 90])
def test_gram_matrix_of_samples_that_come_and_go(most):
    random = np.random.RandomState(0)
    source = KERNELS["rbf"].source(random.normal(size=(120, 4)))
    gram = GrowingGram(source, np.arange(0, 30, 3), Room(most))
    for _ in range(30):
        strangers = np.setdiff1d(np.arange(120), gram.indices)
        gram.add(random.permutation(strangers)[: random.randint(0, most - len(gram.indices) + 1)])
        assert gram.values.flags.c_contiguous
        np.testing.assert_allclose(gram.values, source.block(gram.indices, gram.indices), rtol=1e-12)
        mask = random.rand(len(gram.indices)) < random.rand()
        kept = gram.indices[mask]
        gram.keep(mask)
        np.testing.assert_array_equal(gram.indices, kept)
        np.testing.assert_allclose(gram.values, source.block(kept, kept), rtol=1e-12)
