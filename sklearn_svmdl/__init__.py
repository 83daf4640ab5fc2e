"""Budget-C support vector machines and torch multi-layer perceptrons for scikit-learn.

Public names are imported on first use (PEP 562), so ``import sklearn_svmdl`` costs neither torch nor
matplotlib. The networks need the extra ``torch``; all else works without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "BudgetPath",
    "BudgetPathDisplay",
    "BudgetSVC",
    "BudgetSVCCV",
    "BudgetSVR",
    "BudgetSVRCV",
    "BudgetWarning",
    "IndefiniteKernelWarning",
    "InfeasibleBudgetError",
    "MarginDisplay",
    "TorchMLPClassifier",
    "TorchMLPRegressor",
    "TrainingHistoryDisplay",
    "TubeDisplay",
    "__version__",
    "budget_path",
    "leave_one_out_decisions",
    "to_onnx",
]

# What is imported on first use, as type checkers and editors see it.
if TYPE_CHECKING:
    from ._onnx import to_onnx
    from .inspection import BudgetPathDisplay, MarginDisplay, TrainingHistoryDisplay, TubeDisplay
    from .neural_network import TorchMLPClassifier, TorchMLPRegressor
    from .svm import (
        BudgetPath,
        BudgetSVC,
        BudgetSVCCV,
        BudgetSVR,
        BudgetSVRCV,
        BudgetWarning,
        IndefiniteKernelWarning,
        InfeasibleBudgetError,
        budget_path,
        leave_one_out_decisions,
    )
else:
    # A name that is none of these is one of .svm.
    _HOME = {
        "BudgetPathDisplay": ".inspection",
        "MarginDisplay": ".inspection",
        "TorchMLPClassifier": ".neural_network",
        "TorchMLPRegressor": ".neural_network",
        "TrainingHistoryDisplay": ".inspection",
        "TubeDisplay": ".inspection",
        "to_onnx": "._onnx",
    }

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOME.get(name, ".svm"), __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
