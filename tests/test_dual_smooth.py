"""The smooth loss: its hyperplane is that of scipy's minimiser, and tells a budget's lam and who is near the margin.

Independent evidence: L-BFGS on the loss written out, and the exact solution's own slacks.
"""

import numpy as np
import pytest
from scipy.optimize import minimize

from sklearn_svmdl.dual.problem import BEYOND_REACH, Status, classification, regression, slack_of
from sklearn_svmdl.dual.smooth import Plane, _SmoothLoss, smooth_plane
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.kernels import Kernel


def plane_through_noise(n, d=8, noise=1.0, seed=0):
    """Two classes that overlap, with weights, and their features."""
    random = np.random.RandomState(seed)
    X = random.randn(n, d)
    target = np.where(X @ random.randn(d) + noise * random.randn(n) > 0, 1.0, -1.0)
    weight = random.choice([0.5, 1.0, 2.0], n)
    return X, classification(Kernel("linear").source(X), target, weight, cost=0.3)


def smooth_loss(parameters, X, problem, width):
    """|w|^2 / 2 and the cost of slacks, quadratic up to the width, and the gradient."""
    w, b = parameters[:-1], parameters[-1]
    slack = np.maximum(0.0, problem.sign * (problem.linear - X @ w - b))
    loss = np.where(slack < width, slack**2 / (2.0 * width), slack - width / 2.0)
    t = problem.bound * np.minimum(slack / width, 1.0)
    gradient = np.append(w - problem.cost * X.T @ t, -problem.cost * t.sum())
    return 0.5 * w @ w + problem.cost * problem.weight @ loss, gradient


def test_steps_end_where_another_minimiser_does():
    X, problem = plane_through_noise(600)
    smooth = _SmoothLoss(problem, X, Plane(np.zeros(8), 0.0, problem.cost, 2.0), Tally())
    for width in (2.0, 0.5, 0.1):
        for _ in range(10):
            smooth.plane = smooth.plane._replace(width=width)
            smooth.share = smooth._share(smooth.into)
            smooth.step()
        found = np.append(smooth.plane.w, smooth.plane.intercept)
        given = (X, problem, width)
        expected = minimize(
            smooth_loss, np.zeros(9), given, "L-BFGS-B", jac=True, options={"gtol": 1e-9, "ftol": 1e-15}
        )
        assert smooth_loss(found, *given)[0] == pytest.approx(expected.fun, rel=1e-9)
        np.testing.assert_allclose(found, expected.x, atol=1e-4)


def test_steps_of_a_regression_end_where_another_minimiser_does():
    """Both sides of the tube are smooth, and one of no width is a Huber loss."""
    random = np.random.RandomState(0)
    X = random.randn(500, 6)
    y = X @ random.randn(6) + random.randn(500)
    for epsilon in (0.0, 0.3):
        problem = regression(Kernel("linear").source(X), y, random.choice([0.5, 1.0, 2.0], 500), epsilon, cost=0.2)
        smooth = _SmoothLoss(problem, X, Plane(np.zeros(6), 0.0, problem.cost, 0.4), Tally())
        for _ in range(15):
            smooth.plane = smooth.plane._replace(width=0.4)
            smooth.share = smooth._share(smooth.into)
            smooth.step()
        found = np.append(smooth.plane.w, smooth.plane.intercept)
        given = (np.vstack([X, X]), problem, 0.4)
        expected = minimize(
            smooth_loss, np.zeros(7), given, "L-BFGS-B", jac=True, options={"gtol": 1e-9, "ftol": 1e-15}
        )
        assert smooth_loss(found, *given)[0] == pytest.approx(expected.fun, rel=1e-9)
        np.testing.assert_allclose(found, expected.x, atol=1e-4)


@pytest.mark.parametrize("n", [1500, 9000])
@pytest.mark.parametrize("cost", [1e-3, 0.1, 10.0])
def test_few_samples_are_left_near_the_margin_and_the_others_stand_right(n, cost):
    X, problem = plane_through_noise(n)
    problem = problem.with_cost(cost)
    plane = smooth_plane(problem, X, cost, Tally())
    exact = solve(problem)
    slack = problem.sign * (problem.linear - X @ plane.w - plane.intercept)
    within = np.count_nonzero((slack > 0) & (slack < plane.width))
    assert within <= max(5 * 9, 0.01 * n)
    costs = exact.slack > 1e-9
    wrong = np.flatnonzero(costs != (slack > 0.5 * plane.width))
    nearest = np.argsort(np.abs(slack - 0.5 * plane.width))[: 4 * within + 50]
    assert np.isin(wrong, nearest).all()


@pytest.mark.parametrize("fraction", [0.85, 0.6])
def test_lam_of_a_budget_is_found_from_one_too_large(fraction):
    X, problem = plane_through_noise(3000, noise=2.0)
    problem = problem.with_budget(fraction * problem.largest_budget)
    exact = solve(problem)
    for far in (1.0, 10.0, 1e3):
        plane = smooth_plane(problem.within(1e8), X, far * exact.lam, Tally())
        slack = slack_of(problem.linear - X @ plane.w - plane.intercept, problem.sign)
        assert problem.weight @ slack == pytest.approx(problem.budget, rel=0.05)


def test_budgets_cost_little_more_than_costs():
    """lam is found on the way: no cost is tried after the other."""
    X, problem = plane_through_noise(4000, d=20)
    by_cost = solve(problem.with_cost(0.3))
    found = solve(problem.with_budget(by_cost.budget))
    assert found.status is Status.OPTIMAL
    assert found.work.iterations <= 2 * by_cost.work.iterations
    assert by_cost.work.iterations <= 60


def test_many_samples_are_solved_with_few_kernel_values():
    """Of those far from the margin a sum is all that counts."""
    X, problem = plane_through_noise(20_000, d=10)
    found = solve(problem.with_cost(1.0))
    assert found.status is Status.OPTIMAL
    assert found.work.kernel_values <= 20 * 20_000


def test_budgets_beyond_reach_end_at_the_largest_cost_as_soon_as_it_does():
    X, problem = plane_through_noise(3000, noise=3.0)
    problem = problem.with_budget(0.1 * problem.largest_budget)
    found = solve(problem)
    assert found.status in BEYOND_REACH
    assert found.work.iterations <= solve(problem.with_cost(found.lam)).work.iterations + 30


def test_a_budget_that_less_lam_keeps_is_not_left_at_the_largest():
    """Separable classes: any lam from some on keeps a budget, and the least of them is the solution's."""
    random = np.random.RandomState(0)
    X = random.randn(2000, 3)
    target = np.where(X[:, 0] > 0, 1.0, -1.0)
    X[:, 0] += 0.5 * target
    problem = classification(Kernel("linear").source(X), target, np.ones(2000), budget=1e-3)
    found = solve(problem)
    assert found.status is Status.OPTIMAL
    assert found.budget == pytest.approx(1e-3)


@pytest.mark.parametrize("n", [400, 1500])
def test_no_budget_at_all_of_separable_samples(n):
    _, problem = plane_through_noise(n, noise=0.0)
    exact = solve(problem.with_budget(0.0), tol=1e-8)
    rival = solve(problem.with_cost(exact.lam), tol=1e-8)
    assert exact.status is Status.OPTIMAL
    assert exact.norm == pytest.approx(rival.norm, rel=1e-6)
