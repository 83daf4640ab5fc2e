"""Few features: interior steps in their dimension find the sides of all samples, the active set the solution.

K = X X' makes a step cost O(n d^2) instead of O(n^3), and K beta two products with X; no level of fewer samples is
needed. At most d + 1 samples are free at a vertex: the working set is small, however many samples there are.

Every kernel is linear in some features, and many a kernel matrix is, but for a little, that of few: a polynomial of few
variables, a smooth kernel in two dimensions. The steps need no more than the sides, so features that leave out what the
duals cannot make matter will do: the pivots that follow see the kernel itself.
"""

from typing import NamedTuple

import numpy as np

from ..kernels.blas import matmul

from .active_set import State
from .interior import InteriorSolver, operator_in_features
from .kkt import FREE
from .working_set import TooLarge, dense_features, inward, refine, whole_block

# Features are few up to this share of the samples, and those that are found up to so many, and while a step with them
# costs no more multiplications than this.
_FEW_FEATURES, _MOST_FOUND, _MOST_COST = 0.35, 96, 4e6
# lam times what found features leave of k(x, x) should change f by no more than this, and must by no more than so many
# times it; they leave between so little and so much of the largest k(x, x).
_UNSEEN, _MOST_SEEN, _LEAST_LEFT, _MOST_LEFT = 1e-3, 30.0, 1e-13, 1e-4
# The search goes on while it is on course: after so many features this share of the trace may be left, and from there
# on a share that falls geometrically to `_MOST_LEFT` at the most features. Measured after 8, 16 and 32 features: where
# few will do in the end .7, .2, .02 at most, else .7, .2, .1 at least.
_FIRST_LOOK, _FIRST_LEFT = 8, 0.7
# The fewest and the most samples for which they are sought: pivots of few cost less, and coarse to fine of more.
_FEWEST_SAMPLES, _MOST_SAMPLES = 80, 5000
# More free samples than these, as a multiple of those at a vertex, say that the sides cannot be told yet.
_MOST_FREE = 20
# Relative gaps at which sides are handed over, and samples beside the margin that join the free ones.
_GAPS = (1e-4, 1e-6, 1e-9)
_NEAR_PER_FREE, _NEAR_COUNT = 2, 50
# A working set that outgrows its start so many times started from sides that could not be told yet.
_MOST_WORKING = 4
_SMALLEST = np.finfo(float).tiny


class Features(NamedTuple):
    """Few features: X (n, r) with K = X X' as far as duals of up to lam = `reach` can tell."""

    X: np.ndarray
    reach: float = np.inf


def features_of(problem, lam):
    """Features few enough to step in their dimension, known, or found for duals of some lam; None without.

    Returns
    -------
    Features or None
    """
    source, n = problem.source, problem.n_samples
    if source.n_features is not None:
        X = dense_features(source.features) if source.n_features <= _FEW_FEATURES * n else None
        return None if X is None else Features(X)
    if not _FEWEST_SAMPLES <= n <= _MOST_SAMPLES:
        return None
    diagonal = source.diagonal()
    largest = float(diagonal.max())
    if largest <= 0:
        return None
    share = min(max(_UNSEEN / max(lam * largest, _SMALLEST), _LEAST_LEFT), _MOST_LEFT)
    most = int(min(_MOST_FOUND, _FEW_FEATURES * n, np.sqrt(_MOST_COST / n)))
    X = pivoted_cholesky(source, most, share, on_course=lambda k, left: left <= _hoped(k, most))
    if X is None:
        return None
    left = max(float((diagonal - np.einsum("ij,ij->i", X, X)).max()), _LEAST_LEFT * largest)
    return Features(X, _MOST_SEEN * _UNSEEN / left)


def _hoped(k, most):
    """The share of the trace that k features may leave where `most` are to do."""
    if k % _FIRST_LOOK or k == 0:
        return 1.0
    return _FIRST_LEFT * _MOST_LEFT ** ((k - _FIRST_LOOK) / (most - _FIRST_LOOK))


def pivoted_cholesky(source, most, tolerance, on_course=lambda k, left: True):
    """Features (n, r), r <= most, with phi phi' = K but for `tolerance`, relative to the largest k(x, x).

    None if `most` are not enough or K has full rank, or after k features that leave a share `left` of the trace which
    is not on_course(k, left).

    Cholesky with diagonal pivoting (Fine, Scheinberg, JMLR 2001): the next feature is the column of the sample that the
    features so far explain least.
    """
    n = source.n_samples
    everything, left = np.arange(n), source.diagonal()
    least = tolerance * max(left.max(), np.finfo(float).tiny)
    phi = np.empty((min(most, n), n))
    trace = left.sum()
    for k in range(len(phi)):
        if not on_course(k, left.sum() / trace):
            return None
        i = int(np.argmax(left))
        if left[i] <= least:
            return np.ascontiguousarray(phi[:k].T)
        np.subtract(source.block(everything[i : i + 1], everything)[0], matmul(phi[:k].T, phi[:k, i]), out=phi[k])
        phi[k] /= np.sqrt(left[i])
        left -= phi[k] ** 2
    return None


def solve_in_features(problem, features, workspace, lam):
    """The state of all samples, by interior steps on all of them and pivots on those near the margin.

    Parameters
    ----------
    problem : DualProblem
    features : Features of its kernel values
    workspace : Workspace
    lam : float, where to begin

    Returns
    -------
    State
        Not `settled` where the sides could not be told, or the budget asks for more lam than the features allow.
    """
    X, reach = features
    within = problem.within(min(reach, problem.largest_cost))
    block = whole_block(within, None, workspace.tally, X)
    solver = InteriorSolver(block, operator_in_features(X, block.twin, workspace.tally))
    iterate = solver.start(min(lam, reach))
    for gap in _GAPS:
        if within.largest_cost == problem.largest_cost:
            solver, inside = solver.follow(iterate, gap)
        else:
            inside = solver.solve(iterate, gap)
        if inside.flees or inside.point.lam > reach:
            break
        iterate = inside.iterate
        if np.count_nonzero(inside.side == FREE) > _MOST_FREE * (X.shape[1] + 1):
            continue
        start, near = State(inside.side, inside.point), _near(problem, inside)
        try:
            state, _ = refine(problem, start, near, workspace, most=_MOST_WORKING * np.count_nonzero(near))
        except TooLarge:
            continue
        if state.settled:
            return state
    return State(inside.side, inside.point)


def _near(problem, inside):
    """Mask of the free samples and of those nearest to the margin."""
    near = inside.side == FREE
    count = min(_NEAR_PER_FREE * np.count_nonzero(near) + _NEAR_COUNT, problem.n_samples)
    distance = np.abs(inward(problem, inside.point))
    near[np.argpartition(distance, count - 1)[:count]] = True
    return near
