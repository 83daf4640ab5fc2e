"""scikit-learn's callbacks on our estimators, alone and in what wraps them."""

import pickle
from threading import Event
from time import sleep

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, TorchMLPClassifier, TorchMLPRegressor, _callbacks
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.svm import _progress, _solving

callback = pytest.importorskip("sklearn.callback")
pytestmark = pytest.mark.filterwarnings("ignore:The training loss ended:sklearn.exceptions.ConvergenceWarning")

EVERY_EPOCH = {"max_iter": 6, "tol": 0, "n_iter_no_change": np.inf, "random_state": 0, "learning_rate_init": 0.02}
ESTIMATORS = {
    "BudgetSVC": BudgetSVC(),
    "BudgetSVCCV": BudgetSVCCV(2, gammas=1, cv=2),
    "TorchMLPClassifier": TorchMLPClassifier((4,), **EVERY_EPOCH),
    "TorchMLPRegressor": TorchMLPRegressor(hidden_layer_sizes=(4,), **EVERY_EPOCH),
    "lbfgs": TorchMLPClassifier((4,), solver="lbfgs", max_iter=30, random_state=0),
    "networks": TorchMLPClassifier((4,), n_networks=3, **EVERY_EPOCH),
}


class Recorder:
    """Notes what it is told; asks to stop at the end of the given number of subtasks."""

    def __init__(self, stop_after=np.inf):
        self.stop_after, self.told, self.models = stop_after, [], []

    def setup(self, estimator, context):
        """The fit begins."""
        self.told.append("setup")

    def teardown(self, estimator, context):
        """The fit is over."""
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        """A task begins."""
        self.told.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        """A task ends."""
        self.told.append(f"end {context.task_name}")
        self.models.append(fitted_estimator)
        return len(self.models) >= self.stop_after


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:lbfgs stopped")
def test_tasks_are_told_in_pairs_and_change_nothing(name, iris):
    recorder = Recorder()
    model = clone(ESTIMATORS[name]).set_callbacks(recorder).fit(*iris)
    assert recorder.told[:2] == ["setup", "begin fit"] and recorder.told[-2:] == ["end fit", "teardown"]
    steps = recorder.told[2:-2]
    assert [line.replace("begin", "end") for line in steps[::2]] == steps[1::2]
    plain = clone(ESTIMATORS[name]).set_callbacks().fit(*iris)
    np.testing.assert_allclose(model.predict(iris[0]), plain.predict(iris[0]), rtol=1e-9)
    np.testing.assert_array_equal(recorder.models[-1].predict(iris[0]), model.predict(iris[0]))


@pytest.mark.parametrize("name", ["TorchMLPClassifier", "TorchMLPRegressor"])
def test_each_epoch_has_a_model_of_its_own(name, iris):
    recorder, X = Recorder(), iris[0]
    model = clone(ESTIMATORS[name]).set_callbacks(recorder).fit(*iris)
    *epochs, last = recorder.models
    assert recorder.told.count("end epoch") == len(epochs) == model.n_iter_ == 6
    shorter = clone(model).set_callbacks().set_params(max_iter=2).fit(*iris)
    np.testing.assert_allclose(epochs[1].predict(X), shorter.predict(X), rtol=1e-9)
    assert epochs[1].n_iter_ == 2 and not np.array_equal(epochs[0].coefs_[0], epochs[-1].coefs_[0])


@pytest.mark.parametrize("name", ["TorchMLPClassifier", "TorchMLPRegressor", "lbfgs"])
def test_a_network_can_be_ended_early(name, iris):
    model = clone(ESTIMATORS[name]).set_callbacks(Recorder(stop_after=3)).fit(*iris)
    assert model.n_iter_ == 3
    shorter = clone(model).set_callbacks()
    if name != "lbfgs":
        np.testing.assert_allclose(
            model.predict(iris[0]), shorter.set_params(max_iter=3).fit(*iris).predict(iris[0]), rtol=1e-9
        )


def test_early_stopping_goes_back_to_the_best_epoch_so_far(iris):
    options = {**EVERY_EPOCH, "max_iter": 40, "early_stopping": True, "validation_fraction": 0.3}
    model = TorchMLPClassifier((4,), **options).set_callbacks(Recorder(stop_after=12)).fit(*iris)
    assert model.n_iter_ == 12 and model.best_validation_score_ == max(model.validation_scores_)
    best = 1 + int(np.argmax(model.validation_scores_))
    shorter = clone(model).set_callbacks().set_params(max_iter=best).fit(*iris)
    np.testing.assert_allclose(model.coefs_[0], shorter.coefs_[0], rtol=1e-9)


def test_the_net_does_not_keep_the_callbacks(iris):
    model = clone(ESTIMATORS["TorchMLPClassifier"]).set_callbacks(Recorder()).fit(*iris)
    assert model.net_.callbacks == [] and model.net_.callbacks_ == []
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(iris[0]), model.predict(iris[0]))


