"""Sparse samples: pivots with conjugate gradients end in the solution that a kernel matrix has.

Independent evidence: the same problem on its stored kernel matrix, libsvm, and LAPACK for the linear systems.
"""

import numpy as np
import pytest
from reference import cost_svm
from scipy import sparse

from sklearn_svmdl.dual.active_set import pivot
from sklearn_svmdl.dual.kkt import FixedSamples
from sklearn_svmdl.dual.problem import Status, classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.dual.sparse import ConjugateGradients, SparseBlock, is_sparse, solve_sparse
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.kernels import GramSource, Kernel

LINEAR = Kernel("linear")


def data_of(n, d=3000, seed=0):
    """Rows of some twenty words, of length 1, and a plane through noise."""
    random = np.random.RandomState(seed)
    X = sparse.random(n, d, density=20 / d, format="csr", random_state=random)
    X = sparse.csr_matrix(sparse.diags_array(1.0 / np.maximum(sparse.linalg.norm(X, axis=1), 1e-3)) @ X)
    values = X @ random.randn(d)
    return X, values / values.std() + 0.3 * random.randn(n)


def problem_of(n, seed=0):
    X, values = data_of(n, seed=seed)
    weight = np.random.RandomState(1).choice([0.5, 1.0, 2.0], n)
    return classification(LINEAR.source(X), np.where(values > 0.2, 1.0, -1.0), weight)


def stored(problem):
    """The same problem, of whose kernel values nothing is known but the values."""
    return problem._with(source=GramSource((problem.source.features @ problem.source.features.T).toarray()))


@pytest.mark.parametrize("given", [{"cost": 0.1}, {"cost": 3.0}, {"budget": 0.1}, {"budget": 0.7}])
@pytest.mark.parametrize("seed", range(2))
def test_solution_is_that_of_the_stored_kernel_matrix(seed, given):
    problem = problem_of(700, seed)
    if "cost" in given:
        problem = problem.with_cost(given["cost"])
    else:
        problem = problem.with_budget(given["budget"] * problem.largest_budget)
    assert is_sparse(problem) and not is_sparse(stored(problem))
    state = solve_sparse(problem, Tally())
    assert state.settled and state.exact
    solution, expected = solve(problem, tol=1e-8), solve(stored(problem), tol=1e-8)
    assert solution.status is expected.status is Status.OPTIMAL
    assert solution.lam == pytest.approx(expected.lam, rel=1e-7)
    assert solution.norm == pytest.approx(expected.norm, rel=1e-7)
    np.testing.assert_allclose(solution.slack, expected.slack, atol=1e-6)


def test_a_round_that_is_solved_roughly_is_not_the_last():
    problem = problem_of(300).with_cost(1.0)
    done = solve_sparse(problem, Tally())
    nothing, tally = FixedSamples(np.zeros(300)), Tally()
    X = problem.source.features
    block = SparseBlock(None, problem.linear, problem.bound, 0.0, nothing, problem.lam_range, X, None, tally)
    # From the right sides the first round finds nothing wrong, and has not solved for them exactly.
    again = pivot(block, done, cache=ConjugateGradients(block))
    assert again.settled and again.exact and tally.pivots > 1
    np.testing.assert_array_equal(again.side, done.side)
    np.testing.assert_allclose(again.point.beta, done.point.beta, atol=1e-9)


def test_duals_are_those_of_libsvm():
    problem = problem_of(600).with_cost(1.0)
    solution = solve(problem, tol=1e-8)
    X = problem.source.features
    K = (X @ X.T).toarray()
    expected = cost_svm(K, problem.linear, 1.0, problem.weight)
    np.testing.assert_allclose(K @ solution.beta + solution.intercept, expected, atol=1e-4)


def test_no_kernel_matrix_is_evaluated_or_factorised():
    problem = problem_of(2000).with_cost(1.0)
    work = solve(problem).work
    assert work.kernel_values < 2000**2 / 2
    assert work.factored == ()


@pytest.mark.parametrize("given", [{"cost": 1.0}, {"budget": 40.0}])
def test_regression_is_that_of_the_stored_kernel_matrix(given):
    X, values = data_of(700)
    weight = np.ones(700)
    problem = regression(LINEAR.source(X), values, weight, 0.1, **given)
    gram = GramSource((X @ X.T).toarray())
    solution, expected = (solve(each, tol=1e-8) for each in (problem, regression(gram, values, weight, 0.1, **given)))
    assert solution.status is expected.status is Status.OPTIMAL
    assert solution.norm == pytest.approx(expected.norm, rel=1e-6)
    assert solution.budget == pytest.approx(expected.budget, rel=1e-6)


def test_equal_samples_of_both_classes_are_solved_some_other_way():
    problem = problem_of(600)
    X = problem.source.features
    twice = sparse.csr_matrix(sparse.vstack([X[:300], X[:300]]))
    problem = classification(LINEAR.source(twice), np.repeat([1.0, -1.0], 300), np.ones(600)).with_cost(1.0)
    solution = solve(problem, tol=1e-8)
    assert solution.status is Status.OPTIMAL
    assert solution.norm <= 1e-6


@pytest.fixture
def block():
    X, values = data_of(120, 200)
    everything = FixedSamples(np.zeros(120))
    return SparseBlock(None, values, np.sign(values), 0.0, everything, (1.0, 1.0), X)


def test_block_multiplies_and_scales_as_the_kernel_matrix_does(block):
    K = (block.features @ block.features.T).toarray()
    values = np.where(np.arange(120) % 3, 0.0, 1.0 + np.arange(120))
    np.testing.assert_allclose(block.product(values), K @ values)
    assert block.scale == pytest.approx(K.diagonal().mean() - K.mean())
    assert block.largest == pytest.approx(K.diagonal().max())


def test_gradients_solve_the_bordered_system(block):
    gradients = ConjugateGradients(block)
    free, delta = np.arange(0, 120, 2), 1e-3
    r = np.linspace(-1.0, 2.0, len(free))
    x, b = gradients.factor(len(free), 0).solve(free, delta, r, 0.5, 0)
    K = (block.features @ block.features.T).toarray()[np.ix_(free, free)] + delta * np.eye(len(free))
    system = np.block([[K, np.ones((len(free), 1))], [np.ones((1, len(free))), np.zeros((1, 1))]])
    np.testing.assert_allclose(np.append(x, b), np.linalg.solve(system, np.append(r, 0.5)), atol=1e-9)


def test_gradients_that_do_not_converge_say_so(block):
    twice = sparse.csr_matrix(sparse.vstack([block.features[:60], block.features[:60]]))
    singular = SparseBlock(None, block.linear, block.bound, 0.0, FixedSamples(np.zeros(120)), (1.0, 1.0), twice)
    gradients = ConjugateGradients(singular).factor(120, 0)
    with pytest.raises(np.linalg.LinAlgError, match="converge"):
        gradients.solve(np.arange(120), 0.0, np.repeat([1.0, -1.0], 60), 0.0, 0)
