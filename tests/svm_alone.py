"""The installed package where there is only what it requires: `make dist-check` runs this."""

import importlib.util
import pickle
from importlib.metadata import version
from importlib.resources import files

import numpy as np
from sklearn.datasets import load_diabetes, load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

import sklearn_svmdl
from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetSVR, BudgetSVRCV, budget_path, leave_one_out_decisions


def main():
    """Everything but networks works, and of these is said what they need."""
    assert "site-packages" in sklearn_svmdl.__file__
    assert version("sklearn-svmdl") == sklearn_svmdl.__version__
    assert (files("sklearn_svmdl") / "py.typed").is_file()
    for name in ("torch", "skorch", "matplotlib", "onnx", "pandas"):
        assert importlib.util.find_spec(name) is None, name
    classification()
    regression()
    for name in ("TorchMLPClassifier", "TorchMLPRegressor"):
        assert 'pip install "sklearn-svmdl[torch]"' in error_of(lambda name=name: getattr(sklearn_svmdl, name))
    print("The support vector machines work without torch, skorch, matplotlib, onnx and pandas.")


def classification():
    """Fits, searches, paths and leave-one-out of classes."""
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = BudgetSVC().fit(X, y)
    np.testing.assert_array_equal(model.predict(X), SVC(break_ties=True, tol=1e-6).fit(X, y).predict(X))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.decision_function(X), model.decision_function(X))
    search = make_pipeline(StandardScaler(), BudgetSVCCV(Cs=3, gammas=2, n_jobs=2)).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X).argmax(axis=1), search.predict(X))
    assert search.score(X, y) > 0.9
    assert budget_path(X, y, Cs=3).margins.shape == (3, 3)
    assert leave_one_out_decisions(model, X, y).shape == (150, 3)


def regression():
    """Fits and searches of numbers."""
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours = BudgetSVR(C=10, unit="cost", epsilon=1.0, tol=1e-6).fit(X, y).predict(X)
    theirs = SVR(C=10, epsilon=1.0, tol=1e-6, cache_size=1000).fit(X, y).predict(X)
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.ptp(y))
    assert BudgetSVRCV(Cs=[10.0, 100.0], gammas=["scale"]).fit(X, y).score(X, y) > 0.4


def error_of(action):
    """What the ImportError of an action says."""
    try:
        action()
    except ImportError as error:
        return str(error)
    raise AssertionError("There is no ImportError.")


if __name__ == "__main__":
    main()
