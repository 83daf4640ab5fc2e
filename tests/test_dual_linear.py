"""Few features: steps in their dimension end in the same solution as kernel values do, at a fraction of the work.

Independent evidence: libsvm at the multiplier that was found, and the whole problem as one block.
"""

from dataclasses import replace

import numpy as np
import pytest
from reference import cost_svm, single_precision
from scipy import sparse
from sklearn.datasets import make_classification, make_moons
from sklearn.svm import SVC

from sklearn_svmdl.dual import solve as entry
from sklearn_svmdl.dual.active_set import Effort
from sklearn_svmdl.dual.buffer import Buffer
from sklearn_svmdl.dual.interior import InteriorSolver
from sklearn_svmdl.dual.kkt import BOUND, ZERO, Point
from sklearn_svmdl.dual.levels import cold_state
from sklearn_svmdl.dual.linear import _at_vertex, _Steps, features_of, solve_in_features
from sklearn_svmdl.dual.problem import BEYOND_REACH, Status, certify, classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.dual.working_set import Workspace, refine, state_of
from sklearn_svmdl.kernels import GramSource, Kernel, KernelSource

LINEAR = Kernel("linear")


def data_of(n, d=10, seed=0):
    X, y = make_classification(n, d, n_informative=5, flip_y=0.05, random_state=seed)
    # In single precision, so that libsvm reads the same numbers.
    return X.astype(np.float32).astype(float), np.where(y, 1.0, -1.0)


def problem_of(n, fraction, seed=0, container=np.asarray):
    X, y = data_of(n, seed=seed)
    weight = np.random.RandomState(1).choice([0.5, 1.0, 2.0], n)
    problem = classification(LINEAR.source(container(X)), y, weight)
    return problem.with_budget(fraction * problem.largest_budget)


