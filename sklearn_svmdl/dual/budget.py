"""The one entry to the solvers: a budget problem in, a certified solution out."""

from dataclasses import replace

import numpy as np

from .problem import Status, certify
from .smo import ascend, starting_point


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


def solve_budget_dual(problem, *, solver="auto", tol=1e-3, max_iter=100_000, cache_size=200.0):
    """Solve one binary budget problem.

    Parameters
    ----------
    problem : BudgetProblem
    solver : "auto" or "smo"
    tol : float, largest violation and relative budget error of a solution called optimal
    max_iter : int, most iterations (pair steps and block steps)
    cache_size : float, megabytes of kernel values kept at a time

    Returns
    -------
    DualSolution
        Status INFEASIBLE_BUDGET comes with the least-slack solution: its `budget` is the one in force, its `least_budget`
        the smallest feasible one.
    """
    if problem.budget >= problem.largest_budget:
        return constant_solution(problem)
    unit, lam = starting_point(problem)
    return ascend(problem, lam * unit, lam, tol=tol, max_iter=max_iter, cache_size=cache_size)
