"""From the user's samples to problems that can be solved: checks, weights, classes, kernel values within memory.

    checked_samples  ->  weigh or weigh_numbers  ->  resolved_kernel  ->  training_on  ->  Training.problems

Estimators, the path and the folds of a search go the same way; a search brings kernel values that its folds share.
"""

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from joblib import effective_n_jobs
from scipy.sparse import issparse
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_non_negative, validate_data

from .._class_weight import balanced_factors
from .._sklearn_private import _check_sample_weight
from ..dual.feasibility import least_budget
from ..dual.problem import DualProblem
from ..dual.stack import Stack
from ..kernels import (
    MEGABYTE,
    Kernel,
    check_kernel_values,
    check_symmetric,
    negative_curvature,
    resolve_gamma,
    spec_of,
)
from ._units import Scale

# Weights are measured in powers of 2^this: none that users often bring changes, and of huge ones squares are finite.
_OCTAVES = 16
# Eigenvalues below -this times the largest are no rounding error, not even of single precision Gram matrices.
_NEGATIVE_CURVATURE = 1e-6


@dataclass(frozen=True)
class TrainingSet:
    """The samples that count: those of positive weight.

    Parameters
    ----------
    X : (n, d), or the kernel values (n, n) among the samples kept
    y : ndarray (n,), class numbers, or the numbers of a regression
    weight : ndarray (n,), positive, sample weight times class weight
    sample_weight : ndarray (n,), positive
    kept : ndarray (n,), where the samples are in the user's X
    n_given : int, number of samples in the user's X
    classes : ndarray (k,), sorted labels; None of a regression
    """

    X: object
    y: np.ndarray
    weight: np.ndarray
    sample_weight: np.ndarray
    kept: np.ndarray
    n_given: int
    classes: np.ndarray | None = None

    @cached_property
    def weight_unit(self):
        """What the dual problems measure weights in: a power of two, so that no digit is lost; 1 of weights near 1."""
        return 2.0 ** (_OCTAVES * int(np.log2(self.weight.max()) / _OCTAVES))

    @cached_property
    def has_class_weights(self):
        """Whether some class counts for more or less than its samples."""
        return not np.array_equal(self.weight, self.sample_weight)


@dataclass(frozen=True)
class Problem:
    """A task in the form that the solver takes, but for C.

    Parameters
    ----------
    task : BinaryTask or RegressionTask
    dual : DualProblem without budget or cost
    whole : float, what relative budgets are fractions of
    scale : Scale of the dual problem
    """

    task: object
    dual: DualProblem
    whole: float
    scale: Scale

    def asking(self, C, unit):
        """The dual problem with this C in this unit."""
        return unit.ask(self.dual, C, self.whole, self.scale)

    def least_budget(self):
        """C_min as total slack."""
        return least_budget(self.dual) * self.scale.total

    @property
    def largest(self):
        """C_max as total slack."""
        return self.dual.largest_budget * self.scale.total


@dataclass(frozen=True)
class Training:
    """All that is known before a C is: the samples that count, the kernel, the tasks, where kernel values are.

    Parameters
    ----------
    data : TrainingSet
    kernel : Kernel
    tasks : list of BinaryTask, or of one RegressionTask
    source : KernelSource or GramSource of all samples
    memory : float, megabytes of kernel values that each solver may keep
    """

    data: TrainingSet
    kernel: Kernel
    tasks: list
    source: object
    memory: float

    def problems(self):
        """The problems, one after the other."""
        return (self.problem(task) for task in self.tasks)

    def problem(self, task):
        """The problem of a task."""
        rows = task.rows
        own = self.source if len(rows) == self.source.n_samples else self.source.take(rows)
        dual = task.dual(own, self.data.weight[rows] / self.data.weight_unit)
        return Problem(task, dual, whole_of(task, self.data), self.scale_of(task))

    def scale_of(self, task):
        """The scale of a task's dual problem."""
        return Scale.of(task.unit, self.data.weight_unit)

    def answers(self, solutions):
        """The solutions of the dual problems in the units of their tasks."""
        return [self.answer(task, solution) for task, solution in zip(self.tasks, solutions, strict=True)]

    def answer(self, task, solution):
        """The solution of the dual problem of a task in the units of y and of the weights."""
        found, unit = task.answer(solution), self.data.weight_unit
        if unit == 1.0:
            return found
        least = unit * found.least_budget
        return replace(found, lam=found.lam / unit, budget=unit * found.budget, least_budget=least)

    def stack(self, tasks):
        """Several of the tasks as a `Stack`, and what relative budgets of each are fractions of, in its scale."""
        data = self.data
        rows, targets = [task.rows for task in tasks], [task.target for task in tasks]

        def weighted(weight):
            """The stack where the samples have these weights."""
            weight = weight / data.weight_unit
            return Stack.of_classes(self.source, rows, targets, [weight[own] for own in rows])

        stack = weighted(data.weight)
        whole = stack.largest_budget
        if data.has_class_weights:
            whole = np.maximum(whole, weighted(data.sample_weight).largest_budget)
        return stack, whole

    @property
    def indefiniteness(self):
        """-smallest / largest eigenvalue of the kernel on these samples; 0 where it is none but for rounding."""
        curvature = 0.0 if self.kernel.semidefinite else negative_curvature(self.source)
        return curvature if curvature > _NEGATIVE_CURVATURE else 0.0


def whole_of(task, data):
    """What the relative budgets of a task are fractions of.

    C_max before or after class weights, whichever is larger: a class that is made to weigh less has cheaper slacks.
    Were the whole to shrink with it, its slacks would cost what they did before.
    """
    weights = (data.sample_weight, data.weight) if data.has_class_weights else (data.weight,)
    return max(task.largest_budget(of[task.rows]) for of in weights)


