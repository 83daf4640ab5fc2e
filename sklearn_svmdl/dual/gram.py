"""A Gram matrix that grows in place: to touch fresh memory costs as much as to fill it."""

import numpy as np

from .kernels import row_blocks

# Room for this many times the first samples, and some more: what bands usually grow to.
_SPARE, _AND_MORE = 1.4, 50


class GrowingGram:
    """Kernel values among samples that join one another, in one array with room to spare.

    Parameters
    ----------
    source : KernelSource or GramSource
    indices : ndarray of int, the first samples
    most : int, how many there will be at the most
    room : ndarray (m, m), memory that is no longer needed, to be used again
    """

    def __init__(self, source, indices, most, room=None):
        self.source, self.indices, self.most = source, indices[:0], min(most, source.n_samples)
        side = min(self.most, int(_SPARE * len(indices)) + _AND_MORE)
        self.array = np.empty((side, side)) if room is None or len(room) < side else room
        self.add(indices)

    @property
    def values(self):
        """The kernel values among the samples so far, a view."""
        m = len(self.indices)
        return self.array[:m, :m]

    def add(self, samples):
        """Append samples; what was there is evaluated no more, and moved only where the room is too small."""
        m, n = len(self.indices), len(self.indices) + len(samples)
        if n > len(self.array):
            old = self.values
            self.array = np.empty((self.most, self.most))
            self.array[:m, :m] = old
        self._fill(slice(m, n), samples, slice(0, m), self.indices)
        self.array[:m, m:n] = self.array[m:n, :m].T
        self._fill(slice(m, n), samples, slice(m, n), samples)
        self.indices = np.concatenate([self.indices, samples])

    def _fill(self, rows, row_samples, columns, column_samples):
        """Evaluate a rectangle of the array in blocks that stay in the processor's caches."""
        here = self.array[rows, columns]
        if here.size == 0:
            return
        for piece in row_blocks(*here.shape):
            here[piece] = self.source.block(row_samples[piece], column_samples)
