"""Few features: interior steps in their dimension find the sides of all samples, the active set the solution.

K = X X' makes a step cost O(n d^2) instead of O(n^3), and K beta two products with X. Where samples are many a smooth
loss tells nearly where they stand (`smooth`), and the steps see those near the margin only. At most d + 1 samples are
free at a vertex: the working set is small, however many samples there are.

Every kernel is linear in some features, and many a kernel matrix is, but for a little, that of few: a polynomial of few
variables, a smooth kernel in two dimensions. The steps need no more than the sides, so features that leave out what
duals of up to some lam cannot make matter will do: the pivots that follow see the kernel itself. They tell what lam a
budget asks for where it is well below that one.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..kernels.blas import dot, matmul
from .active_set import Effort, State, solve_block
from .interior import PSTRF, InteriorSolver, operator_in_features
from .kkt import BOUND, FREE, ZERO, Block, FixedSamples, Point, inward, point_at
from .smooth import fit_of, normal_of, smooth_plane
from .working_set import TooLarge, dense_features, near_margin, nearest, refine, whole_block

# Features that are known are few up to this share of the samples, those that are found up to another, as pivots cost
# less than more of them, up to so many, and while a step with them takes no more multiplications than this, or so many
# times as many where lam times a typical k(x, x) is large: pivots take longer there.
_FEW_KNOWN, _FEW_FOUND, _MOST_FOUND, _MOST_COST, _HARD, _HARDER = 0.35, 0.2, 96, 2e6, 3.0, 5.0
# lam times what found features leave of k(x, x) should change f by no more than this, and must by no more than so many
# times it; they leave between so little and so much of a typical k(x, x). Where the most features leave no more than
# so many times that on average they will do.
_UNSEEN, _MOST_SEEN, _LEAST_LEFT, _MOST_LEFT, _ROUGHLY = 1e-2, 30.0, 1e-13, 3e-2, 5.0
# The search goes on while it is on course: after every so many features this share of the trace may be left at first,
# and from there on a share that falls geometrically to what will do of the most features.
_FIRST_LOOK, _FIRST_LEFT = 16, 0.7
# First of all so many samples for each of the most features tell whether there is hope.
_OF_EACH = 2
# The fewest and the most samples for which they are sought: pivots of few cost less, and coarse to fine of more than
# steps on all of them.
_FEWEST_SAMPLES, MOST_SAMPLES = 80, 5000
# More free samples than these, as a multiple of those at a vertex, say that the sides cannot be told yet, or that there
# is none: the duals of samples that stand on the margin together are a face. There interior steps end in a solution
# that is certified to so much.
MOST_FREE, FACE = 6, 1e-5
# Relative gaps at which sides are handed over; samples beside the margin that join the free ones and as many others.
_GAPS = (1e-4, 1e-6, 1e-9, 1e-12)
_NEAR_COUNT = 50
# Pivots alone.
_PIVOTS = Effort(gaps=())
# How far a sample may be held on the wrong side of the margin.
_WRONG = 1e-9
# A working set that outgrows its start so many times started from sides that could not be told yet.
_MOST_WORKING = 4
# From so many samples, and so many a feature, on a smooth loss tells who is near the margin; of a budget it tells lam,
# too, which interior steps alone may take long to find: from fewer on, but not of features that are found.
_MANY, _MANY_WITH_BUDGET = (1000, 30), (300, 15)
# So many times the samples within its width are near the margin; of as many as these this share may be held on the
# wrong side. What is held there takes part, so many times at most; where it is so many times as much as took part, and
# a larger share of all, everyone does.
_BAND, _FEW_WRONG, _MOST_TURNS, _OUTGROWN, _MOST_TAKEN = 4, 0.01, 10, 4, 0.3
# Features that are found are believed to tell a budget's lam up to this share of what they reach.
_WELL_WITHIN = 0.3
# Next to the least slack a smooth loss tells any lam: steps begin with no more than so many times the first.
_FURTHEST = 1e3
_SMALLEST = np.finfo(float).tiny


class Features(NamedTuple):
    """Few features: X (n, r) with K = X X' + diag(rest) as far as duals of up to lam = `reach` can tell."""

    X: np.ndarray
    rest: np.ndarray
    reach: float = np.inf