def checked_samples(estimator, X, y, sample_weight, **options):
    """Check a user's input for `estimator`, which stays as it is; the options are those of `validate_data`.

    Returns
    -------
    X, y : the checked samples, and labels or numbers
    sample_weight : ndarray (n,)
    seen : dict, n_features_in_ and, where X has names, feature_names_in_
    """
    shadow = copy(estimator)
    X, y = validate_data(shadow, X, y, **_form(estimator), **options)
    X = _readable(estimator, X)
    if spec_of(estimator.kernel).pairwise:
        check_square(X)
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    names = ("n_features_in_", "feature_names_in_")
    return X, y, weight, {name: vars(shadow)[name] for name in names if name in vars(shadow)}


def checked_X(estimator, X):
    """Samples to predict, in the form that the estimator's kernel takes."""
    return _readable(estimator, validate_data(estimator, X, reset=False, **_form(estimator)))


def _form(estimator):
    """The form of samples that the estimator's kernel takes, as options of `validate_data`."""
    takes_sparse = spec_of(estimator.kernel).takes_sparse
    return {"accept_sparse": "csr" if takes_sparse else False, "dtype": [np.float64, np.float32]}


def _readable(estimator, X):
    """Checked samples as the estimator's kernel may read them; raises ValueError where it takes no negative numbers."""
    if not spec_of(estimator.kernel).takes_negative:
        check_non_negative(X, type(estimator).__name__)
    return summed(X)


def summed(X):
    """Samples of which no sparse row has two entries for a feature, as scipy allows: norms would not be their sum's."""
    if not issparse(X) or X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X


def resolved_kernel(name, data, *, gamma, degree, coef0):
    """The kernel with the parameters it has, as numbers."""
    gamma = resolve_gamma(gamma, data.X, data.sample_weight) if "gamma" in spec_of(name).parameters else None
    return Kernel.of(name, gamma=gamma, degree=degree, coef0=coef0)


def training_on(data, kernel, tasks, *, cache_size, n_jobs=1, source=None):
    """The tasks of a training set with its kernel values: those of `source` or, where it is None, of its own.

    Where there are several tasks and memory allows, the Gram matrix is evaluated once for all of them.
    """
    own = kernel.source(data.X) if source is None else source
    check_kernel_values(own)
    if source is None:
        own, cache_size = _share_kernel_values(own, tasks, n_jobs, cache_size)
    return Training(data, kernel, tasks, own, cache_size)


def weigh(X, y, sample_weight, class_weight, *, pairwise):
    """Multiply sample and class weights, and drop the samples of weight 0 as if they had never been there."""
    labels, codes = np.unique(y, return_inverse=True)
    factor = _class_factors(class_weight, labels, y, np.bincount(codes, sample_weight))
    weight = sample_weight * factor[codes]
    kept = _counting(weight)
    codes = codes[kept]
    counts = np.bincount(codes, minlength=len(labels))
    present = counts.nonzero()[0]
    if len(present) == 1:
        raise ValueError(
            f"A classifier needs samples of at least 2 classes, but y has 1 class with positive weight: "
            f"{str(labels[present[0]])!r}."
        )
    X = _rows_that_count(X, kept, pairwise)
    # Numbers of the classes that are left.
    codes = (np.cumsum(counts > 0) - 1)[codes]
    return TrainingSet(X, codes, weight[kept], sample_weight[kept], kept, len(weight), labels[present])


def weigh_numbers(X, y, sample_weight, *, pairwise):
    """Drop the samples of weight 0 as if they had never been there."""
    kept = _counting(sample_weight)
    weight = sample_weight[kept]
    return TrainingSet(_rows_that_count(X, kept, pairwise), y[kept], weight, weight, kept, len(y))


def _counting(weight):
    """The samples of positive weight."""
    kept = np.flatnonzero(weight)
    if len(kept) == 0:
        raise ValueError("All sample weights are zero, so no sample is left to fit; make some positive.")
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not np.isfinite(total):
        raise ValueError(f"The sum of the weights overflows: the largest is {weight.max():.3g}. Divide them by it.")
    return kept


def _rows_that_count(X, kept, pairwise):
    """The samples kept, or the kernel values among them, which are checked."""
    if len(kept) < X.shape[0]:
        X = X[kept][:, kept] if pairwise else X[kept]
    if pairwise:
        check_symmetric(X)
    return X


def check_square(K):
    """Raise ValueError if precomputed kernel values are not those between all pairs of samples."""
    if K.shape[0] != K.shape[1]:
        raise ValueError(
            f"Precomputed matrix must be a square matrix: fit takes the kernel values between all pairs of "
            f"training samples, got shape {K.shape}."
        )


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


def _share_kernel_values(source, tasks, n_jobs, cache_size):
    """Evaluate the Gram matrix once for all problems, if there are several and it fits in half the cache.

    Returns the source and the megabytes of kernel values that each of the `n_jobs` solvers may keep.
    """
    workers = min(effective_n_jobs(n_jobs), len(tasks))
    n = source.n_samples
    sizes = [len(task.rows) for task in tasks if len(task.rows) < n]
    values = n**2 + workers * max(sizes, default=0) ** 2
    few_features = source.n_features is not None and source.n_features <= min(sizes, default=n)
    if len(tasks) == 1 or few_features or 8 * values > 0.5 * cache_size * MEGABYTE:
        return source, cache_size / workers
    return source.stored(), 0.5 * cache_size / workers
