"""BudgetSVC as users meet it: policies, weights, shapes, inputs, messages."""

import pickle
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_blobs, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetWarning, IndefiniteKernelWarning, InfeasibleBudgetError
from sklearn_svmdl.kernels import Kernel, KernelSource
from sklearn_svmdl.svm import _solving


@pytest.fixture
def moons():
    return make_moons(n_samples=80, noise=0.25, random_state=0)


@pytest.fixture
def overlapping():
    """Two classes that no straight line separates."""
    return make_blobs(n_samples=60, centers=[[-1, 0], [1, 0]], cluster_std=1.0, random_state=0)


@pytest.fixture
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def same_model(first, second, X, rtol=1e-6):
    np.testing.assert_allclose(first.decision_function(X), second.decision_function(X), rtol=rtol, atol=1e-7)


# The budget


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf"])
def test_fit_spends_the_budget_and_makes_no_more_mistakes(kernel, overlapping):
    X, y = overlapping
    model = BudgetSVC(C=35, kernel=kernel).fit(X, y)
    assert model.slack_.sum() == pytest.approx(35, rel=1e-3)
    assert model.budget_ == pytest.approx(35)
    assert 0 < np.sum(model.predict(X) != y) <= 35


def test_zero_budget_is_the_maximal_margin_classifier():
    X, y = np.array([[0.0, 0.0], [0.0, 5.0], [4.0, 1.0], [7.0, 3.0]]), [0, 0, 1, 1]
    model = BudgetSVC(C=0, kernel="linear").fit(X, y)
    # The widest street between these points is the vertical one from x = 0 to x = 4.
    np.testing.assert_allclose(model.coef_, [[0.5, 0.0]], atol=1e-6)
    assert model.margin_ == pytest.approx(2.0, rel=1e-6)
    np.testing.assert_allclose(np.abs(model.decision_function(X[model.support_])), 1.0, atol=1e-6)
    moved = np.vstack([X[:3], [[9.0, -4.0]]])
    np.testing.assert_allclose(BudgetSVC(C=0, kernel="linear").fit(moved, y).coef_, model.coef_, atol=1e-6)


def test_relative_budget_is_a_fraction_of_the_largest(moons):
    X, y = moons
    relative = BudgetSVC(C=0.25, unit="relative").fit(X, y)
    same_model(relative, BudgetSVC(C=0.25 * 2 * min(np.bincount(y))).fit(X, y), X)


def test_larger_budget_gives_a_wider_margin(moons):
    X, y = moons
    margins = [BudgetSVC(C=C).fit(X, y).margin_[0] for C in (1, 4, 16, 64)]
    assert np.all(np.diff(margins) > 0)


def test_infeasible_budget_is_relaxed_with_a_warning(overlapping):
    X, y = overlapping
    least, largest = BudgetSVC(kernel="linear").feasible_budget(X, y)
    assert 0 < least[0] < largest[0] == 60
    message = (
        f"C=0.001 is infeasible: no .* below C_min={least[0]:.6g}. C is a budget on the total slack: larger is softer, "
        f"unlike .*Feasible: .* <= C < 60. Returned is the hardest margin within reach, which spends "
        f"{least[0]:.5g}.*unit='cost': there C=0.001 is what it is in sklearn.svm.SVC"
    )
    with pytest.warns(BudgetWarning, match=message) as record:
        model = BudgetSVC(C=0.001, kernel="linear").fit(X, y)
    assert len(record) == 1
    assert model.slack_.sum() == pytest.approx(least[0], rel=1e-3)
    assert model.budget_ == pytest.approx(least, rel=1e-3)


def test_infeasible_budget_raises_on_request(overlapping):
    X, y = overlapping
    least, _ = BudgetSVC(kernel="linear").feasible_budget(X, y)
    model = BudgetSVC(C=0.001, kernel="linear", infeasible="raise")
    with pytest.raises(InfeasibleBudgetError, match="Feasible: .* <= C < 60. The hard") as caught:
        model.fit(X, y)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert np.isfinite(model.set_params(C=least[0] * 1.01).fit(X, y).margin_)


def test_infeasible_multiclass_fit_warns_once(iris):
    with pytest.warns(BudgetWarning, match="infeasible in 1 of 3 binary problems .*rest vs 1") as record:
        BudgetSVC(C=10, kernel="linear", multi_class="ovr").fit(*iris)
    assert len(record) == 1


