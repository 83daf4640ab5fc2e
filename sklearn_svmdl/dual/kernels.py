"""Kernels by name, and where the solver reads kernel values from.

A :class:`Kernel` turns samples into features once (`prepare`) and pairs of features into kernel values (`between`).
A *source* hands kernel values to the solver by sample index; the solver never sees X. Two sources exist: a stored
Gram matrix and a matrix that is evaluated block by block.

To add a kernel, add one entry to `KERNELS`.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from sklearn.metrics import pairwise
from sklearn.utils.extmath import row_norms, safe_sparse_dot

MEGABYTE = 2**20
# Kernel values evaluated at a time: 8 MB, about what the outer caches hold.
BLOCK = 2**20


def _linear(X, Y):
    return np.asarray(safe_sparse_dot(X, Y.T, dense_output=True))


def _polynomial(X, Y, gamma, degree, coef0):
    K = _linear(X, Y)
    K *= gamma
    K += coef0
    if float(degree).is_integer() and 1 <= degree <= 4:
        return _small_power(K, int(degree))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.power(K, degree, out=K)


def _small_power(K, degree):
    """K**degree by multiplication: ten times faster than `np.power` for the degrees in use."""
    power = K.copy() if degree > 1 else K
    for _ in range(degree - 1):
        power *= K
    return power


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

    def take(self, rows):
        return _Rows(self.X[rows])

    @property
    def n_samples(self):
        return self.X.shape[0]

    def identities(self):
        return row_identities(self.X)


@dataclass(frozen=True)
class _RBFRows:
    """Rows of X with what makes -gamma |x - x'|^2 a single matrix product: [z, -h, 1] . [z', 1, -h']."""

    left: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, X, gamma):
        h = gamma * row_norms(X, squared=True)[:, None]
        one = np.ones_like(h)
        Z = np.sqrt(2 * gamma) * X
        stack = (lambda blocks: sparse.hstack(blocks, format="csr")) if sparse.issparse(Z) else np.hstack
        return cls(stack([Z, -h, one]), stack([Z, one, -h]))

    def take(self, rows):
        return _RBFRows(self.left[rows], self.right[rows])

    @property
    def n_samples(self):
        return self.left.shape[0]

    def identities(self):
        return row_identities(self.left)


@dataclass(frozen=True)
class KernelSpec:
    """What the package knows about a named kernel."""

    function: object
    parameters: tuple = ()
    # Strictly positive definite on distinct points: some hyperplane separates whatever has distinct points.
    definite: bool = False


def _by_name(name):
    return lambda X, Y, **params: pairwise.pairwise_kernels(X, Y, metric=name, **params)


KERNELS = {
    "linear": KernelSpec(_linear),
    "poly": KernelSpec(_polynomial, ("gamma", "degree", "coef0")),
    "rbf": KernelSpec(None, ("gamma",), definite=True),
    "sigmoid": KernelSpec(_by_name("sigmoid"), ("gamma", "coef0")),
    "laplacian": KernelSpec(_by_name("laplacian"), ("gamma",), definite=True),
    "cosine": KernelSpec(_by_name("cosine")),
    "chi2": KernelSpec(_by_name("chi2"), ("gamma",)),
    "additive_chi2": KernelSpec(_by_name("additive_chi2")),
}


def resolve_gamma(gamma, X, weight):
    """The number behind gamma: "scale" is 1 / (n_features * weighted variance of X), "auto" 1 / n_features."""
    if gamma == "auto":
        return 1.0 / X.shape[1]
    if gamma != "scale":
        return float(gamma)
    share = weight / weight.sum() / X.shape[1]
    mean = np.sum(share @ X)
    # Two passes: E[x^2] - E[x]^2 loses every digit when the mean is large.
    if sparse.issparse(X):
        squares = X.multiply(X)
        variance = np.sum(share @ squares) - mean**2
    else:
        variance = np.sum(share @ (X - mean) ** 2)
    return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0


@dataclass(frozen=True)
class Kernel:
    """A kernel function with its parameters filled in.

    Parameters
    ----------
    name : str or callable
        A key of `KERNELS`, or a function of two sample matrices (n, d), (m, d) that returns their (n, m) kernel values.
    params : dict
        The parameters that this kernel has, all numbers.
    """

    name: object
    params: dict = field(default_factory=dict)

    @classmethod
    def of(cls, name, **params):
        """Keep of `params` those that the kernel has."""
        wanted = () if callable(name) else KERNELS[name].parameters
        return cls(name, {key: params[key] for key in wanted})

    @property
    def definite(self):
        return not callable(self.name) and KERNELS[self.name].definite

    @property
    def is_linear(self):
        return self.name == "linear"

    def prepare(self, X):
        """What `between` needs of the samples X, computed once."""
        return _RBFRows.of(X, **self.params) if self.name == "rbf" else _Rows(X)

    def between(self, A, B):
        """Kernel values (n, m) between prepared samples A and B."""
        if self.name == "rbf":
            exponent = _linear(A.left, B.right)
            return np.exp(exponent, out=exponent)
        function = self.name if callable(self.name) else KERNELS[self.name].function
        return np.asarray(function(A.X, B.X, **self.params), dtype=np.float64)

    def __call__(self, X, Y):
        return self.between(self.prepare(X), self.prepare(Y))


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
    """

    def __init__(self, kernel, rows):
        self.kernel = kernel
        self.rows = rows

    @classmethod
    def of(cls, kernel, X):
        """The samples X (n, d), dense or CSR."""
        return cls(kernel, kernel.prepare(X))

    @property
    def n_samples(self):
        return self.rows.n_samples

    def take(self, indices):
        """The source of the given samples only."""
        return KernelSource(self.kernel, self.rows.take(indices))

    def block(self, rows, columns):
        """K[rows, columns] as a new array."""
        return self.kernel.between(self.rows.take(rows), self.rows.take(columns))

    def diagonal(self):
        """k(x_i, x_i) for every sample."""
        if self.kernel.name == "rbf":
            return np.ones(self.n_samples)
        # Values on the diagonal of small square blocks; 64 wastes little and keeps the number of calls low.
        pieces = (slice(start, min(start + 64, self.n_samples)) for start in range(0, self.n_samples, 64))
        return np.concatenate([np.diagonal(self.block(piece, piece)) for piece in pieces])

    def apply(self, columns, values, rows):
        """K[rows, columns] @ values, evaluated in blocks that never exceed `BLOCK` values."""
        out = np.zeros(len(rows))
        if len(columns) == 0:
            return out
        right = self.rows.take(columns)
        for piece in row_blocks(len(rows), len(columns)):
            out[piece] = self.kernel.between(self.rows.take(rows[piece]), right) @ values
        return out

    def stored(self):
        """The same kernel values as a stored Gram matrix."""
        everything = slice(None)
        return GramSource(self.block(everything, everything))


class GramSource:
    """Kernel values from a stored Gram matrix (n, n)."""

    def __init__(self, gram):
        self.gram = gram

    @property
    def n_samples(self):
        return self.gram.shape[0]

    def take(self, indices):
        return GramSource(self.block(indices, indices))

    def block(self, rows, columns):
        return self.gram[rows][:, columns]

    def diagonal(self):
        return np.diagonal(self.gram).copy()

    def apply(self, columns, values, rows):
        out = np.zeros(len(rows))
        for piece in row_blocks(len(rows), len(columns)):
            out[piece] = self.block(rows[piece], columns) @ values
        return out

    def stored(self):
        return self
