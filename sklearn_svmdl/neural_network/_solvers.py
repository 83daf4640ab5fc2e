"""The stochastic solvers, in place on one flat tensor, and in the shape of a torch optimizer.

The flat form serves the written-out backward pass: one kernel updates all parameters, and no torch optimizer
is made (making the first one imports half a second of torch). `FlatOptimizer` shows it to skorch's callbacks
as the torch optimizer they reach for; `torch_optimizer` makes torch's own for a module of the user's.
"""

from functools import cache

import torch


class FlatSGD:
    """Gradient descent with momentum in place on a flat tensor, in the arithmetic of `torch.optim.SGD`.

    Parameters
    ----------
    flat : tensor of shape ([n_networks,] n_parameters)
        The parameters, updated in place.
    weights : tensor
        The part of them that is weights rather than biases.
    recipe : Recipe

    Attributes
    ----------
    rate : float or tensor of shape (n_networks, 1)
        The learning rate of the steps to come.
    state : dict of tensors
        What is remembered between steps, under torch's names: `moments`, of the shape of `flat`, and counts.
    """

    moments = ("momentum_buffer",)

    def __init__(self, flat, weights, recipe):
        self.flat = flat
        self.rate = recipe.learning_rate_init
        self.momentum = recipe.momentum
        self.nesterovs_momentum = recipe.nesterovs_momentum
        self.state = {"momentum_buffer": torch.zeros_like(flat)}

    def step(self, grad):
        """Move the parameters against the gradient."""
        velocity = self.state["momentum_buffer"].mul_(self.momentum).add_(grad)
        nesterov = self.nesterovs_momentum and self.momentum > 0
        move = grad.add_(velocity, alpha=self.momentum) if nesterov else velocity
        if isinstance(self.rate, torch.Tensor):
            self.flat.addcmul_(move, self.rate, value=-1.0)
        else:
            self.flat.add_(move, alpha=-self.rate)

    def settings(self):
        """What moves from step to step, under the names of a torch optimizer's parameter group."""
        return {"lr": self.rate, "momentum": self.momentum}

    def take(self, settings):
        """Take them from such a group."""
        self.rate, self.momentum = settings["lr"], settings["momentum"]


class FlatAdam:
    """Adam in place on a flat tensor, by torch's fused kernel where it works. As `FlatSGD`."""

    moments = ("exp_avg", "exp_avg_sq")
    shrinks_weights = False

    def __init__(self, flat, weights, recipe):
        self.flat = flat
        self.rate = recipe.learning_rate_init
        self.betas = recipe.beta_1, recipe.beta_2
        self.epsilon = recipe.epsilon
        self._weights = weights
        self._decay = recipe.alpha
        step = torch.zeros((), dtype=torch.float32, device=flat.device)
        self._one = torch.ones_like(step)  # to add a tensor takes half the time of adding a number
        self.state = {"exp_avg": torch.zeros_like(flat), "exp_avg_sq": torch.zeros_like(flat), "step": step}
        self._update = _fused_adam if fused_adam_works(flat.device, flat.dtype) else _plain_adam

    def step(self, grad):
        """Move the parameters against the gradient."""
        if self.shrinks_weights:
            self._weights.mul_(1.0 - self.rate * self._decay)
        self.state["step"].add_(self._one)
        self._update(self.flat, grad, **self.state, rate=self.rate, betas=self.betas, epsilon=self.epsilon)

    def settings(self):
        """As `FlatSGD.settings`."""
        return {"lr": self.rate, "betas": self.betas}

    def take(self, settings):
        """As `FlatSGD.take`."""
        self.rate, self.betas = settings["lr"], settings["betas"]


