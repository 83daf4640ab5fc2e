"""The torch module of the multi-layer perceptrons: its layers, its first weights, its outputs for many rows."""

from itertools import pairwise

import numpy as np
import torch
from scipy import sparse
from torch import nn

from ._activations import ACTIVATIONS
from ._rows import chunk_rows
from ._runtime import fitting_threads


class Dense(nn.Module):
    """The dense layers of `n_networks` networks side by side; its weights wait for `draw_weights`.

    Parameters
    ----------
    n_inputs, n_units : int
    n_networks : int
        With 1 the weight has shape (n_units, n_inputs) and the bias (n_units,), as in `torch.nn.Linear`; with
        more, the networks come first.
    dtype : torch.dtype
    """

    def __init__(self, n_inputs, n_units, n_networks, dtype):
        super().__init__()
        stack = (n_networks,) if n_networks > 1 else ()
        self.weight = nn.Parameter(torch.empty(*stack, n_units, n_inputs, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(*stack, n_units, dtype=dtype))

    def forward(self, X):
        """Map inputs of shape ([n_networks,] n, n_inputs) to ([n_networks,] n, n_units)."""
        if self.weight.ndim == 2:
            return nn.functional.linear(X, self.weight, self.bias)
        return torch.baddbmm(self.bias.unsqueeze(1), X.expand(len(self.weight), -1, -1), self.weight.mT)


class MLPModule(nn.Module):
    """One or several multi-layer perceptrons: dense layers with an activation between them.

    Parameters
    ----------
    layer_units : sequence of int
        Width of every layer, from the inputs to the outputs.
    activation : str
        A key of `ACTIVATIONS`, applied after every layer but the last.
    dropout : float
        Share of the hidden activations set to zero in training mode.
    dtype : str
        Precision of the weights, the name of a torch dtype.
    n_networks : int
        Networks of this shape side by side.
    """

    def __init__(self, layer_units, activation, dropout, dtype, n_networks=1):
        super().__init__()
        self.layer_units = list(layer_units)
        self.activation = activation
        self.dropout = dropout
        self.n_networks = n_networks
        dtype = getattr(torch, dtype)
        self.layers = nn.ModuleList(Dense(a, b, n_networks, dtype) for a, b in pairwise(layer_units))
        self.generator = None

    def forward(self, X):
        """Map rows of shape (n, n_features) to raw outputs of shape (n, [n_networks,] n_outputs)."""
        activate = ACTIVATIONS[self.activation].apply
        for layer in self.layers[:-1]:
            X = activate(layer(X))
            if self.training and self.dropout:
                X = X * dropout_mask(torch.empty_like(X), self.dropout, self.generator)
        z = self.layers[-1](X)
        return z if z.ndim == 2 else z.transpose(0, 1)

    def member(self, i):
        """One of the networks, as a module with memory of its own."""
        dtype = str(self.layers[0].weight.dtype).removeprefix("torch.")
        alone = MLPModule(self.layer_units, self.activation, self.dropout, dtype)
        alone.load_state_dict({name: value[i] for name, value in self.state_dict().items()})
        return alone

    def put_member(self, i, alone):
        """Let one of the networks be as a module of its shape is."""
        for name, value in alone.state_dict().items():
            self.state_dict()[name][i].copy_(value)


def dropout_mask(out, share, generator):
    """Fill `out` with zeros (a `share` of them) and 1 / (1 - share): the expected activation is unchanged."""
    return out.bernoulli_(1.0 - share, generator=generator).div_(1.0 - share)


def draw_weights(module, generators):
    """Glorot-uniform weights and biases, layer by layer, each network from a generator of its own.

    They are drawn in double and then rounded: the same numbers in every precision.
    """
    spread = ACTIVATIONS[module.activation].spread
    with torch.no_grad():
        for layer, fans in zip(module.layers, pairwise(module.layer_units)):
            bound = (spread / sum(fans)) ** 0.5
            for parameter in (layer.weight, layer.bias):
                members = parameter if module.n_networks > 1 else [parameter]
                for member, generator in zip(members, generators):
                    drawn = torch.empty(member.shape, dtype=torch.float64)
                    member.copy_(drawn.uniform_(-bound, bound, generator=generator))


def is_penalised(parameter_name, parameter):
    """Whether alpha shrinks a parameter: the weight matrices (of any module), never the biases and scales."""
    return parameter.ndim > 1 and not parameter_name.endswith("bias")


def penalised(module):
    """The parameters that alpha shrinks."""
    return [p for name, p in module.named_parameters() if is_penalised(name, p)]


def as_matrix(z, n_rows, n_outputs):
    """The raw outputs of a custom module as (n, n_outputs), or an error that names what it returned."""
    if not isinstance(z, torch.Tensor):
        raise TypeError(f"module must return a tensor of raw outputs, got {type(z).__name__}.")
    if z.ndim == 1 and n_outputs == 1:
        z = z.unsqueeze(1)
    if z.shape != (n_rows, n_outputs):
        raise ValueError(
            f"module must return raw outputs of shape (n_samples, n_outputs) = {(n_rows, n_outputs)}, "
            f"got {tuple(z.shape)}. Give its last layer {n_outputs} units and no softmax or sigmoid."
        )
    return z


def looks_squashed(z, head):
    """Whether raw outputs of a classifier for some rows (or None) can hardly be raw: all are probabilities."""
    if z is None or head.row_hits is None or len(z) < 2 or not bool(((z >= 0) & (z <= 1)).all()):
        return False
    sums = z.sum(1)
    return head.out_activation != "softmax" or bool((sums - 1).abs().max() < 1e-4) or bool((z > 0).all())


# --- outputs for many rows, a chunk at a time


def outputs(module, X, n_outputs, device="cpu", link=None):
    """The module's outputs, an ndarray of shape ([n_networks,] n, n_outputs): raw, or through a head's link.

    Parameters
    ----------
    module : nn.Module
        On `device`.
    X : ndarray or CSR of shape (n, n_features)
        In the precision of the module.
    """
    rows = chunk_rows(X)
    multiplications = rows * sum(p.numel() for p in module.parameters())
    forward = _plain_forward(module) if isinstance(module, MLPModule) else _custom_forward(module, n_outputs)
    out = None
    with torch.no_grad(), fitting_threads(multiplications):
        for start in range(0, X.shape[0], rows):
            z = forward(_dense_tensor(X[start : start + rows]).to(device))
            z = (z if link is None else link(z)).cpu().numpy()
            if out is None:
                out = np.empty((*z.shape[:-2], X.shape[0], n_outputs), z.dtype)
            out[..., start : start + rows, :] = z
    return out


def _dense_tensor(X):
    """A tensor of these rows; read-only ones are copied, as torch has no read-only tensors."""
    X = X.toarray() if sparse.issparse(X) else X
    return torch.from_numpy(X if X.flags.writeable else np.array(X))


def _plain_forward(module):
    activation = ACTIVATIONS[module.activation]

    def forward(a):
        """The raw outputs, hidden activations in place."""
        for layer in module.layers[:-1]:
            a = activation.consume(layer(a))
        return module.layers[-1](a)

    return forward


def _custom_forward(module, n_outputs):
    module.eval()

    def forward(X):
        """The raw outputs as a matrix."""
        return as_matrix(module(X), len(X), n_outputs)

    return forward
