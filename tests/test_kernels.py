"""Kernels by name: values, sources, checks."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import pairwise
from sklearn.utils.extmath import row_norms

from sklearn_svmdl import BudgetSVC, kernels
from sklearn_svmdl.kernels import (
    KERNELS,
    GramSource,
    IndexedSource,
    Kernel,
    KernelSource,
    SharedKernelMatrix,
    check_kernel_values,
    distances,
    registry,
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


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_powers_of_all_degrees(degree, monkeypatch):
    """A few rows at a time, of values and of the diagonal."""
    monkeypatch.setattr(registry, "_AT_A_TIME", 64)
    X = np.random.RandomState(0).normal(size=(100, 3))
    kernel = Kernel.of("poly", gamma=0.3, degree=degree, coef0=0.5)
    expected = (0.3 * X @ X.T + 0.5) ** degree
    np.testing.assert_allclose(kernel(X, X), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(kernel.source(X).stored().gram, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(kernel.source(X).diagonal(), np.diagonal(expected), rtol=1e-12)


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
    monkeypatch.setattr(kernels.sources, "row_blocks", partial(kernels.row_blocks, size=128))
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


@pytest.fixture
def index():
    """Every sample once or twice, in no order."""
    random = np.random.RandomState(3)
    return random.permutation(np.concatenate([np.arange(40), random.choice(40, 30, replace=False)]))


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("name", ["linear", "poly", "rbf", "laplacian"])
def test_indexed_source_is_the_indexed_matrix(name, stored, X, index):
    kernel, random = Kernel.of(name, **PARAMS), np.random.RandomState(4)
    base = kernel.source(X)
    source, K = IndexedSource(base.stored() if stored else base, index), kernel(X, X)[np.ix_(index, index)]
    rows, columns = random.choice(70, 20, replace=False), random.choice(70, 50, replace=False)
    assert len(np.unique(index[rows])) < 20 and len(np.unique(index[columns])) < 50
    _assert_has_values(source, K, rows, columns)
    _assert_has_values(source.stored(), K, rows, columns)
    _assert_has_values(source.take(columns), K[np.ix_(columns, columns)], rows[rows < 50], np.arange(3, 33))
    _assert_has_values(source.take(columns).stored(), K[np.ix_(columns, columns)], rows[rows < 50], np.arange(3, 33))


def _assert_has_values(source, K, rows, columns):
    """The source's values are those of K, all ways to ask for them."""
    same = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
    assert (source.n_samples, source.dtype) == (len(K), np.float64)
    same(source.diagonal(), np.diag(K))
    same(source.block(rows, columns), K[np.ix_(rows, columns)])
    values = np.random.RandomState(5).normal(size=(len(columns), 2))
    for p_values in (values, values[:, 0]):
        same(source.apply(columns, p_values), K[:, columns] @ p_values)
        same(source.apply(columns, p_values, rows), K[np.ix_(rows, columns)] @ p_values)
    same(source.apply(columns[:0], values[:0]), np.zeros((len(K), 2)))
    same(source.apply(columns[:0], values[:0], rows), np.zeros((len(rows), 2)))


def test_indexed_source_holds_no_sample_and_no_value_twice(X, index):
    source = IndexedSource(Kernel("linear").source(X), index)
    assert source.stored().source.gram.shape == (40, 40)
    share = source.take(np.flatnonzero(np.isin(index, [3, 8, 20])))
    assert (share.source.n_samples, share.n_samples) == (3, np.isin(index, [3, 8, 20]).sum())
    np.testing.assert_array_equal(source.rows.X, X[index])
    np.testing.assert_array_equal(source.rows.identities()[:5], source.source.rows.identities()[index[:5]])
    assert IndexedSource(GramSource(X @ X.T), index).rows is None


def test_indexed_source_in_single_precision(X, index):
    kernel = Kernel.of("rbf", **PARAMS)
    single = IndexedSource(kernel.source(X), index).single()
    assert single.dtype == single.block(index[:5], index).dtype == np.float32
    np.testing.assert_allclose(single.block(np.arange(5), np.arange(70)), kernel(X[index[:5]], X[index]), rtol=1e-5)
    assert single.single() is None
    assert IndexedSource(Kernel("linear").source(X), index).single() is None


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_features_are_those_of_the_linear_kernel(container, X, index):
    X, (linear, rbf) = container(X), (Kernel("linear"), Kernel("rbf", {"gamma": 0.3}))
    source = linear.source(X)
    assert (abs(source.features - X)).max() == 0.0
    assert (abs(IndexedSource(source, index).features - X[index])).max() == 0.0
    assert source.n_features == IndexedSource(source, index).n_features == 3
    assert (abs(source.stored().features - X)).max() == 0.0
    for other in (rbf.source(X), rbf.source(X).stored()):
        for any_source in (other, IndexedSource(other, index)):
            assert any_source.features is None and any_source.n_features is None


