"""The training rows: their weights, an order that does not depend on the caller's, and mini-batches.

Floating-point sums depend on the order of their terms, and the batches on the order of the rows. Bringing the
rows into an order of their own before the seeded shuffle makes a fit independent of the caller's order, and
makes whole-number weights the very same as repeated rows, to the last bit.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

# Whole-number weights are unrolled into repeated rows up to this many times the rows there are: it bounds an
# epoch's work.
MAX_REPETITION = 10
# Rows are fetched in blocks of whole batches of about this many numbers (2 MB in float64): one fetch serves
# many batches.
BLOCK_SIZE = 2**18


@dataclass(frozen=True)
class Rows:
    """Rows to learn from or to watch.

    X : ndarray or CSR of shape (n, n_features).
    targets : ndarray of shape (n, n_outputs).
    weight : ndarray of shape (n,) or None; multiplies each row's loss.
    index : ndarray of int; the rows of one epoch, in order, a row standing as often as it is to be seen.
    """

    X: object
    targets: np.ndarray
    weight: np.ndarray | None
    index: np.ndarray

    def __len__(self):
        return len(self.index)

    def with_targets(self, targets):
        """The same rows with other targets."""
        return replace(self, targets=targets)

    def epoch_targets(self):
        """The targets in the order of `index`."""
        return self.targets[self.index]

    def epoch_weight(self):
        """The weights in the order of `index`, or None."""
        return None if self.weight is None else self.weight[self.index]


def make_rows(X, targets, sample_weight=None, loss_weight=None, canonical=True):
    """Rows without those of weight 0, whole-number weights as repetition, in canonical order if asked.

    Parameters
    ----------
    X, targets : see `Rows`.
    sample_weight : ndarray of shape (n,) or None
        The caller's weights: repetition when they are whole numbers and not too large, factors of the loss
        otherwise.
    loss_weight : ndarray of shape (n,) or None
        Class weights: always factors of the loss.
    canonical : bool
        Whether to sort the rows by their content.
    """
    index, sample_weight = _unroll(np.arange(X.shape[0]), sample_weight)
    weight = _product(sample_weight, loss_weight, X.dtype)
    if weight is not None:
        index = index[weight[index] > 0]  # a class of weight 0, or a weight that rounds to 0
    if not len(index):
        raise ValueError("No row is left to learn from: all weights are zero, counting class_weight.")
    if canonical:
        index = index[_canonical_order(X, targets, weight, index)]
    return Rows(X, targets, weight, index)


def _unroll(index, sample_weight):
    """Drop weight 0; turn whole-number weights into repetition. Return the index and the weights left."""
    if sample_weight is None:
        return index, None
    kept = index[sample_weight > 0]
    whole = np.all(sample_weight == np.floor(sample_weight))
    if whole and sample_weight.sum() <= MAX_REPETITION * len(index):
        return np.repeat(kept, sample_weight[kept].astype(np.int64)), None
    return kept, sample_weight


def _product(first, second, dtype):
    factors = [w for w in (first, second) if w is not None]
    if not factors:
        return None
    return np.prod(factors, axis=0).astype(dtype)


def _canonical_order(X, targets, weight, index):
    """Rows by the hash of X, equal ones by that of targets and weights: the units of y do not matter."""
    rest = row_hash(targets if weight is None else np.column_stack([targets, weight]))
    return np.lexsort((rest[index], row_hash(X)[index]))


def row_hash(X):
    """One 64-bit number a row, from the bits of its entries: the same for dense and CSR."""
    keys = np.random.Generator(np.random.PCG64(0)).integers(0, 2**63, X.shape[1], dtype=np.uint64) * 2 + 1
    if sparse.issparse(X):
        terms = _scramble(X.data) * keys[X.indices]
        cumulated = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
        return cumulated[X.indptr[1:]] - cumulated[X.indptr[:-1]]  # modulo 2^64, so exact
    total = np.empty(X.shape[0], np.uint64)
    step = max(1, BLOCK_SIZE // X.shape[1])
    for start in range(0, X.shape[0], step):
        np.dot(_scramble(X[start : start + step]), keys, out=total[start : start + step])
    return total


def _scramble(values):
    """The bits of floats, mixed (multiply-xorshift) so that round numbers do not collide; 0 stays 0."""
    bits = (np.asarray(values, dtype=np.float64) + 0.0).view(np.uint64)  # + 0.0 turns -0.0 into 0.0
    bits = (bits ^ (bits >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return bits ^ (bits >> np.uint64(32))


def chunk_rows(X):
    """Rows of X to treat at a time where the number is ours to choose.

    Few enough for a hidden layer's activations to stay in the cache and for CSR rows to be made dense, many
    enough for efficient products.
    """
    return max(1, min(2048, 8 * BLOCK_SIZE // X.shape[1]))


class Batches:
    """The mini-batches of one epoch after the other, as torch tensors on the device.

    CSR rows become dense a block of batches at a time, never all at once.
    """

    def __init__(self, rows, batch_size, device="cpu"):
        self.rows = rows
        self.batch_size = batch_size
        self._fetch = [_fetcher(part, device) for part in (rows.X, rows.targets, rows.weight)]
        self._block = batch_size * max(1, BLOCK_SIZE // (batch_size * rows.X.shape[1]))

    def __len__(self):
        """Rows of an epoch: to skorch's callbacks this is the data set."""
        return len(self.rows)

    def __getitem__(self, position):
        """One row and its targets, in the order of an unshuffled epoch."""
        chosen = self.rows.index[[position]]
        return self._fetch[0](chosen)[0], self._fetch[1](chosen)[0]

    def epoch(self, generator=None):
        """Yield (X, targets, weight or None) batch by batch, shuffled if given a torch generator."""
        index = self.rows.index
        if generator is not None:
            index = index[torch.randperm(len(index), generator=generator).numpy()]
        for start in range(0, len(index), self._block):
            chosen = index[start : start + self._block]
            X, targets, weight = (fetch(chosen) for fetch in self._fetch)
            weights = (
                [None] * -(-len(chosen) // self.batch_size)
                if weight is None
                else weight.split(self.batch_size)
            )
            yield from zip(X.split(self.batch_size), targets.split(self.batch_size), weights)

    def all_targets(self):
        """The targets of every row of an unshuffled epoch."""
        return self._fetch[1](self.rows.index)

    def all_weights(self):
        """The weight of every row of an unshuffled epoch, or None."""
        return self._fetch[2](self.rows.index)

    def mean_weight(self):
        """The mean of these weights."""
        return float(self.rows.epoch_weight().mean())


def _fetcher(part, device):
    """A function from row numbers to a fresh tensor of these rows on the device."""
    if part is None:
        return lambda chosen: None
    if sparse.issparse(part):
        return lambda chosen: torch.from_numpy(part[chosen].toarray()).to(device)
    if device == "cpu":
        return lambda chosen: torch.from_numpy(part.take(chosen, axis=0))
    tensor = torch.tensor(part, device=device)
    return lambda chosen: tensor[torch.from_numpy(chosen).to(device)]
