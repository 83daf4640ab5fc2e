"""A primal-dual interior point method on (beta, lam) jointly: it ends in a few dozen steps on any convex problem.

With a_i = sign_i beta_i, the room v_i = lam s_i - a_i above it, and multipliers z of a >= 0 and e of v >= 0 (the
slacks), the conditions are

    sign_i (p_i - f_i - b) + z_i - e_i = 0,   1'beta = 0,   sum_i s_i e_i = C,   a_i z_i = v_i e_i = mu -> 0.

a + v = lam s keeps lam positive. A Newton step eliminates all multipliers; with D = z/a + e/v, h = t e/v it solves

    [ K + D   c   1 ] [ dbeta ]   [ p - f - b + sign (mu_a/a - mu_v/v) ]    c = K t_fixed - h
    [  c'     w   T ] [ dlam  ] = [ the budget's residual              ]    w = t'h + (t'K t)_fixed
    [  1'     T   0 ] [ db    ]   [ -1'beta - lam T                    ]    T = (1't)_fixed

by one Cholesky factorisation of K + D, or, where K = G G' with G of few columns, of H = [G, 1]' D^-1 [G, 1] + I (0 for
the column of ones), whose solutions are u = G' dbeta and b: dbeta = D^-1 (r - G u - b 1). Steps are those of
Mehrotra's predictor and corrector (SIAM J. Optim. 1992); for support vector machines with a cost see Ferris, Munson
(SIAM J. Optim. 2002) and, for factored kernels, Fine, Scheinberg (JMLR 2001).

D says who is where: it is large where a dual has settled at zero or at its bound. From these sides the active set finds
the exact solution (`active_set.solve_block`).
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import get_lapack_funcs

from ..kernels.blas import dot, matmul
from .factor import cholesky, solve_factorised
from .kkt import BOUND, FREE, ZERO, Point, sides_of_rows

(PSTRF,) = get_lapack_funcs(("pstrf",), dtype=np.float64)

# Steps of one run. A budget that asks for a large lam takes most of them; a cost takes 10 to 25.
MOST_STEPS = 100
# At a given cost the first duals are at most so many times as long as is best in their direction, but no shorter than
# this share of half of their bounds.
_LONGER, _SHORTEST_START = 10.0, 0.01
# How much of the way to the boundary a step may go.
_SHORT_OF_BOUNDARY = 0.995
# A shorter step than this leads nowhere.
_SHORTEST = 1e-8
# Once the errors are this small, so many steps that do not halve them say that rounding keeps them there.
NEAR, STALLED = 1e-2, 8
# Where lam fled this gap of the problem with the largest cost tells whether the budget can be had, and lam begins again
# at no more than this share of its range.
_TOLD, _BACK = 1e-2, 3e-4
# The slack of an iterate at a given cost may fall by so many times its duality gap over the cost.
_UNSURE = 10.0
# Where the budget is missed by more than this share, so many steps in a row shorter than this say that lam is far too
# small: it starts anew so many times larger, and the square of it the next time, up to the last, and from this share of
# its range on it flees.
_UNMET, _PATIENCE, _SHORT, _LIFT, _HIGHEST_LIFT, _LAST = 0.3, 2, 0.2, 100.0, 1e8, 0.5
# A factor of the kernel matrix is sought from this many samples on, and used if it has at most this share of columns.
_WORTH_FACTORING, _FEW_COLUMNS = 250, 0.4
# Below this share of the largest kernel value a diagonal D cancels digits that steps need.
_CANCELS = 1e-6
# What a factor may leave of the kernel matrix, relative to its largest value: rounding.
_RANK_TOLERANCE = 1e-14


class _Dense:
    """The kernel matrix as it is."""

    def __init__(self, gram, tally):
        self.gram, self.tally, self.shifted = gram, tally, None

    def apply(self, values):
        """K @ values."""
        return matmul(self.gram, values)

    def solver(self, D):
        """A function (rows r (k, n), sums s (k,)) -> x (k, n), b (k,) that solves (K + D) x + b 1 = r, 1'x = s.

        It may overwrite r.
        """
        if self.shifted is None:
            self.shifted = np.empty(self.gram.shape)
        np.copyto(self.shifted, self.gram)
        self.shifted.flat[:: len(D) + 1] += D
        self.tally.factored.append(len(D))
        upper = cholesky(self.shifted)
        of_one = solve_factorised(upper, np.ones((len(D), 1)))[:, 0]
        total = of_one.sum()

        def solve(rows, sums):
            """Each row by the factor, and the multiple of the ones that its sum asks for."""
            x = solve_factorised(upper, rows.T).T
            b = (x.sum(axis=1) - sums) / total
            x -= np.multiply.outer(b, of_one)
            return x, b

        return solve


class Factored:
    """K = G G' + diag(rest) with G (m, r)."""

    def __init__(self, G, tally, rest=0.0):
        self.G, self.rest, self.tally, self.rank = G, rest, tally, G.shape[1]
        # Whether nothing of the kernel matrix was left on the diagonal.
        self.is_exact = not np.any(rest)
        self.with_one = np.column_stack([G, np.ones(len(G))])
        self.largest = float(np.einsum("ij,ij->i", G, G).max(initial=0.0))
        # To touch fresh memory at every step would cost more than to fill it.
        self.scaled = np.empty(self.with_one.shape)

    def apply(self, values):
        """K @ values."""
        fit = matmul(self.G, matmul(self.G.T, values))
        return fit if self.is_exact else fit + self.rest * values

    def solver(self, D):
        """A function that solves as that of `_Dense` does; one correction mends the digits that a small D cancels."""
        G, r, D = self.with_one, self.rank, D if self.is_exact else D + self.rest
        inverse = 1.0 / D
        np.multiply(G, np.sqrt(inverse)[:, None], out=self.scaled)
        H = matmul(self.scaled.T, self.scaled)
        H.flat[: r * (r + 2) : r + 2] += 1.0
        self.tally.factored.append(r + 1)
        upper = cholesky(H)

        def once(rows, sums):
            """By the factor alone."""
            inner = matmul(rows * inverse, G)
            inner[:, r] -= sums
            inner = solve_factorised(upper, np.asfortranarray(inner.T)).T
            x = rows - matmul(inner, G.T)
            x *= inverse
            return x, inner[:, r].copy()

        def corrected(rows, sums):
            """Corrected by what is left of the rows and sums."""
            x, b = once(rows, sums)
            inner = matmul(x, G)
            left_of_sums = sums - inner[:, r]
            inner[:, r] = b
            dx, db = once(rows - matmul(inner, G.T) - x * D, left_of_sums)
            return x + dx, b + db

        return corrected if D.min() < _CANCELS * self.largest else once


