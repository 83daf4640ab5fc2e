"""Scores of all Cs of one kernel on one fold: kernel values taken from a shared matrix, one warm-started walk."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from .._memory import memory_errors
from ..dual.kkt import spread_of
from ..dual.path import walk
from ..dual.problem import BEYOND_REACH, Status
from ..kernels import spec_of
from ..kernels.blas import matmul
from ._budget_path import walk_tasks
from ._fitted import publish
from ._scoring import ENDS_THE_SEARCH
from ._search_results import Result
from ._units import UNITS, Fraction

# Samples from which the spread in feature space is told.
_PROBE = 200
# A cost of this over the squared spread of the samples is as hard a margin as a search looks at by itself.
_HARDEST_COST = 1e3


@dataclass(frozen=True)
class Samples:
    """Checked samples: X (n, d), or kernel values (n, n), labels or numbers y and weights.

    `base` holds the shared kernel values; None where they do not fit in memory. `classes` are all labels; None of a
    regression. `together` solves the folds together; None where each is solved for itself.
    """

    X: object
    y: np.ndarray
    weight: np.ndarray
    base: object
    classes: np.ndarray | None
    together: object = None


@dataclass(frozen=True)
class Fold:
    """Training and test samples by number; `number` counts from 0."""

    train: np.ndarray
    test: np.ndarray
    number: int

    @property
    def name(self):
        """What messages call it."""
        return f"fold {self.number + 1}"


@dataclass(frozen=True)
class Outcomes:
    """What came of the Cs of a walk on one fold; lists and arrays have one entry for each C.

    scores : list of dict, scores by the names of the scorers; empty where a fit failed
    decisions : list of ndarrays (n_test,) or (n_test, n_classes), nan where the model does not know all classes
    statuses : list of Status, the worst of the problems
    cost, relative, margin : ndarrays, means over the problems of the cost and the relative budget in force, and
        the narrowest margin in units of the samples' spread in feature space
    fit_time, score_time : float, mean seconds
    indefinite : float, how far the kernel is from positive semi-definite, 0 where it is not
    fit_error : str, why the fits failed, None where they did not
    score_errors : list of str
    """

    scores: list
    decisions: list
    statuses: list
    cost: np.ndarray
    relative: np.ndarray
    margin: np.ndarray
    fit_time: float
    score_time: float
    indefinite: float = 0.0
    fit_error: str | None = None
    score_errors: tuple = ()

    def results(self):
        """A `Result` for each C."""
        feasible = [status not in BEYOND_REACH for status in self.statuses] or [True] * len(self.scores)
        each = zip(self.scores, self.cost, self.relative, self.margin, feasible, strict=True)
        return [Result(*values, self.fit_time, self.score_time) for values in each]

    @classmethod
    def failed(cls, error, n_models, shape, seconds):
        """Of fits that raised."""
        nothing = np.full(n_models, np.nan)
        decisions = [np.full(shape, np.nan)] * n_models
        return cls([{}] * n_models, decisions, [], nothing, nothing, nothing, seconds / n_models, 0.0, fit_error=error)


class Knowing:
    """Mixin of estimators on folds: they know their decisions, or scores of the classes, on the fold's test samples."""

    _known = None, None

    def knowing(self, X, values):
        """Itself, with what `_values` would be on these samples given."""
        self._known = X, values
        return self

    def _decisions(self, X):
        samples, values = self._known
        return values if X is samples else super()._decisions(X)


def score_walk(make, candidates, samples, fold, scoring):
    """Walk the Cs of `candidates` on the fold's training samples and score every model on its test samples.

    Parameters
    ----------
    make : callable, makes the model of a candidate, one that is `Knowing`
    candidates : list of dicts that differ in C, from the softest to the hardest
    samples : Samples
    fold : Fold
    scoring : Scoring

    Returns
    -------
    list of Outcomes, one for each fold: here one
    """
    start = perf_counter()
    try:
        with memory_errors():
            return [_outcomes(make, candidates, samples, fold, scoring, start)]
    except ENDS_THE_SEARCH:
        raise
    except Exception as error:
        if scoring.error_score == "raise":
            error.add_note(f"This was {fold.name} of the cross-validation.")
            raise
        shape = shape_of_decisions(len(fold.test), samples.classes)
        return [Outcomes.failed(described(error), len(candidates), shape, perf_counter() - start)]


def _outcomes(make, candidates, samples, fold, scoring, start):
    models = [make(**candidate) for candidate in candidates]
    training, solutions = walked(models, samples, fold)
    values = _test_values(training, solutions, samples, fold)
    indefinite = training.indefiniteness
    fitted = perf_counter()
    X_test, y_test = samples.X[fold.test], samples.y[fold.test]
    if training.kernel.spec.pairwise:
        X_test = X_test[:, fold.train]
    scores, decisions, errors = [], [], []
    for c, (model, row) in enumerate(zip(models, solutions, strict=True)):
        publish(model, {"n_features_in_": X_test.shape[1], **model._attributes(training, row)})
        known = model._values(X_test) if values is None else model._values_of(values[c])
        if model.infeasible == "raise" and worst_status(row) in BEYOND_REACH:
            scores.append(scoring.refused(f"{fold.name}: C={model.C:.6g} is infeasible."))
        else:
            found, failures = scoring(model.knowing(X_test, known), X_test, y_test, fold.test)
            scores.append(found)
            errors += [f"{fold.name}: {failure}" for failure in failures]
        decisions.append(_of_all_classes(known, training.data.classes, samples.classes))
    score_time = perf_counter() - fitted
    return Outcomes(
        scores=scores,
        decisions=decisions,
        statuses=[worst_status(row) for row in solutions],
        **in_force(training, solutions),
        fit_time=(fitted - start) / len(models),
        score_time=score_time / len(models),
        indefinite=indefinite,
        score_errors=tuple(errors),
    )


