"""The one entry to the solvers: a problem in, a certified solution out, with its counts of work."""

from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from ..kernels.blas import dot
from .active_set import solve_block
from .buffer import Buffer, lent
from .distinct import Distinct
from .feasibility import is_least, least_budget, least_slack_shown
from .growth import between_classes, grow
from .kkt import BOUND, FREE, UNITS, ZERO, spread_of
from .levels import between_means, cold_state, first_lam, polish, solve_levels
from .linear import FACE, MOST_SAMPLES, features_of, solve_in_features, tells_vertex
from .problem import (
    Status,
    certify,
    constant_solution,
    feasible_duals,
    least_slack_intercept,
    on_their_bounds,
    slack_of,
)
from .smo import ascend, first_shape
from .sparse import is_sparse, solve_sparse
from .together import LARGEST, LARGEST_WALKED, MOST_ITERATIONS, solve_together, walk_together
from .work import Tally
from .working_set import TooLarge, Workspace, dense_features, whole_block

# lam is followed to this many times the inverse squared spread of the samples in feature space: a rounding error in
# K beta, some 1e-16 lam times a kernel value, stays far below the default tol. With many samples and a smooth kernel
# hundreds of free samples are dependent but for rounding long before that.
_REACH, _REACH_OF_MANY, _MANY = 1e8, 1e6, 400
# Where the samples are far from the origin but near each other that is not enough: lam times the largest kernel value
# stays below this, so that the rounding errors of a few duals do.
_DIGITS = 1e11
# Where even that leaves no certificate, lam is followed to this share of it.
_SHORTER = 1e-2
# Up to so many samples, and of a regression, all kernel values are evaluated at once, and the way to the solution is
# direct.
_DIRECT, _DIRECT_REGRESSION = 1000, 800
# Pivots of fewer samples of classes cost less than features that are found; where the way is not direct a step with
# these may take so many multiplications, and so many where samples are many and steps see those near the margin alone.
_FEWEST, _MOST_COST, _MOST_COST_OF_MANY = 400, 4e6, 3e7
# Of a regression features that are found leave this share of what they may: its residuals have no gap about the edges
# of the tube, and pivots that mend sides told wrongly cost more than further features. So does a budget of classes, and
# less of it where samples are many: the lam that it asks for is not known.
_FINER, _FINER_OF_BUDGETS = 1e-2, 0.1
# From so many samples of a regression on, so many features of so many multiplications: pivots of its many free samples
# cost more.
_MANY_NUMBERS, _MOST_OF_NUMBERS, _MOST_COST_OF_NUMBERS = 2000, 200, 1e8
# Of classes those that tell no vertex are sought again, to leave this share where a step takes so many multiplications;
# so many features of so many where more than a share of the samples are on the margin: f is the constant but for little
# where nothing tells the classes apart, and pivots take a hundred times as long.
_FINEST, _MOST_FINEST, _MOST_OF_FACES, _MOST_COST_OF_FACES, _FACE_SHARE = 1e-6, 1e7, 400, 3e8, 0.5
# Features that are found and reach so many times lam are nearly all that there are.
_TOLD = 1e3
# From this many problems on they are solved together.
SEVERAL = 3
# Samples from which the spread is told, and that a solve which got nowhere ends with.
_PROBE = 200
# Up to this many samples the linear programme that tells C_min costs less than the solution.
_SMALL_PROGRAMME = 1000
# How often zeros that were found wrong by the certificate take part in another solution, and how wrong they may be.
_MOST_TURNS, _WRONG = 10, 1e-9
# Where block steps left no certificate, pair steps go on: this many at most, and no more than this many kernel values.
_MOST_PAIR_STEPS, _MOST_KERNEL_VALUES = 20_000, 2e8


def solve(problem, *, solver="auto", tol=1e-3, max_iter=100_000, cache_size=200.0):
    """Solve one problem.

    Parameters
    ----------
    problem : DualProblem
    solver : a key of `SOLVERS`
    tol : float, largest violation, relative budget error and relative duality gap of a solution called optimal
    max_iter : int, most iterations: pivots, interior steps and pair steps together
    cache_size : float, megabytes of kernel values kept at a time

    Returns
    -------
    DualSolution
        Where no hyperplane within reach keeps the budget, the solution of the largest cost within reach, with the
        status INFEASIBLE_BUDGET or OUT_OF_REACH, its own total slack as `budget`, and C_min as `least_budget`.
    """
    if problem.is_trivial or problem.largest_budget == 0:
        return constant_solution(problem)
    tally = Tally(max_iter)
    method, counted = SOLVERS[solver], problem.counted(tally)
    distinct = Distinct.of(counted) if method is block_steps else None
    if distinct is None:
        counted, solution = _solve(counted, method, tally, tol, cache_size)
    else:
        # How far lam is followed is a matter of all samples.
        counted = reachable(counted)
        few, solution = _solve(distinct.problem.within(counted.largest_cost), method, tally, tol, cache_size)
        counted = counted.within(few.largest_cost)
        solution = distinct.spread(counted, solution, tol)
    return solved_or_beyond(replace(solution, work=tally.done()), counted, tol)


