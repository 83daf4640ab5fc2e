"""Products by scipy's BLAS: those of numpy, whatever the order of the arrays."""

import numpy as np
import pytest

from sklearn_svmdl.kernels.blas import dot, matmul

ORDERS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "neither": lambda A: np.repeat(np.repeat(A, 2, axis=0), 2, axis=1)[::2, ::2],
}


@pytest.mark.parametrize("right", ORDERS)
@pytest.mark.parametrize("left", ORDERS)
@pytest.mark.parametrize("shape", [(5, 7, 6), (1, 4, 3), (4, 1, 3), (4, 3, 1), (0, 3, 2), (3, 0, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matmul(shape, dtype, left, right):
    n, k, m = shape
    random = np.random.RandomState(0)
    A, B = random.normal(size=(n, k)).astype(dtype), random.normal(size=(k, m)).astype(dtype)
    a, b = ORDERS[left](A), ORDERS[right](B)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(matmul(a, b), A @ B, **tolerance)
    np.testing.assert_allclose(matmul(a, b[:, 0]), A @ B[:, 0], **tolerance)
    assert matmul(a, b).dtype == dtype


def test_dot():
    x = np.arange(4.0)
    assert dot(x, x[::-1]) == 4.0
    assert dot(x[:0], x[:0]) == 0.0
