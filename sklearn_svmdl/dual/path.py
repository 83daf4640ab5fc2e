"""One binary problem for many budgets: each solution starts from the last.

The path is walked towards smaller budgets, from wide margins with nearly every sample at its bound to narrow ones.
From one budget to the next few samples change side, so that few pivots settle it; with a stored Gram matrix the
factor of the free samples and K t carry over as well. A point of the path is accepted by its certificate alone,
evaluated afresh; where the walk cannot provide one, the budget is solved from nothing.
"""

from dataclasses import replace

import numpy as np

from .band import Guess, OutOfReach, TooLarge, largest_band, refine
from .block import BOUND, FREE, ZERO, Block, Held
from .budget import constant_solution, solve_budget_dual
from .factor import Memory
from .gram import Room
from .kernels import GramSource
from .levels import solve_levels
from .pages import keep_freed_pages
from .pivoting import EXACT, Pivoted, balanced, pivot
from .problem import Status, certify, least_slack_intercept
from .proximal import FIRST, Effort, point_at, solve_block
from .smo import starting_point

# Violation and budget error of a point that counts as exact: far below what users ask for, above rounding.
# A step from the solution itself takes what the proximal term left on a nearly singular kernel.
_EXACT_ENOUGH, _MOST_STEPS = 1e-8, 2
# Samples beside the margin that join the free ones in the first band on kernel values evaluated on demand.
_NEAR_COUNT, _NEAR_PER_FREE = 400, 1.0


def walk(problem, budgets, *, tol=1e-3, max_iter=100_000, cache_size=200.0):
    """Solve a problem for decreasing budgets.

    Parameters
    ----------
    problem : BudgetProblem
    budgets : sequence of floats, from the largest to the smallest
    tol, max_iter, cache_size : as for `solve_budget_dual`

    Returns
    -------
    list of DualSolution, one for each budget, as `solve_budget_dual` would return them
    """
    keep_freed_pages()
    steps = _StoredSteps if isinstance(problem.source, GramSource) else _BandSteps
    steps, solutions = steps(cache_size), []
    limits = {"tol": tol, "max_iter": max_iter, "cache_size": cache_size}
    for budget in budgets:
        here = problem.with_budget(budget)
        known = _repeated(here, solutions)
        solutions.append(_solved(here, steps, limits) if known is None else known)
    return solutions


def _repeated(problem, solutions):
    """The last solution where it is that of this budget too: the same budget again, or below an infeasible one."""
    if not solutions:
        return None
    last = solutions[-1]
    return last if last.status is Status.INFEASIBLE_BUDGET or last.budget == problem.budget else None


def _solved(problem, steps, limits):
    if problem.budget >= problem.largest_budget:
        return constant_solution(problem)
    solution = _stepped(problem, steps, limits["tol"])
    if solution is not None:
        return solution
    solution = solve_budget_dual(problem, **limits)
    steps.restart(problem, solution)
    return solution


def _stepped(problem, steps, tol):
    """The solution the walk arrives at, None unless its certificate holds."""
    for _ in range(_MOST_STEPS):
        try:
            guess = steps.next(problem)
        except (OutOfReach, TooLarge, np.linalg.LinAlgError):
            return None
        if not guess.settled:
            return None
        solution = _certified(problem, guess, tol)
        if solution.is_within(min(tol, _EXACT_ENOUGH)):
            return solution
    return None


def _certified(problem, guess, tol):
    """The solution record of a guess, its gradient evaluated afresh from the kernel."""
    support = np.flatnonzero(guess.beta)
    fit = problem.source.apply(support, guess.beta[support])
    return certify(problem, guess.beta, guess.lam, problem.target - fit, guess.n_iter, tol)


def first_guess(problem):
    """Sides for a large budget: those of the direction w of the limit lam -> 0, at the lam that its slack asks for."""
    unit, lam = starting_point(problem)
    everything = np.arange(problem.n_samples)
    fit = lam * problem.source.apply(everything, unit)
    gradient = problem.target - fit
    intercept = least_slack_intercept(gradient, problem.target, problem.weight)
    inward = problem.target * (gradient - intercept)
    side = np.where(inward > 0, BOUND, ZERO).astype(np.int8)
    return Guess(side, lam * unit, lam, intercept, fit, EXACT, settled=False, exact=False, n_iter=0)


def guess_of(problem, solution):
    """Where a solution leaves every sample."""
    share, upper = problem.target * solution.beta, solution.lam * problem.weight
    side = np.where(share <= 0, ZERO, np.where(share >= upper * (1.0 - 1e-12), BOUND, FREE)).astype(np.int8)
    support = np.flatnonzero(solution.beta)
    fit = problem.source.apply(support, solution.beta[support])
    return Guess(
        side, solution.beta, solution.lam, solution.intercept, fit, EXACT, settled=True, exact=True, n_iter=0
    )


class _StoredSteps:
    """Steps of a walk on a stored Gram matrix: all samples are one block."""

    def __init__(self, cache_size):
        self.guess, self.block, self.memory = None, None, Memory()

    def restart(self, problem, solution):
        self.guess, self.memory = guess_of(problem, solution), Memory()

    def next(self, problem):
        """The exact solution from the last one."""
        known = self.block
        block = self.block = self._first_block(problem) if known is None else known.with_budget(problem.budget)
        guess = self._start(problem, block) if self.guess is None else self.guess
        done = pivot(block, guess.side, guess.lam, guess.beta, memory=self.memory)
        if not done.settled:
            self.memory = Memory()
            start = Pivoted(guess.side, point_at(block, guess.beta, guess.lam, guess.intercept), False, 0)
            done, *_ = solve_block(block, start, FIRST, Effort())
        if not done.settled:
            return replace(guess, settled=False)
        point = done.point
        self.guess = Guess(
            done.side, point.beta, point.lam, point.intercept, point.fit, EXACT, True, True, done.n_iter
        )
        return self.guess

    @staticmethod
    def _start(problem, block):
        guess = first_guess(problem)
        return replace(guess, side=balanced(block, guess.side, guess.inward(problem.target)))

    @staticmethod
    def _first_block(problem):
        n = problem.n_samples
        return Block(problem.source.gram, problem.target, problem.bound, problem.budget, Held(np.zeros(n)))


class _BandSteps:
    """Steps of a walk on kernel values evaluated on demand: only the samples near the margin are stored."""

    def __init__(self, cache_size):
        self.guess, self.room = None, Room(largest_band(cache_size))

    def restart(self, problem, solution):
        self.guess = guess_of(problem, solution)

    def next(self, problem):
        """The exact solution from the last one."""
        if self.guess is None:
            found = solve_levels(problem, self.room, np.random.RandomState(0))
        else:
            found = refine(problem, replace(self.guess, n_iter=0), self._near(problem), self.room)
        if found.settled:
            self.guess = found
        return found

    def _near(self, problem):
        """Mask of the free samples and as many of those nearest to the margin."""
        inside = self.guess.side == FREE
        free = np.count_nonzero(inside)
        distance = np.abs(self.guess.inward(problem.target))
        distance[inside] = np.inf
        most = max(self.room.capacity - free, 0)
        count = min(int(_NEAR_PER_FREE * free) + _NEAR_COUNT, most, problem.n_samples - free)
        inside[np.argsort(distance, kind="stable")[:count]] = True
        return inside
