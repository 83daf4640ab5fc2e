"""Single precision first: what it says is never trusted, only used.

Independent evidence: the same problems in double precision throughout, certificates from the whole kernel matrix, and
sources in single precision that lie.
"""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification, make_moons
from threadpoolctl import threadpool_limits

from sklearn_svmdl import BudgetSVC
from sklearn_svmdl.dual import precision
from sklearn_svmdl.dual.band import ROUGH, THOROUGH, refine
from sklearn_svmdl.dual.block import ZERO
from sklearn_svmdl.dual.budget import solve_budget_dual
from sklearn_svmdl.dual.gram import GrowingGram, Room
from sklearn_svmdl.dual.levels import cold_guess, solve_levels
from sklearn_svmdl.dual.pivoting import EXACT
from sklearn_svmdl.dual.precision import hasty, in_single_precision, movement, polished
from sklearn_svmdl.dual.problem import BudgetProblem, Status, certify
from sklearn_svmdl.kernels import GramSource, Kernel, KernelSource

KERNELS = {
    "rbf": Kernel("rbf", {"gamma": 0.1}),
    "poly": Kernel("poly", {"gamma": 0.1, "degree": 3, "coef0": 1.0}),
}


def problem_of(kernel, n=1200, fraction=0.1, seed=0, weighted=False):
    X, y = make_classification(n, 10, n_informative=5, flip_y=0.05, random_state=seed)
    weight = np.random.RandomState(1).choice([0.5, 1.0, 2.0], n) if weighted else np.ones(n)
    problem = BudgetProblem(KERNELS[kernel].source(X), np.where(y, 1.0, -1.0), weight, 0.0)
    return problem.with_budget(fraction * problem.largest_budget)


def everywhere(problem):
    return cold_guess(problem), np.ones(problem.n_samples, dtype=bool)


def in_double(problem):
    """The exact solution, every sample in one block of doubles."""
    return refine(problem, *everywhere(problem), Room(problem.n_samples), THOROUGH)


def assert_exact(problem, guess):
    """The certificate of the guess, from the whole kernel matrix."""
    fit = problem.source.stored().gram @ guess.beta
    solution = certify(problem, guess.beta, guess.lam, problem.target - fit, 0, 1e-8)
    assert solution.status is Status.OPTIMAL
    assert abs(solution.duality_gap) <= 1e-8
    return fit


def nearly_solved(problem, budget):
    """A solution of another budget, as if single precision had given it."""
    return replace(in_double(problem.with_budget(budget)), delta=EXACT)


@pytest.mark.parametrize("kernel", KERNELS)
def test_values_in_single_precision(kernel):
    source = problem_of(kernel).source
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