@pytest.mark.parametrize("cost", [None, 0.01, 10.0])
@pytest.mark.parametrize("fraction", [0.6, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_solution_is_that_of_one_block_of_kernel_values(seed, fraction, cost):
    problem = problem_of(600, fraction, seed)
    problem = problem if cost is None else problem.with_cost(cost)
    workspace = Workspace(Buffer(600), Tally())
    features = features_of(problem.source, problem.n_samples, 1.0)
    state = solve_in_features(problem, features, workspace, cold_state(problem).point.lam)
    everyone = np.ones(600, dtype=bool)
    expected, _ = refine(problem, cold_state(problem), everyone, Workspace(Buffer(600), Tally()), trusted=False)
    assert state.settled and expected.settled
    assert state.point.lam == pytest.approx(expected.point.lam, rel=1e-7)
    np.testing.assert_allclose(state.point.fit, expected.point.fit, atol=1e-8 * np.abs(expected.point.fit).max())
    solution = certify(problem, state.point.beta, state.point.lam, workspace.tally.done(), 1e-8)
    assert solution.status is Status.OPTIMAL


@pytest.mark.parametrize("fraction", [0.6, 0.9])
def test_decision_is_that_of_libsvm_with_the_multiplier_as_cost(fraction):
    X, y = data_of(600)
    K = single_precision(X @ X.T)
    problem = problem_of(600, fraction)
    solution = solve(problem, tol=1e-8)
    assert solution.status is Status.OPTIMAL
    expected = cost_svm(K, y, solution.lam, problem.weight)
    decision = X @ (X.T @ solution.beta)
    # libsvm's kernel values are rounded to single precision, the solution's are not; its intercept may be any between
    # the sides where no sample is free.
    centred = [values - values.mean() for values in (decision, expected)]
    np.testing.assert_allclose(*centred, atol=1e-4 * np.abs(centred[1]).max())


@pytest.mark.parametrize("cost", [None, 1.0])
def test_regression_has_the_solution_of_its_stored_kernel_values(cost):
    random = np.random.RandomState(0)
    X = random.randn(300, 4)
    y = X @ random.randn(4) + random.randn(300)
    found = []
    for source in (LINEAR.source(X), GramSource(X @ X.T)):
        problem = regression(source, y, np.ones(300), 0.1)
        problem = problem.with_cost(cost) if cost else problem.with_budget(0.8 * problem.largest_budget)
        solution = solve(problem, tol=1e-8)
        assert solution.status is Status.OPTIMAL
        found.append(X.T @ (solution.beta[:300] + solution.beta[300:]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-7 * np.abs(found[1]).max())


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_features_give_the_same_solution(container):
    dense, few = solve(problem_of(600, 0.7), tol=1e-8), solve(problem_of(600, 0.7, container=container), tol=1e-8)
    assert few.status is Status.OPTIMAL
    np.testing.assert_allclose(few.beta, dense.beta, atol=1e-7 * np.abs(dense.beta).max())


@pytest.mark.parametrize("fraction", [0.6, 0.9])
def test_work_grows_with_the_samples_and_not_with_their_square(fraction):
    """Neither a kernel matrix nor a factor in the number of samples: what is stored is near the margin."""
    n, d = 10_000, 10
    problem = problem_of(n, fraction)
    solution = solve(problem)
    assert solution.status is Status.OPTIMAL
    assert solution.work.kernel_values <= 100 * n
    assert max(solution.work.factored) <= n / 20
    assert 0 < solution.work.interior_steps <= 100
    assert solution.work.pair_steps == 0
    share = np.abs(solution.beta) / (solution.lam * problem.weight)
    assert np.count_nonzero((share > 0) & (share < 1 - 1e-9)) <= d + 1


def features_at(source, cost=1.0):
    return features_of(source, source.n_samples, cost)


def test_known_features_are_used_where_they_are_few():
    X, _ = data_of(500, d=50)
    wide, _ = data_of(500, d=180)
    few = LINEAR.source(X)
    np.testing.assert_array_equal(features_at(few).X, few.features)
    assert isinstance(features_at(LINEAR.source(sparse.csr_array(X))).X, np.ndarray)
    assert features_at(LINEAR.source(wide)) is None


def test_features_of_other_kernels_are_found_where_few_will_do():
    """All ten monomials of a cubic in two variables; of a smooth kernel as many as the cost makes matter."""
    X = np.random.RandomState(0).randn(500, 2)
    cubic = Kernel("poly", {"gamma": 1.0, "degree": 3, "coef0": 1.0}).source(X)
    assert features_at(cubic).X.shape == (500, 10)
    np.testing.assert_allclose(features_at(cubic).X @ features_at(cubic).X.T, cubic.whole(), rtol=1e-10, atol=1e-8)
    smooth = Kernel("rbf", {"gamma": 0.3}).source(X)
    ranks = [features_at(smooth, cost).X.shape[1] for cost in (1.0, 100.0)]
    assert 10 < ranks[0] < ranks[1] <= 96
    for cost, left in ((1.0, 1e-2), (100.0, 1e-4)):
        phi, rest, reach = features_at(smooth, cost)
        assert np.abs(phi @ phi.T + np.diag(rest) - smooth.whole()).max() <= left
        # What they leave of the diagonal is none of it lost.
        np.testing.assert_allclose(np.square(phi).sum(axis=1) + rest, smooth.diagonal(), rtol=1e-12)
        assert reach >= cost


def test_no_features_of_a_kernel_of_high_rank():
    X, _ = data_of(500, d=8)
    rough = Kernel("rbf", {"gamma": 1.0}).source(X).counted(tally := Tally())
    assert features_at(rough) is None
    # That is told from some of the samples.
    assert tally.kernel_values <= 500**2 / 10
    assert features_at(GramSource(np.eye(500))) is None


SMOOTH = {
    "linear": LINEAR,
    "cubic": Kernel("poly", {"gamma": 0.5, "degree": 3, "coef0": 1.0}),
    "rbf": Kernel("rbf", {"gamma": 0.5}),
}


@pytest.mark.parametrize("n", [150, 400, 800])
@pytest.mark.parametrize("cost", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("name", SMOOTH)
def test_noisy_classes_in_two_dimensions_take_a_few_dozen_steps_at_any_size(name, cost, n):
    """Where pivoting alone does not settle, on labels that are noise; the answer is libsvm's, whatever was left out.

    libsvm keeps kernel values in single precision.
    """
    X, y = make_moons(n, noise=0.4, random_state=n)
    kernel, target = SMOOTH[name], np.where(y, 1.0, -1.0)
    solution = solve(classification(kernel.source(X), target, np.ones(n), cost=cost), tol=1e-8)
    assert solution.status is Status.OPTIMAL
    assert solution.n_iter <= 70
    assert max(solution.work.factored) <= 150
    gram = kernel.source(X).whole()
    oracle = SVC(C=cost, kernel="precomputed", tol=1e-8).fit(gram, target).decision_function(gram)
    decisions = gram @ solution.beta + solution.intercept
    np.testing.assert_allclose(decisions, oracle, atol=1e-4 * np.abs(oracle).max())


@pytest.mark.parametrize("share", [0.5, 0.3, 0.1])
def test_budgets_beyond_what_found_features_tell_are_solved_without_them(share):
    """The multiplier that a small budget asks for is larger than any that the features were made for."""
    X, y = make_moons(300, noise=0.4, random_state=0)
    problem = classification(SMOOTH["rbf"].source(X), np.where(y, 1.0, -1.0), np.ones(300))
    problem = problem.with_budget(share * problem.largest_budget)
    solution = solve(problem, tol=1e-6)
    assert solution.status in (Status.OPTIMAL, Status.OUT_OF_REACH)
    again = certify(problem.with_cost(solution.lam), solution.beta, solution.lam, solution.work, 1e-6)
    assert again.status is Status.OPTIMAL


@pytest.mark.parametrize("seed", range(6))
def test_a_certificate_far_out_is_not_the_luck_of_roundings(seed):
    X, y = make_moons(300, noise=0.4, random_state=seed)
    source = SMOOTH["rbf"].source(X)
    problem = classification(source, np.where(y, 1.0, -1.0), np.ones(300))
    problem = problem.with_budget(0.1 * problem.largest_budget)
    solution = solve(problem, tol=1e-6)
    assert solution.status is Status.OUT_OF_REACH
    noise = np.triu(np.random.RandomState(seed).choice([-1.0, 0.0, 1.0], (300, 300)), 1)
    gram = source.whole() * (1.0 + np.finfo(float).eps * (noise + noise.T))
    other = classification(GramSource(gram), problem.linear, problem.weight, cost=solution.lam)
    assert certify(other, solution.beta, solution.lam, solution.work, 1e-6).status is Status.OPTIMAL


def many_samples(given, seed=3, n=5000, d=6):
    """More samples than are looked at at once, with weights; a budget as a share of the largest."""
    random = np.random.RandomState(seed)
    X = random.randn(n, d)
    y = np.where(X @ random.randn(d) + random.randn(n) > 0.3, 1.0, -1.0)
    problem = classification(LINEAR.source(X), y, random.choice([0.5, 1.0, 2.0], n))
    if "cost" in given:
        return problem.with_cost(given["cost"])
    return problem.with_budget(given["budget"] * problem.largest_budget)


@pytest.mark.parametrize("given", [{"cost": 1e-4}, {"cost": 0.1}, {"budget": 0.5}, {"budget": 0.8}, {"budget": 0.2}])
def test_samples_far_from_the_margin_are_held_and_the_solution_is_the_same(given, monkeypatch):
    """Budgets that nothing keeps (the last) included."""
    problem = many_samples(given)
    solution = solve(problem, tol=1e-8)
    for name in ("_MANY", "_MANY_WITH_BUDGET"):
        monkeypatch.setattr(f"sklearn_svmdl.dual.linear.{name}", (np.inf, 0))
    expected = solve(problem, tol=1e-8)
    assert solution.status is expected.status
    assert solution.norm == pytest.approx(expected.norm, rel=1e-6)
    assert solution.budget == pytest.approx(expected.budget, rel=1e-8)


def test_interior_steps_see_the_samples_near_the_margin_only(monkeypatch):
    sizes, follow = [], InteriorSolver.follow

    def spy(self, iterate, gap):
        sizes.append(self.block.n_samples)
        return follow(self, iterate, gap)

    monkeypatch.setattr(InteriorSolver, "follow", spy)
    assert solve(many_samples({"cost": 0.01}, n=16_000)).status is Status.OPTIMAL
    assert max(sizes) < 16_000 / 2


def test_a_share_that_is_far_off_is_put_right():
    """The first hyperplane is that of other samples: what stands wrong takes part until nothing does."""
    problem = many_samples({"cost": 0.01})
    X = problem.source.features
    wrong = Point(None, 0.01, 0.0, X @ -np.ones(6))
    steps = _Steps(problem, X, np.zeros(len(X)), 1000, wrong, Tally())
    state, flees = steps.go_on(1e-8)
    assert not flees and 1000 < len(steps.here) < len(X)
    into = problem.sign * (problem.linear - state.point.fit - state.point.intercept)
    on_its_side = np.where(state.side == ZERO, into < 0, into > 0)
    on_its_side[steps.here] = True
    assert np.count_nonzero(~on_its_side) <= 0.01 * len(steps.here)
    assert np.linalg.norm(X.T @ state.point.beta) == pytest.approx(solve(problem, tol=1e-8).norm, rel=0.01)


def test_a_share_that_cannot_balance_those_that_are_held_is_no_share():
    """All of a class at their bound, and too few of the other near the margin to make up for them."""
    problem = many_samples({"cost": 0.01})
    X = problem.source.features
    costly = Point(None, 0.01, 0.0, np.where(problem.sign > 0, -2.0, -1.0))
    assert _Steps(problem, X, np.zeros(len(X)), 50, costly, Tally()).here is None


@pytest.mark.parametrize("seed", range(3))
def test_a_direction_that_tells_nothing_takes_few_steps_in_its_dimension(seed):
    """Few samples of one class within the other: w = 0, and everyone of the larger class is on the margin."""
    random = np.random.RandomState(seed)
    X, y = random.standard_t(2, (1500, 2)), np.where(np.arange(1500) < 30, 1.0, -1.0)
    solution = solve(classification(LINEAR.source(X), y, np.ones(1500)).with_cost(1.0))
    assert solution.status is Status.OPTIMAL
    assert solution.norm == pytest.approx(0.0, abs=1e-6)
    assert solution.slack.sum() == pytest.approx(60.0, rel=1e-6)
    assert max(solution.work.factored) <= 100 and solution.work.iterations <= 150


def test_a_face_of_solutions_takes_few_steps_in_features_that_are_found():
    """As before with a cubic kernel of four variables, that of 35 features: w = 0, and no vertex to pivot to."""
    random = np.random.RandomState(0)
    X, y = random.randn(600, 4), np.where(np.arange(600) < 30, 1.0, -1.0)
    kernel = Kernel("poly", {"degree": 3, "gamma": 0.25, "coef0": 1.0})
    solution = solve(classification(kernel.source(X), y, np.ones(600)).with_cost(0.2))
    assert solution.status is Status.OPTIMAL and solution.error <= 1e-6
    assert solution.slack.sum() == pytest.approx(60.0, rel=1e-6)
    assert max(solution.work.factored) <= 100 and solution.work.iterations <= 60


@pytest.mark.parametrize("seed", range(2))
def test_classes_that_nothing_tells_apart_take_few_pivots(seed, monkeypatch):
    """Most samples are within a thousandth of the margin: only features that leave next to nothing tell who is free."""
    monkeypatch.setattr(entry, "between_classes", lambda problem: None)
    random = np.random.RandomState(seed)
    X, y = random.randn(2500, 2), np.where(random.rand(2500) < 0.19, 1.0, -1.0)
    problem = classification(Kernel("rbf", {"gamma": 0.6}).source(X), y, np.ones(2500)).with_cost(0.1)
    solution = solve(problem, tol=1e-9)
    assert solution.status is Status.OPTIMAL
    assert solution.work.pivots < 250 and solution.work.kernel_values < 2 * 2500**2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cost", [0.05, 1.0])
def test_a_face_that_rough_features_cannot_tell_is_told_by_finer_ones(seed, cost):
    """Few of one class within many in one dimension: f = -1 but for little, everyone of the larger class next to it."""
    random = np.random.RandomState(seed)
    X, y = random.randn(900, 1), np.where(np.arange(900) < 45, 1.0, -1.0)
    X[:45] += 0.5
    problem = classification(Kernel("rbf", {"gamma": 0.3}).source(X), y, np.ones(900)).with_cost(cost)
    solution = solve(problem)
    assert solution.status is Status.OPTIMAL and solution.error <= 1e-6
    assert solution.work.iterations <= 150 and max(solution.work.factored) <= 200
    rival = SVC(C=cost, gamma=0.3, tol=1e-9).fit(X, y)
    assert solution.slack.sum() == pytest.approx(np.maximum(0.0, 1.0 - y * rival.decision_function(X)).sum(), rel=1e-6)


def test_samples_that_are_held_on_the_wrong_side_of_a_vertex_take_part():
    problem = problem_of(400, 0.6).with_cost(0.1)
    exact = solve(problem)
    state = state_of(problem, exact)
    held = np.flatnonzero(state.side == BOUND)
    side = state.side.copy()
    side[held[np.argmax(exact.slack[held] / problem.weight[held])]] = ZERO
    found = _at_vertex(problem, problem.source.features, replace(state, side=side), Tally(), Effort())
    assert found.settled
    np.testing.assert_allclose(found.point.beta, exact.beta, atol=1e-9)


BEYOND = {
    "poly": Kernel("poly", {"gamma": 0.5, "degree": 2, "coef0": 1.0}),
    "rbf": Kernel("rbf", {"gamma": 0.05}),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", BEYOND)
def test_budgets_beyond_reach_are_told_by_the_features_that_are_found(name, seed):
    """Features that reach as far as lam is followed tell the solution of the largest cost in their dimension."""
    X, y = make_moons(900, noise=0.3, random_state=seed)
    source = KernelSource.of(BEYOND[name], X)
    problem = classification(source, np.where(y, 1.0, -1.0), np.ones(900))
    solution = solve(problem.with_budget(0.01 * problem.largest_budget))
    assert solution.status in BEYOND_REACH
    assert max(solution.work.factored) < 100
    stored = replace(problem, source=source.stored()).with_cost(solution.lam)
    assert certify(stored, solution.beta, solution.lam, solution.work, 1e-6).status is Status.OPTIMAL


@pytest.mark.parametrize("seed", [1, 6])
def test_steps_that_rounding_ends_keep_the_sides_they_told(seed):
    """Columns that tell categories are dependent, and budgets out of reach leave no step after the first gaps."""
    random = np.random.default_rng(seed)
    columns = [np.eye(k)[random.integers(0, k, 1500)] for k in (3, 4, 5)] + [random.normal(size=(1500, 2))]
    X = np.column_stack(columns)
    told = X @ random.normal(size=X.shape[1]) + 0.5 * random.normal(size=1500)
    source = KernelSource.of(Kernel("linear"), (X - X.mean(axis=0)) / X.std(axis=0))
    problem = classification(source, np.where(told > np.median(told), 1.0, -1.0), np.ones(1500))
    solution = solve(problem.with_budget(0.01 * problem.largest_budget))
    assert solution.status in BEYOND_REACH
    assert max(solution.work.factored) < 100


def sizes_of_steps(monkeypatch):
    """How many variables interior steps in features see, from now on."""
    sizes, follow, solve_block = [], InteriorSolver.follow, InteriorSolver.solve

    def spy(step):
        def seen(self, *given, **options):
            sizes.append(self.block.n_samples)
            return step(self, *given, **options)

        return seen

    monkeypatch.setattr(InteriorSolver, "follow", spy(follow))
    monkeypatch.setattr(InteriorSolver, "solve", spy(solve_block))
    return sizes


def at_all(problem, monkeypatch):
    """The solution by other ways: of all samples at once, or coarse to fine without features."""
    for name in ("_MANY", "_MANY_WITH_BUDGET"):
        monkeypatch.setattr(f"sklearn_svmdl.dual.linear.{name}", (np.inf, 0))
    monkeypatch.setattr("sklearn_svmdl.dual.solve.MOST_SAMPLES", np.inf)
    return solve(problem, tol=1e-8)


def in_two_dimensions(n, cost, name="rbf", noise=0.3, seed=0):
    """Noisy moons with weights, at a cost, and at the budget that it buys."""
    X, y = make_moons(n, noise=noise, random_state=seed)
    weight = np.random.RandomState(seed).choice([0.5, 1.0, 2.0], n)
    problem = classification(SMOOTH[name].source(X), np.where(y, 1.0, -1.0), weight, cost=cost)
    return problem, problem.with_budget(solve(problem, tol=1e-8).budget)


@pytest.mark.parametrize("n", [1500, 4000, 7000])
@pytest.mark.parametrize("cost", [0.3, 10.0])
@pytest.mark.parametrize("name", ["cubic", "rbf"])
def test_features_that_are_found_are_stepped_in_near_the_margin_only(name, cost, n, monkeypatch):
    for problem in in_two_dimensions(n, cost, name):
        with monkeypatch.context() as watched:
            sizes = sizes_of_steps(watched)
            solution = solve(problem, tol=1e-8)
        assert solution.status is Status.OPTIMAL
        assert 0 < max(sizes) < 0.7 * n
        assert max(solution.work.factored) < 400
        # What is evaluated are the features, and what the samples at bound and near the margin add.
        assert solution.work.kernel_values <= 2 * n * np.count_nonzero(solution.beta) + 500 * n
        with monkeypatch.context() as other:
            expected = at_all(problem, other)
        assert solution.norm == pytest.approx(expected.norm, rel=1e-7)
        assert solution.budget == pytest.approx(expected.budget, rel=1e-8)
        np.testing.assert_allclose(problem.fit(solution.beta), problem.fit(expected.beta), atol=1e-6)


def test_a_budget_whose_lam_features_do_not_reach_is_solved_without_them():
    """A budget that asks for far more lam than the features were found for, of more samples than steps should see."""
    X, y = make_moons(6000, noise=0.1, random_state=0)
    problem = classification(SMOOTH["rbf"].source(X), np.where(y, 1.0, -1.0), np.ones(6000))
    hard = problem.with_budget(1.01 * solve(problem.with_cost(3e4), tol=1e-8).budget)
    features = features_of(hard.source, 6000, 1e-3, most_samples=np.inf)
    assert features.reach < 1e4
    workspace = Workspace(Buffer(6000), Tally())
    assert solve_in_features(hard, features, workspace, 1e-3) is None
    # No step was taken on all of them.
    assert workspace.tally.interior_steps == 0
    solution = solve(hard, tol=1e-8)
    assert solution.status is Status.OPTIMAL and 1e4 < solution.lam < 3e4


def numbers(kernel, n, d, seed=0, epsilon=0.2):
    """A regression with weights on a few variables."""
    random = np.random.RandomState(seed)
    X = random.randn(n, d)
    y = np.sin(2.0 * X[:, 0]) + X @ random.randn(d) + 0.3 * random.randn(n)
    return regression(kernel.source(X), y, random.choice([0.5, 1.0, 2.0], n), epsilon)


@pytest.mark.parametrize("epsilon", [0.0, 0.2, 1.0])
@pytest.mark.parametrize(
    ("name", "n", "d"), [("linear", 2000, 10), ("linear", 9000, 5), ("rbf", 1500, 1), ("rbf", 6000, 1)]
)
def test_regressions_are_stepped_in_near_the_edges_of_the_tube_only(name, n, d, epsilon, monkeypatch):
    by_cost = numbers(SMOOTH[name], n, d, epsilon=epsilon).with_cost(1.0)
    for problem in (by_cost, by_cost.with_budget(0.5 * by_cost.largest_budget)):
        with monkeypatch.context() as watched:
            sizes = sizes_of_steps(watched)
            solution = solve(problem, tol=1e-8)
        assert solution.status is Status.OPTIMAL
        assert max(sizes) < 0.7 * 2 * n
        with monkeypatch.context() as other:
            expected = at_all(problem, other)
        assert solution.norm == pytest.approx(expected.norm, rel=1e-7)
        assert solution.budget == pytest.approx(expected.budget, rel=1e-8)
        np.testing.assert_allclose(problem.fit(solution.beta), problem.fit(expected.beta), atol=1e-6)


@pytest.mark.parametrize("given", [{"cost": 1.0}, {"budget": 0.3}])
@pytest.mark.parametrize(("n", "most"), [(2500, 1e9), (6000, 3e10)])
def test_a_regression_on_three_variables_takes_few_factorisations_of_few_features(given, n, most):
    """Without features pivots of up to 2,300 free samples, look after look, took 20 to 1,000 times as many steps."""
    problem = numbers(Kernel("rbf", {"gamma": 1 / 3}), n, 3, epsilon=0.1)
    problem = problem.with_cost(1.0) if "cost" in given else problem.with_budget(0.3 * problem.largest_budget)
    solution = solve(problem, tol=1e-8)
    assert solution.status is Status.OPTIMAL
    assert sum(size**3 for size in solution.work.factored) <= most


def test_both_sides_of_a_sample_near_the_tube_take_part():
    problem = numbers(LINEAR, 1000, 3, epsilon=0.5).with_cost(0.1)
    X = problem.source.distinct.features
    flat = Point(None, 0.1, problem.constant, np.zeros(2000))
    steps = _Steps(problem, X, np.zeros(1000), 300, flat, Tally())
    assert 300 < len(steps.here) <= 600
    samples, times = np.unique(problem.source.index[steps.here], return_counts=True)
    assert (times == 2).all()
    np.testing.assert_array_equal(samples[steps.solver.block.row], problem.source.index[steps.here])
    # What is held elsewhere stands at its bound or at zero, outside the tube or within it.
    held = np.setdiff1d(np.arange(2000), steps.here)
    into = problem.sign * (problem.linear - problem.constant)
    np.testing.assert_array_equal(steps.t[held], np.where(into > 0, problem.bound, 0.0)[held])
    assert not steps.t[steps.here].any()