@pytest.mark.parametrize("kernel", ["linear", "rbf", "precomputed"])
@pytest.mark.parametrize("C", [20, 1e6])
def test_excessive_budget_gives_the_constant_majority_classifier(kernel, C):
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(30, 30)), np.r_[np.ones(10), np.zeros(20)]
    X = X @ X.T
    with pytest.warns(BudgetWarning, match="pays for misclassifying a whole class.*below C_max=20") as record:
        model = BudgetSVC(C=C, kernel=kernel).fit(X, y)
    assert not model.predict(X).any()
    assert np.isinf(model.margin_).all()
    assert model.support_.shape == (0,) and model.dual_coef_.shape == (1, 0)
    for name in ("intercept_", "slack_", "cost_", "duality_gap_", "n_iter_", "budget_"):
        assert np.isfinite(getattr(model, name)).all(), name
    assert len(record) == 1


def test_feasible_budget_fits_nothing(moons):
    model = BudgetSVC()
    least, largest = model.feasible_budget(*moons)
    assert least.shape == largest.shape == (1,)
    assert least[0] == 0 and largest[0] == 80
    assert set(vars(model)) == set(model.get_params())


def test_feasible_budget_has_one_range_for_each_problem(iris):
    X, y = iris
    weight = np.where(y == 0, 3.0, 1.0)
    _, largest = BudgetSVC(multi_class="ovr").feasible_budget(X, y, weight)
    np.testing.assert_allclose(largest, [200, 100, 100])
    _, largest = BudgetSVC(multi_class="ovo").feasible_budget(X, y, weight)
    np.testing.assert_allclose(largest, [100, 100, 100])


# Kernels


def test_squared_features_equal_their_own_kernel():
    x = np.array([-3.0, -2.0, -0.7, 0.1, 0.5, 0.9, 2.0, 3.5])
    y = np.array([1, 1, 0, 0, 0, 0, 1, 1])
    expanded = np.column_stack([x, x**2])
    explicit = BudgetSVC(C=1, kernel="linear").fit(expanded, y)
    implicit = BudgetSVC(C=1, kernel=lambda A, B: A @ B.T + (A @ B.T) ** 2).fit(x[:, None], y)
    # No threshold on x does this: class 0 lies between two pieces of class 1.
    assert explicit.score(expanded, y) == 1.0
    grid = np.linspace(-4, 4, 50)
    np.testing.assert_allclose(
        explicit.decision_function(np.column_stack([grid, grid**2])),
        implicit.decision_function(grid[:, None]),
        atol=1e-6,
    )


def second_degree_map(X):
    """phi with <phi(x), phi(z)> = (1 + <x, z>)^2 for two features."""
    a, b = X.T
    root = np.sqrt(2)
    return np.column_stack([np.ones_like(a), root * a, root * b, a**2, b**2, root * a * b])


@pytest.mark.parametrize("C", [30, 45])
def test_polynomial_kernel_equals_the_explicit_map(C, moons):
    X, y = moons
    kernel = BudgetSVC(C=C, kernel="poly", degree=2, gamma=1, coef0=1).fit(X, y)
    explicit = BudgetSVC(C=C, kernel="linear").fit(second_degree_map(X), y)
    np.testing.assert_allclose(kernel.decision_function(X), explicit.decision_function(second_degree_map(X)), atol=1e-6)
    assert kernel.margin_ == pytest.approx(explicit.margin_, rel=1e-6)


def test_precomputed_kernel_equals_the_named_one(iris):
    X, y = iris
    named = BudgetSVC(C=5, gamma=0.5).fit(X, y)
    precomputed = BudgetSVC(C=5, kernel="precomputed").fit(rbf_kernel(X, gamma=0.5), y)
    decisions = precomputed.decision_function(rbf_kernel(X[:9], X, gamma=0.5))
    np.testing.assert_allclose(decisions, named.decision_function(X[:9]), atol=1e-6)
    assert precomputed.support_vectors_.size == 0


