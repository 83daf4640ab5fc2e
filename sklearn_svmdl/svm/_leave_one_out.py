"""Leave-one-out decisions of a fitted model, and the folds of a search that leave one sample out each."""

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from .._memory import advising_on_memory, memory_errors
from .._typing import Floats, MatrixLike
from ..dual.leave_one_out import left_out_decisions
from ..dual.path import walk
from ..dual.problem import BEYOND_REACH
from ._budget_path import walk_tasks
from ._fitted import publish
from ._folds import Outcomes, described, in_force, shape_of_decisions, training_of, worst_status
from ._scoring import ENDS_THE_SEARCH
from ._units import UNITS, Cost, TotalSlack, unit_and_value

if TYPE_CHECKING:
    from ._budget_svc import BudgetSVC
    from ._budget_svc_cv import BudgetSVCCV
    from ._budget_svr import BudgetSVR
    from ._budget_svr_cv import BudgetSVRCV

# How far the margins of a model and of the samples given with it may differ.
_SAME = 1e-2


@advising_on_memory
def leave_one_out_decisions(
    model: "BudgetSVC | BudgetSVR | BudgetSVCCV | BudgetSVRCV",
    X: MatrixLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Floats:
    """The decision on each training sample by the model that is fitted without it, at little more than one fit.

    Only support vectors are taken out, each from the solution of all samples: without one of the others nothing
    changes.
    What is held is the budget in force, as total slack, or the cost for unit="cost" and C="auto"; gamma="scale",
    epsilon="auto" and class weights are those of all samples.

    The normal w of each model is unique, and so is its intercept where a sample stands on the margin, or on the edge of
    the tube. Where none does, as under some linear kernels, any intercept of an interval leaves as little slack: a
    refit takes the middle of it, the decision here may be one of another point.

    Parameters
    ----------
    model : BudgetSVC, BudgetSVR, BudgetSVCCV or BudgetSVRCV
        A fitted model.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        The samples that it was fitted on, or their kernel values (n_samples, n_samples) if kernel="precomputed".
    y : array-like of shape (n_samples,)
        Their labels, or target values.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights. Samples of weight 0 get the decision of the model itself.

    Returns
    -------
    decisions : ndarray of shape (n_samples,) or (n_samples, n_classes)
        As `decision_function` returns them, one score for each class where there are more than two. Without the last
        sample of a class, a binary problem decides for the other one. Of a regression as `predict` returns them.

    Raises
    ------
    ValueError
        The model was not fitted on these samples.
    NotFittedError
        It was not fitted at all.
    MemoryError
        Memory runs out; says what was needed, and what to try.

    References
    ----------
    Cauwenberghs, Poggio, Incremental and decremental support vector machine learning, NIPS 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_moons
    >>> from sklearn_svmdl import BudgetSVC, leave_one_out_decisions
    >>> X, y = make_moons(100, noise=0.3, random_state=0)
    >>> model = BudgetSVC().fit(X, y)
    >>> bool(np.mean((leave_one_out_decisions(model, X, y) > 0) == y) <= model.score(X, y))
    True
    """
    fitted: Any = getattr(model, "best_estimator_", model)
    check_is_fitted(fitted)
    training, _ = fitted._training(X, y, sample_weight)
    unit = Cost if unit_and_value(fitted.C, fitted.unit)[0] is Cost else TotalSlack
    values = np.atleast_1d(fitted.cost_ if unit is Cost else fitted.budget_)
    limits = dict(tol=fitted.tol, max_iter=fitted.max_iter, cache_size=training.memory)
    problems = list(training.problems())
    classes: Any = getattr(fitted, "classes_", None)
    if not np.array_equal(training.data.classes, classes):
        raise ValueError("X and y must be what the model was fitted on, but they have other classes.")
    asked = [problem.asking(value, unit) for problem, value in zip(problems, values, strict=True)]
    solutions = [walk([each], **limits)[0] for each in asked]
    margins = np.array([answer.margin for answer in training.answers(solutions)])
    if not np.allclose(1.0 / margins, 1.0 / fitted.margin_, rtol=_SAME, atol=1e-12):
        raise ValueError(
            f"X, y and sample_weight must be what the model was fitted on, but they give the margins {margins} in "
            f"place of margin_={fitted.margin_}."
        )
    decisions = _decisions(training, solutions, unit, limits)
    found = fitted._values_of(decisions)
    out = fitted._values(X) if len(training.data.kept) < training.data.n_given else np.empty(found.shape)
    out[training.data.kept] = found
    return out.reshape(shape_of_decisions(len(out), classes))


def _decisions(training, solutions, unit, limits):
    """The decisions (n, n_tasks) on the samples that count, each without its sample, from solutions of the dual
    problems; unit says what is held.
    """
    columns = []
    for problem, solution in zip(training.problems(), solutions, strict=True):
        task, rows = problem.task, problem.task.rows
        held = problem.dual.with_cost(solution.lam) if unit is Cost else problem.dual.with_budget(solution.budget)
        column = np.empty(training.source.n_samples)
        if len(rows) < len(column):
            # The others take no part in this problem.
            support = np.flatnonzero(solution.beta)
            column[:] = training.source.apply(rows[support], solution.beta[support]) + solution.intercept
        column[rows] = task.decisions(left_out_decisions(held, solution, **limits), solution)
        columns.append(column)
    return np.stack(columns, axis=1)


def score_left_out(make, candidates, samples, fold, scoring):
    """`score_walk` for the folds that leave one sample out each, from one walk on all samples.

    What is held is the total budget or the cost in force for all samples.

    Returns
    -------
    list of Outcomes, one for each sample
    """
    start = perf_counter()
    n = len(samples.y)
    try:
        with memory_errors():
            return _left_out_outcomes(make, candidates, samples, scoring, start)
    except ENDS_THE_SEARCH:
        raise
    except Exception as error:
        if scoring.error_score == "raise":
            raise
        shape = shape_of_decisions(1, samples.classes)
        seconds = (perf_counter() - start) / n
        return [Outcomes.failed(described(error), len(candidates), shape, seconds)] * n


def _left_out_outcomes(make, candidates, samples, scoring, start):
    models, n = [make(**candidate) for candidate in candidates], len(samples.y)
    first = models[0]
    training = training_of(first, samples, np.arange(n))
    unit = UNITS[first.unit]
    solutions = walk_tasks(training, [model.C for model in models], unit, tol=first.tol, max_iter=first.max_iter)
    limits = dict(tol=first.tol, max_iter=first.max_iter, cache_size=training.memory)
    values = []
    for model, row in zip(models, solutions, strict=True):
        publish(model, {"n_features_in_": samples.X.shape[1], **model._attributes(training, training.answers(row))})
        found = model._values_of(_decisions(training, row, unit, limits))
        of_all = model._values(samples.X) if len(found) < n else np.empty(found.shape)
        of_all[training.data.kept] = found
        values.append(of_all)
    statuses = [worst_status(row) for row in solutions]
    held = in_force(training, [training.answers(row) for row in solutions])
    indefinite, fitted = training.indefiniteness, perf_counter()
    outcomes = [_outcome(i, models, values, samples, scoring, statuses) for i in range(n)]
    share = n * len(models)
    times = dict(fit_time=(fitted - start) / share, score_time=(perf_counter() - fitted) / share)
    return [replace(outcome, **held, **times, indefinite=indefinite) for outcome in outcomes]


def _outcome(i, models, values, samples, scoring, statuses):
    """What came of leaving out sample i."""
    classes, nothing = samples.classes, np.full(len(models), np.nan)
    decisions = [of_all[i : i + 1].reshape(shape_of_decisions(1, classes)) for of_all in values]
    rest = np.delete(samples.y, i)[np.delete(samples.weight, i) > 0]
    if classes is not None and (rest == rest[0]).all():
        error = f"ValueError: without sample {i} there is 1 class: {str(rest[0])!r}."
        if scoring.error_score == "raise":
            raise ValueError(error)
        return Outcomes.failed(error, len(models), shape_of_decisions(1, classes), 0.0)
    test, name = np.array([i]), f"fold {i + 1}"
    X, y = samples.X[test], samples.y[test]
    scores, errors = [], []
    for model, of_all, status in zip(models, values, statuses, strict=True):
        if model.infeasible == "raise" and status in BEYOND_REACH:
            scores.append(scoring.refused(f"C={model.C:.6g} is infeasible."))
            continue
        found, failures = scoring(model.knowing(X, of_all[test]), X, y, test)
        scores.append(found)
        errors += [f"{name}: {failure}" for failure in failures]
    return Outcomes(scores, decisions, statuses, nothing, nothing, nothing, 0.0, 0.0, score_errors=tuple(errors))
