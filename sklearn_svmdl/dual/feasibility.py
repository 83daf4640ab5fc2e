"""Which budgets are feasible: C_min <= C < C_max.

C_min is the least total slack of any hyperplane in the kernel's feature space, a linear programme. In its dual form

    max p'a   s.t.   a_i between 0 and t_i,   sum_i a_i phi(x_i) = 0,   1'a = 0

it has one row per feature and one for the intercept, however many samples there are.
"""

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from .kkt import ROUNDING
from .linear import pivoted_cholesky
from .problem import least_slack_intercept, slack_of

# A feature whose share of the largest kernel value is below this is rounding.
_RANK_TOLERANCE = 1e-10
# Balances that are off by no more than this, relative to the sum of their terms' sizes, are so by rounding.
_ROUNDING = 1e-12
# What is shown of C_min is all of it where it falls short of a total slack by no more than this share: at the largest
# cost the slack of a solution is more by some 1e-8.
_EQUAL = 1e-6
# Beyond this many features the kernel counts as strictly positive definite.
_MOST_FEATURES = 500


def least_budget(problem, small=np.inf):
    """C_min, the least total slack of any hyperplane in the kernel's feature space.

    A strictly positive definite kernel separates all distinct points: only what equal points contradict costs slack.
    So does, to the precision of doubles, any kernel of more than 500 dimensions; below that the linear programme
    decides (HiGHS: Huangfu, Hall, Math. Program. Comput. 2018). None where it would have to on more than `small`
    variables.
    """
    source = problem.source
    if source.kernel is not None and source.kernel.definite:
        return _slack_of_equal_points(problem, source.rows.identities())
    if problem.n_samples > small:
        return None
    features = _features(source)
    if features is None:
        return 0.0
    return _linear_programme(features, problem)


def _slack_of_equal_points(problem, identities):
    """The sum over groups of equal points of the slack of their best constant: 2 min(W+, W-) for classes."""
    _, group = np.unique(identities, return_inverse=True)
    above, below = np.full(group.max() + 1, -np.inf), np.full(group.max() + 1, np.inf)
    up = problem.sign > 0
    np.maximum.at(above, group[up], problem.linear[up])
    np.minimum.at(below, group[~up], problem.linear[~up])
    contradicted = above > below
    members = np.flatnonzero(contradicted[group])
    order = members[np.argsort(group[members], kind="stable")]
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    return float(sum(_constant_slack(problem, rows) for rows in np.split(order, cuts) if len(rows)))


def _constant_slack(problem, rows):
    """The total slack of the best constant for some of the variables."""
    linear, sign, weight = problem.linear[rows], problem.sign[rows], problem.weight[rows]
    return weight @ slack_of(linear - least_slack_intercept(linear, sign, weight), sign)


def _features(source):
    """Finite features phi with phi phi' = K, or None where their number exceeds what a linear programme should face."""
    if source.kernel is not None and source.kernel.is_linear:
        return source.rows.X
    anchored = _Anchored(source)
    if anchored.diagonal().max() <= ROUNDING * np.abs(source.diagonal()).max():
        # Samples that are alike but for rounding: constants are the only functions.
        return np.empty((source.n_samples, 0))
    return pivoted_cholesky(anchored, _MOST_FEATURES, _RANK_TOLERANCE)


def least_slack_shown(features, linear, bound, beta, lam):
    """What the duals of a solution at a large cost show of C_min: no hyperplane has less total slack than this.

    beta / lam nearly keeps the conditions of the linear programme. What it lacks is added in proportion to how far each
    variable is from its bounds, so that none leaves them; the value of the programme there is a lower bound. From some
    cost on it is the slack of the solution itself (Mangasarian, Meyer, SIAM J. Control Optim. 1979).

    Parameters
    ----------
    features : ndarray (..., n, d)
    linear, bound, beta : ndarrays (..., n); the bound is 0 where there is no such variable
    lam : ndarray (...)

    Returns
    -------
    ndarray (...), -inf where the duals show nothing
    """
    sign, weight = np.sign(bound), np.abs(bound)
    inside = np.clip(sign * beta / np.asarray(lam)[..., None], 0.0, weight)
    share, room = sign * inside, np.minimum(inside, weight - inside)
    G = np.concatenate([features, np.ones((*share.shape, 1))], axis=-1)
    transposed = np.swapaxes(G, -1, -2)
    lacking = np.matmul(transposed, share[..., None])
    inverse = np.linalg.pinv(np.matmul(transposed * room[..., None, :], G), hermitian=True)
    added = room * np.matmul(G, np.matmul(inverse, lacking))[..., 0]
    balanced = share - added
    left = np.matmul(transposed, balanced[..., None])[..., 0]
    sizes = np.matmul(np.abs(transposed), np.abs(balanced)[..., None])[..., 0]
    shown = (np.abs(added) <= room).all(axis=-1) & (np.abs(left) <= _ROUNDING * sizes).all(axis=-1)
    return np.where(shown, np.einsum("...i,...i->...", linear, balanced), -np.inf)


def is_least(spent, shown):
    """Whether a total slack, and what is shown of C_min, are C_min but for next to nothing."""
    return shown >= spent * (1.0 - _EQUAL)


class _Anchored:
    """Inner products of features less those of the first sample: duals that add up to zero see no difference.

    They are positive semi-definite where the kernel is so on such duals alone, minus the squared distance for one.
    """

    def __init__(self, source):
        self.source, self.n_samples = source, source.n_samples
        self.column = source.block(np.arange(source.n_samples), np.array([0]))[:, 0]

    def diagonal(self):
        """|phi(x_i) - phi(x_0)|^2 for every sample."""
        return self.source.diagonal() - 2.0 * self.column + self.column[0]

    def block(self, rows, columns):
        """The inner products as a new array."""
        block = self.source.block(rows, columns) - self.column[rows][:, None] - self.column[columns]
        return block + self.column[0]


def _linear_programme(features, problem):
    scale = (abs(features).max() if features.shape[1] else 0.0) or 1.0
    scaled = sparse.csr_array(features).T / scale
    conditions = sparse.vstack([scaled, sparse.csr_array(np.ones((1, problem.n_samples)))])
    bound = problem.bound
    answer = linprog(
        -problem.linear,
        A_eq=conditions,
        b_eq=np.zeros(conditions.shape[0]),
        bounds=np.column_stack([np.minimum(bound, 0.0), np.maximum(bound, 0.0)]),
        method="highs",
    )
    return max(0.0, -answer.fun) if answer.fun is not None else 0.0