def _solve(problem, method, tally, tol, cache_size):
    """The problem with the largest cost that was in force, and its solution, by one of `SOLVERS`; by block steps on the
    samples between the classes, first, where these are apart or one is rare."""
    n = problem.n_distinct
    with Buffer.lent(cache_size, n) as buffer:
        workspace = Workspace(buffer, tally)
        start = between_classes(problem) if method is block_steps else None
        if start is not None:
            within = reachable(problem)
            solution = _between_classes(within, start, workspace, tol)
            if solution is not None:
                return within, solution
        if problem.source.n_features is not None or not is_direct(problem, buffer):
            return method(reachable(problem), workspace, tol, cache_size)
        with lent(n, n) as room:
            return method(reachable(problem.stored(room)), workspace, tol, cache_size)


def _between_classes(problem, start, workspace, tol):
    """The certified solution by the samples between the classes and those that join them; None where that is no way."""
    state = grow(problem, start, workspace)
    solution = None if state is None else certified(problem, state, workspace.tally, tol)
    return None if solution is None or not solution.is_within(tol) else solution


def solve_many(stack, *, solver="auto", tol=1e-3, max_iter=100_000):
    """Solve those problems together that allow it.

    Parameters
    ----------
    stack : Stack
    solver, tol, max_iter : as for `solve`

    Returns
    -------
    list of DualSolution or None, one for each problem; None where `solve` has to
    """
    solutions = [None] * len(stack)
    if SOLVERS[solver] is not block_steps or max_iter < MOST_ITERATIONS or len(stack) < SEVERAL:
        return solutions
    which = np.flatnonzero(stack.sizes <= LARGEST)
    if stack.budget is not None:
        which = which[stack.budget[which] < stack.largest_budget[which] * (1.0 - 1e-12)]
    for row, solution in zip(which, solve_together(stack.take(which), _REACH, tol), strict=True):
        solutions[row] = solution
    return solutions


def walk_many(stack, costs, *, tol=1e-3, max_iter=100_000):
    """Solve those problems for rising costs together that allow it.

    Returns
    -------
    list of lists of DualSolution or None : for each cost one for each problem, None where `walk` has to
    """
    which = np.flatnonzero(stack.sizes <= LARGEST_WALKED)
    solutions = [[None] * len(stack) for _ in costs]
    if max_iter >= MOST_ITERATIONS and stack.features is None and len(which) >= SEVERAL:
        for row, found in zip(solutions, walk_together(stack.take(which), costs, tol), strict=True):
            for k, solution in zip(which, found, strict=True):
                row[k] = solution
    return solutions


def is_direct(problem, buffer):
    """Whether all kernel values are few, and fit in memory."""
    most = _DIRECT if problem.source.index is None else _DIRECT_REGRESSION
    return problem.n_distinct <= min(most, buffer.capacity)


def reachable(problem):
    """The problem with lam followed no further than doubles can tell, from the spread of evenly spaced samples.

    A cost that is given is not followed, nor is lam where that is known.
    """
    if problem.cost is not None or np.isfinite(problem.largest_cost):
        return problem
    n = problem.n_distinct
    probe = _probe(n)
    reach = _REACH if n <= _MANY or problem.source.n_features is not None else _REACH_OF_MANY
    gram = problem.source.distinct.block(probe, probe)
    largest = float(np.abs(np.diagonal(gram)).max()) or 1.0
    return problem.within(min(reach / spread_of(gram), _DIGITS / largest))


def block_steps(problem, workspace, tol, cache_size):
    """Exact block steps, nearer where lam is followed too far for them, and pair steps from where they end.

    Returns
    -------
    DualProblem : with the largest cost that was in force
    DualSolution
    """
    tally, nearer = workspace.tally, problem.within(_SHORTER * problem.largest_cost)
    solution = _attempt(problem, workspace, tol)
    is_far = problem.budget is not None and solution is not None and solution.lam >= nearer.largest_cost
    # So far out a certificate may be the luck of roundings.
    surely = tol - _rounding(problem, solution) if is_far else tol
    if solution is not None and (tally.left <= 0 or solution.is_within(surely)):
        return problem, solution
    if is_far:
        again = _attempt(nearer, workspace, tol)
        if again is not None and again.is_within(tol):
            return nearer, again
        if solution.is_within(tol):
            return problem, solution
    start = None if solution is None else (solution.beta, solution.lam)
    most = min(_MOST_PAIR_STEPS, _MOST_KERNEL_VALUES / problem.n_samples)
    end = ascend(problem, problem.lam_range[1], start=start, tol=tol, tally=tally, cache_size=cache_size, most=most)
    return problem, end if solution is None or end.error < solution.error else solution