class Patient(Recorder):
    """Lets go of a solve once three of its subtasks have been told, the last of which asks to stop."""

    def __init__(self):
        super().__init__(stop_after=3)
        self.enough = Event()

    def on_fit_task_begin(self, estimator, context):
        """A task begins: the fourth when the stop is in force."""
        super().on_fit_task_begin(estimator, context)
        if len(self.models) >= 3:
            self.enough.set()


def test_a_long_solve_tells_of_itself_and_ends_at_its_best_point(monkeypatch):
    X, y = make_moons(200, noise=0.3, random_state=0)
    patient, solve = Patient(), _solving.solve

    def slow(problem, **limits):
        tally = Tally()
        assert patient.enough.wait(60)
        # A stop that came before the solve did reaches it with the next subtask.
        for _ in range(60_000):
            if tally.left == 0:
                break
            sleep(1e-3)
        assert tally.left == 0
        return solve(problem, **{**limits, "max_iter": 1})

    monkeypatch.setattr(_progress, "_INTERVAL", 1e-3)
    monkeypatch.setattr(_solving, "solve", slow)
    with pytest.warns(ConvergenceWarning, match="The solver stopped after"):
        model = BudgetSVC(C=60).set_callbacks(patient).fit(X, y)
    assert np.isfinite(model.decision_function(X)).all()
    assert patient.told.count("end a second of solving") >= 3


def test_a_tally_that_is_stopped_has_nothing_left():
    tally = Tally(100)
    tally.pivots, tally.most = 7, 0
    assert tally.left == 0


def test_a_search_that_is_ended_keeps_what_is_complete(iris):
    search = BudgetSVCCV(3, kernel=["linear", "rbf"], gammas=2, cv=3)
    full = clone(search).fit(*iris)
    # The fourth fold of all: the first kernel is complete, the second is not.
    ended = clone(search).set_callbacks(Recorder(stop_after=4)).fit(*iris)
    assert ended.cv_results_["params"] == full.cv_results_["params"][:3]
    np.testing.assert_array_equal(ended.cv_results_["mean_test_score"], full.cv_results_["mean_test_score"][:3])
    assert ended.kernel_ == "linear" and ended.predict(iris[0]).shape == (150,)
    # A stop before anything is complete waits for the first kernel.
    at_once = clone(search).set_callbacks(Recorder(stop_after=1)).fit(*iris)
    assert at_once.cv_results_["params"] == ended.cv_results_["params"]


@pytest.mark.parametrize("name", ["BudgetSVC", "BudgetSVCCV", "TorchMLPClassifier"])
def test_scores_are_monitored_alone_and_in_a_search_with_two_jobs(name, iris):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = clone(ESTIMATORS[name]).set_callbacks(monitor).fit(*iris)
    rows = monitor.get_logs().data
    assert rows[0]["task_name"] == "fit" and rows[0]["accuracy"] == pytest.approx(model.score(*iris))
    steps = [row["accuracy"] for row in rows if row["task_name"] == "epoch"]
    assert len(steps) == (6 if name == "TorchMLPClassifier" else 0)

    inner = callback.ScoringMonitor(scoring="accuracy")
    model = clone(ESTIMATORS[name]).set_callbacks(inner)
    pipeline = make_pipeline(StandardScaler(), model)
    grid = {f"{name.lower()}__tol": [1e-4, 1e-3] if "Budget" in name else [0, 0.0]}
    GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(*iris)
    # Two candidates on two folds, and the refit.
    assert sum(row["task_name"] == "fit" for row in inner.get_logs().data) == 5


def test_progress_bars_reach_through_searches(iris, capfd):
    pytest.importorskip("rich")
    bar = callback.ProgressBar(max_propagation_depth=None)
    pipeline = make_pipeline(StandardScaler(), clone(ESTIMATORS["TorchMLPClassifier"]))
    grid = GridSearchCV(pipeline, {"torchmlpclassifier__alpha": [0, 1]}, cv=2, n_jobs=2)
    grid.set_callbacks(bar).fit(*iris)
    assert "TorchMLPClassifier" in capfd.readouterr().out


def test_hooks_are_torn_down_after_a_failure(iris):
    recorder = Recorder()
    with pytest.raises(ValueError, match="infeasible|InfeasibleBudget|below C_min"):
        BudgetSVC(C=1e-9, kernel="linear", infeasible="raise").set_callbacks(recorder).fit(*iris)
    assert recorder.told[-1] == "teardown"


def test_the_html_picture_links_to_the_page_that_the_metadata_name(monkeypatch):
    monkeypatch.setattr(_callbacks, "documentation", lambda: "https://example.org/docs")
    for estimator in ESTIMATORS.values():
        page = f"https://example.org/docs/api/sklearn_svmdl.{type(estimator).__name__}.html"
        assert estimator._get_doc_link() == page and page in estimator._repr_html_()
    monkeypatch.setattr(_callbacks, "documentation", lambda: None)
    assert BudgetSVC()._get_doc_link() == ""