def counts(source):
    """Kernel values evaluated by block, apply (to all rows, to some, to none), diagonal, and a share's block."""
    tally, numbers = SimpleNamespace(kernel_values=0), []
    source, some, few = source.counted(tally), np.arange(7), np.arange(10, 15)
    for work in (
        lambda: source.block(few, some),
        lambda: source.apply(some, np.ones(7)),
        lambda: source.apply(some, np.ones((7, 2)), few),
        lambda: source.apply(some[:0], np.ones(0)),
        source.diagonal,
        lambda: source.take(few).block(np.arange(3), np.arange(2)),
    ):
        before = tally.kernel_values
        work()
        numbers.append(tally.kernel_values - before)
    return numbers


def test_kernel_values_are_counted(X):
    assert counts(Kernel.of("rbf", **PARAMS).source(X)) == [35, 280, 35, 0, 0, 6]
    assert counts(Kernel.of("rbf", **PARAMS).source(X).single()) == [35, 280, 35, 0, 0, 6]
    # The diagonal is read off square blocks of 64 samples at most, where the norms do not tell it.
    assert counts(Kernel.of("sigmoid", **PARAMS).source(X)) == [35, 280, 35, 0, 1600, 6]
    assert counts(Kernel.of("poly", **PARAMS).source(X)) == [35, 280, 35, 0, 0, 6]
    # Without the matrix each row and each column costs about as much as one value.
    assert counts(Kernel.of("linear").source(X)) == [35, 47, 12, 0, 0, 6]
    assert counts(GramSource(X @ X.T)) == [0, 0, 0, 0, 0, 0]


def test_blocks_of_a_stored_matrix_are_the_same_in_any_layout():
    """More values than are copied at a time; a matrix in Fortran order, and one that is a part of another."""
    random = np.random.RandomState(0)
    Z = random.randn(300, 4)
    K, rows = Z @ Z.T, np.stack([random.permutation(300)[:90] for _ in range(5)])
    part = np.empty((600, 600))[::2, ::2]
    part[...] = K
    for gram in (K, np.asfortranarray(K), part):
        blocks = GramSource(gram).blocks(rows)
        for block, own in zip(blocks, rows, strict=True):
            np.testing.assert_allclose(block, K[np.ix_(own, own)], rtol=1e-12, atol=1e-14)


def test_indexed_source_counts_what_is_evaluated(X):
    index = np.concatenate([np.arange(40), np.arange(5)])
    assert counts(IndexedSource(Kernel.of("rbf", **PARAMS).source(X), index)) == [35, 280, 35, 0, 0, 6]
    tally = SimpleNamespace(kernel_values=0)
    source = IndexedSource(Kernel.of("rbf", **PARAMS).source(X), index).counted(tally)
    # Samples 0 and 40 are the same, and so are 1 and 41.
    source.apply(np.array([0, 40, 1, 30]), np.ones(4), np.array([1, 41, 5]))
    assert tally.kernel_values == 3 * 2


def test_storing_is_counted_and_what_is_stored_is_not(X, monkeypatch):
    monkeypatch.setattr(kernels.sources, "_COPIED", 40 * 10)
    tally = SimpleNamespace(kernel_values=0)
    stored = Kernel.of("rbf", **PARAMS).source(X).counted(tally).stored()
    assert tally.kernel_values == 10 * (40 + 30 + 20 + 10)
    stored.apply(np.arange(40), np.ones(40))
    stored.take(np.arange(5)).diagonal()
    assert tally.kernel_values == 1000
    assert stored.tally is stored.take(np.arange(5)).tally is tally


def test_counting_leaves_the_source_as_it_was(X):
    source, tally = Kernel.of("rbf", **PARAMS).source(X), SimpleNamespace(kernel_values=0)
    counted = source.counted(tally)
    source.block(np.arange(3), np.arange(3))
    assert tally.kernel_values == 0
    np.testing.assert_array_equal(counted.block(np.arange(3), np.arange(3)), source.block(np.arange(3), np.arange(3)))
    counted.counted(None).block(np.arange(3), np.arange(3))
    assert tally.kernel_values == 9


def test_rbf_keeps_its_digits_far_from_the_origin(X):
    kernel = Kernel.of("rbf", **PARAMS)
    np.testing.assert_allclose(kernel(X + 1e6, X + 1e6), kernel(X, X), rtol=1e-8)


def test_rbf_of_equal_points_is_one_and_never_more_but_for_rounding(X):
    X = np.vstack([X, X]) * 1e3
    K = Kernel.of("rbf", gamma=1e-8)(X, X)
    assert K.max() <= 1.0 + 1e-12
    np.testing.assert_allclose(np.diag(K[:40, 40:]), 1.0, rtol=1e-12)


def test_distances_are_mended_piece_by_piece(X, monkeypatch):
    monkeypatch.setattr(distances, "_AT_A_TIME", 3 * len(X))
    kernel = Kernel.of("rbf", **PARAMS)
    # Copies of all samples, in another order: a sample and its copy are in different pieces.
    copies = np.vstack([X, X[::-1]]) * 1e6
    equal = (copies[:, None] == copies).all(axis=2)
    K = kernel(copies, copies)
    np.testing.assert_array_equal(K[equal], 1.0)
    assert K[~equal].max() < 0.5


