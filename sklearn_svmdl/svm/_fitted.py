"""What a fit leaves behind: the decisions of its problems, and the fitted attributes."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from scipy.sparse import csr_array, issparse

from ..kernels import Kernel, row_blocks
from ..kernels.blas import dense_product


@dataclass(frozen=True)
class KernelMachine:
    """The decisions f_p(x) = sum_i coefficients_pi k(x_i, x) + b_p of every problem p.

    Parameters
    ----------
    kernel : Kernel
    basis : the x_i, (n_SV, d), or for precomputed kernels the numbers of the columns that take part
    coefficients : ndarray (n_problems, n_SV), or CSR where each problem uses few of the support vectors
    intercepts : ndarray (n_problems,)
    normals : ndarray (n_problems, d), or None where the kernel is not linear
    """

    kernel: Kernel
    basis: object
    coefficients: object
    intercepts: np.ndarray
    normals: np.ndarray | None

    def decisions(self, X):
        """f_p(x) for the rows of X, (n, n_problems)."""
        if self.normals is not None:
            return dense_product(X, self.normals.T) + self.intercepts
        if not issparse(self.coefficients):
            return self.kernel.expand(X, self.basis, self.coefficients.T) + self.intercepts
        out = np.tile(self.intercepts, (X.shape[0], 1))
        if self.coefficients.shape[1] == 0:
            return out
        for piece in row_blocks(X.shape[0], max(self.coefficients.shape)):
            out[piece] += self._kernel_values(X[piece]) @ self.coefficients.T
        return out

    def _kernel_values(self, X):
        return X[:, self.basis] if self.kernel.spec.pairwise else self.kernel(X, self.basis)


class PairwiseRows(NDArrayOperatorsMixin):
    """Array (n_problems, n) of which each row has entries in some columns only; the others are nan.

    For k classes and n samples the k (k - 1) / 2 pairs have n (k - 1) entries.

    Parameters
    ----------
    columns, values : lists of n_problems ndarrays, the columns of a row that have entries, and the entries
    n : int, number of columns
    """

    ndim, dtype = 2, np.dtype(float)

    def __init__(self, columns, values, n):
        self.columns, self.values = columns, values
        self.shape = len(values), n

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        """A row (n,) for a whole number; anything else as for an array, which is then made."""
        if not isinstance(key, (int, np.integer)):
            return np.asarray(self)[key]
        row = np.full(self.shape[1], np.nan)
        row[self.columns[key]] = self.values[key]
        return row

    def __array__(self, dtype=None, copy=None):
        return np.stack([self[k] for k in range(len(self))]).astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return getattr(ufunc, method)(*(np.asarray(x) if x is self else x for x in inputs), **options)

    def __repr__(self):
        return f"PairwiseRows of shape {self.shape}, {sum(map(len, self.values))} entries"


def fitted_attributes(training, solutions):
    """The fitted attributes of all estimators by name, those of classes and of the input aside.

    Parameters
    ----------
    training : Training
    solutions : list of DualSolution, one for each of its tasks

    Returns
    -------
    dict of attributes, which have an entry or a row for each task
    support : ndarray, the support vectors by their number in the training set
    """
    data, kernel = training.data, training.kernel
    duals, support = _duals(training, solutions)
    vectors = np.empty((0, 0)) if kernel.spec.pairwise else data.X[support]
    normals = _normals(training, duals, vectors) if kernel.is_linear else None
    return {
        "support_": data.kept[support],
        "support_vectors_": vectors,
        "slack_": _slack(training, solutions),
        "intercept_": _intercepts(training, solutions, normals),
        "margin_": _each(solutions, "margin"),
        "budget_": _each(solutions, "budget"),
        "cost_": _each(solutions, "lam"),
        "duality_gap_": _each(solutions, "duality_gap"),
        "n_iter_": _each(solutions, "n_iter"),
        "_kernel": kernel,
        "_duals": duals,
        "_coef": normals,
    }, support


def _normals(training, duals, vectors):
    """w of each problem, (n_problems, d)."""
    origin = training.source.origin
    return _read_only(dense_product(duals, vectors if origin is None else vectors - origin))


def _intercepts(training, solutions, normals):
    """b of each problem; those of the solutions are of samples taken from the source's origin."""
    intercepts, origin = _each(solutions, "intercept"), training.source.origin
    return intercepts if origin is None else intercepts - normals @ origin


def _takes_all(training):
    """Whether every sample takes part in every problem."""
    return all(len(task.rows) == len(training.data.kept) for task in training.tasks)


def _duals(training, solutions):
    """The duals (n_problems, n_SV) and which samples they belong to; CSR where not all take part in all problems."""
    shape = len(training.tasks), len(training.data.kept)
    if _takes_all(training):
        beta = np.zeros(shape)
        for row, task, solution in zip(beta, training.tasks, solutions, strict=True):
            row[task.rows] = task.duals(solution)
        support = np.flatnonzero(beta.any(axis=0))
        return beta[:, support], support
    # Only pairs of classes have samples that take no part.
    beta = np.concatenate([solution.beta for solution in solutions])
    rows = np.concatenate([task.rows for task in training.tasks])
    used = beta != 0
    columns, values = rows[used], beta[used]
    sizes = np.array([len(task.rows) for task in training.tasks])
    ends = np.cumsum(sizes)
    starts = np.concatenate([[0], np.cumsum(used)[ends - 1]])
    support, columns = np.unique(columns, return_inverse=True)
    return csr_array((values, columns, starts), shape=(shape[0], len(support))), support


def _slack(training, solutions):
    """The slacks (n_problems, n_given), nan where a sample takes no part."""
    data = training.data
    columns = [data.kept[task.rows] for task in training.tasks]
    values = [task.slack(solution) for task, solution in zip(training.tasks, solutions, strict=True)]
    rows = PairwiseRows(columns, values, data.n_given)
    return np.asarray(rows) if _takes_all(training) else rows


def publish(estimator, attributes):
    """Exchange all fitted attributes in one step: what ends a fit before leaves the estimator as it was."""
    kept = {name: value for name, value in vars(estimator).items() if not name.endswith("_") or name.startswith("_")}
    estimator.__dict__ = {**kept, **attributes}


def _each(solutions, name):
    return np.array([getattr(solution, name) for solution in solutions])


def _read_only(array):
    array.flags.writeable = False
    return array
