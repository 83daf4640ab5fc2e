"""The hidden activations: name -> how to apply it, how to differentiate it, how wide to draw the first weights.

To add one, add one entry to `ACTIVATIONS`; the parameter check, the module and the written-out backward pass read it here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Activation:
    """One activation a = f(z).

    apply : z -> a, differentiable by autograd.
    apply_ : (z, out) -> writes a into out; out may be z itself unless `from_input`.
    pull_back_ : (delta, saved, scratch) -> delta *= f'(z) in place, where saved is a, or z if `from_input`;
        scratch is a tensor of the same shape to write to.
    from_input : whether f' needs z (then a must not overwrite z) rather than a.
    spread : the first weights are uniform in +-sqrt(spread / (fan_in + fan_out)) (Glorot & Bengio, 2010).
    """

    apply: Callable
    apply_: Callable
    pull_back_: Callable
    from_input: bool = False
    spread: float = 6.0


def _keep(z, out=None):
    return z


def _identity_pull_back_(delta, a, scratch):
    return delta


def _logistic_pull_back_(delta, a, scratch):
    torch.addcmul(a, a, a, value=-1, out=scratch)  # a - a^2
    return delta.mul_(scratch)


def _tanh_pull_back_(delta, a, scratch):
    torch.mul(a, a, out=scratch)
    return delta.addcmul_(delta, scratch, value=-1)  # delta - delta a^2


def _relu_pull_back_(delta, a, scratch):
    torch.sign(a, out=scratch)  # a >= 0, so its sign is f'; several times faster than a comparison
    return delta.mul_(scratch)


def _silu_pull_back_(delta, z, scratch):
    return delta.copy_(torch.ops.aten.silu_backward(delta, z))


def _gelu_pull_back_(delta, z, scratch):
    return delta.copy_(torch.ops.aten.gelu_backward(delta, z))


def _silu_(z, out):
    return out.copy_(F.silu(z))


def _gelu_(z, out):
    return out.copy_(F.gelu(z))


ACTIVATIONS = {
    "identity": Activation(_keep, _keep, _identity_pull_back_),
    "logistic": Activation(torch.sigmoid, lambda z, out: torch.sigmoid(z, out=out), _logistic_pull_back_, spread=2.0),
    "tanh": Activation(torch.tanh, lambda z, out: torch.tanh(z, out=out), _tanh_pull_back_),
    "relu": Activation(torch.relu, lambda z, out: torch.clamp_min(z, 0, out=out), _relu_pull_back_),
    "silu": Activation(F.silu, _silu_, _silu_pull_back_, from_input=True),
    "gelu": Activation(F.gelu, _gelu_, _gelu_pull_back_, from_input=True),
}
