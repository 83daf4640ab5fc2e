"""The choices a training run is made from, the learning rate they lead to, and how far training has come."""

from dataclasses import dataclass, fields
from math import cos, inf, pi

import numpy as np


@dataclass(frozen=True)
class Recipe:
    """The parameters of an estimator that its training loop reads, under the same names."""

    solver: str
    alpha: float
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    tol: float
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    verbose: int
    label_smoothing: float = 0.0

    @classmethod
    def of(cls, estimator):
        """Read the recipe off an estimator's parameters, numpy's scalars as Python's."""
        parameters = estimator.get_params(deep=False)
        return cls(**{f.name: python_scalar(parameters[f.name]) for f in fields(cls) if f.name in parameters})

    @property
    def penalty(self):
        """The strength of the L2 term in the loss; adamw shrinks the weights outside of the loss instead."""
        return 0.0 if self.solver == "adamw" else self.alpha

    @property
    def schedule(self):
        """The schedule in force: Adam takes a constant rate or the cosine, only SGD all of them."""
        takes_all = self.solver == "sgd" or self.learning_rate == "cosine"
        return self.learning_rate if takes_all else "constant"

    def has_optimizer_of(self, other):
        """Whether another recipe makes the same optimizer, so that one can go on with what the other remembers."""
        return all(getattr(self, name) == getattr(other, name) for name in _OF_OPTIMIZER)


_OF_OPTIMIZER = ("solver", "learning_rate_init", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon")


def python_scalar(value):
    """A numpy scalar as Python's: torch takes no others."""
    return value.item() if isinstance(value, np.generic) else value


def _constant(recipe, rate, t, epoch):
    return rate


def _invscaling(recipe, rate, t, epoch):
    return recipe.learning_rate_init / (t + 1) ** recipe.power_t


def _cosine(recipe, rate, t, epoch):
    """Half a cosine from learning_rate_init down to 0 after max_iter epochs (Loshchilov & Hutter, 2017)."""
    return recipe.learning_rate_init * 0.5 * (1 + cos(pi * min(epoch / recipe.max_iter, 1.0)))


# name -> (recipe, rate so far, samples seen, epochs done) -> the rate of the next epoch
SCHEDULES = {"constant": _constant, "invscaling": _invscaling, "adaptive": _constant, "cosine": _cosine}

# 'adaptive' divides the rate by this on a plateau, until it falls below the smallest rate worth training
# with.
PLATEAU_DIVISOR = 5.0
SMALLEST_RATE = 1e-6


def next_rate(recipe, rate, t, epoch):
    """The learning rate of the next epoch."""
    return SCHEDULES[recipe.schedule](recipe, rate, t, epoch)


def rate_after_plateau(recipe, rate):
    """The rate to go on with when training no longer improves, or None to stop."""
    if recipe.schedule != "adaptive" or rate <= SMALLEST_RATE:
        return None
    return rate / PLATEAU_DIVISOR


@dataclass
class Progress:
    """How far the training of one network has come."""

    rate: float
    loss: float | None = None
    data_loss: float | None = None
    best_loss: float = inf
    best_validation_score: float = -inf
    no_improvement: int = 0
    stopped: bool = False

    def record(self, recipe, loss, data_loss, score):
        """Take note of an epoch's loss, with and without penalty, and validation score (or None).

        Returns whether the score is the best yet.
        """
        if recipe.early_stopping and score is not None:
            improved = score >= self.best_validation_score + recipe.tol
        else:
            improved = loss <= self.best_loss - recipe.tol
        self.no_improvement = 0 if improved else self.no_improvement + 1  # nan never improves
        self.loss = loss
        self.best_loss = min(self.best_loss, loss)
        best = score is not None and score > self.best_validation_score
        if best:
            self.best_validation_score = score
        if best or not recipe.early_stopping or self.data_loss is None:
            self.data_loss = data_loss  # that of the weights which stay
        return best

    def decide(self, recipe):
        """Stop, or lower the rate, when nothing has improved for long enough."""
        if self.no_improvement <= recipe.n_iter_no_change:
            return
        rate = rate_after_plateau(recipe, self.rate)
        if rate is None:
            self.stopped = True
        else:
            self.rate, self.no_improvement = rate, 0
