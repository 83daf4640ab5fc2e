"""Which budgets make sense for the samples, problem by problem."""

from typing import NamedTuple

import numpy as np


class Ranges(NamedTuple):
    """C_min and C_max as total slacks, what fractions are of, and the names, one for each binary problem."""

    least: np.ndarray
    largest: np.ndarray
    whole: np.ndarray
    names: tuple


def ranges_of(model, X, y, sample_weight):
    """The ranges of a model's binary problems, whatever its C; nothing is fitted."""
    training, _ = model._training(X, y, sample_weight)
    problems = list(training.problems())
    return Ranges(
        np.array([problem.least_budget() for problem in problems], dtype=float),
        np.array([problem.largest for problem in problems]),
        np.array([problem.whole for problem in problems]),
        tuple(task.name for task in training.tasks),
    )
