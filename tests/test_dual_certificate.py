"""Faults are put into what the solvers hand over; no certificate may hold for what is wrong.

Independent evidence: violation, gap, budget error and infeasibility are computed here from the whole Gram matrix and
the duals alone, by their definitions and in extended precision.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from blocks import at
from sklearn.datasets import make_moons

from sklearn_svmdl.dual import path, smo
from sklearn_svmdl.dual import solve as entry
from sklearn_svmdl.dual.active_set import State
from sklearn_svmdl.dual.kkt import FREE, Point
from sklearn_svmdl.dual.path import walk
from sklearn_svmdl.dual.problem import BEYOND_REACH, Status, certify, classification, feasible_duals, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.dual.work import Tally, Work
from sklearn_svmdl.kernels import GramSource, Kernel

TOL = 1e-3
RBF = Kernel("rbf", {"gamma": 1.0})


@cache
def moons(n, kernel="rbf", stored=False):
    """Overlapping classes with weights of several sizes, without a budget."""
    X, y = make_moons(n, noise=0.3, random_state=0)
    source = (RBF if kernel == "rbf" else Kernel("linear")).source(X)
    weight = np.random.RandomState(0).choice([0.5, 1.0, 3.0], n)
    return classification(source.stored() if stored else source, np.where(y, 1.0, -1.0), weight)


@cache
def scattered(n):
    """Overlapping classes in so many dimensions that the kernel matrix is that of no few features."""
    random = np.random.RandomState(0)
    X = random.randn(n, 8)
    y = np.where(X[:, 0] * X[:, 1] + random.randn(n) > 0, 1.0, -1.0)
    return classification(Kernel("rbf", {"gamma": 0.2}).source(X), y, random.choice([0.5, 1.0, 3.0], n))


@cache
def curve(n):
    """A noisy curve, as a regression without a budget."""
    random = np.random.RandomState(0)
    x = random.uniform(-3, 3, (n, 1))
    return regression(RBF.source(x), np.sin(2 * x[:, 0]) + 0.3 * random.randn(n), np.ones(n), 0.2)


def gram_of(problem):
    """The whole kernel matrix."""
    everyone = np.arange(problem.n_samples)
    return problem.source.block(everyone, everyone)


def recomputed(problem, gram, beta, lam):
    """Violation, budget error, gap and infeasibility of duals, in extended precision."""
    wide = np.longdouble
    beta, lam, K = beta.astype(wide), wide(lam), gram.astype(wide)
    p, t = problem.linear.astype(wide), problem.bound.astype(wide)
    sign, s = np.sign(t), np.abs(t)
    g = p - K @ beta
    low, high = np.minimum(0, lam * t), np.maximum(0, lam * t)
    # What has reached a bound in double precision is there.
    ulp = 4 * np.finfo(float).eps * np.abs(lam * t)
    violation = max(g[beta < high - ulp].max(initial=-np.inf) - g[beta > low + ulp].min(initial=np.inf), 0)
    # Convex and piecewise linear in b with kinks at the gradients: the least slack is at one of them.
    least = min(s @ np.maximum(0, sign * (g - b)) for b in g)
    squared = beta @ K @ beta
    asked = least if problem.budget is None else wide(problem.budget)
    paid = lam * least if problem.budget is None else 0
    objective = squared / 2 + paid
    dual = p @ beta - squared / 2 - (0 if problem.budget is None else lam * asked)
    # What lam pays for a missed budget is no part of the gap.
    primal = squared / 2 + paid + (0 if problem.budget is None else lam * (least - asked))
    excess = max(np.max(low - beta), np.max(beta - high), abs(beta.sum()), 0)
    return {
        "violation": float(violation),
        "budget_error": float(abs(least - asked) / max(asked, s.min())),
        "duality_gap": float((primal - dual) / objective),
        "infeasibility": float(excess / np.abs(beta).max()),
    }


def truly_within(problem, gram, solution, tol):
    """Whether the duals are what an optimal status says, by nothing but them and the kernel matrix."""
    stated = problem if solution.status is Status.OPTIMAL else problem.with_cost(solution.lam)
    errors = recomputed(stated, gram, solution.beta, solution.lam)
    return max(abs(error) for error in errors.values()) <= tol * (1 + 1e-6)


@cache
def solved(share, kind="moons", n=120):
    """A problem and its solution to 1e-9, for a share of C_max or for a cost of 2."""
    problem = curve(n // 2) if kind == "curve" else moons(n)
    problem = problem.with_cost(2.0) if share is None else problem.with_budget(share * problem.largest_budget)
    solution = solve(problem, tol=1e-9)
    assert solution.status is Status.OPTIMAL
    return problem, gram_of(problem), solution


shares = pytest.mark.parametrize("share", [0.2, 0.5, 0.9, None])
kinds = pytest.mark.parametrize("kind", ["moons", "curve"])


# The certificate


@pytest.mark.parametrize("cost", [0.5, 0.99, 1.01, 4.0])
def test_the_solution_of_another_cost_is_none(cost):
    problem = moons(100)
    exact = solve(problem.with_cost(1.0), tol=1e-8)
    assert certify(problem.with_cost(1.0), exact.beta, 1.0, Work(), TOL).status is Status.OPTIMAL
    assert certify(problem.with_cost(cost), exact.beta, 1.0, Work(), 1e-3).status is not Status.OPTIMAL


@kinds
@shares
@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-8, 1e-4, 1e-2, 1.0])
def test_certificate_says_what_dense_arithmetic_says_of_any_duals(kind, share, size):
    problem, gram, exact = solved(share, kind)
    random = np.random.RandomState(0)
    beta = exact.beta + size * exact.lam * random.randn(problem.n_samples)
    solution = certify(problem, beta, exact.lam, Work(), TOL)
    assert solution.norm**2 == pytest.approx(beta @ gram @ beta, rel=1e-9)
    for name, expected in recomputed(problem, gram, beta, exact.lam).items():
        if size >= 1e-8 or name != "violation":
            assert getattr(solution, name) == pytest.approx(expected, rel=1e-6, abs=1e-10), name
    assert solution.is_within(TOL) == (solution.status is Status.OPTIMAL)
    assert solution.status is not Status.OPTIMAL or truly_within(problem, gram, solution, TOL)
    assert size < 1e-4 or solution.status is not Status.OPTIMAL


@kinds
@shares
@pytest.mark.parametrize("fault", ["one moved", "balanced change", "above its bound", "below zero", "other price"])
def test_duals_with_a_fault_are_never_optimal(kind, share, fault):
    problem, gram, exact = solved(share, kind)
    beta, lam = exact.beta.copy(), exact.lam
    if fault == "one moved":
        beta[np.argmax(np.abs(beta))] *= 0.99
    if fault == "balanced change":
        beta *= np.random.RandomState(1).uniform(0.98, 1.0, len(beta))
        sums = beta[beta > 0].sum(), -beta[beta < 0].sum()
        beta[beta > 0] *= min(1.0, sums[1] / sums[0])
        beta[beta < 0] *= min(1.0, sums[0] / sums[1])
        assert abs(beta.sum()) <= 1e-12 * np.abs(beta).sum()
    if fault == "above its bound":
        beta[problem.sign * beta >= lam * problem.weight * (1 - 1e-12)] *= 1.01
    if fault == "below zero":
        zeros = np.flatnonzero(beta == 0)
        beta[zeros[:2]] = -0.01 * lam * problem.bound[zeros[:2]]
    if fault == "other price":
        lam *= 1.01
    faulty = certify(problem, beta, lam, Work(), 1e-5)
    assert faulty.status is not Status.OPTIMAL
    assert not truly_within(problem, gram, replace(faulty, status=Status.OPTIMAL), 1e-5)


def test_duals_above_their_bounds_are_not_optimal_even_if_nothing_else_tells():
    """A sample on the margin whose weight is less than its dual: it has no slack, and its gradient is right."""
    problem, gram, exact = solved(0.2)
    share = problem.sign * exact.beta / (exact.lam * problem.weight)
    free = np.flatnonzero((share > 0.1) & (share < 0.9))
    assert len(free)
    bound = problem.bound.copy()
    bound[free[0]] *= 0.9 * share[free[0]]
    tighter = replace(problem, bound=bound)
    faulty = certify(tighter, exact.beta, exact.lam, Work(), TOL)
    assert max(faulty.violation, faulty.budget_error, abs(faulty.duality_gap)) <= 1e-6
    assert faulty.status is Status.MAX_ITER
    assert faulty.infeasibility == pytest.approx(recomputed(tighter, gram, exact.beta, exact.lam)["infeasibility"])


def test_duals_that_earn_too_little_are_not_optimal_even_if_nothing_else_tells():
    """Targets so small that no gradient differs by tol from another."""
    plain, _, exact = solved(None, "curve")
    problem = replace(plain, linear=1e-5 * plain.linear, cost=1e-5 * plain.cost)
    beta, lam = 1e-5 * exact.beta, problem.cost
    assert certify(problem, beta, lam, Work(), TOL).status is Status.OPTIMAL
    faulty = certify(problem, 0.5 * beta, lam, Work(), TOL)
    assert max(faulty.violation, faulty.budget_error, faulty.infeasibility) <= TOL
    assert faulty.duality_gap > 0.01 and faulty.status is Status.MAX_ITER


@kinds
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("factor", [0.99, 1.01, 0.0, 2.0])
def test_a_budget_that_was_not_kept_is_never_called_optimal(kind, share, factor):
    problem, _, exact = solved(share, kind)
    assert certify(problem, exact.beta, exact.lam, Work(), TOL).status is Status.OPTIMAL
    other = certify(problem.with_budget(factor * problem.budget), exact.beta, exact.lam, Work(), TOL)
    assert other.status is Status.MAX_ITER and other.violation <= TOL


def of_many_scales(seed, kernel="rbf", n=60):
    """Weights over 24 decades, without a budget."""
    random = np.random.RandomState(seed)
    X = random.randn(n, 2)
    y = np.where(X[:, 0] + random.randn(n) > 0, 1.0, -1.0)
    source = (RBF if kernel == "rbf" else Kernel("linear")).source(X)
    return classification(source, y, 10.0 ** random.uniform(-12, 12, n))


def test_a_budget_tiny_beside_the_largest_is_kept_or_said_not_to_be():
    """Relative to C_max every one of these budgets would look kept."""
    kept = 0
    for seed in range(10):
        problem = of_many_scales(seed)
        for share in (1e-9, 1e-6, 1e-4):
            small = problem.with_budget(share * problem.largest_budget)
            exact = solve(small, tol=1e-6)
            if exact.status is not Status.OPTIMAL:
                continue
            kept += 1
            for factor in (0.99, 1.01):
                other = small.with_budget(factor * small.budget)
                assert abs(problem.weight @ exact.slack - other.budget) <= TOL * problem.largest_budget
                assert certify(other, exact.beta, exact.lam, Work(), TOL).status is Status.MAX_ITER
    assert kept >= 10


@pytest.mark.parametrize("solver", ["auto", "smo"])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_weights_over_many_decades_are_solved_or_said_not_to_be(kernel, solver):
    solved_right = 0
    for seed in range(12):
        problem = of_many_scales(seed, kernel)
        gram = gram_of(problem)
        for share in (1e-6, 1e-3, 0.1, 0.5):
            asked = problem.with_budget(share * problem.largest_budget)
            solution = solve(asked, solver=solver, tol=TOL, max_iter=3000)
            if solution.status is Status.OPTIMAL or solution.status in BEYOND_REACH:
                assert truly_within(asked, gram, solution, TOL), (seed, share, solution.status)
                solved_right += 1
            else:
                assert solution.status is Status.MAX_ITER and not solution.is_within(TOL)
    assert solved_right >= 5


# Faults in what the solvers hand over


def other_duals(point, size=1e-2):
    """The point with a random change of its duals that keeps their sum; the fit stays as it was."""
    change, support = np.random.RandomState(0).randn(len(point.beta)), point.beta != 0
    change -= change @ support / max(np.count_nonzero(support), 1)
    return point._replace(beta=point.beta + size * np.abs(point.beta).max() * change * support)


def other_fit(point):
    """The duals of another fit: the same shape, less of it; what is said of the fit is right for neither."""
    return point._replace(beta=0.98 * point.beta, fit=1.01 * point.fit)


def other_price(point):
    """A multiplier that is not the one of the duals."""
    return point._replace(lam=1.02 * point.lam)


def other_intercept_and_fit(point):
    """Duals that do not balance, with the fit of those that do."""
    beta = point.beta.copy()
    beta[np.argmax(np.abs(beta))] *= 0.9
    return point._replace(beta=beta)


FAULTS = [other_duals, other_fit, other_price, other_intercept_and_fit]
faults = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)


def spoilt(function, fault, calls):
    """The function, with a fault in the state it returns, and said to be as good as can be."""

    def spoil(*args, **kwargs):
        out = function(*args, **kwargs)
        state = out[0] if isinstance(out, tuple) else out
        calls.append(state)
        state = replace(state, point=fault(state.point), settled=True, exact=True)
        return (state, *out[1:]) if isinstance(out, tuple) else state

    return spoil


def not_repaired(problem, lam_max, *, start, tol, tally, **options):
    """In place of the pair steps: the point that they start from, as it is."""
    return certify(problem, *start, tally.done(), tol)


# All that hands a state to the certificate.
HANDS = ("solve_block", "solve_levels", "solve_in_features", "polish")
PLACES = {
    "few": lambda: moons(150).with_budget(0.3 * moons(150).largest_budget),
    "few, cost": lambda: moons(150).with_cost(1.0),
    "regression": lambda: curve(80).with_budget(0.3 * curve(80).largest_budget),
    "regression, cost": lambda: curve(200).with_cost(1.0),
    "levels": lambda: scattered(600).with_budget(0.3 * scattered(600).largest_budget),
    "levels in single precision": lambda: scattered(1200).with_budget(0.3 * scattered(1200).largest_budget),
    "features that were found": lambda: moons(600).with_budget(0.3 * moons(600).largest_budget),
    "features that were found, cost": lambda: moons(600).with_cost(1.0),
    "features": lambda: moons(500, "linear").with_budget(0.7 * moons(500).largest_budget),
    "features, cost": lambda: moons(500, "linear").with_cost(1.0),
}


@faults
@pytest.mark.parametrize("place", PLACES)
def test_a_spoilt_state_of_the_block_steps_is_never_optimal(place, fault, monkeypatch):
    problem, calls = PLACES[place](), []
    assert solve(problem, tol=1e-5).status is Status.OPTIMAL
    for name in HANDS:
        monkeypatch.setattr(entry, name, spoilt(getattr(entry, name), fault, calls))
    with monkeypatch.context() as nothing_repairs:
        nothing_repairs.setattr(entry, "ascend", not_repaired)
        solution = solve(problem, tol=1e-5)
        assert calls and solution.status is Status.MAX_ITER and not solution.is_within(1e-5)
    repaired = solve(problem, tol=1e-5, max_iter=3000)
    assert repaired.status is Status.MAX_ITER or truly_within(problem, gram_of(problem), repaired, 1e-5)


def test_a_spoilt_second_solution_is_never_optimal(monkeypatch):
    """Zeros that single precision left on the wrong side take part once more: that is looked at as closely."""
    problem, calls = scattered(1200).with_budget(0.3 * scattered(1200).largest_budget), []

    def incomplete(problem, workspace, random):
        state, part = levels(problem, workspace, random)
        return state, part & (state.side != 0)

    levels = entry.solve_levels
    monkeypatch.setattr(entry, "solve_levels", incomplete)
    monkeypatch.setattr(entry, "_WRONG", -1.0)
    monkeypatch.setattr(entry, "polish", spoilt(entry.polish, other_duals, calls))
    monkeypatch.setattr(entry, "ascend", not_repaired)
    solution = solve(problem, tol=1e-5)
    assert calls and solution.status is Status.MAX_ITER


@pytest.mark.parametrize("share", [0.3, None])
@pytest.mark.parametrize("fault", ["duals", "gradient"])
def test_a_spoilt_last_point_of_the_pair_steps_is_never_optimal(share, fault, monkeypatch):
    problem = moons(120)
    problem = problem.with_cost(1.0) if share is None else problem.with_budget(share * problem.largest_budget)
    gram, calls, steps = gram_of(problem), [], smo.Ascent.pair_steps

    def spoil(ascent, tol):
        goes_on = steps(ascent, tol)
        calls.append(tol)
        if fault == "duals":
            ascent.beta = other_duals(Point(ascent.beta, ascent.lam, 0.0, None)).beta
        else:
            ascent.gradient += 0.02 * np.random.RandomState(0).randn(problem.n_samples)
        return goes_on

    monkeypatch.setattr(smo.Ascent, "pair_steps", spoil)
    solution = solve(problem, solver="smo", tol=1e-5, max_iter=2000)
    assert calls
    if fault == "duals":
        assert solution.status is Status.MAX_ITER
    assert solution.status is Status.MAX_ITER or truly_within(problem, gram, solution, 1e-5)


def test_running_sums_that_have_drifted_are_made_afresh(monkeypatch):
    """The first certificate shows it; steps go on from the true gradient."""
    problem, calls, steps = moons(120).with_cost(1.0), [], smo.Ascent.pair_steps

    def spoil_once(ascent, tol):
        goes_on = steps(ascent, tol)
        if not calls:
            ascent.gradients += 0.05 * np.random.RandomState(0).randn(problem.n_samples)
            goes_on = steps(ascent, tol)
        calls.append(tol)
        return goes_on

    monkeypatch.setattr(smo.Ascent, "pair_steps", spoil_once)
    solution = solve(problem, solver="smo", tol=1e-5, max_iter=20_000)
    assert len(calls) > 1 and solution.status is Status.OPTIMAL
    assert truly_within(problem, gram_of(problem), solution, 1e-5)


def test_of_several_points_of_the_pair_steps_the_best_is_returned(monkeypatch):
    problem, certified = moons(120).with_cost(1.0), []
    steps, certify_one = smo.Ascent.pair_steps, smo.certify

    def spoil_more_and_more(ascent, tol):
        if certified:
            ascent.beta = other_duals(Point(ascent.beta, ascent.lam, 0.0, None), size=0.3).beta
            return False
        steps(ascent, 1e-5)
        ascent.gradients += 1e-3 * np.random.RandomState(0).randn(problem.n_samples)
        return steps(ascent, tol)

    def noted(*args):
        certified.append(certify_one(*args))
        return certified[-1]

    monkeypatch.setattr(smo.Ascent, "pair_steps", spoil_more_and_more)
    monkeypatch.setattr(smo, "certify", noted)
    solution = solve(problem, solver="smo", tol=1e-5)
    assert len(certified) > 1 and certified[0].error < certified[-1].error
    assert solution.error == min(each.error for each in certified)


def fault_of(problem, size):
    """Duals beside those of the solution of the problem, certified: the larger the fault, the larger the error."""
    exact = solve(problem, tol=1e-9)
    return certify(problem, other_duals(Point(exact.beta, exact.lam, 0.0, None), size).beta, exact.lam, Work(), 1e-5)


@pytest.mark.parametrize("of_steps, of_pairs", [(1e-3, 1e-2), (1e-2, 1e-3)])
def test_of_block_steps_and_pair_steps_the_better_end_is_returned(of_steps, of_pairs, monkeypatch):
    problem = moons(120).with_cost(1.0)
    ends = fault_of(problem, of_steps), fault_of(problem, of_pairs)
    monkeypatch.setattr(entry, "_attempt", lambda *args: ends[0])
    monkeypatch.setattr(entry, "ascend", lambda *args, **options: ends[1])
    assert solve(problem, tol=1e-5).error == min(end.error for end in ends)


def test_a_solution_nearer_by_is_certified_too(monkeypatch):
    """Where lam has gone too far for doubles it is followed less far: what comes of that is not taken on trust."""
    problem, attempts, ascents = moons(120).with_budget(1.0), [], []
    fault = fault_of(moons(120).with_cost(1.0), 1e-2)

    def spoilt_attempt(problem, workspace, tol):
        attempts.append(problem.largest_cost)
        return replace(fault, lam=problem.largest_cost)

    def not_further(problem, lam_max, *, start, tol, tally, **options):
        ascents.append(lam_max)
        return certify(problem, *start, tally.done(), tol)

    monkeypatch.setattr(entry, "_attempt", spoilt_attempt)
    monkeypatch.setattr(entry, "ascend", not_further)
    assert solve(problem, tol=1e-5).status is Status.MAX_ITER
    assert len(attempts) == 2 and attempts[1] < attempts[0] and len(ascents) == 1


def test_where_lam_ended_at_the_largest_its_cost_is_certified():
    problem = moons(120)
    exact = solve(problem.with_cost(3.0), tol=1e-9)
    asked = problem.with_budget(0.1 * exact.budget).within(3.0)
    found = entry.certified(asked, path.state_of(asked, exact), Tally(), 1e-6)
    assert found.status is Status.OPTIMAL and found.budget == pytest.approx(exact.budget)


@pytest.mark.parametrize("right", ["duals", "sides"])
def test_of_duals_and_the_sides_they_name_the_better_are_certified(right):
    problem = moons(120).with_cost(1.0)
    exact = solve(problem, tol=1e-9)
    sides = path.state_of(problem, exact).side
    if right == "duals":
        beta, side = exact.beta, np.roll(sides, 7)
    else:
        # Nearly on their sides: the sides say where exactly.
        beta = np.where(sides == FREE, exact.beta, exact.beta * (1.0 - 1e-3) + 1e-3 * problem.sign)
        side = sides
    state = State(side, Point(beta, exact.lam, exact.intercept, None))
    found = entry.certified(problem, state, Tally(), 1e-3)
    as_they_are = certify(problem, feasible_duals(problem, beta, exact.lam), exact.lam, Work(), 1e-3)
    assert found.error <= as_they_are.error
    if right == "duals":
        assert found.status is Status.OPTIMAL
    else:
        assert found.error < 0.1 * as_they_are.error


@faults
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "on demand"])
def test_a_walk_takes_no_spoilt_step(stored, fault, monkeypatch):
    # Few samples are stored at once.
    problem = moons(200 if stored else 1200, stored=stored)
    gram, budgets = gram_of(problem), np.array([0.9, 0.6, 0.4, 0.3, 0.25]) * problem.largest_budget
    calls, fallen_back, own = [], [], path.solve

    def noted(problem, **options):
        fallen_back.append(problem.budget)
        return own(problem, **options)

    for name in ("pivot", "pivot_ever_closer", "refine", "solve_levels"):
        monkeypatch.setattr(path, name, spoilt(getattr(path, name), fault, calls))
    monkeypatch.setattr(path, "solve", noted)
    solutions = walk(at(problem, budgets), tol=1e-5)
    assert len(calls) >= len(budgets)
    # Every step was refused, and what came in its place is right.
    assert fallen_back == list(budgets)
    for budget, solution in zip(budgets, solutions, strict=True):
        assert solution.status is Status.OPTIMAL
        assert truly_within(problem.with_budget(budget), gram, solution, 1e-5)


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "on demand"])
def test_a_walk_takes_no_step_to_another_budget(stored, monkeypatch):
    # Few samples are stored at once.
    problem = moons(200 if stored else 1200, stored=stored)
    budgets = np.array([0.9, 0.6, 0.4, 0.3]) * problem.largest_budget
    kind = path._StoredSteps if stored else path._WorkingSetSteps
    following, fallen_back, own = kind.next, [], path.solve

    def astray(steps, problem, tally):
        return following(steps, problem.with_budget(0.99 * problem.budget), tally)

    def noted(problem, **options):
        fallen_back.append(problem.budget)
        return own(problem, **options)

    monkeypatch.setattr(kind, "next", astray)
    monkeypatch.setattr(path, "solve", noted)
    for budget, solution in zip(budgets, walk(at(problem, budgets)), strict=True):
        assert problem.weight @ solution.slack == pytest.approx(budget, rel=1.1e-3)
    assert fallen_back == list(budgets)


@faults
def test_a_spoilt_state_is_not_even_beyond_reach(fault, monkeypatch):
    """INFEASIBLE_BUDGET and OUT_OF_REACH are claims about the solution of the largest cost: it must be one."""
    X = np.repeat(np.random.RandomState(0).randn(30, 2), 2, axis=0)
    problem = classification(GramSource(X @ X.T), np.tile([1.0, -1.0], 30), np.linspace(1.0, 2.0, 60), budget=1.0)
    assert solve(problem).status is Status.INFEASIBLE_BUDGET
    calls = []
    for name in HANDS:
        monkeypatch.setattr(entry, name, spoilt(getattr(entry, name), fault, calls))
    monkeypatch.setattr(entry, "ascend", not_repaired)
    solution, gram = solve(problem), gram_of(problem)
    assert calls
    assert solution.status is Status.MAX_ITER or truly_within(problem, gram, solution, TOL)
