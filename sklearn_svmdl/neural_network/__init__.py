"""Multi-layer perceptrons trained by torch through skorch, as scikit-learn estimators."""

try:
    from ._classifier import TorchMLPClassifier
    from ._regressor import TorchMLPRegressor
except ModuleNotFoundError as missing:
    if missing.name not in ("torch", "skorch"):
        raise
    raise ImportError(
        f'Networks need {missing.name}, which is not installed: pip install "sklearn-svmdl[torch]". The support vector '
        "machines work without it.",
        name=missing.name,
    ) from None

__all__ = ["TorchMLPClassifier", "TorchMLPRegressor"]
