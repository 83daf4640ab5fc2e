"""One problem for many budgets or costs: each solution starts from the last.

The path is walked towards smaller budgets, or larger costs: from wide margins with nearly every sample at its bound to
narrow ones. From one point to the next few samples change side, so that few pivots settle it; with a stored Gram matrix
the factor of the free samples and K t carry over too. Where all changes at once mislead the pivots, easier problems
lead there: those of a proximal weight, or a smooth loss. Once no sample is at its bound a larger cost changes nothing.
A point of the path is accepted by its certificate alone, evaluated afresh; where the walk cannot provide one, the
problem is solved from nothing.
"""

from dataclasses import replace
from math import sqrt

import numpy as np

from ..kernels.sources import GramSource
from .active_set import State, balanced, pivot, pivot_ever_closer, pivot_smoothly
from .buffer import Buffer
from .factor import FEW_FREE, SolverCache
from .kkt import BOUND, FREE, ZERO, Point, inward
from .levels import solve_levels
from .problem import BEYOND_REACH, certify, constant_solution, least_slack_intercept
from .smo import starting_point
from .solve import certified, is_direct, reachable, solve, solved_or_beyond
from .work import Tally, Work
from .working_set import TooLarge, Workspace, near_margin, refine, state_of, whole_block

# Violation and budget error of a point that counts as exact: far below what users ask for, above rounding.
# A step from the solution itself takes what the proximal term left on a nearly singular kernel.
_EXACT_ENOUGH, _MOST_STEPS = 1e-8, 2
# The slack over which the heaviest proximal weight lets the price of slack rise from nothing to the cost.
_PRICED = 0.3
# Samples beside the margin that join the free ones in the first working set of kernel values on demand.
_NEAR_COUNT = 400
# Rounds from one point to the next that say that fewer lead to the one after that by way of easier problems.
_MANY_ROUNDS = 8


def walk(problems, *, tol=1e-3, max_iter=100_000, cache_size=200.0):
    """Solve problems that differ in their budget or cost alone.

    Parameters
    ----------
    problems : sequence of DualProblem, from the softest to the hardest: falling budgets, or rising costs
    tol, max_iter, cache_size : as for `solve`

    Returns
    -------
    list of DualSolution, one for each problem, as `solve` would return them
    """
    buffer, storing = Buffer.of(cache_size, problems[0].n_distinct), Tally()
    source = problems[0].source
    if is_direct(problems[0], buffer):
        source = source.counted(storing).stored()
    first = reachable(replace(problems[0], source=source))
    steps = (_StoredSteps if isinstance(source.distinct, GramSource) else _WorkingSetSteps)(buffer)
    solutions, limits = [], {"tol": tol, "max_iter": max_iter, "cache_size": cache_size}
    for problem in problems:
        here = replace(problem, source=source, largest_cost=first.largest_cost)
        known = _repeated(here, solutions, limits)
        solution = _solved(here, steps, limits) if known is None else known
        if not solutions:
            values = solution.work.kernel_values + storing.kernel_values
            solution = replace(solution, work=solution.work._replace(kernel_values=values))
        solutions.append(solution)
    return solutions


def _repeated(problem, solutions, limits):
    """The last solution where it is that of this problem too: the same again, below a budget beyond reach, or at a
    larger cost where no sample is at its bound."""
    if not solutions:
        return None
    last = solutions[-1]
    if problem.budget is not None:
        return last if last.status in BEYOND_REACH or last.budget == problem.budget else None
    if last.lam == problem.cost:
        return last
    if last.lam > problem.cost or np.any(np.abs(last.beta) >= last.lam * problem.weight):
        return None
    tally = Tally()
    found = certify(problem.counted(tally), last.beta, problem.cost, Work(), limits["tol"])
    found = replace(found, work=tally.done())
    return found if found.is_within(min(limits["tol"], _EXACT_ENOUGH)) else None


def _solved(problem, steps, limits):
    if problem.is_trivial:
        return constant_solution(problem)
    solution = _stepped(problem, steps, limits)
    if solution is not None:
        return solved_or_beyond(solution, problem, limits["tol"])
    solution = solve(problem, **limits)
    steps.restart(problem, solution)
    return solution


