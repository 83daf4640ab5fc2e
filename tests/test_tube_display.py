"""TubeDisplay draws what the model says: its function, tube, support vectors and slack."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_svmdl import BudgetSVC, BudgetSVR, BudgetSVRCV, TubeDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def sine():
    random = np.random.RandomState(0)
    X = random.uniform(0, 6, (60, 1))
    return X, np.sin(X[:, 0]) + 0.2 * random.randn(60)


def test_every_part_is_what_the_model_says(sine):
    X, y = sine
    model = BudgetSVR(C=2.0, epsilon=0.2).fit(X, y)
    display = TubeDisplay.from_estimator(model, X, y)
    x, f = display.function_.get_data()
    assert_allclose(f, model.predict(x[:, None]))
    assert x.min() < X.min() and x.max() > X.max()
    assert_allclose(display.support_ring_.get_offsets(), np.column_stack([X[:, 0], y])[model.support_])
    lengths = [abs(end[1] - start[1]) for start, end in display.slack_.get_segments()]
    assert sum(lengths) == pytest.approx(model.slack_.sum(), rel=1e-6)
    edges = display.tube_.get_paths()[0].vertices
    assert np.ptp(edges[:, 1]) == pytest.approx(np.ptp(f) + 0.4)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["tube", "f", "slack", "samples", "support vectors"]


def test_within_pipelines_and_searches_and_of_scikit_learns_svr(sine):
    X, y = sine
    for model in (
        make_pipeline(StandardScaler(), BudgetSVR()).fit(X, y),
        BudgetSVRCV(2, gammas=1, cv=2).fit(X, y),
        SVR().fit(X, y),
    ):
        display = TubeDisplay.from_estimator(model, X, y)
        assert len(display.support_ring_.get_offsets()) > 0
        assert_allclose(display.predicted, model.predict(X))
    # Of samples that it was not fitted on none supports it.
    display = TubeDisplay.from_estimator(model, X[:7], y[:7])
    assert len(display.support_ring_.get_offsets()) == 0


def test_data_frames_name_the_axis_and_styles_reach_the_parts(sine):
    pandas = pytest.importorskip("pandas")
    frame, (figure, ax) = pandas.DataFrame({"hour": sine[0][:, 0]}), plt.subplots()
    model = BudgetSVR().fit(frame, sine[1])
    display = TubeDisplay.from_estimator(model, frame, sine[1], ax=ax, function_kw={"linewidth": 3.0})
    assert display.ax_ is ax and display.figure_ is figure
    assert ax.get_xlabel() == "hour" and display.function_.get_linewidth() == 3.0


def test_what_cannot_be_drawn_is_refused(sine):
    X, y = sine
    with pytest.raises(ValueError, match="got LinearRegression"):
        TubeDisplay.from_estimator(LinearRegression().fit(X, y), X, y)
    with pytest.raises(ValueError, match="got BudgetSVC"):
        TubeDisplay.from_estimator(BudgetSVC().fit(X, y > 0), X, y)
    wide = np.hstack([X, X])
    with pytest.raises(ValueError, match="X has 2; choose one column"):
        TubeDisplay.from_estimator(BudgetSVR().fit(wide, y), wide, y)
