"""Prepared rows: what a kernel function reads of the samples, computed once."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import row_norms

TRY_SCALING = "Try to scale the features (sklearn.preprocessing.StandardScaler), or a smaller gamma."


@dataclass(frozen=True)
class Rows:
    """Prepared samples.

    Parameters
    ----------
    X : (n, k) array or CSR, what the kernel function reads
    right : the same, of samples that are its second argument; None where it reads X there too
    """

    X: object
    right: object = None

    def take(self, rows):
        """The given rows only."""
        return self._each(lambda part: part[rows])

    def single(self):
        """The same rows in single precision."""
        return self._each(lambda part: part.astype(np.float32))

    def _each(self, change):
        return Rows(change(self.X), None if self.right is None else change(self.right))

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


def rbf_rows(X, centre, gamma):
    """Rows of X - centre such that -gamma |x - x'|^2 is a single product: [z, -h, 1] . [z', 1, -h']."""
    # Distances do not change with the origin, but far from it z.z' - h - h' cancels nearly every digit.
    X = X if centre is None else X - centre
    h = gamma * row_norms(X, squared=True)[:, None]
    if not np.isfinite(h).all():
        raise ValueError(f"Squared distances times gamma={gamma:g} overflow. {TRY_SCALING}")
    one, Z = np.ones_like(h), np.sqrt(2 * gamma) * X
    stack = (lambda blocks: sparse.hstack(blocks, format="csr")) if sparse.issparse(Z) else np.hstack
    return Rows(stack([Z, -h, one]), stack([Z, one, -h]))


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