def features_of(
    source,
    n,
    lam,
    few=_FEW_FOUND,
    most_found=_MOST_FOUND,
    most_cost=_MOST_COST,
    finer=1.0,
    fewest=_FEWEST_SAMPLES,
    most_samples=MOST_SAMPLES,
):
    """Features few enough to step in their dimension, known, or found for duals of some lam; None without.

    Parameters
    ----------
    source : of the samples
    n : int, how many of them a problem has
    lam : float
    few, most_found : float, int, up to what share of n, and what number, features that are found are few
    most_cost : float, multiplications that a step with features that are found may take, where lam is not large
    finer : float, the search goes on to leave this share of what must be left, where the features stay few
    fewest, most_samples : int, the samples of which features are sought

    Returns
    -------
    Features or None
    """
    if source.n_features is not None:
        X = dense_features(source.features) if source.n_features <= _FEW_KNOWN * n else None
        return None if X is None else Features(X, np.zeros(len(X)))
    if not fewest <= n <= most_samples:
        return None
    diagonal = source.diagonal()
    largest = float(diagonal.max())
    if largest <= 0:
        return None
    typical = max(float(diagonal.mean()), _LEAST_LEFT * largest)
    share = min(max(_UNSEEN / max(lam * typical, _SMALLEST), _LEAST_LEFT), _MOST_LEFT)
    most_cost *= _HARDER if lam * typical > _HARD else 1.0
    most = int(min(most_found, few * n, np.sqrt(most_cost / n)))
    tolerance = max(finer * share * typical / largest, _LEAST_LEFT)
    if left_of_some(source, n, most, tolerance * largest) > _ROUGHLY * share:
        return None
    X = pivoted_cholesky(source, most, tolerance, on_course=lambda k, left: left <= _hoped(k, most, _ROUGHLY * share))
    if X is None:
        return None
    rest = np.maximum(diagonal - np.einsum("ij,ij->i", X, X), 0.0)
    return Features(X, rest, _MOST_SEEN * _UNSEEN / max(float(rest.max()), _LEAST_LEFT * largest))


