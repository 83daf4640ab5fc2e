"""MarginDisplay draws what the model says."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sklearn_svmdl import BudgetSVC, MarginDisplay

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


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
    (boundary,) = display.boundary_.allsegs[0]
    np.testing.assert_allclose(model.decision_function(boundary), 0.0, atol=1e-6)
    for segments, level in zip(display.margins_.allsegs, [-1.0, 1.0], strict=True):
        np.testing.assert_allclose(model.decision_function(segments[0]), level, atol=1e-6)
    assert display.figure_ is display.ax_.figure


def test_support_vectors_are_ringed_and_mistakes_crossed(data):
    X, y = data
    model = BudgetSVC(C=10, kernel="linear").fit(X, y)
    display = MarginDisplay.from_estimator(model, X, y)
    np.testing.assert_allclose(display.support_ring_.get_offsets(), model.support_vectors_)
    wrong = X[model.predict(X) != y]
    assert len(wrong) > 0
    np.testing.assert_allclose(display.mistakes_.get_offsets(), wrong)


def test_draws_on_given_axes_and_names_features(data):
    X, y = data
    X = pd.DataFrame(X, columns=["width", "height"])
    model = make_pipeline(StandardScaler(), BudgetSVC(C=10)).fit(X, y)
    _, ax = plt.subplots()
    display = MarginDisplay.from_estimator(model, X, y, ax=ax)
    assert display.ax_ is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("width", "height")
    assert len(display.support_ring_.get_offsets()) == len(model[-1].support_)
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == ["0", "1"]


def test_other_samples_have_no_rings(data):
    X, y = data
    model = BudgetSVC(C=10).fit(X, y)
    assert len(MarginDisplay.from_estimator(model, X[:20], y[:20]).support_ring_.get_offsets()) == 0
    ringed = MarginDisplay.from_estimator(model, X[:20], y[:20], support_vectors=[3, 4])
    np.testing.assert_allclose(ringed.support_ring_.get_offsets(), X[[3, 4]])


def test_legend_names_what_there_is(data):
    X, y = data
    separable = X[np.abs(X[:, 0]) > 1.0], (X[:, 0] > 0)[np.abs(X[:, 0]) > 1.0]
    model = BudgetSVC(C=0, kernel="linear").fit(*separable)
    display = MarginDisplay.from_estimator(model, *separable)
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["False", "True", "support vectors"]


def test_other_classifiers_can_be_drawn(data):
    X, y = data
    model = SVC(kernel="linear").fit(X, y)
    display = MarginDisplay.from_estimator(model, X, y, support_vectors=model.support_)
    assert len(display.support_ring_.get_offsets()) == len(model.support_)


def test_constant_classifier_has_no_boundary_to_draw(data):
    X, y = data
    with pytest.warns(UserWarning, match="classifier of infinite margin"):
        model = BudgetSVC(C=100).fit(X, y)
    display = MarginDisplay.from_estimator(model, X, y)
    assert display.boundary_ is None and display.margins_ is None


def test_what_cannot_be_drawn_is_said(data):
    X, y = data
    with pytest.raises(ValueError, match="draws 2 features, but X has 3"):
        X3 = np.column_stack([X, X[:, 0]])
        MarginDisplay.from_estimator(BudgetSVC(C=10).fit(X3, y), X3, y)
    with pytest.raises(ValueError, match="estimator has 3 classes"):
        y3 = np.where(X[:, 1] > 1, 2, y)
        MarginDisplay.from_estimator(BudgetSVC(C=0.2, unit="relative").fit(X, y3), X, y3)
    with pytest.raises(ValueError, match="classifiers with a decision_function, got DecisionTreeClassifier"):
        MarginDisplay.from_estimator(DecisionTreeClassifier().fit(X, y), X, y)
    with pytest.raises(ValueError, match=r"not fitted on: \[5\]"):
        MarginDisplay.from_estimator(BudgetSVC(C=10).fit(X, y), X, np.where(y == 1, 5, y))
