"""TrainingHistoryDisplay draws the history of networks."""

import sys

import matplotlib
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import (
    BudgetPathDisplay,
    MarginDisplay,
    TorchMLPClassifier,
    TorchMLPRegressor,
    TrainingHistoryDisplay,
)

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")
pytestmark = pytest.mark.filterwarnings("ignore:The training loss ended:sklearn.exceptions.ConvergenceWarning")

EVERY_EPOCH = {"max_iter": 6, "tol": 0, "n_iter_no_change": np.inf, "random_state": 0}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="module")
def watched(iris):
    return TorchMLPClassifier((8,), monitor_validation=True, **EVERY_EPOCH).fit(*iris)


def test_the_lines_are_the_history(watched):
    display = TrainingHistoryDisplay.from_estimator(watched)
    name = "TorchMLPClassifier"
    for quantity in ("loss", "accuracy"):
        for lines, column in [(display.training_lines_, quantity), (display.validation_lines_, f"val_{quantity}")]:
            x, values = lines[quantity, name].get_data()
            np.testing.assert_array_equal(x, [1, 2, 3, 4, 5, 6])
            np.testing.assert_array_equal(values, [row[column] for row in watched.history_])
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "accuracy"]
    assert display.best_epoch_lines_ == []


def test_several_networks_are_drawn_together(iris, watched):
    plain = make_pipeline(StandardScaler(), TorchMLPClassifier((4,), **EVERY_EPOCH)).fit(*iris)
    display = TrainingHistoryDisplay.from_estimator(watched, plain, names=["wide", "narrow"])
    assert set(display.training_lines_) == {(q, n) for q in ("loss", "accuracy") for n in ("wide", "narrow")}
    assert set(display.validation_lines_) == {("loss", "wide"), ("accuracy", "wide")}
    wide, narrow = (display.training_lines_["loss", name] for name in ("wide", "narrow"))
    assert wide.get_color() != narrow.get_color()
    held_out = display.validation_lines_["loss", "wide"]
    assert held_out.get_color() == wide.get_color() and held_out.get_linestyle() != wide.get_linestyle()
    assert list(TrainingHistoryDisplay.from_estimator(watched, plain).histories) == [
        "TorchMLPClassifier 1",
        "TorchMLPClassifier 2",
    ]


def test_the_epoch_that_early_stopping_went_back_to_is_marked(iris):
    options = {**EVERY_EPOCH, "n_iter_no_change": 3, "max_iter": 200}
    network = TorchMLPClassifier((8,), early_stopping=True, learning_rate_init=0.02, **options).fit(*iris)
    display = TrainingHistoryDisplay.from_estimator(network, names=["net"])
    epoch = display.best_epochs["net"]
    assert 1 <= epoch < len(network.history_)
    assert network.history_[epoch - 1]["val_accuracy"] == network.best_validation_score_
    # Of several that are as good the first: its weights were kept.
    scores = network.validation_scores_
    assert scores.count(max(scores)) > 1 and epoch == 1 + scores.index(max(scores))
    assert [line.get_xdata()[0] for line in display.best_epoch_lines_] == [epoch, epoch]


def test_a_regressor_scores_by_r2_and_quantities_can_be_chosen():
    X, y = load_diabetes(return_X_y=True)
    network = TorchMLPRegressor(hidden_layer_sizes=(4,), **EVERY_EPOCH).fit(X, y)
    assert [ax.get_ylabel() for ax in TrainingHistoryDisplay.from_estimator(network).axes_] == ["loss", "R²"]
    _, ax = plt.subplots()
    display = TrainingHistoryDisplay.from_estimator(network, ax=ax, quantities=["lr"], training_kw={"color": "red"})
    (line,) = display.training_lines_.values()
    assert display.axes_[0] is ax and line.get_color() == "red"


def test_what_cannot_be_drawn_is_said(iris, watched):
    with pytest.raises(ValueError, match="got LogisticRegression"):
        TrainingHistoryDisplay.from_estimator(LogisticRegression().fit(*iris))
    with pytest.raises(ValueError, match="2 different names, got"):
        TrainingHistoryDisplay.from_estimator(watched, watched, names=["one", "one"])
    with pytest.raises(ValueError, match=r"columns of the histories, .*; got \['f1'\]"):
        TrainingHistoryDisplay.from_estimator(watched, quantities=["f1"])
    with pytest.raises(ValueError, match="an Axes for each of .* got 1"):
        TrainingHistoryDisplay.from_estimator(watched, ax=plt.subplots()[1])


@pytest.mark.parametrize("display", [MarginDisplay, BudgetPathDisplay, TrainingHistoryDisplay])
def test_without_matplotlib_every_display_says_how_to_get_it(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    data = [] if display is TrainingHistoryDisplay else [[[0.0, 1.0]], [0]]
    with pytest.raises(ImportError, match="requires matplotlib. You can install matplotlib with"):
        display.from_estimator(None, *data)
