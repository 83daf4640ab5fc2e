"""BudgetPathDisplay draws what the models and the search say."""

import matplotlib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_blobs, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetPathDisplay, BudgetSVC, BudgetSVCCV, BudgetWarning, budget_path

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture
def moons():
    return make_moons(90, noise=0.35, random_state=0)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_errors_are_those_of_models_fitted_by_hand(moons):
    X, y = moons
    search = BudgetSVCCV([0.7, 0.3, 0.5], unit="relative", gammas=[1.0, 3.0], cv=4).fit(X, y)
    display = BudgetPathDisplay.from_estimator(search, X, y)
    x, training = display.training_line_.get_data()
    np.testing.assert_array_equal(x, [0.3, 0.5, 0.7])
    models = [BudgetSVC(C=C, unit="relative", gamma=search.gamma_) for C in x]
    np.testing.assert_allclose(training, [1 - clone(model).fit(X, y).score(X, y) for model in models])
    scores = np.array([cross_val_score(model, X, y, cv=4) for model in models])
    np.testing.assert_allclose(display.validation_line_.get_ydata(), 1 - scores.mean(axis=1))
    standard_error = scores.std(axis=1, ddof=1) / np.sqrt(4)
    corners = display.band_.get_paths()[0].vertices
    at = [corners[np.isclose(corners[:, 0], C), 1] for C in x]
    np.testing.assert_allclose([values.max() - values.min() for values in at], 2 * standard_error, atol=1e-12)
    assert display.axes_[0].get_ylabel() == "error (1 - accuracy)"
    np.testing.assert_array_equal([line.get_xdata()[0] for line in display.chosen_lines_], [search.C_] * 3)


def test_margins_and_support_vectors_are_those_of_the_path(moons):
    X, y = moons
    path = budget_path(X, y, Cs=[0.3, 0.5, 0.9], gamma=1.0)
    display = BudgetPathDisplay.from_estimator(path, X, y)
    (margin,) = display.margin_lines_
    np.testing.assert_allclose(margin.get_ydata(), path.margins[::-1, 0])
    np.testing.assert_array_equal(display.support_line_.get_ydata(), path.n_support[::-1, 0])
    assert display.validation_line_ is None and display.chosen_lines_ == []


@pytest.mark.parametrize("unit", ["total", "relative", "cost"])
def test_every_unit_draws_the_same_models(moons, unit):
    X, y = moons
    search = BudgetSVCCV([0.3, 1.0, 10.0], gammas=[1.0]).fit(X, y)
    display = BudgetPathDisplay.from_estimator(search, X, y, unit=unit, quantities=["margin"])
    (line,) = display.margin_lines_
    assert (np.diff(line.get_xdata()) > 0).all()
    for C, margin in zip(*line.get_data(), strict=True):
        np.testing.assert_allclose(BudgetSVC(C=C, unit=unit, gamma=1.0).fit(X, y).margin_[0], margin, rtol=1e-5)
    assert display.training_line_ is None and len(display.axes_) == 1


def ends(span, ax):
    """Where a shaded range begins and ends."""
    return ax.transData.inverted().transform(span.get_window_extent())[:, 0]


def test_infeasible_and_trivial_ranges_are_shaded():
    X, y = make_blobs(60, centers=[[-1, 0], [1, 0]], random_state=3)
    with pytest.warns(BudgetWarning) as caught:
        path = budget_path(X, y, Cs=[1.0, 40.0, 60.0], unit="total", kernel="linear")
    assert len(caught) == 2
    display = BudgetPathDisplay.from_estimator(path, X, y)
    (least,), (largest,) = BudgetSVC(kernel="linear").feasible_budget(X, y)
    for infeasible, trivial, ax in zip(display.infeasible_spans_, display.trivial_spans_, display.axes_, strict=True):
        low, high = ax.get_xlim()
        np.testing.assert_allclose(ends(infeasible, ax), [low, least])
        np.testing.assert_allclose(ends(trivial, ax), [largest, high])
    # The constant classifier has no margin to draw.
    assert np.isnan(display.margin_lines_[0].get_ydata()[-1])
    cost = BudgetPathDisplay.from_estimator(path, X, y, unit="cost")
    assert cost.infeasible_spans_ == [] and cost.trivial_spans_ == []


def test_several_binary_problems_have_a_margin_each():
    X, y = load_iris(return_X_y=True)
    search = BudgetSVCCV([0.3, 0.5], unit="relative", gammas=["scale"], cv=3).fit(X, y)
    display = BudgetPathDisplay.from_estimator(search, X, y)
    best = search.best_estimator_
    at = list(display.Cs).index(search.C_)
    np.testing.assert_allclose([line.get_ydata()[at] for line in display.margin_lines_], best.margin_)
    assert display.support_line_.get_ydata()[at] == len(best.support_)
    least, largest = best.feasible_budget(X, y)
    assert display.infeasible_below == pytest.approx(max(least / largest)) and display.trivial_from == 1.0


