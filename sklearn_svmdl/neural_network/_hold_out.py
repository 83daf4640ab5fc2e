"""Setting rows aside to watch the training by."""

from math import ceil

import numpy as np
from sklearn.model_selection import train_test_split


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
            "or "
            "the size of the dataset, or pass X_val and y_val to fit."
        )
    stratify = labels if labels is not None and _can_stratify(labels, n_watched) else None
    return train_test_split(rows, test_size=n_watched, random_state=random_state, stratify=stratify)


def _can_stratify(labels, n_watched):
    counts = np.unique(labels, return_counts=True)[1]
    return counts.min() >= 2 and len(counts) <= min(n_watched, len(labels) - n_watched)
