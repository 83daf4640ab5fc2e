"""The gradient of a plain MLP with the backward pass written out: what autograd would return, without its bookkeeping.

On small networks autograd and optimizers spend their time in Python. Here every product is written into a buffer made
once, all parameters are views of one flat vector (so one kernel updates them), and no graph is built.

With activations a_0 = X, z_i = a_i W_i^T + b_i, a_{i+1} = f(z_i), and the canonical link of the head,

    delta_L = weight / total * (link(z_L) - targets)
    dloss/dW_i = delta_i^T a_i,    dloss/db_i = 1^T delta_i,    delta_{i-1} = (delta_i W_i) * f'(z_{i-1}).
"""

from types import SimpleNamespace

import torch

from ._activations import ACTIVATIONS
from ._module import dropout_mask


class WrittenOutGradient:
    """Loss gradients of an `MLPModule` with respect to its flattened parameters.

    Parameters
    ----------
    module : MLPModule
        Its parameters become views of `flat` until `release` is called.
    head : Head
    penalty : float
        Strength of the L2 term, half the penalty times the squared weights, divided by the batch's total weight.

    Attributes
    ----------
    flat : tensor of shape (n_parameters,)
        All weights, then all biases.
    grad : tensor of shape (n_parameters,)
        Where `evaluate` leaves the gradient.
    """

    def __init__(self, module, head, penalty):
        self.head = head
        self.penalty = penalty
        self.generator = module.generator
        self.dropout = module.dropout
        self.activation = ACTIVATIONS[module.activation]
        self._parameters = [layer.weight for layer in module.layers] + [layer.bias for layer in module.layers]
        self.n_weights = sum(layer.weight.numel() for layer in module.layers)
        self.flat = torch.cat([p.detach().ravel() for p in self._parameters])
        self.grad = torch.zeros_like(self.flat)
        values, grads = self._views(self.flat), self._views(self.grad)
        for parameter, value in zip(self._parameters, values):
            parameter.data = value
        depth = len(module.layers)
        self._weights, self._biases = values[:depth], values[depth:]
        self._transposed = [w.t() for w in self._weights]
        self._weight_grads, self._bias_grads = grads[:depth], grads[depth:]
        self._buffers = {}

    def _views(self, flat):
        pieces = flat.split([p.numel() for p in self._parameters])
        return [piece.view(p.shape) for piece, p in zip(pieces, self._parameters)]

    def release(self):
        """Give every parameter memory of its own again."""
        for parameter in self._parameters:
            parameter.data = parameter.data.clone()

    def evaluate(self, X, targets, weight, total=None):
        """Write the gradient of the mean loss over a batch to `grad`; return the raw outputs.

        `total` is what the weighted loss is divided by, the batch's own weight if None; weight None means ones.
        """
        if total is None:
            total = len(X) if weight is None else weight.sum()
        buffers = self._buffers_for(X)
        z = self._forward(X, buffers)
        delta = self.head.link(z, out=buffers.deltas[-1]).sub_(targets)
        delta.mul_(1.0 / total if weight is None else (weight / total).unsqueeze(1))
        self._backward(X, delta, buffers)
        if self.penalty:
            self._add_penalty(total)
        return z

    def _forward(self, X, buffers):
        fed = X
        for layer, (z, a) in enumerate(zip(buffers.inputs, buffers.outputs)):
            torch.addmm(self._biases[layer], fed, self._transposed[layer], out=z)
            self.activation.apply_(z, out=a)
            fed = self._drop(a, layer, buffers) if self.dropout else a
            buffers.fed[layer] = fed
        return torch.addmm(self._biases[-1], fed, self._transposed[-1])

    def _drop(self, a, layer, buffers):
        mask = dropout_mask(buffers.masks[layer], self.dropout, self.generator)
        return torch.mul(a, mask, out=buffers.fed[layer])

    def _backward(self, X, delta, buffers):
        for layer in range(len(self._weights) - 1, 0, -1):
            self._parameter_gradients(layer, delta, buffers.fed[layer - 1])
            below = torch.mm(delta, self._weights[layer], out=buffers.deltas[layer - 1])
            if self.dropout:
                below.mul_(buffers.masks[layer - 1])
            saved = buffers.inputs if self.activation.from_input else buffers.outputs
            delta = self.activation.pull_back_(below, saved[layer - 1], buffers.scratch[layer - 1])
        self._parameter_gradients(0, delta, X)

    def _parameter_gradients(self, layer, delta, fed):
        torch.mm(delta.t(), fed, out=self._weight_grads[layer])
        torch.sum(delta, 0, out=self._bias_grads[layer])

    def _add_penalty(self, total):
        weights, grad = self.flat[:self.n_weights], self.grad[:self.n_weights]
        if isinstance(total, torch.Tensor):
            grad.addcdiv_(weights, total, value=self.penalty)
        else:
            grad.add_(weights, alpha=self.penalty / total)

    def _buffers_for(self, X):
        """The buffers for a batch of this many rows: an epoch has at most two sizes, the full batch and the last."""
        if len(X) not in self._buffers:
            self._buffers[len(X)] = self._make_buffers(X)
        return self._buffers[len(X)]

    def _make_buffers(self, X):
        def hidden():
            return [X.new_empty(len(X), w.shape[0]) for w in self._weights[:-1]]

        inputs = hidden()
        return SimpleNamespace(
            inputs=inputs,
            outputs=hidden() if self.activation.from_input else inputs,
            fed=hidden() if self.dropout else [None] * len(inputs),
            masks=hidden() if self.dropout else None,
            scratch=hidden(),
            deltas=[X.new_empty(len(X), w.shape[0]) for w in self._weights],
        )
