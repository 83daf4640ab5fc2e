"""One matrix between all samples of a search, from which every fold and every kernel that shares it reads."""

import threading

import numpy as np

from .rows import Rows, inner_product_rows
from .sources import BLOCK, GramSource, row_blocks


class SharedKernelMatrix:
    """One matrix all folds share; the values of every kernel that shares it too follow element by element.

    The inner products serve the linear and the polynomial kernels, the squared distances the rbf kernels. A pickle
    carries the samples only: elsewhere the values are computed again.

    Parameters
    ----------
    X : (n, d) samples, or kernel values (n, n)
    """

    def __init__(self, X):
        self.X = X
        self._values = {}
        self._rooms = threading.local()

    def __reduce__(self):
        return SharedKernelMatrix, (self.X,)

    def gram(self, kernel, rows, columns, room="values"):
        """K[rows, columns]; it lasts until this thread asks for the next in the same room."""
        base, of_base = self._between_all(kernel.spec), kernel.spec.of_base
        out = self._room(room, (len(rows), len(columns)))
        for piece in row_blocks(len(rows), len(columns), size=BLOCK // 8):
            out[piece] = of_base(base[rows[piece]].take(columns, axis=1), **kernel.params)
        return out

    def source(self, kernel, samples, room="source"):
        """The stored kernel values between the given samples; they last until this thread asks for the next in the same
        room."""
        rows = None if kernel.spec.pairwise else self._rows(kernel).take(samples)
        return GramSource(self.gram(kernel, samples, samples, room=room), kernel, rows)

    def _rows(self, kernel):
        return inner_product_rows(self._samples) if kernel.is_linear else Rows(self.X)

    def _room(self, name, shape):
        """An array to fill: touching fresh memory costs as much as the arithmetic, so it is used again."""
        size, room = shape[0] * shape[1], getattr(self._rooms, name, np.empty(0))
        if len(room) < size:
            room = np.empty(size)
            setattr(self._rooms, name, room)
        return room[:size].reshape(shape)

    @property
    def _samples(self):
        return self.X.astype(np.float64, copy=False)

    def _between_all(self, spec):
        if spec.base not in self._values:
            self._values[spec.base] = spec.base(self._samples)
        return self._values[spec.base]
