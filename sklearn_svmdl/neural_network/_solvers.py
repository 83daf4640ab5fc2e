"""The stochastic solvers, each in two forms of one arithmetic: on a flat vector, and as a torch optimizer.

The flat form serves the written-out backward pass: one kernel updates all parameters, and no torch optimizer
is made (making the first one imports half a second of torch). The torch form serves skorch callbacks that
reach for it.
"""

from functools import cache

import torch


class FlatSGD:
    """Gradient descent with momentum in place on one vector, in the arithmetic of `torch.optim.SGD`.

    Parameters
    ----------
    flat : tensor of shape (n_parameters,)
        The parameters, updated in place.
    n_weights : int
        How many of them, at the front, are weights rather than biases.
    recipe : Recipe
    """

    def __init__(self, flat, n_weights, recipe):
        self.flat = flat
        self.momentum = recipe.momentum
        self.nesterov = recipe.nesterovs_momentum and recipe.momentum > 0
        self.rate = recipe.learning_rate_init
        self.state = {"velocity": torch.zeros_like(flat)}

    def step(self, grad):
        """Move the parameters against the gradient."""
        velocity = self.state["velocity"].mul_(self.momentum).add_(grad)
        self.flat.add_(
            grad.add_(velocity, alpha=self.momentum) if self.nesterov else velocity, alpha=-self.rate
        )


class FlatAdam:
    """Adam in place on one vector, by torch's fused kernel where it works. Parameters as `FlatSGD`."""

    shrinks_weights = False

    def __init__(self, flat, n_weights, recipe):
        self.flat = flat
        self.weights = flat[:n_weights]
        self.recipe = recipe
        self.rate = recipe.learning_rate_init
        steps = torch.zeros((), dtype=torch.float32, device=flat.device)
        self.state = {"mean": torch.zeros_like(flat), "square": torch.zeros_like(flat), "steps": steps}
        self._update = _fused_adam if fused_adam_works(flat.device, flat.dtype) else _plain_adam

    def step(self, grad):
        """Move the parameters against the gradient."""
        if self.shrinks_weights:
            self.weights.mul_(1.0 - self.rate * self.recipe.alpha)
        self.state["steps"].add_(1)
        self._update(self.flat, grad, self.state, self.rate, self.recipe)


class FlatAdamW(FlatAdam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), on the weights only."""

    shrinks_weights = True


def _fused_adam(flat, grad, state, rate, recipe):
    torch._fused_adam_(
        [flat],
        [grad],
        [state["mean"]],
        [state["square"]],
        [],
        [state["steps"]],
        amsgrad=False,
        lr=rate,
        beta1=recipe.beta_1,
        beta2=recipe.beta_2,
        weight_decay=0.0,
        eps=recipe.epsilon,
        maximize=False,
    )


def _plain_adam(flat, grad, state, rate, recipe):
    """The same update in public operations."""
    steps = state["steps"].item()
    mean = state["mean"].lerp_(grad, 1 - recipe.beta_1)
    square = state["square"].mul_(recipe.beta_2).addcmul_(grad, grad, value=1 - recipe.beta_2)
    spread = square.sqrt().div_((1 - recipe.beta_2**steps) ** 0.5).add_(recipe.epsilon)
    flat.addcdiv_(mean, spread, value=-rate / (1 - recipe.beta_1**steps))


@cache
def fused_adam_works(device, dtype):
    """Whether torch's private one-kernel Adam exists and runs for this device and precision."""
    flat, grad, mean, square = (torch.ones(2, dtype=dtype, device=device) for _ in range(4))
    state = {"mean": mean, "square": square, "steps": torch.ones((), dtype=torch.float32, device=device)}
    try:
        _fused_adam(flat, grad, state, 0.1, _Probe)
    except (AttributeError, TypeError, RuntimeError, NotImplementedError):
        return False
    return True


class _Probe:
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8


def _torch_sgd(groups, recipe):
    nesterov = recipe.nesterovs_momentum and recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.learning_rate_init, momentum=recipe.momentum, nesterov=nesterov)


def _torch_adam(groups, recipe):
    first = groups[0]["params"][0]
    return torch.optim.AdamW(
        groups,
        lr=recipe.learning_rate_init,
        betas=(recipe.beta_1, recipe.beta_2),
        eps=recipe.epsilon,
        fused=fused_adam_works(first.device, first.dtype),
    )


# name -> (flat form, torch form); AdamW with weight decay 0 is Adam
STOCHASTIC_SOLVERS = {
    "sgd": (FlatSGD, _torch_sgd),
    "adam": (FlatAdam, _torch_adam),
    "adamw": (FlatAdamW, _torch_adam),
}


def flat_solver(flat, n_weights, recipe):
    """The flat form of the recipe's solver."""
    return STOCHASTIC_SOLVERS[recipe.solver][0](flat, n_weights, recipe)


def torch_optimizer(weights, others, recipe):
    """The torch form of the recipe's solver; adamw's decay acts on the weights only."""
    decay = recipe.alpha if recipe.solver == "adamw" else 0.0
    groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return STOCHASTIC_SOLVERS[recipe.solver][1]([group for group in groups if group["params"]], recipe)
