"""The path equals independent fits, whatever the kernel, the memory and the budgets; its linear algebra is exact."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_iris, make_classification, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetWarning, IndefiniteKernelWarning, InfeasibleBudgetError, budget_path
from sklearn_svmdl.dual.factor import PathFactor
from sklearn_svmdl.kernels import Kernel, KernelSource, SharedKernelMatrix

KERNELS = [
    dict(kernel="linear"),
    dict(kernel="poly", degree=2, gamma="scale"),
    dict(kernel="rbf", gamma=0.02),
    dict(kernel="rbf", gamma=0.3),
]


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def decisions(path, c, X, kernel):
    return kernel(X, X) @ path.dual_coefs[c].T + path.intercepts[c]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_points_equal_independent_fits(kernel):
    X, y = breast_cancer()
    path = budget_path(X, y, Cs=[0.02, 0.8, 0.1, 0.4], **kernel)
    assert path.Cs.tolist() == [0.8, 0.4, 0.1, 0.02]
    for c, C in enumerate(path.Cs):
        model = BudgetSVC(C=C, unit="relative", **kernel).fit(X, y)
        assert_allclose(decisions(path, c, X, model._kernel)[:, 0], model.decision_function(X), atol=1e-6)
        assert_allclose(path.margins[c], model.margin_, rtol=1e-6)
        assert_allclose(path.costs[c], model.cost_, rtol=1e-3)
        assert_allclose(path.budgets[c], model.budget_, rtol=1e-12)
        assert path.certificates[c] < 1e-5
        assert_allclose(np.nansum(path.slack[c]), path.budgets[c, 0], rtol=1e-6)
        assert path.n_support[c] == np.count_nonzero(path.dual_coefs[c])


def test_several_classes_and_weights():
    X, y = load_iris(return_X_y=True)
    weight = np.random.RandomState(0).randint(0, 3, len(y)).astype(float)
    path = budget_path(X, y, Cs=[0.5, 0.1], sample_weight=weight, class_weight="balanced", multi_class="ovr")
    for c, C in enumerate(path.Cs):
        model = BudgetSVC(C=C, unit="relative", class_weight="balanced", multi_class="ovr").fit(X, y, weight)
        found = decisions(path, c, X, model._kernel)
        assert_allclose(found, model.decision_function(X), atol=1e-6)
    assert (path.dual_coefs[:, :, weight == 0] == 0).all()
    assert np.isnan(path.slack[:, :, weight == 0]).all()


def test_kernel_values_on_demand_give_the_same_path():
    X, y = make_classification(900, 8, n_informative=6, flip_y=0.1, random_state=0)
    Cs = [0.7, 0.4, 0.2]
    stored = budget_path(X, y, Cs=Cs, gamma=0.05, cache_size=100)
    evaluated = budget_path(X, y, Cs=Cs, gamma=0.05, cache_size=10)
    kernel = Kernel("rbf", {"gamma": 0.05})
    for c in range(len(Cs)):
        assert_allclose(decisions(evaluated, c, X, kernel), decisions(stored, c, X, kernel), atol=1e-6)


@pytest.mark.parametrize("megabytes, times", [(500, 1), (0.8, 0)])
def test_all_kernel_values_are_stored_where_they_fit_with_factors_of_them(megabytes, times, monkeypatch):
    X, y = make_moons(300, noise=0.3, random_state=0)
    stored, own = [], KernelSource.stored
    monkeypatch.setattr(KernelSource, "stored", lambda source: (stored.append(source.n_samples), own(source))[1])
    # 300 x 300 doubles take .7 MB.
    budget_path(X, y, Cs=[0.8, 0.6], cache_size=megabytes)
    assert stored == [300] * times


def test_no_point_of_a_path_takes_more_than_max_iter():
    X, y = make_moons(80, noise=0.4, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        path = budget_path(X, y, Cs=[0.5, 0.3], max_iter=2)
    assert all(model.n_iter_[0] <= 2 for model in path.models)


def test_margin_grows_with_the_budget_and_mistakes_stay_within_it():
    X, y = make_moons(200, noise=0.3, random_state=0)
    path = budget_path(X, y, Cs=12, gamma=100.0)
    assert len(path.Cs) == 12 and (np.diff(path.Cs) < 0).all()
    assert (np.diff(path.margins[:, 0]) < 0).all()
    mistakes = np.count_nonzero(path.slack[:, 0] > 1, axis=1)
    assert (mistakes <= path.budgets[:, 0]).all()


def test_infeasible_budgets_get_the_least_slack_and_one_warning():
    X, y = make_moons(100, noise=0.3, random_state=0)
    least, largest = BudgetSVC(kernel="linear").feasible_budget(X, y)
    fraction = least[0] / largest[0]
    Cs = [0.9, 0.5 * (1 + fraction), 0.5 * fraction, 0.0]
    with pytest.warns(BudgetWarning, match="infeasible in 2 of 4") as caught:
        path = budget_path(X, y, kernel="linear", Cs=Cs)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert_allclose(np.nansum(path.slack[2:], axis=(1, 2)), np.repeat(least, 2), rtol=1e-3)
    assert_allclose(path.dual_coefs[2], path.dual_coefs[3])
    with pytest.raises(InfeasibleBudgetError, match="C_min"):
        budget_path(X, y, kernel="linear", Cs=Cs, infeasible="raise")


def test_budgets_beyond_the_largest_are_constant():
    X, y = make_moons(60, noise=0.2, random_state=0)
    with pytest.warns(BudgetWarning, match="classifier of infinite margin that puts every sample into '1'"):
        path = budget_path(X, y, Cs=[70.0, 10.0], unit="total")
    assert np.isinf(path.margins[0]) and (path.dual_coefs[0] == 0).all()
    assert np.isfinite(path.margins[1])


def test_messages_count_solutions_of_the_path():
    X, y = load_iris(return_X_y=True)
    expected = r"in 2 of 3 solutions of the path \(numbers of the worst, 1 vs 2, path.Cs\[2\]=0.001\)"
    with pytest.warns(BudgetWarning, match=expected) as caught:
        budget_path(X[50:], y[50:], Cs=3, kernel="linear")
    assert len(caught) == 1 and caught[0].filename == __file__


def test_an_indefinite_kernel_is_told_and_nothing_that_follows_from_it():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(IndefiniteKernelWarning, match="'sigmoid' is not positive semi-definite") as caught:
        budget_path(X, y, Cs=3, kernel="sigmoid")
    assert len(caught) == 1 and caught[0].filename == __file__


def test_odd_columns_are_named():
    random = np.random.RandomState(0)
    X = random.normal(size=(200, 3)) * [1.0, 1e5, 1.0]
    frame = pd.DataFrame(X, columns=["age", "income", "weight"])
    y = (X[:, 0] + random.normal(size=200) > 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="in 2 of 2 solutions of the path .*'income'"):
        budget_path(frame, y, Cs=[0.9, 0.7], kernel="linear", max_iter=1, cache_size=0.01)


@pytest.mark.parametrize(
    "Cs, unit, message",
    [
        ([0.5, 1.0], "relative", "each of Cs is a fraction of C_max"),
        ([], "relative", "non-empty"),
        ([-1.0], "total", ">= 0"),
        ([np.nan], "total", "finite"),
        (5, "total", "give the list of budgets, or choose unit='relative' or unit='cost'"),
        (0, "relative", "at least 1"),
        ([1.0, 0.0], "cost", "cost of a unit of slack"),
    ],
)
def test_bad_budgets_are_explained(Cs, unit, message):
    X, y = make_moons(20, random_state=0)
    with pytest.raises(ValueError, match=message):
        budget_path(X, y, Cs=Cs, unit=unit)


@pytest.mark.parametrize("dtype, delta, tolerance", [(np.float32, 1e-2, 1e-4), (np.float64, 1e-6, 1e-12)])
def test_factor_follows_the_free_samples(dtype, delta, tolerance):
    random = np.random.RandomState(0)
    X = random.randn(700, 12)
    K = Kernel("rbf", {"gamma": 0.05})(X, X).astype(dtype)
    factor, shift = PathFactor(dtype, smallest=200), 0.3
    free = set(range(250))
    grown_from = []
    for _ in range(40):
        F = np.array(sorted(free))
        rhs = random.randn(len(F), 3)
        x = factor.solve(K, shift, delta, F, rhs)
        A = K[np.ix_(F, F)] + shift + delta * np.eye(len(F))
        assert np.abs(A @ x - rhs).max() <= tolerance * np.abs(x).max()
        grown_from.append(len(factor.members) > len(F))
        free |= set(random.randint(0, 700, 20).tolist())
        free -= set(random.choice(sorted(free), 6).tolist())
    # Not a new factor each time: samples that left were still in it.
    assert np.mean(grown_from) > 0.5
    # Another weight, another shift, another matrix: what there was is of no use.
    for gram, sigma, weight in ((K, shift, 10 * delta), (K, 2.0, 10 * delta), (0.5 * K, 2.0, 10 * delta)):
        x = factor.solve(gram, sigma, weight, F, rhs)
        A = gram[np.ix_(F, F)] + sigma + weight * np.eye(len(F))
        assert np.abs(A @ x - rhs).max() <= tolerance * np.abs(x).max()


def test_factor_says_where_the_matrix_is_not_positive_definite():
    with pytest.raises(np.linalg.LinAlgError):
        PathFactor().solve(-np.eye(3), 0.0, 0.0, np.arange(3), np.ones((3, 1)))


@pytest.mark.parametrize(
    "kernel",
    [
        Kernel("linear"),
        Kernel("poly", {"gamma": 0.5, "degree": 3, "coef0": 1.0}),
        Kernel("poly", {"gamma": 0.1, "degree": 5, "coef0": 0.5}),
        Kernel("rbf", {"gamma": 0.2}),
    ],
    ids=str,
)
def test_base_values_give_the_kernel_values(kernel):
    X = np.random.RandomState(0).randn(50, 4) + 100 * (kernel.name == "rbf")
    rows, columns = np.arange(0, 50, 3), np.arange(1, 50, 2)
    base = SharedKernelMatrix(X)
    expected = KernelSource.of(kernel, X).block(rows, columns)
    assert_allclose(base.gram(kernel, rows, columns), expected, rtol=1e-10, atol=1e-12)
    # The base survives: values are mapped in a copy.
    assert_allclose(base.gram(kernel, rows, columns), expected, rtol=1e-10, atol=1e-12)


def test_models_of_the_path_predict_and_are_found_by_their_C():
    X, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(X, columns=list("abcd"))
    path = budget_path(frame, y, Cs=4, unit="cost")
    for C in path.Cs:
        single = BudgetSVC(C=C, unit="cost").fit(frame, y)
        assert path.at(C).get_params() == {**single.get_params(), "cache_size": 500}
        assert set(vars(path.at(C))) == set(vars(single))
        assert (path.predict(frame, C) == single.predict(frame)).all()
        assert_allclose(path.at(C).decision_function(frame), single.decision_function(frame), atol=1e-6)
    assert_allclose(path.costs, np.repeat(path.Cs[:, None], 3, axis=1))
    with pytest.raises(ValueError, match="C=0.5 is not on this path. Choose one of path.Cs: .0.01"):
        path.predict(frame, C=0.5)


def test_a_path_is_described_in_a_line():
    X, y = load_iris(return_X_y=True)
    path = budget_path(X, y, Cs=[0.9, 0.5])
    assert repr(path) == "BudgetPath(2 solutions, C=0.9 to 0.5, unit='relative', 3 binary problems, 150 samples)"
    with pytest.raises(AttributeError):
        path.Cs = None


@pytest.mark.parametrize("quantity", ["margins", "budgets", "costs", "n_support"])
@pytest.mark.parametrize("unit, Cs", [("cost", 5), ("total", [100.0, 50.0, 0.0])])
def test_a_path_draws_its_quantities(quantity, unit, Cs):
    plt = pytest.importorskip("matplotlib.pyplot")
    X, y = load_iris(return_X_y=True)
    keep = y != 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BudgetWarning)
        path = budget_path(X[keep], y[keep], Cs=Cs, unit=unit)
    _, ax = plt.subplots()
    assert path.plot(quantity, ax=ax) is ax
    (line,) = ax.get_lines()
    expected = getattr(path, quantity)[:, 0].astype(float)
    assert_allclose(line.get_ydata(), np.where(np.isinf(expected), np.nan, expected))
    assert_allclose(line.get_xdata(), path.Cs)
    left, right = ax.get_xlim()
    # The softest is at the left.
    assert abs(path.Cs[0] - left) < abs(path.Cs[0] - right)
    assert path.plot(quantity).figure is not ax.figure
    plt.close("all")
    with pytest.raises(ValueError, match="must be one of .*'margins'"):
        path.plot("width")
