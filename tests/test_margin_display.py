"""MarginDisplay draws what the model says."""

from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, MarginDisplay
from sklearn_svmdl._colours import of_classes
from sklearn_svmdl.inspection._within import model_within

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


KINDS = ("on the margin", "inside the margin", "on the wrong side")


@pytest.fixture
def data():
    return make_blobs(n_samples=60, centers=[[-1.5, 0], [1.5, 0]], random_state=3)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_boundary_and_margins_lie_where_the_decision_says(data):
    X, y = data
    model = BudgetSVC(C=10, kernel="linear").fit(X, y)
    display = MarginDisplay.from_estimator(model, X, y)
    ((boundary,),) = display.boundary_[0].allsegs
    np.testing.assert_allclose(model.decision_function(boundary), 0.0, atol=1e-6)
    for segments, level in zip(display.margins_.allsegs, [-1.0, 1.0], strict=True):
        np.testing.assert_allclose(model.decision_function(segments[0]), level, atol=1e-6)
    assert display.figure_ is display.ax_.figure


def ringed(display):
    """The samples with a ring, in the order of their rows."""
    rows = {tuple(point): row for row, point in enumerate(display.X)}
    points = np.concatenate([ring.get_offsets() for ring in display.support_rings_.values()])
    return sorted(rows[tuple(point)] for point in points)


def test_support_vectors_are_ringed_and_mistakes_crossed(data):
    X, y = data
    model = BudgetSVC(C=10, kernel="linear").fit(X, y)
    display = MarginDisplay.from_estimator(model, X, y)
    assert ringed(display) == list(model.support_)
    wrong = X[model.predict(X) != y]
    assert len(wrong) > 0
    np.testing.assert_allclose(display.mistakes_.get_offsets(), wrong)


def test_kinds_of_support_vectors_are_told_apart_by_their_slack(data):
    X, y = data
    model = BudgetSVC(C=10, kernel="linear").fit(X, y)
    rings = MarginDisplay.from_estimator(model, X, y).support_rings_
    slack = model.slack_[0]
    distance = np.abs(model.decision_function(X))
    on, inside, wrong = (rings[f"support vectors {kind}"].get_offsets() for kind in KINDS)
    assert min(map(len, (on, inside, wrong))) > 0
    np.testing.assert_allclose(np.abs(model.decision_function(on)), 1.0, atol=1e-3)
    np.testing.assert_allclose(inside, X[(slack > 0.01) & (slack <= 1)])
    assert distance[(slack > 0.01) & (slack <= 1)].max() < 1
    np.testing.assert_allclose(wrong, X[model.predict(X) != y])
    styles = {(ring.get_linestyle()[0][1] is None, ring.get_linewidths()[0]) for ring in rings.values()}
    assert len({str(ring.get_linestyle()) for ring in rings.values()}) == 3 and len(styles) > 1


def test_slack_is_written_beside_the_samples_that_have_some(data):
    X, y = data
    model = BudgetSVC(C=10, kernel="linear").fit(X, y)
    display = MarginDisplay.from_estimator(model, X, y, include_slack=True)
    told = {tuple(text.xy): float(text.get_text()) for text in display.slack_texts_}
    slack = model.slack_[0]
    assert set(told) == set(map(tuple, X[slack > 0.01]))
    np.testing.assert_allclose([told[tuple(x)] for x in X[slack > 0.01]], slack[slack > 0.01], rtol=0.06)
    assert MarginDisplay.from_estimator(model, X, y).slack_texts_ == []


def test_the_legend_is_outside_of_the_data(data):
    X, y = data
    display = MarginDisplay.from_estimator(BudgetSVC(C=10).fit(X, y), X, y)
    display.figure_.draw_without_rendering()
    assert display.ax_.get_legend().get_window_extent().x0 >= display.ax_.get_window_extent().x1


def test_draws_on_given_axes_and_names_features(data):
    X, y = data
    X = pd.DataFrame(X, columns=["width", "height"])
    model = make_pipeline(StandardScaler(), BudgetSVC(C=10)).fit(X, y)
    _, ax = plt.subplots()
    display = MarginDisplay.from_estimator(model, X, y, ax=ax)
    assert display.ax_ is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("width", "height")
    assert ringed(display) == list(model[-1].support_)
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == ["0", "1"]


