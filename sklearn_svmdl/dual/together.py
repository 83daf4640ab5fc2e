"""Many problems at once: what one problem alone would go through, of all of them in each call of numpy.

Where few features tell the kernel values, known ones or found, interior steps (`stack_interior`) tell the sides of all
samples. Other problems are pivoted whole (`stack_pivots`) where they are small; else the samples between the classes
are the first guess. Pivots solve exactly for the samples near the margin, all others held where they are, and those
that then stand wrong join them until none does. What the problems have in common, kernel values and features, is
evaluated once. The certificate is that of one problem alone; problems that do not settle are left to `solve`.
"""

from contextlib import suppress
from typing import NamedTuple

import numpy as np

from .buffer import lent
from .feasibility import is_least, least_slack_shown
from .growth import NEARER, some_of
from .kkt import BOUND, FREE, ZERO
from .linear import MOST_FREE, Features, features_of
from .problem import DualSolution, Status, certificate, feasible_duals, largest_error, on_their_bounds
from .stack_interior import MOST_STEPS, steps_together
from .stack_pivots import (
    AFTER_LAST,
    EXACTLY,
    MOST_ROUNDS,
    NEARLY,
    ROUGHLY,
    Blocks,
    Fixed,
    Guess,
    from_middle,
    mean_difference,
    nearest,
    pivot_together,
    sides_of,
    start,
)
from .work import Tally, Work
from .working_set import dense_features

# Problems of up to so many variables are pivoted whole before features are sought, with budgets of up to so many; of up
# to so many near the margin; whole as well where more than this share of the samples are nearer to the other class, and
# this share are of the smaller one, since most are support vectors then; of more variables these take less time alone.
_SMALL, _SMALL_WITH_BUDGET, LARGEST, _MIXED, _BALANCED, _LARGEST_MIXED = 64, 256, 1000, 0.06, 0.2, 400
# The problems of a stack have at least this share of the variables of its largest, and take so many numbers an array.
_ALIKE, _MOST_NUMBERS = 0.5, 2**21
# Up to so many variables many walks at once take less time than one after the other, and a few walks up to fewer.
LARGEST_WALKED, LARGEST_OF_FEW = 280, 200
# Few features take the place of pivots up to a share of a problem's samples, and while a step with them takes no more
# multiplications; up to so many variables up to a smaller share, for pivots of few cost less. They take the place of
# growth, and of walks, up to somewhat more: samples between the classes cost less to solve for. Many that are known do
# where more than this share of the samples are nearer to the other class.
_FEW, _MEDIUM, _FEWER = (0.2, 4e5), 128, (0.1, 4e5)
_SOME_FOUND, _SOME_KNOWN, _MANY_KNOWN, _WELL_MIXED = (0.2, 1e6), (0.6, 5e5), (0.35, 1e7), 0.1
# Where classes are apart, and all samples at their bound would make f differ by so much between them, few samples
# count: growth finds them for less than interior steps of more multiplications than these.
_NARROW, _CHEAP = 20.0, 1e5
# The fewest samples of which features are sought.
_FEWEST = 10
# The share of the samples that is between the classes at first, and the largest near the margin.
_SOME, _MOST_NEAR = 0.2, 0.8
# The relative gap at which sides are handed over, and that where what features leave changes f by more than so much, so
# that they tell them roughly, and that where a solution is a face, with what its certificate has to be within, for what
# ends softer takes little time alone; with the free samples go as many that are near the margin and some.
_GAP, _ROUGH_GAP, _TOLD, _FINEST_GAP, _FACE, _NEAR_COUNT = 1e-5, 1e-4, 1e-6, 1e-10, 1e-8, 20
# How far on the wrong side of the margin a sample that is held may stand, and how often the others are looked at.
_WRONG, _MOST_LOOKS = 1e-9, 10
# Budgets with known features are pivoted for so many rounds before the cost of this over the scale tells whether any
# hyperplane keeps them: most that can be kept settle sooner, and the others late or never.
_FIRST_ROUNDS, _WHOLE_ROUNDS, _HARDEST = 16, 20, 1e6
# The most iterations that a problem takes.
MOST_ITERATIONS = 2 * MOST_STEPS + (2 + _MOST_LOOKS) * MOST_ROUNDS + _FIRST_ROUNDS


