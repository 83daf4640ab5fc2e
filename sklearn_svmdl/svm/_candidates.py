"""The candidates of a search: which kernels, each with the parameters it has, for which values of C."""

from numbers import Integral, Real

import numpy as np
from sklearn.model_selection import ParameterGrid

from ..kernels import KERNELS, resolve_gamma, spec_of

# A number of gammas spans a factor of ten on either side of "scale".
_GAMMA_RANGE = 10.0


def listed(value):
    """A parameter that may be one value or a list of them, as a list."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def checked_specs(kernel, owner):
    """The registry's entries of the kernels of a search, which is called `owner`."""
    kernels = listed(kernel)
    unknown = [name for name in kernels if not callable(name) and name not in KERNELS]
    if unknown or not kernels:
        raise ValueError(
            f"The 'kernel' parameter of {owner} must be one or a non-empty list of {sorted(KERNELS)} "
            f"and callables, got {kernel!r}."
        )
    specs = [spec_of(name) for name in kernels]
    if len({spec.pairwise for spec in specs}) > 1:
        raise ValueError(
            f"With kernel='precomputed' X holds kernel values, which no other kernel can use; got "
            f"kernel={kernel!r}. Search over precomputed kernels alone."
        )
    return specs


def checked_gammas(gammas, X, weight):
    """The values of gamma, or so many around "scale" of the samples."""
    if isinstance(gammas, Integral):
        scale = resolve_gamma("scale", X, weight)
        factors = np.geomspace(1 / _GAMMA_RANGE, _GAMMA_RANGE, gammas) if gammas > 1 else np.ones(1)
        return (scale * factors).tolist()
    values = [gamma if isinstance(gamma, str) else float(gamma) for gamma in gammas]
    known = [g in ("scale", "auto") if isinstance(g, str) else 0 < g < np.inf for g in values]
    if not values or not all(known):
        raise ValueError(
            f"gammas must be a number of values or a non-empty list of numbers > 0, 'scale' and 'auto', got {gammas!r}."
        )
    return values


def checked_degrees(degrees):
    """The degrees of the polynomial kernel."""
    values = list(degrees)
    if not values or not all(isinstance(d, Integral) and d >= 1 for d in values):
        raise ValueError(f"degrees must be a non-empty list of integers >= 1, got {degrees!r}.")
    return [int(degree) for degree in values]


def checked_epsilons(epsilons):
    """The half-widths of the tube."""
    values = list(epsilons)
    known = [e == "auto" if isinstance(e, str) else isinstance(e, Real) and 0 <= e < np.inf for e in values]
    if not values or not all(known):
        raise ValueError(f"epsilons must be a non-empty list of numbers >= 0 and 'auto', got {epsilons!r}.")
    return [epsilon if isinstance(epsilon, str) else float(epsilon) for epsilon in values]


def grids(kernels, values, common):
    """One grid for each kernel, over those of the values, lists by the names of kernel parameters, that it has.

    `common` are lists for all kernels.
    """
    each = []
    for name in dict.fromkeys(kernels):
        own = [key for key in spec_of(name).parameters if key in values]
        each.append({"kernel": [name], **common, **{key: values[key] for key in own}})
    return each


def with_Cs(each, Cs):
    """One dict of parameters for each candidate, in the order of `GridSearchCV` over the same grids."""
    return list(ParameterGrid([{**grid, "C": list(Cs)} for grid in each]))


def walks_of(candidates, unit):
    """Lists of the numbers of candidates that differ in C only, from the softest to the hardest."""
    walks = {}
    for number, candidate in enumerate(candidates):
        key = tuple((name, value) for name, value in sorted(candidate.items()) if name != "C")
        walks.setdefault(key, []).append(number)
    return [sorted(numbers, key=lambda k: unit.hardness(candidates[k]["C"])) for numbers in walks.values()]
