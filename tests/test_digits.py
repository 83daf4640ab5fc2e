"""Where doubles run out of digits: samples far from the origin, samples that are alike, kernel values that cancel.

Found by `make fuzz`. The oracle is arithmetic in extended precision, or an identity.
"""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression

from sklearn_svmdl import (
    BudgetSVC,
    BudgetSVCCV,
    BudgetSVR,
    BudgetSVRCV,
    BudgetWarning,
    budget_path,
    leave_one_out_decisions,
)
from sklearn_svmdl.kernels import Kernel, SharedKernelMatrix, resolve_gamma

LONG = np.longdouble


def exact_rbf(X, gamma):
    """exp(-gamma |x - x'|^2) in extended precision."""
    X = X.astype(LONG)
    return np.exp(-LONG(gamma) * ((X[:, None] - X[None]) ** 2).sum(axis=2)).astype(float)


def clusters(scale):
    """Pairs of equal samples, and one near them, far from each other."""
    random = np.random.RandomState(0)
    centres = scale * random.randn(15, 3)
    return np.vstack([centres, centres, centres + 0.3 * random.randn(15, 3)])


# A coordinate this large has a spacing: near samples are as far apart as it says, not as they were meant.
@pytest.mark.parametrize("scale, atol", [(1.0, 1e-14), (1e2, 1e-11), (1e3, 1e-11), (1e6, 2e-9), (1e9, 2e-6)])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_radial_values_of_samples_far_apart_are_exact_and_at_most_one(scale, atol, container):
    X, kernel = clusters(scale), Kernel("rbf", {"gamma": 1.0})
    expected, given = exact_rbf(X, 1.0), container(X)
    everyone = np.arange(len(X))
    for values in (
        kernel(given, given),
        kernel.source(given).whole(),
        kernel.source(given).block(everyone, everyone),
        SharedKernelMatrix(given).gram(kernel, everyone, everyone),
    ):
        assert_allclose(values, expected, rtol=0, atol=atol)
        assert values.max() <= 1 + 1e-11


def test_equal_time_stamps_are_alike_under_a_radial_kernel():
    """Milliseconds since 1970 and gamma="auto": the values between equal samples overflowed."""
    random = np.random.RandomState(0)
    times = 1.7e12 + 1e10 * random.rand(30)
    X, y = np.repeat(times, 2)[:, None], np.tile([0, 1, 1, 1], 15)
    model = BudgetSVC(C=1.0, unit="cost", gamma="auto").fit(X, y)
    found = model.decision_function(X)
    assert_array_equal(found[::2], found[1::2])
    # Samples apart have no value in common: each contradictory pair is its own problem.
    # A dual that is solved for, as that of a free sample, is at its bound but for rounding of as many terms.
    assert model.budget_[0] <= 60 and np.abs(model.dual_coef_).max() <= 1 + 60 * np.finfo(float).eps


@pytest.mark.parametrize("offset", [1e2, 1e4, 1e6, 1e8])
def test_a_linear_model_of_samples_far_from_the_origin_is_that_of_samples_near_it(offset):
    X, y = make_classification(80, 4, n_classes=3, n_informative=3, n_redundant=0, random_state=0)
    X, far = X, X + offset
    X = far - offset  # what doubles leave of them
    for params in ({}, {"C": 0.5, "unit": "relative"}, {"multi_class": "ovr"}, {"C": 10.0, "unit": "cost"}):
        near, other = (BudgetSVC(kernel="linear", tol=1e-6, **params).fit(each, y) for each in (X, far))
        assert_allclose(other.coef_, near.coef_, rtol=1e-6, atol=1e-8)
        assert_allclose(other.budget_, near.budget_, rtol=1e-6, atol=1e-8)
        # b = f - w.x is off by roundings of w.x.
        assert_allclose(other._decisions(far), near._decisions(X), rtol=1e-6, atol=1e-7 + 1e-14 * offset)


