"""Slow, independent solutions of the budget problem: other formulations, other people's solvers.

Nothing here uses the package. The primal is handed to SLSQP or HiGHS with hyperplane and slacks as the
variables; the dual, for a given multiplier, to libsvm.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog, minimize
from sklearn.svm import SVC


@dataclass(frozen=True)
class Hyperplane:
    """A minimiser of 1/2 |w|^2 subject to the margins and the budget."""

    w: np.ndarray
    b: float
    objective: float

    @property
    def margin(self):
        return 1.0 / np.linalg.norm(self.w)


def single_precision(gram):
    """The Gram matrix rounded to float32, the precision in which libsvm keeps it; exactly symmetric."""
    gram = np.asarray(gram, dtype=np.float32).astype(np.float64)
    return 0.5 * (gram + gram.T)


def budget_primal(X, y, budget, weight=None):
    """min 1/2 |w|^2 s.t. y_i (w.x_i + b) >= 1 - e_i, e >= 0, sum_i s_i e_i <= C, by SLSQP.

    Starts from the least-slack hyperplane, which is feasible.
    """
    n, d = X.shape
    s = np.ones(n) if weight is None else weight
    signed = np.column_stack([y[:, None] * X, y, np.eye(n)])
    spends = np.concatenate([np.zeros(d + 1), -s])
    curvature = np.concatenate([np.ones(d), np.zeros(n + 1)])
    answer = minimize(
        lambda v: 0.5 * v[:d] @ v[:d],
        _least_slack(X, y, s).x,
        jac=lambda v: curvature * v,
        bounds=[(None, None)] * (d + 1) + [(0, None)] * n,
        constraints=[
            {"type": "ineq", "fun": lambda v: signed @ v - 1.0, "jac": lambda v: signed},
            {"type": "ineq", "fun": lambda v: budget + spends @ v, "jac": lambda v: spends},
        ],
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    excess = max(0.0, 1.0 - (signed @ answer.x).min(), -(budget + spends @ answer.x))
    if excess > 1e-8:
        raise RuntimeError(f"SLSQP ended at an infeasible point ({excess:.1e}): {answer.message}")
    return Hyperplane(answer.x[:d], answer.x[d], answer.fun)


def least_total_slack(X, y, weight=None):
    """C_min: min sum_i s_i e_i over all hyperplanes, as the primal linear programme in (w, b, e)."""
    return _least_slack(X, y, np.ones(len(y)) if weight is None else weight).fun


def _least_slack(X, y, s):
    n, d = X.shape
    answer = linprog(
        np.concatenate([np.zeros(d + 1), s]),
        A_ub=-np.column_stack([y[:, None] * X, y, np.eye(n)]),
        b_ub=-np.ones(n),
        bounds=[(None, None)] * (d + 1) + [(0, None)] * n,
        method="highs",
    )
    if answer.status != 0:
        raise RuntimeError(answer.message)
    return answer


def cost_svm(gram, y, cost, weight=None):
    """libsvm's C-SVC with the given cost; decision values of the training samples."""
    model = SVC(C=cost, kernel="precomputed", tol=1e-10, cache_size=500)
    return model.fit(gram, y, sample_weight=weight).decision_function(gram)


def second_degree_map(X):
    """Features whose inner products are (1 + <x, x'>)^2."""
    rows, columns = np.triu_indices(X.shape[1])
    factor = np.where(rows == columns, 1.0, np.sqrt(2.0))
    products = factor * X[:, rows] * X[:, columns]
    return np.column_stack([np.ones(len(X)), np.sqrt(2.0) * X, products])


def tube_primal(X, y, budget, epsilon, weight):
    """w and b of min 1/2 |w|^2 s.t. |y_i - w.x_i - b| <= epsilon + e_i, e >= 0, sum_i s_i e_i <= C, by SLSQP.

    Starts from the function of least slack, which is feasible.
    """
    n, d = X.shape
    f = np.column_stack([X, np.ones(n), np.zeros((n, n))])
    e = np.column_stack([np.zeros((n, d + 1)), np.eye(n)])
    sides = np.vstack([e + f, e - f])
    most = np.concatenate([y, -y]) - epsilon
    spends = np.concatenate([np.zeros(d + 1), -weight])
    curvature = np.concatenate([np.ones(d), np.zeros(n + 1)])
    answer = minimize(
        lambda v: 0.5 * v[:d] @ v[:d],
        _least_slack_of_tube(X, y, epsilon, weight).x,
        jac=lambda v: curvature * v,
        bounds=[(None, None)] * (d + 1) + [(0, None)] * n,
        constraints=[
            {"type": "ineq", "fun": lambda v: sides @ v - most, "jac": lambda v: sides},
            {"type": "ineq", "fun": lambda v: budget + spends @ v, "jac": lambda v: spends},
        ],
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    if max(0.0, -(sides @ answer.x - most).min(), -(budget + spends @ answer.x)) > 1e-8:
        raise RuntimeError(f"SLSQP ended at an infeasible point: {answer.message}")
    return answer.x[:d], answer.x[d]


def least_slack_of_tube(X, y, epsilon, weight=None):
    """C_min of a linear regression, as the primal linear programme in (w, b, e)."""
    return _least_slack_of_tube(X, y, epsilon, np.ones(len(y)) if weight is None else weight).fun


def _least_slack_of_tube(X, y, epsilon, weight):
    n, d = X.shape
    f = np.column_stack([X, np.ones(n)])
    answer = linprog(
        np.concatenate([np.zeros(d + 1), weight]),
        A_ub=np.block([[f, -np.eye(n)], [-f, -np.eye(n)]]),
        b_ub=np.concatenate([y, -y]) + epsilon,
        bounds=[(None, None)] * (d + 1) + [(0, None)] * n,
        method="highs",
    )
    if answer.status != 0:
        raise RuntimeError(answer.message)
    return answer
