"""Class weights as factors of the rows' losses."""

import numpy as np
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight


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
        self._classes = classes
        self._factors = None
        if class_weight is None or y.ndim == 2:
            return
        if class_weight == "balanced":
            self._factors = _balanced(np.searchsorted(classes, y), len(classes), sample_weight)
        else:
            self._factors = compute_class_weight(class_weight, classes=classes, y=y)

    def of(self, y):
        """The factor of each row, or None without class weights."""
        if self._class_weight is None:
            return None
        if y.ndim == 2:
            return compute_sample_weight(self._class_weight, y)
        return self._factors[np.searchsorted(self._classes, y)]


def _balanced(codes, n_classes, sample_weight):
    """total weight / (number of classes present * weight of the class); 0 for a class that is absent."""
    mass = np.bincount(codes, weights=sample_weight, minlength=n_classes).astype(float)
    present = mass > 0
    return np.divide(mass.sum() / present.sum(), mass, out=np.zeros(n_classes), where=present)
