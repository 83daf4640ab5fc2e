"""The one entry to the solvers: a budget problem in, a certified solution out."""

from dataclasses import replace
from functools import partial

import numpy as np

from .gram import Room
from .levels import solve_levels
from .band import OutOfReach, TooLarge, largest_band
from .feasibility import least_budget
from .pages import keep_freed_pages
from .problem import Status, certify, feasible_duals
from .smo import ascend, starting_point

# The least-slack hyperplane is that of a budget just above C_min, by this share of C_max - C_min: at C_min itself the
# multiplier is barely determined, and nearly equal points with different labels can put it beyond the reach of doubles.
_RELAXATIONS = (1e-6, 1e-4, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0 - 1e-6)
# Where the way down to a budget within reach begins.
_MIDWAY = 0.4


def constant_solution(problem):
    """The optimum for C >= C_max: w = 0 and b = the heavier class (the positive one where both weigh the same)."""
    y, s = problem.target, problem.weight
    majority = 1.0 if s @ y >= 0 else -1.0
    beta = np.zeros(problem.n_samples)
    solution = certify(problem, beta, 0.0, y, n_iter=0, tol=0.0)
    return replace(
        solution,
        intercept=majority,
        slack=np.maximum(0.0, 1.0 - y * majority),
        duality_gap=0.0,
        violation=0.0,
        budget_error=0.0,
        infeasibility=0.0,
        status=Status.UNBOUNDED_MARGIN,
    )


def block_steps(problem, _, tol, max_iter, cache_size):
    """Exact block steps from coarse to fine; None where memory or an indefinite kernel stops them."""
    try:
        guess = solve_levels(problem, Room(largest_band(cache_size)), np.random.RandomState(0))
    except (TooLarge, np.linalg.LinAlgError):
        return None
    # The last looks summed this fit from kernel values, not from steps.
    solution = certify(problem, guess.beta, guess.lam, problem.target - guess.fit, guess.n_iter, tol)
    return solution if np.isfinite(solution.duality_gap) else None


def pair_steps(problem, start, tol, max_iter, cache_size):
    """Pair steps, from a solution or from nothing; whichever of start and end has the smaller gap."""
    beta = None if start is None or not start.lam > 0 else feasible_duals(problem, start.beta, start.lam)
    # Where the duals earn less than the budget costs, the ray through them climbs toward beta = lam = 0 only.
    if beta is None or not problem.target @ beta > start.lam * problem.budget:
        unit, lam = starting_point(problem)
        return ascend(problem, lam * unit, lam, tol=tol, max_iter=max_iter, cache_size=cache_size)
    end = ascend(problem, beta, start.lam, tol=tol, max_iter=max_iter, cache_size=cache_size)
    better = end.is_within(tol) or end.duality_gap < start.duality_gap or start.infeasibility > tol
    return end if better else start


# What each solver does, one after the other until a certificate holds. Pair steps always make progress.
PHASES = {"auto": (block_steps, pair_steps), "smo": (pair_steps,)}


def solve_budget_dual(problem, *, solver="auto", tol=1e-3, max_iter=100_000, cache_size=200.0):
    """Solve one binary budget problem.

    Parameters
    ----------
    problem : BudgetProblem
    solver : a key of `PHASES`
    tol : float, largest violation and relative budget error of a solution called optimal
    max_iter : int, most pair steps
    cache_size : float, megabytes of kernel values kept at a time

    Returns
    -------
    DualSolution
        Status INFEASIBLE_BUDGET comes with the solution of least slack within the reach of doubles: its `budget` is
        the one in force, its `least_budget` the smallest feasible one. It is also the status of feasible budgets out
        of reach.
    """
    if problem.budget >= problem.largest_budget:
        return constant_solution(problem)
    keep_freed_pages()
    phases = [partial(phase, tol=tol, max_iter=max_iter, cache_size=cache_size) for phase in PHASES[solver]]
    solution, in_reach = attempt(phases[0], problem)
    if _holds(solution):
        return solution
    # Without a certificate the budget may be infeasible: ask before spending more on it.
    least = least_budget(problem)
    if least >= problem.largest_budget * (1.0 - 1e-9):
        constant = constant_solution(problem.with_budget(problem.largest_budget))
        return replace(constant, status=Status.INFEASIBLE_BUDGET, least_budget=least)
    if problem.budget < least * (1.0 - 1e-9):
        relaxed = least_slack_solution(problem, least, phases)
        return replace(relaxed, status=Status.INFEASIBLE_BUDGET, least_budget=least)
    if not in_reach and problem.source.n_features is None:
        # On finitely many features the norm is finite: there it is only hard to get near.
        relaxed = least_slack_solution(problem, least, phases, _MIDWAY)
        return replace(relaxed, status=Status.INFEASIBLE_BUDGET, least_budget=least)
    return finished(problem, solution, phases[1:])


def attempt(phase, problem):
    """The phase's solution or None, and whether the budget is within the reach of doubles."""
    try:
        return phase(problem, None), True
    except OutOfReach:
        return None, False


def finished(problem, solution, phases):
    """The solution after the given phases, as far as they are needed."""
    for phase in phases:
        if not _holds(solution):
            solution = phase(problem, solution)
    return solution


def least_slack_solution(problem, least, phases, start=0.0):
    """The solution of the least of the relaxed budgets that the first phase can certify.

    It begins `start` of the way to the largest budget and goes down while that succeeds, or else up until it does: the
    closer to what can be reached, the more an attempt costs.
    """
    shares = [share for share in _RELAXATIONS if relaxed_by(share, problem, least).budget > problem.budget]
    shares = shares or [_RELAXATIONS[-1]]
    first = next((k for k, share in enumerate(shares) if share >= start), len(shares) - 1)
    best = None
    for share in reversed(shares[: first + 1]):
        solution, _ = attempt(phases[0], relaxed_by(share, problem, least))
        if not _holds(solution):
            break
        best = solution
    if best is not None:
        return best
    for share in shares[first + 1 :]:
        solution, _ = attempt(phases[0], relaxed_by(share, problem, least))
        if _holds(solution):
            return solution
    return finished(relaxed_by(shares[-1], problem, least), solution, phases[1:])


def relaxed_by(share, problem, least):
    """The problem with the budget `share` of the way from the least to the largest."""
    return problem.with_budget(least + share * (problem.largest_budget - least))


def _holds(solution):
    return solution is not None and solution.status is Status.OPTIMAL
