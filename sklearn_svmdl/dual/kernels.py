"""Kernels by name, and where the solver reads kernel values from.

A :class:`Kernel` turns samples into prepared rows once (`prepare`) and pairs of prepared rows into kernel
values (`between`). A *source* hands kernel values to the solver by sample index; the solver never sees X. Two
sources exist: a stored Gram matrix and a matrix that is evaluated block by block.

To add a kernel, add one entry to `KERNELS`.
"""

import threading
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.linalg import eigvalsh
from sklearn.metrics import pairwise
from sklearn.utils.extmath import row_norms

from .blas import dense_product, matmul

MEGABYTE = 2**20
# Kernel values evaluated at a time: 8 MB, about what the outer caches hold.
BLOCK = 2**20

# Numbers as small as this have a reciprocal, and half of all digits left for differences.
_TINIEST = 1e-290
_TRY_SCALING = "Try to scale the features (sklearn.preprocessing.StandardScaler), or a smaller gamma."


def row_identities(X):
    """One bytes object a row of X (n, d): equal exactly where the rows are."""
    if sparse.issparse(X):
        X = X.copy()
        X.sum_duplicates()
        X.eliminate_zeros()
        cuts = zip(X.indptr[:-1], X.indptr[1:])
        return np.array([X.indices[a:b].tobytes() + X.data[a:b].tobytes() for a, b in cuts], dtype=object)
    return np.array([row.tobytes() for row in np.ascontiguousarray(X + 0.0)], dtype=object)


@dataclass(frozen=True)
class _Rows:
    """Rows of X, handed on as they are."""

    X: object

    @classmethod
    def of(cls, X, centre, **params):
        """Rows of X; no kernel of these depends on the origin or needs its parameters beforehand."""
        return cls(X)

    def take(self, rows):
        """The given rows only."""
        return _Rows(self.X[rows])

    def single(self):
        """The same rows in single precision."""
        return _Rows(self.X.astype(np.float32))

    @property
    def n_samples(self):
        """How many rows there are."""
        return self.X.shape[0]

    def identities(self):
        """What tells equal rows from others."""
        return row_identities(self.X)


@dataclass(frozen=True)
class _RBFRows:
    """Rows of X such that -gamma |x - x'|^2 is a single matrix product: [z, -h, 1] . [z', 1, -h']."""

    left: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, X, centre, gamma):
        """Rows of X - centre, with what their squared lengths add to the exponent."""
        # Distances do not change with the origin, but far from it z.z' - h - h' cancels nearly every digit.
        X = X if centre is None else X - centre
        h = gamma * row_norms(X, squared=True)[:, None]
        if not np.isfinite(h).all():
            raise ValueError(f"Squared distances times gamma={gamma:g} overflow. {_TRY_SCALING}")
        one = np.ones_like(h)
        Z = np.sqrt(2 * gamma) * X
        stack = (lambda blocks: sparse.hstack(blocks, format="csr")) if sparse.issparse(Z) else np.hstack
        return cls(stack([Z, -h, one]), stack([Z, one, -h]))

    def take(self, rows):
        """The given rows only."""
        return _RBFRows(self.left[rows], self.right[rows])

    def single(self):
        """The same rows in single precision."""
        return _RBFRows(self.left.astype(np.float32), self.right.astype(np.float32))

    @property
    def n_samples(self):
        """How many rows there are."""
        return self.left.shape[0]

    def identities(self):
        """What tells equal rows from others."""
        return row_identities(self.left)


def _product(X, Y):
    return dense_product(X, Y.T)


def _linear(A, B):
    return _product(A.X, B.X)


def _linear_sum(A, B, values):
    return dense_product(A.X, dense_product(B.X.T, values))


def _polynomial(A, B, **params):
    return _powers_of(_product(A.X, B.X), **params)


def _powers_of(K, gamma, degree, coef0):
    """(gamma K + coef0)^degree, in place."""
    K *= gamma
    K += coef0
    with np.errstate(over="ignore"):
        return _small_power(K, int(degree)) if degree <= 4 else np.power(K, degree, out=K)


def _small_power(K, degree):
    """K**degree by multiplication: ten times faster than `np.power` for the degrees in use."""
    power = K.copy() if degree > 1 else K
    for _ in range(degree - 1):
        power *= K
    return power


