"""The output heads: what the raw outputs z of the last layer mean, and the loss they are trained by.

All of them pair a loss with its canonical link, so that dloss/dz = link(z) - target: the written-out backward
pass starts from this one line, whatever the head (Bishop, 2006, section 4.3.6).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Head:
    """How the raw outputs z, of shape (n, n_outputs), are read.

    out_activation : the name scikit-learn gives to the link.
    link : (z, out=None) -> the prediction on the scale of the targets.
    row_losses : (z, targets) -> the loss of each row, summed over the outputs, of shape (n,).
    row_hits : (z, targets) -> whether each row is predicted exactly, of shape (n,); None for regression.
    """

    out_activation: str
    link: Callable
    row_losses: Callable
    row_hits: Callable | None = None

    @property
    def score_name(self):
        """What `score` computes."""
        return "r2" if self.row_hits is None else "accuracy"

    def loss(self, z, targets, weight=None):
        """The weighted mean loss, a float."""
        return float(_mean(self.row_losses(z, targets), weight))

    def score(self, z, targets, weight=None):
        """The weighted accuracy of a classifier or R2 of a regressor; nan if a raw output is not finite."""
        if not torch.isfinite(z.sum()):  # one number is enough: inf and nan spread through a sum
            return nan
        if self.row_hits is None:
            return _r2(self.link(z), targets, weight)
        return float(_mean(self.row_hits(z, targets).to(z.dtype), weight))


def _mean(values, weight):
    if weight is None:
        return values.mean(0)
    return torch.tensordot(weight, values, 1) / weight.sum()


def _r2(prediction, targets, weight):
    """R2 averaged over the outputs as in scikit-learn: a constant output scores 1 if hit exactly, else 0."""
    residual = _mean((targets - prediction).square(), weight)
    spread = _mean((targets - _mean(targets, weight)).square(), weight)
    constant = torch.where(residual == 0, 1.0, 0.0)
    return float(torch.where(spread == 0, constant, 1 - residual / spread).mean())


def _softmax(z, out=None):
    return torch.softmax(z, 1) if out is None else torch.softmax(z, 1, out=out)


def _identity(z, out=None):
    return z if out is None else out.copy_(z)


def _softmax_losses(z, targets):
    return torch.logsumexp(z, 1) - (targets * z).sum(1)


def _logistic_losses(z, targets):
    return (F.softplus(z) - targets * z).sum(1)


def _squared_losses(z, targets):
    return 0.5 * (z - targets).square().sum(1)


def _poisson_losses(z, targets):
    """Half the Poisson deviance; the terms without z make it zero at a perfect fit."""
    return (torch.exp(z) - targets * z + torch.xlogy(targets, targets) - targets).sum(1)


def _softmax_hits(z, targets):
    return z.argmax(1) == targets.argmax(1)


def _logistic_hits(z, targets):
    return ((z > 0) == (targets > 0.5)).all(1)


HEADS = {
    "multiclass": Head("softmax", _softmax, _softmax_losses, _softmax_hits),
    "binary": Head("logistic", torch.sigmoid, _logistic_losses, _logistic_hits),
    "multilabel-indicator": Head("logistic", torch.sigmoid, _logistic_losses, _logistic_hits),
    "squared_error": Head("identity", _identity, _squared_losses),
    "poisson": Head("exp", torch.exp, _poisson_losses),
}