class _Solved(NamedTuple):
    """Duals (k, m), lam (k,), and K beta (k, m) of each problem; 0 pivots (k,) where it did not settle, and what its
    certificate has to be within."""

    beta: np.ndarray
    lam: np.ndarray
    fit: np.ndarray
    pivots: np.ndarray
    steps: object = 0
    within: object = np.inf


def solve_together(stack, reach, tol):
    """Solve the problems that can be solved together.

    Parameters
    ----------
    stack : Stack with budgets, none of them trivial, or costs
    reach : float, how far lam is followed, over the scale of a problem

    Returns
    -------
    list of DualSolution or None, one for each problem; None where no certificate within tol was found
    """
    return _with_budgets(stack, reach, tol) if stack.cost is None else _with_costs(stack, reach, tol)


def walk_together(stack, costs, tol):
    """Solve problems without few known features for rising costs, each from the last.

    Parameters
    ----------
    stack : Stack
    costs : sequence of float, rising

    Returns
    -------
    list of lists of DualSolution or None : for each cost one for each problem
    """
    solutions = [[None] * len(stack) for _ in costs]
    for rows in _parts(stack.sizes, np.arange(len(stack)), lambda m: m**2):
        _walk_part(stack.take(rows).narrowed(), rows, costs, tol, solutions)
    return solutions


def _walk_part(part, rows, costs, tol, solutions):
    """Enter the solutions of the rows for each cost.

    Where features are few interior steps in these solve anew, else pivots go on from the last cost, and where that
    leads nowhere from nothing. Pivots that led nowhere at a cost are not tried at the next.
    """
    tally = Tally()
    part = part.with_cost(costs[0]).counted(tally)
    blocks, going, known = Blocks.of(part, part.gram(), np.inf), np.ones(len(part), bool), np.zeros(len(part), bool)
    side, duals = np.zeros(part.bound.shape, np.int8), np.zeros(part.bound.shape)
    for cost, found in zip(costs, solutions, strict=True):
        here, blocks, own = part.with_cost(cost), blocks.at_cost(cost), [None] * len(part)
        # Without a sample at its bound the last solution is that of this cost, too: a look at it counts as a pivot.
        same = np.flatnonzero(known & ~(side == BOUND).any(axis=1))
        if len(same):
            again = _Solved(duals[same], here.cost[same], blocks.fit(duals)[same], np.ones(len(same), int))
            _enter(own, same, here.take(same), again, tally, tol)
        left = _unsolved(own)
        features = _features(here, left, *_SOME_FOUND)
        if features is not None:
            _solve_in_features(here, left, features, tol, own)
        _pivot_on(own, _unsolved(own, going & known), here, blocks, _from_last(side, duals / cost), tally, tol)
        _pivot_on(own, _unsolved(own, going), here, blocks, lambda blocks, _: start(blocks), tally, tol)
        solved = np.array([solution is not None for solution in own])
        known |= solved
        going = solved | ~known
        for k, (row, solution) in enumerate(zip(rows.tolist(), own, strict=True)):
            found[row] = solution
            if solution is not None:
                duals[k, : len(solution.beta)] = solution.beta
        side[solved] = sides_of(duals[solved], part.bound[solved], cost)


def _from_last(side, shape):
    """Where pivots begin that go on from these."""
    return lambda blocks, rows: Guess(side[rows], shape[rows], blocks.most_lam, np.full(len(rows), AFTER_LAST))


def _pivot_on(solutions, rows, stack, blocks, begin, tally, tol):
    """Enter what pivots on all samples settle of the rows, from begin(blocks, rows)."""
    if len(rows) == 0:
        return
    some = blocks.take(rows) if len(rows) < len(stack) else blocks
    # One that cannot be solved leaves all of them to others.
    with suppress(np.linalg.LinAlgError):
        _enter(solutions, rows, stack.take(rows), _pivoted(some, begin(some, rows)), tally, tol)


def _with_budgets(stack, reach, tol):
    """Pivots of the small ones; where features are known budgets that nothing keeps are told before they take long."""
    solutions, small = [None] * len(stack), stack.sizes <= _SMALL_WITH_BUDGET
    if stack.features is None:
        _solve_small(stack, np.flatnonzero(small), reach, tol, solutions)
        return solutions
    _solve_small(stack, np.flatnonzero(small), reach, tol, solutions, _FIRST_ROUNDS)
    left = _unsolved(solutions, small)
    if len(left):
        _enter_least_slack(stack, left, tol, solutions)
        _solve_small(stack, _unsolved(solutions, small), reach, tol, solutions)
    return solutions