class _TwoSided:
    """K of variables of which some are the two sides of one sample: the steps solve with one unknown for each sample.

    Both sides see the same kernel values, so f depends on the sum u = x_1 + x_2 alone. Of a sample's two equations the
    sum, with weights 1 / D_1 and 1 / D_2, has the diagonal D_1 D_2 / (D_1 + D_2), and the difference gives x_1, x_2.

    Parameters
    ----------
    operator : _Dense or Factored, on the samples
    row : ndarray (n,), the sample of each variable
    """

    def __init__(self, operator, row):
        self.operator = operator
        self.first, self.second = sides_of_rows(row)
        self.single = self.first == self.second

    def apply(self, values):
        """K @ values."""
        fit = self.operator.apply(values[self.first] + np.where(self.single, 0.0, values[self.second]))
        return self._spread(fit, fit, values.shape)

    def solver(self, D):
        """A function that solves as that of `_Dense` does."""
        D_1, D_2 = D[self.first], D[self.second]
        total = D_1 + D_2
        inner = self.operator.solver(np.where(self.single, D_1, D_1 * (D_2 / total)))
        share_1, share_2 = D_2 / total, D_1 / total

        def solve(rows, sums):
            """Each row by its weighted sums, and what the differences add."""
            r_1, r_2 = rows[:, self.first], rows[:, self.second]
            difference = (r_1 - r_2) / total
            u, b = inner(share_1 * r_1 + share_2 * r_2, sums)
            x_1 = np.where(self.single, u, share_1 * u + difference)
            return self._spread(x_1, share_2 * u - difference, rows.shape), b

        return solve

    def _spread(self, of_first, of_second, shape):
        """Values of the variables from those of the first and of the second side of each sample."""
        out = np.empty(shape)
        out[..., self.second] = of_second
        out[..., self.first] = of_first
        return out


def operator_of(block):
    """How the interior steps on a block solve with its kernel matrix."""
    return _of_variables(_operator(block), block.row)


