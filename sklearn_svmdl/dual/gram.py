"""A Gram matrix that grows in place: to touch fresh memory costs as much as to fill it."""

import numpy as np

from .kernels import row_blocks

# Room for this many times the first samples, and some more: what bands usually grow to.
_SPARE, _AND_MORE = 1.4, 50


class GrowingGram:
    """Kernel values among samples that come and go, in one array with room to spare.

    Parameters
    ----------
    source : KernelSource or GramSource
    indices : ndarray of int, the first samples
    most : int, how many there will be at the most
    """

    def __init__(self, source, indices, most):
        self.source, self.indices, self.most = source, indices[:0], min(most, source.n_samples)
        side = min(self.most, int(_SPARE * len(indices)) + _AND_MORE)
        self.room = np.empty(side**2)
        self.add(indices)

    @property
    def values(self):
        """The kernel values among the samples so far, C-contiguous: BLAS takes them without a copy."""
        m = len(self.indices)
        return self.room[: m * m].reshape(m, m)

    def keep(self, mask):
        """Let go of the samples that the mask (m,) leaves out."""
        old, kept = self.values, np.flatnonzero(mask)
        k = len(kept)
        new = self.room[: k * k].reshape(k, k)
        # From the first row on: where old and new rows share memory, the new ones end further ahead.
        for rows in row_blocks(k, len(mask)):
            new[rows] = old[kept[rows]].take(kept, axis=1)
        self.indices = self.indices[kept]

    def add(self, samples):
        """Append samples; what was there is evaluated no more, and moved only to make room."""
        old, m, n = self.values, len(self.indices), len(self.indices) + len(samples)
        if n * n > len(self.room):
            self.room = np.empty(self.most**2)
        indices = np.concatenate([self.indices, samples])
        new = self.room[: n * n].reshape(n, n)
        # From the last row on: where old and new rows share memory, the new ones end further back.
        for rows in reversed(list(row_blocks(m, n))):
            new[rows, :m] = old[rows].copy()
        self._fill(new, slice(m, n), samples, slice(0, m), self.indices)
        new[:m, m:] = new[m:, :m].T
        self._fill(new, slice(m, n), samples, slice(m, n), samples)
        self.indices = indices

    def _fill(self, array, rows, row_samples, columns, column_samples):
        """Evaluate a rectangle of the array in blocks that stay in the processor's caches."""
        here = array[rows, columns]
        if here.size == 0:
            return
        for piece in row_blocks(*here.shape):
            here[piece] = self.source.block(row_samples[piece], column_samples)
