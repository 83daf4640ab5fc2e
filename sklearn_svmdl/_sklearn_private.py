"""The private names of scikit-learn that this package relies on, gathered in one place.

scikit-learn offers no public way to declare parameter constraints; imbalanced-learn and other packages import
the same names. When scikit-learn moves one, this is the only file to mend.
"""

from sklearn.base import _fit_context
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import Hidden, Interval, Options, StrOptions
from sklearn.utils.metadata_routing import _raise_for_params, _routing_enabled
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import _check_method_params, _check_sample_weight

__all__ = [
    "Hidden",
    "Interval",
    "Options",
    "StrOptions",
    "_check_method_params",
    "_check_partial_fit_first_call",
    "_check_sample_weight",
    "_fit_context",
    "_raise_for_params",
    "_routing_enabled",
    "check_matplotlib_support",
]