def _of_variables(operator, row):
    """The operator of variables, of one on the rows of the Gram matrix."""
    return operator if row is None else _TwoSided(operator, row)


def _operator(block):
    """The operator of the Gram matrix of a block."""
    X, n, tally = block.features, len(block.gram), block.tally
    if X is not None and n >= _WORTH_FACTORING and X.shape[1] <= _FEW_COLUMNS * n:
        return Factored(X, tally)
    gram = np.asarray(block.gram, dtype=np.float64)
    G = low_rank_factor(gram) if n >= _WORTH_FACTORING else None
    return _Dense(gram, tally) if G is None else Factored(G, tally)


def operator_in_features(X, rest, row, tally):
    """The operator of variables whose rows have the kernel matrix X X' + diag(rest)."""
    return _of_variables(Factored(X, tally, rest), row)


def low_rank_factor(gram):
    """G (m, r) with G G' equal to the kernel matrix but for rounding; None where that takes many columns.

    LAPACK's Cholesky factorisation with diagonal pivoting (Higham, Analysis of the Cholesky decomposition of a
    semi-definite matrix, 1990).
    """
    m = len(gram)
    factor, order, rank, _ = PSTRF(gram, tol=_RANK_TOLERANCE * np.diagonal(gram).max(), lower=True)
    if rank > _FEW_COLUMNS * m:
        return None
    G = np.empty((m, rank))
    G[order - 1] = np.tril(factor[:, :rank])
    return G


class Iterate(NamedTuple):
    """A point strictly inside all bounds, or a step from one: the distances to the bounds beside their multipliers.

    pairs : (4, n), the rows below = a, above = v and their multipliers zero = z, slack = e
    """

    pairs: np.ndarray
    lam: float
    intercept: float

    @property
    def below(self):
        """a, the distances from zero."""
        return self.pairs[0]

    @property
    def zero(self):
        """z, the multipliers of zero as a bound."""
        return self.pairs[2]

    @property
    def slack(self):
        """e, the multipliers of the upper bounds."""
        return self.pairs[3]

    @property
    def gap(self):
        """The sum of all distances times their multipliers: the duality gap."""
        return dot(self.pairs[:2].ravel(), self.pairs[2:].ravel())

    def after(self, step, length):
        """Where so much of a step leads."""
        return Iterate(*(here + length * change for here, change in zip(self, step)))


def _longest(ratios):
    """The longest step, in units of the one of these ratios, that keeps all distances and multipliers positive."""
    falls = -float(ratios.min())
    return 1.0 / falls if falls > 0 else np.inf


@dataclass(frozen=True)
class Interior:
    """Where an interior solve ended: the sides, the point, what is left of its relative errors, and the iterate.

    flees : whether it ended since the budget seems to ask for a lam beyond its range
    """

    side: np.ndarray
    point: Point
    gap: float
    iterate: Iterate
    flees: bool = False