def test_indefinite_kernel_ends_with_a_model_and_a_warning(moons):
    X, y = moons
    model = BudgetSVC(kernel="sigmoid", gamma=2.0, coef0=1.0, max_iter=2000)
    with pytest.warns(IndefiniteKernelWarning, match="'sigmoid' is not positive semi-definite") as record:
        model.fit(X, y)
    assert len(record) == 1
    assert np.isfinite(model.decision_function(X)).all()


def test_gram_matrix_is_shared_or_not_with_the_same_result(iris, monkeypatch):
    X, y = iris
    shared = BudgetSVC(C=5).fit(X, y)
    stored = KernelSource.stored

    def stored_in_part(source, out=None):
        assert source.n_samples < len(X), "n x n values exceed the cache"
        return stored(source)

    monkeypatch.setattr(KernelSource, "stored", stored_in_part)
    frugal = BudgetSVC(C=5, cache_size=0.1).fit(X, y)
    same_model(shared, frugal, X)


# Weights


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_weights_equal_repetition_and_zero_equals_removal(kernel, iris):
    X, y = iris
    weight = np.random.RandomState(0).randint(0, 4, size=len(y))
    options = dict(C=0.7, unit="relative", kernel=kernel)
    weighted = BudgetSVC(**options).fit(X, y, weight)
    repeated = BudgetSVC(**options).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    same_model(weighted, repeated, X)
    np.testing.assert_allclose(weighted.budget_, repeated.budget_)
    assert np.isnan(weighted.slack_[:, weight == 0]).all()
    assert (weight[weighted.support_] > 0).all()


def test_zero_weight_in_a_precomputed_kernel_equals_removal(moons):
    X, y = moons
    K = rbf_kernel(X)
    weight = np.ones(len(y))
    weight[::3] = 0
    kept = np.flatnonzero(weight)
    weighted = BudgetSVC(kernel="precomputed").fit(K, y, weight)
    removed = BudgetSVC(kernel="precomputed").fit(K[np.ix_(kept, kept)], y[kept])
    expected = removed.decision_function(K[:, kept])
    np.testing.assert_allclose(weighted.decision_function(K), expected, atol=1e-7)


def test_class_of_zero_weight_is_not_learnt(iris):
    X, y = iris
    model = BudgetSVC(class_weight={1: 0}).fit(X, y)
    np.testing.assert_array_equal(model.classes_, [0, 2])
    assert model.decision_function(X).shape == (150,)


def test_class_weight_multiplies_sample_weight(moons):
    X, y = moons
    by_class = BudgetSVC(C=8, gamma=1.0, class_weight={0: 2.0, 1: 0.5}).fit(X, y)
    by_sample = BudgetSVC(C=8, gamma=1.0).fit(X, y, np.where(y == 0, 2.0, 0.5))
    same_model(by_class, by_sample, X)


def test_class_weights_shrink_no_relative_budget(moons):
    X, y = moons
    budgets = [
        BudgetSVC(C=0.1, unit="relative", class_weight=class_weight).fit(X, y).budget_[0]
        for class_weight in (None, {1: 0.5}, {0: 2.0, 1: 2.0})
    ]
    np.testing.assert_allclose(budgets, [8.0, 8.0, 16.0])


def test_cheap_class_is_sacrificed(overlapping):
    X, y = overlapping
    model = BudgetSVC(C=0.5, unit="relative", kernel="rbf", class_weight={1: 0.6}).fit(X, y)
    fair = BudgetSVC(C=0.5, unit="relative", kernel="rbf").fit(X, y)
    assert np.mean(model.predict(X)) < np.mean(fair.predict(X))


def test_balanced_classes_weigh_the_same(moons):
    X, y = moons
    X, y = np.vstack([X, X[y == 0]]), np.r_[y, np.zeros(40, dtype=int)]
    weight = np.random.RandomState(0).uniform(0.5, 2, size=len(y))
    _, largest = BudgetSVC(class_weight="balanced").feasible_budget(X, y, weight)
    assert largest[0] == pytest.approx(weight.sum())


def test_balanced_weights_do_not_share_with_a_class_that_has_none(moons):
    X, y = moons
    absent = np.arange(80) < 10
    weight = np.where(absent, 0.0, np.random.RandomState(0).uniform(0.5, 2, 80))
    model = BudgetSVC(C=1.0, unit="cost", class_weight="balanced")
    fitted = clone(model).fit(X, np.where(absent, 2, y), weight)
    same_model(fitted, model.fit(X[~absent], y[~absent], weight[~absent]), X)


