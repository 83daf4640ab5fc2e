"""The network rows of the demo: both MLP classifiers in the same pipeline and grid, on bundled data."""

import time
import warnings

from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import TorchMLPClassifier

COLUMNS = ("data", "model", "best parameters", "CV accuracy", "held-out accuracy", "time [s]")
GRID = {"model__hidden_layer_sizes": [(16,), (32, 16)], "model__alpha": [1e-4, 1e-1]}


def mlp_rows():
    """Rows of the columns `COLUMNS`, one a data set and model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 60 epochs are enough here and not meant to converge
        return [
            _row(load, model)
            for load in (load_wine, load_breast_cancer)
            for model in (TorchMLPClassifier, MLPClassifier)
        ]


def _row(load, model):
    X, y = load(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    network = model(learning_rate_init=0.01, batch_size=32, max_iter=60, random_state=0)
    search = GridSearchCV(Pipeline([("scale", StandardScaler()), ("model", network)]), GRID, cv=3)
    start = time.perf_counter()
    search.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    best = ", ".join(f"{name.removeprefix('model__')}={value}" for name, value in search.best_params_.items())
    accuracies = f"{search.best_score_:.3f}", f"{search.score(X_test, y_test):.3f}"
    data = load.__name__.removeprefix("load_").replace("_", " ")
    return data, model.__name__, best, *accuracies, f"{seconds:.1f}"


if __name__ == "__main__":
    for row in [COLUMNS, *mlp_rows()]:
        print("| " + " | ".join(row) + " |")
