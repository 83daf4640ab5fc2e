"""The gradient of plain MLPs with the backward pass written out: autograd's result without its bookkeeping.

On small networks autograd and optimizers spend their time in Python. Here every product is written into a
buffer made once, all parameters are views of one flat tensor (so one kernel updates them), and no graph is
built.

With activations a_0 = X, z_i = a_i W_i^T + b_i, a_{i+1} = f(z_i), and the canonical link of the head,

    delta_L = weight / total * (link(z_L) - targets)
    dloss/dW_i = delta_i^T a_i,    dloss/db_i = 1^T delta_i,    delta_{i-1} = (delta_i W_i) * f'(z_{i-1}).

Several networks side by side are the same lines with one more dimension in front: a product becomes a batch of
products, in one call.
"""

from types import SimpleNamespace

import numpy as np
import torch

from ._activations import ACTIVATIONS
from ._module import dropout_mask

# Stacks of products of up to so many multiplications each go to numpy's BLAS in the backward pass: OpenBLAS takes a
# single thread for them, and half the time of torch's MKL on the AMD processor where this was measured.
SMALL_PRODUCT = 2**18


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

    Attributes
    ----------
    flat : tensor of shape ([n_networks,] n_parameters)
        All weights, then all biases, of each network.
    grad : tensor of that shape
        Where `evaluate` leaves the gradient.
    """

    def __init__(self, module, head, penalty):
        self.module = module
        self.head = head
        self.penalty = penalty
        self.activation = ACTIVATIONS[module.activation]
        self._stack = (module.n_networks,) if module.n_networks > 1 else ()
        self._multiply_add = torch.baddbmm if self._stack else torch.addmm
        weights, biases = [layer.weight for layer in module.layers], [layer.bias for layer in module.layers]
        self.parameters = weights + biases
        self.n_weights = sum(w[0].numel() if self._stack else w.numel() for w in weights)
        self.flat = torch.cat([p.detach().reshape(*self._stack, -1) for p in self.parameters], -1)
        self.grad = torch.zeros_like(self.flat)
        self._take_views(len(weights))
        self._buffers = {}
        self._parts = list(module.modules())

    def _take_views(self, depth):
        """Name the parts of the flat tensors once: making a view costs as much as a small product."""
        values, self.grads = self.pieces(self.flat), self.pieces(self.grad)
        for parameter, value in zip(self.parameters, values):
            parameter.data = value
        self._weights = values[:depth]
        self._biases = [b.unsqueeze(-2) if self._stack else b for b in values[depth:]]
        self._transposed = [w.mT for w in self._weights]
        self._weight_grads = self.grads[:depth]
        self._all_weights, self._all_weight_grads = self.flat[..., : self.n_weights], self.grad[..., : self.n_weights]
        self._all_bias_grads = self.grad[..., self.n_weights :]

    def pieces(self, flat):
        """The part of each parameter in a tensor of the shape of `flat`."""
        sizes = [p.numel() // (self._stack or (1,))[0] for p in self.parameters]
        return [piece.view(p.shape) for piece, p in zip(flat.split(sizes, -1), self.parameters)]

    def release(self):
        """Give every parameter memory of its own again."""
        for parameter in self.parameters:
            parameter.data = parameter.data.clone()
            parameter.grad = None

    def attach(self):
        """Show each parameter its gradient, where it has not been frozen."""
        for parameter, grad in zip(self.parameters, self.grads):
            parameter.grad = grad if parameter.requires_grad else None

    def is_overheard(self):
        """Whether somebody listens to the passes through the module, which are not made here."""
        return any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in self._parts)

    def squared_weights(self):
        """The sum of the squared weights of a single network."""
        return torch.dot(self._all_weights, self._all_weights)

    def evaluate(self, X, targets, weight, total=None):
        """Write the gradient of the mean loss over a batch to `grad`; return the raw outputs.

        `total` is what the weighted loss is divided by, the batch's own weight if None; weight None means
        ones.
        """
        if total is None:
            total = X.shape[-2] if weight is None else weight.sum(-1, keepdim=True)
        buffers = self._buffers.get(X.shape[-2]) or self._make_buffers(X.shape[-2])
        z = self._forward(X, buffers)
        delta = self.head.link(z, out=buffers.deltas[-1]).sub_(targets)
        delta.mul_(1.0 / total if weight is None else (weight / total).unsqueeze(-1))
        self._backward(X, buffers)
        if self.penalty:
            self._add_penalty(total)
        return z

    def _forward(self, X, buffers):
        a, dropout = X, self.module.dropout
        for layer, z in enumerate(buffers.inputs):
            self._multiply_add(self._biases[layer], a, self._transposed[layer], out=z)
            a = buffers.outputs[layer] = self.activation.consume(z)
            if dropout:
                mask = dropout_mask(buffers.masks[layer], dropout, self.module.generator)
                a = torch.mul(a, mask, out=buffers.dropped[layer])
        return self._multiply_add(self._biases[-1], a, self._transposed[-1])

    def _backward(self, X, buffers):
        products, dropout = buffers.products, self.module.dropout
        saved = buffers.inputs if self.activation.apply_ is None else buffers.outputs
        fed = buffers.dropped if dropout else buffers.outputs
        for layer in range(len(self._weights) - 1, 0, -1):
            products.to_weights(layer, fed[layer - 1])
            products.to_layer_below(layer)
            below = buffers.deltas[layer - 1]
            if dropout:
                below.mul_(buffers.masks[layer - 1])
            self.activation.pull_back_(below, saved[layer - 1], buffers.scratch[layer - 1])
        products.to_weights(0, X)
        torch.sum(buffers.all_deltas, -2, out=self._all_bias_grads)

    def _add_penalty(self, total):
        if isinstance(total, torch.Tensor):
            self._all_weight_grads.addcdiv_(self._all_weights, total, value=self.penalty)
        else:
            self._all_weight_grads.add_(self._all_weights, alpha=self.penalty / total)

    def _make_buffers(self, rows):
        """Buffers for a batch of this many rows: an epoch has at most two or three sizes.

        The deltas of all layers are columns of one matrix, so that one sum over its rows gives all bias
        gradients.
        """
        widths = self.module.layer_units[1:]
        dropout = self.module.dropout

        def hidden():
            """Room for the outputs of every hidden layer."""
            return [self.flat.new_empty(*self._stack, rows, width) for width in widths[:-1]]

        all_deltas = self.flat.new_empty(*self._stack, rows, sum(widths))
        deltas = all_deltas.split(widths, dim=-1)
        self._buffers[rows] = SimpleNamespace(
            inputs=hidden(),
            outputs=[None] * (len(widths) - 1),
            dropped=hidden() if dropout else None,
            masks=hidden() if dropout else None,
            scratch=hidden(),
            all_deltas=all_deltas,
            deltas=deltas,
            products=self._products(rows, deltas),
        )
        return self._buffers[rows]

    def _products(self, rows, deltas):
        """Who multiplies in the backward pass."""
        largest = max(rows * w.shape[-1] * w.shape[-2] for w in self._weights)
        stacks_of_small = self._stack and self.flat.device.type == "cpu" and largest <= SMALL_PRODUCT
        return (_SmallProducts if stacks_of_small else _Products)(deltas, self._weights, self._weight_grads)


class _Products:
    """The products of the backward pass, from and to tensors that stay where they are."""

    def __init__(self, deltas, weights, weight_grads):
        self._multiply = torch.bmm if weights[0].ndim == 3 else torch.mm
        self._deltas, self._transposed = deltas, [delta.mT for delta in deltas]
        self._weights, self._grads = weights, weight_grads

    def to_weights(self, layer, inputs):
        """delta^T inputs, into the gradient of a layer's weights."""
        self._multiply(self._transposed[layer], inputs, out=self._grads[layer])

    def to_layer_below(self, layer):
        """delta W, into the delta of the layer below."""
        self._multiply(self._deltas[layer], self._weights[layer], out=self._deltas[layer - 1])


class _SmallProducts:
    """The same by numpy's BLAS."""

    def __init__(self, deltas, weights, weight_grads):
        self._deltas, self._transposed = [d.numpy() for d in deltas], [d.mT.numpy() for d in deltas]
        self._weights, self._grads = [w.numpy() for w in weights], [g.numpy() for g in weight_grads]

    def to_weights(self, layer, inputs):
        """As `_Products.to_weights`."""
        np.matmul(self._transposed[layer], inputs.numpy(), self._grads[layer])

    def to_layer_below(self, layer):
        """As `_Products.to_layer_below`."""
        np.matmul(self._deltas[layer], self._weights[layer], self._deltas[layer - 1])
