"""Full-batch training by scipy's L-BFGS-B, on the gradient of either path."""

import warnings

import numpy as np
import scipy.optimize
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from ._autograd import AutogradGradient
from ._fast import WrittenOutGradient
from ._loop import check_finite
from ._module import MLPModule
from ._rows import Batches, chunk_rows


def minimise_loss(net, job):
    """Minimise the mean loss plus penalty over all rows, in place on the module; fill in the progress."""
    objective = _Objective(net, job)
    recipe = job.recipe
    try:
        result = scipy.optimize.minimize(
            objective,
            objective.vector(),
            method="L-BFGS-B",
            jac=True,
            callback=objective.show if recipe.verbose else None,
            options={"maxfun": recipe.max_fun, "maxiter": recipe.max_iter, "gtol": recipe.tol},
        )
        objective.load(result.x)
    finally:
        objective.release()
    job.progress.loss = float(result.fun)
    job.progress.n_iter = max(1, min(result.nit, recipe.max_iter))
    check_finite(net.module_, recipe)
    if result.status != 0:
        warnings.warn(_not_converged(result, recipe), ConvergenceWarning, stacklevel=2)


def _not_converged(result, recipe):
    return (
        f"lbfgs stopped after {result.nit} iterations and {result.nfev} evaluations without converging to "
        f"tol={recipe.tol} ({result.message}). Increase max_iter={recipe.max_iter} or "
        f"max_fun={recipe.max_fun}, or scale the features."
    )


class _Objective:
    """vector of parameters -> loss and its gradient, over all rows chunk by chunk."""

    def __init__(self, net, job):
        self.module, self.head, self.penalty = net.module_, net.head, job.recipe.penalty
        self.module.eval()  # a random mask would make the loss another function at every evaluation
        plain = isinstance(self.module, MLPModule)
        self.gradient = (_PlainGradient if plain else _CustomGradient)(self.module, self.head)
        self.dtype = self.gradient.flat().dtype
        self.batches = Batches(job.train, chunk_rows(job.train.X), net.device)
        one_by_one = sparse.issparse(job.train.X) and len(job.train) > self.batches.batch_size
        self.kept = None if one_by_one else list(self.batches.epoch())
        self.total = len(job.train) * (1.0 if job.train.weight is None else self.batches.mean_weight())

    def vector(self):
        """The module's parameters as scipy wants them."""
        return self.gradient.flat().cpu().numpy().astype(np.float64)

    def load(self, vector):
        """Put a vector back into the module."""
        self.gradient.load(torch.from_numpy(np.array(vector)).to(self.dtype))

    def release(self):
        """Leave nothing behind on the module."""
        self.gradient.release()

    def __call__(self, vector):
        self.load(vector)
        loss, grad = 0.0, torch.zeros_like(self.gradient.flat())
        for X, targets, weight in self.kept or self.batches.epoch():
            z, part = self.gradient.evaluate(X, targets, weight, self.total)
            losses = self.head.row_losses(z, targets)
            loss += float((losses if weight is None else losses * weight).sum()) / self.total
            grad += part
        weights = self.gradient.flat()[: self.gradient.n_weights]
        loss += 0.5 * self.penalty / self.total * float(weights.square().sum())
        grad[: self.gradient.n_weights] += self.penalty / self.total * weights
        return loss, grad.cpu().numpy().astype(np.float64)

    def show(self, intermediate_result):
        """The line of one iteration."""
        print(f"lbfgs - loss: {intermediate_result.fun:.6f}")


class _PlainGradient:
    """The written-out gradient, seen as a function of one vector."""

    def __init__(self, module, head):
        self._written_out = WrittenOutGradient(module, head, penalty=0.0)
        self.n_weights = self._written_out.n_weights

    def flat(self):
        return self._written_out.flat

    def load(self, vector):
        self._written_out.flat.copy_(vector)

    def evaluate(self, X, targets, weight, total):
        z = self._written_out.evaluate(X, targets, weight, total)
        return z, self._written_out.grad

    def release(self):
        self._written_out.release()


class _CustomGradient:
    """Autograd's gradient, seen as a function of one vector."""

    def __init__(self, module, head):
        self._autograd = AutogradGradient(module, head, penalty=0.0)
        self._parameters = self._autograd.weights + self._autograd.others
        self.n_weights = sum(p.numel() for p in self._autograd.weights)

    def flat(self):
        return torch.cat([p.detach().ravel() for p in self._parameters])

    def load(self, vector):
        with torch.no_grad():
            for p, part in zip(self._parameters, vector.split([p.numel() for p in self._parameters])):
                p.copy_(part.view(p.shape))

    def evaluate(self, X, targets, weight, total):
        z = self._autograd.evaluate(X, targets, weight, total)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        return z, torch.cat([grad.ravel() for grad in grads])

    def release(self):
        self._autograd.module.zero_grad()
