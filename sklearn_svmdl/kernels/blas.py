"""Products of dense arrays by the BLAS that belongs to scipy's LAPACK.

The wheels of numpy and scipy each bring an OpenBLAS with threads of its own, which spin for a while after their work.
A solver that takes turns between the two makes their threads fight for the cores: on two of them a factorisation of
0.7 ms and a product of 0.1 ms take 8 ms in turns. So all large products are taken here.
"""

import numpy as np
from scipy import sparse
from scipy.linalg import get_blas_funcs
from sklearn.utils.extmath import safe_sparse_dot

_TYPES = (np.float32, np.float64)
_GEMM = {np.dtype(dtype): get_blas_funcs("gemm", dtype=dtype) for dtype in _TYPES}
_GEMV = {np.dtype(dtype): get_blas_funcs("gemv", dtype=dtype) for dtype in _TYPES}
# Up to this many columns a product with each of them is the faster one.
_FEW_COLUMNS = 3
_DOT = get_blas_funcs("dot", dtype=np.float64)


def dot(x, y):
    """x'y for vectors of doubles; 0 where they are empty."""
    return _DOT(x, y) if len(x) else 0.0


def matmul(A, B):
    """A @ B for a matrix A (n, k) and a matrix (k, m) or vector (k,) B of the same floating-point type.

    Arrays that are contiguous in neither order are copied.
    """
    if A.size == 0 or B.size == 0:
        return np.zeros((len(A), *B.shape[1:]), A.dtype)
    if B.ndim == 1:
        return _GEMV[A.dtype](1.0, A.T, B, trans=True) if A.flags.c_contiguous else _GEMV[A.dtype](1.0, A, B)
    if B.shape[1] <= _FEW_COLUMNS:
        return np.stack([matmul(A, column) for column in B.T], axis=1)
    # BLAS reads columns first: the product's transpose is B'A'.
    a, a_transposed = _in_fortran_order(B.T)
    b, b_transposed = _in_fortran_order(A.T)
    return _GEMM[A.dtype](1.0, a, b, trans_a=a_transposed, trans_b=b_transposed).T


def _product_into(out, A, B):
    """A @ B for matrices of the type of the C-contiguous `out`, which it is written to."""
    if out.size == 0 or A.size == 0:
        out[...] = 0.0
        return out
    # BLAS reads columns first: the product's transpose is B'A'.
    a, a_transposed = _in_fortran_order(B.T)
    b, b_transposed = _in_fortran_order(A.T)
    options = {"beta": 0.0, "c": out.T, "overwrite_c": True, "trans_a": a_transposed, "trans_b": b_transposed}
    return _GEMM[out.dtype](1.0, a, b, **options).T


def dense_product(A, B, out=None):
    """A @ B as a dense array of floating-point numbers, single only if both are, where A and B may be sparse.

    `out`, a C-contiguous array of the shape and type of the product, may be filled with it: fresh memory costs as much
    to touch as the product.
    """
    if sparse.issparse(A) or sparse.issparse(B):
        return np.asarray(safe_sparse_dot(A, B, dense_output=True))
    dtype = np.result_type(A, B, np.float32)
    A, B = A.astype(dtype, copy=False), B.astype(dtype, copy=False)
    return matmul(A, B) if out is None else _product_into(out, A, B)


def _in_fortran_order(A):
    """A or its transpose, whichever is contiguous column by column, and whether it is the transpose."""
    if A.flags.c_contiguous and not A.flags.f_contiguous:
        return A.T, True
    return A, False
