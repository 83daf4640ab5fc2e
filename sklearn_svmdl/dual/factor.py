"""A Cholesky factor of the free samples' kernel matrix that follows them as they come and go.

Along a path of budgets the set F of free samples grows, and few of them leave. Rows are appended to the factor of
A = K_FF + sigma 1 1' + delta I for samples that enter,

    [ A_FF  A_FE ]   [ L       ] [ L'  P' ]
    [ A_EF  A_EE ] = [ P   L_E ] [     L_E' ],      P = (L^-1 A_FE)',   L_E L_E' = A_EE - P P',

so that a whole path costs about one factorisation of its last set. Samples that left stay in the factor, held at
zero: with V = L^-1 I_R for their rows R,

    x = L^-T (z - V (V'V)^-1 V'z),   z = L^-1 r

solves A x = r on the others with x_R = 0 (a Schur-complement update: Gill, Murray, Saunders, Wright,
Inertia-controlling methods for general quadratic programming, SIAM Review 1991). Where many have left the factor is
made anew.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import get_lapack_funcs

from ..kernels.blas import matmul

_LAPACK = {
    np.dtype(dtype): get_lapack_funcs(("potrf", "potrs", "trtrs"), dtype=dtype) for dtype in (np.float32, np.float64)
}

# A new factor costs less than the bookkeeping where this share of the samples has left or enters.
_MOST_LEFT, _MOST_ENTERING = 0.1, 0.2
# Below this many free samples a new factor costs no more than the bookkeeping.
FEW_FREE = 400
# Appended rows join the last ones up to this number of rows together.
_TOGETHER = 128
# Rows of a matrix gathered at a time.
_GATHERED = 64


def gathered(gram, rows, columns):
    """gram[rows, columns], a few rows at a time."""
    if len(rows) <= _GATHERED:
        return gram[rows].take(columns, axis=1)
    out = np.empty((len(rows), len(columns)), dtype=gram.dtype)
    for start in range(0, len(rows), _GATHERED):
        piece = slice(start, start + _GATHERED)
        # Only where it need not raise numpy fills an array in place.
        gram[rows[piece]].take(columns, axis=1, out=out[piece], mode="clip")
    return out


def shifted_gram(gram, free, shift, delta):
    """K_FF + sigma 1 1' + delta I."""
    A = gathered(gram, free, free)
    A += shift
    A.reshape(-1)[:: len(free) + 1] += delta
    return A


def cholesky(A):
    """The lower factor of a symmetric A, which it overwrites, as its transpose in C order.

    Raises
    ------
    numpy.linalg.LinAlgError : A is not numerically positive definite.
    """
    potrf, *_ = _LAPACK[A.dtype]
    factor, info = potrf(A.T, lower=False, overwrite_a=True, clean=True)
    if info != 0:
        raise np.linalg.LinAlgError("the kernel matrix of the free samples is not positive definite")
    return factor


def solve_factorised(upper, rhs):
    """x of upper' upper x = rhs, which it may overwrite: scipy's cho_solve without its checks, which cost as much."""
    _, potrs, _ = _LAPACK[upper.dtype]
    return potrs(upper, rhs, lower=False, overwrite_b=True)[0]


@dataclass(frozen=True)
class _Rows:
    """Consecutive rows of the factor: [panel, L_E], with `upper` = L_E'."""

    start: int
    panel: np.ndarray
    upper: np.ndarray

    @property
    def stop(self):
        """The number of the row after the last."""
        return self.start + len(self.panel)

    def joined(self, other):
        """These rows and those that follow, as one."""
        panel = np.vstack([self.panel, other.panel[:, : self.start]])
        upper = np.zeros((len(panel), len(panel)), order="F", dtype=panel.dtype)
        k = len(self.panel)
        upper[:k, :k], upper[k:, k:] = self.upper, other.upper
        upper[:k, k:] = other.panel[:, self.start :].T
        return _Rows(self.start, panel, upper)


