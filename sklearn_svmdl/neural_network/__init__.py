"""Multi-layer perceptrons trained by torch through skorch, as scikit-learn estimators."""

from ._classifier import TorchMLPClassifier
from ._regressor import TorchMLPRegressor

__all__ = ["TorchMLPClassifier", "TorchMLPRegressor"]