class InteriorSolver:
    """Interior steps on one block.

    Parameters
    ----------
    block : Block
    operator : _Dense or Factored, made for the block if None
    """

    def __init__(self, block, operator=None):
        self.block = block
        self.operator = operator_of(block) if operator is None else operator
        # A given cost leaves lam no room: then it is no variable.
        self.lam_is_free, self.highest = block.lam_is_free, block.lam_range[1]
        # By what share the last predictor changed each distance: it tells the sides where steps go on from there.
        self.changes = np.zeros((2, block.n_samples))

    def follow(self, iterate, gap):
        """Steps as `solve` takes them; where lam flees, since the slack cannot be had for less than the largest cost,
        those of the problem with this cost.

        Returns
        -------
        InteriorSolver : this one, or that of the problem with the largest cost
        Interior
        """
        inside = self.solve(iterate, gap)
        if not inside.flees:
            return self, inside
        beyond = self.at_cost(self.highest)
        told = beyond.solve(beyond.start(self.highest), _TOLD)
        if self.excess(told.iterate) > 0:
            told = beyond.solve(told.iterate, gap)
            # What the slack may still fall by.
            if self.excess(told.iterate) > _UNSURE * told.iterate.gap / self.highest:
                return beyond, told
        # It can be had.
        return self, self.solve(self.start(_LIFT * min(inside.point.lam, _BACK * self.highest)), gap, stays=True)

    def at_cost(self, cost):
        """The solver of the same block with this cost."""
        return InteriorSolver(replace(self.block, lam_range=(cost, cost)), self.operator)

    def start(self, lam):
        """Duals in the middle of their bounds, balanced as far as their room allows, and slacks to match.

        At a given cost they are no longer than some times what the dual objective asks for in their direction.
        """
        block = self.block
        below = 0.5 * lam * _balancing_share(block) * block.weight
        if not self.lam_is_free and block.fixed.total == 0.0:
            beta = block.sign * below
            reward, curvature = dot(block.linear - lam * block.fixed.pull, beta), dot(beta, self.operator.apply(beta))
            most = max(_LONGER * reward, _SHORTEST_START * curvature)
            below *= most / curvature if most < curvature else 1.0
        open_residual = block.linear - self._fit(block.sign * below, lam)
        middle = float(np.median(open_residual))
        residual = block.sign * (open_residual - middle)
        half = 0.5 * max(float(np.abs(residual).mean()), 1e-3)
        zero, slack = np.maximum(-residual, 0.0) + half, np.maximum(residual, 0.0) + half
        return Iterate(np.stack([below, lam * block.weight - below, zero, slack]), lam, middle)

    def _fit(self, beta, lam):
        """K beta, with what the fixed samples add."""
        return self.operator.apply(beta) + lam * self.block.fixed.pull

    def solve(self, iterate, gap, most=MOST_STEPS, stays=False):
        """Steps until the relative gap and the residuals are within `gap`, lam flees, or no step goes on.

        Where lam is far too small it starts anew, each time larger; where it is known to stay in its range it never
        flees.

        Returns
        -------
        Interior
        """
        tally = self.block.tally
        stays = stays or not self.lam_is_free or np.isinf(self.highest)
        stuck, least, since, lift = 0, NEAR, 0, _LIFT
        best = None
        for number in range(most + 1):
            state = self._measure(iterate)
            tally.gap = state.error
            least, since = (state.error, 0) if state.error < 0.5 * least else (least, since + (least < NEAR))
            flees = not stays and (stuck >= _PATIENCE or iterate.lam > self.highest)
            if number == most or tally.left <= 0 or state.error <= gap or flees or since > STALLED:
                break
            try:
                # Beyond the range of doubles a step is no number, and the last.
                with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                    step, length, self.changes = self._step(iterate, state)
            except np.linalg.LinAlgError:
                break
            if state.error < (NEAR if best is None else best.gap):
                best = self._interior(state, iterate)
            if not (length > _SHORTEST and np.isfinite(step.lam)):
                break
            tally.interior_steps += 1
            # Far too small a lam grows in many short steps, while one far too large falls in a few long ones.
            stuck = stuck + 1 if length < _SHORT and step.lam > iterate.lam and state.unmet > _UNMET else 0
            if stuck >= _PATIENCE and (stays or iterate.lam <= _LAST * self.highest):
                stuck, iterate = 0, self.start(min(lift * iterate.lam, self.highest))
                lift = min(lift**2, _HIGHEST_LIFT)
            else:
                iterate = iterate.after(step, length)
        # Beyond what doubles can tell steps lead away again.
        if best is not None and not flees and not state.error <= best.gap:
            return best
        return replace(self._interior(state, iterate), flees=flees)

    def _interior(self, state, iterate):
        """The record of where the steps are."""
        point = Point(state.beta, iterate.lam, iterate.intercept, state.fit)
        return Interior(_sides(self.changes), point, state.error, iterate)

    def excess(self, it):
        """The total slack, with that of the fixed samples, beyond the budget."""
        block, fixed = self.block, self.block.fixed
        of_fixed = fixed.reward - dot(fixed.pull, block.sign * it.below) - it.lam * fixed.curvature
        return of_fixed - it.intercept * fixed.total + dot(block.weight, it.slack) - block.budget

    def _measure(self, it):
        """How far the iterate is from the solution."""
        block, fixed = self.block, self.block.fixed
        beta = block.sign * it.below
        fit = self._fit(beta, it.lam)
        residual = block.linear - fit
        residual -= it.intercept
        imbalance = -(beta.sum() + it.lam * fixed.total)
        wrong = np.abs(block.sign * residual + it.zero - it.slack).max()
        excess = self.excess(it) if self.lam_is_free else 0.0
        unmet = abs(excess) / max(block.budget, block.least_weight)
        # |w|^2, and with a cost the price of the slack.
        objective = dot(beta, fit) + it.lam * (dot(fixed.pull, beta) + it.lam * fixed.curvature)
        if not self.lam_is_free:
            objective += it.lam * dot(block.weight, it.slack)
        gap = it.gap / objective if objective > 1e-100 * it.gap else np.inf
        return _Standing(beta, fit, residual, imbalance, excess, unmet, max(gap, wrong, unmet))

    def _step(self, it, state):
        """Mehrotra's step, how far to go along it, and by what share its predictor changes each distance."""
        mu, system = it.gap, _NewtonSystem(self, it, state)
        affine = system.direction()
        told = affine.pairs / it.pairs
        length = min(1.0, _longest(told))
        products = affine.pairs[:2] * affine.pairs[2:]
        # The predictor lowers the gap in proportion, but for the products of its own changes.
        ahead = (1.0 - length) * mu + length**2 * products.sum()
        # Where it runs into a boundary at once the products are made alike first: it would again.
        centring = max((ahead / mu) ** 3, (1.0 - length) ** 3)
        step = system.direction(centring * mu / products.size - products)
        return step, min(1.0, _SHORT_OF_BOUNDARY * _longest(step.pairs / it.pairs)), told[:2]


