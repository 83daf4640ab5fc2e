"""Class weights, for every classifier of the package."""

import numpy as np
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight


def balanced_factors(totals):
    """Factors that give every class the same total weight and keep their sum; 0 for a class that is absent.

    Parameters
    ----------
    totals : ndarray of shape (n_classes,)
        Total weight of each class.
    """
    present = totals > 0
    share = totals.sum() / max(np.count_nonzero(present), 1)
    return np.divide(share, totals, out=np.zeros(len(totals)), where=present)


class ClassFactors:
    """What each row's loss is multiplied by for its class.

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced" or None
    classes : ndarray
        All classes, sorted.
    y : ndarray of shape (n,) or (n, n_labels)
        The labels to balance.
    sample_weight : ndarray of shape (n,) or None
        "balanced" makes the total weight of the classes equal, so that weights count as repetition here too.
    """

    def __init__(self, class_weight, classes, y, sample_weight):
        self._class_weight = class_weight
        self._factors = None
        if class_weight is None or y.ndim == 2:
            return
        if isinstance(class_weight, str):
            codes = np.searchsorted(classes, y)
            totals = np.bincount(codes, weights=sample_weight, minlength=len(classes))
            self._factors = balanced_factors(totals.astype(float))
        else:
            self._factors = compute_class_weight(class_weight, classes=classes, y=y)

    def of(self, codes):
        """The factor of each row, given its class code or its label indicators; None without class weights."""
        if self._class_weight is None:
            return None
        if codes.ndim == 2:
            return compute_sample_weight(self._class_weight, codes)
        return self._factors[codes]
