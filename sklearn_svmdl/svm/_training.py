"""From checked input to binary budget problems: weights and classes, kernel values within memory, budgets."""

from dataclasses import dataclass

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils.class_weight import compute_class_weight

from .._class_weight import balanced_factors
from ..dual.problem import classification, largest_budget_of_classes
from ..kernels import MEGABYTE, negative_curvature

# Eigenvalues below -this times the largest are no rounding error, not even of single precision Gram matrices.
_NEGATIVE_CURVATURE = 1e-6


@dataclass(frozen=True)
class TrainingSet:
    """The samples that count: those of positive weight.

    Parameters
    ----------
    X : (n, d), or the kernel values (n, n) among the samples kept
    codes : ndarray (n,), class numbers
    weight : ndarray (n,), positive, sample weight times class weight
    sample_weight : ndarray (n,), positive
    classes : ndarray (k,), sorted labels
    kept : ndarray (n,), where the samples are in the user's X
    n_given : int, number of samples in the user's X
    """

    X: object
    codes: np.ndarray
    weight: np.ndarray
    sample_weight: np.ndarray
    classes: np.ndarray
    kept: np.ndarray
    n_given: int


def weigh(X, y, sample_weight, class_weight, *, pairwise):
    """Multiply sample and class weights, and drop the samples of weight 0 as if they had never been there."""
    labels, codes = np.unique(y, return_inverse=True)
    factor = _class_factors(class_weight, labels, y, np.bincount(codes, sample_weight))
    weight = sample_weight * factor[codes]
    kept = np.flatnonzero(weight)
    if len(kept) == 0:
        raise ValueError("All sample weights are zero, so no sample is left to fit; make some positive.")
    present, codes = np.unique(codes[kept], return_inverse=True)
    if len(present) == 1:
        raise ValueError(
            f"A classifier needs samples of at least 2 classes, but y has 1 class with positive weight: "
            f"{str(labels[present[0]])!r}."
        )
    if len(kept) < len(weight):
        X = X[kept][:, kept] if pairwise else X[kept]
    return TrainingSet(X, codes, weight[kept], sample_weight[kept], labels[present], kept, len(weight))


def check_square(K):
    """Raise ValueError if precomputed kernel values are not those between all pairs of samples."""
    if K.shape[0] != K.shape[1]:
        raise ValueError(
            f"Precomputed matrix must be a square matrix: fit takes the kernel values between all pairs of "
            f"training samples, got shape {K.shape}."
        )


def indefiniteness(kernel, source):
    """-smallest / largest eigenvalue of the kernel on these samples; 0 where it is none but for rounding."""
    curvature = 0.0 if kernel.semidefinite else negative_curvature(source)
    return curvature if curvature > _NEGATIVE_CURVATURE else 0.0


def _class_factors(class_weight, labels, y, totals):
    """Factor of each class; "balanced" gives every class the same total weight and keeps their sum."""
    if class_weight == "balanced":
        return balanced_factors(totals)
    if class_weight is None:
        return np.ones(len(labels))
    factor = compute_class_weight(class_weight, classes=labels, y=y)
    if not (np.isfinite(factor).all() and (factor >= 0).all()):
        raise ValueError(f"Class weights must be finite numbers >= 0, got class_weight={class_weight!r}.")
    return factor


def share_kernel_values(source, tasks, n_jobs, cache_size):
    """Evaluate the Gram matrix once for all problems, if there are several and it fits in half the cache.

    Returns the source and the megabytes of kernel values that each of the `n_jobs` solvers may keep.
    """
    workers = min(effective_n_jobs(n_jobs), len(tasks))
    n = source.n_samples
    sizes = [len(task.rows) for task in tasks if len(task.rows) < n]
    values = n**2 + workers * max(sizes, default=0) ** 2
    if len(tasks) == 1 or 8 * values > 0.5 * cache_size * MEGABYTE:
        return source, cache_size / workers
    return source.stored(), 0.5 * cache_size / workers


def binary_problem(task, source, data, budget_of):
    """The budget problem of a task; `budget_of` turns the unit of relative budgets into the budget.

    The unit is C_max before or after class weights, whichever is larger: a class that is made to weigh less
    has cheaper slacks. Were the unit to shrink with it, its slacks would cost what they did before.
    """
    rows = task.rows
    weight = data.weight[rows]
    before, after = (largest_budget_of_classes(task.target, of) for of in (data.sample_weight[rows], weight))
    own = source if len(rows) == source.n_samples else source.take(rows)
    return classification(own, task.target, weight, budget=budget_of(max(before, after)))