@pytest.mark.parametrize("name", ["linear", "rbf", "laplacian"])
def test_expand_does_not_depend_on_the_batch(name, X, monkeypatch):
    kernel = Kernel.of(name, **PARAMS)
    coefficients = np.random.RandomState(1).normal(size=(40, 2))
    at_once = kernel.expand(X, X, coefficients)
    monkeypatch.setattr("sklearn_svmdl.kernels.registry.row_blocks", _single_rows)
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
    gram = X @ X.T
    # Rounded to single precision is symmetric enough, a thousandth off is not.
    off = np.triu(np.random.RandomState(0).uniform(-1.0, 1.0, gram.shape), 1) * np.abs(gram).max()
    kernels.check_symmetric(gram + 1e-7 * off)
    with pytest.raises(ValueError, match="must be symmetric"):
        kernels.check_symmetric(gram + 1e-3 * off)


def test_values_last_until_the_same_thread_asks_for_others(X):
    shared, everyone = SharedKernelMatrix(X), np.arange(len(X))
    mine = shared.gram(Kernel.of("rbf", gamma=1.0), everyone, everyone)
    kept = mine.copy()
    of_source = shared.source(Kernel.of("rbf", gamma=0.5), everyone).gram
    np.testing.assert_array_equal(mine, kept)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(shared.gram, Kernel.of("rbf", gamma=0.1), everyone, everyone).result()
        pool.submit(shared.source, Kernel.of("rbf", gamma=0.1), everyone).result()
    np.testing.assert_array_equal(mine, kept)
    np.testing.assert_allclose(of_source, np.sqrt(kept), rtol=1e-12)


@pytest.mark.parametrize("origin", [0.0, 1e6])
def test_a_shared_matrix_has_the_values_of_each_kernel_also_far_from_the_origin(X, origin):
    shared, everyone = SharedKernelMatrix(X + origin), np.arange(len(X))
    for gamma in (0.1, 1.0):
        expected = np.exp(-gamma * pairwise.euclidean_distances(X, squared=True))
        # X + 1e6 has lost six digits of its sixteen.
        found = shared.gram(Kernel.of("rbf", gamma=gamma), everyone, everyone)
        np.testing.assert_allclose(found, expected, atol=1e-12 if origin == 0 else 1e-8)


@pytest.mark.parametrize("origin", [0.0, 1e6])
def test_far_from_the_origin_no_more_distances_are_mended(X, origin, monkeypatch):
    mended = []

    def counted(differences, squared):
        mended.extend(differences)
        return row_norms(differences, squared=squared)

    monkeypatch.setattr(distances, "row_norms", counted)
    KERNELS["rbf"].base(X + origin)
    # Those of samples from themselves.
    np.testing.assert_array_equal(mended, np.zeros_like(X))
    Kernel.of("rbf", **PARAMS)(X + origin, X + origin)
    assert not np.any(mended)


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


def test_gamma_scale_keeps_its_digits_far_from_the_origin(X):
    weight = np.random.RandomState(0).uniform(0.5, 2.0, len(X))
    variance = np.cov(X.ravel(), aweights=np.repeat(weight, X.shape[1]), ddof=0)
    assert resolve_gamma("scale", X + 1e6, weight) == pytest.approx(1.0 / (X.shape[1] * variance), rel=1e-8)


@pytest.mark.parametrize("coef0", [0.0, 1.0, -1.0])
def test_a_polynomial_with_a_negative_constant_is_not_called_semidefinite(coef0, X):
    kernel = Kernel.of("poly", gamma=1.0, degree=3, coef0=coef0)
    assert kernel.semidefinite == (coef0 >= 0)
    eigenvalues = np.linalg.eigvalsh(kernel(X, X))
    assert (eigenvalues[0] < -1e-6 * eigenvalues[-1]) == (coef0 < 0)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian"])
def test_zeros_are_zeros_whatever_their_sign_and_whether_they_are_stored(kernel):
    X, y = np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 0.0], [3.0, 1.0]]), [0, 1, 0, 1]
    stored = sparse.csr_array((X.flatten(), np.tile([0, 1], 4), np.arange(0, 9, 2)), shape=(4, 2))
    leaving = sparse.csr_array(X)
    both = sparse.vstack([stored[:1], leaving[1:]], format="csr")
    assert stored.nnz == 8 > leaving.nnz and both.nnz == leaving.nnz + 1
    for samples in (X, stored, leaving, both):
        # The first two are one point with both labels: whatever is decided there costs 2.
        least, _ = BudgetSVC(kernel=kernel).feasible_budget(samples, y)
        assert least[0] == pytest.approx(2.0)


def test_a_part_of_a_part_of_stored_kernel_values_is_of_its_own_samples(X):
    kernel = Kernel.of("rbf", gamma=0.3)
    part = kernel.source(X).stored().take(np.array([5, 3, 1])).take(np.array([2, 0]))
    np.testing.assert_allclose(part.whole(), kernel(X[[1, 5]], X[[1, 5]]), rtol=1e-12)
    np.testing.assert_array_equal(part.rows.identities(), kernel.source(X).rows.take(np.array([1, 5])).identities())
