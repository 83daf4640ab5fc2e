"""A primal-dual interior point method on (beta, lam) jointly: it ends in a few dozen steps on any convex problem.

With a_i = sign_i beta_i, the room v_i = lam s_i - a_i above it, and multipliers z of a >= 0 and e of v >= 0 (the
slacks), the conditions are

    sign_i (p_i - f_i - b) + z_i - e_i = 0,   1'beta = 0,   sum_i s_i e_i = C,   a_i z_i = v_i e_i = mu -> 0.

a + v = lam s keeps lam positive. A Newton step eliminates all multipliers; with D = z/a + e/v, h = t e/v it solves

    [ K + D   c   1 ] [ dbeta ]   [ p - f - b + sign (mu_a/a - mu_v/v) ]    c = K t_fixed - h
    [  c'     w   T ] [ dlam  ] = [ the budget's residual              ]    w = t'h + (t'K t)_fixed
    [  1'     T   0 ] [ db    ]   [ -1'beta - lam T                    ]    T = (1't)_fixed

by one Cholesky factorisation of K + D, or, where K = G G' with G of few columns, of I + G'D^-1 G. Steps are those of
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
from .kkt import BOUND, FREE, ZERO, Point

(_PSTRF,) = get_lapack_funcs(("pstrf",), dtype=np.float64)

# Steps of one run. A budget that asks for a large lam takes most of them; a cost takes 10 to 25.
MOST_STEPS = 100
# How much of the way to the boundary a step may go.
_SHORT_OF_BOUNDARY = 0.995
# A shorter step than this leads nowhere.
_SHORTEST = 1e-8
# Once the errors are this small, so many steps that do not halve them say that rounding keeps them there.
_NEAR, _STALLED = 1e-2, 8
# Where lam overshot its range it begins again at this share of its end.
_BACK = 0.03
# After so many steps shorter than this in a row, lam starts anew this many times larger where the budget is exceeded by
# more than this share.
_PATIENCE, _SHORT, _LIFT, _UNMET = 2, 0.2, 30.0, 0.3
# A factor of the kernel matrix is sought from this many samples on, and used if it has at most this share of columns.
_WORTH_FACTORING, _FEW_COLUMNS = 250, 0.4
# What a factor may leave of the kernel matrix, relative to its largest value: rounding.
_RANK_TOLERANCE = 1e-14


class _Dense:
    """The kernel matrix as it is."""

    def __init__(self, gram, tally):
        self.gram, self.tally = gram, tally

    def apply(self, values):
        """K @ values."""
        return matmul(self.gram, values)

    def solver(self, D):
        """A function that solves (K + D) x = r."""
        A = np.array(self.gram)
        A.flat[:: len(D) + 1] += D
        self.tally.factored.append(len(D))
        upper = cholesky(A)
        return lambda rhs: solve_factorised(upper, rhs)


class _Factored:
    """K = G G' with G (m, r): (K + D)^-1 = D^-1 - D^-1 G (I + G'D^-1 G)^-1 G'D^-1 (Sherman, Morrison, Woodbury)."""

    def __init__(self, G, tally):
        self.G, self.tally = G, tally
        # To touch fresh memory at every step would cost more than to fill it.
        self.scaled = np.empty(G.shape)

    def apply(self, values):
        """K @ values."""
        return matmul(self.G, matmul(self.G.T, values))

    def solver(self, D):
        """A function that solves (K + D) x = r, with one correction: the formula alone cancels digits."""
        G, column = self.G, D[:, None]
        np.multiply(G, 1.0 / np.sqrt(column), out=self.scaled)
        A = matmul(self.scaled.T, self.scaled)
        A.flat[:: len(A) + 1] += 1.0
        self.tally.factored.append(len(A))
        upper = cholesky(A)

        def once(rhs):
            x = rhs / column
            inner = solve_factorised(upper, np.asfortranarray(matmul(G.T, x)))
            return x - matmul(G, inner) / column

        def solve(rhs):
            x = once(rhs)
            return x + once(rhs - matmul(G, matmul(G.T, x)) - x * column)

        return solve


def operator_of(block):
    """How the interior steps on a block solve with its kernel matrix."""
    n, X = block.n_samples, block.features
    if X is not None and n >= _WORTH_FACTORING and X.shape[1] <= _FEW_COLUMNS * n:
        return _Factored(block.features, block.tally)
    gram = np.asarray(block.gram, dtype=np.float64)
    G = low_rank_factor(gram) if len(gram) >= _WORTH_FACTORING else None
    return _Dense(gram, block.tally) if G is None else _Factored(G, block.tally)