@pytest.mark.parametrize("class_weight", [{0: 0.5}, {2: 5.0}])
def test_of_several_classes_fractions_are_of_the_larger_whole(class_weight, iris):
    # Few enough to be solved together.
    X, y = iris[0][::5], iris[1][::5]
    model = BudgetSVC(C=0.2, unit="relative", kernel="linear", class_weight=class_weight).fit(X, y)
    weighted = np.array([10.0 * class_weight.get(k, 1.0) for k in range(3)])
    pairs = [(0, 1), (0, 2), (1, 2)]
    wholes = [max(2 * min(weighted[i], weighted[j]), 2 * 10.0) for i, j in pairs]
    np.testing.assert_allclose(model.budget_, 0.2 * np.array(wholes))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_solvers_in_threads_share_the_memory(n_jobs, iris, monkeypatch):
    X, y = iris
    given, own, together = [], _solving.solve, Barrier(2)

    def solve(problem, **options):
        given.append(options["cache_size"])
        if n_jobs == 2 and len(given) <= 2:
            # Two solve at a time: each waits for the other.
            together.wait(30)
        return own(problem, **options)

    monkeypatch.setattr(_solving, "solve", solve)
    # Few features: the samples themselves are all that is shared.
    BudgetSVC(kernel="linear", solver="smo", n_jobs=n_jobs, cache_size=8).fit(X, y)
    assert given == [8 / (n_jobs or 1)] * 3
    given.clear()
    # With a kernel matrix that all read half of the memory is left.
    BudgetSVC(solver="smo", n_jobs=n_jobs, cache_size=8).fit(X, y)
    assert given == [4 / (n_jobs or 1)] * 3


def test_a_decision_of_0_is_the_earlier_class():
    model = BudgetSVC(C=0, kernel="linear").fit([[-1.0], [1.0]], ["a", "b"])
    assert model.decision_function([[0.0]])[0] == 0.0
    assert model.predict([[0.0]])[0] == "a"


@pytest.mark.parametrize("heavier", ["a", "b"])
def test_the_constant_of_a_large_budget_is_called_by_its_class(heavier):
    X, y = np.arange(5.0)[:, None], np.array(["a", "b", heavier, heavier, "a" if heavier == "b" else "b"])
    with pytest.warns(BudgetWarning, match=f"puts every sample into '{heavier}'"):
        model = BudgetSVC(C=100).fit(X, y)
    assert set(model.predict(X)) == {heavier}


@pytest.mark.parametrize("multi_class", ["ovo", "ovr"])
def test_support_vectors_are_counted_for_each_class(multi_class, iris):
    X, y = iris
    labels = np.array(["z", "b", "m"])[y]
    model = BudgetSVC(multi_class=multi_class).fit(X[10:], labels[10:])
    expected = [np.sum(labels[10:][model.support_] == label) for label in model.classes_]
    assert len(set(expected)) > 1
    np.testing.assert_array_equal(model.n_support_, expected)


# Inputs


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf"])
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix])
def test_sparse_equals_dense(kernel, container, moons):
    X, y = moons
    dense = BudgetSVC(C=40, kernel=kernel).fit(X, y)
    model = BudgetSVC(C=40, kernel=kernel).fit(container(X), y)
    same_model(model, dense, X)
    np.testing.assert_allclose(model.decision_function(container(X)), dense.decision_function(X), atol=1e-6)
    assert sparse.issparse(model.support_vectors_) and model.support_vectors_.format == "csr"


def test_single_precision_input_is_computed_in_double(moons):
    X, y = moons
    X = X.astype(np.float32)
    single, double = BudgetSVC().fit(X, y), BudgetSVC().fit(X.astype(np.float64), y)
    assert single.support_vectors_.dtype == np.float32
    assert single.decision_function(X).dtype == np.float64
    expected = double.decision_function(X.astype(np.float64))
    np.testing.assert_allclose(single.decision_function(X), expected, rtol=1e-9)


