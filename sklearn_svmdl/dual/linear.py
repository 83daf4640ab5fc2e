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
from .interior import InteriorSolver, operator_in_features
from .kkt import BOUND, FREE, ZERO, Block, FixedSamples, Point
from .levels import coarse_problem, stratified_share
from .working_set import TooLarge, dense_features, inward, near_margin, refine, whole_block

# Features are few up to this share of the samples, and those that are found up to so many, and while a step with them
# takes no more multiplications than this.
_FEW_FEATURES, _MOST_FOUND, _MOST_COST = 0.35, 96, 2e6
# lam times what found features leave of k(x, x) should change f by no more than this, and must by no more than so many
# times it; they leave between so little and so much of a typical k(x, x). Where the most features leave no more than
# so many times that on average they will do.
_UNSEEN, _MOST_SEEN, _LEAST_LEFT, _MOST_LEFT, _ROUGHLY = 1e-2, 30.0, 1e-13, 3e-2, 5.0
# The search goes on while it is on course: after every so many features this share of the trace may be left at first,
# and from there on a share that falls geometrically to what will do of the most features.
_FIRST_LOOK, _FIRST_LEFT = 16, 0.7
# The fewest and the most samples for which they are sought: pivots of few cost less, and coarse to fine of more.
_FEWEST_SAMPLES, _MOST_SAMPLES = 80, 5000
# More free samples than these, as a multiple of those at a vertex, say that the sides cannot be told yet.
_MOST_FREE = 20
# Relative gaps at which sides are handed over; samples beside the margin that join the free ones and as many others.
_GAPS = (1e-4, 1e-6, 1e-9)
_NEAR_COUNT = 50
# A working set that outgrows its start so many times started from sides that could not be told yet.
_MOST_WORKING = 4
# From so many samples a feature on the steps begin on a share of them, to this relative gap. Its error in f leaves
# about so many times sqrt(features / samples) of all samples near the margin, and of these this share may be wrong.
_MANY_PER_FEATURE, _RATIO, _GAP_BELOW, _BAND, _FEW_WRONG = 100, 8, 1e-3, 2.0, 0.01
_SMALLEST = np.finfo(float).tiny


class Features(NamedTuple):
    """Few features: X (n, r) with K = X X' + diag(rest) as far as duals of up to lam = `reach` can tell."""

    X: np.ndarray
    rest: np.ndarray
    reach: float = np.inf


