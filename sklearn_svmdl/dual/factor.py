"""Linear systems of the free samples, for sets of free samples that change little by little.

With the Cholesky factor of A_00, A = K + delta I on a first free set F_0, the system on F = F_0 without R and with E is that
of F_0 bordered by the changes (a Schur-complement update: Gill, Murray, Saunders, Wright, Inertia-controlling methods for
general quadratic programming, SIAM Review 1991),

    [ A_00  B ] [ x_0 ]   [ r_0 ]        B = [ A_0E  I_R ]
    [ B'    D ] [ x_1 ] = [ r_1 ]        D = [ A_EE 0 ; 0 0 ]       r_1 = [ r_E ; 0 ]

whose last rows say that the removed samples are 0. It costs |F|^2 operations a change instead of |F|^3 / 3.
"""

from functools import cached_property

import numpy as np
from scipy.linalg import get_lapack_funcs

_LAPACK = {
    dtype: get_lapack_funcs(("potrf", "potrs", "gesv"), dtype=dtype) for dtype in (np.float32, np.float64)
}
# Rows of a matrix gathered at a time.
_GATHERED = 256
# Below this many free samples a new factor costs less than the bookkeeping; so it does from this share of changes on.
_SMALLEST, _MOST_CHANGES = 200, 0.2


def principal(gram, rows, dtype):
    """gram[rows, rows] in the given precision, gathered a few rows at a time."""
    out = np.empty((len(rows), len(rows)), dtype=dtype)
    for start in range(0, len(rows), _GATHERED):
        piece = slice(start, start + _GATHERED)
        out[piece] = gram[rows[piece]][:, rows]
    return out


class Factor:
    """The Cholesky factor of K_FF + delta I, and what changes of F add to it.

    Raises
    ------
    numpy.linalg.LinAlgError : the matrix, or the border of a later set, is not numerically regular.
    """

    def __init__(self, gram, delta, free, precision):
        self.gram, self.delta, self.first, self.precision = gram, delta, free, precision
        potrf, self._potrs, self._gesv = _LAPACK[precision]
        A = principal(gram, free, precision)
        A.flat[:: len(free) + 1] += delta
        self.cholesky, info = potrf(A.T, lower=False, overwrite_a=True, clean=False)
        if info != 0:
            raise np.linalg.LinAlgError("the kernel matrix of the free samples is not positive definite")
        # A_00^-1 B, one column for each change met so far: i for a sample that entered, -1 - i for one that left.
        self.met = np.empty(0, dtype=int)
        self.spread = np.empty((len(free), 0), order="F", dtype=precision)

    @cached_property
    def place(self):
        """Where each sample is in the first set, -1 where it is not."""
        place = np.full(len(self.gram), -1)
        place[self.first] = np.arange(len(self.first))
        return place

    def changes(self, free):
        """The samples of `free` that are new, and those of the first set that are missing."""
        stays = np.zeros(len(self.gram), dtype=bool)
        stays[free] = True
        return free[self.place[free] < 0], self.first[~stays[self.first]]

    def serves(self, gram, delta, free, precision):
        """Whether solving for `free` from here costs less than a new factor, in that precision or better."""
        if gram is not self.gram or delta != self.delta or len(self.first) < _SMALLEST:
            return False
        if self.precision is np.float32 and precision is np.float64:
            return False
        entered, left = self.changes(free)
        return len(self.met) + len(entered) + len(left) <= _MOST_CHANGES * len(self.first)

    def solve(self, free, rhs):
        """(K_FF + delta I)^-1 rhs for the samples `free`; rhs has a row for each."""
        if free is self.first:
            return self._substitute(rhs)
        entered, left = self.changes(free)
        before = np.zeros((len(self.first), rhs.shape[1]), order="F", dtype=self.precision)
        at = self.place[free]
        stayed = at >= 0
        before[at[stayed]] = rhs[stayed]
        before = self._substitute(before)
        if len(entered) + len(left) == 0:
            return before[at]
        spread = self._spread(entered, left)
        border = self._border(entered, left, spread)
        missing = np.concatenate([rhs[~stayed], np.zeros((len(left), rhs.shape[1]))])
        *_, changed, info = self._gesv(border, missing - self._meet(entered, left, before))
        if info != 0:
            raise np.linalg.LinAlgError("the changes of the free samples leave a singular system")
        before -= spread @ changed
        solved = np.empty(rhs.shape, order="F")
        solved[stayed], solved[~stayed] = before[at[stayed]], changed[: len(entered)]
        return solved

    def _spread(self, entered, left):
        """A_00^-1 B of the given changes; columns met before are kept."""
        wanted = np.concatenate([entered, -1 - left])
        new = wanted[~np.isin(wanted, self.met)]
        if len(new):
            B = np.zeros((len(self.first), len(new)), order="F", dtype=self.precision)
            joining = np.flatnonzero(new >= 0)
            B[:, joining] = self.gram.take(new[joining], axis=0).take(self.first, axis=1).T
            leaving = np.flatnonzero(new < 0)
            B[self.place[-1 - new[leaving]], leaving] = 1.0
            self.met = np.concatenate([self.met, new])
            self.spread = np.hstack([self.spread, self._substitute(B)])
        order = np.argsort(self.met)
        return self.spread[:, order[np.searchsorted(self.met[order], wanted)]]

    def _meet(self, entered, left, values):
        """B' values."""
        pulled = self.gram.take(entered, axis=0).take(self.first, axis=1).astype(self.precision, copy=False) @ values
        return np.concatenate([pulled, values[self.place[left]]])

    def _border(self, entered, left, spread):
        """D - B' A_00^-1 B."""
        border = -self._meet(entered, left, spread)
        square = self.gram.take(entered, axis=0).take(entered, axis=1)
        square.flat[:: len(entered) + 1] += self.delta
        border[: len(entered), : len(entered)] += square
        return border

    def _substitute(self, rhs):
        """A_00^-1 rhs, in place."""
        return self._potrs(self.cholesky, rhs, lower=False, overwrite_b=True)[0]


class Memory:
    """What one pivoting leaves to the next on the same Gram matrix: its last conditions and factor."""

    def __init__(self):
        self.conditions, self.last = None, None

    def factor(self, gram, delta, free, precision):
        """The last factor where it serves, else a new one."""
        if self.last is None or not self.last.serves(gram, delta, free, precision):
            self.last = Factor(gram, delta, free, precision)
        return self.last