def low_rank_factor(gram):
    """G (m, r) with G G' equal to the kernel matrix but for rounding; None where that takes many columns.

    LAPACK's Cholesky factorisation with diagonal pivoting (Higham, Analysis of the Cholesky decomposition of a
    semi-definite matrix, 1990).
    """
    m = len(gram)
    factor, order, rank, _ = _PSTRF(gram, tol=_RANK_TOLERANCE * np.diagonal(gram).max(), lower=True)
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
    def slack(self):
        """e, the multipliers of the upper bounds."""
        return self.pairs[3]

    @property
    def gap(self):
        """The sum of all distances times their multipliers: the duality gap."""
        return float(np.vdot(self.pairs[:2], self.pairs[2:]))

    def moved(self, step, length):
        """The iterate after a part of a step."""
        return Iterate(*(here + length * change for here, change in zip(self, step)))

    def longest(self, step):
        """The longest step, in units of this one, that keeps all distances and multipliers positive."""
        falls = -float((step.pairs / self.pairs).min())
        return 1.0 / falls if falls > 0 else np.inf


@dataclass(frozen=True)
class Interior:
    """Where an interior solve ended: the sides, the point, what is left of its relative errors, and the iterate."""

    side: np.ndarray
    point: Point
    gap: float
    iterate: Iterate


class InteriorSolver:
    """Interior steps on one block.

    Parameters
    ----------
    block : Block
    operator : _Dense or _Factored, made for the block if None
    """

    def __init__(self, block, operator=None):
        self.block = block
        self.operator = operator_of(block) if operator is None else operator
        # A given cost leaves lam no room: then it is no variable.
        lowest, self.highest = block.lam_range
        self.lam_is_free = lowest < self.highest

    def follow(self, iterate, gap):
        """Steps as `solve` takes them, but where lam leaves its range and the slack cannot be had for less than the
        largest cost, those of the problem with this cost.

        Returns
        -------
        InteriorSolver : this one, or that of the problem with the largest cost
        Interior
        """
        inside = self.solve(iterate, gap)
        if not inside.point.lam > self.highest:
            return self, inside
        beyond = InteriorSolver(replace(self.block, lam_range=(self.highest, self.highest)), self.operator)
        inside = beyond.solve(beyond.start(self.highest), gap)
        if self.excess(inside.iterate) > 0:
            return beyond, inside
        # It can be had: lam only overshot.
        return self, self.solve(self.start(_BACK * self.highest), gap, furthest=np.inf)

    def start(self, lam):
        """Duals in the middle of their bounds, balanced as far as their room allows, and slacks to match."""
        block = self.block
        below = 0.5 * lam * _balancing_share(block) * block.weight
        open_residual = block.linear - self._fit(block.sign * below, lam)
        middle = float(np.median(open_residual))
        residual = block.sign * (open_residual - middle)
        half = 0.5 * max(float(np.abs(residual).mean()), 1e-3)
        zero, slack = np.maximum(-residual, 0.0) + half, np.maximum(residual, 0.0) + half
        return Iterate(np.stack([below, lam * block.weight - below, zero, slack]), lam, middle)

    def _fit(self, beta, lam):
        """K beta, with what the fixed samples add."""
        return self.operator.apply(beta) + lam * self.block.fixed.pull

    def solve(self, iterate, gap, most=MOST_STEPS, furthest=None):
        """Steps until the relative gap and the residuals are within `gap`, lam leaves its range, or no step goes on.

        Returns
        -------
        Interior
        """
        block, tally = self.block, self.block.tally
        most, furthest = int(min(most, tally.left)), self.highest if furthest is None else furthest
        side, stuck, least, since = np.full(block.n_samples, FREE), 0, _NEAR, 0
        for number in range(most + 1):
            state = self._measure(iterate)
            least, since = (state.error, 0) if state.error < 0.5 * least else (least, since + (least < _NEAR))
            if number == most or state.error <= gap or iterate.lam > furthest or since > _STALLED:
                break
            try:
                step, length, side = self._step(iterate, state)
            except np.linalg.LinAlgError:
                break
            if not (length > _SHORTEST and np.isfinite(step.lam)):
                break
            tally.interior_steps += 1
            # Far too small a lam grows in many short steps, while one far too large falls in a few long ones.
            stuck = stuck + 1 if length < _SHORT and step.lam > 0 and state.unmet > _UNMET else 0
            if stuck >= _PATIENCE:
                stuck, iterate = 0, self.start(min(_LIFT * iterate.lam, self.highest))
            else:
                iterate = iterate.moved(step, length)
        return Interior(side, Point(state.beta, iterate.lam, iterate.intercept, state.fit), state.error, iterate)

    def excess(self, it):
        """The total slack, with that of the fixed samples, beyond the budget."""
        block, fixed = self.block, self.block.fixed
        of_fixed = fixed.reward - dot(fixed.pull, block.sign * it.below) - it.lam * fixed.curvature
        return of_fixed - it.intercept * fixed.total + dot(block.weight, it.slack) - block.budget

    def _measure(self, it):
        """How far the iterate is from the solution."""
        block = self.block
        beta = block.sign * it.below
        fit = self._fit(beta, it.lam)
        residual = block.linear - fit - it.intercept
        imbalance = -(beta.sum() + it.lam * block.fixed.total)
        wrong = np.abs(block.sign * residual + (it.pairs[2] - it.slack)).max()
        unmet = 0.0
        if self.lam_is_free:
            unmet = abs(self.excess(it)) / max(block.budget, block.least_weight)
        # |w|^2, and with a cost the price of the slack.
        fixed = block.fixed
        objective = dot(beta, fit) + it.lam * (dot(fixed.pull, beta) + it.lam * fixed.curvature)
        if not self.lam_is_free:
            objective += it.lam * dot(block.weight, it.slack)
        gap = it.gap / objective if objective > 1e-100 * it.gap else np.inf
        return _Standing(beta, fit, residual, imbalance, unmet, max(gap, wrong, unmet))

    def _step(self, it, state):
        """Mehrotra's step, how far to go along it, and the sides that its predictor tells."""
        system = _NewtonSystem(self, it, state)
        affine = system.direction()
        mu, ahead = it.gap, it.moved(affine, min(1.0, it.longest(affine))).gap
        target = (ahead / mu) ** 3 * mu / (2 * len(it.below))
        step = system.direction(target - affine.pairs[:2] * affine.pairs[2:])
        return step, min(1.0, _SHORT_OF_BOUNDARY * it.longest(step)), _sides(it, affine)