def left_of_some(source, n, most, tolerance):
    """The share of the trace that `most` features leave of twice as many evenly spaced samples; all leave more."""
    some = np.linspace(0, n - 1, min(_OF_EACH * most, n)).astype(int)
    gram = source.block(some, some)
    factor, _, rank, _ = PSTRF(gram, tol=tolerance, lower=True)
    told = np.tril(factor[:, : min(rank, most)])
    return 1.0 - dot(told.ravel(), told.ravel()) / (np.trace(gram) or 1.0)


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
    State or None
        Not `settled` where the sides could not be told, or the budget asks for more lam than the features allow; None
        where it does so of many samples, of which no step is to see all.
    """
    X, rest, reach = features
    within, lam = problem.within(min(reach, problem.largest_cost)), min(lam, reach)
    near = _near_margin(within, X, rest, lam, workspace.tally)
    # Features that are found for some lam may not reach what a budget asks for, and steps on all take long of many.
    is_limited = problem.budget is not None and reach < problem.largest_cost
    is_long = len(X) > MOST_SAMPLES and np.any(rest)
    if is_limited and near is not None and near.iterate.lam > _WELL_WITHIN * reach:
        near = None
    if near is not None:
        state = _exact(problem, near, reach, workspace)
        everyone = near.here is None and near.problem is within
        if everyone or is_long or (state.settled and not _is_idle(problem, state.point)):
            return state
    if is_long and is_limited:
        return None
    everywhere = _Steps(within, X, rest, within.n_samples, Point(None, lam, None, None), workspace.tally)
    return _exact(problem, everywhere, reach, workspace)


def _is_idle(problem, point):
    """Whether lam is the largest although less would keep the budget."""
    if problem.budget is None or point.lam < problem.largest_cost:
        return False
    return dot(problem.weight, np.maximum(inward(problem, point), 0.0)) <= problem.budget


def _exact(problem, steps, reach, workspace):
    """The state of all samples by pivots near the margin, from where interior steps end.

    Where pivots fail on features that are known, a smaller gap tells the sides better. Where they reach as far
    as lam is followed, a lam that flees leads to the problem of the largest cost.
    """
    are_known, follows = np.isinf(reach), reach >= problem.largest_cost
    for gap in _GAPS:
        state, flees = steps.go_on(gap, follows, few=_FEW_WRONG if gap == _GAPS[0] else 0.0)
        if flees or state.point.lam > reach:
            break
        if not tells_vertex(state, steps.X):
            continue
        # Where lam ends at the largest the solution is that of this cost.
        is_hardest = problem.budget is not None and state.point.lam >= problem.largest_cost
        asked = problem.with_cost(problem.largest_cost) if is_hardest else problem
        if are_known and problem.source.index is None:
            effort = _PIVOTS if gap > _GAPS[-1] else Effort()
            done = _at_vertex(asked, steps.X, state, workspace.tally, effort)
        else:
            done = _by_pivots(asked, state, workspace)
        if done.settled:
            return done
    return state


def tells_vertex(state, X):
    """Whether no more samples seem free than may lead to a vertex in these features."""
    return np.count_nonzero(state.side == FREE) <= MOST_FREE * (X.shape[1] + 1)


def _by_pivots(problem, state, workspace):
    """The state by pivots on the samples near the margin, which see the kernel itself."""
    near = near_margin(problem, state, _NEAR_COUNT, problem.n_samples)
    try:
        return refine(problem, state, near, workspace, most=_MOST_WORKING * np.count_nonzero(near))[0]
    except TooLarge:
        return state


def _at_vertex(problem, X, state, tally, effort):
    """The state by pivots on the samples near the margin, of known features: those held elsewhere add but their sum.

    Those that turn out to stand wrong take part.
    """
    near = near_margin(problem, state, _NEAR_COUNT, problem.n_samples)
    most = _MOST_WORKING * np.count_nonzero(near)
    while np.count_nonzero(near) <= most:
        (here,) = near.nonzero()
        held = np.where(near | (state.side != BOUND), 0.0, problem.bound)
        w = normal_of(problem, X, held)
        block = _block_near(problem, X[here], None, here, held, w, tally)
        block = replace(block, gram=problem.source.block(here, here))
        start = State(state.side[here], point_at(block, state.point.beta[here], state.point.lam, state.point.intercept))
        solved = solve_block(block, start, effort)
        if not solved.settled:
            break
        state = _spread(problem, X, here, held, w, solved)
        wrong = _held_wrong(problem, state.point, near, held, _WRONG)
        if len(wrong) == 0:
            return state
        near[wrong] = True
    return replace(state, settled=False)


def _block_near(problem, X, row, here, held, w, tally):
    """The block of the variables `here`, of samples with the features X, where others are held at their bounds `held`,
    with the sum w; `row` is the sample of each, None where that is itself."""
    pull = matmul(X, w)
    fixed = FixedSamples(pull if row is None else pull[row], dot(w, w), dot(problem.linear, held), float(held.sum()))
    return Block(
        None, problem.linear[here], problem.bound[here], problem.charge, fixed, problem.lam_range, X, row, tally
    )


def _held_wrong(problem, point, near, held, tolerance):
    """The samples outside `near` that the point has on the wrong side of the margin."""
    into = inward(problem, point) * np.where(held == 0, 1.0, -1.0)
    into[near] = 0.0
    return np.flatnonzero(into > tolerance)


def _spread(problem, X, here, held, w, solved):
    """The state of all variables: those `here` as solved, the others where they are held."""
    lam, beta, side = solved.point.lam, solved.point.lam * held, np.where(held == 0, ZERO, BOUND)
    side[here], beta[here] = solved.side, solved.point.beta
    free = np.zeros(len(beta))
    free[here] = solved.point.beta
    fit = fit_of(problem, X, lam * w + normal_of(problem, X, free))
    return replace(solved, side=side, point=Point(beta, lam, solved.point.intercept, fit))


def _near_margin(problem, X, rest, lam, tally):
    """The interior steps on the samples near the margin, as a smooth loss tells them.

    None where there are few samples. Where no hyperplane seems to keep the budget, those of the largest cost.
    """
    n, r = X.shape
    many, many_per_feature = _MANY if problem.budget is None else _MANY_WITH_BUDGET
    many = _MANY[0] if np.any(rest) else many
    if n < max(many, many_per_feature * r):
        return None
    plane = smooth_plane(problem, X, lam, tally)
    if plane is None:
        return None
    if problem.budget is not None and plane.lam >= problem.largest_cost:
        problem = problem.with_cost(problem.largest_cost)
    lam = min(plane.lam, _FURTHEST * lam) if problem.cost is None else problem.cost
    point = Point(None, lam, plane.intercept, fit_of(problem, X, plane.w))
    into = inward(problem, point)
    near = _BAND * np.count_nonzero((into > 0) & (into < plane.width)) + _NEAR_COUNT
    return _Steps(problem, X, rest, near, point, tally)


def _balance(bound, total):
    """Whether variables between zero and these bounds can make up for a total."""
    return np.minimum(bound, 0.0).sum() <= -total <= np.maximum(bound, 0.0).sum()


def _with_other_sides(problem, here):
    """These variables and the other sides of their samples, the samples, and the place of each variable's among them,
    None where each is a sample by itself."""
    index = problem.source.index
    if index is None:
        return here, here, None
    samples = np.unique(index[here])
    (here,) = np.isin(index, samples).nonzero()
    return here, samples, np.searchsorted(samples, index[here])


class _Steps:
    """Interior steps on the samples near the margin, the others held where a first hyperplane has them.

    Portnoy, Koenker, The Gaussian hare and the Laplacian tortoise (Statist. Sci. 1997).

    Parameters
    ----------
    X, rest : as of `Features`
    count : int, how many samples take part, where they are not all
    point : Point, the hyperplane, and lam to begin with
    """

    def __init__(self, problem, X, rest, count, point, tally):
        self.problem, self.X, self.rest, self.tally = problem, X, rest, tally
        here = None
        if count < problem.n_samples:
            into = inward(problem, point)
            here, self.t = nearest(np.abs(into), count), np.where(into > 0, problem.bound, 0.0)
        self._begin(here, point.lam)

    def _begin(self, here, lam):
        """Begin on these variables, and the other sides of their samples, on all if None."""
        problem, X, rest = self.problem, self.X, self.rest
        if here is not None:
            here, samples, row = _with_other_sides(problem, here)
            self.t[here] = 0.0
            here = here if _balance(problem.bound[here], self.t.sum()) else None
        self.here = here
        if here is None:
            block = whole_block(problem, None, self.tally, X)
        else:
            self.w, X, rest = normal_of(problem, X, self.t), X[samples], rest[samples]
            block = _block_near(problem, X, row, here, self.t, self.w, self.tally)
        self.solver = InteriorSolver(block, operator_in_features(X, rest, block.row, self.tally))
        self.iterate = self.solver.start(lam)

    def once(self, gap, follows=True):
        """The state of all samples once the relative gap is as small as `gap`, and whether lam fled.

        Where `follows`, a lam that flees leads to the problem of the largest cost.
        """
        flees = False
        if follows:
            self.solver, inside = self.solver.follow(self.iterate, gap)
        else:
            inside = self.solver.solve(self.iterate, gap)
            flees = inside.flees
        self.iterate = inside.iterate
        state = State(inside.side, inside.point)
        return state if self.here is None else _spread(self.problem, self.X, self.here, self.t, self.w, state), flees

    def go_on(self, gap, follows=True, few=_FEW_WRONG):
        """As `once`; where more than a few samples that are held stand wrong they take part, and the steps begin anew.

        `few` is a share of those that take part.
        """
        for _ in range(_MOST_TURNS):
            state, flees = self.once(gap, follows)
            if self.here is None or self.tally.left <= 0:
                break
            wrong = _held_wrong(self.problem, state.point, self.here, self.t, 0.0)
            if len(wrong) <= few * len(self.here):
                break
            is_lost = len(wrong) > max(_OUTGROWN * len(self.here), _MOST_TAKEN * self.problem.n_samples)
            self._begin(None if is_lost else np.concatenate([self.here, wrong]), state.point.lam)
        return state, flees
