"""The choices a training run is made from, and the learning rate they lead to epoch by epoch."""

from dataclasses import dataclass, field, fields
from math import cos, inf, pi


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

    @classmethod
    def of(cls, estimator):
        """Read the recipe off an estimator's parameters."""
        return cls(**{field.name: getattr(estimator, field.name) for field in fields(cls)})

    @property
    def penalty(self):
        """The strength of the L2 term in the loss; adamw shrinks the weights outside of the loss instead."""
        return 0.0 if self.solver == "adamw" else self.alpha

    @property
    def schedule(self):
        """The schedule in force: Adam takes a constant rate or the cosine, only SGD all of them."""
        takes_all = self.solver == "sgd" or self.learning_rate == "cosine"
        return self.learning_rate if takes_all else "constant"


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
    """How far training has come: what the fitted attributes of the same names report."""

    rate: float
    loss: float | None = None
    loss_curve: list = field(default_factory=list)
    validation_scores: list = field(default_factory=list)
    best_loss: float = inf
    best_validation_score: float = -inf
    no_improvement: int = 0
    n_iter: int = 0
    t: int = 0

    def record(self, recipe, loss, score):
        """Take note of an epoch's loss and validation score (or None); True if the score is the best yet."""
        if recipe.early_stopping and score is not None:
            improved = score >= self.best_validation_score + recipe.tol
        else:
            improved = loss <= self.best_loss - recipe.tol
        self.no_improvement = 0 if improved else self.no_improvement + 1  # nan never improves
        self.loss = loss
        self.loss_curve.append(loss)
        self.best_loss = min(self.best_loss, loss)
        return score is not None and self._record_score(score)

    def _record_score(self, score):
        self.validation_scores.append(score)
        if not score > self.best_validation_score:
            return False
        self.best_validation_score = score
        return True