def test_a_pipeline_transforms_the_samples(moons):
    X, y = moons
    pipeline = make_pipeline(StandardScaler(), BudgetSVCCV([0.3, 0.5], unit="relative", gammas=1)).fit(X, y)
    inner = BudgetPathDisplay.from_estimator(pipeline[-1], pipeline[0].transform(X), y)
    outer = BudgetPathDisplay.from_estimator(pipeline, X, y)
    np.testing.assert_array_equal(outer.training_error, inner.training_error)


def test_weights_count(moons):
    X, y = moons
    weight = np.where(X[:, 0] > 0.5, 3.0, 1.0)
    search = BudgetSVCCV([0.5, 0.7], unit="relative", gammas=[1.0]).fit(X, y, sample_weight=weight)
    display = BudgetPathDisplay.from_estimator(search, X, y, sample_weight=weight)
    at = list(display.Cs).index(search.C_)
    np.testing.assert_allclose(display.margins[at], search.margin_)


@pytest.mark.parametrize(
    "scoring, label, sign",
    [("roc_auc", "error (1 - roc_auc)", 1.0), ("neg_hinge", "hinge", 0.0), ({"a": "roc_auc"}, "error (1 - a)", 1.0)],
)
def test_the_error_is_named_after_the_score(moons, scoring, label, sign):
    X, y = moons

    def hinge(model, X, y):
        return -np.maximum(0, 1 - (2 * y - 1) * model.decision_function(X)).mean()

    hinge.__name__ = "neg_hinge"
    chosen = hinge if scoring == "neg_hinge" else scoring
    several = {"refit": "a"} if isinstance(scoring, dict) else {}
    search = BudgetSVCCV([0.3, 0.6], unit="relative", gammas=[1.0], scoring=chosen, **several).fit(X, y)
    display = BudgetPathDisplay.from_estimator(search, X, y)
    assert display.axes_[0].get_ylabel() == label
    best = display.validation_error[list(display.Cs).index(search.C_)]
    assert best == pytest.approx(sign - search.best_score_)


def test_draws_on_given_axes_and_redraws(moons):
    X, y = moons
    path = budget_path(X, y, Cs=[0.5, 0.3], gamma=1.0)
    figure, (one, two) = plt.subplots(2)
    display = BudgetPathDisplay.from_estimator(path, X, y, ax=[one, two], quantities=["support", "error"])
    assert display.axes_[0] is one and display.axes_[1] is two and display.figure_ is figure
    assert one.get_ylabel() == "support vectors" and two.get_xlabel().startswith("C, slack allowed")
    again = display.plot(training_kw={"color": "red"})
    assert again.training_line_.get_color() == "red" and again.figure_ is not figure


def test_what_cannot_be_drawn_is_said(moons):
    X, y = moons
    path = budget_path(X, y, Cs=[0.5], gamma=1.0)
    with pytest.raises(ValueError, match="got LogisticRegression"):
        BudgetPathDisplay.from_estimator(LogisticRegression().fit(X, y), X, y)
    with pytest.raises(ValueError, match="unit must be one of .* got 'euro'"):
        BudgetPathDisplay.from_estimator(path, X, y, unit="euro")
    with pytest.raises(ValueError, match=r"some of .* got \['bias'\]"):
        BudgetPathDisplay.from_estimator(path, X, y, quantities=["bias"])
    with pytest.raises(ValueError, match="an Axes for each of .* got 1"):
        BudgetPathDisplay.from_estimator(path, X, y, ax=plt.subplots()[1])
    with pytest.raises(ValueError, match="not fitted"):
        BudgetPathDisplay.from_estimator(BudgetSVCCV(), X, y)


@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
def test_of_several_problems_the_ranges_are_those_where_some_problem_makes_no_sense():
    X = np.array([0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 2.5, 2.8, 10.0])[:, None]
    y = np.repeat(["a", "b", "c"], [4, 3, 2])
    least, largest = BudgetSVC(kernel="linear").feasible_budget(X, y)
    assert len(set(least.round(6))) > 1 and len(set(largest)) > 1
    path = budget_path(X, y, Cs=[1.0, 2.0, 3.0], unit="total", kernel="linear")
    display = BudgetPathDisplay.from_estimator(path, X, y)
    assert display.infeasible_below == pytest.approx(least.max())
    assert display.trivial_from == pytest.approx(largest.min())
