"""The output heads: what the raw outputs z of the last layer mean, and the loss they are trained by.

All of them pair a loss with its canonical link, so that dloss/dz = link(z) - target: the written-out backward
pass starts from this one line, whatever the head (Bishop, 2006, section 4.3.6). A `Task` adds what a head needs
to know of the data: how y becomes targets, and predictions become y.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Head:
    """How the raw outputs z, of shape ([n_networks,] n, n_outputs), are read.

    out_activation : the name scikit-learn gives to the link.
    link : (z, out=None) -> the prediction on the scale of the targets.
    inverse_link : prediction -> z.
    row_losses : (z, targets) -> the loss of each row, summed over the outputs, of shape ([n_networks,] n).
    fused_loss : (z, targets) -> the mean of these, for one output, by one kernel; None where there is none.
    row_hits : (z, targets) -> whether each row is predicted exactly, of that shape; None for regression.
    """

    out_activation: str
    link: Callable
    inverse_link: Callable
    row_losses: Callable
    fused_loss: Callable | None = None
    row_hits: Callable | None = None

    @property
    def score_name(self):
        """What `score` computes."""
        return "r2" if self.row_hits is None else "accuracy"

    def loss(self, z, targets, weight=None):
        """The weighted mean loss: a float, or one for each network in a list."""
        return _row_mean(self.row_losses(z, targets), weight).tolist()

    def score(self, z, targets, weight=None):
        """The weighted accuracy of a classifier or R2 of a regressor, as `loss`; nan where z is not finite."""
        if self.row_hits is None:
            scores = _r2(self.link(z), targets, weight)
        else:
            scores = _row_mean(self.row_hits(z, targets).to(z.dtype), weight)
        finite = torch.isfinite(z.sum((-2, -1)))  # one number is enough: inf and nan spread through a sum
        return torch.where(finite, scores, nan).tolist()

    def constant_loss(self, targets, weight=None):
        """The loss of the best prediction that is the same for all rows."""
        z = self.inverse_link(_column_mean(targets, weight))
        return self.loss(z.expand(targets.shape), targets, weight)


def _row_mean(values, weight):
    """The weighted mean over the last dimension."""
    if weight is None:
        return values.sum(-1) / values.shape[-1]
    return (values * weight).sum(-1) / weight.sum(-1)


def _column_mean(values, weight):
    """The weighted mean over the last dimension but one."""
    if weight is None:
        return values.mean(-2)
    return (values * weight.unsqueeze(-1)).sum(-2) / weight.sum(-1, keepdim=True)


def _r2(prediction, targets, weight):
    """R2 averaged over the outputs as in scikit-learn: a constant output scores 1 if hit exactly, else 0."""
    residual = _column_mean((targets - prediction).square(), weight)
    spread = _column_mean((targets - _column_mean(targets, weight).unsqueeze(-2)).square(), weight)
    constant = torch.where(residual == 0, 1.0, 0.0)
    return torch.where(spread == 0, constant, 1 - residual / spread).mean(-1)


def _softmax(z, out=None):
    return torch.softmax(z, -1) if out is None else torch.softmax(z, -1, out=out)


def _identity(z, out=None):
    return z if out is None else out.copy_(z)


def _log(prediction):
    """The logarithm; of zero, that of the smallest number, so that 0 log 0 is 0."""
    return prediction.clamp_min(torch.finfo(prediction.dtype).tiny).log()


def _logit(prediction):
    return _log(prediction) - _log(1 - prediction)


def _softmax_losses(z, targets):
    return torch.logsumexp(z, -1) - (targets * z).sum(-1)


def _over_outputs(losses):
    """The sum over the outputs; over one, it is a view."""
    return losses.squeeze(-1) if losses.shape[-1] == 1 else losses.sum(-1)


def _logistic_losses(z, targets):
    return _over_outputs(F.binary_cross_entropy_with_logits(z, targets, reduction="none"))


_logistic_loss = F.binary_cross_entropy_with_logits


def _half_squared_loss(z, targets):
    return F.mse_loss(z, targets) / 2


def _squared_losses(z, targets):
    return _over_outputs(0.5 * (z - targets).square())


def _poisson_losses(z, targets):
    """Half the Poisson deviance; the terms without z make it zero at a perfect fit."""
    return _over_outputs(torch.exp(z) - targets * z + torch.xlogy(targets, targets) - targets)


def _softmax_hits(z, targets):
    return z.argmax(-1) == targets.argmax(-1)


def _logistic_hits(z, targets):
    return ((z > 0) == (targets > 0.5)).all(-1)


HEADS = {
    "multiclass": Head("softmax", _softmax, _log, _softmax_losses, None, _softmax_hits),
    "binary": Head("logistic", torch.sigmoid, _logit, _logistic_losses, _logistic_loss, _logistic_hits),
    "multilabel-indicator": Head("logistic", torch.sigmoid, _logit, _logistic_losses, _logistic_loss, _logistic_hits),
    "squared_error": Head("identity", _identity, _identity, _squared_losses, _half_squared_loss),
    "poisson": Head("exp", torch.exp, _log, _poisson_losses),
}


@dataclass(frozen=True)
class Task:
    """What a network is to learn: how y becomes targets, and outputs become predictions of y.

    head_name : a key of `HEADS`.
    n_features, n_outputs : int
    center, scale : ndarray of shape (n_outputs,) or None; a regression is trained on (y - center) / scale.
    flat : whether y has one dimension.

    y are class codes (positions among the sorted classes), label indicators, or numbers.
    """

    head_name: str
    n_features: int
    n_outputs: int
    flat: bool
    center: np.ndarray | None = None
    scale: np.ndarray | None = None

    @property
    def head(self):
        """The output head."""
        return HEADS[self.head_name]

    def targets(self, y, dtype):
        """A tensor y as targets of shape (n, n_outputs), in the precision of the network."""
        if self.head_name == "multiclass" and y.ndim == 1:
            return F.one_hot(y.long(), self.n_outputs).to(dtype)
        y = y.unsqueeze(1) if y.ndim == 1 else y
        if self.scale is None:
            return y.to(dtype)
        center, scale = (torch.from_numpy(part).to(y.device) for part in (self.center, self.scale))
        return ((y - center) / scale).to(dtype)

    def natural_targets(self, y, dtype):
        """A tensor y as torch's own criteria expect it: class codes of several classes, or `targets`."""
        return y.long() if self.head_name == "multiclass" else self.targets(y, dtype)

    def predictions(self, linked):
        """Predictions of y, in double, from the head's predictions (ndarray) on the scale of the targets."""
        y = self.center + self.scale * linked.astype(np.float64)
        return y[:, 0] if self.flat else y


def smoothed(targets, head, amount):
    """Class targets moved by `amount` of the way to even shares (Szegedy et al., 2016)."""
    share = 1 / targets.shape[-1] if head.out_activation == "softmax" else 0.5
    return targets * (1 - amount) + amount * share


class HeadLoss(nn.Module):
    """The head's mean loss as the torch criterion that skorch expects."""

    def __init__(self, head_name):
        super().__init__()
        self.head_name = head_name

    def forward(self, z, targets, weight=None):
        """The weighted mean loss of raw outputs of shape (n, n_outputs)."""
        head = HEADS[self.head_name]
        if weight is None and head.fused_loss is not None and z.shape[1] == 1:
            return head.fused_loss(z, targets)
        return _row_mean(head.row_losses(z, targets), weight)
