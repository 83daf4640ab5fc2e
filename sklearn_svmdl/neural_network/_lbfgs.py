"""Full-batch training by scipy's L-BFGS-B, on the written-out gradient or on autograd's."""

import warnings
from functools import partial
from math import inf

import numpy as np
import scipy.optimize
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from ._gradient import WrittenOutGradient, silent_overflow
from ._heads import HeadLoss
from ._module import MLPModule, penalised
from ._rows import Batches, chunk_rows
from ._training import StopTraining


def minimise_loss(net, run):
    """Minimise the mean loss plus penalty over all rows, in place on the module; fill in the progress.

    Several networks are trained one after the other. Where a callback ends one, the others take no more iterations.
    """
    module = net.module_
    module.eval()  # a random mask would make the loss another function at every evaluation
    if getattr(module, "n_networks", 1) == 1:
        _minimise(net, run, module, _Accepted(net, run.progresses[0]))
        return
    most = inf
    for i, progress in enumerate(run.progresses):
        member = module.member(i)
        accepted = _Accepted(net, progress, most, partial(module.put_member, i, member))
        _minimise(net, run, member, accepted)
        module.put_member(i, member)
        if run.interrupted:
            return
        if accepted.is_stopped:
            most = accepted.iterations


def _minimise(net, run, module, accepted):
    """The same for one network."""
    plain = isinstance(module, MLPModule) and net.criterion is HeadLoss
    objective = (_PlainObjective if plain else _AutogradObjective)(net, run, module)
    recipe, progress, accepted.vector = net.recipe, accepted.progress, objective.vector()
    try:
        result = scipy.optimize.minimize(
            objective,
            accepted.vector,
            method="L-BFGS-B",
            jac=True,
            callback=accepted,
            options={"maxfun": recipe.max_fun, "maxiter": recipe.max_iter, "gtol": recipe.tol},
        )
        accepted.vector, progress.loss = result.x, float(result.fun)
        iterations = max(1, min(result.nit, recipe.max_iter))
        if result.status != 0:
            warnings.warn(_not_converged(result, recipe), ConvergenceWarning, stacklevel=2)
    except KeyboardInterrupt as ended:
        iterations = accepted.iterations
        accepted.is_stopped = isinstance(ended, StopTraining)
        run.interrupted |= not accepted.is_stopped
    finally:
        objective.load(accepted.vector)
        objective.release()
    progress.data_loss = None if progress.loss is None else progress.loss - objective.penalty_at(accepted.vector)
    run.epochs_done = max(run.epochs_done, iterations)


def _not_converged(result, recipe):
    return (
        f"lbfgs stopped after {result.nit} iterations and {result.nfev} evaluations without converging to "
        f"tol={recipe.tol} ({result.message}). Increase max_iter={recipe.max_iter} or "
        f"max_fun={recipe.max_fun}, or scale the features."
    )


class _Accepted:
    """The last point that scipy accepted; each is an epoch to the history and the callbacks.

    Parameters
    ----------
    net : MLPNet
    progress : Progress
        That of the network.
    most : int or inf
        Iterations that are left to it by who has ended another network: nobody is told of these.
    show : callable
        Shows the net the network as it is.
    """

    def __init__(self, net, progress, most=inf, show=lambda: None):
        self._net = net
        self._most = most
        self._show = show
        self.progress = progress
        self.vector = None
        self.iterations = 0
        self.is_stopped = False

    def __call__(self, intermediate_result):
        self.vector, self.progress.loss = intermediate_result.x.copy(), float(intermediate_result.fun)
        self.iterations += 1
        if self._net.recipe.verbose:
            print(f"lbfgs - loss: {self.progress.loss:.6f}")
        if self._most == inf:
            self._tell()
        elif self.iterations == self._most:
            raise StopTraining

    def _tell(self):
        self._show()
        self._net.notify("on_epoch_begin", **self._data())
        for name in ("loss", "train_loss"):
            self._net.history.record(name, self.progress.loss)
        self._net.notify("on_epoch_end", **self._data())

    def _data(self):
        return {"dataset_train": self._net.run_.train, "dataset_valid": None}


