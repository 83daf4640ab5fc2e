"""The one entry to the solvers: a budget problem in, a certified solution out."""

from dataclasses import replace
from functools import partial

import numpy as np

from .feasibility import least_budget
from .levels import TooLarge, largest_band, solve_levels
from .problem import Status, certify
from .smo import ascend, starting_point

# The least-slack hyperplane is that of a budget just above C_min, by this share of C_max: at C_min itself the multiplier
# is barely determined, and nearly equal points with different labels can put it beyond the reach of doubles.
_RELAXATIONS = (1e-6, 1e-4, 1e-2, 0.1, 0.3)


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
        status=Status.UNBOUNDED_MARGIN,
    )


def block_steps(problem, _, tol, max_iter, cache_size):
    """Exact block steps from coarse to fine; None where they end without a finite solution."""
    try:
        guess = solve_levels(problem, largest_band(cache_size), np.random.RandomState(0))
    except (TooLarge, np.linalg.LinAlgError):
        return None
    # The last look summed this fit from kernel values, not from steps.
    solution = certify(problem, guess.beta, guess.lam, problem.target - guess.fit, guess.n_iter, tol)
    return solution if np.isfinite(solution.duality_gap) else None


def pair_steps(problem, start, tol, max_iter, cache_size):
    """Pair steps, from a solution or from nothing; whichever of start and end has the smaller violation."""
    if start is None:
        unit, lam = starting_point(problem)
        return ascend(problem, lam * unit, lam, tol=tol, max_iter=max_iter, cache_size=cache_size)
    end = ascend(problem, start.beta, start.lam, tol=tol, max_iter=max_iter, cache_size=cache_size)
    return end if end.is_within(tol) or end.duality_gap < start.duality_gap else start


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
        Status INFEASIBLE_BUDGET comes with the least-slack solution: its `budget` is the one in force, its `least_budget`
        the smallest feasible one.
    """
    if problem.budget >= problem.largest_budget:
        return constant_solution(problem)
    limits = {"tol": tol, "max_iter": max_iter, "cache_size": cache_size}
    phases = [partial(phase, tol=tol, max_iter=max_iter, cache_size=cache_size) for phase in PHASES[solver]]
    solution = phases[0](problem, None)
    if _holds(solution):
        return solution
    # Without a certificate the budget may be infeasible: ask before spending more on it.
    least = least_budget(problem)
    if problem.budget < least * (1.0 - 1e-9):
        relaxed = least_slack_solution(problem, least, phases)
        return replace(relaxed, status=Status.INFEASIBLE_BUDGET, least_budget=least)
    return finished(problem, solution, phases[1:])


def finished(problem, solution, phases):
    """The solution after the given phases, as far as they are needed."""
    for phase in phases:
        if not _holds(solution):
            solution = phase(problem, solution)
    return solution


def least_slack_solution(problem, least, phases):
    """The solution of the smallest budget above `least` that the first phase can certify."""
    for share in _RELAXATIONS:
        relaxed = problem.with_budget(least + share * (problem.largest_budget - least))
        solution = phases[0](relaxed, None)
        if _holds(solution):
            return solution
    return finished(relaxed, solution, phases[1:])


def _holds(solution):
    return solution is not None and solution.status is Status.OPTIMAL
