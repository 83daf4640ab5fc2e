"""Probabilities that agree with predict: decisions over one temperature, which out-of-fold decisions tell."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

# The logarithm of 1 / temperature is looked for between these, around that of the decisions' size: from all but
# equal probabilities to all but certain ones.
_LOWEST, _HIGHEST = np.log(1e-3), np.log(1e3)


def temperature_of(decisions, codes, weight):
    """The temperature of least log-loss on decisions of samples that their model has not seen.

    The scores of the classes over the temperature go through the softmax: Guo, Pleiss, Sun, Weinberger, On calibration
    of modern neural networks, ICML 2017. As in Platt, Probabilistic outputs for support vector machines, 1999, the
    target of a class of total weight W is not 1 but (W + 1) / (W + 2): without it classes that no fold mistakes would
    get a temperature of 0 and probabilities of certainty.

    Parameters
    ----------
    decisions : ndarray (n,) or (n, n_classes), rows with nan are left out
    codes : ndarray (n,), class numbers
    weight : ndarray (n,)

    Returns
    -------
    float : 1 where there is nothing to tell it from
    """
    scores = class_scores(decisions)
    known = np.isfinite(scores).all(axis=1) & (weight > 0)
    scores, codes, weight = scores[known], codes[known], weight[known]
    size = np.abs(scores - scores.mean(axis=1, keepdims=True)).max(initial=0.0)
    if size == 0:
        return 1.0
    target = _targets(codes, weight, scores.shape[1])

    def loss(log_inverse):
        """The log-loss at a temperature of exp(-log_inverse)."""
        return -np.sum(weight[:, None] * target * log_softmax(np.exp(log_inverse) * scores, axis=1))

    middle = -np.log(size)
    found = minimize_scalar(loss, bounds=(middle + _LOWEST, middle + _HIGHEST), options={"xatol": 1e-10})
    return float(np.exp(-found.x))


def log_probabilities(decisions, temperature):
    """Logarithms of the probabilities (n, n_classes): of two classes the sigmoid of the decision over temperature.

    The largest is the predicted class's, to the last bit: where rounding makes another one equal it is one bit more.
    """
    scores = class_scores(decisions)
    return _led_by(scores, log_softmax(scores / temperature, axis=1))


def probabilities(decisions, temperature):
    """The probabilities (n, n_classes), as `log_probabilities`."""
    scores = class_scores(decisions)
    return _led_by(scores, np.exp(log_softmax(scores / temperature, axis=1)))


def class_scores(decisions):
    """Scores (n, n_classes): those of two classes are 0 and the decision, so that their softmax is its sigmoid."""
    if decisions.ndim == 2:
        return decisions
    return np.stack([np.zeros_like(decisions), decisions], axis=1)


def _led_by(scores, values):
    """The values, with that of the largest score the first of the largest."""
    leader = scores.argmax(axis=1)
    (rows,) = np.nonzero(values.argmax(axis=1) != leader)
    values[rows, leader[rows]] = np.nextafter(values[rows].max(axis=1), np.inf)
    return values


def _targets(codes, weight, n_classes):
    """Probabilities (n, n_classes) to aim at: nearly 1 for a sample's own class, the rest shared by the others."""
    totals = np.bincount(codes, weight, minlength=n_classes)
    own = (totals + 1.0) / (totals + 2.0)
    table = np.repeat(((1.0 - own) / (n_classes - 1))[:, None], n_classes, axis=1)
    np.fill_diagonal(table, own)
    return table[codes]
