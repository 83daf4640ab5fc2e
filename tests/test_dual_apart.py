"""Classes that are apart: the samples between them tell the solution, for a few columns of the kernel matrix."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_blobs, make_moons
from sklearn.svm import SVC

from sklearn_svmdl.dual import apart
from sklearn_svmdl.dual import solve as entry
from sklearn_svmdl.dual.kkt import FREE, ZERO
from sklearn_svmdl.dual.problem import Status, classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.kernels import Kernel

KERNELS = {
    "rbf": Kernel("rbf", {"gamma": 0.05}),
    "narrow": Kernel("rbf", {"gamma": 2.0}),
    "cubic": Kernel("poly", {"gamma": 0.1, "degree": 3, "coef0": 1.0}),
}


def blobs(kernel="rbf", n=700, spread=1.0, seed=3, weights=None, share=0.5):
    """Two classes that are apart, as a problem with neither budget nor cost."""
    up = int(share * n)
    X, y = make_blobs([up, n - up], centers=[[-4.0] * 4, [4.0] * 4], cluster_std=spread, random_state=seed)
    weight = np.ones(n) if weights is None else np.random.RandomState(0).choice(weights, n)
    return classification(KERNELS[kernel].source(X), np.where(y, 1.0, -1.0), weight)


def of_all(problem, monkeypatch, **limits):
    """The solution by all samples."""
    with monkeypatch.context() as patch:
        patch.setattr(entry, "between_classes", lambda problem: None)
        return solve(problem, **limits)


def grown(monkeypatch):
    """A list that gets what each growth from here on ends with."""
    ends, own = [], entry.grow
    monkeypatch.setattr(entry, "grow", lambda *args: ends.append(own(*args)) or ends[-1])
    return ends


ASKED = {
    "cost 1": lambda problem: problem.with_cost(1.0),
    "cost 100": lambda problem: problem.with_cost(100.0),
    "no slack": lambda problem: problem.with_budget(0.0),
    "a little slack": lambda problem: problem.with_budget(0.002 * problem.largest_budget),
    "some slack": lambda problem: problem.with_budget(0.005 * problem.largest_budget),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("kernel", ["rbf", "cubic"])
@pytest.mark.parametrize("given", [{}, {"weights": [0.5, 1.0, 3.0]}, {"share": 0.04}], ids=["", "weights", "few"])
def test_the_samples_between_the_classes_tell_the_solution_of_all(asked, kernel, given, monkeypatch):
    problem = ASKED[asked](blobs(kernel, **given))
    expected = of_all(problem, monkeypatch, tol=1e-9)
    ends = grown(monkeypatch)
    found = solve(problem, tol=1e-9)
    assert len(ends) == 1 and ends[0] is not None and ends[0].settled
    assert found.status is expected.status is Status.OPTIMAL
    assert found.margin == pytest.approx(expected.margin, rel=1e-6)
    np.testing.assert_allclose(problem.gradient(found.beta), problem.gradient(expected.beta), atol=1e-6)
    assert found.work.kernel_values < expected.work.kernel_values


def test_few_columns_of_the_kernel_matrix_are_evaluated():
    problem = blobs(n=3000).with_cost(1.0)
    found = solve(problem)
    assert found.status is Status.OPTIMAL
    # Those of the support vectors, of the samples between the classes, and of some that tell the means.
    assert found.work.kernel_values < (2 * np.count_nonzero(found.beta) + 200 + 40) * 3000
    assert max(found.work.factored) <= 200 and found.work.interior_steps == 0


@pytest.mark.parametrize("cost", [1.0, 30.0])
def test_the_solution_is_that_of_svc(cost):
    X, y = make_blobs(800, 6, centers=2, cluster_std=2.0, random_state=1)
    problem = classification(KERNELS["rbf"].source(X), np.where(y, 1.0, -1.0), np.ones(800), cost=cost)
    assert apart.between_classes(problem) is not None
    found, svc = solve(problem, tol=1e-9), SVC(C=cost, gamma=0.05, tol=1e-10).fit(X, y)
    decisions = problem.fit(found.beta) + found.intercept
    np.testing.assert_allclose(decisions, svc.decision_function(X), atol=1e-6)


def test_stored_kernel_values_lead_the_same_way():
    problem = blobs().with_cost(3.0)
    found, stored = solve(problem, tol=1e-9), solve(problem.stored(), tol=1e-9)
    assert stored.work.factored == found.work.factored and stored.work.kernel_values == 0
    np.testing.assert_allclose(stored.beta, found.beta, atol=1e-9)


@pytest.mark.parametrize("kernel", ["rbf", "cubic"])
def test_samples_between_the_classes_are_free_at_first(kernel):
    problem = blobs(kernel, spread=2.0).with_cost(10.0)
    start = apart.between_classes(problem)
    assert start.point.lam == 10.0 and set(start.side.tolist()) == {FREE, ZERO}
    assert np.count_nonzero(start.side == FREE) == 70
    # Along the difference of the means of all samples.
    y = problem.linear
    between = np.argsort(y * (problem.source.stored().gram @ y))[:140]
    assert np.isin(np.flatnonzero(start.side == FREE), between).mean() > 0.9


def test_where_many_samples_count_all_take_part():
    problem = blobs()
    X, y = make_moons(700, noise=0.3, random_state=0)
    mixed = classification(KERNELS["rbf"].source(X), np.where(y, 1.0, -1.0), np.ones(700), cost=1e3)
    y = problem.linear * 3.0
    for other in (
        mixed,
        problem.with_cost(1e-4),
        problem.with_budget(0.1 * problem.largest_budget),
        blobs(n=400).with_cost(1.0),
        classification(Kernel("linear", {}).source(X), mixed.linear, np.ones(700), cost=1.0),
        regression(problem.source, y, np.ones(700), 0.1, cost=1.0),
    ):
        assert apart.between_classes(other) is None
    assert apart.between_classes(problem.with_cost(1.0)) is not None


@pytest.mark.parametrize("share", [0.5, 0.02])
def test_what_a_sample_adds_to_its_own_mean_tells_nothing(share):
    """A kernel that sees no sample but itself: the means of the classes differ by those that tell them alone."""
    X = np.random.RandomState(0).normal(size=(700, 10))
    y = np.where(np.arange(700) < share * 700, 1.0, -1.0)
    problem = classification(Kernel("rbf", {"gamma": 1e3}).source(X), y, np.ones(700), cost=1e3)
    assert apart.between_classes(problem) is None


def test_where_growth_ends_nowhere_the_solution_is_that_of_all(monkeypatch):
    problem = blobs("narrow", spread=0.5).with_cost(100.0)
    ends = grown(monkeypatch)
    found = solve(problem, tol=1e-9)
    assert ends == [None]
    assert found.status is Status.OPTIMAL
    expected = of_all(problem, monkeypatch, tol=1e-9)
    np.testing.assert_allclose(found.beta, expected.beta, atol=1e-6)
    # What was in vain is no more than a few looks at a fifth of the samples.
    assert found.work.kernel_values < 3 * expected.work.kernel_values


def test_a_spoilt_end_of_the_growth_is_no_solution(monkeypatch):
    problem, own = blobs().with_cost(1.0), entry.grow

    def spoilt(*args):
        """Half of each dual."""
        state = own(*args)
        return replace(state, point=state.point._replace(beta=0.5 * state.point.beta))

    monkeypatch.setattr(entry, "grow", spoilt)
    found = solve(problem, tol=1e-6)
    assert found.status is Status.OPTIMAL
    assert found.margin == pytest.approx(of_all(problem, monkeypatch, tol=1e-6).margin, rel=1e-6)


@pytest.mark.parametrize("most", [1, 3, 8])
def test_growth_takes_no_more_iterations_than_allowed(most):
    problem = blobs().with_cost(10.0)
    found = solve(problem, max_iter=most)
    assert found.work.iterations <= most
    assert found.status is (Status.OPTIMAL if found.is_within(1e-3) else Status.MAX_ITER)