@pytest.mark.parametrize("kernel, fraction", [("rbf", 0.02), ("rbf", 0.5), ("poly", 0.3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_same_solution_as_in_double_precision(kernel, fraction, weighted):
    problem = problem_of(kernel, fraction=fraction, weighted=weighted)
    single, double = solve_levels(problem, Room(900), np.random.RandomState(0)), in_double(problem)
    fit, expected = assert_exact(problem, single), assert_exact(problem, double)
    np.testing.assert_allclose(fit, expected, atol=1e-8 * np.abs(expected).max())
    assert single.lam == pytest.approx(double.lam, rel=1e-7)


def test_most_of_the_work_is_in_single_precision(monkeypatch):
    """Of a problem with few support vectors, double precision sees few samples."""
    seen, refine_as_is = [], precision.refine

    def spy(problem, *args):
        seen.append((problem.source.dtype, problem.n_samples))
        return refine_as_is(problem, *args)

    monkeypatch.setattr(precision, "refine", spy)
    problem = problem_of("rbf", n=1500, fraction=0.05)
    guess = solve_levels(problem, Room(1500), np.random.RandomState(0))
    last = seen[seen.index((np.dtype(np.float32), 1500)) + 1 :]
    assert len(last) > 0
    assert all(dtype == np.float64 and n < 700 for dtype, n in last)
    assert_exact(problem, guess)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(3))
def test_decision_function_moves_no_further_than_said(kernel, seed):
    """`movement` bounds |f' - f| at every sample, from the samples in `part` alone."""
    problem = problem_of(kernel, n=1000, fraction=0.2, seed=seed)
    single = in_single_precision(problem)
    rough = hasty(single.problem, everywhere, Room(1000), ROUGH)
    for share in (0.8, 1.0, 1.3):
        other = in_double(problem.with_budget(share * problem.budget))
        part = (rough.side != ZERO) | (other.side != ZERO)
        assert not part.all()
        moved = np.abs(other.fit + other.intercept - rough.fit - rough.intercept)
        assert (moved <= movement(problem, rough, other, part, single.rounding)).all()


@pytest.mark.parametrize("share", [0.9, 0.97, 1.03, 1.2])
def test_zeros_that_do_not_stay_right_are_found(share):
    """A solution of another budget leaves out samples that this one needs."""
    problem = problem_of("rbf", fraction=0.2)
    rough = nearly_solved(problem, share * problem.budget)
    guess = polished(problem, rough, 1e-6, Room(1200), THOROUGH)
    assert (guess.beta[rough.side == ZERO] != 0).any()
    assert_exact(problem, guess)


def test_single_precision_that_misleads_is_given_up():
    problem = problem_of("rbf", fraction=0.8)
    rough = nearly_solved(problem, 0.02 * problem.budget)
    assert polished(problem, rough, 1e-6, Room(1200), THOROUGH) is None


@pytest.mark.parametrize("gamma", [0.09, 0.11, 3.0])
def test_a_source_that_lies_changes_nothing(gamma, monkeypatch):
    """Values of another kernel altogether in place of single precision: the solution is the same."""
    problem = problem_of("rbf", fraction=0.2)
    expected = in_double(problem)
    other = Kernel("rbf", {"gamma": gamma})

    def lying(source):
        rows = KernelSource.of(other, make_classification(1200, 10, n_informative=5, flip_y=0.05, random_state=0)[0])
        return KernelSource(other, rows.rows.single(), np.float32) if source.n_samples == 1200 else None

    monkeypatch.setattr(KernelSource, "single", lying)
    assert in_single_precision(problem) is None
    monkeypatch.setattr(precision, "_MOST_ROUNDING", np.inf)
    assert in_single_precision(problem) is not None
    guess = solve_levels(problem, Room(1200), np.random.RandomState(0))
    fit = assert_exact(problem, guess)
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
    """Bands begin with some samples even where none is free."""
    X, y = make_moons(1200, noise=0.3, random_state=0)
    problem = BudgetProblem(KERNELS["rbf"].source(X), np.where(y, 1.0, -1.0), np.ones(1200), 0.0)
    for fraction in (0.98, 0.9999):
        here = problem.with_budget(fraction * problem.largest_budget)
        solution = solve_budget_dual(here, tol=1e-8)
        assert solution.status is Status.OPTIMAL
    distinct = BudgetProblem(Kernel("rbf", {"gamma": 1e6}).source(X), problem.target, problem.weight, 60.0)
    solution = solve_budget_dual(distinct, tol=1e-8)
    assert solution.status is Status.OPTIMAL
    # K = I nearly, and classes of the same size: each f_i + b is lam y_i + b, whatever b between the slacks is.
    np.testing.assert_allclose(solution.beta, solution.lam * problem.target, rtol=1e-2)
    assert solution.slack.sum() == pytest.approx(60.0, rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_room_in_either_precision(dtype):
    dtype, room = np.dtype(dtype), Room(100)
    most = room.most(dtype)
    assert most**2 * dtype.itemsize <= 100**2 * 8
    assert (most + 1) ** 2 * dtype.itemsize > 100**2 * 8
    room.reserve(most, dtype)
    assert room.square(most, dtype).shape == (most, most)
    source = KERNELS["rbf"].source(np.random.RandomState(0).randn(200, 3))
    source = source.single() if dtype == np.float32 else source
    gram = GrowingGram(source, np.arange(20), room)
    gram.add(np.arange(60, most + 40))
    assert gram.values.dtype == dtype and gram.values.flags.c_contiguous
    np.testing.assert_allclose(gram.values, source.block(gram.indices, gram.indices), rtol=1e-6)


@pytest.mark.parametrize("kernel, fraction", [("rbf", 0.05), ("poly", 0.3)])
def test_threads_round_otherwise_and_change_nothing(kernel, fraction):
    """The order of sums changes what single precision says, and not the solution."""
    problem, fits = problem_of(kernel, n=2000, fraction=fraction), []
    for threads in (1, 2):
        with threadpool_limits(threads):
            guess = solve_levels(problem, Room(2000), np.random.RandomState(0))
        fits.append(problem.source.stored().gram @ guess.beta)
    np.testing.assert_allclose(fits[1], fits[0], atol=1e-8 * np.abs(fits[0]).max())