def test_dataframe_and_string_labels(moons):
    X, y = moons
    frame = pd.DataFrame(X, columns=["a", "b"])
    labels = np.array(["no", "yes"])[y]
    model = BudgetSVC().fit(frame, pd.Series(labels))
    np.testing.assert_array_equal(model.feature_names_in_, ["a", "b"])
    np.testing.assert_array_equal(model.classes_, ["no", "yes"])
    decision = model.decision_function(frame)
    np.testing.assert_array_equal(model.predict(frame), np.where(decision > 0, "yes", "no"))
    np.testing.assert_allclose(decision, BudgetSVC().fit(X, y).decision_function(X))


def test_swapped_labels_swap_the_sign(moons):
    X, y = moons
    np.testing.assert_allclose(
        BudgetSVC().fit(X, 1 - y).decision_function(X), -BudgetSVC().fit(X, y).decision_function(X), atol=1e-6
    )


# Shapes and layout


@pytest.mark.parametrize(("scheme", "n_problems"), [("ovo", 6), ("ovr", 4)])
def test_shapes_with_four_classes(scheme, n_problems):
    X, y = make_blobs(n_samples=80, centers=4, cluster_std=2.0, random_state=1)
    model = BudgetSVC(C=0.3, unit="relative", multi_class=scheme).fit(X, y)
    n_SV = len(model.support_)
    assert model.dual_coef_.shape == (n_problems, n_SV)
    assert model.support_vectors_.shape == (n_SV, 2)
    assert model.slack_.shape == (n_problems, 80)
    for name in ("intercept_", "margin_", "budget_", "cost_", "duality_gap_", "n_iter_"):
        assert getattr(model, name).shape == (n_problems,), name
    assert model.decision_function(X).shape == (80, 4)
    np.testing.assert_array_equal(model.predict(X), model.classes_[model.decision_function(X).argmax(axis=1)])
    assert model.score(X, y) > 0.8


@pytest.mark.parametrize("scheme", ["ovo", "ovr"])
def test_decisions_are_the_documented_expansion(scheme, iris):
    X, y = iris
    model = BudgetSVC(C=5, gamma=0.5, multi_class=scheme).fit(X, y)
    decisions = rbf_kernel(X, model.support_vectors_, gamma=0.5) @ model.dual_coef_.T + model.intercept_
    if scheme == "ovr":
        np.testing.assert_allclose(model.decision_function(X), decisions, atol=1e-9)
    else:
        model.set_params(decision_function_shape="ovo")
        np.testing.assert_allclose(model.decision_function(X), decisions, atol=1e-9)


def test_pairwise_shape_on_request_leaves_predict_as_it_is(iris):
    X, y = iris
    model = BudgetSVC(C=5).fit(X, y)
    labels = model.predict(X)
    scores = model.decision_function(X)
    model.set_params(decision_function_shape="ovo")
    decisions = model.decision_function(X)
    assert decisions.shape == (150, 3)
    np.testing.assert_array_equal(model.predict(X), labels)
    np.testing.assert_array_equal(labels, scores.argmax(axis=1))
    # Positive is the later class of the pair.
    assert (decisions[y == 2, 1] > 0).all() and (decisions[y == 0, 1] < 0).all()


def test_support_layout(iris):
    X, y = iris
    model = BudgetSVC(C=5).fit(X, y)
    assert np.all(np.diff(model.support_) > 0)
    np.testing.assert_array_equal(model.support_vectors_, X[model.support_])
    np.testing.assert_array_equal(model.n_support_, np.bincount(y[model.support_]))
    assert model.dual_coef_.any(axis=0).all()
    # A class that takes no part in a problem has neither duals nor slacks there.
    for k, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        outside = ~np.isin(y, [i, j])
        assert not model.dual_coef_[k, outside[model.support_]].any()
        np.testing.assert_array_equal(np.isnan(model.slack_[k]), outside)


def test_coef_is_the_normal_for_the_linear_kernel_only(iris):
    X, y = iris
    model = BudgetSVC(C=50, kernel="linear", decision_function_shape="ovo").fit(X, y)
    assert model.coef_.shape == (3, 4)
    np.testing.assert_allclose(model.coef_, model.dual_coef_ @ model.support_vectors_)
    np.testing.assert_allclose(model.decision_function(X), X @ model.coef_.T + model.intercept_)
    np.testing.assert_allclose(model.margin_, 1 / np.linalg.norm(model.coef_, axis=1), rtol=1e-6)
    model.set_params(kernel="rbf").fit(X, y)
    with pytest.raises(AttributeError, match="linear kernel only"):
        model.coef_
    with pytest.raises(NotFittedError):
        BudgetSVC(kernel="linear").coef_


