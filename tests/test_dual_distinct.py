"""Equal samples are solved as one of their added weights.

Independent evidence: libsvm on all samples, kernel values alone (where nothing is known to be equal), numpy's unique.
"""

import numpy as np
import pytest
from scipy import sparse
from sklearn.svm import SVC

from sklearn_svmdl import BudgetSVC
from sklearn_svmdl.dual.distinct import Distinct
from sklearn_svmdl.dual.problem import BEYOND_REACH, Status, classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.kernels import GramSource, Kernel

KERNELS = [Kernel("linear"), Kernel("rbf", {"gamma": 0.7}), Kernel("poly", {"gamma": 0.5, "degree": 3, "coef0": 1.0})]


def whole_numbers(seed, n=300, d=2, most=4):
    """Samples of a few whole numbers, noisy classes and weights."""
    random = np.random.RandomState(seed)
    X = random.randint(0, most, (n, d)).astype(float)
    target = np.where(X.sum(axis=1) + random.randn(n) > 0.5 * most * d - 0.5, 1.0, -1.0)
    return X, target, random.choice([0.5, 1.0, 3.0], n)


@pytest.mark.parametrize("seed", range(3))
def test_groups_are_those_of_numpy(seed):
    X, target, weight = whole_numbers(seed)
    problem = classification(KERNELS[0].source(X), target, weight, cost=1.0)
    distinct = Distinct.of(problem)
    rows, expected = np.unique(np.column_stack([X, target]), axis=0, return_inverse=True)
    assert distinct.problem.n_samples == len(rows)
    pairs = set(zip(distinct.group.tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len(rows)
    np.testing.assert_allclose(np.bincount(distinct.group, weight), distinct.problem.weight, rtol=1e-12)
    np.testing.assert_allclose(np.bincount(distinct.group, distinct.share), 1.0, rtol=1e-12)


def test_what_is_not_known_to_be_equal_is_left_alone():
    X, target, weight = whole_numbers(0)
    random = np.random.RandomState(0)
    different = classification(KERNELS[0].source(X + random.randn(*X.shape)), target, weight, cost=1.0)
    few = classification(KERNELS[0].source(X[:50]), target[:50], weight[:50], cost=1.0)
    of_rows = classification(KERNELS[0].source(sparse.csr_array(X)), target, weight, cost=1.0)
    of_values = classification(GramSource(X @ X.T), target, weight, cost=1.0)
    numbers = regression(KERNELS[0].source(X), target, weight, 0.1, cost=1.0)
    for problem in (different, few, of_rows, of_values, numbers):
        assert Distinct.of(problem) is None


@pytest.mark.parametrize("n", [4_999, 5_001, 40_000])
@pytest.mark.parametrize("order", ["side by side", "one half and again", "mixed"])
def test_of_many_samples_a_few_tell_that_half_are_twins(n, order):
    random = np.random.RandomState(n)
    X, target = random.randn(n, 3), random.choice([-1.0, 1.0], n)
    twin = {
        "side by side": np.arange(n) // 2,
        "one half and again": np.arange(n) % (n // 2 + 1),
        "mixed": random.permutation(np.arange(n) // 2),
    }[order]
    distinct = Distinct.of(classification(KERNELS[0].source(X[twin]), target[twin], np.ones(n), cost=1.0))
    assert distinct.problem.n_samples == len(np.unique(twin))
    assert Distinct.of(classification(KERNELS[0].source(X), target, np.ones(n), cost=1.0)) is None


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("given", [{"cost": 0.05}, {"cost": 5.0}, {"budget": 0.7}, {"budget": 0.0}])
def test_the_solution_is_that_of_kernel_values_alone(kernel, seed, given):
    """Budgets that nothing keeps (the last) included."""
    X, target, weight = whole_numbers(seed)

    def of(source):
        problem = classification(source, target, weight)
        if "cost" in given:
            return problem.with_cost(given["cost"])
        return problem.with_budget(given["budget"] * problem.largest_budget)

    source = kernel.source(X)
    everyone = np.arange(len(X))
    found, expected = solve(of(source)), solve(of(GramSource(source.block(everyone, everyone))))
    assert found.budget == pytest.approx(expected.budget, rel=1e-6)
    assert (found.status in BEYOND_REACH) == (expected.status in BEYOND_REACH)
    # At the largest cost w is known to rounding, and less of the kernel values alone.
    if found.status is Status.OPTIMAL:
        assert found.error <= 1e-9
        assert found.norm == pytest.approx(expected.norm, rel=1e-6)
        fits = (of(source).fit(solution.beta) + solution.intercept for solution in (found, expected))
        np.testing.assert_allclose(*fits, rtol=1e-6, atol=1e-6)
    assert max(found.work.factored) <= len(np.unique(np.column_stack([X, target]), axis=0)) + 10


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
def test_decisions_are_those_of_libsvm(kernel):
    X, target, weight = whole_numbers(7, n=600, d=3, most=3)
    options = {"kernel": kernel, "coef0": 1.0, "gamma": 0.3}
    ours = BudgetSVC(C=1.0, unit="cost", **options).fit(X, target, sample_weight=weight)
    rival = SVC(C=1.0, tol=1e-11, **options).fit(X, target, sample_weight=weight)
    # libsvm keeps kernel values in single precision.
    np.testing.assert_allclose(ours.decision_function(X), rival.decision_function(X), rtol=1e-5, atol=1e-5)
    # Equal samples have equal duals for their weights.
    duals = np.zeros(len(X))
    duals[ours.support_] = ours.dual_coef_[0] / (weight * target)[ours.support_]
    _, group = np.unique(np.column_stack([X, target]), axis=0, return_inverse=True)
    for number in range(group.max() + 1):
        assert np.ptp(duals[group.ravel() == number]) <= 1e-12
