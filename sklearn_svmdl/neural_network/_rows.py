"""The rows to learn from: their weights, an order that does not depend on the caller's, mini-batches.

Floating-point sums depend on the order of their terms, and the batches on the order of the rows. Bringing the
rows into an order of their own before the seeded shuffle makes a fit independent of the caller's order, and
makes whole-number weights the very same as repeated rows, to the last bit.
"""

from math import ceil

import numpy as np
import torch
from scipy import sparse
from sklearn.model_selection import train_test_split
from skorch.dataset import Dataset
from torch.utils.data import Subset

# Whole-number weights are unrolled into repeated rows up to this many times the rows there are: it bounds an
# epoch's work.
MAX_REPETITION = 10
# Rows are fetched in blocks of whole batches of about this many numbers (2 MB in float64): one fetch serves
# many batches.
BLOCK_SIZE = 2**18


class WeightedDataset(Dataset):
    """skorch's data set with a weight for each row.

    Parameters
    ----------
    X : ndarray or CSR of shape (n, n_features)
    y : ndarray of shape (n,) or (n, n_outputs), or None
    weight : ndarray of shape (n,) or None
        What each row's loss is multiplied by. With weights, X of an item is a dict of "X" and
        "sample_weight", the way in which skorch hands them on to the loss.
    """

    def __init__(self, X, y=None, weight=None):
        super().__init__(X, y)
        self.weight = weight

    def __getitem__(self, i):
        X, y = super().__getitem__(i)
        return with_weight(X, None if self.weight is None else self.weight[i]), y


def with_weight(X, weight):
    """The X of a skorch batch: a dict where there are weights."""
    return X if weight is None else {"X": X, "sample_weight": weight}


def without_weight(X):
    """The rows and their weights, or None, from the X of a skorch batch."""
    return (X["X"], X["sample_weight"]) if isinstance(X, dict) and "sample_weight" in X else (X, None)


class Rows(Subset):
    """The rows of a `WeightedDataset` that make up one epoch, in order, a row as often as it is to be seen."""

    def all_y(self):
        """y of every row of an unshuffled epoch."""
        return self.dataset.y[self.indices]

    def all_weights(self):
        """The weight of every row of an unshuffled epoch, or None."""
        return None if self.dataset.weight is None else self.dataset.weight[self.indices]

    def mean_weight(self):
        """The mean of these weights."""
        return 1.0 if self.dataset.weight is None else float(self.all_weights().mean())

    def with_y(self, y):
        """The same rows with another y."""
        return Rows(WeightedDataset(self.dataset.X, y, self.dataset.weight), self.indices)


def make_rows(X, y, sample_weight=None, loss_weight=None, canonical=True):
    """Rows without those of weight 0, whole-number weights as repetition, in canonical order if asked.

    Parameters
    ----------
    X, y : see `WeightedDataset`.
    sample_weight : ndarray of shape (n,) or None
        The caller's weights: repetition when they are whole numbers and not too large, factors of the loss
        otherwise.
    loss_weight : ndarray of shape (n,) or None
        Class weights: always factors of the loss.
    canonical : bool
        Whether to sort the rows by their content.
    """
    index, sample_weight = _unroll(np.arange(X.shape[0]), sample_weight)
    factors = [w for w in (sample_weight, loss_weight) if w is not None]
    weight = np.prod(factors, axis=0).astype(X.dtype) if factors else None
    if weight is not None:
        index = index[weight[index] > 0]  # of a row, of its class, or what rounds to 0
    if not len(index):
        raise ValueError("No row is left to learn from: all weights are zero, counting class_weight.")
    if canonical:
        index = index[_canonical_order(X, y, weight, index)]
    return Rows(WeightedDataset(X, y, weight), index)


def _unroll(index, sample_weight):
    """Turn whole-number weights into repetition. Return the index and the weights left."""
    if sample_weight is None:
        return index, None
    whole = np.all(sample_weight == np.floor(sample_weight))
    if whole and sample_weight.sum() <= MAX_REPETITION * len(index):
        return np.repeat(index, sample_weight.astype(np.int64)), None
    return index, sample_weight


def _canonical_order(X, y, weight, index):
    """Rows by the hash of X, equal ones by that of y and weights: the units of y do not matter.

    The hash is that of numbers in single precision, so that the order is the same in both; rows that only
    double precision tells apart are told apart last.
    """
    rest = np.column_stack([y] if weight is None else [y, weight]).astype(np.float64)
    keys = (row_hash(X, np.float64), row_hash(rest, np.float32), row_hash(X, np.float32))
    return np.lexsort([key[index] for key in keys])


