"""The gradient of any torch module by autograd: the ordinary path, for custom modules and for callbacks."""

import torch

from ._module import penalised


class AutogradGradient:
    """Loss gradients of any module, left on its parameters. Parameters as `WrittenOutGradient`."""

    def __init__(self, module, head, penalty):
        self.module = module
        self.head = head
        self.penalty = penalty
        self.weights = penalised(module)
        self.others = [p for p in module.parameters() if p.ndim <= 1]

    def evaluate(self, X, targets, weight, total=None):
        """Leave the gradient of the mean loss over a batch on the parameters; return the raw outputs."""
        if total is None:
            total = len(X) if weight is None else weight.sum()
        self.module.zero_grad()
        z = as_matrix(self.module(X), targets)
        losses = self.head.row_losses(z, targets)
        loss = (losses if weight is None else losses * weight).sum() / total
        if self.penalty:
            loss = loss + 0.5 * self.penalty / total * sum(w.square().sum() for w in self.weights)
        loss.backward()
        return z.detach()


def as_matrix(z, targets):
    """The raw outputs of a custom module as (n, n_outputs), or an error that names what it returned."""
    if not isinstance(z, torch.Tensor):
        raise TypeError(f"module must return a tensor of raw outputs, got {type(z).__name__}.")
    if z.ndim == 1 and targets.shape[1] == 1:
        z = z.unsqueeze(1)
    if z.shape != targets.shape:
        raise ValueError(
            f"module must return raw outputs of shape (n_samples, n_outputs) = {tuple(targets.shape)}, "
            f"got {tuple(z.shape)}. Give its last layer {targets.shape[1]} units and no softmax or sigmoid."
        )
    return z