def _rounding(problem, solution):
    """By how much a violation evaluated from other roundings of the kernel values may be another."""
    largest = float(np.abs(problem.source.distinct.diagonal()).max())
    return UNITS * np.finfo(float).eps * largest * np.linalg.norm(solution.beta)


def _attempt(problem, workspace, tol):
    """The certified solution by block steps; None where memory or an indefinite kernel stops them."""
    try:
        return _block_steps(problem, workspace, tol)
    except (TooLarge, np.linalg.LinAlgError):
        return None


def _block_steps(problem, workspace, tol):
    """The certified solution by block steps."""
    tally, direct = workspace.tally, is_direct(problem, workspace.buffer)
    start = cold_state(problem) if direct else None
    lam = start.point.lam if direct else first_lam(problem)
    solution = _in_features(problem, workspace, lam, direct, tol)
    if solution is not None:
        return solution
    if direct:
        block = whole_block(problem, problem.source.distinct.whole(), tally)
        start = between_means(problem, start, block.scale) if problem.source.index is None else start
        return certified(problem, solve_block(block, start, trusted=False), tally, tol)
    if is_sparse(problem):
        state = solve_sparse(problem, tally)
        if state.settled or tally.left <= 0:
            return certified(problem, state, tally, tol)
    state, part = solve_levels(problem, workspace, np.random.RandomState(0))
    for _ in range(_MOST_TURNS):
        solution = certified(problem, state, tally, tol)
        wrong = np.flatnonzero(~part & (solution.slack > _WRONG))
        if len(wrong) == 0 or tally.left <= 0:
            return solution
        part[wrong] = True
        side = state.side.copy()
        side[wrong] = FREE
        fit = problem.fit(state.point.beta)
        state = polish(problem, part, replace(state, side=side, point=state.point._replace(fit=fit)), workspace)
    return certified(problem, state, tally, tol)


def _in_features(problem, workspace, lam, direct, tol):
    """The certified solution by few features, by finer ones where these tell no vertex; None where that is no way."""
    of_classes = problem.source.index is None
    sought, is_first = _features_sought(problem, direct), True
    while sought is not None:
        features = features_of(problem.source.distinct, problem.n_distinct, lam, **sought)
        if features is None or not (is_first or features.reach >= _TOLD * lam):
            return None
        state = solve_in_features(problem, features, workspace, lam)
        if state is None:
            return None
        is_over, are_known = workspace.tally.left <= 0, features.reach >= problem.largest_cost
        if state.settled or is_over or are_known or features.reach >= _TOLD * state.point.lam:
            solution = certified(problem, state, workspace.tally, tol)
            if is_over or solution.is_within(tol if state.settled or are_known else min(tol, FACE)):
                return solution
            if of_classes and state.point.lam >= problem.largest_cost:
                softer = solve_in_features(problem.with_cost(lam), features, workspace, lam)
                solution = _grown_constant(problem, features.X, softer, workspace.tally, tol)
                if solution.is_within(tol):
                    return solution
        if are_known or tells_vertex(state, features.X):
            return None
        sought, is_first = _finer_sought(problem, state, direct) if is_first else None, False
    return None


def _finer_sought(problem, state, direct):
    """Which features are sought after some that told no vertex, as options of `features_of`; None for no others."""
    if problem.source.index is not None or problem.n_distinct > MOST_SAMPLES:
        return None
    if not direct and (state.side == FREE).mean() > _FACE_SHARE:
        return {"finer": _FINEST, "most_found": _MOST_OF_FACES, "most_cost": _MOST_COST_OF_FACES}
    return {"finer": _FINEST, "most_cost": _MOST_FINEST}


def _features_sought(problem, direct):
    """Which features are sought first, as options of `features_of`."""
    n, given = problem.n_distinct, problem.cost is not None
    if problem.source.index is not None:
        many = {"most_found": _MOST_OF_NUMBERS, "most_cost": _MOST_COST_OF_NUMBERS, "most_samples": np.inf}
        return {"finer": _FINER, **(many if n >= _MANY_NUMBERS else {})}
    if n > MOST_SAMPLES:
        many = {"most_cost": _MOST_COST_OF_MANY, "most_samples": np.inf}
        return {"finer": 1.0 if given else _FINER, **many}
    rough = {"fewest": _FEWEST} if direct else {"most_cost": _MOST_COST}
    finer = 1.0 if given else _FINER_OF_BUDGETS
    return {**rough, "finer": finer}


