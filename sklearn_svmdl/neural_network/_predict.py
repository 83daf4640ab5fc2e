"""Outputs of a trained module for many rows, a chunk at a time."""

import numpy as np
import torch
from scipy import sparse

from ._activations import ACTIVATIONS
from ._autograd import as_matrix
from ._module import MLPModule
from ._rows import chunk_rows
from ._threads import fitting_threads


def outputs(module, X, n_outputs, device="cpu", link=None):
    """The module's outputs, an ndarray of shape (n, n_outputs): raw, or as a head's link makes them.

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
                out = np.empty((X.shape[0], n_outputs), z.dtype)
            out[start : start + rows] = z
    return out


def _dense_tensor(X):
    """A tensor of these rows; read-only ones are copied, as torch has no read-only tensors."""
    X = X.toarray() if sparse.issparse(X) else X
    return torch.from_numpy(X if X.flags.writeable else np.array(X))


def _plain_forward(module):
    activation = ACTIVATIONS[module.activation]
    layers = [(layer.bias.detach(), layer.weight.detach().t()) for layer in module.layers]

    def forward(a):
        for bias, weight in layers[:-1]:
            a = activation.consume(torch.addmm(bias, a, weight))
        bias, weight = layers[-1]
        return torch.addmm(bias, a, weight)

    return forward


def _custom_forward(module, n_outputs):
    module.eval()

    def forward(X):
        return as_matrix(module(X), X.new_empty(len(X), n_outputs))

    return forward
