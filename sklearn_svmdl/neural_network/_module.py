"""The torch module of a multi-layer perceptron, and how its first weights are drawn."""

from itertools import pairwise

import torch
from torch import nn

from ._activations import ACTIVATIONS


class Dense(nn.Linear):
    """`torch.nn.Linear` that leaves its weights for `draw_weights`: torch's use the global generator."""

    def reset_parameters(self):
        """Draw nothing."""


class MLPModule(nn.Module):
    """A multi-layer perceptron: dense layers with an activation between them; it returns raw outputs.

    Parameters
    ----------
    layer_units : sequence of int
        Width of every layer, from the inputs to the outputs.
    activation : str
        A key of `ACTIVATIONS`, applied after every layer but the last.
    dropout : float
        Share of the hidden activations set to zero in training mode.
    dtype : torch.dtype
        Precision of the weights.
    """

    def __init__(self, layer_units, activation, dropout, dtype):
        super().__init__()
        self.layer_units = list(layer_units)
        self.activation = activation
        self.dropout = dropout
        self.layers = nn.ModuleList(Dense(a, b, dtype=dtype) for a, b in pairwise(layer_units))
        self.generator = None

    def forward(self, X):
        """Map rows of shape (n, n_features) to raw outputs of shape (n, n_outputs)."""
        activate = ACTIVATIONS[self.activation].apply
        for layer in self.layers[:-1]:
            X = activate(layer(X))
            if self.training and self.dropout:
                X = X * dropout_mask(torch.empty_like(X), self.dropout, self.generator)
        return self.layers[-1](X)


def dropout_mask(out, share, generator):
    """Fill `out` with zeros (a `share` of them) and 1 / (1 - share): the expected activation is unchanged."""
    return out.bernoulli_(1.0 - share, generator=generator).div_(1.0 - share)


def draw_weights(module, generator):
    """Glorot-uniform weights and biases, layer by layer, from the caller's generator."""
    spread = ACTIVATIONS[module.activation].spread
    with torch.no_grad():
        for layer in module.layers:
            bound = (spread / (layer.in_features + layer.out_features)) ** 0.5
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)


def penalised(module):
    """The parameters that alpha shrinks: the weight matrices (of any module), never the biases and scales."""
    return [p for p in module.parameters() if p.ndim > 1]