def _stepped(problem, steps, limits):
    """The solution the walk arrives at, None unless its certificate holds."""
    tally = Tally(limits["max_iter"])
    counted = problem.counted(tally)
    for _ in range(_MOST_STEPS):
        try:
            state = steps.next(counted, tally)
        except (TooLarge, np.linalg.LinAlgError):
            return None
        if not state.settled:
            return None
        solution = certified(counted, state, tally, limits["tol"])
        if solution.is_within(min(limits["tol"], _EXACT_ENOUGH)):
            return solution
    return None


def first_state(problem):
    """Sides for a large budget: those of the direction w of the limit lam -> 0, at the lam that its slack asks for."""
    unit, lam = starting_point(problem)
    fit = lam * problem.source.apply(np.arange(problem.n_samples), unit)
    intercept = least_slack_intercept(problem.linear - fit, problem.sign, problem.weight)
    point = Point(lam * unit, lam, intercept, fit)
    side = np.where(inward(problem, point) > 0, BOUND, ZERO).astype(np.int8)
    return State(side, point)


def _by_detour(block, state):
    """The exact solution by way of easier problems: of a regression with a cost those of a smooth loss, else those of a
    proximal weight that falls, for a larger cost from the sides that one round for a cost between asks for."""
    lam = block.clip_lam(state.point.lam)
    if block.row is not None and not block.lam_is_free:
        return pivot_smoothly(block, replace(state, point=state.point._replace(lam=lam)))
    if lam > state.point.lam:
        between = sqrt(lam * state.point.lam)
        halfway = block.at_cost(between)
        # Whatever is overlooked: one round that frees a sample is enough.
        state = pivot(halfway, _grown(state, between), _weight(halfway, between), overlook=np.inf)
    return pivot_ever_closer(block, _grown(state, lam), heaviest=_weight(block, lam))


def _grown(state, lam):
    """The state with the duals at the same shares of the bounds of another lam."""
    point = state.point
    return replace(state, point=point._replace(beta=lam / point.lam * point.beta, lam=lam))


def _weight(block, lam):
    """The proximal weight, relative to the scale, that prices slack from nothing to lam over `_PRICED`."""
    return _PRICED / (lam * block.scale)


class _StoredSteps:
    """Steps of a walk on a stored Gram matrix: all samples are one block."""

    def __init__(self, buffer):
        self.state, self.block, self.cache = None, None, SolverCache()
        # Whether the last step took many rounds.
        self.is_far = False

    def restart(self, problem, solution):
        """Go on from a solution found elsewhere."""
        self.state = state_of(problem, solution) if solution.lam > 0 else None
        self.cache = SolverCache()

    def next(self, problem, tally):
        """The exact solution from the last one."""
        block = self.block = self._block(problem, tally)
        state = self._start(problem, block) if self.state is None else self.state
        before, done = tally.pivots, replace(state, settled=False)
        # Where many samples of classes are free a factor that follows them makes pivots cheap.
        is_cheap = block.row is None and np.count_nonzero(state.side == FREE) >= FEW_FREE
        if is_cheap or not self.is_far:
            done = pivot(block, state, cache=self.cache)
        if not done.settled:
            done = _by_detour(block, state)
        self.is_far = tally.pivots - before > _MANY_ROUNDS
        if done.settled:
            self.state = done
        return done

    @staticmethod
    def _start(problem, block):
        state = first_state(problem)
        return State(balanced(block, state.side, problem.linear - state.point.fit - state.point.intercept), state.point)

    def _block(self, problem, tally):
        if self.block is not None:
            return self.block.asking(problem, tally)
        return whole_block(problem, problem.source.distinct.gram, tally)


class _WorkingSetSteps:
    """Steps of a walk on kernel values evaluated on demand: only the samples near the margin are stored."""

    def __init__(self, buffer):
        self.state, self.buffer = None, buffer

    def restart(self, problem, solution):
        """Go on from a solution found elsewhere."""
        self.state = state_of(problem, solution) if solution.lam > 0 else None

    def next(self, problem, tally):
        """The exact solution from the last one."""
        workspace = Workspace(self.buffer, tally)
        if self.state is None:
            found, _ = solve_levels(problem, workspace, np.random.RandomState(0))
        else:
            near = near_margin(problem, self.state, _NEAR_COUNT, self.buffer.most(problem.source.dtype))
            found, _ = refine(problem, self.state, near, workspace)
        if found.settled:
            self.state = found
        return found