class _Objective:
    """vector of parameters -> loss and its gradient, over all rows chunk by chunk."""

    def __init__(self, net, run, module, rows):
        self.net, self.module = net, module
        self.penalty = net.recipe.penalty
        self.batches = Batches(rows, chunk_rows(rows.dataset.X), net.device)
        one_by_one = sparse.issparse(rows.dataset.X) and len(self.batches) > 1
        self._kept = None if one_by_one else list(self.batches.epoch())
        self.total = len(rows) * rows.mean_weight()

    def chunks(self):
        """All rows, in order."""
        return self._kept or self.batches.epoch()

    def __call__(self, vector):
        self.load(vector)
        loss, grad = self.evaluate()
        n_weights = self.n_weights
        grad[:n_weights] += self.penalty / self.total * vector[:n_weights]
        return loss + self.penalty_at(vector), grad

    def penalty_at(self, vector):
        """The L2 term."""
        return 0.5 * self.penalty / self.total * float(np.square(vector[: self.n_weights]).sum())


class _PlainObjective(_Objective):
    """By the written-out gradient."""

    def __init__(self, net, run, module):
        rows = run.train
        targets = net.training_targets(torch.from_numpy(rows.dataset.y)).cpu().numpy()
        super().__init__(net, run, module, rows.with_y(targets))
        dropout, module.dropout = module.dropout, 0.0
        self._gradient = WrittenOutGradient(module, net.task.head, penalty=0.0)
        self._dropout = dropout
        self.n_weights = self._gradient.n_weights

    def vector(self):
        """The module's parameters as scipy wants them."""
        return self._gradient.flat.cpu().numpy().astype(np.float64)

    def load(self, vector):
        """Put a vector into the module."""
        self._gradient.flat.copy_(torch.from_numpy(vector))

    def release(self):
        """Leave nothing behind on the module."""
        self._gradient.release()
        self.module.dropout = self._dropout

    def evaluate(self):
        """Loss and gradient without penalty."""
        loss, grad = 0.0, torch.zeros_like(self._gradient.flat)
        for X, targets, weight in self.chunks():
            with silent_overflow():
                z = self._gradient.evaluate(X, targets, weight, self.total)
            losses = self.net.task.head.row_losses(z, targets)
            loss += float((losses if weight is None else losses * weight).sum()) / self.total
            grad += self._gradient.grad
        return loss, grad.cpu().numpy().astype(np.float64)


class _AutogradObjective(_Objective):
    """By autograd, of any module and criterion."""

    def __init__(self, net, run, module):
        super().__init__(net, run, module, run.train)
        weights = penalised(module)
        self._parameters = weights + [p for p in module.parameters() if not any(p is w for w in weights)]
        self.n_weights = sum(p.numel() for p in weights)

    def vector(self):
        """As `_PlainObjective.vector`."""
        return torch.cat([p.detach().ravel() for p in self._parameters]).cpu().numpy().astype(np.float64)

    def load(self, vector):
        """As `_PlainObjective.load`."""
        parts = torch.from_numpy(vector).split([p.numel() for p in self._parameters])
        with torch.no_grad():
            for p, part in zip(self._parameters, parts):
                p.copy_(part.view(p.shape))

    def release(self):
        """As `_PlainObjective.release`."""
        self.module.zero_grad()

    def evaluate(self):
        """As `_PlainObjective.evaluate`."""
        self.module.zero_grad()
        loss = 0.0
        for X, y, weight in self.chunks():
            share = (len(X) if weight is None else float(weight.sum())) / self.total
            part = share * self.net.data_loss(self.net.infer(X), y, weight, training=True)
            part.backward()
            loss += part.item()
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        return loss, torch.cat([grad.ravel() for grad in grads]).cpu().numpy().astype(np.float64)
