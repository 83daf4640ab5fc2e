"""Pictures of fitted models; matplotlib is imported when one is drawn."""

from ._budget_path_display import BudgetPathDisplay
from ._margin_display import MarginDisplay
from ._training_history_display import TrainingHistoryDisplay
from ._tube_display import TubeDisplay

__all__ = ["BudgetPathDisplay", "MarginDisplay", "TrainingHistoryDisplay", "TubeDisplay"]
