"""Budget-C support vector machines."""

from ._budget_path import BudgetPath, budget_path
from ._budget_svc import BudgetSVC
from ._budget_svc_cv import BudgetSVCCV
from ._budget_svr import BudgetSVR
from ._budget_svr_cv import BudgetSVRCV
from ._leave_one_out import leave_one_out_decisions
from ._messages import BudgetWarning, IndefiniteKernelWarning, InfeasibleBudgetError

__all__ = [
    "BudgetPath",
    "BudgetSVC",
    "BudgetSVCCV",
    "BudgetSVR",
    "BudgetSVRCV",
    "BudgetWarning",
    "IndefiniteKernelWarning",
    "InfeasibleBudgetError",
    "budget_path",
    "leave_one_out_decisions",
]
