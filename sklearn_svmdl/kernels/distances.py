"""Squared distances from differences, where |x|^2 + |x'|^2 - 2 x.x' has cancelled nearly every digit.

Far from the centre of all samples, in units of the kernel's width, that is so for samples near each other and for equal
ones: features in units far too small, a column of time stamps, an outlier with its copies.
"""

import numpy as np
from sklearn.utils.extmath import row_norms

# A squared distance below this share of |x|^2 + |x'|^2 has lost five digits or more.
_CANCELLED = 1e-5
# Numbers that are handled at a time.
_AT_A_TIME = 2**18


def mend_cancelled(values, X, Y, halves, halves_of_Y, factor):
    """Where the squared distances in `values` have cancelled, enter them anew, in place.

    Parameters
    ----------
    values : ndarray (n, m), `factor` |x - y|^2
    X, Y : (n, d), (m, d) arrays or CSR
    halves, halves_of_Y : ndarrays (n,), (m,), the size of `factor` |x|^2 and `factor` |y|^2
    factor : float
    """
    step = max(1, _AT_A_TIME // max(len(halves_of_Y), 1))
    for start in range(0, len(halves), step):
        piece = slice(start, start + step)
        near = np.abs(values[piece]) < _CANCELLED * (halves[piece, None] + halves_of_Y)
        _enter(values, X, Y, *np.nonzero(near), start, factor)


def _enter(values, X, Y, i, j, start, factor):
    """values[start + i, j] from the differences of these pairs."""
    step = max(1, _AT_A_TIME // X.shape[1])
    for first in range(0, len(i), step):
        rows, columns = start + i[first : first + step], j[first : first + step]
        values[rows, columns] = factor * row_norms(X[rows] - Y[columns], squared=True)
