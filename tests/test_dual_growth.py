"""Classes that are apart, or one rare: a working set grows to the solution, for a few columns of the kernel matrix."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_blobs, make_moons
from sklearn.svm import SVC

from sklearn_svmdl.dual import growth
from sklearn_svmdl.dual import solve as entry
from sklearn_svmdl.dual.buffer import Buffer
from sklearn_svmdl.dual.kkt import FREE, ZERO
from sklearn_svmdl.dual.problem import Status, classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.dual.working_set import Workspace
from sklearn_svmdl.kernels import GramSource, Kernel

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


def rare(kernel="rbf", n=1500, few=20, seed=0, weight=1.0):
    """One class of few samples, each of some weight, in the midst of the other, as a problem with no budget or cost."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n, 6))
    X[:few, :2] += 1.5
    y = np.where(np.arange(n) < few, 1.0, -1.0)
    return classification(KERNELS[kernel].source(X), y, np.where(y > 0, weight, 1.0))


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


def grown_and_of_all(problem, monkeypatch):
    """The solution that growth ends with, and that of all samples: the same."""
    expected = of_all(problem, monkeypatch, tol=1e-9)
    ends = grown(monkeypatch)
    found = solve(problem, tol=1e-9)
    assert len(ends) == 1 and ends[0] is not None and ends[0].settled
    assert found.status is expected.status is Status.OPTIMAL
    assert found.margin == pytest.approx(expected.margin, rel=1e-6)
    np.testing.assert_allclose(problem.gradient(found.beta), problem.gradient(expected.beta), atol=1e-6)
    return found, expected


