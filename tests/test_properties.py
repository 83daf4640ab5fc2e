"""What holds for every problem, whatever its samples, weights, kernel, C and its unit.

Independent evidence: `optimality` computes what a model is worth from its public attributes and kernel values in
extended precision; the rest are identities. `make fuzz` tries the same on more problems.
"""

import numpy as np
import pandas as pd
import polars as pl
from fuzzing import fuzzed
from hypothesis import assume
from hypothesis import strategies as st
from optimality import EPS, asked_budgets, kernel_values, largest_slack_of_constant, problems_of, spread_of_y, worth
from problems import classifications, indefinite, regressions
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_svmdl import BudgetWarning, IndefiniteKernelWarning

ANY = st.one_of(classifications(), regressions())
# Roundings of a sum of many terms, in units of the last place of their sizes.
UNITS = 16.0


def figures(model, problem):
    """The worth of every problem of a model, with the public figures that go with it."""
    K = kernel_values(problem, problem.X, problem.X)
    names = ("cost_", "budget_", "margin_", "duality_gap_", "n_iter_")
    public = zip(*(np.ravel(getattr(model, name)) for name in names), strict=True)
    for p, (part, values) in enumerate(zip(problems_of(model, problem), public, strict=True)):
        yield part, worth(model, problem, K, p), dict(zip(names, values))


@fuzzed(ANY, examples=80)
def test_a_fit_ends_and_its_attributes_are_what_they_say(problem):
    model, told = problem.fit()
    assert IndefiniteKernelWarning not in told
    assert np.isfinite(model.dual_coef_).all() and np.isfinite(model.intercept_).all()
    slack = np.atleast_2d(model.slack_)
    for p, (part, found, public) in enumerate(figures(model, problem)):
        assert public["n_iter_"] <= problem.params.get("max_iter", 100_000)
        assert public["cost_"] >= 0 and public["margin_"] > 0 and public["budget_"] >= 0
        if ConvergenceWarning in told:
            continue
        rounding = UNITS * found.rounding
        own = found.slack.reshape(-1, len(np.unique(part.rows))).max(axis=0)
        np.testing.assert_allclose(slack[p][np.unique(part.rows)], own, rtol=1e-9, atol=rounding)
        assert abs(public["margin_"] ** -2.0 - found.squared_norm) <= 1e-6 * found.squared_norm + norm_rounding(found)


def norm_rounding(found):
    """What |w|^2 = beta'K beta may be off by at what doubles can do."""
    return UNITS * found.rounding * np.abs(found.duals).sum()


@fuzzed(ANY, examples=100)
def test_a_model_without_a_warning_keeps_its_budget_and_is_optimal(problem):
    model, told = problem.fit()
    assume(ConvergenceWarning not in told)
    tol = problem.params["tol"]
    unit = spread_of_y(problem) if hasattr(model, "epsilon_") else 1.0
    for part, found, public in figures(model, problem):
        lam, budget = public["cost_"], public["budget_"]
        asked, largest = asked_budgets(problem, part), largest_slack_of_constant(part)
        least, rounding = unit * part.weight.min(), UNITS * found.rounding
        if largest <= 1e-12 * unit * part.weight.sum():
            # Nothing but rounding leaves the tube of a constant.
            continue
        if lam == 0:
            # A constant, because that is what is asked for or nothing else is better.
            assert found.squared_norm == 0 and found.total <= largest * (1 + 1e-9) + rounding * part.weight.sum()
            assert asked is None or asked >= largest * (1 - 1e-9)
            continue
        kept = asked is not None and abs(budget - asked) <= 1e-9 * asked
        spent_for = 0.0 if kept else lam * found.total
        objective = 0.5 * found.squared_norm + spent_for
        unsure = rounding * part.weight.sum()
        assert found.violation <= tol * unit + 2 * rounding
        assert found.infeasibility <= tol
        assert abs(found.gap) <= tol * objective + lam * unsure + norm_rounding(found)
        if kept:
            assert abs(found.total - budget) <= tol * max(budget, least) + unsure
        else:
            # The hardest margin within reach spends more than was asked for, and says so.
            assert abs(found.total - budget) <= tol * max(budget, least) + unsure
            assert asked is None or (BudgetWarning in told and budget > asked)
        if problem.params.get("unit") == "cost":
            assert abs(lam - problem.params["C"]) <= 4 * EPS * lam


@fuzzed(classifications(), examples=30)
def test_no_more_mistakes_than_budget(problem):
    model, told = problem.fit()
    assume(ConvergenceWarning not in told)
    for part, found, public in figures(model, problem):
        mistakes = part.weight @ (part.sign * found.values < -UNITS * found.rounding)
        assert mistakes <= public["budget_"] * (1 + problem.params["tol"]) + 1e-9


@fuzzed(st.one_of(classifications(), indefinite), examples=40)
def test_predict_is_the_class_of_the_highest_score(problem):
    model, _ = problem.fit()
    given = problem.given()
    scores, predicted = model.decision_function(given), model.predict(given)
    codes = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
    np.testing.assert_array_equal(predicted, model.classes_[codes])
    assert scores.shape == (
        (problem.n_samples,) if len(model.classes_) == 2 else (problem.n_samples, len(model.classes_))
    )


