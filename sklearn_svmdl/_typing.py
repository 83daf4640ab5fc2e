"""The types of the public interface, and scikit-learn's decorators with the types that it does not ship."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Function = TypeVar("Function", bound=Callable[..., Any])


class Sparse(Protocol):
    """A sparse matrix or array of scipy."""

    def tocsr(self) -> Any:
        """The same in rows."""


# Numbers, numpy's own included.
Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
Whole: TypeAlias = int | np.integer[Any]

MatrixLike: TypeAlias = ArrayLike | Sparse
Floats: TypeAlias = NDArray[np.float64]
Array: TypeAlias = NDArray[Any]

# Parameters of the support vector machines.
Unit: TypeAlias = Literal["total", "relative", "cost"]
KernelName: TypeAlias = Literal[
    "linear", "poly", "polynomial", "rbf", "sigmoid", "laplacian", "cosine", "chi2", "additive_chi2", "precomputed"
]
KernelLike: TypeAlias = KernelName | Callable[[Any, Any], Any]
Gamma: TypeAlias = Number | Literal["scale", "auto"]
MultiClass: TypeAlias = Literal["ovo", "ovr"]
Infeasible: TypeAlias = Literal["relax", "raise"]
ClassWeight: TypeAlias = dict[Any, Any] | Literal["balanced"] | None
Scorers: TypeAlias = str | Callable[..., Any] | Iterable[str] | dict[str, Any] | None

# Parameters of the networks.
Activation: TypeAlias = Literal["identity", "logistic", "tanh", "relu", "silu", "gelu"]
Solver: TypeAlias = Literal["lbfgs", "sgd", "adam", "adamw"]
LearningRate: TypeAlias = Literal["constant", "invscaling", "adaptive", "cosine"]
Precision: TypeAlias = Literal["auto", "float32", "float64"]
RandomState: TypeAlias = Whole | np.random.RandomState | None

# What matplotlib draws with.
Style: TypeAlias = dict[str, Any] | None

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Function], Function]:
        """scikit-learn's check of the parameters before a fit."""

    def available_if(check: Callable[[Any], bool]) -> Callable[[Function], Function]:
        """scikit-learn's condition on a method's being there."""

else:
    # matplotlib is not imported before something is drawn.
    Axes = Any
    from sklearn.utils.metaestimators import available_if

    from ._sklearn_private import _fit_context as fit_context

__all__ = ["Axes", "available_if", "fit_context"]
