"""Kernels by name: values, sources, checks."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import pairwise

from sklearn_svmdl.dual import kernels
from sklearn_svmdl.dual.kernels import (
    KERNELS,
    GramSource,
    Kernel,
    KernelSource,
    check_kernel_values,
    resolve_gamma,
)

PARAMS = {"gamma": 0.3, "degree": 3, "coef0": 1.5}
FEATURE_KERNELS = sorted(name for name, spec in KERNELS.items() if not spec.pairwise)


@pytest.fixture
def X():
    return np.random.RandomState(0).uniform(0.1, 2.0, size=(40, 3))


@pytest.mark.parametrize("name", FEATURE_KERNELS)
def test_values_are_those_of_scikit_learn(name, X):
    values = Kernel.of(name, **PARAMS)(X[:15], X)
    expected = pairwise.pairwise_kernels(X[:15], X, metric=name, filter_params=True, **PARAMS)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_every_kernel_of_scikit_learn_is_known():
    assert set(pairwise.PAIRWISE_KERNEL_FUNCTIONS) <= set(KERNELS)


@pytest.mark.parametrize("name", [name for name in FEATURE_KERNELS if KERNELS[name].takes_sparse])
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_equals_dense(name, container, X):
    X = np.where(X < 1.0, 0.0, X)
    kernel = Kernel.of(name, **PARAMS)
    expected = kernel(X, X)
    for A, B in [(container(X), container(X)), (container(X), X), (X, container(X))]:
        np.testing.assert_allclose(kernel(A, B), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", FEATURE_KERNELS)
def test_source_and_stored_gram_agree(name, X, monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 128)
    kernel = Kernel.of(name, **PARAMS)
    source = KernelSource.of(kernel, X)
    K = kernel(X, X)
    stored = source.stored()
    np.testing.assert_allclose(stored.gram, K, rtol=1e-12)
    np.testing.assert_array_equal(stored.gram, stored.gram.T)
    rows, columns, values = np.array([3, 1, 7]), np.array([0, 5]), np.array([2.0, -1.0])
    for any_source in (source, stored):
        np.testing.assert_allclose(any_source.diagonal(), np.diag(K), rtol=1e-12)
        np.testing.assert_allclose(any_source.block(rows, columns), K[np.ix_(rows, columns)], rtol=1e-12)
        np.testing.assert_allclose(any_source.apply(columns, values, rows), K[rows][:, columns] @ values)
        np.testing.assert_allclose(any_source.apply(columns, values), K[:, columns] @ values)
        np.testing.assert_allclose(any_source.take(rows).diagonal(), np.diag(K)[rows], rtol=1e-12)


def test_rbf_keeps_its_digits_far_from_the_origin(X):
    kernel = Kernel.of("rbf", **PARAMS)
    np.testing.assert_allclose(kernel(X + 1e6, X + 1e6), kernel(X, X), rtol=1e-8)


def test_rbf_of_equal_points_is_one_and_never_more_but_for_rounding(X):
    X = np.vstack([X, X]) * 1e3
    K = Kernel.of("rbf", gamma=1e-8)(X, X)
    assert K.max() <= 1.0 + 1e-12
    np.testing.assert_allclose(np.diag(K[:40, 40:]), 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", ["linear", "rbf", "laplacian"])
def test_expand_does_not_depend_on_the_batch(name, X, monkeypatch):
    kernel = Kernel.of(name, **PARAMS)
    coefficients = np.random.RandomState(1).normal(size=(40, 2))
    at_once = kernel.expand(X, X, coefficients)
    monkeypatch.setattr("sklearn_svmdl.dual.kernels.row_blocks", _single_rows)
    np.testing.assert_allclose(kernel.expand(X, X, coefficients), at_once, rtol=1e-10, atol=1e-12)


def _single_rows(n_rows, n_columns):
    return (slice(k, k + 1) for k in range(n_rows))


def test_gamma_scale_uses_the_weighted_variance(X):
    weight = np.random.RandomState(1).randint(1, 4, size=40).astype(float)
    repeated = np.repeat(X, weight.astype(int), axis=0)
    expected = 1.0 / (3 * repeated.var())
    assert kernels.resolve_gamma("scale", X, weight) == pytest.approx(expected, rel=1e-12)
    assert kernels.resolve_gamma("scale", sparse.csr_matrix(X), weight) == pytest.approx(expected, rel=1e-12)
    assert kernels.resolve_gamma("auto", X, weight) == pytest.approx(1 / 3)
    assert kernels.resolve_gamma(0.7, X, weight) == 0.7


def test_gamma_scale_of_constant_features_is_finite():
    assert kernels.resolve_gamma("scale", np.ones((5, 2)), np.ones(5)) == 1.0


def test_parameters_that_a_kernel_lacks_are_dropped():
    assert Kernel.of("linear", **PARAMS).params == {}
    assert Kernel.of("rbf", **PARAMS).params == {"gamma": 0.3}


def test_callable_kernels_are_checked(X):
    assert Kernel.of(pairwise.linear_kernel)(X, X) == pytest.approx(X @ X.T)
    with pytest.raises(ValueError, match=r"returned an array of shape \(40,\) .* expected \(40, 40\)"):
        Kernel.of(lambda A, B: np.ones(len(A)))(X, X)
    with pytest.raises(ValueError, match="callable kernel returned nan or infinite"):
        Kernel.of(lambda A, B: np.full((len(A), len(B)), np.nan))(X, X)


@pytest.mark.parametrize("power", [-160, 160])
def test_features_beyond_floating_point_numbers_are_refused(X, power):
    X = X * 10.0**power
    message = "kernel values underflow.*StandardScaler" if power < 0 else "kernel values overflow.*StandardScaler"
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=message):
        check_kernel_values(Kernel("linear").source(X))
    with pytest.raises(ValueError, match="variance of X.*StandardScaler"):
        resolve_gamma("scale", X, np.ones(len(X)))


def test_overflow_is_an_error(X):
    with pytest.raises(ValueError, match="kernel values overflow.*StandardScaler"):
        kernels.check_kernel_values(Kernel.of("poly", gamma=1e200, degree=3, coef0=1.0).source(X))
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="Squared distances .* overflow"):
        Kernel.of("rbf", gamma=1.0).source(X * 1e160)


def test_asymmetric_gram_is_an_error(X):
    kernels.check_symmetric(X @ X.T)
    with pytest.raises(ValueError, match="must be symmetric"):
        kernels.check_symmetric(np.random.RandomState(0).normal(size=(5, 5)))


def test_negative_curvature_tells_indefinite_kernels(X):
    assert kernels.negative_curvature(Kernel.of("rbf", gamma=1.0).source(X)) < 1e-12
    # Conditionally positive definite is enough: the signed duals sum to zero.
    distances = GramSource(-pairwise.euclidean_distances(X))
    assert kernels.negative_curvature(distances) < 1e-12
    assert kernels.negative_curvature(GramSource(pairwise.euclidean_distances(X))) > 0.1
    assert kernels.negative_curvature(GramSource(np.zeros((3, 3)))) == 0.0


@pytest.mark.parametrize("name", [n for n in FEATURE_KERNELS if KERNELS[n].semidefinite(**PARAMS)])
def test_kernels_called_semidefinite_are(name, X):
    assert kernels.negative_curvature(Kernel.of(name, **PARAMS).source(X)) < 1e-10