def _rbf(A, B, gamma):
    # Rounding may leave a tiny positive exponent; to cut it off costs as much as exp and makes no value more exact.
    K = _product(A.left, B.right)
    return np.exp(K, out=K)


def _inner_products(X):
    return _product(X, X)


def _squared_distances(X):
    # As for prepared rows: far from the origin the inner products cancel nearly every digit.
    X = X if sparse.issparse(X) else X - X.mean(axis=0)
    D = _product(X, X)
    h = np.diagonal(D).copy()
    D *= -2.0
    D += h
    D += h[:, None]
    return np.maximum(D, 0.0, out=D)


def _decay_of(D, gamma):
    """exp(-gamma D), in place."""
    D *= -gamma
    return np.exp(D, out=D)


def _from_scikit_learn(name):
    return lambda A, B, **params: _as_float64(pairwise.pairwise_kernels(A.X, B.X, metric=name, **params))


@dataclass(frozen=True)
class KernelSpec:
    """What the package knows about a named kernel."""

    # (prepared rows, prepared rows, **parameters) -> kernel values
    function: object
    parameters: tuple = ()
    prepare: object = _Rows.of
    # Strictly positive definite on distinct points: some hyperplane separates whatever has distinct points.
    definite: bool = False
    # No negative eigenvalue, given the parameters.
    semidefinite: object = lambda **params: True
    unit_diagonal: bool = False
    # (A, B, values) -> K(A, B) @ values without the matrix, where the features are few enough to be summed.
    combine: object = None
    # Prepared rows in single precision give kernel values in single precision.
    single: bool = False
    takes_sparse: bool = True
    takes_negative: bool = True
    # X holds the kernel values themselves.
    pairwise: bool = False
    # Samples -> base values (n, n), and (base values to overwrite, **parameters) -> kernel values: where both are
    # known, one matrix serves all values of the parameters.
    base: object = None
    of_base: object = None


_POLYNOMIAL = KernelSpec(
    _polynomial,
    ("gamma", "degree", "coef0"),
    semidefinite=lambda coef0, **_: coef0 >= 0,
    single=True,
    base=_inner_products,
    of_base=_powers_of,
)

KERNELS = {
    "linear": KernelSpec(
        _linear, combine=_linear_sum, base=_inner_products, of_base=lambda K: K
    ),
    "poly": _POLYNOMIAL,
    "polynomial": _POLYNOMIAL,
    "rbf": KernelSpec(
        _rbf,
        ("gamma",),
        prepare=_RBFRows.of,
        definite=True,
        unit_diagonal=True,
        single=True,
        base=_squared_distances,
        of_base=_decay_of,
    ),
    "sigmoid": KernelSpec(_from_scikit_learn("sigmoid"), ("gamma", "coef0"), semidefinite=lambda **_: False),
    "laplacian": KernelSpec(_from_scikit_learn("laplacian"), ("gamma",), definite=True, unit_diagonal=True),
    "cosine": KernelSpec(_from_scikit_learn("cosine")),
    "chi2": KernelSpec(
        _from_scikit_learn("chi2"), ("gamma",), unit_diagonal=True, takes_sparse=False, takes_negative=False
    ),
    "additive_chi2": KernelSpec(
        _from_scikit_learn("additive_chi2"), takes_sparse=False, takes_negative=False
    ),
    "precomputed": KernelSpec(
        None,
        pairwise=True,
        takes_sparse=False,
        semidefinite=lambda **_: False,
        base=lambda K: K,
        of_base=lambda K: K,
    ),
}


def spec_of(name):
    """The registry's entry for a kernel's name; for a callable, what holds of any function."""
    if not callable(name):
        return KERNELS[name]
    return KernelSpec(lambda A, B: _called(name, A.X, B.X), semidefinite=lambda **_: False)


def _called(function, X, Y):
    """A user's kernel function, its values checked."""
    K = np.asarray(function(X, Y), dtype=np.float64)
    expected = (X.shape[0], Y.shape[0])
    if K.shape != expected:
        raise ValueError(
            f"The callable kernel returned an array of shape {K.shape} for {expected[0]} and {expected[1]} "
            f"samples; expected {expected}: k(X, Y) takes two matrices and returns all pairs' values."
        )
    if not np.isfinite(K).all():
        raise ValueError(f"The callable kernel returned nan or infinite values. {_TRY_SCALING}")
    return K


