"""Scores of all Cs of one kernel on one fold: kernel values taken from a shared matrix, one warm-started walk."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from .._sklearn_private import _check_method_params
from ..dual.problem import BEYOND_REACH, Status
from ..kernels import spec_of
from ..kernels.blas import matmul
from ._budget_path import walk_tasks
from ._budget_svc import BudgetSVC
from ._fitted import fitted_attributes, publish
from ._training import resolved_kernel, training_on, weigh
from ._units import UNITS


@dataclass(frozen=True)
class Samples:
    """Checked samples: X (n, d), or kernel values (n, n), labels y and weights.

    `base` holds the shared kernel values; None where they do not fit in memory.
    """

    X: object
    y: np.ndarray
    weight: np.ndarray
    base: object


@dataclass(frozen=True)
class Fold:
    """Training and test samples by number; `name` is what progress messages call it."""

    train: np.ndarray
    test: np.ndarray
    name: str


@dataclass(frozen=True)
class Scoring:
    """A scorer, and the metadata (by name, one value for each of all samples) that it gets."""

    scorer: object
    metadata: dict

    def __call__(self, model, X, y, test, n_samples):
        routed = _check_method_params(np.empty((n_samples, 0)), self.metadata, indices=test)
        return self.scorer(model, X, y, **routed)


@dataclass(frozen=True)
class WalkScores:
    """Scores and statuses for each C of a walk (worst status of its binary problems), and mean times.

    `indefinite` is how far the kernel is from positive semi-definite on the training samples, 0 where it is not.
    """

    scores: np.ndarray
    statuses: list
    fit_time: float
    score_time: float
    indefinite: float


class FoldModel(BudgetSVC):
    """A fitted BudgetSVC that knows its decisions on the fold's test samples."""

    _known = None, None

    def score(self, X, y, sample_weight=None):
        """Accuracy, of labels known to be fit for comparison."""
        return float(np.average(self.predict(X) == y, weights=sample_weight))

    def _decisions(self, X):
        samples, decisions = self._known
        return decisions if X is samples else super()._decisions(X)


def score_walk(params, candidates, samples, fold, scoring):
    """Walk the Cs of `candidates` on the fold's training samples and score every model on its test samples.

    Parameters
    ----------
    params : dict, parameters of BudgetSVC that all candidates share
    candidates : list of dicts that differ in C, from the softest to the hardest
    samples : Samples
    fold : Fold
    scoring : Scoring

    Returns
    -------
    WalkScores
    """
    start = perf_counter()
    models = [FoldModel(**params, **candidate) for candidate in candidates]
    first = models[0]
    training = _training(first, samples, fold)
    Cs = [candidate["C"] for candidate in candidates]
    solutions = walk_tasks(training, Cs, UNITS[first.unit], tol=first.tol, max_iter=first.max_iter)
    indefinite = training.indefiniteness
    decisions = _test_decisions(training, solutions, samples, fold)
    fitted = perf_counter()
    X_test, y_test = samples.X[fold.test], samples.y[fold.test]
    if training.kernel.spec.pairwise:
        X_test = X_test[:, fold.train]
    n_features = len(fold.train) if training.kernel.spec.pairwise else samples.X.shape[1]
    scores, statuses = [], []
    for c, (model, row) in enumerate(zip(models, solutions, strict=True)):
        publish(model, {"n_features_in_": n_features, **fitted_attributes(training, row)})
        if decisions is not None:
            model._known = X_test, decisions[c]
        statuses.append(_worst(row))
        refused = model.infeasible == "raise" and statuses[-1] in BEYOND_REACH
        scores.append(np.nan if refused else scoring(model, X_test, y_test, fold.test, len(samples.y)))
    score_time = perf_counter() - fitted
    return WalkScores(
        scores=np.array(scores),
        statuses=statuses,
        fit_time=(fitted - start) / len(models),
        score_time=score_time / len(models),
        indefinite=indefinite,
    )


def _training(model, samples, fold):
    """The fold's training samples, with kernel values from those that all folds share where there are any."""
    train, pairwise = fold.train, spec_of(model.kernel).pairwise
    X = samples.X[train][:, train] if pairwise else samples.X[train]
    data = weigh(X, samples.y[train], samples.weight[train], model.class_weight, pairwise=pairwise)
    kernel = resolved_kernel(model.kernel, data, gamma=model.gamma, degree=model.degree, coef0=model.coef0)
    source = samples.base.source(kernel, train[data.kept]) if _is_shared(kernel, samples) else None
    return training_on(data, kernel, model.multi_class, cache_size=model.cache_size, source=source)


def _is_shared(kernel, samples):
    return samples.base is not None and kernel.spec.base is not None


def _test_decisions(training, solutions, samples, fold):
    """Decisions (n_models, n_test, n_tasks) from the shared kernel values; None where there are none."""
    kernel, tasks, kept = training.kernel, training.tasks, training.data.kept
    if not _is_shared(kernel, samples):
        return None
    beta = np.zeros((len(solutions), len(tasks), len(kept)))
    intercepts = np.empty((len(solutions), 1, len(tasks)))
    for c, row in enumerate(solutions):
        for k, (task, solution) in enumerate(zip(tasks, row, strict=True)):
            beta[c, k, task.rows], intercepts[c, 0, k] = solution.beta, solution.intercept
    cross = samples.base.gram(kernel, fold.test, fold.train[kept])
    flat = matmul(cross, beta.reshape(-1, beta.shape[2]).T)
    return flat.reshape(len(cross), len(solutions), len(tasks)).transpose(1, 0, 2) + intercepts


_SEVERITY = [
    Status.OPTIMAL,
    Status.UNBOUNDED_MARGIN,
    Status.OUT_OF_REACH,
    Status.INFEASIBLE_BUDGET,
    Status.MAX_ITER,
]


def _worst(row):
    return max((solution.status for solution in row), key=_SEVERITY.index)


def score_walk_aloud(number, total, params, candidates, samples, fold, scoring):
    """`score_walk`, with a line about it when it is done."""
    start = perf_counter()
    walk = score_walk(params, candidates, samples, fold, scoring)
    shown = {name: value for name, value in candidates[0].items() if name != "C"}
    described = (_shown(name, value) for name, value in shown.items())
    print(
        f"[BudgetSVCCV] {number}/{total} {fold.name}, {', '.join(described)}: {len(candidates)} values of C, best "
        f"score {_best(walk.scores)}, {perf_counter() - start:.2f} s",
        flush=True,
    )
    return walk


def _best(scores):
    """The best of the scores that there are: nan stands for a budget that was refused."""
    known = scores[~np.isnan(scores)]
    return f"{known.max():.4f}" if len(known) else "none"


def _shown(name, value):
    return f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