@pytest.mark.parametrize("offset", [1e4, 1e7])
def test_regressions_paths_searches_and_left_out_decisions_do_not_see_an_offset(offset):
    X, y = make_regression(60, 3, noise=20.0, random_state=0)
    far = X + offset
    X, label = far - offset, y > 0
    atol = 1e-7 + 1e-12 * offset
    for make in (lambda: BudgetSVR(kernel="linear"), lambda: BudgetSVR(C=0.3, unit="relative", kernel="linear")):
        assert_allclose(
            make().fit(far, y).predict(far), make().fit(X, y).predict(X), rtol=1e-6, atol=1e-6 * np.abs(y).max()
        )
    search = dict(Cs=[0.1, 1.0], unit="cost", kernel="linear", cv=3)
    near, other = (BudgetSVCCV(**search).fit(each, label) for each in (X, far))
    assert_allclose(other.cv_results_["mean_test_score"], near.cv_results_["mean_test_score"])
    model, moved = (BudgetSVC(kernel="linear").fit(each, label) for each in (X, far))
    left, left_of_moved = leave_one_out_decisions(model, X, label), leave_one_out_decisions(moved, far, label)
    assert_allclose(left_of_moved, left, rtol=1e-5, atol=atol)
    paths = [budget_path(each, label, Cs=[0.1, 1.0], unit="cost", kernel="linear") for each in (X, far)]
    assert_allclose(paths[1].margins, paths[0].margins, rtol=1e-6)


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf", "laplacian", "cosine", "precomputed"])
@pytest.mark.parametrize("n", [2, 7, 30])
@pytest.mark.parametrize("value", [0.0, 0.1, 1000.0])
def test_samples_that_are_all_alike_make_no_budget_feasible(kernel, n, value):
    """lam ran to 1e20 in pursuit of a hyperplane, and the model was noise."""
    X, y = np.full((n, n), value), np.arange(n) % 3
    for C in (0.0, 0.3):
        params = dict(C=C, unit="relative", kernel=kernel, gamma="scale")
        label = y == 0
        for estimator, target in ((BudgetSVC(**params), label), (BudgetSVR(epsilon=0.0, **params), y)):
            with pytest.warns(BudgetWarning, match="No budget is feasible"):
                model = estimator.fit(X, target)
            # Zero for kernel values leaves rounding of nothing at all.
            _, largest = estimator.feasible_budget(X, target)
            assert_allclose(model.budget_, largest, rtol=1e-6)
            assert_allclose(model.slack_.sum(), np.sum(largest), rtol=1e-6)
            # All the same, but for roundings of a cost of 1e8.
            assert np.ptp(model.predict(X).astype(float)) <= 1e-6


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e8, 2.0])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("n", [2, 3, 7, 30])
def test_gamma_of_constant_features_is_one_not_the_inverse_of_rounding(value, container, n):
    assert resolve_gamma("scale", container(np.full((n, 3), value)), np.ones(n)) == 1.0


def test_gamma_of_sparse_features_is_that_of_dense_ones_far_from_zero():
    random = np.random.RandomState(0)
    X, weight = 1e7 + random.randn(20, 3), random.rand(20)
    X[random.rand(20, 3) < 0.1] = 0.0
    X[:10] += 0.0
    for samples in (X, X[(X != 0).all(axis=1)]):
        part = weight[: len(samples)]
        dense, stored = (resolve_gamma("scale", each, part) for each in (samples, sparse.csr_array(samples)))
        assert stored == pytest.approx(dense, rel=1e-9)


