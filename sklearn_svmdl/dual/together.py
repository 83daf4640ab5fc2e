"""Many small problems at once: the pivoting of `active_set`, of all of them in each call of numpy.

One-versus-one on a hundred classes is 4,950 problems of a few samples each. One by one a solve is some fifty calls of
numpy a round on a handful of numbers; together a problem takes as long as its arithmetic. The conditions are those of
`kkt`, in arrays (k, m) and (k, m, m) of k problems on m variables each; problems of fewer variables are filled up with
variables of weight 0, which stay at zero. Problems that do not settle soon are left to `solve`.
"""

from dataclasses import dataclass, fields

import numpy as np

from .active_set import EXACT, LAM_RANGE, PULLED, TOLERANCES, sides_asked_for
from .kkt import BOUND, FREE, ROUNDING, UNITS, ZERO
from .problem import Certificate, DualSolution, Status, certificate, least_slack_intercept, slack_of
from .work import Tally, Work

# Problems of up to so many variables are stacked, in stacks of so many kernel values.
LARGEST, _MOST_VALUES = 64, 2**19
# The proximal weights of the pivotings that follow each other, relative to the scale, and the rounds of all of them.
_STAGES, MOST_ROUNDS = np.array([0.1, 0.01, EXACT]), 40
# The last entry of the conditions' diagonal, in units of 1 / scale: it keeps them regular where no sample is free.
_REGULAR = 1e-14
# |w|^2 that is this small a share of the sum of its terms' sizes has lost its digits.
_CANCELLED = 1e-6
_EPS = np.finfo(float).eps


@dataclass(frozen=True)
class Stack:
    """k problems of m variables each, one a row.

    gram : ndarray (k, m, m)
    linear, bound : ndarrays (k, m), the bound being 0 where a problem has no such variable
    budget, least_lam, most_lam : ndarrays (k,); where a cost is given it is both ends of the range of lam
    scale : ndarray (k,), the mean squared distance of the samples from their mean in feature space
    least_weight : ndarray (k,)
    """

    gram: np.ndarray
    linear: np.ndarray
    bound: np.ndarray
    budget: np.ndarray
    least_lam: np.ndarray
    most_lam: np.ndarray
    scale: np.ndarray
    least_weight: np.ndarray

    @classmethod
    def of(cls, problems, reach, tally):
        """The problems, lam followed to `reach` over the scale; their kernel values are counted."""
        k, m = len(problems), max(problem.n_samples for problem in problems)
        gram, linear, bound = np.zeros((k, m, m)), np.zeros((k, m)), np.zeros((k, m))
        for row, problem in enumerate(problems):
            n = problem.n_samples
            gram[row, :n, :n] = problem.source.counted(tally).block(slice(n), slice(n))
            linear[row, :n], bound[row, :n] = problem.linear, problem.bound
        weight = np.abs(bound)
        scale = _spread(gram, np.count_nonzero(bound, axis=1))
        budget = np.array([problem.charge for problem in problems])
        cost = np.array([np.nan if problem.cost is None else problem.cost for problem in problems])
        least, most = np.where(np.isnan(cost), [np.zeros(k), reach / scale], cost)
        return cls(gram, linear, bound, budget, least, most, scale, np.where(bound, weight, np.inf).min(axis=1))

    def take(self, rows):
        """Some of the problems."""
        return Stack(*(getattr(self, field.name)[rows] for field in fields(self)))

    def fit(self, beta):
        """K beta."""
        return np.matmul(self.gram, beta[:, :, None])[:, :, 0]


def _spread(gram, count):
    """`kkt.spread_of`, of each of the problems with so many variables."""
    diagonal = np.einsum("kii->ki", gram)
    spread = diagonal.sum(axis=1) / count - gram.sum(axis=(1, 2)) / count**2
    spread = np.maximum(spread, 1e-12 * np.abs(diagonal).max(axis=1))
    return np.where(spread > 0, spread, 1.0)


@dataclass(frozen=True)
class _Guess:
    """Where the pivoting of each problem stands: sides, the centre's shape, its lam, which proximal weight is on."""

    side: np.ndarray
    shape: np.ndarray
    lam: np.ndarray
    stage: np.ndarray

    def take(self, rows):
        """Some of the problems."""
        return _Guess(self.side[rows], self.shape[rows], self.lam[rows], self.stage[rows])