def _sides(it, affine):
    """Where the predictor sends every dual: of a distance and its multiplier one stays and the other goes to zero.

    (Tapia's indicators: El-Bakry, Tapia, Zhang, A study of indicators for identifying zero variables in interior-point
    methods, SIAM Review 1994.)
    """
    to_zero, to_bound = affine.pairs[:2] / it.pairs[:2]
    side = np.where(to_zero < -0.5, ZERO, FREE)
    return np.where((to_bound < -0.5) & (to_bound < to_zero), BOUND, side).astype(np.int8)


class _Standing(NamedTuple):
    """Duals, fit and residuals of an iterate, the share by which it misses the budget, its largest relative error."""

    beta: np.ndarray
    fit: np.ndarray
    residual: np.ndarray
    imbalance: float
    unmet: float
    error: float


class _NewtonSystem:
    """The Newton equations at an iterate, factorised: directions for any targets of the products."""

    def __init__(self, solver, it, state):
        block = solver.block
        self.solver, self.it, self.state = solver, it, state
        self.ratios = it.pairs[2:] / it.pairs[:2]
        h = self.ratios[1] * block.bound
        self.coupling = block.fixed.pull - h
        self.solve = solver.operator.solver(self.ratios[0] + self.ratios[1])
        rhs = np.empty((len(h), 3), order="F")
        rhs[:, 0], rhs[:, 1], rhs[:, 2] = state.residual, self.coupling, 1.0
        self.base, self.of_lam, self.of_b = self.solve(rhs).T
        w = dot(block.bound, h) + block.fixed.curvature
        self.a11 = w - dot(self.coupling, self.of_lam)
        self.a12, self.a22 = block.fixed.total - self.of_lam.sum(), -self.of_b.sum()

    def direction(self, targets=None):
        """The step towards a z and v e equal to the targets (2, n), zero if None."""
        solver, it, state = self.solver, self.it, self.state
        block, of_rest = solver.block, self.base
        # The multipliers that complementarity asks for, less those the iterate has.
        wanted = -it.pairs[2:]
        if targets is not None:
            asked = targets / it.pairs[:2]
            rhs = state.residual + block.sign * (asked[0] - asked[1])
            of_rest = self.solve(np.asfortranarray(rhs[:, None]))[:, 0]
            wanted = asked - it.pairs[2:]
        r2, dlam = state.imbalance - of_rest.sum(), 0.0
        if solver.lam_is_free:
            r1 = solver.excess(it) + dot(block.weight, wanted[1]) - dot(self.coupling, of_rest)
            dlam = (r1 * self.a22 - r2 * self.a12) / (self.a11 * self.a22 - self.a12**2)
        db = (r2 - self.a12 * dlam) / self.a22
        step = np.empty_like(it.pairs)
        step[0] = block.sign * (of_rest - dlam * self.of_lam - db * self.of_b)
        step[1] = dlam * block.weight - step[0]
        step[2:] = wanted - self.ratios * step[:2]
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
