"""Random problems, blocks with samples held at their bound, and what both are checked against.

The optimum of a block comes from SLSQP, on duals and multiplier as variables.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from sklearn_svmdl.dual.active_set import State
from sklearn_svmdl.dual.kkt import FREE, Block, FixedSamples, point_at
from sklearn_svmdl.dual.problem import classification
from sklearn_svmdl.kernels import GramSource


def random_problem(seed, n=40, d=3, budget=0.3, scale=1.0):
    """Classes with weights of several sizes, a positive definite Gram matrix, a relative budget."""
    random = np.random.RandomState(seed)
    X = scale * random.randn(n, d)
    target = np.where(X[:, 0] + random.randn(n) > 0, 1.0, -1.0)
    target[:2] = -1.0, 1.0
    squares = np.square(X[:, None] - X[None]).sum(axis=2)
    problem = classification(GramSource(np.exp(-0.3 * squares)), target, random.choice([0.5, 1.0, 3.0], n))
    return problem.with_budget(budget * problem.largest_budget)


def block_of(problem, n=None):
    """The problem's first n variables as a block, the others held at their bound."""
    n = problem.n_samples if n is None else n
    K, bound = problem.source.gram, problem.bound
    t = bound[n:]
    fixed = FixedSamples(
        pull=K[:n, n:] @ t,
        curvature=float(t @ K[n:, n:] @ t),
        reward=float(problem.linear[n:] @ t),
        total=float(t.sum()),
    )
    return Block(K[:n, :n], problem.linear[:n], bound[:n], problem.charge, fixed, problem.lam_range)


def at(problem, budgets):
    """The problem with each of the budgets."""
    return [problem.with_budget(budget) for budget in budgets]


def random_block(seed, n=12, n_fixed=4, cost=None):
    """A block of n variables with n_fixed others held at their bound, and the problem on all of them.

    Every other one is of classes; the linear terms of the rest are any numbers.
    """
    problem = random_problem(seed, n=n + n_fixed)
    if seed % 2:
        linear = np.random.RandomState(seed).randn(n + n_fixed)
        problem = classification(problem.source, problem.sign, problem.weight)
        problem = replace(problem, linear=linear)
        problem = problem.with_budget(0.3 * problem.largest_budget)
    problem = problem if cost is None else problem.with_cost(cost)
    return block_of(problem, n), problem


def free_state(block, lam=1.0):
    """Where a solve may begin: every variable is free and zero."""
    n = block.n_samples
    return State(np.full(n, FREE), point_at(block, np.zeros(n), lam, 0.0))


def block_optimum(block, problem):
    """The block's duals and multiplier in the optimum of the problem, the others held at their bound.

    max p'beta - 1/2 beta'K beta - lam C over the block's beta and lam, by SLSQP.
    """
    n, K, p = block.n_samples, problem.source.gram, problem.linear
    spread = np.zeros((problem.n_samples, n + 1))
    spread[:n, :n], spread[n:, n] = np.eye(n), problem.bound[n:]
    price = np.zeros(n + 1)
    price[n] = 0.0 if problem.budget is None else problem.budget
    curvature, slope = spread.T @ K @ spread, spread.T @ p - price
    # sign_i beta_i >= 0, lam s_i - sign_i beta_i >= 0
    below = np.column_stack([np.diag(block.sign), np.zeros(n)])
    rows = np.vstack([below, np.column_stack([-np.diag(block.sign), block.weight])])
    start = np.zeros(n + 1)
    start[n] = max(problem.lam_range[0], 0.5)
    answer = minimize(
        lambda v: 0.5 * v @ curvature @ v - slope @ v,
        start,
        jac=lambda v: curvature @ v - slope,
        bounds=[(None, None)] * n + [(problem.lam_range[0], min(problem.lam_range[1], 1e4))],
        constraints=[
            {"type": "ineq", "fun": lambda v: rows @ v, "jac": lambda v: rows},
            {"type": "eq", "fun": lambda v: spread.sum(axis=0) @ v, "jac": lambda v: spread.sum(axis=0)},
        ],
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 2000},
    )
    return answer.x[:n], answer.x[n]
