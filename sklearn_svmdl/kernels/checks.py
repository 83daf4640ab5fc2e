"""Kernel values that no solver should be given."""

import numpy as np
from scipy.linalg import eigvalsh

from .rows import TRY_SCALING
from .sources import row_blocks

# Of an eigenvalue, relative to the number and the largest of the kernel values.
_ROUNDING = 1e-15


def check_kernel_values(source):
    """Raise where kernel values over- or underflow; |k(x, x')|^2 <= k(x, x) k(x', x') makes the diagonal tell."""
    diagonal = source.diagonal()
    if not np.isfinite(diagonal).all():
        raise ValueError(f"The kernel values overflow: k(x, x) is infinite for some sample x. {TRY_SCALING}")
    # Numbers as small as this have half of all digits left for differences.
    if 0.0 < diagonal.max() < 1e-290:
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
    """-smallest / largest eigenvalue on `n_probe` evenly spaced samples, 0 where none is negative but for rounding.

    Signed duals sum to zero, so what counts is the Gram matrix centred in its rows and columns.
    """
    probe = np.unique(np.linspace(0, source.n_samples - 1, min(n_probe, source.n_samples)).astype(int))
    K = source.block(probe, probe)
    rounding = _ROUNDING * len(K) * np.abs(K).max()
    K = K - K.mean(axis=0) - K.mean(axis=1)[:, None] + K.mean()
    eigenvalues = eigvalsh(0.5 * (K + K.T))
    largest = np.abs(eigenvalues).max()
    return max(0.0, -eigenvalues[0] - rounding) / largest if largest > 0 else 0.0
