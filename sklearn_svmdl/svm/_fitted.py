"""What a fit leaves behind: the decisions of its binary problems, and the fitted attributes."""

from dataclasses import dataclass

import numpy as np

from ..kernels import Kernel
from ..kernels.blas import dense_product


@dataclass(frozen=True)
class KernelMachine:
    """The decisions f_p(x) = sum_i coefficients_pi k(x_i, x) + b_p of every binary problem p.

    Parameters
    ----------
    kernel : Kernel
    basis : the x_i, (n_SV, d), or for precomputed kernels the numbers of the columns that take part
    coefficients : ndarray (n_problems, n_SV)
    intercepts : ndarray (n_problems,)
    normals : ndarray (n_problems, d), or None where the kernel is not linear
    """

    kernel: Kernel
    basis: object
    coefficients: np.ndarray
    intercepts: np.ndarray
    normals: np.ndarray | None

    def decisions(self, X):
        """f_p(x) for the rows of X, (n, n_problems)."""
        if self.normals is not None:
            return dense_product(X, self.normals.T) + self.intercepts
        return self.kernel.expand(X, self.basis, self.coefficients.T) + self.intercepts


def fitted_attributes(training, solutions):
    """The fitted attributes of `BudgetSVC` by name, those of its input aside.

    Parameters
    ----------
    training : Training
    solutions : list of DualSolution, one for each of its tasks
    """
    data, kernel = training.data, training.kernel
    beta = np.zeros((len(training.tasks), len(data.kept)))
    slack = np.full((len(training.tasks), data.n_given), np.nan)
    for k, (task, solution) in enumerate(zip(training.tasks, solutions, strict=True)):
        beta[k, task.rows] = solution.beta
        slack[k, data.kept[task.rows]] = solution.slack
    support = np.flatnonzero(beta.any(axis=0))
    vectors = np.empty((0, 0)) if kernel.spec.pairwise else data.X[support]
    return {
        "classes_": data.classes,
        "support_": data.kept[support],
        "support_vectors_": vectors,
        "n_support_": np.bincount(data.codes[support], minlength=len(data.classes)),
        "dual_coef_": beta[:, support],
        "slack_": slack,
        "intercept_": _each(solutions, "intercept"),
        "margin_": _each(solutions, "margin"),
        "budget_": _each(solutions, "budget"),
        "cost_": _each(solutions, "lam"),
        "duality_gap_": _each(solutions, "duality_gap"),
        "n_iter_": _each(solutions, "n_iter"),
        "_kernel": kernel,
        "_scheme": training.scheme,
        "_coef": _read_only(dense_product(beta[:, support], vectors)) if kernel.is_linear else None,
    }


def publish(estimator, attributes):
    """Exchange all fitted attributes in one step: what ends a fit before leaves the estimator as it was."""
    kept = {name: value for name, value in vars(estimator).items() if not name.endswith("_") or name.startswith("_")}
    estimator.__dict__ = {**kept, **attributes}


def _each(solutions, name):
    return np.array([getattr(solution, name) for solution in solutions])


def _read_only(array):
    array.flags.writeable = False
    return array