def resolve_gamma(gamma, X, weight):
    """The number behind gamma: "scale" is 1 / (n_features * weighted variance), "auto" 1 / n_features."""
    if gamma == "auto":
        return 1.0 / X.shape[1]
    if gamma != "scale":
        return float(gamma)
    with np.errstate(over="ignore", invalid="ignore"):
        variance = _variance(_as_float64(X), weight / weight.sum() / X.shape[1])
    if variance <= 0:
        return 1.0
    if not _TINIEST < variance < np.inf:
        raise ValueError(
            f"gamma='scale' is 1 / (n_features * variance of X), but the variance of X is {variance:g}: out of the "
            f"range of floating-point numbers. {_TRY_SCALING}"
        )
    return 1.0 / (X.shape[1] * variance)


def _variance(X, share):
    """The variance of all values of X (n, d) around their mean, each with its row's share."""
    # Two passes: E[x^2] - E[x]^2 loses every digit when the mean is large.
    if sparse.issparse(X):
        mean = np.sum(share @ X)
        squares = X.multiply(X)
        return np.sum(share @ squares) - mean**2
    mean = np.sum(matmul(X.T, share))
    return np.sum(matmul(((X - mean) ** 2).T, share))


def _as_float64(X):
    return X if X.dtype == np.float64 else X.astype(np.float64)


def _centre(*samples):
    """The mean of the last matrix of samples; None where centring would turn a sparse matrix dense."""
    if any(sparse.issparse(X) for X in samples) or samples[-1].shape[0] == 0:
        return None
    return samples[-1].mean(axis=0, dtype=np.float64)


@dataclass(frozen=True)
class Kernel:
    """A kernel function with its parameters filled in.

    Parameters
    ----------
    name : str or callable
        A key of `KERNELS`, or a function of two sample matrices (n, d), (m, d) that returns their (n, m)
        kernel values.
    params : dict
        The parameters that this kernel has, all numbers.
    """

    name: object
    params: dict = field(default_factory=dict)

    @classmethod
    def of(cls, name, **params):
        """Keep of `params` those that the kernel has."""
        return cls(name, {key: params[key] for key in spec_of(name).parameters})

    @property
    def spec(self):
        """The registry's entry for the kernel."""
        return spec_of(self.name)

    @property
    def definite(self):
        """Whether some hyperplane separates whatever has distinct points."""
        return self.spec.definite

    @property
    def semidefinite(self):
        """Whether theory rules out negative eigenvalues."""
        return self.spec.semidefinite(**self.params)

    @property
    def is_linear(self):
        """Whether k(x, x') is the inner product of the features themselves."""
        return self.spec.function is _linear

    def source(self, X):
        """Where a solver reads the kernel values of samples X (n, d), or of kernel values X (n, n)."""
        if self.spec.pairwise:
            return GramSource(_as_float64(X))
        return KernelSource.of(self, X)

    def prepare(self, X, centre=None):
        """What `between` needs of the samples X, computed once; rows that meet must share the `centre`."""
        return self.spec.prepare(_as_float64(X), centre, **self.params)

    def between(self, A, B):
        """Kernel values (n, m) between prepared samples A and B, in their precision."""
        return self.spec.function(A, B, **self.params)

    def __call__(self, X, Y):
        centre = _centre(X, Y)
        return self.between(self.prepare(X, centre), self.prepare(Y, centre))

    def expand(self, X, basis, coefficients):
        """K(X, basis) @ coefficients, (n, p), evaluated in blocks of rows that never exceed `BLOCK` values.

        For kernel values X (n, m), `basis` holds the numbers of the columns that take part.
        """
        out = np.zeros((X.shape[0], coefficients.shape[1]))
        if len(coefficients) == 0:
            return out
        if self.spec.combine:
            return self.spec.combine(self.prepare(X), self.prepare(basis), coefficients)
        for piece, values in self._blocks(X, basis):
            out[piece] = matmul(values, coefficients)
        return out

    def _blocks(self, X, basis):
        if self.spec.pairwise:
            for piece in row_blocks(X.shape[0], len(basis)):
                yield piece, _as_float64(X[piece][:, basis])
            return
        centre = _centre(X, basis)
        right = self.prepare(basis, centre)
        for piece in row_blocks(X.shape[0], right.n_samples):
            yield piece, self.between(self.prepare(X[piece], centre), right)