def test_slack_follows_from_the_decision(moons):
    X, y = moons
    model = BudgetSVC().fit(X, y)
    np.testing.assert_allclose(model.slack_[0], np.maximum(0, 1 - (2 * y - 1) * model.decision_function(X)), atol=1e-6)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_one_row_or_many_give_the_same_value(kernel, iris):
    X, y = iris
    model = BudgetSVC(C=40, kernel=kernel).fit(X, y)
    one_by_one = np.vstack([model.decision_function(row[None, :]) for row in X[:10]])
    np.testing.assert_allclose(one_by_one, model.decision_function(X)[:10], rtol=1e-9, atol=1e-12)


# Life of an estimator


def test_pickle_clone_and_refit(moons):
    X, y = moons
    model = BudgetSVC(C=10, kernel="poly").fit(X, y)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.decision_function(X), model.decision_function(X))
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "support_")
    refitted = model.set_params(kernel="rbf", C=5).fit(X, y)
    same_model(refitted, BudgetSVC(C=5).fit(X, y), X, rtol=1e-12)


def test_pickles_hold_no_training_matrix():
    rng = np.random.RandomState(0)
    X, y = np.vstack([rng.normal(-3, 1, (500, 50)), rng.normal(3, 1, (500, 50))]), np.repeat([0, 1], 500)
    model = BudgetSVC(C=0, kernel="linear").fit(X, y)
    assert len(pickle.dumps(model)) < X.nbytes / 4


def test_changing_the_kernel_without_refitting_changes_no_decision(moons):
    X, y = moons
    model = BudgetSVC().fit(X, y)
    before = model.decision_function(X)
    np.testing.assert_array_equal(model.set_params(kernel="linear").decision_function(X), before)


def test_threads_change_nothing(iris):
    X, y = iris
    one, two = BudgetSVC(C=5).fit(X, y), BudgetSVC(C=5, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.dual_coef_, two.dual_coef_)


def test_verbose_prints_a_line_for_each_binary_problem(iris, capsys):
    # With fewer iterations than together might take each is solved alone.
    BudgetSVC(C=5, verbose=1, max_iter=500).fit(*iris)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "[BudgetSVC] 1/3 0 vs 1",
        "[BudgetSVC] 2/3 0 vs 2",
        "[BudgetSVC] 3/3 1 vs 2",
    ]
    BudgetSVC(C=5).fit(*iris)
    assert capsys.readouterr().out == ""


def test_iteration_limit_states_the_gap_and_names_the_columns():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 4)) * [1.0, 1.0, 1e5, 1.0]
    frame = pd.DataFrame(X, columns=["age", "height", "income", "weight"])
    y = (X[:, 0] + rng.normal(size=200) > 0).astype(int)
    model = BudgetSVC(C=150, kernel="linear", solver="smo", max_iter=5)
    message = "stopped after max_iter=5 iterations .*relative duality gap .*'income'.*StandardScaler"
    with pytest.warns(ConvergenceWarning, match=message):
        model.fit(frame, y)
    with pytest.warns(ConvergenceWarning, match="column.s. 2. Scale"):
        model.fit(X, y)
    with pytest.warns(ConvergenceWarning, match="Raise max_iter or tol") as record:
        model.fit(StandardScaler().fit_transform(X), y)
    assert len(record) == 1
    assert model.duality_gap_[0] > 1e-3