@pytest.mark.parametrize("gamma", [1e-12, 1e-10, 1e-6, 1e-3])
@pytest.mark.parametrize("cost", [1e-6, 1.0])
def test_margin_of_two_points_far_from_the_origin_under_a_quadratic_kernel(gamma, cost):
    """|w|^2 was taken from p - (p - K beta), in which small K beta cancel; it was infinite, or 10 % off."""
    X = np.array([[1.0, 99999.0], [2.0, 99999.0]])
    model = BudgetSVC(C=cost, unit="cost", kernel="poly", degree=2, gamma=gamma).fit(X, [0, 1])
    values = (LONG(gamma) * (X.astype(LONG) @ X.T.astype(LONG)) + 1) ** 2
    squared = values[0, 0] + values[1, 1] - 2 * values[0, 1]
    dual = min(LONG(cost), 2 / squared)
    # The kernel values have 16 digits, of which their difference leaves some.
    digits = float(4 * np.finfo(float).eps * values.max() / squared)
    assert model.margin_[0] == pytest.approx(float(1 / (dual * np.sqrt(squared))), rel=1e-6 + digits)


@pytest.mark.parametrize("kernel", ["laplacian", "cosine", lambda X, Y: np.minimum(X[:, :1], Y[:, 0])])
def test_constants_of_several_classes_predict_without_a_support_vector(kernel):
    """scikit-learn's kernels refuse a matrix without rows."""
    X, y = np.random.RandomState(0).rand(12, 2), np.repeat([0, 1, 2], 4)
    with pytest.warns(BudgetWarning, match="pays for"):
        model = BudgetSVC(C=100.0, kernel=kernel, gamma=1.0).fit(X, y)
    assert len(model.support_) == 0
    assert len(np.unique(model.predict(X))) == 1


