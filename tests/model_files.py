"""Trained models as files: ``python tests/model_files.py`` writes those of this version beside the older ones."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import skops.io
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning

import sklearn_svmdl
from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor

FOLDER = Path(__file__).parent / "models"
FEW = {"hidden_layer_sizes": (5,), "max_iter": 60, "learning_rate_init": 0.05, "tol": 0, "n_iter_no_change": np.inf}


def data(name):
    """The rows and targets that the model of this name was trained on."""
    X, y = (load_diabetes if "regressor" in name else load_iris)(return_X_y=True)
    y = y > 0 if "binary" in name else y
    return (X, np.array(["no", "yes"])[y.astype(int)]) if "binary" in name else (X, y)


def models():
    """Untrained models by name."""
    return {
        "classifier": TorchMLPClassifier(random_state=0, **FEW),
        "binary": TorchMLPClassifier(random_state=0, dtype="float32", **FEW),
        "ensemble": TorchMLPClassifier(random_state=0, n_networks=3, **FEW),
        "regressor": TorchMLPRegressor(random_state=0, **FEW),
    }


def main():
    """Train and write."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name, model in models().items():
        model.fit(*data(name))
        stem = f"{name}-{sklearn_svmdl.__version__}"
        (FOLDER / f"{stem}.pkl").write_bytes(pickle.dumps(model, protocol=4))
        skops.io.dump(model, FOLDER / f"{stem}.skops")


if __name__ == "__main__":
    main()
