"""Models that are stored and loaded: by pickle, by skops, those of every version."""

import pickle
import pickletools
from copy import deepcopy

import model_files
import numpy as np
import pytest
import skops.io
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import f1_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import sklearn_svmdl
from sklearn_svmdl import BudgetSVC, BudgetSVCCV, TorchMLPClassifier, TorchMLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # A file of another version of scikit-learn says so.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning"),
]
QUICK = {"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 0, "tol": 0, "n_iter_no_change": np.inf}


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


class Listener(Callback):
    """Keeps something."""

    def on_train_end(self, net, **kwargs):
        self.ended_ = True


class Normed(torch.nn.Module):
    """A module with more than parameters: batch norm's running means."""

    def __init__(self, n_features, n_outputs, width=3):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(n_features, width), torch.nn.BatchNorm1d(width), torch.nn.Linear(width, n_outputs)
        )

    def forward(self, X):
        return self.layers(X)


NETWORKS = {
    "default": TorchMLPClassifier(**QUICK),
    "float32": TorchMLPClassifier(dtype="float32", **QUICK),
    "ensemble": TorchMLPClassifier(n_networks=3, **QUICK),
    "watched": TorchMLPClassifier(monitor_validation=True, class_weight="balanced", **QUICK),
    "lbfgs": TorchMLPClassifier(solver="lbfgs", **QUICK),
    "regressor": TorchMLPRegressor(**QUICK),
    "poisson": TorchMLPRegressor("poisson", **QUICK),
    "callbacks": TorchMLPClassifier(callbacks=[("listener", Listener())], **QUICK),
    "module": TorchMLPClassifier(module=Normed, module__width=4, **QUICK),
    "criterion": TorchMLPClassifier(criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.SGD, **QUICK),
}


@pytest.mark.parametrize("name", list(NETWORKS))
@pytest.mark.parametrize("incremental", [False, True])
def test_a_pickle_holds_no_torch_object_and_gives_the_same_network(iris, name, incremental):
    X, y = iris
    network = NETWORKS[name]
    if incremental and network.solver == "lbfgs":
        return
    network = clone(network)
    if incremental:
        network.partial_fit(X, y, **({} if isinstance(network, TorchMLPRegressor) else {"classes": [0, 1, 2]}))
    else:
        network.fit(X, y)
    data = pickle.dumps(network)
    strings = [arg for _, arg, _ in pickletools.genops(data) if isinstance(arg, str)]
    allowed = {"torch.nn.modules.loss", "torch.optim.sgd"} if name == "criterion" else set()
    assert {s for s in strings if s.split(".")[0] == "torch"} <= allowed  # so it loads where there is no GPU
    loaded = pickle.loads(data)
    assert_array_equal(loaded.predict(X), network.predict(X))
    assert loaded.history_ == network.history_ and loaded.t_ == network.t_
    if not incremental or name != "callbacks":
        assert [n for n, _ in loaded.net_.callbacks_] == [n for n, _ in network.net_.callbacks_]
    if network.solver != "lbfgs":
        again = loaded.partial_fit(X, y).predict(X)
        assert_array_equal(again, network.partial_fit(X, y).predict(X))


def test_loading_draws_no_random_numbers(iris):
    data = pickle.dumps(TorchMLPClassifier(module=Normed, **QUICK).fit(*iris))
    before = torch.get_rng_state()
    pickle.loads(data)
    assert torch.equal(torch.get_rng_state(), before)


MODELS = [
    *(NETWORKS[name] for name in ("default", "float32", "ensemble", "watched", "lbfgs", "regressor", "poisson")),
    make_pipeline(StandardScaler(), TorchMLPClassifier(warm_start=True, **QUICK)),
    BudgetSVC(),
]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_skops_has_our_own_types_alone_to_trust(iris, model):
    X, y = iris
    y = y > 0 if isinstance(model, BudgetSVC) else y
    model = clone(model).fit(X, y)
    data = skops.io.dumps(model)
    untrusted = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("sklearn_svmdl.") for name in untrusted), untrusted
    assert_array_equal(skops.io.loads(data, trusted=untrusted).predict(X), model.predict(X))