def _with_costs(stack, reach, tol):
    """Interior steps and pivots where features will do, pivots of the small and the mixed ones, growth of others."""
    solutions = [None] * len(stack)
    small = (stack.sizes <= _SMALL) | (stack.sizes**2 * len(stack) <= _MOST_NUMBERS)
    if stack.features is None:
        _with_features_found(stack, small, reach, tol, solutions)
    else:
        _with_features_known(stack, small, reach, tol, solutions)
    return solutions


def _with_features_found(stack, small, reach, tol, solutions):
    """Enter solutions: the larger problems first where their features are few, by growth those whose classes are apart;
    the others after pivots failed; mixed ones that are large are left alone."""
    larger = stack.sizes > _SMALL
    limits = _FEW if stack.sizes.max(initial=0) > _MEDIUM else _FEWER
    features = _features(stack, np.flatnonzero(larger), *limits)
    if features is not None:
        apart = np.flatnonzero(larger & _are_apart(stack, features))
        _solve_parts(stack, apart, lambda m: (m // 2) ** 2, _grown, tol, solutions)
        _solve_in_features(stack, _unsolved(solutions, larger), features, tol, solutions)
    mixed = _mixing(stack, np.flatnonzero(~small)) > _MIXED
    alone = mixed & (stack.sizes > _LARGEST_MIXED)
    whole = small | (mixed & ~alone)
    _solve_small(stack, _unsolved(solutions, whole), reach, tol, solutions, _WHOLE_ROUNDS)
    if features is None:
        _solve_left(stack, _SOME_FOUND, tol, solutions, of=~alone, growing=~whole)
    else:
        _solve_in_features(stack, _unsolved(solutions, ~larger), features, tol, solutions)


def _with_features_known(stack, small, reach, tol, solutions):
    """Enter solutions: all first where the features are few, the well mixed ones where they are many."""
    everyone = np.arange(len(stack))
    features = _features(stack, everyone, *_FEW)
    if features is not None:
        _solve_in_features(stack, everyone, features, tol, solutions)
        whole = small | (_mixing(stack, np.flatnonzero(~small)) > _MIXED)
        _solve_small(stack, _unsolved(solutions, whole), reach, tol, solutions, _WHOLE_ROUNDS)
        return
    mixing = _mixing(stack, everyone)
    rows = np.flatnonzero(mixing > _WELL_MIXED)
    features = _features(stack, rows, *_MANY_KNOWN)
    if features is not None:
        _solve_in_features(stack, rows, features, tol, solutions)
    whole = small | (mixing > _MIXED)
    _solve_small(stack, _unsolved(solutions, whole), reach, tol, solutions, _WHOLE_ROUNDS)
    _solve_left(stack, _SOME_KNOWN, tol, solutions, growing=~whole)


def _solve_left(stack, limits, tol, solutions, *, of=True, growing=True):
    """Enter what interior steps in features within the limits and pivots, or growth, settle of the problems in a mask
    that have no solution; growth of those in another, for where pivots on all samples led nowhere those on some that
    grow do not either."""
    left = _unsolved(solutions, of)
    features = _features(stack, left, *limits)
    if features is None:
        _solve_parts(stack, _unsolved(solutions, of & growing), lambda m: (m // 2) ** 2, _grown, tol, solutions)
    else:
        _solve_in_features(stack, left, features, tol, solutions)


def _solve_in_features(stack, rows, features, tol, solutions):
    """Enter what interior steps and pivots settle of some of the problems."""
    rank = features.X.shape[1] + 1
    _solve_parts(stack, rows, lambda m: m * rank, lambda part: _stepped(part, features), tol, solutions)


def _unsolved(solutions, of=True):
    """The problems, of those in a mask, without a solution."""
    return np.flatnonzero(np.array([solution is None for solution in solutions], dtype=bool) & of)


def _solve_small(stack, rows, reach, tol, solutions, most_rounds=MOST_ROUNDS):
    """Enter what pivots on all samples settle."""
    _solve_parts(
        stack, rows, lambda m: m**2, lambda part: _pivoted_from_nothing(part, reach, most_rounds), tol, solutions
    )


def _enter_least_slack(stack, rows, tol, solutions):
    """Enter the solutions of least slack where they show that no hyperplane keeps the budget."""
    part = stack.take(rows)
    hardest, found = part.with_cost(_HARDEST / part.spreads), [None] * len(part)
    _solve_left(hardest, _SOME_KNOWN, tol, found)
    which = np.flatnonzero([solution is not None for solution in found])
    if len(which) == 0:
        return
    part, beta = hardest.take(which), np.zeros((len(which), hardest.bound.shape[1]))
    for row, k in zip(beta, which, strict=True):
        row[: len(found[k].beta)] = found[k].beta
    shown = least_slack_shown(part.features, part.linear, part.bound, beta, part.cost)
    for k, bound in zip(which, shown, strict=True):
        solution, budget = found[k], stack.budget[rows[k]]
        if is_least(solution.budget, bound) and not solution.keeps(budget, tol):
            solutions[rows[k]] = solution.beyond(budget, float(bound))


def _features(stack, rows, few, most_cost):
    """Features of all samples, known or found, that are few for some of the problems; None without."""
    if len(rows) == 0:
        return None
    m = int(stack.sizes[rows].max())
    if stack.features is None:
        return features_of(stack.source, m, float(stack.cost[rows].max()), few, most_cost=most_cost, fewest=_FEWEST)
    X = dense_features(stack.source.features)
    r = X.shape[1]
    return Features(X, np.zeros(len(X))) if r <= few * m and m * r**2 <= most_cost else None


def _parts(sizes, rows, numbers):
    """The rows in parts of like sizes that take numbers(m) for each of m variables."""
    order = np.argsort(-sizes, kind="stable")
    rows, sizes = rows[order], sizes[order]
    while len(rows):
        most = min(max(1, int(_MOST_NUMBERS // numbers(sizes[0]))), np.count_nonzero(sizes >= _ALIKE * sizes[0]))
        yield rows[:most]
        rows, sizes = rows[most:], sizes[most:]


def _solve_parts(stack, rows, numbers, solve_part, tol, solutions):
    """Enter the solutions of the rows, solved in parts of like sizes that take numbers(m) for each of m variables."""
    for part in _parts(stack.sizes[rows], rows, numbers):
        _solve_part(stack, part, solve_part, tol, solutions)


def _solve_part(stack, rows, solve_part, tol, solutions):
    """Enter the solutions of the rows. One problem that cannot be solved stops all: then each half is solved alone."""
    tally = Tally()
    part = stack.take(rows).narrowed().counted(tally)
    try:
        _enter(solutions, rows, part, solve_part(part), tally, tol)
    except np.linalg.LinAlgError:
        for half in np.array_split(rows, 2) if len(rows) > 1 else ():
            _solve_part(stack, half, solve_part, tol, solutions)


def _pivoted(blocks, guess, most_rounds=_WHOLE_ROUNDS):
    """Pivots on all samples."""
    found = pivot_together(blocks, guess, most_rounds)
    # A budget that asks for all the lam within reach is out of it.
    within = True if blocks.budget is None else found.lam < blocks.most_lam
    return _Solved(found.beta, found.lam, blocks.fit(found.beta), found.rounds * within)


def _pivoted_from_nothing(part, reach, most_rounds):
    """Pivots on all samples from nothing."""
    k, m = part.bound.shape
    with lent(k, m, m) as room:
        blocks = Blocks.of(part, part.gram(out=room), reach)
        return _pivoted(blocks, start(blocks), most_rounds)


def _stepped(part, features):
    """Interior steps on all samples, and pivots on those near the margin until no other stands wrong; interior steps
    alone where the solution is a face."""
    X, rest = features.X[part.rows], features.rest[part.rows]
    unseen = part.cost.max() * features.rest.max()
    gap, stage = (_ROUGH_GAP, NEARLY) if unseen > _TOLD else (_GAP, EXACTLY)
    inside, most = steps_together(part, X, rest, gap), MOST_FREE * (X.shape[2] + 1)
    untold = _of_many_free(inside, most)
    if len(untold):
        further = steps_together(part.take(untold), X[untold], rest[untold], _FINEST_GAP)
        better, taken = further.gap < inside.gap[untold], inside.steps[untold] + further.steps
        for whole, values in zip(inside, further, strict=True):
            whole[untold[better]] = values[better]
        inside.steps[untold] = taken
    faces, near = _of_many_free(inside, most), _nearest(part, inside)
    near[faces] = False
    guess = Guess(inside.side, inside.beta / part.cost[:, None], part.cost, np.full(len(part), stage))
    solved = _refined(part, near, guess)._replace(steps=inside.steps)
    return _with_faces(part, faces, inside.beta[faces], solved) if len(faces) else solved


def _of_many_free(inside, most):
    """The problems of which more samples than these seem free."""
    return np.flatnonzero(np.count_nonzero(inside.side == FREE, axis=1) > most)


def _with_faces(part, rows, beta, solved):
    """What is solved, and for some problems the duals that interior steps ended with."""
    faces, within = part.take(rows), np.full(len(part), np.inf)
    beta = feasible_duals(faces, on_their_bounds(faces, beta, faces.cost), faces.cost)
    solved.beta[rows], solved.fit[rows], solved.pivots[rows], within[rows] = beta, faces.products(beta), 1, _FACE
    return solved._replace(within=within)


def _grown(part):
    """Pivots on the samples between the classes, and on those that stand wrong then."""
    near = _between(part)
    side = np.where(near, FREE, ZERO)
    return _refined(part, near, Guess(side, np.zeros(near.shape), part.cost, np.full(len(part), ROUGHLY)))


def _between(part):
    """Mask of the samples nearest to the other class, along the difference of the means of some of each."""
    return nearest(part, part.products(_difference_of_some(part)), _SOME)


def _difference_of_some(stack):
    """The difference of the means of some samples of each class, as duals (k, m)."""
    return mean_difference(stack.bound * (some_of(stack.bound < 0) | some_of(stack.bound > 0)))


def _mixing(stack, rows):
    """The share of the samples of each problem, of some, that are nearer to the other class; zero for the other
    problems, and where one class is small."""
    mixing = np.zeros(len(stack))
    if len(rows):
        part = stack.take(rows)
        wrong, up = from_middle(part, part.products(_difference_of_some(part))) < 0, (part.bound > 0).sum(axis=1)
        smaller = np.minimum(up, part.sizes - up)
        mixing[rows] = np.where(smaller > _BALANCED * part.sizes, wrong.sum(axis=1) / part.sizes, 0.0)
    return mixing


def _are_apart(stack, features):
    """Mask of the problems of which hardly a sample is nearer to the other class, with costs for which few stand at
    their bound; none where steps with features take few multiplications."""
    if stack.sizes.max(initial=0) * features.X.shape[1] ** 2 <= _CHEAP:
        return np.zeros(len(stack), dtype=bool)
    difference = _difference_of_some(stack)
    along = stack.products(difference)
    wrong = (from_middle(stack, along) < 0).sum(axis=1)
    # With all samples at their bound f would differ so much between the classes, by 2 at the margin.
    differs = 0.25 * stack.cost * stack.weight.sum(axis=1) * np.einsum("ki,ki->k", difference, along)
    return (wrong <= NEARER * stack.sizes) & (differs > _NARROW)


def _refined(part, near, guess):
    """Pivots on the samples in the mask `near`, and on those that then stand wrong, until none does; of problems that
    have any."""
    k, m = part.bound.shape
    out = _Solved(np.zeros((k, m)), part.cost, np.zeros((k, m)), np.zeros(k, int))
    rows = np.flatnonzero(near.any(axis=1))
    if len(rows) == 0:
        return out
    taken, left, near, guess = np.zeros(len(rows), int), part.take(rows), near[rows], guess.take(rows)
    for _ in range(_MOST_LOOKS):
        look = _solve_near(left, near, guess)
        taken += look.pivots
        settled, wrong = look.pivots > 0, look.wrong.any(axis=1)
        right = settled & ~wrong
        for whole, values in ((out.beta, look.beta), (out.fit, look.fit), (out.pivots, taken)):
            whole[rows[right]] = values[right]
        joins = _worst(look.wrong, near.sum(axis=1)) & settled[:, None]
        near = near | joins
        few = near.sum(axis=1) <= _MOST_NEAR * left.sizes
        # Where pivots from these sides lead nowhere they may from further off.
        again = (settled & wrong & few) | (~settled & (guess.stage > ROUGHLY))
        if not again.any():
            break
        guess = Guess(
            np.where(settled[:, None], np.where(joins, FREE, look.side), guess.side),
            np.where(settled[:, None], look.beta / left.cost[:, None], guess.shape),
            left.cost,
            np.where(settled, NEARLY, ROUGHLY),
        )
        rows, taken, near, left, guess = rows[again], taken[again], near[again], left.take(again), guess.take(again)
    return out


def _worst(wrong, count):
    """Mask of up to as many of the most wrong samples of each problem as half the count."""
    most = np.minimum(count // 2 + 1, wrong.shape[1] - 1)
    edge = np.take_along_axis(-np.sort(-wrong, axis=1), most[:, None], axis=1)
    return (wrong > 0) & (wrong >= edge)


def _nearest(part, inside):
    """Mask of the free samples and of those nearest to the margin."""
    free = inside.side == FREE
    count = 2 * free.sum(axis=1) + _NEAR_COUNT
    distance = np.where(part.bound != 0, np.abs(inside.residual), np.inf)
    edge = np.take_along_axis(np.sort(distance, axis=1), np.minimum(count, distance.shape[1] - 1)[:, None], axis=1)
    return (free | (distance <= edge)) & (part.bound != 0)


class _Look(NamedTuple):
    """A solution near the margin: duals, K beta and sides (k, m), pivots (k,), and which samples are held wrong."""

    beta: np.ndarray
    fit: np.ndarray
    side: np.ndarray
    pivots: np.ndarray
    wrong: np.ndarray


def _solve_near(part, near, guess):
    """Solve for the samples in the mask `near`, the others held on the sides of the guess."""
    # As many columns for each problem: those near come first.
    columns = np.argsort(~near, axis=1, kind="stable")[:, : near.sum(axis=1).max()]
    outside = part.bound != 0
    np.put_along_axis(outside, columns, False, axis=1)
    held = np.where(outside & (guess.side == BOUND), part.bound, 0.0)
    pull, unspent = part.products(held), np.zeros(len(part))
    pulls, side, shape = (np.take_along_axis(v, columns, axis=1) for v in (pull, guess.side, guess.shape))
    fixed = Fixed(pulls, unspent, unspent, held.sum(axis=1))
    blocks = Blocks.of(part, part.gram(columns), np.inf, columns, fixed)
    found = pivot_together(blocks, guess._replace(side=side, shape=shape))
    beta, side = np.zeros(held.shape), guess.side.copy()
    np.put_along_axis(beta, columns, found.beta, axis=1)
    np.put_along_axis(side, columns, found.side, axis=1)
    fit = part.products(beta) + part.cost[:, None] * pull
    beta += part.cost[:, None] * held
    inward = part.sign * (part.linear - fit - found.intercept[:, None])
    wrong = np.where(outside, np.maximum(np.where(side == BOUND, -inward, inward) - _WRONG, 0.0), 0.0)
    return _Look(beta, fit, side, found.rounds, wrong)


def _enter(solutions, rows, part, solved, tally, tol):
    """Enter the solutions that certify themselves."""
    beta, lam, fit, pivots, steps, within = solved
    squared_norm, gradient = part.squared_norms(beta, fit), part.linear - fit
    held = certificate(gradient, beta, lam, squared_norm, part.linear, part.bound, part.least_weight, part.budget)
    optimal = np.flatnonzero((pivots > 0) & (largest_error(held) <= np.minimum(tol, within))).tolist()
    values, steps = tally.kernel_values // len(part), np.broadcast_to(steps, pivots.shape).tolist()
    intercepts, slack, *figures = held
    figures, intercepts, pivots = np.column_stack(figures).tolist(), intercepts.tolist(), pivots.tolist()
    lams, sizes, rows = lam.tolist(), part.sizes.tolist(), rows.tolist()
    for row in optimal:
        n = sizes[row]
        work = Work(values, (n,) * (pivots[row] + steps[row]), pivots[row], steps[row])
        solutions[rows[row]] = DualSolution(
            beta[row, :n], intercepts[row], lams[row], slack[row, :n], *figures[row], work, Status.OPTIMAL
        )