class FlatAdamW(FlatAdam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), on the weights only."""

    shrinks_weights = True


def _fused_adam(flat, grad, exp_avg, exp_avg_sq, step, rate, betas, epsilon):
    torch._fused_adam_(
        [flat],
        [grad],
        [exp_avg],
        [exp_avg_sq],
        [],
        [step],
        amsgrad=False,
        lr=rate,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=0.0,
        eps=epsilon,
        maximize=False,
    )


def _plain_adam(flat, grad, exp_avg, exp_avg_sq, step, rate, betas, epsilon):
    """The same update in public operations."""
    steps = step.item()
    mean = exp_avg.lerp_(grad, 1 - betas[0])
    square = exp_avg_sq.mul_(betas[1]).addcmul_(grad, grad, value=1 - betas[1])
    spread = square.sqrt().div_((1 - betas[1] ** steps) ** 0.5).add_(epsilon)
    flat.addcdiv_(mean, spread, value=-rate / (1 - betas[0] ** steps))


@cache
def fused_adam_works(device, dtype):
    """Whether torch's private one-kernel Adam exists and runs for this device and precision."""
    flat, grad, mean, square = (torch.ones(2, dtype=dtype, device=device) for _ in range(4))
    step = torch.ones((), dtype=torch.float32, device=device)
    try:
        _fused_adam(flat, grad, mean, square, step, rate=0.1, betas=(0.9, 0.999), epsilon=1e-8)
    except (AttributeError, TypeError, RuntimeError, NotImplementedError):
        return False
    return True


FLAT_SOLVERS = {"sgd": FlatSGD, "adam": FlatAdam, "adamw": FlatAdamW}


def load_flat_state(solver, state):
    """Let a flat solver go on from what another remembered: a dict of tensors."""
    for name, value in state.items():
        solver.state[name].copy_(value)


def flat_state(gradient, state):
    """What a flat solver remembers, from that or from the state dict of a `FlatOptimizer`; both dicts of tensors."""
    if "param_groups" not in state:
        return state
    remembered = [state["state"][i] for i in range(len(gradient.parameters))]
    counts = [float(each.get("step", 0)) for each in remembered]
    if len(set(counts)) > 1:
        return {}  # parameters went apart, so that there is no one count of steps to go on with
    return {name: _joined(gradient, [each[name] for each in remembered]) for name in remembered[0]}


def _joined(gradient, parts):
    """The tensors of each parameter as one flat tensor; a count, of which all have the same, as it is."""
    if parts[0].ndim == 0:
        return parts[0]
    flat = torch.empty_like(gradient.flat)
    for piece, part in zip(gradient.pieces(flat), parts):
        piece.copy_(part)
    return flat


def flat_solver(gradient, recipe):
    """The recipe's solver on the parameters of a `WrittenOutGradient`."""
    return FLAT_SOLVERS[recipe.solver](gradient.flat, gradient.flat[..., : gradient.n_weights], recipe)


