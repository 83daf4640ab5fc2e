"""Few features: interior steps in their dimension find the sides of all samples, the active set the solution.

K = X X' makes a step cost O(n d^2) instead of O(n^3), and K beta two products with X; no level of fewer samples is
needed. At most d + 1 samples are free at a vertex: the working set is small, however many samples there are.

Every kernel is linear in some features, and many a kernel matrix is, but for a little, that of few: a polynomial of few
variables, a smooth kernel in two dimensions. The steps need no more than the sides, so features that leave out what the
duals cannot make matter will do: the pivots that follow see the kernel itself.
"""

from typing import NamedTuple

import numpy as np

from ..kernels.blas import dot, matmul
from .active_set import State
from .interior import PSTRF, InteriorSolver, operator_in_features
from .kkt import FREE
from .working_set import TooLarge, dense_features, near_margin, refine, whole_block

# Features that are known are few up to this share of the samples, those that are found up to another, as pivots cost
# less than more of them, up to so many, and while a step with them takes no more multiplications than this.
_FEW_KNOWN, _FEW_FOUND, _MOST_FOUND, _MOST_COST = 0.35, 0.2, 96, 2e6
# lam times what found features leave of k(x, x) should change f by no more than this, and must by no more than so many
# times it; they leave between so little and so much of a typical k(x, x). Where the most features leave no more than
# so many times that on average they will do.
_UNSEEN, _MOST_SEEN, _LEAST_LEFT, _MOST_LEFT, _ROUGHLY = 1e-2, 30.0, 1e-13, 3e-2, 5.0
# The search goes on while it is on course: after every so many features this share of the trace may be left at first,
# and from there on a share that falls geometrically to what will do of the most features.
_FIRST_LOOK, _FIRST_LEFT = 16, 0.7
# First of all so many samples for each of the most features tell whether there is hope.
_OF_EACH = 2
# The fewest and the most samples for which they are sought: pivots of few cost less, and coarse to fine of more.
_FEWEST_SAMPLES, _MOST_SAMPLES = 80, 5000
# More free samples than these, as a multiple of those at a vertex, say that the sides cannot be told yet.
_MOST_FREE = 20
# Relative gaps at which sides are handed over; samples beside the margin that join the free ones and as many others.
_GAPS = (1e-4, 1e-6, 1e-9)
_NEAR_COUNT = 50
# A working set that outgrows its start so many times started from sides that could not be told yet.
_MOST_WORKING = 4
_SMALLEST = np.finfo(float).tiny


class Features(NamedTuple):
    """Few features: X (n, r) with K = X X' + diag(rest) as far as duals of up to lam = `reach` can tell."""

    X: np.ndarray
    rest: np.ndarray
    reach: float = np.inf


def features_of(source, n, lam, few=_FEW_FOUND, most_cost=_MOST_COST, finer=1.0):
    """Features few enough to step in their dimension, known, or found for duals of some lam; None without.

    Parameters
    ----------
    source : of the samples
    n : int, how many of them a problem has
    lam : float
    few : float, up to what share of n features that are found are few
    most_cost : float, multiplications that a step with features that are found may take
    finer : float, the search goes on to leave this share of what must be left, where the features stay few

    Returns
    -------
    Features or None
    """
    if source.n_features is not None:
        X = dense_features(source.features) if source.n_features <= _FEW_KNOWN * n else None
        return None if X is None else Features(X, np.zeros(len(X)))
    if not _FEWEST_SAMPLES <= n <= _MOST_SAMPLES:
        return None
    diagonal = source.diagonal()
    largest = float(diagonal.max())
    if largest <= 0:
        return None
    typical = max(float(diagonal.mean()), _LEAST_LEFT * largest)
    share = min(max(_UNSEEN / max(lam * typical, _SMALLEST), _LEAST_LEFT), _MOST_LEFT)
    most = int(min(_MOST_FOUND, few * n, np.sqrt(most_cost / n)))
    tolerance = max(finer * share * typical / largest, _LEAST_LEFT)
    if _left_of_some(source, n, most, tolerance * largest) > _ROUGHLY * share:
        return None
    X = pivoted_cholesky(source, most, tolerance, on_course=lambda k, left: left <= _hoped(k, most, _ROUGHLY * share))
    if X is None:
        return None
    rest = np.maximum(diagonal - np.einsum("ij,ij->i", X, X), 0.0)
    return Features(X, rest, _MOST_SEEN * _UNSEEN / max(float(rest.max()), _LEAST_LEFT * largest))


def _left_of_some(source, n, most, tolerance):
    """The share of the trace that `most` features leave of twice as many evenly spaced samples; all leave more."""
    some = np.linspace(0, n - 1, min(_OF_EACH * most, n)).astype(int)
    gram = source.block(some, some)
    factor, _, rank, _ = PSTRF(gram, tol=tolerance, lower=True)
    told = np.tril(factor[:, : min(rank, most)])
    return 1.0 - dot(told.ravel(), told.ravel()) / np.trace(gram)


def _hoped(k, most, end):
    """The share of the trace that k features may leave where `most` are to leave no more than the share `end`."""
    if k == most:
        return end
    if k % _FIRST_LOOK or k == 0:
        return 1.0
    return _FIRST_LEFT * (end / _FIRST_LEFT) ** ((k - _FIRST_LOOK) / (most - _FIRST_LOOK))


def pivoted_cholesky(source, most, tolerance, on_course=None):
    """Features (n, r), r <= most, with phi phi' = K but for `tolerance`, relative to the largest k(x, x).

    None if `most` are not enough or K has full rank. Where on_course is given it decides instead, after every k
    features that leave a share `left` of the trace, the most included: None where not on_course(k, left).

    Cholesky with diagonal pivoting (Fine, Scheinberg, JMLR 2001): the next feature is the column of the sample that the
    features so far explain least.
    """
    n = source.n_samples
    most = min(most, n)
    on_course = (lambda k, left: k < most) if on_course is None else on_course
    everything, left = np.arange(n), source.diagonal()
    least = tolerance * max(left.max(), np.finfo(float).tiny)
    phi = np.empty((most, n))
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
    return np.ascontiguousarray(phi.T) if on_course(most, left.sum() / trace) else None


def solve_in_features(problem, features, workspace, lam):
    """The state of all samples, by interior steps on all of them and pivots on those near the margin.

    Parameters
    ----------
    problem : DualProblem
    features : Features of the kernel values of its distinct samples
    workspace : Workspace
    lam : float, where to begin

    Returns
    -------
    State
        Not `settled` where the sides could not be told, or the budget asks for more lam than the features allow.
    """
    X, rest, reach = features
    within = problem.within(min(reach, problem.largest_cost))
    block = whole_block(within, None, workspace.tally, X)
    solver = InteriorSolver(block, operator_in_features(X, rest, block.row, workspace.tally))
    iterate = solver.start(min(lam, reach))
    for gap in _GAPS:
        if np.isinf(reach):
            solver, inside = solver.follow(iterate, gap)
        else:
            inside = solver.solve(iterate, gap)
        if inside.flees or inside.point.lam > reach:
            break
        iterate = inside.iterate
        if np.count_nonzero(inside.side == FREE) > _MOST_FREE * (X.shape[1] + 1):
            continue
        start = State(inside.side, inside.point)
        near = near_margin(problem, start, _NEAR_COUNT, problem.n_samples)
        try:
            state, _ = refine(problem, start, near, workspace, most=_MOST_WORKING * np.count_nonzero(near))
        except TooLarge:
            continue
        if state.settled:
            return state
    return State(inside.side, inside.point)