def values_of(model, X):
    """Decisions of all binary problems (n, n_problems), or predictions (n,)."""
    if not hasattr(model, "decision_function"):
        return model.predict(X)
    own = model.set_params(decision_function_shape="ovr")
    return own._decisions(X) if len(own.classes_) > 2 else own.decision_function(X)


@fuzzed(ANY, examples=40)
def test_one_row_or_many_have_the_same_value(problem):
    model, _ = problem.fit()
    given = problem.given()[:20]
    together = values_of(model, given)
    alone = np.concatenate([values_of(model, given[i : i + 1]) for i in range(len(given))])
    rounding = UNITS * max(found.rounding for _, found, _ in figures(model, problem))
    np.testing.assert_allclose(alone, together, rtol=1e-9, atol=rounding)


def assert_same_models(problem, one, model, other_problem, other, values):
    """That two models of the same samples, both optimal, have the same values.

    By weak duality the w of either is within sqrt(2 gap) of the optimum, which is unique; a budget that is missed moves
    it by no more than sqrt(2 cost difference). The best constants may be an interval, as where two classes weigh the
    same: of two of them the total slacks are the same.
    """
    reach, bounds, constants = 0.0, [], []
    for which, fitted in ((problem, one), (other_problem, other)):
        off, of_constants = 0.0, []
        for part, found, public in figures(fitted, which):
            of_constants.append(found.total if found.squared_norm == 0 else np.nan)
            lam = public["cost_"]
            unsure = UNITS * found.rounding * part.weight.sum()
            missed = abs(found.total - public["budget_"]) + unsure
            gap = max(found.gap, 0.0) + lam * (unsure + missed) + norm_rounding(found)
            off = max(off, np.sqrt(2 * gap))
            reach = max(reach, UNITS * found.rounding)
        bounds.append(off)
        constants.append(of_constants)
    are_constant = np.isfinite(constants).all(axis=0)
    # Duals of equal samples may make f a constant that is known to rounding, which far from the origin is that of K.
    rounding = (1e-12 + reach) * problem.weights.sum()
    np.testing.assert_allclose(*np.array(constants)[:, are_constant], rtol=1e-9, atol=rounding)
    K = kernel_values(problem, problem.X, problem.X)
    size = float(np.sqrt(np.abs(np.diagonal(K) - 2 * K[0] + K[0, 0]).max()))
    expected, found = (np.reshape(each, (len(each), -1))[:, ~are_constant] for each in values)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=4 * size * sum(bounds) + 4 * reach)


@fuzzed(ANY, st.integers(0, 2**32 - 1), examples=40)
def test_the_order_of_the_samples_does_not_matter(problem, seed):
    problem = problem.having(tol=1e-6)
    order = np.random.RandomState(seed).permutation(problem.n_samples)
    model, told = problem.fit()
    shuffled = problem.taking(order)
    other, told_other = shuffled.fit()
    assume(ConvergenceWarning not in told | told_other)
    values = values_of(model, problem.given()), values_of(other, shuffled.given(problem.X))
    assert_same_models(problem, model, model, shuffled, other, values)


CONTAINERS = {
    "list": lambda X: X.tolist(),
    "Fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
    "read-only": lambda X: np.frombuffer(X.tobytes()).reshape(X.shape),
    "pandas": lambda X: pd.DataFrame(X, columns=[f"x{k}" for k in range(X.shape[1])]),
    "polars": lambda X: pl.DataFrame(X, schema=[f"x{k}" for k in range(X.shape[1])]),
    "csr": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_array,
    "csr of 64 bits": lambda X: _of_64_bits(sparse.csr_array(X)),
    "csr with zeros stored": lambda X: sparse.csr_array(
        (X.ravel(), np.tile(np.arange(X.shape[1]), len(X)), np.arange(len(X) + 1) * X.shape[1]), X.shape
    ),
}
DENSE_ONLY = ("precomputed", "chi2", "additive_chi2")


def _of_64_bits(X):
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


@fuzzed(ANY, st.sampled_from(list(CONTAINERS)), examples=50)
def test_any_container_gives_the_same_model(problem, container):
    problem = problem.having(tol=1e-6)
    kernel = problem.params.get("kernel")
    given = CONTAINERS[container](np.ascontiguousarray(problem.given()))
    assume(not (sparse.issparse(given) and (kernel in DENSE_ONLY or callable(kernel))))
    model, told = problem.fit()
    other, told_other = problem.fit(given)
    assume(ConvergenceWarning not in told | told_other)
    values = values_of(model, problem.given()), values_of(other, given)
    assert_same_models(problem, model, model, problem, other, values)


@fuzzed(indefinite, examples=30)
def test_an_indefinite_kernel_ends_with_a_model_that_predicts(problem):
    model, told = problem.fit()
    assert np.isfinite(model.dual_coef_).all() and (model.n_iter_ <= problem.params.get("max_iter", 100_000)).all()
    assert set(model.predict(problem.given())) <= set(problem.y)