def test_other_samples_have_no_rings(data):
    X, y = data
    model = BudgetSVC(C=10).fit(X, y)
    assert ringed(MarginDisplay.from_estimator(model, X[:20], y[:20])) == []
    assert ringed(MarginDisplay.from_estimator(model, X[:20], y[:20], support_vectors=[3, 4])) == [3, 4]


def test_legend_names_what_there_is(data):
    X, y = data
    separable = X[np.abs(X[:, 0]) > 1.0], (X[:, 0] > 0)[np.abs(X[:, 0]) > 1.0]
    model = BudgetSVC(C=0, kernel="linear").fit(*separable)
    display = MarginDisplay.from_estimator(model, *separable)
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["False", "True", "support vectors on the margin"]


def test_other_classifiers_can_be_drawn(data):
    X, y = data
    model = SVC(kernel="linear").fit(X, y)
    display = MarginDisplay.from_estimator(model, X, y, support_vectors=model.support_)
    assert ringed(display) == sorted(model.support_)


def test_constant_classifier_has_no_boundary_to_draw(data):
    X, y = data
    with pytest.warns(UserWarning, match="classifier of infinite margin"):
        model = BudgetSVC(C=100).fit(X, y)
    display = MarginDisplay.from_estimator(model, X, y)
    assert display.boundary_ == [] and display.margins_ is None


def test_what_cannot_be_drawn_is_said(data):
    X, y = data
    with pytest.raises(ValueError, match="draws 2 features, but X has 3"):
        X3 = np.column_stack([X, X[:, 0]])
        MarginDisplay.from_estimator(BudgetSVC(C=10).fit(X3, y), X3, y)
    with pytest.raises(ValueError, match="set it to 'ovr'"):
        y3 = np.where(X[:, 1] > 1, 2, y)
        MarginDisplay.from_estimator(BudgetSVC(decision_function_shape="ovo").fit(X, y3), X, y3)
    with pytest.raises(ValueError, match="one colour for each of 2 classes, got 3"):
        MarginDisplay.from_estimator(BudgetSVC(C=10).fit(X, y), X, y, colors=["red", "green", "blue"])
    with pytest.raises(ValueError, match="classifiers with a decision_function, got DecisionTreeClassifier"):
        MarginDisplay.from_estimator(DecisionTreeClassifier().fit(X, y), X, y)
    with pytest.raises(ValueError, match=r"not fitted on: \[5\]"):
        MarginDisplay.from_estimator(BudgetSVC(C=10).fit(X, y), X, np.where(y == 1, 5, y))


# More than two classes, and whatever wraps a model or holds samples


@pytest.fixture
def three():
    return make_blobs(n_samples=90, centers=[[-2, 0], [2, 0], [0, 3]], random_state=1)


@pytest.mark.parametrize("scheme", ["ovo", "ovr"])
def test_several_classes_part_where_the_winner_changes(three, scheme):
    X, y = three
    model = BudgetSVC(C=1, unit="cost", multi_class=scheme).fit(X, np.array(["a", "b", "c"])[y])
    display = MarginDisplay.from_estimator(model, X, np.array(["a", "b", "c"])[y], grid_resolution=150)
    assert len(display.boundary_) == 3 and display.margins_ is None
    step = np.array([display.xx0[0, 1] - display.xx0[0, 0], display.xx1[1, 0] - display.xx1[0, 0]])
    for number, lines in enumerate(display.boundary_):
        points = np.concatenate(lines.allsegs[0])
        shifts = np.random.RandomState(0).uniform(-1.5, 1.5, (30, 2))
        around = [model.predict(points + step * shift) for shift in shifts]
        # Beside the boundary of a class are this class and another.
        own = np.array(around) == model.classes_[number]
        assert np.mean(own.any(axis=0) & (~own).any(axis=0)) > 0.99
    wrong = X[model.predict(X) != np.array(["a", "b", "c"])[y]]
    np.testing.assert_allclose(display.mistakes_.get_offsets(), wrong)
    assert list(display.support_rings_) == ["support vectors"] and ringed(display) == list(model.support_)
    with pytest.raises(ValueError, match="include_slack=True needs two classes"):
        display.plot(include_slack=True)
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()][:3] == ["a", "b", "c"]