@pytest.mark.parametrize("numeric_embedding", [None, "piecewise"])
def test_skops_has_our_own_types_alone_to_trust_of_tables(iris, numeric_embedding):
    pd = pytest.importorskip("pandas")
    X, y = iris
    table = pd.DataFrame(X, columns=list("abcd")).assign(e=np.where(X[:, 0] > 0, "tall", "short"))
    table["f"] = pd.Categorical(np.where(X[:, 1] > 0, "x", "y"))
    table.loc[3, "a"] = np.nan
    table.loc[5, "e"] = None
    network = TorchMLPClassifier(allow_missing=True, numeric_embedding=numeric_embedding, **QUICK).fit(table, y)
    data = skops.io.dumps(network)
    untrusted = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("sklearn_svmdl.") for name in untrusted), untrusted
    for loaded in (skops.io.loads(data, trusted=untrusted), pickle.loads(pickle.dumps(network))):
        assert_array_equal(loaded.predict_proba(table), network.predict_proba(table))


@pytest.mark.parametrize("scoring", [None, "f1", ["accuracy", "f1"], {"first": "f1"}, make_scorer(f1_score)], ids=str)
def test_a_stored_search_has_its_scorers(iris, scoring):
    X, y = iris[0], iris[1] > 0
    refit = next(iter(scoring)) if isinstance(scoring, (list, dict)) else True
    search = BudgetSVCCV(scoring=scoring, refit=refit).fit(X, y)
    data = skops.io.dumps(search)
    untrusted = skops.io.get_untrusted_types(data=data)
    assert callable(scoring) or all(name.startswith("sklearn_svmdl.") for name in untrusted), untrusted
    for loaded in (skops.io.loads(data, trusted=untrusted), pickle.loads(pickle.dumps(search)), deepcopy(search)):
        assert_array_equal(loaded.predict(X), search.predict(X))
        theirs, ours = loaded.scorer_, search.scorer_
        if isinstance(ours, dict):
            assert list(theirs) == list(ours)
            theirs, ours = theirs[refit], ours[refit]
        assert theirs(loaded, X, y) == ours(search, X, y)
        assert loaded.score(X, y) == search.score(X, y)
    assert not hasattr(pickle.loads(pickle.dumps(BudgetSVCCV(scoring=scoring))), "scorer_")


def test_skops_goes_on_training(iris):
    network = TorchMLPClassifier(**QUICK).partial_fit(*iris, classes=[0, 1, 2])
    data = skops.io.dumps(network)
    loaded = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert_array_equal(loaded.partial_fit(*iris).coefs_[0], network.partial_fit(*iris).coefs_[0])


@pytest.mark.parametrize("path", sorted(model_files.FOLDER.iterdir()), ids=lambda path: path.name)
def test_model_files_of_every_version_load(path):
    if path.suffix == ".pkl":
        if np.lib.NumpyVersion(np.__version__) < "2.0.0":
            pytest.skip("numpy 1 does not read pickles of numpy 2's arrays: there is no numpy._core")
        model = pickle.loads(path.read_bytes())
    else:
        model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    X, y = model_files.data(path.name)
    assert model.score(X, y) > (0.4 if "regressor" in path.name else 0.9)
    if "regressor" not in path.name:
        assert_allclose(model.predict_proba(X), by_numpy(model, X.astype(model.coefs_[0].dtype)), rtol=1e-5, atol=1e-6)
    epochs = len(model.history_)
    assert len(model.partial_fit(X, y).history_) == epochs + 1


def by_numpy(model, X):
    """Class probabilities from the weights, by the textbook's lines."""
    members = range(model.n_networks_)
    stacked = model.n_networks_ > 1
    outputs = []
    for i in members:
        weights = [w[i] if stacked else w for w in model.coefs_]
        biases = [b[i] if stacked else b for b in model.intercepts_]
        z = np.maximum(X @ weights[0] + biases[0], 0) @ weights[1] + biases[1]
        outputs.append(softmax(z, 1) if z.shape[1] > 1 else np.hstack([1 - expit(z), expit(z)]))
    return np.mean(outputs, axis=0)


def test_there_are_model_files_of_this_version():
    names = {path.name for path in model_files.FOLDER.iterdir()}
    for name in model_files.models():
        assert {f"{name}-{sklearn_svmdl.__version__}.{kind}" for kind in ("pkl", "skops")} <= names
