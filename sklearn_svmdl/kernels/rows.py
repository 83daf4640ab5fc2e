"""Prepared rows: what a kernel function reads of the samples, computed once."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import row_norms

# Beyond this many squared widths of an rbf kernel from the centre, rounding shows in its values.
_FAR = 1e4
# The mean of samples is far off where less than this share of their mean square is variance.
_LITTLE_VARIANCE = 0.01

TRY_SCALING = "Try to scale the features (sklearn.preprocessing.StandardScaler), or a smaller gamma."


@dataclass(frozen=True)
class Rows:
    """Prepared samples.

    Parameters
    ----------
    X : (n, k) array or CSR, what the kernel function reads
    right : the same, of samples that are its second argument; None where it reads X there too
    far : bool, whether some are so far from the origin that distances among them may cancel
    origin : ndarray (k,), what was subtracted from every row of X; None where nothing was
    """

    X: object
    right: object = None
    far: bool = False
    origin: np.ndarray | None = None

    def take(self, rows):
        """The given rows only."""
        return self._each(lambda part: part[rows])

    def single(self):
        """The same rows in single precision."""
        return self._each(lambda part: part.astype(np.float32))

    def _each(self, change):
        return replace(self, X=change(self.X), right=None if self.right is None else change(self.right))

    @property
    def n_samples(self):
        """How many rows there are."""
        return self.X.shape[0]

    def identities(self):
        """What tells equal rows from others."""
        return row_identities(self.X)


def plain_rows(X, centre, **params):
    """Rows of X as they are, for kernels that need neither the origin nor their parameters beforehand."""
    return Rows(X)


def scikit_learn_rows(X, centre, **params):
    """Rows of X in the form that scikit-learn's compiled kernels take: writable, and 32 bits an index."""
    if not sparse.issparse(X):
        return Rows(np.require(X, requirements="W"))
    if X.indices.itemsize > 4 and max(*X.shape, X.nnz) <= np.iinfo(np.int32).max:
        parts = X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32)
        X = type(X)(parts, shape=X.shape)
    return Rows(X)


def inner_product_rows(X):
    """Rows of X, taken from their mean where that is far off.

    To duals that add up to zero it makes no difference where all samples stand; but far from zero their inner products
    cancel nearly every digit.
    """
    centre = centre_of(X)
    if centre is None or centre @ centre < (1.0 - _LITTLE_VARIANCE) * np.einsum("ij,ij->", X, X) / len(X):
        return Rows(X)
    return Rows(X - centre, origin=centre)


def rbf_rows(X, centre, gamma):
    """Rows of X - centre such that -gamma |x - x'|^2 is a single product: [z, -h, 1] . [z', 1, -h']."""
    # Distances do not change with the origin, but far from it z.z' - h - h' cancels nearly every digit.
    X = X if centre is None else X - centre
    h = gamma * row_norms(X, squared=True)[:, None]
    if not np.isfinite(h).all():
        raise ValueError(f"Squared distances times gamma={gamma:g} overflow. {TRY_SCALING}")
    one, Z = np.ones_like(h), np.sqrt(2 * gamma) * X
    stack = (lambda blocks: sparse.hstack(blocks, format="csr")) if sparse.issparse(Z) else np.hstack
    return Rows(stack([Z, -h, one]), stack([Z, one, -h]), far=bool(h.max(initial=0.0) > _FAR))


def centre_of(*samples):
    """The mean of the last matrix of samples; None where centring would turn a sparse matrix dense."""
    if any(sparse.issparse(X) for X in samples) or samples[-1].shape[0] == 0:
        return None
    return samples[-1].mean(axis=0, dtype=np.float64)


def row_identities(X):
    """One bytes object a row of X (n, d): equal exactly where the rows are."""
    if sparse.issparse(X):
        X = X.copy()
        X.sum_duplicates()
        X.eliminate_zeros()
        cuts = zip(X.indptr[:-1], X.indptr[1:])
        return np.array([X.indices[a:b].tobytes() + X.data[a:b].tobytes() for a, b in cuts], dtype=object)
    return np.array([row.tobytes() for row in np.ascontiguousarray(X + 0.0)], dtype=object)
