"""Budget-C support vector machines and torch multi-layer perceptrons for scikit-learn.

Public names are imported on first use (PEP 562), so ``import sklearn_svmdl`` costs neither torch nor
matplotlib.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "BudgetPath": ".svm",
    "BudgetPathDisplay": ".inspection",
    "BudgetSVC": ".svm",
    "BudgetSVCCV": ".svm",
    "BudgetSVR": ".svm",
    "BudgetSVRCV": ".svm",
    "BudgetWarning": ".svm",
    "IndefiniteKernelWarning": ".svm",
    "InfeasibleBudgetError": ".svm",
    "MarginDisplay": ".inspection",
    "TorchMLPClassifier": ".neural_network",
    "TorchMLPRegressor": ".neural_network",
    "TrainingHistoryDisplay": ".inspection",
    "TubeDisplay": ".inspection",
    "budget_path": ".svm",
    "leave_one_out_decisions": ".svm",
    "to_onnx": "._onnx",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)


def __dir__():
    return sorted(__all__)
