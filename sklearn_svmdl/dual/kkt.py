"""The optimality conditions, linear once it is known who is where.

Every variable is at zero, free, or at its bound lam t_i. Write t for the bounds of those at bound (0 elsewhere), F for
the free ones, and add a proximal term delta/2 (|beta - lam u|^2 + (lam - lam_c)^2), which keeps singular kernels
solvable and vanishes as its centre moves to the solution (Rockafellar, Augmented Lagrangians and applications of the
proximal point algorithm, 1976). u = beta_c / lam_c is the shape of the centre: the term resists changes of shape, while
all duals at bound may grow with lam. With A = K_FF + delta I and c = (K t - delta u)_F the conditions are:

    A beta_F + lam c + b 1                                            = p_F                     (f(x_i) = p_i)
    c'beta_F + lam (t'K t + delta |t - u|^2 + delta) + b 1't          = p't - C + delta lam_c   (the budget is spent)
    1'beta_F + lam 1't                                                = 0

Where lam is at an end of its range (a given cost has no other) the second is dropped.

1'beta = 0, so K may be replaced by K + sigma 1 1' throughout. On d features that lifts the rank of K_FF from d to
d + 1, the number of samples that are free at most vertices: without it A^-1 1 grows like 1 / delta and beta_F loses
its digits.

One Cholesky factorisation of A and three right-hand sides, Z = A^-1 [p_F, c, 1], give
beta_F = Z_0 - lam Z_1 - b Z_2 and leave two equations in (lam, b). Without a free sample lam follows from the budget
alone and b may lie anywhere between the samples at zero and those at bound: the middle is taken.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import sqrt
from typing import NamedTuple

import numpy as np

from ..kernels.blas import dot, matmul
from ..kernels.sources import BLOCK, row_blocks
from .factor import cholesky, shifted_gram, solve_factorised
from .problem import Bounds
from .work import Tally

ZERO, FREE, BOUND = (np.int8(code) for code in range(3))

# Relative rounding of the sums in the conditions.
ROUNDING = 1e-14
# How far from the margin, relative to f, free samples may stand that were solved for.
_OFF_MARGIN = 1e-3
# Roundings of a sum of n terms grow as sqrt(n); some more to spare.
UNITS = 4.0
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class FixedSamples:
    """What samples held at their bound, outside a block, add to its conditions (t: their bounds s_i sign_i).

    pull : K[block, fixed] t;  curvature : t'K t;  reward : p't;  total : 1't
    """

    pull: np.ndarray
    curvature: float = 0.0
    reward: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class Block(Bounds):
    """The problem on m variables whose Gram matrix is stored, the others held at zero or at their bound.

    `lam_range` are the least and the largest lam: the cost twice, where one is given. `features`, if known, have
    gram = features features'. `tally` counts the work done on the block. Of a regression a row of the Gram matrix is a
    sample, and `row` (m,) that of each variable: one or both sides of each sample are variables.
    """

    gram: np.ndarray
    linear: np.ndarray
    bound: np.ndarray
    budget: float
    fixed: FixedSamples
    lam_range: tuple = (0.0, np.inf)
    features: object = None
    row: np.ndarray | None = None
    tally: Tally = field(default_factory=Tally)

    @property
    def n_samples(self):
        """How many variables the block has, m."""
        return len(self.linear)

    @property
    def dtype(self):
        """The precision of the kernel values."""
        return self.gram.dtype

    @property
    def is_single(self):
        """Whether the kernel values are in single precision."""
        return self.dtype == np.float32

    @cached_property
    def twin(self):
        """The other side of each variable's sample, itself where there is none; None where samples have no sides."""
        return None if self.row is None else twins_of(self.row)

    @cached_property
    def without_width(self):
        """Mask of the variables whose sample has both sides at the same place; None where no sample has."""
        if self.row is None:
            return None
        same = (self.linear == self.linear[self.twin]) & (self.twin != np.arange(self.n_samples))
        return same if same.any() else None

    def rows(self, variables):
        """The rows of the Gram matrix of some variables."""
        return variables if self.row is None else self.row[variables]

    def product(self, values):
        """K @ values."""
        if self.row is None:
            return product(self.gram, values)
        return product(self.gram, self.of_rows(values))[self.row]

    def of_rows(self, values):
        """The sum of the values of the variables of each row of the Gram matrix."""
        return values if self.row is None else np.bincount(self.row, values, len(self.gram))

    @cached_property
    def least_weight(self):
        """The least s_i."""
        return float(self.weight.min())

    @cached_property
    def scale(self):
        """Half the squared distance of two samples in feature space, typically: the unit of delta and 1 / lam."""
        return typical_spread(self.gram)

    @property
    def shift(self):
        """sigma, what is added to all kernel values."""
        return self.scale

    @cached_property
    def largest(self):
        """The largest kernel value."""
        return float(np.abs(np.diagonal(self.gram)).max())

    def weight_of(self, delta):
        """The proximal weight `delta`, given in units of the scale; no less than what Cholesky's roundings may take."""
        return max(delta * self.scale, self.n_samples * _EPS * self.largest)

    def rounding(self, beta):
        """The size of rounding errors in K beta: what no solver can tell from zero."""
        return UNITS * _EPS * self.largest * sqrt(dot(beta, beta))

    def asking(self, problem, tally):
        """The same block with the budget or the cost of another problem; what does not depend on it is kept."""
        return self._with(budget=problem.charge, lam_range=problem.lam_range, tally=tally)

    def at_cost(self, cost):
        """The same block with this cost."""
        return self._with(lam_range=(cost, cost))

    def _with(self, **given):
        """The block with other fields, none of which what is kept depends on."""
        other = replace(self, **given)
        kept = ("sign", "weight", "scale", "largest", "twin", "without_width")
        vars(other).update({name: getattr(self, name) for name in kept})
        return other

    def conditions(self, side, centre, previous, factor):
        """The conditions for a guess of the sides, factorised: see `KKTSystem`."""
        return KKTSystem(self, side, centre, previous, factor)

    @property
    def lam_is_free(self):
        """Whether lam is to be found; a given cost leaves it no room."""
        return self.lam_range[0] < self.lam_range[1]

    def clip_lam(self, lam):
        """lam, or the end of its range that it is beyond."""
        return min(max(lam, self.lam_range[0]), self.lam_range[1])


