"""What the estimators with a budget have in common: their kernel and solver parameters, and how they fit and decide."""

from numbers import Integral, Real

from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._callbacks import EstimatorMixin
from .._sklearn_private import Interval, StrOptions
from .._typing import Floats
from ..dual.work import is_stopped
from ..kernels import KERNELS, spec_of
from ._fitted import KernelMachine, fitted_attributes, publish
from ._messages import report
from ._progress import stoppable
from ._solving import solve_tasks
from ._training import checked_X, resolved_kernel, training_on
from ._units import UNITS


def advice_of(name, who, cache_size):
    """What to try where memory runs out, in words."""
    return (
        f"{name} needs X, a few numbers a sample, and kernel values, of which {who} up to cache_size={cache_size} MB. "
        f"Try a smaller cache_size, X in single precision (float32), or fewer samples."
    )


def own_kernel_values(kernel, kept):
    """No kernel values but those that a training set evaluates for itself."""
    return None


class BudgetEstimator(EstimatorMixin, BaseEstimator):
    """Base of `BudgetSVC` and `BudgetSVR`.

    A subclass checks the user's input (`_training`), says what its tasks are (`_tasks_of`), which attributes a fit
    leaves behind (`_attributes`), and what becomes of the decisions of its tasks (`_values`, `_values_of`).
    """

    _shared_constraints = {
        "C": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "unit": [StrOptions(set(UNITS))],
        "kernel": [StrOptions(set(KERNELS)), callable],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "gamma": [StrOptions({"scale", "auto"}), Interval(Real, 0, None, closed="neither")],
        "coef0": [Interval(Real, None, None, closed="neither")],
        "infeasible": [StrOptions({"relax", "raise"})],
        "solver": [StrOptions({"auto", "smo"})],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "cache_size": [Interval(Real, 0, None, closed="neither")],
        "verbose": ["verbose"],
    }

    @property
    def dual_coef_(self) -> Floats:
        """Signed duals (n_problems, n_SV)."""
        check_is_fitted(self)
        return self._duals.toarray() if issparse(self._duals) else self._duals

    @property
    def coef_(self) -> Floats:
        """The normals w (n_problems, n_features), linear kernel only."""
        check_is_fitted(self)
        if self._coef is None:
            raise AttributeError(f"coef_ exists for the linear kernel only, not for {self._kernel.name!r}.")
        return self._coef

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if callable(self.kernel) or self.kernel in KERNELS:
            spec = spec_of(self.kernel)
            tags.input_tags.sparse = spec.takes_sparse
            tags.input_tags.pairwise = spec.pairwise
            tags.input_tags.positive_only = not spec.takes_negative
        return tags

    def __sklearn_is_fitted__(self):
        return "_duals" in vars(self)

    # Threads that solve tasks.
    _workers = 1

    def _memory_advice(self):
        return advice_of(type(self).__name__, "a fit keeps", self.cache_size)

    def _solve(self, training, seen, C, unit, steps):
        """Solve the tasks of a training set, tell about it, and keep what was found."""
        limits = {"tol": self.tol, "max_iter": self.max_iter}
        with stoppable(steps):
            outcomes = solve_tasks(
                training, C, unit, solver=self.solver, n_jobs=self._workers, verbose=self.verbose, **limits
            )
            stopped = is_stopped()
        report(
            training,
            outcomes,
            training.tasks[0].noun,
            stopped=stopped,
            infeasible=self.infeasible,
            feature_names=seen.get("feature_names_in_"),
            **limits,
        )
        publish(self, {**seen, **self._attributes(training, [outcome.solution for outcome in outcomes])})

    def _prepared(self, X, y, weight, shared=own_kernel_values):
        """All that precedes a C, of checked samples; `shared(kernel, kept)` gives kernel values there are, or None."""
        data, tasks = self._tasks_of(X, y, weight)
        kernel = resolved_kernel(self.kernel, data, gamma=self.gamma, degree=self.degree, coef0=self.coef0)
        source = shared(kernel, data.kept)
        return training_on(data, kernel, tasks, cache_size=self.cache_size, n_jobs=self._workers, source=source)

    def _attributes(self, training, solutions):
        """The fitted attributes by name, those of the input aside."""
        return fitted_attributes(training, solutions)[0]

    def _machine(self):
        """What predicts."""
        check_is_fitted(self)
        basis = self.support_ if self._kernel.spec.pairwise else self.support_vectors_
        return KernelMachine(self._kernel, basis, self._duals, self._intercepts(), self._coef)

    def _intercepts(self):
        """The intercepts b, (n_problems,)."""
        return self.intercept_

    def _decisions(self, X):
        """The decisions of all problems, (n_samples, n_problems)."""
        machine = self._machine()
        return machine.decisions(checked_X(self, X))
