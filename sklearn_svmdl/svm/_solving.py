"""Solve the binary problems of a fit: small ones together, the others one by one in threads."""

from time import perf_counter

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from ..dual.solve import SEVERAL, solve, solve_many
from ._messages import Outcome
from ._progress import watched_solve

# So many problems are prepared at a time: their samples' numbers are copied.
_AT_A_TIME = 2048


def solve_tasks(training, C, unit, *, n_jobs, verbose, **limits):
    """Solve all binary tasks of a training set for one C.

    Parameters
    ----------
    training : Training
    C : float, in `unit`
    unit : a value of `UNITS`
    n_jobs : int or None, number of threads
    verbose : int, from 1 on with a line about each problem, and one a second while it is solved
    limits : solver, tol and max_iter, as for `dual.solve`

    Returns
    -------
    list of Outcome, one for each task
    """
    tasks = training.tasks
    outcomes = _together(training, C, unit, limits)
    left = [k for k, outcome in enumerate(outcomes) if outcome is None]
    if verbose and len(left) < len(tasks):
        print(f"[BudgetSVC] {len(tasks) - len(left)} of {len(tasks)} binary problems solved together", flush=True)
    limits["cache_size"] = training.memory

    def job(k):
        problem = training.problem(tasks[k])
        asked, name = problem.asking(C, unit), f"{k + 1}/{len(tasks)} {tasks[k].name}"
        return Outcome.of(problem, C, unit, _solve_aloud(name, asked, limits) if verbose else solve(asked, **limits))

    if len(left) == 1:
        found = [job(left[0])]
    else:
        found = Parallel(n_jobs=n_jobs, prefer="threads")(delayed(job)(k) for k in left)
    for k, outcome in zip(left, found, strict=True):
        outcomes[k] = outcome
    return outcomes


def _together(training, C, unit, limits):
    """The outcomes of the problems that are solved together, None for the others."""
    tasks, outcomes = training.tasks, [None] * len(training.tasks)
    if len(tasks) < SEVERAL:
        return outcomes
    for start in range(0, len(tasks), _AT_A_TIME):
        piece = tasks[start : start + _AT_A_TIME]
        stack, whole = training.stack(piece)
        found = solve_many(unit.ask(stack, C, whole), **limits)
        largest = stack.largest_budget.tolist()
        for k, (task, solution) in enumerate(zip(piece, found, strict=True)):
            if solution is not None:
                outcomes[start + k] = Outcome(task.name, task, C, unit, whole[k], largest[k], solution)
    return outcomes


def _solve_aloud(name, problem, limits):
    start = perf_counter()
    solution = watched_solve(name, problem, limits)
    print(
        f"[BudgetSVC] {name}: {solution.status.name}, budget {solution.budget:.4g}, margin "
        f"{solution.margin:.4g}, {np.count_nonzero(solution.beta)} of {problem.n_samples} samples are "
        f"support vectors, relative duality gap {solution.duality_gap:.2g}, {solution.n_iter} iterations, "
        f"{perf_counter() - start:.2f} s ({solution.work})",
        flush=True,
    )
    return solution