def row_hash(X, precision):
    """One 64-bit number a row, from the bits of its entries: the same for dense and CSR."""
    keys = np.random.Generator(np.random.PCG64(0)).integers(0, 2**63, X.shape[1], dtype=np.uint64) * 2 + 1
    if sparse.issparse(X):
        terms = _scramble(X.data, precision) * keys[X.indices]
        cumulated = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
        return cumulated[X.indptr[1:]] - cumulated[X.indptr[:-1]]  # modulo 2^64, so exact
    total = np.empty(X.shape[0], np.uint64)
    step = max(1, BLOCK_SIZE // X.shape[1])
    for start in range(0, X.shape[0], step):
        np.dot(_scramble(X[start : start + step], precision), keys, out=total[start : start + step])
    return total


def _scramble(values, precision):
    """The bits of floats, mixed (multiply-xorshift) so that round numbers do not collide; 0 stays 0."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.asarray(values).astype(precision, copy=False).astype(np.float64)
    bits = (rounded + 0.0).view(np.uint64)  # + 0.0 turns -0.0 into 0.0
    bits = (bits ^ (bits >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return bits ^ (bits >> np.uint64(32))


# --- rows to watch


def hold_out(rows, labels, fraction, random_state):
    """Split row numbers at random into (to train on, to watch), stratified by the labels if that can be done.

    Parameters
    ----------
    rows : ndarray of int
    labels : ndarray or None
        One label a row to stratify by.
    fraction : float
        Share of the rows to set aside, at least two of them.
    random_state : RandomState
    """
    n_watched = ceil(fraction * len(rows))
    if n_watched < 2 or len(rows) - n_watched < 1:
        raise ValueError(
            f"The validation set is too small: validation_fraction={fraction} of {len(rows)} rows sets aside "
            f"{n_watched}, and at least two are needed besides one to train on. Increase validation_fraction "
            "or the size of the dataset, or pass X_val and y_val to fit."
        )
    stratify = labels if labels is not None and _can_stratify(labels, n_watched) else None
    return train_test_split(rows, test_size=n_watched, random_state=random_state, stratify=stratify)


def _can_stratify(labels, n_watched):
    counts = np.unique(labels, return_counts=True)[1]
    return counts.min() >= 2 and len(counts) <= min(n_watched, len(labels) - n_watched)


# --- batches


def chunk_rows(X):
    """Rows of X to treat at a time where the number is ours to choose.

    Few enough for a hidden layer's activations to stay in the cache and for CSR rows to be made dense, many
    enough for efficient products.
    """
    return max(1, min(2048, 8 * BLOCK_SIZE // X.shape[1]))


def batch_sizes(n_rows, batch_size):
    """Rows of each batch of an epoch; a last one of a single row joins the one before it.

    The mean and variance of one row say nothing, and torch's batch norm refuses it.
    """
    full, rest = divmod(n_rows, batch_size)
    sizes = [batch_size] * full
    if rest == 1 and full:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


class Batches:
    """The mini-batches of one epoch after the other, as torch tensors on the device.

    CSR rows become dense a block of batches at a time, never all at once.
    """

    def __init__(self, rows, batch_size, device="cpu"):
        self.rows = rows
        data = rows.dataset
        self._fetch = [_fetcher(part, device) for part in (data.X, data.y, data.weight)]
        self._sizes = batch_sizes(len(rows), batch_size)
        self._per_block = max(1, BLOCK_SIZE // (batch_size * data.X.shape[1]))

    def __len__(self):
        return len(self._sizes)

    def epoch(self, generators=None):
        """Yield (X, y, weight or None) batch by batch, shuffled if given torch generators.

        With one generator the rows have shape (n, n_features); with several, each network's own order makes
        that (n_networks, n, n_features), and y and weight alike.
        """
        index = self.rows.indices
        if generators is not None:
            orders = [torch.randperm(len(index), generator=generator).numpy() for generator in generators]
            index = index[orders[0] if len(orders) == 1 else np.stack(orders)]
        start = 0
        for first in range(0, len(self._sizes), self._per_block):
            sizes = self._sizes[first : first + self._per_block]
            chosen = index[..., start : start + sum(sizes)]
            start += sum(sizes)
            X, y, weight = (fetch(chosen) for fetch in self._fetch)
            along = index.ndim - 1
            weights = [None] * len(sizes) if weight is None else weight.split(sizes, along)
            yield from zip(X.split(sizes, along), y.split(sizes, along), weights)


def _fetcher(part, device):
    """A function from row numbers to a fresh tensor of these rows on the device."""
    if part is None:
        return lambda chosen: None
    if sparse.issparse(part):
        return lambda chosen: _dense_rows(part, chosen).to(device)
    if device == "cpu":
        return lambda chosen: torch.from_numpy(part.take(chosen, axis=0))
    tensor = torch.tensor(part, device=device)
    return lambda chosen: tensor[torch.from_numpy(chosen).to(device)]


def _dense_rows(csr, chosen):
    return torch.from_numpy(csr[chosen.ravel()].toarray().reshape(*chosen.shape, csr.shape[1]))


class RowBatches:
    """`Batches` as the iterator over a data set that skorch asks for.

    Parameters
    ----------
    dataset : Rows or WeightedDataset
    batch_size : int
    generator : torch.Generator or None
        Shuffles the rows anew in each epoch.
    """

    def __init__(self, dataset, batch_size, generator=None):
        if isinstance(dataset, WeightedDataset):
            dataset = Rows(dataset, np.arange(len(dataset)))
        if dataset.dataset.y is None:  # skorch asks for a y even where nobody needs one
            dataset = dataset.with_y(np.zeros(len(dataset.dataset)))
        self._batches = Batches(dataset, batch_size)
        self._generators = None if generator is None else [generator]

    def __len__(self):
        return len(self._batches)

    def __iter__(self):
        for X, y, weight in self._batches.epoch(self._generators):
            yield with_weight(X, weight), y
