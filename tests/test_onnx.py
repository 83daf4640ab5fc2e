"""ONNX graphs give the predictions of the models they were made from."""

import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetSVR, TorchMLPClassifier, TorchMLPRegressor, to_onnx

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
QUICK = {"max_iter": 30, "learning_rate_init": 0.01, "random_state": 0, "tol": 0, "n_iter_no_change": np.inf}


def run(model, X):
    """The outputs of a model's graph, by name."""
    session = onnxruntime.InferenceSession(to_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": np.asarray(X, np.float64)})))


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu", "silu", "gelu"])
@pytest.mark.parametrize("n_networks", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_network_classifiers(load, dtype, n_networks, activation):
    X, y = load(return_X_y=True)
    y = np.array(["a", "b", "c"])[y]
    network = TorchMLPClassifier((8, 6), activation, dtype=dtype, n_networks=n_networks, **QUICK)
    model = make_pipeline(StandardScaler(), network).fit(X, y)
    found = run(model, X)
    assert_allclose(found["probability"], model.predict_proba(X), atol=1e-6)
    assert_array_equal(found["label"], model.predict(X))


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("wide", [False, True])
def test_network_regressors(loss, wide):
    X, y = load_diabetes(return_X_y=True)
    y = np.column_stack([y, 2 * y]) if wide else y
    model = make_pipeline(StandardScaler(), TorchMLPRegressor(loss, n_networks=2, dtype="float64", **QUICK)).fit(X, y)
    assert_allclose(run(model, X)["prediction"], model.predict(X), rtol=1e-6)


def test_other_targets():
    X, y = make_multilabel_classification(100, n_classes=3, random_state=0)
    model = TorchMLPClassifier(**QUICK).fit(X, y)
    found = run(model, X)
    assert_allclose(found["probability"], model.predict_proba(X), atol=1e-6)
    assert_array_equal(found["label"], model.predict(X))
    only = TorchMLPClassifier(**QUICK).fit(X, np.full(100, 7))
    found = run(only, X)
    assert_array_equal(found["probability"], np.ones((100, 1)))
    assert set(found["label"]) == {7}
    numbers = TorchMLPClassifier(**QUICK).fit(X, y[:, 0] + 4)
    assert_array_equal(run(numbers, X)["label"], numbers.predict(X))


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf", "sigmoid", "laplacian", "cosine"])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
@pytest.mark.parametrize("multi_class", ["ovo", "ovr"])
@pytest.mark.filterwarnings("ignore::sklearn_svmdl.BudgetWarning")
@pytest.mark.filterwarnings("ignore::sklearn_svmdl.IndefiniteKernelWarning")
def test_budget_classifiers(load, kernel, multi_class):
    X, y = load(return_X_y=True)
    X, y = X[::3], np.array(["a", "b", "c"])[y[::3]]
    model = make_pipeline(StandardScaler(), BudgetSVC(kernel=kernel, multi_class=multi_class)).fit(X, y)
    found = run(model, X)
    assert_allclose(found["scores"], model.decision_function(X), rtol=1e-6, atol=1e-6)
    assert_array_equal(found["label"], model.predict(X))


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf"])
def test_budget_regressors(kernel):
    X, y = load_diabetes(return_X_y=True)
    model = make_pipeline(StandardScaler(), BudgetSVR(kernel=kernel)).fit(X, y)
    assert_allclose(run(model, X)["prediction"], model.predict(X), rtol=1e-6)


def test_far_from_the_origin_distances_keep_their_digits():
    X, y = load_iris(return_X_y=True)
    model = BudgetSVC(gamma=0.5).fit(X + 1e6, y)
    assert_allclose(run(model, X + 1e6)["scores"], model.decision_function(X + 1e6), atol=1e-5)


def test_what_cannot_be_translated_is_named():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(NotFittedError):
        to_onnx(BudgetSVC())
    with pytest.raises(TypeError, match="cannot translate PCA here; it knows.*StandardScaler.*skl2onnx"):
        to_onnx(make_pipeline(PCA(), TorchMLPClassifier(**QUICK)).fit(X, y))
    with pytest.raises(TypeError, match="not the module Linear.*torch.onnx.export"):
        to_onnx(TorchMLPClassifier(module=torch.nn.Linear, **QUICK).fit(X, y))
    with pytest.raises(TypeError, match="kernel 'chi2'"):
        to_onnx(BudgetSVC(kernel="chi2").fit(X, y))


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install sklearn-svmdl\[onnx\]"):
        to_onnx(StandardScaler().fit([[0.0]]))
