"""BudgetSVR: libsvm's SVR and NuSVR, a primal QP by another solver, and identities of the problem are the oracles."""

import pickle
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference import least_slack_of_tube, single_precision, tube_primal
from scipy.sparse import csr_matrix
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_linnerud
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR, NuSVR

from sklearn_svmdl import BudgetSVR, BudgetWarning, InfeasibleBudgetError

KERNELS = {
    "linear": {},
    "poly": {"gamma": 0.25, "degree": 3, "coef0": 1.0},
    "rbf": {"gamma": 0.25},
    "laplacian": {"gamma": 0.25},
    "cosine": {},
    "chi2": {"gamma": 0.25},
    "additive_chi2": {},
}
EXACT = {"tol": 1e-8, "max_iter": -1}


def noisy(n=120, seed=0):
    """A noisy function of features from 0 to 3 in whole numbers, so that many kernel values have few digits."""
    random = np.random.RandomState(seed)
    X = random.randint(0, 4, (n, 4)).astype(float)
    return X, np.sin(X[:, 0]) + 0.5 * X[:, 1] - 0.2 * X[:, 2] * X[:, 3] + 0.4 * random.randn(n)


def total_slack(y, f, epsilon, weight=1.0):
    """The total slack of predictions f."""
    return np.sum(weight * np.maximum(0.0, np.abs(y - f) - epsilon))


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("cost", [0.05, 1.0, 10.0])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_cost_gives_the_predictions_of_svr_and_the_budget_it_spends_gives_them_back(kernel, cost, epsilon):
    X, y = noisy()
    if kernel == "additive_chi2":
        # Of zeros and ones the values are whole numbers: rounded, they would be of no convex problem.
        X = (X > 1.0).astype(float)
    K = pairwise_kernels(X, metric=kernel, **KERNELS[kernel])
    shared = dict(epsilon=epsilon, tol=1e-8)
    named = BudgetSVR(C=cost, unit="cost", kernel=kernel, **shared, **KERNELS[kernel]).fit(X, y)
    ours = BudgetSVR(C=cost, unit="cost", kernel="precomputed", **shared).fit(K, y)
    assert_allclose(named.predict(X), ours.predict(K), rtol=0, atol=1e-6)
    # libsvm keeps kernel values in single precision: to compare to 1e-6 both get what it can hold.
    K = single_precision(K)
    ours = BudgetSVR(C=cost, unit="cost", kernel="precomputed", **shared).fit(K, y)
    theirs = SVR(C=cost, epsilon=epsilon, kernel="precomputed", **EXACT).fit(K, y)
    assert_allclose(ours.predict(K), theirs.predict(K), rtol=0, atol=1e-6)
    assert ours.cost_ == pytest.approx(cost, rel=1e-12)
    assert_allclose(ours.slack_, np.maximum(0.0, np.abs(y - ours.predict(K)) - epsilon), atol=1e-7)
    back = BudgetSVR(C=named.budget_, kernel=kernel, **shared, **KERNELS[kernel]).fit(X, y)
    assert_allclose(back.predict(X), named.predict(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
@pytest.mark.parametrize("share", [0.6, 0.3])
def test_a_budget_gives_the_predictions_of_svr_at_its_cost_with_weights(kernel, share):
    X, y = noisy(seed=1)
    weight = np.random.RandomState(0).randint(0, 4, len(y)).astype(float)
    K = single_precision(pairwise_kernels(X, metric=kernel, **KERNELS[kernel]))
    model = BudgetSVR(epsilon=0.1, kernel="precomputed", tol=1e-8)
    least, largest = model.feasible_budget(K, y, weight)
    C = least + share * (largest - least)
    ours = model.set_params(C=C).fit(K, y, weight)
    assert np.nansum(weight * ours.slack_) == pytest.approx(C, rel=1e-6)
    assert np.isnan(ours.slack_[weight == 0]).all()
    kept = weight > 0
    theirs = SVR(C=ours.cost_, epsilon=0.1, kernel="precomputed", **EXACT)
    theirs.fit(K[kept][:, kept], y[kept], weight[kept])
    assert_allclose(ours.predict(K), theirs.predict(K[:, kept]), rtol=0, atol=1e-6)
    again = np.repeat(np.arange(len(y)), weight.astype(int))
    repeated = BudgetSVR(C=C, epsilon=0.1, kernel="precomputed", tol=1e-8).fit(K[again][:, again], y[again])
    assert_allclose(ours.predict(K), repeated.predict(K[:, again]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.3])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_primal_by_another_solver(share, epsilon, weighted):
    random = np.random.RandomState(3)
    X = random.randn(25, 2)
    y = X @ [1.0, -2.0] + 0.7 * random.randn(25)
    weight = random.uniform(0.5, 2.0, 25) if weighted else np.ones(25)
    model = BudgetSVR(epsilon=epsilon, kernel="linear", tol=1e-8)
    least, largest = model.feasible_budget(X, y, weight)
    assert least == pytest.approx(least_slack_of_tube(X, y, epsilon, weight), abs=1e-8)
    C = least + share * (largest - least)
    model.set_params(C=C).fit(X, y, weight)
    w, b = tube_primal(X, y, C, epsilon, weight)
    assert_allclose(model.coef_[0], w, atol=2e-5)
    # b may lie anywhere in an interval where no sample is on the tube: whichever it is spends no more.
    for f in (model.predict(X), X @ w + b):
        assert total_slack(y, f, epsilon, weight) == pytest.approx(C, rel=1e-6)


@pytest.mark.parametrize("nu", [0.2, 0.5, 0.8])
def test_the_solutions_of_nu_svr_are_reached_at_the_budget_that_they_use(nu):
    X, y = noisy(seed=2)
    theirs = NuSVR(nu=nu, C=1.0, gamma=0.25, **EXACT).fit(X, y)
    # Every sample within the tube, and not on it, has no dual: the tube is the largest of their errors.
    error = np.abs(y - theirs.predict(X))
    free = (np.abs(theirs.dual_coef_[0]) < 1.0 - 1e-6) & (np.abs(theirs.dual_coef_[0]) > 1e-6)
    epsilon = error[theirs.support_[free]].mean()
    spent = total_slack(y, theirs.predict(X), epsilon)
    ours = BudgetSVR(C=spent, epsilon=epsilon, gamma=0.25, tol=1e-8).fit(X, y)
    assert_allclose(ours.predict(X), theirs.predict(X), atol=2e-5)
    assert ours.cost_ == pytest.approx(1.0, rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-100.0, 100.0),
    share=st.sampled_from([0.1, 0.3, 0.8]),
)
def test_y_in_other_units(seed, scale, shift, share):
    X, y = noisy(40, seed)
    other = scale * (y + shift)
    # As it comes, and with the total slack and epsilon in the units of y.
    total = share * BudgetSVR(epsilon=0.1).feasible_budget(X, y)[1]
    pairs = [
        (BudgetSVR(), BudgetSVR()),
        (BudgetSVR(share, unit="relative"), BudgetSVR(share, unit="relative")),
        (BudgetSVR(total, epsilon=0.1), BudgetSVR(scale * total, epsilon=scale * 0.1)),
        (BudgetSVR(2.0, unit="cost", epsilon=0.1), BudgetSVR(scale * 2.0, unit="cost", epsilon=scale * 0.1)),
    ]
    for here, there in pairs:
        here.fit(X, y)
        there.fit(X, other)
        assert_allclose(there.predict(X) / scale - shift, here.predict(X), rtol=0, atol=1e-6)
        assert there.budget_ / scale == pytest.approx(here.budget_, rel=1e-6)
        assert there.cost_ / scale == pytest.approx(here.cost_, rel=1e-5)
        assert there.margin_ * scale == pytest.approx(here.margin_, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_auto_goes_by_the_median_absolute_deviation_of_y(weighted):
    X, y = noisy(41)
    y[0] = 1e6
    times = np.random.RandomState(0).randint(1, 4, 41) if weighted else np.ones(41, dtype=int)
    repeated = np.repeat(y, times)
    spread = np.median(np.abs(repeated - np.median(repeated))) / 0.6744897501960817
    model = BudgetSVR().fit(X, y, times)
    assert model.epsilon_ == pytest.approx(0.1 * spread, rel=1e-12)
    assert model.cost_ == pytest.approx(spread, rel=1e-12)
    # Where most of y is one number that deviation is 0.
    rare = np.where(np.arange(41) < 9, y, 2.0)
    assert BudgetSVR().fit(X, rare).epsilon_ == pytest.approx(0.1 * np.std(rare), rel=1e-12)


@pytest.mark.parametrize(
    "params", [{}, {"C": 3.0, "unit": "cost"}, {"C": 0.3, "unit": "relative"}, {"C": 0.0}], ids=str
)
@pytest.mark.parametrize("value", [0.0, -7.5])
def test_a_constant_y_is_predicted_without_a_warning(params, value):
    X, _ = noisy(20)
    model = BudgetSVR(**params).fit(X, np.full(20, value))
    assert_array_equal(model.predict(X), np.full(20, value))
    assert len(model.support_) == 0 and model.margin_ == np.inf


@pytest.mark.parametrize("params", [{}, {"C": 3.0, "unit": "cost"}, {"C": 0.0}, {"C": 5.0}], ids=str)
def test_an_epsilon_beyond_the_range_of_y_holds_everything(params):
    X, y = noisy(30)
    epsilon = 0.51 * np.ptp(y)
    model = BudgetSVR(epsilon=epsilon, **params).fit(X, y)
    assert np.ptp(model.predict(X)) == 0 and not model.slack_.any()
    assert np.abs(y - model.predict(X)).max() <= epsilon
    theirs = SVR(epsilon=epsilon).fit(X, y)
    assert np.ptp(theirs.predict(X)) == 0


def test_from_c_max_on_the_best_constant_is_returned_with_a_warning():
    X, y = noisy()
    _, largest = BudgetSVR(epsilon=0.2).feasible_budget(X, y)
    candidates = np.concatenate([y - 0.2, y + 0.2])
    assert largest == pytest.approx(min(total_slack(y, b, 0.2) for b in candidates), rel=1e-12)
    with pytest.warns(BudgetWarning, match="pays for the slack of a constant.*constant of least total slack.*SVR"):
        model = BudgetSVR(C=1.001 * largest, epsilon=0.2).fit(X, y)
    assert model.margin_ == np.inf and model.cost_ == 0.0
    assert total_slack(y, model.predict(X), 0.2) == pytest.approx(largest, rel=1e-12)
    slope = BudgetSVR(C=0.999 * largest, epsilon=0.2).fit(X, y)
    assert np.ptp(slope.predict(X)) > 0


def test_budgets_below_c_min():
    X, y = noisy()
    y = 100.0 * y
    model = BudgetSVR(C=1.0, epsilon=10.0, kernel="linear")
    least, _ = model.feasible_budget(X, y)
    assert least == pytest.approx(least_slack_of_tube(X, y, 10.0), rel=1e-9)
    with pytest.warns(BudgetWarning, match=f"C_min={least:.6g}.*unlike the C of sklearn.svm.SVR.*spends {least:.4g}"):
        model.fit(X, y)
    assert model.budget_ == pytest.approx(least, rel=1e-5)
    with pytest.raises(InfeasibleBudgetError, match="C_min="):
        BudgetSVR(C=0.5 * least, epsilon=10.0, kernel="linear", infeasible="raise").fit(X, y)
    # Equal samples with numbers further apart than the tube is wide contradict each other, whatever the kernel.
    twice, numbers = np.vstack([X, X]), np.concatenate([y, y + 50.0])
    _, group = np.unique(twice, axis=0, return_inverse=True)
    expected = sum(
        min(total_slack(of_one, b, 10.0) for b in np.concatenate([of_one - 10.0, of_one + 10.0]))
        for of_one in (numbers[group.ravel() == g] for g in range(group.max() + 1))
    )
    assert BudgetSVR(epsilon=10.0).feasible_budget(twice, numbers)[0] == pytest.approx(expected, rel=1e-9)


def test_less_budget_never_gives_a_wider_margin():
    X, y = noisy()
    margins = [BudgetSVR(C=C, unit="relative").fit(X, y).margin_ for C in (0.9, 0.5, 0.3, 0.1, 0.06)]
    assert (np.diff(margins) < 0).all()


def test_both_solvers_agree():
    X, y = noisy(60)
    for params in ({"C": 2.0, "unit": "cost"}, {"C": 0.3, "unit": "relative"}):
        steps = BudgetSVR(solver="smo", tol=1e-6, max_iter=1_000_000, **params).fit(X, y)
        assert_allclose(steps.predict(X), BudgetSVR(tol=1e-6, **params).fit(X, y).predict(X), atol=1e-4)


def test_attributes_are_what_they_say():
    X, y = noisy()
    for kernel in ("linear", "rbf"):
        model, theirs = BudgetSVR(kernel=kernel).fit(X, y), SVR(kernel=kernel).fit(X, y)
        for name in ("dual_coef_", "intercept_", "n_support_", "support_"):
            assert getattr(model, name).ndim == getattr(theirs, name).ndim
        beta = model.dual_coef_[0]
        gamma = 1.0 / (X.shape[1] * X.var())
        K = pairwise_kernels(X, metric=kernel, **({"gamma": gamma} if kernel == "rbf" else {}))
        f = K[:, model.support_] @ beta + model.intercept_[0]
        assert_allclose(model.predict(X), f, rtol=1e-9, atol=1e-9)
        squared_norm = beta @ K[np.ix_(model.support_, model.support_)] @ beta
        assert model.margin_ == pytest.approx(squared_norm**-0.5, rel=1e-6)
        assert model.slack_.shape == y.shape and model.slack_.sum() == pytest.approx(model.budget_)
        # |w|^2 / 2 + cost * slack, less its dual.
        dual = y @ _all(beta, model.support_, len(y)) - model.epsilon_ * np.abs(beta).sum() - 0.5 * squared_norm
        primal = 0.5 * squared_norm + model.cost_ * model.slack_.sum()
        assert model.duality_gap_ == pytest.approx((primal - dual) / primal, abs=1e-9)
        assert np.abs(beta).max() <= model.cost_ * (1.0 + 1e-9)
        # Those outside the tube pay the full price, on the side they are on.
        outside = np.abs(y - f) > model.epsilon_ + 1e-6
        assert_allclose(_all(beta, model.support_, len(y))[outside], model.cost_ * np.sign(y - f)[outside], rtol=1e-9)
        assert type(model.cost_) is type(model.budget_) is float and type(model.n_iter_) is int
    with pytest.raises(AttributeError, match="linear kernel only"):
        model.coef_
    with pytest.raises(ValueError, match="read-only"):
        BudgetSVR(kernel="linear").fit(X, y).coef_[0, 0] = 1.0


def _all(values, rows, n):
    """The values at these rows, 0 elsewhere."""
    out = np.zeros(n)
    out[rows] = values
    return out


def test_sparse_precomputed_and_callable_kernels_are_the_same_model():
    X, y = noisy()
    expected = BudgetSVR(gamma=0.5).fit(X, y).predict(X)
    assert_allclose(BudgetSVR(gamma=0.5).fit(csr_matrix(X), y).predict(csr_matrix(X)), expected, atol=1e-8)
    K = pairwise_kernels(X, metric="rbf", gamma=0.5)
    assert_allclose(BudgetSVR(kernel="precomputed").fit(K, y).predict(K), expected, atol=1e-8)

    def kernel(A, B):
        """The same kernel as a function."""
        return pairwise_kernels(A, B, metric="rbf", gamma=0.5)

    assert_allclose(BudgetSVR(kernel=kernel).fit(X, y).predict(X), expected, atol=1e-8)


def test_data_frames_keep_their_names():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = BudgetSVR().fit(X[:80], y[:80])
    assert_array_equal(model.feature_names_in_, X.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(X[:80].rename(columns={"age": "years"}))


def test_inside_scikit_learns_tools():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:100], y[:100]
    grid = {"C": [30.0, 300.0], "epsilon": [1.0, "auto"], "gamma": ["scale", 5.0], "degree": [2]}
    search = GridSearchCV(BudgetSVR(unit="cost"), grid, cv=3).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all() and search.best_score_ > 0.2
    scaled = make_pipeline(StandardScaler(), BudgetSVR()).fit(X, y)
    inside = TransformedTargetRegressor(scaled, transformer=StandardScaler()).fit(X, y)
    assert_allclose(inside.predict(X), scaled.predict(X), rtol=1e-6)
    X, Y = load_linnerud(return_X_y=True)
    several = MultiOutputRegressor(BudgetSVR()).fit(X, Y)
    assert_allclose(several.predict(X)[:, 1], BudgetSVR().fit(X, Y[:, 1]).predict(X))


def test_a_copy_by_pickle_predicts_the_same():
    X, y = noisy()
    model = BudgetSVR().fit(X, y)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


@pytest.mark.parametrize(
    "params, message",
    [
        ({"C": 1.5, "unit": "relative"}, "fraction of C_max"),
        ({"C": 0.0, "unit": "cost"}, "must be a finite number > 0"),
        ({"C": np.inf}, "Got inf instead"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"epsilon": "scale"}, "epsilon"),
    ],
)
def test_parameters_that_are_no_good_are_refused_with_their_value(params, message):
    X, y = noisy(20)
    with pytest.raises(ValueError, match=message):
        BudgetSVR(**params).fit(X, y)


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    X, y = noisy()
    model = BudgetSVR().fit(X, y)
    before = model.predict(X)
    with pytest.raises(InfeasibleBudgetError):
        model.set_params(C=0.0, epsilon=0.0, kernel="linear", infeasible="raise").fit(X, y)
    assert_array_equal(model.predict(X), before)
    with pytest.raises(NotFittedError):
        BudgetSVR().predict(X)


def test_no_certificate_is_told_with_the_gap_that_is_left():
    X, y = noisy()
    with pytest.warns(ConvergenceWarning, match="max_iter=1 iterations.*relative duality gap"):
        model = BudgetSVR(max_iter=1, tol=1e-6).fit(X, y)
    assert abs(model.duality_gap_) > 1e-6


def test_what_verbose_prints_is_in_the_units_of_y(capfd):
    X, y = noisy()
    model = BudgetSVR(verbose=1).fit(X, 1000.0 * y)
    (line,) = capfd.readouterr().out.splitlines()
    assert line.startswith(f"[BudgetSVR] 1/1 regression: OPTIMAL, budget {model.budget_:.4g}, ")
    assert f"{len(model.support_)} of {len(y)} samples are support vectors" in line


@pytest.mark.parametrize("seed", range(4))
def test_default_fits_of_noise_settle_without_a_warning(seed):
    random = np.random.RandomState(seed)
    n = (30, 300, 700, 1500)[seed]
    X = random.randn(n, (1, 2, 5, 20)[seed])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = BudgetSVR().fit(X, random.standard_t(2, n))
    assert model.duality_gap_ <= 1e-3


@pytest.mark.parametrize("cost", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_many_samples_meet_the_certificate_and_svr(cost, epsilon):
    random = np.random.RandomState(0)
    X = random.uniform(-1, 1, (1200, 3))
    y = np.sin(4 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.3 * random.randn(1200)
    ours = BudgetSVR(cost, unit="cost", epsilon=epsilon, gamma=1.0, tol=1e-8).fit(X, y)
    theirs = SVR(C=cost, epsilon=epsilon, gamma=1.0, tol=1e-6).fit(X, y)
    # libsvm keeps kernel values in single precision.
    assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-4)
    # No more values than a few times those of all pairs.
    assert ours.n_iter_ <= 300


def test_weights_are_repetition_in_the_spread_of_a_y_that_is_mostly_one_number():
    X, y = np.arange(9.0)[:, None], np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 5.0, -2.0])
    weight = np.array([2, 1, 3, 1, 1, 2, 1, 3, 2])
    weighted = BudgetSVR().fit(X, y, weight)
    repeated = BudgetSVR().fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert weighted.epsilon_ == pytest.approx(repeated.epsilon_, rel=1e-12)
    assert weighted.epsilon_ == pytest.approx(0.1 * np.std(np.repeat(y, weight)), rel=1e-12)


def test_the_violation_that_is_left_is_told_in_the_units_of_y():
    random = np.random.RandomState(0)
    X, y = random.randn(60, 3), random.randn(60)
    told = []
    for unit in (1.0, 128.0):
        with pytest.warns(ConvergenceWarning) as caught:
            BudgetSVR(max_iter=2, solver="smo").fit(X, unit * y)
        told.append(float(re.search(r"violation ([-+.e0-9]+),", str(caught[0].message))[1]))
    assert told[1] == pytest.approx(128.0 * told[0], rel=0.01) and told[0] > 0


@pytest.mark.parametrize("unit", [1.0, 128.0])
def test_a_fraction_of_the_largest_budget_is_in_the_units_of_y(unit):
    random = np.random.RandomState(0)
    X, y = random.randn(40, 2), unit * (3.0 * random.randn(40) + 5.0)
    model = BudgetSVR(C=0.3, unit="relative")
    _, largest = model.feasible_budget(X, y)
    assert model.fit(X, y).budget_ == pytest.approx(0.3 * largest)
    assert model.slack_.sum() == pytest.approx(0.3 * largest, rel=1e-3)