def _start(stack):
    """The limit lam -> 0, with the lam that is best for it: all on the costly side of the best constant at bound."""
    sign, weight = np.sign(stack.bound), np.abs(stack.bound)
    constant = least_slack_intercept(stack.linear, sign, weight)
    costs = sign * (stack.linear - constant[:, None])
    at_constant = (np.abs(costs) <= 1e-12 * np.abs(stack.linear).max(axis=1)[:, None]) & (sign != 0)
    costly = (costs > 0) & ~at_constant
    shape = np.where(costly, stack.bound, 0.0)
    # Those at the constant whose bounds have the sign that is missing take equal shares of the balance.
    missing = -shape.sum(axis=1)[:, None]
    balance = np.where(at_constant & (stack.bound * missing > 0), stack.bound, 0.0)
    room = balance.sum(axis=1)[:, None]
    shape += np.divide(missing, room, out=np.zeros_like(room), where=room != 0) * balance
    curvature = np.einsum("ki,ki->k", shape, stack.fit(shape))
    alone = np.einsum("ki,kii->k", shape**2, stack.gram)
    curvature = np.where(curvature > 1e-9 * alone, curvature, alone)
    unspent = np.einsum("ki,ki->k", weight, slack_of(stack.linear - constant[:, None], sign)) - stack.budget
    lam = np.divide(unspent, curvature, out=1.0 / stack.scale, where=curvature > 0)
    side = np.select([costly, at_constant], [BOUND, FREE], ZERO)
    return _Guess(side, shape, np.clip(lam, stack.least_lam, stack.most_lam), np.zeros(len(lam), dtype=int))


def _solve_round(stack, guess, delta):
    """The solution of the conditions for the guess: duals, lam, y - f - b, and whether lam meets the budget."""
    k, m = guess.side.shape
    free, t = guess.side == FREE, np.where(guess.side == BOUND, stack.bound, 0.0)
    pull, total, shift = stack.fit(t), t.sum(axis=1), stack.scale
    coupling = np.where(free, pull + (shift * total)[:, None] - delta[:, None] * guess.shape, 0.0)
    # The conditions of beta_F and b; those of the others read beta_i = 0.
    matrix, rhs, on = np.zeros((k, m + 1, m + 1)), np.zeros((k, m + 1, 2)), np.arange(m)
    np.copyto(matrix[:, :m, :m], stack.gram + shift[:, None, None], where=free[:, :, None] & free[:, None, :])
    matrix[:, on, on] += np.where(free, delta[:, None], 1.0)
    matrix[:, :m, m] = matrix[:, m, :m] = free
    matrix[:, m, m] = -_REGULAR / shift
    rhs[:, :m, 0], rhs[:, :m, 1], rhs[:, m, 1] = np.where(free, stack.linear, 0.0), coupling, total
    constant, slope = np.moveaxis(np.linalg.solve(matrix, rhs), 2, 0)
    # The budget is spent.
    away = t - guess.shape
    curvature = (t * pull).sum(axis=1) + shift * total**2 + delta * ((away**2).sum(axis=1) + 1.0)
    spare = (stack.linear * t).sum(axis=1) - stack.budget + delta * guess.lam
    fall = curvature - (rhs[:, :, 1] * slope).sum(axis=1)
    excess = spare - (rhs[:, :, 1] * constant).sum(axis=1)
    far = np.where(excess > 0, np.inf, 0.0)
    wanted = np.divide(excess, fall, out=far, where=fall > ROUNDING * curvature)
    wanted = np.clip(wanted, stack.least_lam, stack.most_lam)
    lam = np.clip(wanted, guess.lam / LAM_RANGE, guess.lam * LAM_RANGE)
    solved = constant - lam[:, None] * slope
    beta = lam[:, None] * t + np.where(free, solved[:, :m], 0.0)
    gradient = stack.linear - stack.fit(beta) - delta[:, None] * (beta - lam[:, None] * guess.shape)
    middle = _middle_intercept(gradient, guess.side, stack.bound)
    intercept = np.where(free.any(axis=1), solved[:, m], middle)
    return beta, lam, gradient - intercept[:, None], lam == wanted


def _middle_intercept(gradient, side, bound):
    """The middle of the intercepts that leave every sample at zero or at its bound on its side."""
    above = (side == BOUND) == (bound > 0)
    highest = np.where(~above & (bound != 0), gradient, -np.inf).max(axis=1)
    lowest = np.where(above & (bound != 0), gradient, np.inf).min(axis=1)
    highest, lowest = np.where(np.isinf(highest), lowest, highest), np.where(np.isinf(lowest), highest, lowest)
    return 0.5 * (highest + lowest)


