"""The hidden activations: how to apply them, how to differentiate them, how wide to draw the first weights.

To add one, add one entry to `ACTIVATIONS`; the parameter check, the module and the written-out backward pass
read it here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Activation:
    """One activation a = f(z).

    apply : z -> a, differentiable by autograd.
    pull_back_ : (delta, saved) -> delta *= f'(z) in place, where saved is a if `apply_` is given and z if not;
        it may be overwritten.
    apply_ : z -> a in place, or None if f' is a function of z rather than of a, so that z must be kept.
    spread : the first weights are uniform in +-sqrt(spread / (fan_in + fan_out)) (Glorot & Bengio, 2010).
    """

    apply: Callable
    pull_back_: Callable
    apply_: Callable | None = None
    spread: float = 6.0

    def consume(self, z):
        """a, over z's memory where that is allowed."""
        return self.apply(z) if self.apply_ is None else self.apply_(z)


def _keep(z):
    return z


def _identity_pull_back_(delta, a):
    return delta


def _logistic_pull_back_(delta, a):
    return delta.mul_(a.addcmul_(a, a, value=-1))  # a - a^2


def _tanh_pull_back_(delta, a):
    return delta.addcmul_(delta, a.square_(), value=-1)  # delta - delta a^2


def _relu_pull_back_(delta, a):
    return delta.mul_(a.sign_())  # a >= 0, so its sign is f'; several times faster than a comparison


def _silu_pull_back_(delta, z):
    return delta.copy_(torch.ops.aten.silu_backward(delta, z))


def _gelu_pull_back_(delta, z):
    return delta.copy_(torch.ops.aten.gelu_backward(delta, z))


ACTIVATIONS = {
    "identity": Activation(_keep, _identity_pull_back_, _keep),
    "logistic": Activation(torch.sigmoid, _logistic_pull_back_, torch.sigmoid_, spread=2.0),
    "tanh": Activation(torch.tanh, _tanh_pull_back_, torch.tanh_),
    "relu": Activation(torch.relu, _relu_pull_back_, torch.relu_),
    "silu": Activation(F.silu, _silu_pull_back_),
    "gelu": Activation(F.gelu, _gelu_pull_back_),
}