def _sides(ratios):
    """Where the predictor sends every dual: of a distance and its multiplier one stays and the other goes to zero.

    (Tapia's indicators: El-Bakry, Tapia, Zhang, A study of indicators for identifying zero variables in interior-point
    methods, SIAM Review 1994.)
    """
    to_zero, to_bound = ratios
    side = np.full(len(to_zero), FREE)
    side[to_zero < -0.5] = ZERO
    side[(to_bound < -0.5) & (to_bound < to_zero)] = BOUND
    return side


class _Standing(NamedTuple):
    """Duals, fit and residuals of an iterate, by how much and what share it misses the budget, its largest error."""

    beta: np.ndarray
    fit: np.ndarray
    residual: np.ndarray
    imbalance: float
    excess: float
    unmet: float
    error: float


class _NewtonSystem:
    """The Newton equations at an iterate, factorised: directions for any targets of the products."""

    def __init__(self, solver, it, state):
        self.solver, self.it, self.state = solver, it, state
        self.ratios = it.pairs[2:] / it.pairs[:2]
        self.solve = solver.operator.solver(self.ratios[0] + self.ratios[1])
        if solver.lam_is_free:
            block, fixed = solver.block, solver.block.fixed
            h = self.ratios[1] * block.bound
            self.coupling = fixed.pull - h
            (self.of_lam,), (self.b_of_lam,) = self.solve(self.coupling[None].copy(), fixed.total)
            self.fall = dot(block.bound, h) + fixed.curvature - self._spent(self.of_lam, self.b_of_lam)

    def _spent(self, dbeta, db):
        """What changes of the duals and of b add to the budget's equation."""
        return dot(self.coupling, dbeta) + self.solver.block.fixed.total * db

    def direction(self, targets=None):
        """The step towards a z and v e equal to the targets (2, n), zero if None."""
        solver, it, state = self.solver, self.it, self.state
        block, dlam = solver.block, 0.0
        # The multipliers that complementarity asks for, less those the iterate has.
        rows, wanted = state.residual.copy(), -it.pairs[2:]
        if targets is not None:
            asked = targets / it.pairs[:2]
            rows += block.sign * (asked[0] - asked[1])
            wanted += asked
        (dbeta,), (db,) = self.solve(rows[None], state.imbalance)
        if solver.lam_is_free:
            dlam = (state.excess + dot(block.weight, wanted[1]) - self._spent(dbeta, db)) / self.fall
            dbeta, db = dbeta - dlam * self.of_lam, db - dlam * self.b_of_lam
        step = np.empty(it.pairs.shape)
        np.multiply(block.sign, dbeta, out=step[0])
        np.subtract(dlam * block.weight, step[0], out=step[1])
        np.subtract(wanted, self.ratios * step[:2], out=step[2:])
        return Iterate(step, dlam, db)


def _balancing_share(block):
    """A share of each unit bound, the same for all of a sign, that balances them with the fixed samples."""
    share = np.ones(block.n_samples)
    positive = block.bound > 0
    up, down = block.bound[positive].sum(), -block.bound[~positive].sum()
    excess = up - down + block.fixed.total
    if excess > 0 and up > 0:
        share[positive] = max(1.0 - excess / up, 0.1)
    elif down > 0:
        share[~positive] = max(1.0 + excess / down, 0.1)
    return share
