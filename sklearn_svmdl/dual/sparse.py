"""Sparse samples: the active set without a Gram matrix.

Rows of a text have little in common. Of their kernel matrix X X' a few eigenvalues are large and the others near each
other, so conjugate gradients solve with it in some dozens of products with X, where a factorisation of thousands of
free samples takes all the time there is. All samples are one block, and nothing is held outside.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import row_norms

from ..kernels.blas import dot
from .active_set import State, pivot_exactly
from .kkt import BOUND, FREE, ZERO, Block, FixedSamples, KKTSystem, Point, spread_from
from .levels import cold_state
from .problem import least_slack_intercept
from .working_set import near_margin

# A share of numbers that are not zero from which on a kernel matrix costs less.
_DENSE = 0.1
# Samples that are free at first.
_FIRST_FREE = 200
# The residuals of a solution, relative to its right-hand side, while most samples may be on the wrong side and in the
# end; between them they are this part of the square of the share of samples that are.
_ROUGHLY, _EXACTLY, _OF_WRONG = 1e-2, 1e-12, 0.1
# Iterations of one solve.
_MOST_ITERATIONS = 300


@dataclass(frozen=True)
class SparseBlock(Block):
    """All samples X (n, d), CSR, of a problem; `gram` is None."""

    dtype = np.dtype(np.float64)
    # 1'beta = 0 is kept by every iterate: K needs no lift.
    shift = 0.0

    @cached_property
    def diagonal(self):
        """k(x, x) for every sample."""
        return row_norms(self.features, squared=True)

    @cached_property
    def scale(self):
        """The mean squared distance of the samples from their mean."""
        mean = np.asarray(self.features.mean(axis=0)).ravel()
        return spread_from(self.diagonal, dot(mean, mean))

    @cached_property
    def largest(self):
        """The largest kernel value."""
        return float(self.diagonal.max())

    def product(self, values):
        """K @ values."""
        values = self.of_rows(values)
        rows = values.nonzero()[0]
        X = self.features
        self.tally.kernel_values += len(rows) + len(values)
        fit = X @ (X[rows].T @ values[rows])
        return fit if self.row is None else fit[self.row]

    def of_rows(self, values):
        """The sum of the values of the variables of each sample."""
        return values if self.row is None else np.bincount(self.row, values, self.features.shape[0])

    def conditions(self, side, centre, previous, gradients):
        """The conditions for a guess of the sides, solved by conjugate gradients."""
        return _SparseSystem(self, side, centre, previous, gradients)


class _SparseSystem(KKTSystem):
    """The conditions solved for beta_F and b at once: x + b 1 = r with the sum of x given, for r = p and r = c."""

    @property
    def is_rough(self):
        """Whether the solution leaves more than rounding."""
        return self.factor.tolerance > _EXACTLY

    def is_lost(self, point, residual):
        """Whether rounding left nothing: gradients know their residuals."""
        return False

    def _solve_free(self):
        """The solutions (|F|, 2) for p and for c; at a given cost the one for both."""
        F, block = self.free, self.block
        self.b = np.zeros(2)
        if len(F) == 0:
            return super()._solve_free()[:, :2]
        solved = np.zeros((len(F), 2))
        if block.lam_is_free:
            sides = ((block.linear[F], 0.0), (self.coupling, self.total))
        else:
            lam = block.lam_range[0]
            sides = ((block.linear[F] - lam * self.coupling, -lam * self.total),)
        for k, (r, total) in enumerate(sides):
            solved[:, k], self.b[k] = self.factor.solve(F, self.centre.delta, r, total, k)
        return solved

    def _reduce(self):
        """The equation that is left for lam."""
        self.a12, self.a22, self.r2 = 0.0, 1.0, 0.0
        if self.block.lam_is_free:
            self._reduce_budget()
            of_p, of_c = self.solved.T @ self.coupling + self.total * self.b
            self.a11, self.r1 = self.curvature - of_c, self.spare - of_p

    def intercept(self, lam):
        """b that balances the duals for the given lam."""
        return self.b[0] - lam * self.b[1] if len(self.free) else self._middle_intercept(lam)

    def _duals_of_free(self, lam, b):
        """beta_F for the given lam."""
        return self.solved[:, 0] - lam * self.solved[:, 1]


class ConjugateGradients:
    """Solves with the kernel matrix of some samples of a block, the more exactly the fewer are on the wrong side.

    It takes the place of a `SolverCache`: `conditions` are those of the last guess.
    """

    dtype = np.dtype(np.float64)

    def __init__(self, block):
        self.block, self.conditions, self.tolerance = block, None, _ROUGHLY
        self.known = np.zeros((2, block.n_samples))

    def factor(self, n_free, n_wrong):
        """This solver, for so many free samples, so many on the wrong side before."""
        self.tolerance = min(max(_OF_WRONG * (n_wrong / max(n_free, 1)) ** 2, _EXACTLY), _ROUGHLY)
        return self

    def gives_up(self, factor):
        """Whether another solver is left to try: no."""
        return False

    def solve(self, free, delta, r, total, number):
        """x and b with (K_FF + delta I) x + b 1 = r and 1'x = total, from the last solution of the same number.

        Conjugate gradients on balanced x with the diagonal as preconditioner (Gould, Hribar, Nocedal, SIAM J. Sci.
        Comput. 2001).

        Raises
        ------
        numpy.linalg.LinAlgError : they do not get there.
        """
        block = self.block
        rows = block.rows(free)
        X = block.features[rows]
        X_transposed = X.T
        inverse = 1.0 / np.maximum(block.diagonal[rows] + delta, np.finfo(float).tiny)
        unit = inverse / inverse.sum()

        def product(x):
            """(K_FF + delta I) x."""
            block.tally.kernel_values += 2 * len(x)
            return X @ (X_transposed @ x) + delta * x

        x = self.known[number, free]
        x += (total - x.sum()) * unit
        residual = r - product(x)
        enough = self.tolerance * max(np.abs(r).max(), np.finfo(float).tiny)
        towards, last = 0.0, np.inf
        for _ in range(_MOST_ITERATIONS):
            b = dot(unit, residual)
            left = residual - b
            if np.abs(left).max() <= enough:
                self.known[number] = 0.0
                self.known[number, free] = x
                return x, b
            preconditioned = inverse * left
            size = dot(left, preconditioned)
            towards = preconditioned + size / last * towards
            along = product(towards)
            curvature = dot(towards, along)
            if not curvature > 0:
                break
            x += size / curvature * towards
            residual -= size / curvature * along
            last = size
        raise np.linalg.LinAlgError("conjugate gradients do not converge")


def is_sparse(problem):
    """Whether the kernel values are inner products of sparse samples."""
    X = problem.source.distinct.features
    return sparse.issparse(X) and X.nnz <= _DENSE * np.prod(X.shape)


def solve_sparse(problem, tally):
    """The state of all samples of a problem with sparse features, by pivots with conjugate gradients.

    Returns
    -------
    State
        Not `settled` where the pivots or the gradients did not converge.
    """
    nothing = FixedSamples(np.zeros(problem.n_samples))
    X, row = problem.source.distinct.features, problem.source.index
    block = SparseBlock(None, problem.linear, problem.bound, problem.charge, nothing, problem.lam_range, X, row, tally)
    return pivot_exactly(block, _start(problem, block), cache=ConjugateGradients(block))


def _start(problem, block):
    """The limit lam -> 0, with all samples on the side that they lean to but for those nearest to the margin."""
    start = cold_state(problem)
    beta, lam = start.point.beta, start.point.lam
    fit = block.product(beta)
    b = least_slack_intercept(problem.linear - fit, problem.sign, problem.weight)
    inward = problem.sign * (problem.linear - fit - b)
    side = np.where(inward > 0, BOUND, ZERO)
    state = State(side, Point(beta, lam, float(b), fit))
    near = near_margin(problem, state, _FIRST_FREE, problem.n_samples)
    return replace(state, side=np.where(near, FREE, side))
