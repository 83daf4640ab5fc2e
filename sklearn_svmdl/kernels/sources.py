"""Where the solver reads kernel values, by sample index.

Three sources have one interface: values that are evaluated block by block, a stored Gram matrix, and samples that
stand for those of another source.
"""

import numpy as np

from .blas import matmul

MEGABYTE = 2**20
# Kernel values evaluated at a time: 8 MB, about what the outer caches hold.
BLOCK = 2**20
# Kernel values that are copied to two places at a time: 512 kB.
_COPIED = 2**16
# Where fewer samples than one in so many take part in a sum, they are gathered.
_GATHERED = 4
# Kernel values that are copied singly at a time, for whose places the inner caches have room.
_INDEXED = 2**14
# Where fewer rows than one in so many take part, single values are copied instead of whole rows.
_FEW_ROWS = 3


def row_blocks(n_rows, n_columns, size=BLOCK):
    """Slices of rows such that a block of n_columns has about `size` values."""
    step = max(1, size // max(n_columns, 1))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def blocks_in_turn(n_rows, n_columns, dtype=np.float64, size=BLOCK):
    """The slices of `row_blocks`, each with an array to fill: the same memory for every block."""
    room = None
    for piece in row_blocks(n_rows, n_columns, size=size):
        if room is None:
            room = np.empty((piece.stop - piece.start, n_columns), dtype)
        yield piece, room[: piece.stop - piece.start]


class _Source:
    """What the sources have in common."""

    tally = None
    # Which samples of another source these are: see `IndexedSource`.
    index = None

    def counted(self, tally):
        """An equal source, which adds to `tally.kernel_values` how many kernel values it evaluates.

        So do the sources that are made from it. Where values are combined without the matrix, each row and each column
        counts as one value; what is stored costs nothing.
        """
        return self._having(tally=tally)

    @property
    def distinct(self):
        """The source that has each sample once."""
        return self

    @property
    def features(self):
        """Features whose inner products are the kernel values, (n, d) dense or CSR, where they are known, else None."""
        return None

    @property
    def origin(self):
        """The point (d,) from which the features are taken, None where that is zero or there are none."""
        return None if self.rows is None else self.rows.origin

    @property
    def n_features(self):
        """The number of these features, else None."""
        return None if self.features is None else self.features.shape[1]

    def blocks(self, rows, out=None):
        """K[rows_j, rows_j] (k, m, m) for each row j of an array (k, m), in `out` if given."""
        return np.stack([self.block(of_one, of_one) for of_one in rows], out=out)

    def _having(self, **changes):
        """A copy, of the same class, with these attributes changed."""
        source = object.__new__(type(self))
        vars(source).update(vars(self), **changes)
        return source


class KernelSource(_Source):
    """Kernel values by sample index, evaluated on demand.

    Parameters
    ----------
    kernel : Kernel
    rows : the prepared samples
    dtype : their precision, and that of the kernel values
    """

    def __init__(self, kernel, rows, dtype=np.float64):
        self.kernel = kernel
        self.rows = rows
        self.dtype = np.dtype(dtype)

    @classmethod
    def of(cls, kernel, X):
        """The samples X (n, d), dense or CSR."""
        return cls(kernel, kernel.rows_to_solve(X))

    @property
    def n_samples(self):
        """How many samples there are."""
        return self.rows.n_samples

    @property
    def features(self):
        """The samples X (n, d), dense or CSR, where the kernel is linear, else None."""
        return self.rows.X if self.kernel.is_linear else None

    def take(self, indices):
        """The source of the given samples only."""
        return self._having(rows=self.rows.take(indices))

    def single(self):
        """The source of the same kernel values in single precision; None where it would be no other."""
        if not self.kernel.spec.single or self.rows.far or self.dtype == np.float32:
            return None
        return self._having(rows=self.rows.single(), dtype=np.dtype(np.float32))

    def block(self, rows, columns):
        """K[rows, columns] as a new array."""
        return self._between(self.rows.take(rows), self.rows.take(columns))

    def fill(self, array, rows, columns):
        """array[...] = K[rows, columns], in blocks that stay in the processor's caches."""
        right = self.rows.take(columns)
        for piece, room in blocks_in_turn(*array.shape, self.dtype):
            array[piece] = self._between(self.rows.take(rows[piece]), right, room)

    def diagonal(self):
        """k(x_i, x_i) for every sample."""
        known = self.kernel.diagonal(self.rows)
        if known is not None:
            return known
        # Values on the diagonal of small square blocks; 64 wastes little and keeps the number of calls low.
        pieces = row_blocks(self.n_samples, 1, size=64)
        return np.concatenate([np.diagonal(self.block(piece, piece)) for piece in pieces])

    def apply(self, columns, values, rows=None):
        """K[rows, columns] @ values (m,) or (m, p), of all rows if None, in blocks that never exceed `BLOCK` values."""
        n_rows = self.n_samples if rows is None else len(rows)
        out = np.zeros((n_rows, *values.shape[1:]))
        if len(columns) == 0:
            return out
        values = values.astype(self.dtype, copy=False)
        if self.kernel.spec.combine:
            self._count(n_rows + len(columns))
            right, values = self._summands(columns, values)
            return self.kernel.spec.combine(self.rows if rows is None else self.rows.take(rows), right, values)
        right = self.rows.take(columns)
        for piece, room in blocks_in_turn(n_rows, len(columns), self.dtype):
            left = self.rows.take(piece if rows is None else rows[piece])
            out[piece] = matmul(self._between(left, right, room), values)
        return out

    def _summands(self, columns, values):
        """Samples and their values: all samples, some with zeros, where to gather most of them would cost more."""
        if _GATHERED * len(columns) < self.n_samples:
            return self.rows.take(columns), values
        everywhere = np.zeros((self.n_samples, *values.shape[1:]), self.dtype)
        everywhere[columns] = values
        return self.rows, everywhere

    def stored(self, out=None):
        """The same kernel values as a stored Gram matrix, in `out` if given, exactly symmetric: of many half is
        evaluated."""
        n = self.n_samples
        if n * n <= _COPIED:
            # To evaluate half of so few saves less than its copies cost.
            values = self._between(self.rows, self.rows)
            gram = np.add(values, values.T, out=out)
            gram *= 0.5
            return GramSource(gram, self.kernel, self.rows).counted(self.tally)
        gram = np.empty((n, n)) if out is None else out
        # Few rows at a time: what is evaluated below the diagonal is wasted, what is copied should stay in the cache.
        for piece, room in blocks_in_turn(n, n, size=_COPIED):
            room = room.reshape(-1)[: len(room) * (n - piece.start)].reshape(len(room), -1)
            values = self._between(self.rows.take(piece), self.rows.take(slice(piece.start, n)), room)
            square = values[:, : len(values)]
            values[:, : len(values)] = 0.5 * (square + square.T)
            gram[piece, piece.start :] = values
            gram[piece.start :, piece] = values.T
        return GramSource(gram, self.kernel, self.rows).counted(self.tally)

    def whole(self):
        """K, which is not to be changed."""
        return self.stored().gram

    def _between(self, left, right, out=None):
        """Kernel values between prepared samples, counted."""
        self._count(left.n_samples * right.n_samples)
        return self.kernel.between(left, right, out)

    def _count(self, n_values):
        if self.tally is not None:
            self.tally.kernel_values += n_values


class GramSource(_Source):
    """Kernel values from a stored Gram matrix (n, n); `kernel` and `rows` say where from, if known."""

    dtype = np.dtype(np.float64)

    def __init__(self, gram, kernel=None, rows=None):
        self.gram = gram
        self.kernel = kernel
        self._rows, self._taken = rows, None

    @property
    def n_samples(self):
        """How many samples there are."""
        return self.gram.shape[0]

    @property
    def rows(self):
        """The prepared samples, if known; taken from those of the source that this one came of at each call."""
        return self._rows if self._rows is None or self._taken is None else self._rows.take(self._taken)

    @property
    def features(self):
        """The samples X (n, d), dense or CSR, where the kernel is known to be linear, else None."""
        known = self.kernel is not None and self.kernel.is_linear and self._rows is not None
        return self.rows.X if known else None

    def take(self, indices):
        """The source of the given samples only."""
        taken = indices if self._taken is None else self._taken[indices]
        return self._having(gram=self.block(indices, indices), _taken=taken)

    def single(self):
        """None: stored kernel values cost nothing to evaluate."""
        return None

    def block(self, rows, columns):
        """K[rows, columns] as a new array."""
        return self.gram[rows][:, columns]

    def blocks(self, rows, out=None):
        """K[rows_j, rows_j] (k, m, m) for each row j of an array (k, m), in `out` if given."""
        k, m = rows.shape
        out = np.empty((k, m, m)) if out is None else out
        for piece in row_blocks(k, m * m, size=_INDEXED):
            some = rows[piece]
            self._values(some[:, :, None], some[:, None, :], out[piece])
        return out

    def fill(self, array, rows, columns):
        """array[...] = K[rows, columns]."""
        for piece in row_blocks(*array.shape):
            array[piece] = self.gram[rows[piece]].take(columns, axis=1)

    def diagonal(self):
        """k(x_i, x_i) for every sample."""
        return np.diagonal(self.gram).copy()

    def apply(self, columns, values, rows=None):
        """K[rows, columns] @ values (m,) or (m, p), of all rows if None."""
        if rows is None:
            return self._spread(columns, values)
        if len(rows) * _FEW_ROWS <= self.n_samples and len(columns) * len(rows) <= BLOCK:
            return matmul(self._values(columns[:, None], rows).T, values)
        if len(columns) <= len(rows) and len(columns) * self.n_samples <= BLOCK:
            # Whole rows are copied faster than parts of columns, and the matrix is symmetric.
            return matmul(self.gram[columns].T, values)[rows]
        out = np.zeros((len(rows), *values.shape[1:]))
        for piece in row_blocks(len(rows), len(columns)):
            out[piece] = matmul(self.block(rows[piece], columns), values)
        return out

    def _values(self, rows, columns, out=None):
        """Single values, of broadcast index arrays: from the flat matrix three times as fast as by two indices."""
        # The matrix is symmetric.
        gram = self.gram.T if self.gram.flags.f_contiguous else self.gram
        if not gram.flags.c_contiguous:
            # Not by a copy of all of it for each piece.
            found = gram[rows, columns]
            if out is not None:
                out[...] = found
            return found
        flat = gram.reshape(-1)
        # Only where it need not raise numpy fills an array in place.
        return flat.take(rows * self.n_samples + columns, out=out, mode="raise" if out is None else "clip")

    def _spread(self, columns, values):
        """K[:, columns] @ values, without a copy of the matrix."""
        everywhere = np.zeros((self.n_samples, *values.shape[1:]))
        everywhere[columns] = values
        return matmul(self.gram, everywhere)

    def stored(self, out=None):
        """The source itself."""
        return self

    def whole(self):
        """K, which is not to be changed."""
        return self.gram


class IndexedSource:
    """Kernel values of samples that stand for those of another source and may repeat.

    The loss of a regression has two sides and each sample a dual for either: their kernel values are the same, and
    never stored twice.

    Parameters
    ----------
    source : KernelSource or GramSource
    index : ndarray of int (n,), sample j is sample index[j] of the source; each of them should occur
    """

    def __init__(self, source, index):
        self.source, self.index = source, index
        self.dtype, self.kernel = source.dtype, source.kernel
        self.n_samples, self.n_features = len(index), source.n_features

    @property
    def distinct(self):
        """The source that has each sample once."""
        return self.source

    @property
    def rows(self):
        """The prepared samples, if known; repeated anew at each call."""
        return None if self.source.rows is None else self.source.rows.take(self.index)

    @property
    def features(self):
        """The source's features, if known; repeated anew at each call."""
        return None if self.source.features is None else self.source.features[self.index]

    def counted(self, tally):
        """An equal source, which adds to `tally.kernel_values` how many kernel values the one behind it evaluates."""
        return IndexedSource(self.source.counted(tally), self.index)

    def take(self, indices):
        """The source of the given samples only, on a source of no others."""
        distinct, index = _places(self.index[indices], self.source.n_samples)
        return IndexedSource(self.source.take(distinct), index)

    def single(self):
        """The source of the same kernel values in single precision; None where it would be no other."""
        source = self.source.single()
        return None if source is None else IndexedSource(source, self.index)

    def block(self, rows, columns):
        """K[rows, columns] as a new array."""
        return self.source.block(self.index[rows], self.index[columns])

    def blocks(self, rows, out=None):
        """K[rows_j, rows_j] (k, m, m) for each row j of an array (k, m), in `out` if given."""
        return self.source.blocks(self.index[rows], out)

    def fill(self, array, rows, columns):
        """array[...] = K[rows, columns]."""
        self.source.fill(array, self.index[rows], self.index[columns])

    def diagonal(self):
        """k(x_i, x_i) for every sample."""
        return self.source.diagonal()[self.index]

    def apply(self, columns, values, rows=None):
        """K[rows, columns] @ values (m,) or (m, p), of all rows if None, evaluated once for equal samples."""
        columns, n = self.index[columns], self.source.n_samples
        sums = np.zeros((n, *values.shape[1:]))
        np.add.at(sums, columns, values)
        distinct, _ = _places(columns, n)
        if rows is None:
            return self.source.apply(distinct, sums[distinct])[self.index]
        distinct_rows, where = _places(self.index[rows], n)
        return self.source.apply(distinct, sums[distinct], distinct_rows)[where]

    def stored(self, out=None):
        """The same kernel values from a stored Gram matrix of the source's samples, in `out` if given."""
        return IndexedSource(self.source.stored(out), self.index)


def _places(samples, n):
    """The distinct ones of some of n samples, sorted, and the place of each among them."""
    place = np.zeros(n, dtype=np.intp)
    place[samples] = 1
    distinct = place.nonzero()[0]
    place[distinct] = np.arange(len(distinct))
    return distinct, place[samples]
