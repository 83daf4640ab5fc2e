"""What scikit-learn offers to estimators beyond fit and predict: callbacks, and links to their documentation.

Callbacks (`sklearn.callback`) are there from scikit-learn 1.9 on; before, nothing is lost.

A fit is a task, told at its begin and its end; what it does step by step (an epoch, a part of a search, a second of
solving) are its subtasks. A callback that returns True at the end of a subtask asks to stop there.
"""

from collections.abc import Callable
from functools import cache, wraps
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any, cast

from ._typing import Function

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No callbacks before scikit-learn 1.9."""


class EstimatorMixin(CallbackSupportMixin):
    """What every estimator here offers to scikit-learn: callbacks, and a page for the link of its HTML picture."""

    @property
    def _doc_link_module(self):
        """The package, if it is known where its documentation is: without that scikit-learn makes no link."""
        return __package__ if documentation() else ""

    @property
    def _doc_link_template(self):
        return f"{documentation()}/api/{__package__}.{{estimator_name}}.html"


@cache
def documentation():
    """The address of the site, as the installed package's metadata have it (`project.urls`); None if they have none."""
    try:
        urls = metadata("sklearn-svmdl").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    named = dict(url.split(", ", 1) for url in urls)
    return named["Documentation"].rstrip("/") if "Documentation" in named else None


def fit_task(most_steps: Callable[[Any], int | None]) -> Callable[[Function], Function]:
    """Decorate `fit(self, X, y, sample_weight=None, ...)`, beneath scikit-learn's `_fit_context`, as a task.

    Parameters
    ----------
    most_steps : callable, from the estimator to its largest number of subtasks, or None where that is not known
    """

    def decorate(fit: Function) -> Function:
        """`fit`, as a task of whoever is to be told."""

        @wraps(fit)
        def told(self: Any, X: Any, y: Any, sample_weight: Any = None, *args: Any, **kwargs: Any) -> Any:
            """`fit`, with callbacks told of its beginning and end."""
            if not getattr(self, "_skl_callbacks", None):
                return fit(self, X, y, sample_weight, *args, **kwargs)
            data = _data(self, X, y, sample_weight)
            context = self._init_callback_context(max_subtasks=most_steps(self))
            context.call_on_fit_task_begin(**data)
            fit(self, X, y, sample_weight, *args, **kwargs)
            context.call_on_fit_task_end(**data, reconstruction_attributes={})
            return self

        return cast(Function, told)

    return decorate


def _data(estimator, X, y, sample_weight):
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    return {"estimator": estimator, "X": X, "y": y, "metadata": metadata}


class Steps:
    """The subtasks of the fit that an estimator is in, one after the other.

    Parameters
    ----------
    estimator : the estimator
    X, y, sample_weight : what it is fitted on
    name : str, what a subtask is called
    """

    def __init__(self, estimator, X, y, sample_weight, name):
        self._name, self._fit = name, vars(estimator)["_callback_fit_ctx"]
        self._data = _data(estimator, X, y, sample_weight)
        self._step = None

    def begin(self):
        """Tell that the next one begins."""
        self._step = self._fit.subcontext(task_name=self._name).call_on_fit_task_begin(**self._data)

    def end(self, attributes=None):
        """Tell that it ends; whether a callback asks to stop.

        Parameters
        ----------
        attributes : callable, default=None
            Returns the fitted attributes of the estimator as if the fit ended here; None where it would have none.
        """
        return self._step.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)


def steps_of(estimator, X, y, sample_weight, name):
    """The `Steps` of a fit that callbacks are set for; None where there are none to tell."""
    # A copy made during a fit, as callbacks get, has the context of that fit.
    told = getattr(estimator, "_skl_callbacks", None) and "_callback_fit_ctx" in vars(estimator)
    return Steps(estimator, X, y, sample_weight, name) if told else None
