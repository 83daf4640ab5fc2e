"""scikit-learn's callbacks on our estimators, alone and in what wraps them."""

import pickle
from time import sleep

import joblib
import numpy as np
import pytest
from names import name_of
from sklearn.base import clone
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EpochTimer

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
    "networks by lbfgs": TorchMLPRegressor(
        hidden_layer_sizes=(4,), n_networks=2, solver="lbfgs", max_iter=30, random_state=0
    ),
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


@pytest.mark.parametrize("name", ["TorchMLPClassifier", "TorchMLPRegressor", "networks"])
def test_each_epoch_has_a_model_of_its_own(name, iris):
    recorder, X = Recorder(), iris[0]
    model = clone(ESTIMATORS[name]).set_callbacks(recorder).fit(*iris)
    *epochs, last = recorder.models
    assert recorder.told.count("end epoch") == len(epochs) == model.n_iter_ == 6
    shorter = clone(model).set_callbacks().set_params(max_iter=2).fit(*iris)
    np.testing.assert_allclose(epochs[1].predict(X), shorter.predict(X), rtol=1e-9)
    assert epochs[1].n_iter_ == 2 and not np.array_equal(epochs[0].coefs_[0], epochs[-1].coefs_[0])


@pytest.mark.parametrize("name", ["TorchMLPClassifier", "TorchMLPRegressor", "lbfgs", "networks", "networks by lbfgs"])
@pytest.mark.filterwarnings("ignore:lbfgs stopped")
def test_a_network_can_be_ended_early(name, iris):
    model = clone(ESTIMATORS[name]).set_callbacks(Recorder(stop_after=3)).fit(*iris)
    shorter = clone(model).set_callbacks().set_params(max_iter=3).fit(*iris)
    assert model.n_iter_ == shorter.n_iter_ == 3
    for ours, theirs in zip(model.coefs_, shorter.coefs_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    np.testing.assert_allclose(model.predict(iris[0]), shorter.predict(iris[0]), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:lbfgs stopped")
def test_each_iteration_of_lbfgs_has_a_model_once_every_network_has_begun(iris):
    X, y = iris
    recorder = Recorder()
    model = clone(ESTIMATORS["networks by lbfgs"]).set_callbacks(recorder).fit(X, y)
    alone = clone(ESTIMATORS["networks by lbfgs"]).set_params(max_iter=4).fit(X, y)
    *models, _ = recorder.models
    begun = [each is not None for each in models]
    first = begun.index(True)
    assert not any(begun[:first]) and all(begun[first:]) and first <= 30
    # The first network is done, the second has taken four iterations.
    np.testing.assert_allclose(models[first + 3].coefs_[0][0], model.coefs_[0][0], rtol=1e-9)
    np.testing.assert_allclose(models[first + 3].coefs_[0][1], alone.coefs_[0][1], rtol=1e-9)
    assert np.isfinite([each.loss_ for each in models[first:]]).all()


@pytest.mark.filterwarnings("ignore:lbfgs stopped")
def test_networks_by_lbfgs_take_no_more_iterations_than_the_one_that_was_ended(iris):
    several = clone(ESTIMATORS["networks by lbfgs"]).set_params(n_networks=3, dtype="float64")
    recorder = Recorder()
    full = clone(several).set_callbacks(recorder).fit(*iris)
    of_each = clone(several).set_params(n_networks=1).set_callbacks(once := Recorder()).fit(*iris)
    taken = once.told.count("end epoch")
    ended = clone(several).set_callbacks(Recorder(stop_after=taken + 5)).fit(*iris)
    short = clone(several).set_params(max_iter=5).fit(*iris)
    np.testing.assert_allclose(ended.coefs_[0][0], full.coefs_[0][0], rtol=1e-9)
    np.testing.assert_allclose(ended.coefs_[0][0], of_each.coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(ended.coefs_[0][1:], short.coefs_[0][1:], rtol=1e-9)


@pytest.mark.parametrize("n_networks", [1, 3])
def test_early_stopping_goes_back_to_the_best_epoch_so_far(n_networks, iris):
    options = {**EVERY_EPOCH, "max_iter": 40, "early_stopping": True, "validation_fraction": 0.3}
    model = TorchMLPClassifier((4,), n_networks=n_networks, **options)
    ended = clone(model).set_callbacks(Recorder(stop_after=12)).fit(*iris)
    assert ended.n_iter_ == 12
    shorter = clone(model).set_params(max_iter=12).fit(*iris)
    np.testing.assert_allclose(ended.coefs_[0], shorter.coefs_[0], rtol=1e-9)
    # So does the model that callbacks get of this epoch, though the training goes on.
    recorder = Recorder()
    longer = clone(model).set_callbacks(recorder).fit(*iris)
    so_far = recorder.models[11]
    np.testing.assert_allclose(so_far.coefs_[0], ended.coefs_[0], rtol=1e-9)
    assert so_far.best_validation_score_ == ended.best_validation_score_ and longer.n_iter_ == 40
    if n_networks == 1:
        best = 1 + int(np.argmax(ended.validation_scores_))
        first = clone(model).set_params(max_iter=best, early_stopping=False, monitor_validation=True).fit(*iris)
        np.testing.assert_allclose(ended.coefs_[0], first.coefs_[0], rtol=1e-9)


def test_a_warm_start_from_a_model_of_an_epoch_goes_on_from_there(iris):
    recorder = Recorder()
    model = TorchMLPClassifier((4,), solver="sgd", momentum=0, warm_start=True, shuffle=False, **EVERY_EPOCH)
    model.set_callbacks(recorder).fit(*iris)
    so_far = recorder.models[2].set_callbacks()
    assert so_far.n_iter_ == 3 and len(so_far.loss_curve_) == 3 and so_far.loss_ == so_far.loss_curve_[-1]
    np.testing.assert_allclose(so_far.set_params(max_iter=3).fit(*iris).coefs_[0], model.coefs_[0], rtol=1e-9)


@pytest.mark.parametrize(
    "parameters", [{}, {"callbacks": [EpochTimer()]}, {"n_networks": 2}, {"solver": "lbfgs"}], ids=name_of
)
def test_ctrl_c_within_a_callback_ends_the_fit_as_elsewhere(parameters, iris):
    class Interrupted(Recorder):
        """Is interrupted at the end of the third epoch."""

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            """A task ends."""
            if context.task_name == "epoch" and context.task_id == 2:
                raise KeyboardInterrupt

    model = TorchMLPClassifier((4,), **EVERY_EPOCH).set_params(**parameters).set_callbacks(Interrupted())
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert model.fit(*iris).n_iter_ == 3


def test_the_net_does_not_keep_the_callbacks(iris):
    model = clone(ESTIMATORS["TorchMLPClassifier"]).set_callbacks(Recorder()).fit(*iris)
    assert model.net_.callbacks == [] and model.net_.callbacks_ == [] and model.net_.run_ is None
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(iris[0]), model.predict(iris[0]))


def held(solve):
    """`solve`, begun and let go of once it has been stopped."""

    def slow(problem, **limits):
        tally = Tally()
        for _ in range(60_000):
            if tally.left == 0:
                return solve(problem, **limits)
            sleep(1e-3)
        raise AssertionError("Nobody stops this solve.")

    return slow


@pytest.fixture
def hold(monkeypatch):
    """Hold every solve until a stop; callbacks are told of each thousandth of a second. None is of many problems."""
    monkeypatch.setattr(_progress, "_INTERVAL", 1e-3)
    monkeypatch.setattr(_solving, "solve_many", lambda stack, **limits: [None] * len(stack))
    for module in (_solving, _progress):
        monkeypatch.setattr(module, "solve", held(module.solve))


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_solves_end_at_their_best_point_in_every_thread(n_classes, n_jobs, verbose, hold):
    X, y = make_blobs(300, centers=n_classes, random_state=0)
    recorder = Recorder(stop_after=3)
    model = BudgetSVC(C=20, unit="total", n_jobs=n_jobs, verbose=verbose).set_callbacks(recorder)
    with pytest.warns(ConvergenceWarning, match=r"A callback stopped the solver before it reached tol=0\.001"):
        model.fit(X, y)
    assert np.sum(model.n_iter_) == 0 and recorder.told.count("end a second of solving") >= 3
    # Where the duals begin is a model already: along the difference of the means.
    assert model.score(X, y) > (0.9 if n_classes == 2 else 0.7)


def test_solves_in_other_processes_are_not_stopped_but_end(iris):
    model, recorder = BudgetSVC(n_jobs=2, solver="smo"), Recorder()
    with joblib.parallel_config("loky"):
        stopped = clone(model).set_callbacks(recorder).fit(*iris)
    np.testing.assert_array_equal(stopped.n_iter_, clone(model).fit(*iris).n_iter_)
    assert recorder.told[-1] == "teardown"


class Failing(Recorder):
    """Fails at the end of the first subtask."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        """A task ends."""
        super().on_fit_task_end(estimator, context)
        if len(self.models) == 1:
            raise LookupError("of the callback's own")


def test_an_error_of_a_callback_is_the_fits(hold, iris):
    failing = Failing()
    model = BudgetSVC(C=20, unit="total").set_callbacks(failing)
    with pytest.raises(LookupError, match="of the callback's own"):
        model.fit(*iris)
    assert not hasattr(model, "n_iter_") and failing.told[-1] == "teardown"


def test_a_tally_that_is_stopped_has_nothing_left():
    tally = Tally(100)
    tally.pivots, tally.most = 7, 0
    assert tally.left == 0


def test_a_refit_can_be_ended_early(hold, iris):
    recorder = Recorder(stop_after=3)
    search = BudgetSVCCV([20], unit="total", kernel="linear", cv=2).set_callbacks(recorder)
    # The two folds are complete and the refit is not.
    with pytest.warns(ConvergenceWarning, match="A callback stopped the solver"):
        search.fit(*iris)
    assert recorder.told.count("end kernel and fold") == 2
    assert np.sum(search.best_estimator_.n_iter_) == 0 and search.score(*iris) > 0.6


def test_a_search_that_is_ended_keeps_what_is_complete(iris):
    search = BudgetSVCCV(3, unit="relative", kernel=["linear", "rbf"], gammas=2, cv=3)
    full = clone(search).fit(*iris)
    # The fourth fold of all: the first kernel is complete, the second is not.
    ended = clone(search).set_callbacks(Recorder(stop_after=4)).fit(*iris)
    assert ended.cv_results_["params"] == full.cv_results_["params"][:3]
    np.testing.assert_array_equal(ended.cv_results_["mean_test_score"], full.cv_results_["mean_test_score"][:3])
    assert ended.kernel_ == "linear" and ended.predict(iris[0]).shape == (150,)
    # A stop before anything is complete waits for the first kernel.
    at_once = clone(search).set_callbacks(Recorder(stop_after=1)).fit(*iris)
    assert at_once.cv_results_["params"] == ended.cv_results_["params"]


def test_a_search_that_solves_its_folds_together_is_ended_between_kernels(iris):
    search = BudgetSVCCV(3, kernel="rbf", gammas=3, cv=3)
    full = clone(search).fit(*iris)
    ended = clone(search).set_callbacks(Recorder(stop_after=2)).fit(*iris)
    gammas = {params["gamma"] for params in ended.cv_results_["params"]}
    complete = [params["gamma"] in gammas for params in full.cv_results_["params"]]
    assert len(gammas) == 2 and len(ended.cv_results_["params"]) == sum(complete) == 6
    np.testing.assert_array_equal(ended.cv_results_["mean_test_score"], full.cv_results_["mean_test_score"][complete])


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_search_with_two_jobs_begins_no_more_once_it_is_ended(backend, iris):
    # A hundred kernels: far more than two workers have under way at a time, in batches of joblib's choice.
    gammas = np.logspace(-2, 0, 100)
    search = BudgetSVCCV([0.2, 0.4], kernel="rbf", gammas=gammas, cv=2, n_jobs=2)
    with joblib.parallel_config(backend):
        ended = clone(search).set_callbacks(Recorder(stop_after=1)).fit(*iris)
    done = len(ended.cv_results_["params"])
    full = clone(search).set_params(gammas=gammas[: done // 2], n_jobs=1).fit(*iris)
    assert 2 <= done < 200 and full.cv_results_["params"] == ended.cv_results_["params"]
    np.testing.assert_array_equal(ended.cv_results_["mean_test_score"], full.cv_results_["mean_test_score"])


def length_of_fit(model, X, y):
    """As a score: how many epochs the last step of a pipeline took, or how many candidates it looked at."""
    last = model[-1]
    return len(last.cv_results_["params"]) if hasattr(last, "cv_results_") else last.n_iter_


@pytest.mark.parametrize(
    "name, parameter, length",
    [
        ("TorchMLPClassifier", "alpha", 3),
        ("TorchMLPRegressor", "alpha", 3),
        ("lbfgs", "alpha", 3),
        ("networks", "alpha", 3),
        ("networks by lbfgs", "alpha", 3),
        # The Cs of the first three of four kernels: the folds of one are solved together.
        ("BudgetSVCCV", "tol", 6),
    ],
)
def test_fits_are_ended_within_a_pipeline_in_a_search_with_two_jobs(name, parameter, length, iris):
    model = clone(ESTIMATORS[name])
    if name == "BudgetSVCCV":
        model.set_params(gammas=4)
    pipeline = make_pipeline(StandardScaler(), model.set_callbacks(Recorder(stop_after=3)))
    grid = {f"{type(model).__name__.lower()}__{parameter}": [1e-3, 1e-2]}
    search = GridSearchCV(pipeline, grid, scoring=length_of_fit, cv=2, n_jobs=2).fit(*iris)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], [length, length])
    assert search.score(*iris) == length and search.predict(iris[0]).shape == (150,)


def test_solves_are_ended_within_a_pipeline_in_a_search_with_two_jobs(hold):
    X, y = make_blobs(300, centers=3, random_state=0)

    def taken(model, X, y):
        """As a score: the iterations."""
        return np.sum(model[-1].n_iter_)

    model = BudgetSVC(unit="total", n_jobs=2).set_callbacks(Recorder(stop_after=3))
    grid = {"budgetsvc__C": [10, 20]}
    search = GridSearchCV(make_pipeline(StandardScaler(), model), grid, scoring=taken, cv=2, n_jobs=2)
    # Other processes would not hold their solves.
    with joblib.parallel_config("threading"), pytest.warns(ConvergenceWarning, match="A callback stopped the solver"):
        search.fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], [0, 0])


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