def features_of(source, n, lam, few=_FEW_FEATURES, most_cost=_MOST_COST):
    """Features few enough to step in their dimension, known, or found for duals of some lam; None without.

    Parameters
    ----------
    source : of the samples
    n : int, how many of them a problem has
    lam : float
    few : float, up to what share of n features are few
    most_cost : float, multiplications that a step with features that are found may take

    Returns
    -------
    Features or None
    """
    if source.n_features is not None:
        X = dense_features(source.features) if source.n_features <= few * n else None
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
    tolerance = max(share * typical / largest, _LEAST_LEFT)
    X = pivoted_cholesky(source, most, tolerance, on_course=lambda k, left: left <= _hoped(k, most, _ROUGHLY * share))
    if X is None:
        return None
    rest = np.maximum(diagonal - np.einsum("ij,ij->i", X, X), 0.0)
    return Features(X, rest, _MOST_SEEN * _UNSEEN / max(float(rest.max()), _LEAST_LEFT * largest))


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
    """The state of all samples, by interior steps on all of them, or those near the margin, and pivots on the nearest.

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
    steps = _begin(problem.within(min(reach, problem.largest_cost)), X, rest, min(lam, reach), workspace.tally)
    for gap in _GAPS:
        state, flees = steps.go_on(gap, follows=np.isinf(reach))
        if flees or state.point.lam > reach:
            break
        if np.count_nonzero(state.side == FREE) > _MOST_FREE * (X.shape[1] + 1):
            continue
        near = near_margin(problem, state, _NEAR_COUNT, problem.n_samples)
        try:
            done, _ = refine(problem, state, near, workspace, most=_MOST_WORKING * np.count_nonzero(near))
        except TooLarge:
            continue
        if done.settled:
            return done
    return state


def _begin(problem, X, rest, lam, tally):
    """The interior steps on a problem: on all samples or, where they are many, on those that may be near the margin."""
    n, r = X.shape
    if problem.source.index is not None or n < _MANY_PER_FEATURE * r or np.any(rest):
        return _Steps(problem, X, rest, np.ones(problem.n_samples, dtype=bool), np.zeros(problem.n_samples), lam, tally)
    chosen = stratified_share(problem.sign, _RATIO, np.random.RandomState(0))
    share = len(chosen) / n
    # The same hyperplane costs fewer samples more each.
    few = coarse_problem(problem, chosen).within(problem.largest_cost / share)
    few = few if problem.cost is None else few.with_cost(problem.cost / share)
    below = _begin(few, X[chosen], rest[chosen], lam / share, tally)
    point = below.go_on(_GAP_BELOW)[0].point
    w = matmul(X[chosen].T, point.beta)
    into = inward(problem, Point(None, None, point.intercept, matmul(X, w)))
    count = min(int(_BAND * n * np.sqrt(r / len(chosen))), n - 1)
    near = np.abs(into) <= np.partition(np.abs(into), count)[count]
    return _Steps(problem, X, rest, near, np.where(into > 0, problem.bound, 0.0), share * point.lam, tally)


class _Steps:
    """Interior steps on the samples near the margin, which grow by those that the others turn out to be wrong about.

    Portnoy, Koenker, The Gaussian hare and the Laplacian tortoise (Statist. Sci. 1997).

    Parameters
    ----------
    near : mask (n,) of the samples that take part
    t : ndarray (n,), where the others stand: zero or their bound
    """

    def __init__(self, problem, X, rest, near, t, lam, tally):
        self.problem, self.X, self.rest, self.tally = problem, X, rest, tally
        self.near, self.t = near, np.where(near, 0.0, t)
        self._restart(lam)

    def _restart(self, lam):
        """Interior steps anew, on the samples that are near now."""
        problem, here = self.problem, self.near.nonzero()[0]
        if len(here) == len(self.near):
            self.w, block = None, whole_block(problem, None, self.tally, self.X)
            X, rest = self.X, self.rest
        else:
            t, X, rest = self.t, self.X[here], self.rest[here]
            self.w = matmul(self.X.T, t)
            fixed = FixedSamples(matmul(X, self.w), dot(self.w, self.w), dot(problem.linear, t), float(t.sum()))
            given = problem.charge, fixed, problem.lam_range, X, None, self.tally
            block = Block(None, problem.linear[here], problem.bound[here], *given)
        self.here = here
        self.solver = InteriorSolver(block, operator_in_features(X, rest, block.row, self.tally))
        self.iterate = self.solver.start(lam)

    def go_on(self, gap, follows=True):
        """The state of all samples once the relative gap is as small as `gap`, and whether lam fled.

        Where `follows`, a lam that flees leads to the problem of the largest cost.
        """
        while True:
            flees = False
            if follows:
                self.solver, inside = self.solver.follow(self.iterate, gap)
            else:
                inside = self.solver.solve(self.iterate, gap)
                flees = inside.flees
            self.iterate = inside.iterate
            if self.w is None:
                return State(inside.side, inside.point), flees
            state = self._spread(inside)
            into = inward(self.problem, state.point)
            wrong = ~self.near & (into * np.where(self.t == 0, 1.0, -1.0) > 0)
            n_wrong = np.count_nonzero(wrong)
            if n_wrong <= _FEW_WRONG * len(self.here) or self.tally.left <= 0:
                return state, flees
            self.near = self.near | (np.abs(into) <= np.abs(into[wrong]).max())
            self.t[self.near] = 0.0
            self._restart(state.point.lam)

    def _spread(self, inside):
        """The state of all samples: those near as solved, the others where they stand."""
        lam, X = inside.point.lam, self.X
        side, beta = np.where(self.t == 0, ZERO, BOUND), lam * self.t
        side[self.here], beta[self.here] = inside.side, inside.point.beta
        fit = matmul(X, lam * self.w + matmul(X[self.here].T, inside.point.beta))
        return State(side, Point(beta, lam, inside.point.intercept, fit))
