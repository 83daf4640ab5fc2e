"""A Gram matrix that grows in place: to touch fresh memory costs as much as to fill it."""

import numpy as np

from .kernels import row_blocks

# Room for this many times the first samples, and some more: what bands usually grow to.
_SPARE, _AND_MORE = 1.4, 50
# Arrays of more values, 31 MB, are given back to the system when they are freed: room for twice the samples at once.
_HEAP, _AHEAD = 31 * 2**17, 4


class Room:
    """Memory for the kernel values of one band after the other, of at most `capacity` samples."""

    def __init__(self, capacity):
        self.capacity, self.array = capacity, np.empty(0)

    def reserve(self, n):
        """Have room for n samples; what was there may be lost."""
        if n * n > len(self.array):
            self.array = np.empty(n * n if n * n <= _HEAP else min(_AHEAD * n * n, self.capacity**2))

    def square(self, n):
        """The first n x n values, C-contiguous: BLAS takes them without a copy."""
        return self.array[: n * n].reshape(n, n)


class GrowingGram:
    """Kernel values among samples that come and go, in a room of which it is the only user.

    Parameters
    ----------
    source : KernelSource or GramSource
    indices : ndarray of int, the first samples
    room : Room
    """

    def __init__(self, source, indices, room):
        self.source, self.indices, self.room = source, indices[:0], room
        room.reserve(min(int(_SPARE * len(indices)) + _AND_MORE, room.capacity, source.n_samples))
        self.add(indices)

    @property
    def values(self):
        """The kernel values among the samples so far."""
        return self.room.square(len(self.indices))

    def keep(self, mask):
        """Let go of the samples that the mask (m,) leaves out."""
        old, kept = self.values, np.flatnonzero(mask)
        new = self.room.square(len(kept))
        # From the first row on: where old and new rows share memory, the new ones end further ahead.
        for rows in row_blocks(len(kept), len(mask)):
            new[rows] = old[kept[rows]].take(kept, axis=1)
        self.indices = self.indices[kept]

    def add(self, samples):
        """Append samples; what was there is evaluated no more, and moved only to make room."""
        old, m, n = self.values, len(self.indices), len(self.indices) + len(samples)
        self.room.reserve(n)
        indices, new = np.concatenate([self.indices, samples]), self.room.square(n)
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