ASKED = {
    "cost 1": lambda problem: problem.with_cost(1.0),
    "cost 30": lambda problem: problem.with_cost(30.0),
    "no slack": lambda problem: problem.with_budget(0.0),
    "a little slack": lambda problem: problem.with_budget(0.002 * problem.largest_budget),
    "some slack": lambda problem: problem.with_budget(0.005 * problem.largest_budget),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("kernel", ["rbf", "cubic"])
@pytest.mark.parametrize("given", [{}, {"weights": [0.5, 1.0, 3.0]}, {"share": 0.04}], ids=["", "weights", "few"])
def test_the_samples_between_the_classes_tell_the_solution_of_all(asked, kernel, given, monkeypatch):
    problem = ASKED[asked](blobs(kernel, **given))
    found, expected = grown_and_of_all(problem, monkeypatch)
    assert found.work.kernel_values < expected.work.kernel_values


@pytest.mark.parametrize("weight", [1.0, 2.0])
@pytest.mark.parametrize("kernel", ["rbf", "cubic"])
@pytest.mark.parametrize(
    "asked",
    [
        lambda problem: problem.with_cost(0.1),
        lambda problem: problem.with_cost(10.0),
        lambda problem: problem.with_budget(0.1 * problem.largest_budget),
        lambda problem: problem.with_budget(0.7 * problem.largest_budget),
    ],
    ids=["cost 0.1", "cost 10", "little slack", "much slack"],
)
def test_a_rare_class_and_the_samples_near_it_tell_the_solution_of_all(asked, kernel, weight, monkeypatch):
    problem = asked(rare(kernel, weight=weight))
    found, _ = grown_and_of_all(problem, monkeypatch)
    assert found.work.kernel_values < 0.5 * 1500**2


def test_which_classes_are_rare():
    """A twentieth of the samples, and of their weight; where few features tell all, nothing has to grow."""
    assert growth.between_classes(rare(few=75).with_cost(1.0)) is not None
    assert growth.between_classes(rare(few=76).with_cost(1.0)) is None
    assert growth.between_classes(rare(few=20, weight=5.0).with_cost(1.0)) is None
    # A third of all in noise, where the means tell nothing.
    assert growth.between_classes(noise(few=700).with_cost(1.0)) is not None
    assert growth.between_classes(noise(few=701).with_cost(1.0)) is None
    mirrored = rare(few=20).with_cost(1.0)
    mirrored = replace(mirrored, linear=-mirrored.linear, bound=-mirrored.bound)
    assert growth.between_classes(mirrored) is not None
    X = np.random.RandomState(0).normal(size=(700, 2))
    y = np.where(X[:, 0] > 2.0, 1.0, -1.0)
    assert growth.between_classes(classification(KERNELS["cubic"].source(X), y, np.ones(700), cost=1.0)) is None
    assert growth.between_classes(classification(KERNELS["narrow"].source(X), y, np.ones(700), cost=1.0)) is not None


@pytest.mark.parametrize("size", [0.0, 1e-200, 1e200])
def test_a_class_is_rare_whatever_the_size_of_the_kernel_values(size):
    gram = size * np.eye(700)
    y = np.where(np.arange(700) < 20, 1.0, -1.0)
    assert growth.between_classes(classification(GramSource(gram), y, np.ones(700), cost=1.0)) is not None


def test_samples_near_a_rare_class_and_some_from_everywhere_are_free_at_first():
    problem = rare().with_cost(1.0)
    side = growth.between_classes(problem).side
    assert (side[problem.sign > 0] == FREE).all()
    (others,) = np.nonzero((side == FREE) & (problem.sign < 0))
    assert 60 <= len(others) <= 85
    # From one end to the other, and no large gap.
    assert others[0] == 20 and others[-1] == 1499 and np.diff(others).max() < 100


def overlapping_at_random(gamma):
    """A rare class that no sample is near to, in a kernel that sees little but single samples."""
    X = np.random.RandomState(0).normal(size=(1500, 6))
    y = np.where(np.arange(1500) < 20, 1.0, -1.0)
    return classification(Kernel("rbf", {"gamma": gamma}).source(X), y, np.ones(1500), cost=1.0)


@pytest.mark.parametrize(
    "problem",
    [lambda: overlapping_at_random(3.0), lambda: blobs("cubic", n=1500).with_cost(1000.0)],
    ids=["nearly all count", "pivots do not settle"],
)
def test_growth_without_hope_is_given_up_at_once(problem, monkeypatch):
    looks, own = [], growth.WorkingSet.solve
    monkeypatch.setattr(growth.WorkingSet, "solve", lambda self, *args: looks.append(1) or own(self, *args))
    tally = Tally()
    counted = problem().counted(tally)
    with Buffer.lent(200.0, 1500) as buffer:
        assert growth.grow(counted, growth.between_classes(counted), Workspace(buffer, tally)) is None
    assert len(looks) == 1 and tally.kernel_values < 350 * 1500


def test_growth_ends_where_pivots_do_not_settle(monkeypatch):
    states, own = [], growth.WorkingSet.solve

    def solve(self, *args):
        """Unsettled from the second on."""
        states.append(replace(own(self, *args), settled=not states))
        return states[-1]

    monkeypatch.setattr(growth.WorkingSet, "solve", solve)
    problem = rare().with_cost(1.0)
    with Buffer.lent(200.0, 1500) as buffer:
        assert growth.grow(problem, growth.between_classes(problem), Workspace(buffer, Tally())) is None
    assert len(states) == 2


def looks_at(problem, monkeypatch, change=lambda working, state: state):
    """What a growth ends with, and the sizes of its working sets; `change` may alter what each solution is."""
    sizes, own = [], growth.WorkingSet.solve

    def solve(self, *args):
        sizes.append(len(self.indices))
        return change(self, own(self, *args))

    with monkeypatch.context() as patch, Buffer.lent(200.0, problem.n_samples) as buffer:
        patch.setattr(growth.WorkingSet, "solve", solve)
        return growth.grow(problem, growth.between_classes(problem), Workspace(buffer, Tally())), sizes


def noise(n=2000, few=40, gamma=0.2):
    """A rare class of no mark."""
    X = np.random.RandomState(0).normal(size=(n, 5))
    y = np.where(np.arange(n) < few, 1.0, -1.0)
    return classification(Kernel("rbf", {"gamma": gamma}).source(X), y, np.ones(n), cost=1.0)


def test_a_large_working_set_moves(monkeypatch):
    """Samples far from the margin leave: about two hundred are free in the end, and no set is of six hundred."""
    end, sizes = looks_at(noise(), monkeypatch)
    assert end.settled and np.count_nonzero(end.side == FREE) > 120
    assert max(sizes) <= 3.5 * np.count_nonzero(end.side == FREE)
    assert len(sizes) > 5


@pytest.mark.parametrize("gamma", [0.02, 0.2])
def test_a_rare_class_of_no_mark_takes_small_factors(gamma, monkeypatch):
    """f is the constant but for little, and hundreds of samples stand on the margin but for less."""
    problem = noise(gamma=gamma)
    found = solve(problem, tol=1e-9)
    assert found.status is Status.OPTIMAL and max(found.work.factored) < 700
    assert found.margin == pytest.approx(of_all(problem, monkeypatch, tol=1e-9).margin, rel=1e-4)


def test_growth_ends_where_many_samples_are_free(monkeypatch):
    monkeypatch.setattr(growth, "_MOST_FREE", 0.02)
    end, sizes = looks_at(noise(), monkeypatch)
    assert end is None and len(sizes) <= 3


def test_growth_ends_where_no_fewer_samples_stand_wrong(monkeypatch):
    """Each solution is replaced by that of the first look."""
    first = []
    end, sizes = looks_at(noise(), monkeypatch, lambda working, state: first.append(state) or first[0])
    assert end is None and 5 <= len(sizes) <= 10


def test_few_columns_of_the_kernel_matrix_are_evaluated():
    problem = blobs(n=3000).with_cost(1.0)
    found = solve(problem)
    assert found.status is Status.OPTIMAL
    # Those of the support vectors, of the samples between the classes, and of some that tell the means.
    assert found.work.kernel_values < (2 * np.count_nonzero(found.beta) + 200 + 40) * 3000
    assert max(found.work.factored) <= 200 and found.work.interior_steps == 0


@pytest.mark.parametrize("cost", [0.1, 1.0])
def test_the_solution_with_a_rare_class_is_that_of_svc(cost):
    problem = rare(n=2000).with_cost(cost)
    assert growth.between_classes(problem) is not None
    gram = problem.source.stored().gram
    found = solve(problem, tol=1e-9)
    svc = SVC(C=cost, kernel="precomputed", tol=1e-10).fit(gram, problem.linear)
    decisions = problem.fit(found.beta) + found.intercept
    np.testing.assert_allclose(decisions, svc.decision_function(gram), atol=1e-6)


@pytest.mark.parametrize("cost", [1.0, 30.0])
def test_the_solution_is_that_of_svc(cost):
    X, y = make_blobs(800, 6, centers=2, cluster_std=2.0, random_state=1)
    problem = classification(KERNELS["rbf"].source(X), np.where(y, 1.0, -1.0), np.ones(800), cost=cost)
    assert growth.between_classes(problem) is not None
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
    start = growth.between_classes(problem)
    assert start.point.lam == 10.0 and set(start.side.tolist()) == {FREE, ZERO}
    (free,) = np.nonzero(start.side == FREE)
    assert 120 <= len(free) <= 170
    # Along the difference of the means of all samples; the others are evenly spaced.
    y = problem.linear
    between = np.argsort(y * (problem.source.stored().gram @ y))[:50]
    assert np.isin(between, free).mean() > 0.8


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
        assert growth.between_classes(other) is None
    assert growth.between_classes(problem.with_cost(1.0)) is not None


@pytest.mark.parametrize("share", [0.5, 0.4])
def test_what_a_sample_adds_to_its_own_mean_tells_nothing(share):
    """A kernel that sees no sample but itself: the means of the classes differ by those that tell them alone."""
    X = np.random.RandomState(0).normal(size=(700, 10))
    y = np.where(np.arange(700) < share * 700, 1.0, -1.0)
    problem = classification(Kernel("rbf", {"gamma": 1e3}).source(X), y, np.ones(700), cost=1e3)
    assert growth.between_classes(problem) is None


@pytest.mark.parametrize(
    "problem",
    [lambda: overlapping_at_random(3.0), lambda: blobs("cubic").with_cost(1000.0)],
    ids=["nearly all count", "pivots do not settle"],
)
def test_where_growth_ends_nowhere_the_solution_is_that_of_all(problem, monkeypatch):
    problem = problem()
    ends = grown(monkeypatch)
    found = solve(problem, tol=1e-9)
    assert ends == [None]
    assert found.status is Status.OPTIMAL
    expected = of_all(problem, monkeypatch, tol=1e-9)
    np.testing.assert_allclose(problem.gradient(found.beta), problem.gradient(expected.beta), atol=1e-6)
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
