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

# Products of up to so many multiplications go to numpy's BLAS in the backward pass: a call costs half as much as one of
# torch's, OpenBLAS takes a single thread for them, and half the time of torch's MKL on AMD processors.
SMALL_PRODUCT = 2**19


def silent_overflow():
    """A context in which numpy, like torch, says nothing of numbers too large: the training tells in the end."""
    return np.errstate(all="ignore")


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
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        self._hooks = [getattr(part, kind) for part in module.modules() for kind in kinds]

    def _take_views(self, depth):
        """Name the parts of the flat tensors once: making a view costs as much as a small product."""
        values, self.grads = self.pieces(self.flat), self.pieces(self.grad)
        self._values = values
        for parameter, value in zip(self.parameters, values):
            parameter.data = value
        self._weights = values[:depth]
        self._biases = [b.unsqueeze(-2) if self._stack else b for b in values[depth:]]
        self._transposed = [w.mT for w in self._weights]
        self._weight_grads = self.grads[:depth]
        self._bias_grads = [g.unsqueeze(-2) if self._stack else g for g in self.grads[depth:]]
        self._all_weights, self._all_weight_grads = self.flat[..., : self.n_weights], self.grad[..., : self.n_weights]

    def pieces(self, flat):
        """The part of each parameter in a tensor of the shape of `flat`."""
        sizes = [p.numel() // (self._stack or (1,))[0] for p in self.parameters]
        return [piece.view(p.shape) for piece, p in zip(flat.split(sizes, -1), self.parameters)]

    def reclaim(self):
        """Take in parameters that somebody has given other memory."""
        for parameter, value in zip(self.parameters, self._values):
            if parameter.data_ptr() != value.data_ptr():
                value.copy_(parameter.data)
                parameter.data = value

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
        return any(self._hooks)

    def squared_weights(self):
        """The sum of the squared weights, a number or one a network."""
        if self._stack:
            return self._all_weights.square().sum(-1)
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
        for layer, (z, out) in enumerate(zip(buffers.inputs, buffers.outputs)):
            self._multiply_add(self._biases[layer], a, self._transposed[layer], out=z)
            a = self.activation.apply_(z) if out is z else out.copy_(self.activation.apply(z))
            if dropout:
                mask = dropout_mask(buffers.masks[layer], dropout, self.module.generator)
                a = torch.mul(a, mask, out=buffers.fed[layer])
        return self._multiply_add(self._biases[-1], a, self._transposed[-1])

    def _backward(self, X, buffers):
        products, dropout = buffers.products, self.module.dropout
        for layer in range(len(self._weights) - 1, 0, -1):
            products.to_parameters(layer)
            products.to_layer_below(layer)
            below = buffers.deltas[layer - 1]
            if dropout:
                below.mul_(buffers.masks[layer - 1])
            self.activation.pull_back_(below, buffers.inputs[layer - 1])
        products.to_first_parameters(X)

    def _add_penalty(self, total):
        if isinstance(total, torch.Tensor):
            self._all_weight_grads.addcdiv_(self._all_weights, total, value=self.penalty)
        else:
            self._all_weight_grads.add_(self._all_weights, alpha=self.penalty / total)

    @torch.inference_mode(False)
    def _make_buffers(self, rows):
        """Buffers for a batch of this many rows, in every mode: an epoch has at most two or three sizes."""
        widths = self.module.layer_units[1:]
        dropout = self.module.dropout

        def room(widths):
            """For a number of each row and unit of every layer."""
            return [self.flat.new_empty(*self._stack, rows, width) for width in widths]

        inputs, deltas = room(widths[:-1]), room(widths)
        outputs = inputs if self.activation.apply_ is not None else room(widths[:-1])
        fed = room(widths[:-1]) if dropout else outputs
        self._buffers[rows] = SimpleNamespace(
            inputs=inputs,
            outputs=outputs,
            masks=room(widths[:-1]) if dropout else None,
            fed=fed,
            deltas=deltas,
            products=self._products(rows, fed, deltas),
        )
        return self._buffers[rows]

    def _products(self, rows, fed, deltas):
        """Who multiplies in the backward pass."""
        largest = max(rows * w.shape[-1] * w.shape[-2] for w in self._weights)
        is_small = self.flat.device.type == "cpu" and largest <= SMALL_PRODUCT
        products = _SmallProducts if is_small else _Products
        return products(fed, deltas, self._weights, self._weight_grads, self._bias_grads)


class _Products:
    """The products of the backward pass, from and to tensors that stay where they are.

    Parameters
    ----------
    fed : list of tensors of shape ([n_networks,] n, n_inputs)
        What each layer but the first is fed.
    deltas : list of tensors of shape ([n_networks,] n, n_units)
    weights, weight_grads : lists of tensors of shape ([n_networks,] n_units, n_inputs)
    bias_grads : list of tensors of shape (n_units,) or (n_networks, 1, n_units)
    """

    def __init__(self, fed, deltas, weights, weight_grads, bias_grads):
        self._is_stack = weights[0].ndim == 3
        self._multiply = torch.bmm if self._is_stack else torch.mm
        self._fed, self._deltas, self._transposed = [None, *fed], deltas, [delta.mT for delta in deltas]
        self._weights, self._weight_grads, self._bias_grads = weights, weight_grads, bias_grads

    def to_first_parameters(self, X):
        """`to_parameters` of the layer that is fed X."""
        self._fed[0] = X
        self.to_parameters(0)

    def to_parameters(self, layer):
        """delta^T inputs and 1^T delta, into the gradients of a layer's weights and biases."""
        self._multiply(self._transposed[layer], self._fed[layer], out=self._weight_grads[layer])
        torch.sum(self._deltas[layer], -2, keepdim=self._is_stack, out=self._bias_grads[layer])

    def to_layer_below(self, layer):
        """delta W, into the delta of the layer below."""
        self._multiply(self._deltas[layer], self._weights[layer], out=self._deltas[layer - 1])


class _SmallProducts:
    """The same by numpy's BLAS."""

    def __init__(self, fed, deltas, weights, weight_grads, bias_grads):
        is_stack = weights[0].ndim == 3
        self._multiply = np.matmul if is_stack else np.dot
        self._fed = [None, *(a.numpy() for a in fed)]
        self._deltas, self._transposed = [d.numpy() for d in deltas], [d.mT.numpy() for d in deltas]
        self._weights, self._weight_grads = [w.numpy() for w in weights], [g.numpy() for g in weight_grads]
        self._bias_grads = [g.numpy() for g in bias_grads]
        ones = np.ones_like(self._deltas[0][..., 0])
        self._ones = ones[:, np.newaxis] if is_stack else ones

    def to_first_parameters(self, X):
        """As `_Products.to_first_parameters`."""
        self._fed[0] = X.numpy()
        self.to_parameters(0)

    def to_parameters(self, layer):
        """As `_Products.to_parameters`; a product with ones is the faster sum."""
        delta = self._deltas[layer]
        self._multiply(self._transposed[layer], self._fed[layer], self._weight_grads[layer])
        self._multiply(self._ones, delta, self._bias_grads[layer])

    def to_layer_below(self, layer):
        """As `_Products.to_layer_below`."""
        self._multiply(self._deltas[layer], self._weights[layer], self._deltas[layer - 1])
