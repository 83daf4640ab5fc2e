"""The gradient of a plain MLP with the backward pass written out: autograd's result without its bookkeeping.

On small networks autograd and optimizers spend their time in Python. Here every product is written into a
buffer made once, all parameters are views of one flat vector (so one kernel updates them), and no graph is
built.

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
        Strength of the L2 term, half the penalty times the squared weights, divided by the batch's total
        weight.
    dropout : float
        Share of the hidden activations to drop, by masks from the module's generator.

    Attributes
    ----------
    flat : tensor of shape (n_parameters,)
        All weights, then all biases.
    grad : tensor of shape (n_parameters,)
        Where `evaluate` leaves the gradient.
    """

    def __init__(self, module, head, penalty, dropout=0.0):
        self.head = head
        self.penalty = penalty
        self.generator = module.generator
        self.dropout = dropout
        self.activation = ACTIVATIONS[module.activation]
        self._parameters = [layer.weight for layer in module.layers] + [layer.bias for layer in module.layers]
        self.n_weights = sum(layer.weight.numel() for layer in module.layers)
        self.flat = torch.cat([p.detach().ravel() for p in self._parameters])
        self.grad = torch.zeros_like(self.flat)
        self._take_views(len(module.layers))
        self._buffers = {}

    def _take_views(self, depth):
        """Name the parts of the flat vectors once: making a view costs as much as a small product."""
        values, grads = self._pieces(self.flat), self._pieces(self.grad)
        for parameter, value in zip(self._parameters, values):
            parameter.data = value
        self._weights, self._biases = values[:depth], values[depth:]
        self._transposed = [w.t() for w in self._weights]
        self._weight_grads = grads[:depth]
        self._all_weights, self._all_weight_grads = self.flat[: self.n_weights], self.grad[: self.n_weights]
        self._all_bias_grads = self.grad[self.n_weights :]

    def _pieces(self, flat):
        pieces = flat.split([p.numel() for p in self._parameters])
        return [piece.view(p.shape) for piece, p in zip(pieces, self._parameters)]

    def release(self):
        """Give every parameter memory of its own again."""
        for parameter in self._parameters:
            parameter.data = parameter.data.clone()

    def evaluate(self, X, targets, weight, total=None):
        """Write the gradient of the mean loss over a batch to `grad`; return the raw outputs.

        `total` is what the weighted loss is divided by, the batch's own weight if None; weight None means
        ones.
        """
        rows = X.shape[0]
        if total is None:
            total = rows if weight is None else weight.sum()
        buffers = self._buffers.get(rows) or self._make_buffers(rows)
        z = self._forward(X, buffers)
        delta = self.head.link(z, out=buffers.deltas[-1]).sub_(targets)
        delta.mul_(1.0 / total if weight is None else (weight / total).unsqueeze(1))
        self._backward(X, delta, buffers)
        if self.penalty:
            self._add_penalty(total)
        return z

    def _forward(self, X, buffers):
        a = X
        for layer, z in enumerate(buffers.inputs):
            torch.addmm(self._biases[layer], a, self._transposed[layer], out=z)
            a = buffers.outputs[layer] = self.activation.consume(z)
            if self.dropout:
                mask = dropout_mask(buffers.masks[layer], self.dropout, self.generator)
                a = torch.mul(a, mask, out=buffers.dropped[layer])
        return torch.addmm(self._biases[-1], a, self._transposed[-1])

    def _backward(self, X, delta, buffers):
        saved = buffers.inputs if self.activation.apply_ is None else buffers.outputs
        fed = buffers.dropped if self.dropout else buffers.outputs
        for layer in range(len(self._weights) - 1, 0, -1):
            torch.mm(buffers.transposed_deltas[layer], fed[layer - 1], out=self._weight_grads[layer])
            below = torch.mm(delta, self._weights[layer], out=buffers.deltas[layer - 1])
            if self.dropout:
                below.mul_(buffers.masks[layer - 1])
            delta = self.activation.pull_back_(below, saved[layer - 1], buffers.scratch[layer - 1])
        torch.mm(buffers.transposed_deltas[0], X, out=self._weight_grads[0])
        torch.sum(buffers.all_deltas, 0, out=self._all_bias_grads)

    def _add_penalty(self, total):
        if isinstance(total, torch.Tensor):
            self._all_weight_grads.addcdiv_(self._all_weights, total, value=self.penalty)
        else:
            self._all_weight_grads.add_(self._all_weights, alpha=self.penalty / total)

    def _make_buffers(self, rows):
        """Buffers for a batch of this many rows: an epoch has at most two sizes, the full batch and the last.

        The deltas of all layers are columns of one matrix, so that one sum over its rows gives all bias
        gradients.
        """
        widths = [w.shape[0] for w in self._weights]

        def hidden():
            return [self.flat.new_empty(rows, width) for width in widths[:-1]]

        all_deltas = self.flat.new_empty(rows, sum(widths))
        deltas = all_deltas.split(widths, dim=1)
        self._buffers[rows] = SimpleNamespace(
            inputs=hidden(),
            outputs=[None] * (len(widths) - 1),
            dropped=hidden() if self.dropout else None,
            masks=hidden() if self.dropout else None,
            scratch=hidden(),
            all_deltas=all_deltas,
            deltas=deltas,
            transposed_deltas=[delta.t() for delta in deltas],
        )
        return self._buffers[rows]