def row_blocks(n_rows, n_columns, size=BLOCK):
    """Slices of rows such that a block of n_columns has about `size` values."""
    step = max(1, size // max(n_columns, 1))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


class KernelSource:
    """Kernel values by sample index, evaluated on demand.

    Parameters
    ----------
    kernel : Kernel
    rows : the prepared samples
    dtype : their precision, and that of the kernel values
    """

    def __init__(self, kernel, rows, dtype=np.float64):
        self.kernel = kernel
        self.rows = rows
        self.dtype = np.dtype(dtype)

    @classmethod
    def of(cls, kernel, X):
        """The samples X (n, d), dense or CSR."""
        return cls(kernel, kernel.prepare(X, _centre(X)))

    @property
    def n_samples(self):
        """How many samples there are."""
        return self.rows.n_samples

    @property
    def n_features(self):
        """The dimension of the feature space where the kernel is linear, else None."""
        return self.rows.X.shape[1] if self.kernel.is_linear else None

    def take(self, indices):
        """The source of the given samples only."""
        return KernelSource(self.kernel, self.rows.take(indices), self.dtype)

    def single(self):
        """The source of the same kernel values in single precision; None where it would be no other."""
        if not self.kernel.spec.single or self.dtype == np.float32:
            return None
        return KernelSource(self.kernel, self.rows.single(), np.float32)

    def block(self, rows, columns):
        """K[rows, columns] as a new array."""
        return self.kernel.between(self.rows.take(rows), self.rows.take(columns))

    def diagonal(self):
        """k(x_i, x_i) for every sample."""
        if self.kernel.spec.unit_diagonal:
            return np.ones(self.n_samples)
        # Values on the diagonal of small square blocks; 64 wastes little and keeps the number of calls low.
        pieces = (slice(start, min(start + 64, self.n_samples)) for start in range(0, self.n_samples, 64))
        return np.concatenate([np.diagonal(self.block(piece, piece)) for piece in pieces])

    def apply(self, columns, values, rows=None):
        """K[rows, columns] @ values (m,) or (m, p), of all rows if None, in blocks that never exceed `BLOCK` values."""
        n_rows = self.n_samples if rows is None else len(rows)
        out = np.zeros((n_rows, *values.shape[1:]))
        if len(columns) == 0:
            return out
        right, values = self.rows.take(columns), values.astype(self.dtype, copy=False)
        if self.kernel.spec.combine:
            return self.kernel.spec.combine(self.rows if rows is None else self.rows.take(rows), right, values)
        for piece in row_blocks(n_rows, len(columns)):
            left = self.rows.take(piece if rows is None else rows[piece])
            out[piece] = matmul(self.kernel.between(left, right), values)
        return out

    def stored(self):
        """The same kernel values as a stored Gram matrix, exactly symmetric: half of it is evaluated."""
        n = self.n_samples
        gram = np.empty((n, n))
        for piece in row_blocks(n, n):
            values = self.block(piece, slice(piece.start, n))
            square = values[:, : len(values)]
            values[:, : len(values)] = 0.5 * (square + square.T)
            gram[piece, piece.start :] = values
            gram[piece.start :, piece] = values.T
        return GramSource(gram, self.kernel, self.rows)


class KernelBase:
    """One matrix between all samples, from which the values of every kernel that shares it follow element by element.

    The inner products serve the linear and the polynomial kernels, the squared distances the rbf kernels. A pickle
    carries the samples only: elsewhere the values are computed again.

    Parameters
    ----------
    X : (n, d) samples, or kernel values (n, n)
    """

    def __init__(self, X):
        self.X = X
        self._values = {}
        self._rooms = threading.local()

    def __reduce__(self):
        return KernelBase, (self.X,)

    def gram(self, kernel, rows, columns, room="values"):
        """K[rows, columns]; it lasts until this thread asks for the next in the same room."""
        base, of_base = self._between_all(kernel.spec), kernel.spec.of_base
        out = self._room(room, (len(rows), len(columns)))
        for piece in row_blocks(len(rows), len(columns), size=BLOCK // 8):
            out[piece] = of_base(base[rows[piece]].take(columns, axis=1), **kernel.params)
        return out

    def source(self, kernel, samples):
        """The stored kernel values between the given samples; they last until this thread asks for the next."""
        rows = None if kernel.spec.pairwise else _Rows(self.X[samples])
        return GramSource(self.gram(kernel, samples, samples, room="source"), kernel, rows)

    def _room(self, name, shape):
        """An array to fill: touching fresh memory costs as much as the arithmetic, so it is used again."""
        size, room = shape[0] * shape[1], getattr(self._rooms, name, np.empty(0))
        if len(room) < size:
            room = np.empty(size)
            setattr(self._rooms, name, room)
        return room[:size].reshape(shape)

    def _between_all(self, spec):
        if spec.base not in self._values:
            self._values[spec.base] = spec.base(_as_float64(self.X))
        return self._values[spec.base]


class GramSource:
    """Kernel values from a stored Gram matrix (n, n); `kernel` and `rows` say where from, if known."""

    dtype = np.dtype(np.float64)

    def __init__(self, gram, kernel=None, rows=None):
        self.gram = gram
        self.kernel = kernel
        self.rows = rows

    @property
    def n_samples(self):
        """How many samples there are."""
        return self.gram.shape[0]

    @property
    def n_features(self):
        """None: the feature space is not known."""
        return None

    def take(self, indices):
        """The source of the given samples only."""
        rows = None if self.rows is None else self.rows.take(indices)
        return GramSource(self.block(indices, indices), self.kernel, rows)

    def single(self):
        """None: stored kernel values cost nothing to evaluate."""
        return None

    def block(self, rows, columns):
        """K[rows, columns] as a new array."""
        return self.gram[rows][:, columns]

    def diagonal(self):
        """k(x_i, x_i) for every sample."""
        return np.diagonal(self.gram).copy()

    def apply(self, columns, values, rows=None):
        """K[rows, columns] @ values (m,) or (m, p), of all rows if None."""
        if rows is None:
            return self._spread(columns, values)
        out = np.zeros((len(rows), *values.shape[1:]))
        for piece in row_blocks(len(rows), len(columns)):
            out[piece] = matmul(self.block(rows[piece], columns), values)
        return out

    def _spread(self, columns, values):
        """K[:, columns] @ values, without a copy of the matrix."""
        everywhere = np.zeros((self.n_samples, *values.shape[1:]))
        everywhere[columns] = values
        return matmul(self.gram, everywhere)

    def stored(self):
        """The source itself."""
        return self


def check_kernel_values(source):
    """Raise where kernel values over- or underflow; |k(x, x')|^2 <= k(x, x) k(x', x') makes the diagonal tell."""
    diagonal = source.diagonal()
    if not np.isfinite(diagonal).all():
        raise ValueError(f"The kernel values overflow: k(x, x) is infinite for some sample x. {_TRY_SCALING}")
    if 0.0 < diagonal.max() < _TINIEST:
        raise ValueError(
            f"The kernel values underflow: the largest k(x, x) is {diagonal.max():g}, too small for floating-point "
            f"numbers to tell from 0. Try to scale the features (sklearn.preprocessing.StandardScaler)."
        )


def check_symmetric(gram):
    """Raise unless the stored kernel values are those of a symmetric function, up to single precision."""
    largest = np.abs(gram).max()
    for piece in row_blocks(len(gram), len(gram)):
        difference = np.abs(gram[piece] - gram[:, piece].T).max()
        if difference > 1e-5 * largest:
            raise ValueError(
                f"A precomputed kernel must be symmetric, but K and its transpose differ by up to "
                f"{difference:.3g} (largest value {largest:.3g}). fit takes the kernel values between all "
                f"pairs of training samples."
            )


def negative_curvature(source, n_probe=256):
    """-smallest / largest eigenvalue on `n_probe` evenly spaced samples, 0 where none is negative.

    Signed duals sum to zero, so what counts is the Gram matrix centred in its rows and columns.
    """
    probe = np.unique(np.linspace(0, source.n_samples - 1, min(n_probe, source.n_samples)).astype(int))
    K = source.block(probe, probe)
    K = K - K.mean(axis=0) - K.mean(axis=1)[:, None] + K.mean()
    eigenvalues = eigvalsh(0.5 * (K + K.T))
    largest = np.abs(eigenvalues).max()
    return max(0.0, -eigenvalues[0] / largest) if largest > 0 else 0.0
