"""Budget-C support vector machines."""

from ._budget_svc import BudgetSVC
from ._messages import BudgetWarning, IndefiniteKernelWarning, InfeasibleBudgetError

__all__ = ["BudgetSVC", "BudgetWarning", "IndefiniteKernelWarning", "InfeasibleBudgetError"]
