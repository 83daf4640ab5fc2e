"""Solve the problems of a fit: several together where that settles them, the others one by one in threads."""

from time import perf_counter

import numpy as np

# Not scikit-learn's, whose jobs set warning filters and set them back: fits in several threads would undo each other's.
from joblib import Parallel, delayed

from ..dual.solve import SEVERAL, solve, solve_many
from ..dual.work import Watched, stopped_if_left
from ._messages import Outcome
from ._progress import watched_solve

# So many problems are prepared at a time: their samples' numbers are copied.
_AT_A_TIME = 2048


def solve_tasks(training, C, unit, *, n_jobs, verbose, **limits):
    """Solve all tasks of a training set for one C.

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
        first, done = tasks[0], len(tasks) - len(left)
        print(f"[{first.estimator}] {done} of {len(tasks)} {first.noun} solved together", flush=True)
    limits["cache_size"] = training.memory

    def job(k):
        """The outcome of task k, solved alone."""
        problem = training.problem(tasks[k])
        asked = problem.asking(C, unit)
        if not verbose:
            return Outcome.of(problem, C, unit, training.answer(tasks[k], solve(asked, **limits)))
        name = f"[{tasks[k].estimator}] {k + 1}/{len(tasks)} {tasks[k].name}"
        return Outcome.of(problem, C, unit, _solve_aloud(name, training, tasks[k], asked, limits))

    if len(left) <= 1:
        found = [job(k) for k in left]
    else:
        with stopped_if_left():
            watched = delayed(Watched(job))
            found = Parallel(n_jobs=n_jobs, prefer="threads")(watched(k) for k in left)
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
        scale = training.scale_of(tasks[0])
        whole, largest = whole * scale.total, (stack.largest_budget * scale.total).tolist()
        found = solve_many(unit.ask(stack, C, whole, scale), **limits)
        for k, (task, solution) in enumerate(zip(piece, found, strict=True)):
            if solution is not None:
                outcomes[start + k] = Outcome(
                    task.name, task, C, unit, whole[k], largest[k], training.answer(task, solution)
                )
    return outcomes


def _solve_aloud(name, training, task, problem, limits):
    start = perf_counter()
    found = training.answer(task, watched_solve(name, len(task.rows), problem, limits))
    print(
        f"{name}: {found.status.name}, budget {found.budget:.4g}, margin {found.margin:.4g}, "
        f"{np.count_nonzero(task.duals(found))} of {len(task.rows)} samples are "
        f"support vectors, relative duality gap {found.duality_gap:.2g}, {found.n_iter} iterations, "
        f"{perf_counter() - start:.2f} s ({found.work})",
        flush=True,
    )
    return found