# Bad input, each with its message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"C": -1.0}, "The 'C' parameter of BudgetSVC must be"),
        ({"C": np.nan}, "The 'C' parameter of BudgetSVC must be"),
        ({"C": "none"}, "The 'C' parameter of BudgetSVC must be"),
        ({"C": 1.0, "unit": "relative"}, r"fraction of C_max and must be in \[0, 1\).*unit='total'.*; got C=1.0"),
        ({"C": 0, "unit": "cost"}, "cost of a unit of slack and must be a finite number > 0; .*; got C=0"),
        ({"unit": "absolute"}, "The 'unit' parameter of BudgetSVC must be"),
        ({"kernel": "gauss"}, "The 'kernel' parameter of BudgetSVC must be"),
        ({"gamma": 0.0}, "The 'gamma' parameter of BudgetSVC must be"),
        ({"degree": 2.5}, "The 'degree' parameter of BudgetSVC must be"),
        ({"multi_class": "ovo", "infeasible": "ignore"}, "The 'infeasible' parameter of BudgetSVC must be"),
        ({"max_iter": 0}, "The 'max_iter' parameter of BudgetSVC must be"),
        ({"multi_class": "ovr", "decision_function_shape": "ovo"}, "use multi_class='ovo'"),
        ({"class_weight": {0: -1.0}}, "Class weights must be finite numbers >= 0"),
        ({"kernel": "precomputed"}, r"must be a square matrix.*\(80, 2\)"),
        ({"kernel": "chi2"}, "[Nn]egative"),
        ({"kernel": lambda A, B: np.ones((2, 2))}, r"returned an array of shape \(2, 2\)"),
        ({"kernel": "poly", "degree": 900, "gamma": 1e3}, "kernel values overflow"),
    ],
)
def test_bad_parameters(parameters, message, moons):
    X, y = moons
    with pytest.raises(ValueError, match=message):
        BudgetSVC(**parameters).fit(X, y)


def test_bad_samples(moons):
    X, y = moons
    with pytest.raises(ValueError, match="Input X contains NaN"):
        BudgetSVC().fit(np.where(X > 1, np.nan, X), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        BudgetSVC().fit(X, y[:-1])
    with pytest.raises(ValueError, match="at least 2 classes, but y has 1 class"):
        BudgetSVC().fit(X, np.zeros(80))
    with pytest.raises(ValueError, match="Unknown label type"):
        BudgetSVC().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="X has 1 features, but BudgetSVC is expecting 2 features"):
        BudgetSVC().fit(X, y).predict(X[:, :1])
    with pytest.raises(TypeError, match="Sparse data was passed"):
        BudgetSVC(kernel="chi2").fit(sparse.csr_matrix(np.abs(X)), y)
    with pytest.raises(ValueError, match="must be symmetric"):
        BudgetSVC(kernel="precomputed").fit(np.random.RandomState(0).normal(size=(80, 80)), y)
    with pytest.raises(ValueError, match="kernel values overflow"):
        BudgetSVC(kernel="poly", gamma=1.0).fit(1e120 * X, y)
    with pytest.raises(NotFittedError):
        BudgetSVC().decision_function(X)


def test_bad_weights(moons):
    X, y = moons
    with pytest.raises(ValueError, match="[Nn]egative values in"):
        BudgetSVC().fit(X, y, -np.ones(80))
    with pytest.raises(ValueError, match="zero"):
        BudgetSVC().fit(X, y, np.zeros(80))
    with pytest.raises(ValueError, match="at least 2 classes, but y has 1 class with positive weight: '1'"):
        BudgetSVC().fit(X, y, y)
    with pytest.raises(ValueError, match="sample_weight"):
        BudgetSVC().fit(X, y, np.ones(79))
    for weight in (-1.0, np.inf):
        with pytest.raises(ValueError, match="Class weights must be finite numbers >= 0"):
            BudgetSVC(class_weight={0: weight}).fit(X, y)


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
def test_missing_probabilities_say_what_to_use(method, moons):
    X, y = moons
    model = BudgetSVC().fit(X, y)
    assert not hasattr(model, method)
    with pytest.raises(AttributeError, match="CalibratedClassifierCV") as caught:
        getattr(model, method)
    # The code that it says works.
    code = str(caught.value).split("sklearn.calibration.")[1].rstrip(".").replace("(...)", "()")
    names = {"CalibratedClassifierCV": CalibratedClassifierCV, "BudgetSVC": BudgetSVC, "X": X, "y": y}
    assert eval(code, names).shape == (80, 2)


def test_tags_follow_the_kernel():
    def tags(kernel):
        return BudgetSVC(kernel=kernel).__sklearn_tags__().input_tags

    assert tags("rbf").sparse and not tags("rbf").pairwise and not tags("rbf").positive_only
    assert tags("precomputed").pairwise and not tags("precomputed").sparse
    assert tags("chi2").positive_only and not tags("chi2").sparse
    assert tags(Kernel.of("rbf", gamma=1.0)).sparse