class FlatOptimizer(torch.optim.Optimizer):
    """A flat solver as the torch optimizer of the parameters that are views of its flat tensor.

    Parameters
    ----------
    gradient : WrittenOutGradient
        That of a single network.
    recipe : Recipe

    A step is one step of the flat solver. From the first time that a callback has frozen a parameter, or given
    the weights another rate than the biases, each parameter is moved by a solver of its own.
    """

    def __init__(self, gradient, recipe):
        self._gradient = gradient
        self._recipe = recipe
        self._solver = flat_solver(gradient, recipe)
        self._apart = None
        depth = len(gradient.parameters) // 2
        weights, biases = gradient.parameters[:depth], gradient.parameters[depth:]
        settings = self._solver.settings()
        self._moving = tuple(settings)
        super().__init__([{"params": weights}, {"params": biases}], settings)
        self._show_state()

    def _show_state(self):
        """Let torch see what is remembered for each parameter."""
        for i, parameter in enumerate(self._gradient.parameters):
            self.state[parameter] = self._state_of(i)

    def _state_of(self, i):
        if self._apart is not None:
            return self._apart[i].state
        state = dict(self._solver.state)
        state.update((name, self._gradient.pieces(state[name])[i]) for name in self._solver.moments)
        return state

    def zero_grad(self, set_to_none=True):
        """Do nothing: every gradient is written over the last one."""

    def step(self, closure=None):
        """Move the parameters against their gradients."""
        if self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks:
            return torch.optim.Optimizer.profile_hook_step(FlatOptimizer._step)(self, closure)
        return self._step(closure)

    step.hooked = True  # type: ignore[attr-defined]  # torch would wrap it for its profiler, at a third of its cost

    def undivided_solver(self):
        """The flat solver with the settings in force, or None if parameters go apart or somebody watches the steps."""
        frozen = any(not parameter.requires_grad for parameter in self._gradient.parameters)
        if self._apart is not None or frozen or self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks:
            return None
        if self._rates_differ():
            return None
        self._solver.take(self.param_groups[0])
        return self._solver

    def _rates_differ(self):
        weights, biases = self.param_groups
        return any(weights[name] != biases[name] for name in self._moving)

    def _step(self, closure):
        loss = None if closure is None else closure()
        missing = self._collect_gradients()
        if self._apart is None and (missing or self._rates_differ()):
            self._separate()
        if self._apart is None:
            self._solver.take(self.param_groups[0])
            self._solver.step(self._gradient.grad)
        else:
            self._step_apart(missing)
        return loss

    def _collect_gradients(self):
        """Take gradients that stand in the place of ours; return the positions of parameters without one."""
        missing = []
        for i, (parameter, grad) in enumerate(zip(self._gradient.parameters, self._gradient.grads)):
            if parameter.grad is None:
                missing.append(i)
            elif parameter.grad is not grad:
                grad.copy_(parameter.grad)
        return missing

    def _separate(self):
        """One solver for each parameter, which goes on from what is remembered of it."""
        solvers = []
        for i, parameter in enumerate(self._gradient.parameters):
            value = parameter.detach()
            solver = type(self._solver)(value, value if value.ndim > 1 else value[:0], self._recipe)
            solver.state = {name: value.clone() for name, value in self._state_of(i).items()}
            solvers.append(solver)
        self._apart = solvers
        self._show_state()

    def _step_apart(self, missing):
        for i, (solver, grad) in enumerate(zip(self._apart, self._gradient.grads)):
            if i not in missing:
                solver.take(self.param_groups[solver.flat.ndim == 1])
                solver.step(grad)

    def load_state_dict(self, state_dict):
        """Go on from the state of another optimizer of this class, or of a flat solver."""
        if "param_groups" not in state_dict:
            load_flat_state(self._solver, state_dict)
            return
        super().load_state_dict(state_dict)
        loaded = [self.state[parameter] for parameter in self._gradient.parameters]
        if len({float(state["step"]) for state in loaded if "step" in state}) > 1:
            self._separate()
        for i, state in enumerate(loaded):
            for name, value in self._state_of(i).items():
                value.copy_(state[name])
        self._show_state()


def torch_optimizer(groups, recipe, **settings):
    """Torch's own form of the recipe's solver.

    Parameters
    ----------
    groups : list of dict
        Torch's parameter groups.
    recipe : Recipe
    **settings
        What else the optimizer takes.
    """
    settings = {"lr": recipe.learning_rate_init, **settings}
    if recipe.solver == "sgd":
        nesterov = recipe.nesterovs_momentum and recipe.momentum > 0
        return torch.optim.SGD(groups, **{"momentum": recipe.momentum, "nesterov": nesterov, **settings})
    first = groups[0]["params"][0]
    fused = fused_adam_works(first.device, first.dtype)
    adam = {"betas": (recipe.beta_1, recipe.beta_2), "eps": recipe.epsilon, "weight_decay": 0.0, "fused": fused}
    return torch.optim.AdamW(groups, **{**adam, **settings})  # with weight decay 0 this is Adam
