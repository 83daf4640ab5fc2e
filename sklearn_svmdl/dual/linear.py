"""Few features: interior steps in their dimension find the sides of all samples, the active set the solution.

K = X X' makes a step cost O(n d^2) instead of O(n^3), and K beta two products with X; no level of fewer samples is
needed. At most d + 1 samples are free at a vertex: the working set is small, however many samples there are.
"""

import numpy as np

from .active_set import State
from .interior import InteriorSolver, _Factored
from .kkt import FREE, Block, FixedSamples
from .working_set import TooLarge, dense_features, inward, refine

# From this many samples on, and with at most this share of features.
_FEWEST, _FEW_FEATURES = 400, 0.1
# More free samples than these, as a multiple of those at a vertex, say that the sides cannot be told yet.
_MOST_FREE = 20
# Relative gaps at which sides are handed over, and samples beside the margin that join the free ones.
_GAPS = (1e-4, 1e-6, 1e-9)
_NEAR_PER_FREE, _NEAR_COUNT = 2, 50
# A working set that outgrows its start so many times started from sides that could not be told yet.
_MOST_WORKING = 4


def features_of(problem):
    """Features few enough to step in their dimension, dense, or None."""
    X = problem.source.features
    if X is None or problem.n_samples < _FEWEST or X.shape[1] > _FEW_FEATURES * problem.n_samples:
        return None
    return dense_features(X)


def solve_in_features(problem, X, workspace, lam):
    """The state of all samples, by interior steps on all of them and pivots on those near the margin.

    Parameters
    ----------
    problem : DualProblem on the kernel values X X'
    X : ndarray (n, d)
    workspace : Workspace
    lam : float, where to begin
    """
    n = problem.n_samples
    nothing = FixedSamples(np.zeros(n))
    block = Block(None, problem.linear, problem.bound, problem.charge, nothing, problem.lam_range, X, workspace.tally)
    solver = InteriorSolver(block, _Factored(X, workspace.tally))
    iterate = solver.start(lam)
    for gap in _GAPS:
        solver, inside = solver.follow(iterate, gap)
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