def _balanced(side, residual, bound):
    """`side`, with the sample of each class nearest to the margin freed where none can balance those at bound."""
    at_bound = np.where(side == BOUND, bound, 0.0)
    unbalanced = np.abs(at_bound.sum(axis=1)) > 1e-12 * np.abs(at_bound).sum(axis=1)
    (stuck,) = np.nonzero(unbalanced & ~(side == FREE).any(axis=1))
    for sign in (-1.0, 1.0):
        distance = np.where(np.sign(bound[stuck]) == sign, np.abs(residual[stuck]), np.inf)
        side[stuck, distance.argmin(axis=1)] = FREE
    return side


def pivot_together(stack):
    """Pivot each problem with proximal weights that fall.

    Returns
    -------
    beta : ndarray (k, m)
    lam : ndarray (k,)
    rounds : ndarray of int (k,), after how many it settled; 0 where it did not
    """
    k = len(stack.budget)
    all_beta, all_lam, rounds = np.zeros_like(stack.linear), np.zeros(k), np.zeros(k, dtype=int)
    rows, guess = np.arange(k), _start(stack)
    at_bound, at_margin = TOLERANCES[np.dtype(np.float64)]
    for number in range(1, MOST_ROUNDS + 1):
        largest = np.abs(np.einsum("kii->ki", stack.gram)).max(axis=1)
        delta = np.maximum(_STAGES[guess.stage] * stack.scale, stack.linear.shape[1] * _EPS * largest)
        beta, lam, residual, stands = _solve_round(stack, guess, delta)
        sign, upper = np.sign(stack.bound), lam[:, None] * np.abs(stack.bound)
        tolerance = at_margin + UNITS * _EPS * largest * np.linalg.norm(beta, axis=1)
        wanted = sides_asked_for(guess.side, sign * residual, tolerance[:, None], sign * beta, upper, at_bound)
        agree = stands & (wanted == guess.side).all(axis=1)
        pull = delta * np.abs(beta - lam[:, None] * guess.shape).max(axis=1)
        last = guess.stage == len(_STAGES) - 1
        done = agree & last & (pull <= PULLED)
        all_beta[rows[done]], all_lam[rows[done]], rounds[rows[done]] = beta[done], lam[done], number
        shape = np.where(agree[:, None], beta / lam[:, None], guess.shape)
        guess = _Guess(_balanced(wanted, residual, stack.bound), shape, lam, guess.stage + (agree & ~last))
        if done.any():
            rows, guess, stack = rows[~done], guess.take(~done), stack.take(~done)
        if len(rows) == 0:
            break
    return all_beta, all_lam, rounds


def solve_together(problems, reach, tol):
    """Solve small problems, none of them trivial, all with a budget or all with a cost.

    Returns
    -------
    list of DualSolution or None, one for each problem; None where no certificate within tol was found
    """
    solutions = [None] * len(problems)
    order = np.argsort([-problem.n_samples for problem in problems], kind="stable")
    while len(order):
        most = max(1, _MOST_VALUES // problems[order[0]].n_samples ** 2)
        rows, order = order[:most], order[most:]
        for row, solution in zip(rows, _solve_stack([problems[row] for row in rows], reach, tol), strict=True):
            solutions[row] = solution
    return solutions


def _solve_stack(problems, reach, tol):
    """The solutions of the problems of one stack."""
    tally, has_cost = Tally(), problems[0].budget is None
    stack = Stack.of(problems, reach, tally)
    try:
        beta, lam, rounds = pivot_together(stack)
    except np.linalg.LinAlgError:
        return [None] * len(problems)
    fit = stack.fit(beta)
    squared_norm = np.einsum("ki,ki->k", beta, fit)
    held = certificate(
        stack.linear - fit,
        beta,
        lam,
        np.maximum(squared_norm, 0.0),
        stack.linear,
        stack.bound,
        stack.least_weight,
        None if has_cost else stack.budget,
    )
    # Where large duals make a small w its norm is known from the features alone.
    told = squared_norm > _CANCELLED * np.einsum("ki,ki->k", np.abs(beta), np.abs(fit))
    settled = (rounds > 0) & told & (has_cost | (lam < stack.most_lam))
    values = tally.kernel_values // len(problems)
    intercepts, slack, *figures = held
    figures = np.column_stack(figures).tolist()
    solutions = [None] * len(problems)
    for row in np.flatnonzero(settled):
        n, number = problems[row].n_samples, int(rounds[row])
        held = Certificate(float(intercepts[row]), slack[row, :n], *figures[row])
        work = Work(kernel_values=values, factored=(n,) * number, pivots=number)
        solution = DualSolution.of(beta[row, :n], lam[row], held, work, tol)
        solutions[row] = solution if solution.status is Status.OPTIMAL else None
    return solutions
