"""Kernels by name, and a kernel with its parameters filled in."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from sklearn.metrics import pairwise
from sklearn.utils.extmath import row_norms

from .blas import dense_product, matmul
from .distances import mend_cancelled
from .rows import TRY_SCALING, centre_of, inner_product_rows, plain_rows, rbf_rows, scikit_learn_rows
from .sources import GramSource, KernelSource, blocks_in_turn, row_blocks

# Values that differ by no more than this share of their mean are one number but for rounding.
_CONSTANT = 1e-14
# Values that are raised to a power at a time.
_AT_A_TIME = 2**16


def _linear(A, B, out=None):
    return dense_product(A.X, B.X.T, out)


def _linear_sum(A, B, values):
    return dense_product(A.X, dense_product(B.X.T, values))


def _polynomial(A, B, out=None, **params):
    return _powers_of(_linear(A, B, out), **params)


def _powers_of(K, gamma, degree, coef0):
    """(gamma K + coef0)^degree, in place."""
    K *= gamma
    K += coef0
    with np.errstate(over="ignore"):
        return _small_power(K, int(degree)) if degree <= 4 else np.power(K, degree, out=K)


def _small_power(K, degree):
    """K**degree, 1 to 4, by multiplication in place: ten times faster than `np.power`."""
    if degree == 3:
        # What is read again stays in the caches, and no second array of the size of K is touched.
        step = max(1, _AT_A_TIME * len(K) // max(K.size, 1))
        for start in range(0, len(K), step):
            some = K[start : start + step]
            some *= some * some
        return K
    for _ in range(degree // 2):
        K *= K
    return K


def _rbf(A, B, gamma, out=None):
    # Rounding may leave a tiny positive exponent; to cut it off costs as much as exp and makes no value more exact.
    K = dense_product(A.X, B.right.T, out)
    if A.far and B.far:
        X, Y, h, h_of_Y = A.X[:, :-2], B.right[:, :-2], -_column(A.X, -2), -_column(B.right, -1)
        mend_cancelled(K, X, Y, h, h_of_Y, factor=-0.5)
    return np.exp(K, out=K)


def _column(X, k):
    """A column (n,) of an array or a CSR matrix."""
    return X[:, [k]].toarray()[:, 0] if sparse.issparse(X) else X[:, k]


def _inner_products(X):
    return dense_product(X, X.T)


def _inner_products_from_afar(X):
    return _inner_products(inner_product_rows(X).X)


def _squared_distances(X):
    # As for prepared rows: far from the origin the inner products cancel nearly every digit.
    X = X if sparse.issparse(X) else X - X.mean(axis=0)
    D = _inner_products(X)
    h = np.diagonal(D).copy()
    D *= -2.0
    D += h
    D += h[:, None]
    mend_cancelled(D, X, X, h, h, factor=1.0)
    return D


def _decay_of(D, gamma):
    """exp(-gamma D), in place."""
    D *= -gamma
    return np.exp(D, out=D)


def _unchanged(K):
    return K


@dataclass(frozen=True)
class KernelSpec:
    """What the package knows about a named kernel."""

    # (prepared rows, prepared rows, out=None, **parameters) -> kernel values, in the array `out` if that is of use
    function: object
    parameters: tuple = ()
    # (samples in double precision, centre or None, **parameters) -> prepared rows
    prepare: object = plain_rows
    # Strictly positive definite on distinct points: some hyperplane separates whatever has distinct points.
    definite: bool = False
    # No negative eigenvalue, given the parameters.
    semidefinite: object = lambda **params: True
    unit_diagonal: bool = False
    # (|x|^2 of prepared rows to overwrite, **parameters) -> k(x, x), of kernels of inner products.
    of_squared_norms: object = None
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


def _from_scikit_learn(name, parameters=(), **known):
    """The entry of a kernel that `sklearn.metrics.pairwise` evaluates."""

    def values(A, B, out=None, **params):
        """Kernel values between prepared rows."""
        return _as_float64(pairwise.pairwise_kernels(A.X, B.X, metric=name, **params))

    return KernelSpec(values, parameters, prepare=scikit_learn_rows, **known)


_POLYNOMIAL = KernelSpec(
    _polynomial,
    ("gamma", "degree", "coef0"),
    semidefinite=lambda coef0, **_: coef0 >= 0,
    of_squared_norms=_powers_of,
    single=True,
    base=_inner_products,
    of_base=_powers_of,
)

KERNELS = {
    "linear": KernelSpec(
        _linear,
        of_squared_norms=_unchanged,
        combine=_linear_sum,
        base=_inner_products_from_afar,
        of_base=_unchanged,
    ),
    "poly": _POLYNOMIAL,
    "polynomial": _POLYNOMIAL,
    "rbf": KernelSpec(
        _rbf,
        ("gamma",),
        prepare=rbf_rows,
        definite=True,
        unit_diagonal=True,
        single=True,
        base=_squared_distances,
        of_base=_decay_of,
    ),
    "sigmoid": _from_scikit_learn("sigmoid", ("gamma", "coef0"), semidefinite=lambda **_: False),
    "laplacian": _from_scikit_learn("laplacian", ("gamma",), definite=True, unit_diagonal=True),
    "cosine": _from_scikit_learn("cosine"),
    "chi2": _from_scikit_learn("chi2", ("gamma",), unit_diagonal=True, takes_sparse=False, takes_negative=False),
    "additive_chi2": _from_scikit_learn("additive_chi2", takes_sparse=False, takes_negative=False),
    "precomputed": KernelSpec(
        None, pairwise=True, takes_sparse=False, semidefinite=lambda **_: False, base=_unchanged, of_base=_unchanged
    ),
}


def spec_of(name):
    """The registry's entry for a kernel's name; for a callable, what holds of any function."""
    if not callable(name):
        return KERNELS[name]
    return KernelSpec(lambda A, B, out=None: _called(name, A.X, B.X), semidefinite=lambda **_: False)


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
        raise ValueError(f"The callable kernel returned nan or infinite values. {TRY_SCALING}")
    return K


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
        return GramSource(_as_float64(X)) if self.spec.pairwise else KernelSource.of(self, X)

    def rows_to_solve(self, X):
        """What `between` needs of the samples X of a problem; duals that add up to zero see the kernel's values."""
        X = _as_float64(X)
        return inner_product_rows(X) if self.is_linear else self.prepare(X, centre_of(X))

    def prepare(self, X, centre=None):
        """What `between` needs of the samples X, computed once; rows that meet must share the `centre`."""
        return self.spec.prepare(_as_float64(X), centre, **self.params)

    def between(self, A, B, out=None):
        """Kernel values (n, m) between prepared samples A and B, in their precision, and in `out` if that is of use."""
        return self.spec.function(A, B, out=out, **self.params)

    def diagonal(self, A):
        """k(x, x) for every prepared sample; None where only `between` knows."""
        if self.spec.unit_diagonal:
            return np.ones(A.n_samples)
        of_squared_norms = self.spec.of_squared_norms
        return None if of_squared_norms is None else of_squared_norms(row_norms(A.X, squared=True), **self.params)

    def __call__(self, X, Y):
        centre = centre_of(X, Y)
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
        centre = centre_of(X, basis)
        right = self.prepare(basis, centre)
        for piece, room in blocks_in_turn(X.shape[0], right.n_samples):
            yield piece, self.between(self.prepare(X[piece], centre), right, room)


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
    # Numbers as small as this have a reciprocal.
    if not 1e-290 < variance < np.inf:
        raise ValueError(
            f"gamma='scale' is 1 / (n_features * variance of X), but the variance of X is {variance:g}: out of the "
            f"range of floating-point numbers. {TRY_SCALING}"
        )
    return 1.0 / (X.shape[1] * variance)


def _variance(X, share):
    """The variance of all values of X (n, d) around their mean, each with its row's share; 0 where it is rounding."""
    # Two passes: E[x^2] - E[x]^2 loses every digit when the mean is large.
    if sparse.issparse(X):
        mean = np.sum(share @ X)
        stored = X.copy()
        stored.sum_duplicates()
        counts = np.diff(stored.indptr)
        of_stored, of_zeros = np.repeat(share, counts), share @ (X.shape[1] - counts)
        variance = of_stored @ (stored.data - mean) ** 2 + of_zeros * mean**2
    else:
        mean = np.sum(matmul(X.T, share))
        variance = np.sum(matmul(((X - mean) ** 2).T, share))
    return variance if variance > (_CONSTANT * mean) ** 2 else 0.0


def _as_float64(X):
    return X.astype(np.float64, copy=False)