def spread_of(gram):
    """The mean squared distance of samples from their mean in feature space, from the kernel values among them."""
    return spread_from(np.diagonal(gram), np.mean(gram))


def typical_spread(gram):
    """Half the median squared distance of pairs of samples: that of most, where `spread_of` is that of a few far off.

    `spread_of` where most pairs are alike. Like that one it counts the pairs of a sample with itself, one in n.
    """
    n, diagonal = len(gram), np.diagonal(gram)
    one, other = np.arange(n), np.roll(np.arange(n), n // 2)
    median = float(np.sort(diagonal + diagonal[other] - 2.0 * gram[one, other])[n // 2])
    typical = 0.5 * (1.0 - 1.0 / n) * median
    return typical if typical > ROUNDING * np.abs(diagonal).max() else spread_of(gram)


def spread_from(diagonal, mean):
    """`spread_of` samples from k(x, x) and the mean of all kernel values.

    Samples that are alike but for rounding have no scale of their own: it is their distance from the origin, or 1.
    """
    spread, largest = float(np.mean(diagonal) - mean), float(np.abs(diagonal).max())
    return max(spread, 1e-12 * largest) if spread > ROUNDING * largest else largest or 1.0


class ProximalTerm(NamedTuple):
    """The proximal term delta/2 (|beta - lam u|^2 + (lam - lam_c)^2): its weight delta, the shape u, and lam_c.

    Of a sample of a regression it sees the sum of both duals, as the kernel does: one side would else seem further from
    the sample than the other.
    """

    block: object
    delta: float
    shape: np.ndarray
    lam: float

    @classmethod
    def around(cls, block, delta, beta, lam):
        """The proximal term that vanishes at the given duals and multiplier; delta is in units of the block's scale."""
        duals = block.of_rows(beta)
        return cls(block, block.weight_of(delta), duals / lam if lam > 0 else np.zeros_like(duals), lam)

    def pull(self, beta, lam):
        """What the proximal term adds to the gradient."""
        pull = self.delta * (self.block.of_rows(beta) - lam * self.shape)
        return pull if self.block.row is None else pull[self.block.row]


class Point(NamedTuple):
    """Duals, multiplier and intercept on a block, with the fit f = K beta."""

    beta: np.ndarray
    lam: float
    intercept: float
    fit: np.ndarray


def point_at(block, beta, lam, intercept):
    """The point with the given duals."""
    return Point(beta, lam, intercept, lam * block.fixed.pull + block.product(beta))


def inward(problem, point):
    """sign_i (p_i - f_i - b), of a block or a problem: positive where a sample costs slack."""
    return problem.sign * (problem.linear - point.fit - point.intercept)


def is_balanced(block, side):
    """Whether the samples at bound, the held ones included, weigh the same in both classes."""
    at_bound = block.bound[side == BOUND]
    return abs(at_bound.sum() + block.fixed.total) <= 1e-12 * (np.abs(at_bound).sum() + abs(block.fixed.total))


def product(gram, values):
    """gram @ values in the precision of gram: on copies of the rows with values where they are few, else on all."""
    values = values.astype(gram.dtype, copy=False)
    (rows,) = values.nonzero()
    if 3 * len(rows) >= len(gram):
        return matmul(gram, values)
    if len(rows) * len(gram) <= BLOCK:
        return matmul(gram[rows].T, values[rows])
    out, values = np.zeros(len(gram)), values[rows]
    for piece in row_blocks(len(rows), len(gram)):
        out += matmul(gram[rows[piece]].T, values[piece])
    return out


def sides_of_rows(row):
    """The first and the second variable of each row, the same where it has one."""
    first, second = np.empty((2, row.max() + 1), dtype=np.intp)
    variables = np.arange(len(row))
    first[row[::-1]], second[row] = variables[::-1], variables
    return first, second


def twins_of(row):
    """For each variable the other one of the same row, itself where there is none."""
    first, second = sides_of_rows(row)
    return first[row] + second[row] - np.arange(len(row))


def one_side_each(block, side, inward):
    """The sides, with the further one of a sample at zero where both would hold it: their conditions contradict, or are
    the same where the tube has no width."""
    twin = block.twin
    if twin is None:
        return side
    held = side != ZERO
    (held,) = (held & held[twin]).nonzero()
    held = held[twin[held] != held]
    if len(held) == 0:
        return side
    other = twin[held]
    further = (inward[held] < inward[other]) | ((inward[held] == inward[other]) & (other < held))
    side = side.copy()
    side[held[further]] = ZERO
    return side


class KKTSystem:
    """The linear conditions for one guess `side` (ZERO, FREE or BOUND per sample), factorised.

    Raises
    ------
    numpy.linalg.LinAlgError : K_FF + delta I is not numerically positive definite, or no sample is free to balance
        those at bound.
    """

    def __init__(self, block, side, centre, previous=None, factor=None):
        self.block, self.centre, self.factor = block, centre, factor
        self.side, self.free = side, (side == FREE).nonzero()[0]
        self.t = np.where(side == BOUND, block.bound, 0.0)
        # From one guess to the next few samples reach or leave their bound.
        known_t, known_pull = (0.0, block.fixed.pull) if previous is None else (previous.t, previous.pull)
        self.pull = known_pull + block.product(self.t - known_t)
        self.shift, self.total = block.shift, float(self.t.sum()) + block.fixed.total
        # c, with K + sigma 1 1' for K.
        self.coupling = (
            self.pull[self.free] + self.shift * self.total - centre.delta * centre.shape[block.rows(self.free)]
        )
        self.solved = self._solve_free()
        self._reduce()

    # Whether the conditions are solved in less than the precision of the kernel values.
    is_rough = False

    def is_lost(self, point, residual):
        """Whether the free samples stand off the margin: a factor that followed them has lost its digits."""
        off = 0.0 if self.factor is None else np.abs(residual[self.free]).max(initial=0.0)
        return off > _OFF_MARGIN * (1.0 + np.abs(point.fit).max())

    def _solve_free(self):
        """Z = A^-1 [p_F, c, 1]."""
        F = self.free
        if len(F) == 0:
            if not is_balanced(self.block, self.side):
                raise np.linalg.LinAlgError("no sample is free to balance those at bound")
            return np.zeros((0, 3))
        self.block.tally.factored.append(len(F))
        rhs = np.empty((len(F), 3), order="F")
        rhs[:, 0], rhs[:, 1], rhs[:, 2] = self.block.linear[F], self.coupling, 1.0
        if self.factor is not None:
            return self.factor.solve(self.block.gram, self.shift, self.centre.delta, self.block.rows(F), rhs)
        rows = self.block.rows(F)
        upper = cholesky(shifted_gram(self.block.gram, rows, self.shift, self.centre.delta))
        return solve_factorised(upper, rhs).astype(np.float64, copy=False)

    def _reduce(self):
        """The two equations [[a11, a12], [a12, a22]] (lam, b) = (r1, r2) that beta_F leaves."""
        sums, T = self.solved.sum(axis=0), self.total
        self.a12, self.a22, self.r2 = T - sums[1], -sums[2], -sums[0]
        if self.block.lam_is_free:
            self._reduce_budget()
            pulls = matmul(self.solved.T, self.coupling)
            self.a11, self.r1 = self.curvature - pulls[1], self.spare - pulls[0]

    def _reduce_budget(self):
        """What the bounds spend of the budget, and how that grows with lam."""
        t, fixed, centre, T = self.t, self.block.fixed, self.centre, self.total
        away = self.block.of_rows(t) - centre.shape
        self.curvature = fixed.curvature + t @ (self.pull + fixed.pull) + self.shift * T**2
        self.curvature += centre.delta * (away @ away + 1.0)
        self.spare = self.block.linear @ t + fixed.reward - (self.block.budget - centre.delta * centre.lam)

    def multiplier(self, lam):
        """Newton's step from lam to where the slack, which falls linearly in lam for this guess, meets the budget.

        lam as it is where the slack hardly depends on it, as beyond the least lam of the least slack, and where a cost
        is given.
        """
        if not self.block.lam_is_free:
            return lam
        coupling = self.a12**2 / self.a22 if len(self.free) else 0.0
        offset = self.a12 * self.r2 / self.a22 if len(self.free) else 0.0
        fall = self.a11 - coupling
        excess = self.r1 - offset - fall * lam
        is_flat = fall <= ROUNDING * (abs(self.a11) + abs(coupling))
        is_met = abs(excess) <= ROUNDING * (abs(self.r1) + abs(offset))
        return lam if is_flat or is_met else lam + excess / fall

    def intercept(self, lam):
        """b that balances the duals for the given lam."""
        if len(self.free) == 0:
            return self._middle_intercept(lam)
        return (self.r2 - self.a12 * lam) / self.a22

    def _middle_intercept(self, lam):
        """The middle of the intercepts that leave every sample on its side."""
        gradient = self.block.linear - lam * self.pull - self.centre.pull(lam * self.t, lam)
        # sign_i (g_i - b) >= 0 at bound and <= 0 at zero.
        above = (self.side == BOUND) == (self.block.sign > 0)
        ends = np.array([gradient[~above].max(initial=-np.inf), gradient[above].min(initial=np.inf)])
        return float(ends[np.isfinite(ends)].mean())

    def point(self, lam):
        """The solution of the free samples' conditions and 1'beta = 0 for the given lam."""
        b = self.intercept(lam)
        of_free = np.zeros(len(self.t))
        of_free[self.free] = self._duals_of_free(lam, b)
        beta = lam * self.t + of_free
        return Point(beta, lam, b, lam * self.pull + self.block.product(of_free))

    def _duals_of_free(self, lam, b):
        """beta_F for the given lam and b."""
        return self.solved[:, 0] - lam * self.solved[:, 1] - b * self.solved[:, 2]
