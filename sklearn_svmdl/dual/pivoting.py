"""Block pivoting: exact block steps on the joint optimality conditions in (beta, lam, b).

Each sample is free, at zero, or at its bound lam s_i y_i. For a guess of who is where, the optimality conditions are
linear and solved in closed form with one Cholesky factorisation; then *every* sample on the wrong side changes side at
once (a primal-dual active set method: Hintermueller, Ito, Kunisch 2002; Judice & Pires 1994 call it block pivoting).
A proximal term delta/2 |beta - centre|^2 keeps singular kernels solvable; moving the centre takes its effect away
(Rockafellar 1976).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import get_lapack_funcs

ZERO, FREE, BOUND = np.int8(0), np.int8(1), np.int8(2)

_potrf, _potrs = get_lapack_funcs(("potrf", "potrs"), dtype=np.float64)


@dataclass(frozen=True)
class Held:
    """What samples held at their bound, outside the pivoted ones, add to the conditions (t: their bounds s_i y_i).

    pull : K[inside, held] t;  curvature : t'K t;  reward : y't;  total : 1't
    """

    pull: np.ndarray
    curvature: float = 0.0
    reward: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class Block:
    """A budget problem on m samples whose Gram matrix is stored."""

    gram: np.ndarray
    target: np.ndarray
    bound: np.ndarray
    budget: float
    held: Held

    @property
    def scale(self):
        """The mean squared distance of the samples from their mean in feature space."""
        return max(float(np.mean(np.diagonal(self.gram)) - np.mean(self.gram)), np.finfo(float).tiny)


@dataclass(frozen=True)
class Pivot:
    """A state of the pivoting: who is where, and the exact solution for that guess."""

    side: np.ndarray
    lam: float
    beta: np.ndarray
    intercept: float
    solved: bool
    n_iter: int


def _joint_solution(block, factor, free, at_bound, reward, pull_free, curvature, lam):
    """(lam, b, beta_free) that satisfy the conditions for the given free set."""


def pivot(block, side, lam, centre, delta, patience=4, max_iter=25):
    K, y, bound, held = block.gram, block.target, block.bound, block.held
    side = side.copy()
    reward = y + delta * centre if delta else y
    t = np.where(side == BOUND, bound, 0.0)
    at = np.flatnonzero(t)
    u = held.pull + t[at] @ K[at]
    fewest, stalled = np.inf, 0
    for n_iter in range(1, max_iter + 1):
        F = np.flatnonzero(side == FREE)
        ut = u + delta * t
        rows = K[F]
        A = rows[:, F]
        A.flat[:: len(F) + 1] += delta
        L, info = _potrf(A.T, lower=False, overwrite_a=True, clean=False)
        if info:
            return None, n_iter
        rhs = np.empty((len(F), 3), order="F")
        rhs[:, 0], rhs[:, 1], rhs[:, 2] = reward[F], u[F], 1.0
        Z, _ = _potrs(L, rhs, lower=False)
        T = t.sum() + held.total
        curvature = held.curvature + t @ (u + held.pull) + delta * (t @ t)
        sZ = Z.sum(axis=0)
        uZ = u[F] @ Z
        a11, a12, a22 = curvature - uZ[1], T - sZ[1], -sZ[2]
        r1, r2 = reward @ t + held.reward - block.budget - uZ[0], -sZ[0]
        slope = -(a11 - a12 * a12 / a22)
        slack = r1 - a12 * r2 / a22 + slope * lam      # S(lam) - C
        newton = lam - slack / slope
        lam = min(max(newton, 0.1 * lam), 10 * lam)
        b = (r2 - a12 * lam) / a22
        beta_F = Z[:, 0] - lam * Z[:, 1] - b * Z[:, 2]
        r = reward - ut * lam - b - beta_F @ rows
        r[F] -= delta*beta_F
        # who is on the wrong side
        yr = y * r
        share = beta_F * y[F]
        cap = lam * np.abs(bound[F])
        eps = 1e-11
        below = share < -eps * cap.max(initial=0.)
        above = share > cap * (1 + eps)
        tol = 1e-10
        enter = ((side == ZERO) & (yr > tol)) | ((side == BOUND) & (yr < -tol))
        wrong = int(below.sum() + above.sum() + enter.sum())
        if wrong == 0 and lam == newton:
            beta = lam * t
            beta[F] = beta_F
            return Pivot(side, lam, beta, b, True, n_iter), n_iter
        if wrong < fewest:
            fewest, stalled = wrong, 0
        else:
            stalled += 1
            if stalled >= patience:
                return None, n_iter
        new = side.copy()
        new[enter] = FREE
        new[F[below]] = ZERO
        new[F[above]] = BOUND
        if not (new == FREE).any():
            return None, n_iter
        tn = np.where(new == BOUND, bound, 0.0)
        changed = np.flatnonzero(tn != t)
        u = u + (tn - t)[changed] @ K[changed]
        side, t = new, tn
    return None, n_iter