WRAPPERS = {
    "model": lambda model: model,
    "pipeline": lambda model: make_pipeline(StandardScaler(), model),
    "search": lambda model: GridSearchCV(model, {"C": [5, 10]}, cv=2),
    "search of a pipeline": lambda model: GridSearchCV(
        make_pipeline(StandardScaler(), model), {"budgetsvc__C": [5, 10]}, cv=2
    ),
    "pipeline of a search": lambda model: make_pipeline(StandardScaler(), GridSearchCV(model, {"C": [5, 10]}, cv=2)),
    "own search": lambda model: BudgetSVCCV(Cs=[0.3, 0.4], gammas=1, cv=2),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("form", ["list", "pandas", "polars"])
def test_samples_and_models_come_in_many_forms(data, wrapper, form):
    X, y = data
    given, labels = X, y
    if form == "list":
        given, labels = X.tolist(), y.tolist()
    if form == "pandas":
        given, labels = pd.DataFrame(X, columns=["a", "b"]), pd.Series(y)
    if form == "polars":
        polars = pytest.importorskip("polars")
        given, labels = polars.DataFrame({"a": X[:, 0], "b": X[:, 1]}), polars.Series(y)
    model = WRAPPERS[wrapper](BudgetSVC(C=10)).fit(given, labels)
    display = MarginDisplay.from_estimator(model, given, labels, grid_resolution=20)
    plain = WRAPPERS[wrapper](BudgetSVC(C=10)).fit(X, y)
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    np.testing.assert_allclose(display.decision.ravel(), plain.decision_function(grid), atol=1e-9)
    assert ringed(display) == list(model_within(model).support_)
    assert display.feature_names == (None if form == "list" else ["a", "b"])


def test_axes_have_the_same_scale_unless_asked_otherwise(data):
    X, y = data
    model = BudgetSVC(C=10).fit(X, y)
    assert MarginDisplay.from_estimator(model, X, y).ax_.get_aspect() == 1.0
    assert MarginDisplay.from_estimator(model, X, y, aspect="auto").ax_.get_aspect() == "auto"


def test_every_part_takes_a_style(data):
    X, y = data
    model = BudgetSVC(C=10, kernel="linear").fit(X, y)
    display = MarginDisplay.from_estimator(
        model,
        X,
        y,
        colors=["#111111", "#222222"],
        boundary_kw={"linewidths": 5.0},
        margins_kw={"colors": "red"},
        samples_kw={"s": 3.0},
        support_kw={"edgecolors": "blue"},
        mistakes_kw={"marker": "+"},
        regions_kw={"alpha": 0.5},
    )
    rgba = matplotlib.colors.to_rgba
    assert display.boundary_[0].get_linewidths() == [5.0]
    assert tuple(display.margins_.get_edgecolors()[0]) == rgba("red")
    assert {tuple(ring.get_edgecolors()[0]) for ring in display.support_rings_.values()} == {rgba("blue")}
    for samples, color in zip(display.samples_, ["#111111", "#222222"], strict=True):
        assert samples.get_sizes() == [3.0] and tuple(samples.get_facecolors()[0]) == rgba(color)
    # plot() again, plainly, knows nothing of the styles before.
    assert display.plot().boundary_[0].get_linewidths() != [5.0]


def test_classes_differ_in_colour_for_any_eye_and_in_marker():
    looks = of_classes(8)
    assert len(set(looks)) == 8 and len({marker for _, marker in looks}) == 8
    # Lightness by the formula for relative luminance: neighbours differ without any hue.
    light = [np.dot(np.power(matplotlib.colors.to_rgb(color), 2.2), [0.2126, 0.7152, 0.0722]) for color, _ in looks[:3]]
    assert min(abs(a - b) for a, b in combinations(light, 2)) > 0.05
