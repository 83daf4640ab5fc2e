"""A Gram matrix that grows in place: to touch fresh memory costs more than to fill it."""

from contextlib import contextmanager
from math import prod
from threading import local

import numpy as np

from ..kernels.sources import MEGABYTE, row_blocks

_DOUBLE = np.dtype(np.float64).itemsize
# What one solve has touched the next one of the same thread begins with: so many arrays of up to so many doubles. A
# cross-validation of 500 samples would else spend a quarter of its time on fresh pages.
_ARRAYS_KEPT, _MOST_KEPT = 2, 2**20


class _Kept(local):
    """The arrays that a thread keeps for its next solve."""

    def __init__(self):
        self.arrays = []


_KEPT = _Kept()


@contextmanager
def lent(*shape):
    """An array of doubles for the time of a `with` block, of memory that the thread has touched before if it can be."""
    arrays, size = _KEPT.arrays, prod(shape)
    large = [k for k, array in enumerate(arrays) if len(array) >= size]
    array = arrays.pop(large[-1]) if large else np.empty(size)
    try:
        yield array[:size].reshape(shape)
    finally:
        if len(array) <= _MOST_KEPT:
            arrays.append(array)
            del arrays[:-_ARRAYS_KEPT]


class Buffer:
    """Memory for the kernel values of one working set after the other, of at most `capacity` samples in doubles.

    It is asked for at once, and costs nothing before it is touched: all working sets begin on the same pages.

    Parameters
    ----------
    capacity : int
    memory : ndarray (capacity**2,) of doubles; new if None
    """

    def __init__(self, capacity, memory=None):
        self.capacity, self.memory = capacity, np.empty(capacity**2) if memory is None else memory

    @classmethod
    def of(cls, megabytes, n_samples):
        """Room for a Gram matrix that takes so much memory with factors of half the samples, or for all of them."""
        return cls(_capacity(megabytes, n_samples))

    @classmethod
    @contextmanager
    def lent(cls, megabytes, n_samples):
        """The same for the time of a `with` block."""
        capacity = _capacity(megabytes, n_samples)
        with lent(capacity**2) as memory:
            yield cls(capacity, memory)

    def most(self, dtype):
        """How many samples there can be room for in the given precision."""
        return int(self.capacity * np.sqrt(_DOUBLE / dtype.itemsize))

    def square(self, n, dtype):
        """The first n x n values, C-contiguous: BLAS takes them without a copy."""
        return self.memory.view(dtype)[: n * n].reshape(n, n)


def _capacity(megabytes, n_samples):
    """How many samples a Gram matrix may have."""
    return min(int(np.sqrt(megabytes * MEGABYTE / (_DOUBLE * 1.25))), n_samples)


class GrowingGram:
    """Kernel values among samples that come and go, in a buffer of which it is the only user.

    Parameters
    ----------
    source : KernelSource or GramSource
    indices : ndarray of int, the first samples
    buffer : Buffer
    """

    def __init__(self, source, indices, buffer):
        self.source, self.indices, self.buffer = source, indices[:0], buffer
        self.add(indices)

    @property
    def values(self):
        """The kernel values among the samples so far."""
        return self._square(len(self.indices))

    def keep(self, mask):
        """Let go of the samples that the mask (m,) leaves out."""
        old, kept = self.values, np.flatnonzero(mask)
        new = self._square(len(kept))
        # From the first row on: where old and new rows share memory, the new ones end further ahead.
        for rows in row_blocks(len(kept), len(mask)):
            new[rows] = old[kept[rows]].take(kept, axis=1)
        self.indices = self.indices[kept]

    def add(self, samples):
        """Append samples; what was there is evaluated no more, and moved only to make room."""
        old, m, n = self.values, len(self.indices), len(self.indices) + len(samples)
        indices, new = np.concatenate([self.indices, samples]), self._square(n)
        # From the last row on: where old and new rows share memory, the new ones end further back.
        for rows in reversed(list(row_blocks(m, n))):
            new[rows, :m] = old[rows].copy()
        if len(samples):
            self.source.fill(new[m:], samples, indices)
            new[:m, m:] = new[m:, :m].T
        self.indices = indices

    def _square(self, n):
        return self.buffer.square(n, self.source.dtype)
