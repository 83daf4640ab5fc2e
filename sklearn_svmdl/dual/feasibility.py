"""Which budgets are feasible: C_min <= C < C_max.

C_min is the least total slack of any hyperplane in the kernel's feature space, a linear programme. In its dual form

    max 1'a   s.t.   0 <= a_i <= s_i,   sum_i a_i y_i phi(x_i) = 0,   y'a = 0

it has one row per feature and one for the intercept, however many samples there are.
"""

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

# A feature whose share of the largest kernel value is below this is rounding.
_RANK_TOLERANCE = 1e-10
# Beyond this many features the kernel counts as strictly positive definite.
_MOST_FEATURES = 500


def least_budget(problem):
    """C_min, the least total slack of any hyperplane in the kernel's feature space.

    A strictly positive definite kernel separates all distinct points: only equal points with different labels cost
    slack. So does, to the precision of doubles, any kernel of more than 500 dimensions; below that the linear programme
    decides (HiGHS: Huangfu, Hall, Math. Program. Comput. 2018).
    """
    source = problem.source
    if source.kernel is not None and source.kernel.definite:
        return _slack_of_equal_points(problem, source.rows.identities())
    features = _features(source)
    if features is None:
        return 0.0
    return _linear_programme(features, problem.target, problem.weight)


def _slack_of_equal_points(problem, identities):
    """Sum over groups of equal points of 2 min(weight of +1, weight of -1)."""
    _, group = np.unique(identities, return_inverse=True)
    positive = problem.target > 0
    weights = [np.bincount(group[side], problem.weight[side], group.max() + 1) for side in (positive, ~positive)]
    return float(2.0 * np.minimum(*weights).sum())


def _features(source):
    """Finite features phi with phi phi' = K, or None where their number exceeds what a linear programme should face."""
    if source.kernel is not None and source.kernel.is_linear:
        return source.rows.X
    return pivoted_cholesky(source, _MOST_FEATURES)


def pivoted_cholesky(source, most):
    """Features (n, r) with K = phi phi' to rounding, r <= most; None if `most` are not enough or K has full rank.

    Cholesky with diagonal pivoting (Fine, Scheinberg, JMLR 2001): the next feature is the column of the sample that the
    features so far explain least.
    """
    n = source.n_samples
    everything = np.arange(n)
    left = source.diagonal()
    least = _RANK_TOLERANCE * max(left.max(), np.finfo(float).tiny)
    phi = np.zeros((n, min(most, n)), order="F")
    for k in range(phi.shape[1]):
        i = int(np.argmax(left))
        if left[i] <= least:
            return phi[:, :k]
        column = source.block(everything, np.array([i]))[:, 0] - phi[:, :k] @ phi[i, :k]
        phi[:, k] = column / np.sqrt(left[i])
        left = left - phi[:, k] ** 2
    return None


def _linear_programme(features, target, weight):
    scale = (abs(features).max() if features.shape[1] else 0.0) or 1.0
    signs = sparse.diags_array(target / scale)
    conditions = sparse.vstack([sparse.csr_array(features).T @ signs, sparse.csr_array(target[None, :])])
    answer = linprog(
        -np.ones(len(target)),
        A_eq=conditions,
        b_eq=np.zeros(conditions.shape[0]),
        bounds=np.column_stack([np.zeros(len(target)), weight]),
        method="highs",
    )
    return max(0.0, -answer.fun) if answer.fun is not None else 0.0