@pytest.mark.parametrize("kernel", ["laplacian", "cosine"])
@pytest.mark.parametrize("convert", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_sparse_samples_with_indices_of_64_bits(kernel, convert):
    X, y = make_classification(40, 5, random_state=0)
    X[np.abs(X) < 0.3] = 0.0
    given = convert(X)
    for name in ("indices", "indptr", "row", "col"):
        if name in vars(given):
            setattr(given, name, getattr(given, name).astype(np.int64))
    params = dict(kernel=kernel, gamma=0.1, C=1.0, unit="cost")
    dense = BudgetSVR(**params).fit(X, y).predict(X)
    assert_allclose(BudgetSVR(**params).fit(given, y).predict(given), dense, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kernel", ["chi2", "additive_chi2"])
def test_kernels_of_histograms_take_read_only_samples_and_refuse_negative_ones(kernel):
    X, y = np.random.RandomState(0).rand(30, 3), np.tile([0, 1], 15)
    X.flags.writeable = False
    model = BudgetSVC(C=1.0, unit="cost", kernel=kernel, gamma=1.0).fit(X, y)
    assert model.predict(X).shape == (30,)
    with pytest.raises(ValueError, match="Negative values in data passed to BudgetSVC"):
        model.predict(X - 1.0)
    with pytest.raises(ValueError, match="Negative values in data passed to BudgetSVC"):
        BudgetSVC(kernel=kernel).fit(X - 1.0, y)


# --- weights and y of any size


def weighed(estimator, X, y, factor):
    """What a fit finds with weights of this size, in units that they do not change."""
    weight = factor * np.repeat([0.5, 1.0, 2.0], len(y))[: len(y)]
    model = estimator.fit(X, y, weight)
    lam, budget = (np.ravel(of) for of in (model.cost_, model.budget_))
    return np.concatenate([lam * factor, budget / factor, 1.0 / np.ravel(model.margin_), model.predict(X[:5])])


@pytest.mark.parametrize("factor", [1e-300, 1e-100, 1e-20, 1e-5, 1e5, 1e20, 1e100, 1e200, 1e300])
@pytest.mark.parametrize("classes", [2, 3])
def test_weights_of_any_size_say_the_same(factor, classes):
    X, y = make_regression(60, 3, noise=20.0, random_state=0)
    labels = np.searchsorted(np.quantile(y, np.arange(1, classes) / classes), y)
    tight = dict(tol=1e-9)
    for estimator in (BudgetSVC(0.3, unit="relative", **tight), BudgetSVR(0.3, unit="relative", **tight)):
        of = y if isinstance(estimator, BudgetSVR) else labels
        np.testing.assert_allclose(weighed(estimator, X, of, factor), weighed(estimator, X, of, 1.0), rtol=1e-6)
        # The price of slack is in inverse proportion.
        found, expected = (weighed(estimator.set_params(C=2 / f, unit="cost"), X, of, f) for f in (factor, 1.0))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        least, largest = (np.ravel(of_one) / factor for of_one in estimator.feasible_budget(X, of, np.full(60, factor)))
        np.testing.assert_allclose([least, largest], np.reshape(estimator.feasible_budget(X, of), (2, -1)), atol=1e-9)
        C = 0.4 * largest.min()
        total = estimator.set_params(unit="total")
        found, expected = (weighed(total.set_params(C=C * f), X, of, f) for f in (factor, 1.0))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_searches_paths_and_leaving_one_out_know_weights_of_any_size(factor):
    X, y = make_regression(40, 3, noise=20.0, random_state=0)
    for search, of in ((BudgetSVCCV([0.3, 0.6], gammas=1, cv=2), y > 0), (BudgetSVRCV([0.3, 0.6], gammas=1, cv=2), y)):
        search.set_params(unit="relative", tol=1e-9)
        ours, plain = (clone(search).fit(X, of, np.full(40, f)) for f in (factor, 1.0))
        np.testing.assert_allclose(ours.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
        np.testing.assert_allclose(ours.predict(X).astype(float), plain.predict(X).astype(float))
        np.testing.assert_allclose(np.ravel(ours.best_estimator_.budget_) / factor, plain.best_estimator_.budget_)
        left = leave_one_out_decisions(ours.best_estimator_, X, of, np.full(40, factor))
        np.testing.assert_allclose(left, leave_one_out_decisions(plain.best_estimator_, X, of), rtol=1e-5)
    paths = [
        budget_path(X, y > 0, Cs=[0.3, 0.6], sample_weight=np.full(40, f), unit="relative", tol=1e-9)
        for f in (factor, 1.0)
    ]
    np.testing.assert_allclose(paths[0].margins, paths[1].margins)


@pytest.mark.parametrize("factor, C", [(1e200, 1.0), (1e-200, 1.0), (1.0, 1e200), (1.0, 1e-200)])
def test_a_price_of_slack_that_doubles_cannot_square_is_refused(factor, C):
    X, y = make_regression(20, 3, noise=20.0, random_state=0)
    for estimator, of in ((BudgetSVC(C, unit="cost"), y > 0), (BudgetSVR(C, unit="cost"), y)):
        with pytest.raises(ValueError, match=re.escape(f"The cost C={C:.6g} of slack is out of numerical reach")):
            estimator.fit(X, of, np.full(20, factor))


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("constant", [False, True])
def test_y_of_any_size_is_fitted_alike(unit, constant):
    """Where most of y is one number, its spread is the standard deviation, whose squares may overflow."""
    X, y = make_regression(60, 3, noise=20.0, random_state=0)
    y = np.where(y > np.quantile(y, 0.8), y, 1.0) if constant else y
    for C, asked in (("auto", "total"), (0.3, "relative")):
        model, plain = BudgetSVR(C, unit=asked).fit(X, unit * y), BudgetSVR(C, unit=asked).fit(X, y)
        np.testing.assert_allclose(model.predict(X) / unit, plain.predict(X), rtol=1e-5, atol=1e-6)
        assert model.epsilon_ == pytest.approx(unit * plain.epsilon_)


def test_sums_that_overflow_are_told():
    X, y = make_regression(20, 3, random_state=0)
    with pytest.raises(ValueError, match="sum of the weights overflows: the largest is 1e[+]308"):
        BudgetSVC().fit(X, y > 0, np.full(20, 1e308))
    with pytest.raises(
        ValueError, match="total slack of a constant overflows: .y. is up to .*Measure y in larger units"
    ):
        BudgetSVR().fit(X, y * (1e308 / np.abs(y).max()))