def walked(models, samples, fold):
    """What precedes a C on the training samples, and the answers for each model's C, from softest to hardest."""
    first = models[0]
    training = training_of(first, samples, fold.train)
    shared = samples.together is not None and _is_shared(training.kernel, samples)
    known = samples.together.solutions(models, samples, fold) if shared else None
    Cs = [model.C for model in models]
    solutions = walk_tasks(training, Cs, UNITS[first.unit], known, tol=first.tol, max_iter=first.max_iter)
    return training, [training.answers(row) for row in solutions]


def training_of(model, samples, train):
    """All that precedes a C, with kernel values from those that all folds share where there are any."""
    pairwise = spec_of(model.kernel).pairwise
    X = samples.X[train][:, train] if pairwise else samples.X[train]

    def shared(kernel, kept):
        """The kernel values among the samples that count; None where they are not shared."""
        return samples.base.source(kernel, train[kept]) if _is_shared(kernel, samples) else None

    return model._prepared(X, samples.y[train], samples.weight[train], shared)


def hardest_fraction(make, candidate, samples, train):
    """The least relative budget that a search need ask of these training samples: what a very large cost buys.

    Whatever the kernel, it is feasible and within reach.
    """
    model = make(**candidate)
    training = training_of(model, samples, train)
    fractions = []
    for problem in training.problems():
        cost = _HARDEST_COST / _spread(problem.dual.source)
        # Each step begins where the last one ended.
        steps = [problem.dual.with_cost(cost * share) for share in (1e-4, 1e-2, 1.0)]
        *_, solution = walk(steps, tol=model.tol, max_iter=model.max_iter, cache_size=training.memory)
        fractions.append(Fraction.of_budget(training.answer(problem.task, solution).budget, problem.whole))
    return max(fractions)


def in_force(training, solutions):
    """Cost, relative budget and narrowest margin in units of the spread, of the solutions for each C."""
    problems = [training.problem(task) for task in training.tasks]
    spreads = np.sqrt([_spread(problem.dual.source) for problem in problems])
    wholes = np.array([problem.whole for problem in problems])
    cost, budget, margin = (
        np.array([[getattr(solution, name) for solution in row] for row in solutions])
        for name in ("lam", "budget", "margin")
    )
    return {
        "cost": cost.mean(axis=1),
        "relative": np.divide(budget, wholes, out=np.zeros_like(budget), where=wholes > 0).mean(axis=1),
        "margin": (margin / spreads).min(axis=1),
    }


def _spread(source):
    """The mean squared distance of the samples from their mean in feature space, from evenly spaced ones."""
    probe = np.unique(np.linspace(0, source.n_samples - 1, min(_PROBE, source.n_samples)).astype(int))
    return spread_of(source.block(probe, probe))


def _is_shared(kernel, samples):
    return samples.base is not None and kernel.spec.base is not None


def _test_values(training, solutions, samples, fold):
    """Each model's decisions (n_test, n_tasks) from the shared kernel values; None where there are none."""
    kernel, tasks, kept = training.kernel, training.tasks, training.data.kept
    if not _is_shared(kernel, samples):
        return None
    cross = samples.base.gram(kernel, fold.test, fold.train[kept])
    beta = np.zeros((len(solutions), len(tasks), len(kept)))
    intercepts = np.empty((len(solutions), 1, len(tasks)))
    for c, row in enumerate(solutions):
        for k, (task, solution) in enumerate(zip(tasks, row, strict=True)):
            beta[c, k, task.rows], intercepts[c, 0, k] = task.duals(solution), solution.intercept
    flat = matmul(cross, beta.reshape(-1, beta.shape[2]).T)
    return flat.reshape(len(cross), len(solutions), len(tasks)).transpose(1, 0, 2) + intercepts


def shape_of_decisions(n_samples, classes):
    """The shape of decisions as `BudgetSVC.decision_function` returns them, or predictions where classes is None."""
    return (n_samples,) if classes is None or len(classes) == 2 else (n_samples, len(classes))


def _of_all_classes(values, known, classes):
    """Decisions as of a model of all classes; nan of one that has not seen all of them."""
    shape = shape_of_decisions(len(values), classes)
    return values.reshape(shape) if classes is None or len(known) == len(classes) else np.full(shape, np.nan)


_SEVERITY = [
    Status.OPTIMAL,
    Status.UNBOUNDED_MARGIN,
    Status.OUT_OF_REACH,
    Status.INFEASIBLE_BUDGET,
    Status.MAX_ITER,
]


def worst_status(row):
    """The worst status of the solutions of a fit's binary problems."""
    return max((solution.status for solution in row), key=_SEVERITY.index)


def described(error):
    """An exception in a line."""
    return f"{type(error).__name__}: {error}"
