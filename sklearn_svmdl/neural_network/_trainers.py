"""One training step on a mini-batch, in two ways with the same arithmetic.

`FlatTrainer` is the fast one. `SkorchTrainer` keeps what skorch callbacks and custom modules rely on: a torch
optimizer, gradients on the parameters, and the per-batch notifications.
"""

import torch
from skorch.callbacks import Callback

from ._autograd import AutogradGradient
from ._fast import WrittenOutGradient
from ._module import MLPModule
from ._solvers import flat_solver


class FlatTrainer:
    """Steps by the written-out gradient and a flat solver."""

    def __init__(self, net, recipe):
        self._gradient = WrittenOutGradient(net.module_, net.head, recipe.penalty, net.module_.dropout)
        self._solver = flat_solver(self._gradient.flat, self._gradient.n_weights, recipe)

    def step(self, X, targets, weight):
        """Train on one batch; return the raw outputs before the step."""
        z = self._gradient.evaluate(X, targets, weight)
        self._solver.step(self._gradient.grad)
        return z

    def set_rate(self, rate):
        """Set the learning rate of the steps to come."""
        self._solver.rate = rate

    def state(self):
        """What the solver remembers between steps, on the CPU."""
        return {name: value.cpu() for name, value in self._solver.state.items()}

    def load_state(self, state):
        """Take up the memory of an earlier run."""
        for name, value in state.items():
            self._solver.state[name].copy_(value)

    def release(self):
        """Give the module's parameters memory of their own again."""
        self._gradient.release()


class SkorchTrainer:
    """Steps by autograd and the net's torch optimizer, with skorch's notifications where one listens."""

    def __init__(self, net, recipe):
        self._net = net
        self._gradient = AutogradGradient(net.module_, net.head, recipe.penalty)
        self._net._initialize_optimizer()
        listeners = [callback for _, callback in net.callbacks_]
        self._batches_heard = any(_overrides(c, "on_batch_begin", "on_batch_end") for c in listeners)
        self._gradients_heard = any(_overrides(c, "on_grad_computed") for c in listeners)

    def step(self, X, targets, weight):
        """Train on one batch; return the raw outputs before the step."""
        if not self._batches_heard:
            return self._plain_step(X, targets, weight)
        net = self._net
        batch = X, net.natural_targets(targets)
        net.notify("on_batch_begin", batch=batch, training=True)
        z = self._plain_step(X, targets, weight)
        loss = net.head.loss(z, targets, weight)
        net.history.record_batch("train_loss", loss)
        net.history.record_batch("train_batch_size", len(X))
        net.notify("on_batch_end", batch=batch, training=True, loss=torch.tensor(loss), y_pred=z)
        return z

    def _plain_step(self, X, targets, weight):
        z = self._gradient.evaluate(X, targets, weight)
        if self._gradients_heard:
            named = self._net.get_all_learnable_params()
            self._net.notify(
                "on_grad_computed", named_parameters=list(named), batch=(X, targets), training=True
            )
        self._net.optimizer_.step()
        return z

    def set_rate(self, rate):
        """Set the learning rate of the steps to come."""
        for group in self._net.optimizer_.param_groups:
            group["lr"] = rate

    def state(self):
        """What the optimizer remembers between steps, on the CPU."""
        return _on_cpu(self._net.optimizer_.state_dict())

    def load_state(self, state):
        """Take up the memory of an earlier run."""
        self._net.optimizer_.load_state_dict(state)

    def release(self):
        """Drop the gradients and the optimizer."""
        self._net.module_.zero_grad()
        del self._net.optimizer_


def _on_cpu(value):
    """The tensors in nested dicts and lists, moved."""
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    return [_on_cpu(item) for item in value] if isinstance(value, list) else value


def _overrides(callback, *hooks):
    """Whether a callback does something of its own at one of these moments."""
    return any(getattr(type(callback), hook, None) is not getattr(Callback, hook) for hook in hooks)


def make_trainer(net, recipe):
    """The fast trainer, unless a callback or a custom module needs the ordinary one."""
    plain = isinstance(net.module_, MLPModule) and not net.callbacks_
    return (FlatTrainer if plain else SkorchTrainer)(net, recipe)