def _grown_constant(problem, X, state, tally, tol):
    """The solution of the largest cost where no hyperplane has less slack than a constant.

    It is that of a small cost, whose digits are not lost, with duals that grow with the cost; those of the free samples
    make w, in the features X, and the sum of all zero but for rounding.
    """
    hardest = problem.with_cost(problem.largest_cost)
    lam, A = hardest.cost, np.column_stack([X, np.ones(len(X))])
    beta = on_their_bounds(hardest, lam / state.point.lam * state.point.beta, lam)
    free = (beta != 0) & (beta != lam * problem.bound)
    beta[free] -= np.linalg.lstsq(A[free].T, A.T @ beta, rcond=None)[0]
    return certify(hardest, beta, lam, tally.done(), tol)


def certified(problem, state, tally, tol):
    """The solution record of a state; where lam ended at the largest, that of this cost."""
    beta, lam = state.point.beta, state.point.lam
    if problem.budget is not None and lam >= problem.largest_cost:
        problem = problem.with_cost(problem.largest_cost)
    if state.settled:
        return certify(problem, beta, lam, tally.done(), tol)
    snapped = feasible_duals(problem, on_their_bounds(problem, beta, lam), lam)
    solution = certify(problem, snapped, lam, tally.done(), tol)
    if solution.is_within(tol):
        return solution
    # Duals from within their bounds, on those that their sides name, or where some samples alone would begin.
    on_sides = np.select([state.side == ZERO, state.side == BOUND], [0.0, lam * problem.bound], beta)
    some = np.isin(np.arange(problem.n_samples), _probe(problem.n_samples))
    begun = np.where(some, lam * first_shape(problem), 0.0)
    ends = [_end(problem, feasible_duals(problem, duals, lam), lam) for duals in (beta, on_sides, begun)]
    best = min(ends, key=attrgetter("loss"))
    return certify(problem, best.beta, best.lam, tally.done(), tol)


class _End(NamedTuple):
    """Duals and lam that a solve may end with, and their loss: total slack, with |w|^2 / 2 where a cost is given."""

    beta: np.ndarray
    lam: float
    loss: float


def _end(problem, beta, lam):
    """An end with w in the direction of these duals, made as short as is best for the dual objective."""
    linear, sign, weight = problem.linear, problem.sign, problem.weight
    fit = linear - problem.gradient(beta)
    reward, squared_norm = dot(linear, beta), dot(beta, fit)
    share = reward / squared_norm if 0 < reward < squared_norm else 1.0
    residual = linear - share * fit
    slack = dot(weight, slack_of(residual - least_slack_intercept(residual, sign, weight), sign))
    if problem.budget is not None:
        return _End(share * beta, share * lam, slack)
    return _End(share * beta, lam, 0.5 * share**2 * squared_norm + lam * slack)


def _probe(n):
    """Evenly spaced samples that stand for all n, by number."""
    return np.unique(np.linspace(0, n - 1, min(_PROBE, n)).astype(int))


def pair_steps(problem, workspace, tol, cache_size):
    """Pair steps alone."""
    return problem, ascend(problem, problem.lam_range[1], tol=tol, tally=workspace.tally, cache_size=cache_size)


SOLVERS = {"auto": block_steps, "smo": pair_steps}


def solved_or_beyond(solution, problem, tol):
    """The solution, or what it is where its lam is the largest within reach and its slack more than the budget."""
    if problem.budget is None or solution.lam < problem.largest_cost or solution.status is Status.MAX_ITER:
        return solution
    if solution.keeps(problem.budget, tol):
        kept = certify(problem, solution.beta, solution.lam, solution.work, tol)
        return kept if kept.status is Status.OPTIMAL else solution
    shown = _least_slack_shown(problem, solution)
    known = is_least(solution.budget, shown)
    return solution.beyond(problem.budget, shown if known else least_budget(problem, small=_SMALL_PROGRAMME))


def _least_slack_shown(problem, solution):
    """The lower bound on C_min that the solution shows; -inf where few features are not known."""
    source = problem.source
    X = dense_features(source.features) if source.n_features is not None else None
    if X is None:
        return -np.inf
    return float(least_slack_shown(X, problem.linear, problem.bound, solution.beta, solution.lam))