class PathFactor:
    """Solves (K_FF + sigma 1 1' + delta I) x = r for sets F that change little by little.

    Parameters
    ----------
    dtype : the precision of the Gram matrix
    smallest : int, with fewer free samples a new factor is made each time
    """

    def __init__(self, dtype=np.float64, smallest=FEW_FREE):
        self.dtype, self.smallest = np.dtype(dtype), smallest
        *_, self._trtrs = _LAPACK[self.dtype]
        self.gram, self.shift, self.delta = None, 0.0, 0.0

    def solve(self, gram, shift, delta, free, rhs):
        """x for the samples `free`; rhs (len(free), p) has a row for each.

        Raises
        ------
        numpy.linalg.LinAlgError : the matrix is not numerically positive definite.
        """
        if not self._follows(gram, shift, delta, free):
            self._begin(gram, shift, delta, free)
        at = self.place[free]
        z = np.zeros((len(self.members), rhs.shape[1]), dtype=self.dtype)
        z[at] = rhs
        self._forward(z)
        if len(self.left):
            V = self.spread[: len(z), : len(self.left)]
            z -= matmul(V, solve_factorised(self.meeting, matmul(V.T, z)))
        self._backward(z)
        return np.asfortranarray(z[at], dtype=np.float64)

    def _begin(self, gram, shift, delta, free):
        """A new factor for the samples `free`."""
        self.gram, self.shift, self.delta = None, shift, delta
        upper = cholesky(shifted_gram(gram, free, shift, delta))
        self.rows = [_Rows(0, np.empty((len(free), 0), dtype=self.dtype), upper)]
        self.members = free
        self.place = np.full(len(gram), -1)
        self.place[free] = np.arange(len(free))
        self.left = np.empty(0, dtype=int)
        self.spread = np.empty((0, 0), dtype=self.dtype)
        self.gram = gram

    def _follows(self, gram, shift, delta, free):
        """Whether the factor now serves the samples `free`, after an update that costs less than a new one."""
        if gram is not self.gram or (shift, delta) != (self.shift, self.delta) or len(free) < self.smallest:
            return False
        stays = np.zeros(len(gram), dtype=bool)
        stays[free] = True
        if np.count_nonzero(~stays[self.members]) > _MOST_LEFT * len(self.members):
            return False
        entering = free[self.place[free] < 0]
        if len(entering) > _MOST_ENTERING * len(self.members):
            return False
        if len(entering):
            self._append(entering)
        self._leave(np.flatnonzero(~stays[self.members]), len(entering))
        return True

    def _append(self, entering):
        """Rows for samples that enter."""
        m, k = len(self.members), len(entering)
        panel = (gathered(self.gram, entering, self.members) + self.dtype.type(self.shift)).T.copy()
        self._forward(panel)
        panel = np.ascontiguousarray(panel.T)
        A = shifted_gram(self.gram, entering, self.shift, self.delta)
        A -= matmul(panel, panel.T)
        new = _Rows(m, panel, cholesky(A))
        last = self.rows[-1]
        if len(last.panel) + k <= _TOGETHER:
            self.rows[-1] = last.joined(new)
        else:
            self.rows.append(new)
        self.place[entering] = np.arange(m, m + k)
        self.members = np.concatenate([self.members, entering])

    def _leave(self, left, n_new):
        """Keep V = L^-1 I_R for the rows R that left: rows for new samples, columns for those that left since."""
        m = len(self.members)
        known = self.left
        kept = np.isin(known, left)
        fresh = left[~np.isin(left, known)]
        V = np.zeros((m, np.count_nonzero(kept) + len(fresh)), dtype=self.dtype)
        if kept.any():
            old = self.spread[:, kept]
            V[: len(old), : old.shape[1]] = old
            self._forward(V[:, : old.shape[1]], since=len(old))
        if len(fresh):
            V[fresh, np.arange(np.count_nonzero(kept), V.shape[1])] = 1.0
            # From the start of their rows on: zeros cost less than the copy of a part of these rows.
            since = next(rows.start for rows in self.rows if rows.stop > fresh.min())
            self._forward(V[:, np.count_nonzero(kept) :], since)
        self.left, self.spread = np.concatenate([known[kept], fresh]), V
        if len(self.left):
            self.meeting = cholesky(matmul(V.T, V))

    def _forward(self, z, since=0):
        """z <- L^-1 z in place, where the rows before `since` have been done or are zero."""
        for rows in self.rows:
            if rows.stop > since:
                self._forward_rows(rows, z, since)

    def _forward_rows(self, rows, z, since):
        """These rows' part of `_forward`."""
        start = max(rows.start, since)
        done = start - rows.start
        here = z[start : rows.stop]
        if start:
            before = matmul(rows.panel[done:], z[: rows.start]) if rows.start else 0.0
            if done:
                before = before + matmul(rows.upper[:done, done:].T, z[rows.start : start])
            here -= before
        here[:] = self._trtrs(rows.upper[done:, done:], here, lower=False, trans=1)[0]

    def _backward(self, z):
        """z <- L'^-1 z in place."""
        for rows in reversed(self.rows):
            here = z[rows.start : rows.stop]
            here[:] = self._trtrs(rows.upper, here, lower=False)[0]
            if rows.start:
                z[: rows.start] -= matmul(rows.panel.T, here)


class SolverCache:
    """What one pivoting leaves to the next on the same Gram matrix: its last conditions, and the factor.

    A factor that follows its free samples loses its digits where near-equal ones leave: then each is made anew.

    Parameters
    ----------
    dtype : the precision of the Gram matrix
    """

    def __init__(self, dtype=np.float64):
        self.conditions, self.following = None, PathFactor(dtype)

    def gives_up(self, factor):
        """Whether a factor that failed had followed its free samples; none does from then on."""
        followed = factor is not None
        self.following = None if followed else self.following
        return followed

    def factor(self, n_free, n_wrong):
        """The factor for so many free samples; None where a new one costs least."""
        return None if n_free < FEW_FREE else self.following
