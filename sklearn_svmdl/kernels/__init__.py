"""Kernels, for prediction and for the solver.

A :class:`Kernel` turns samples into prepared rows once (`prepare`) and pairs of prepared rows into kernel values
(`between`). A *source* hands kernel values to the solver by sample index; the solver never sees X.

=============  ========================================================================================
`registry`     kernels by name, and a kernel with its parameters filled in
`rows`         prepared rows: what is computed once per sample
`sources`      kernel values by sample index: evaluated on demand, stored, or those of repeated samples
`shared`       one matrix from which all folds of a search read
`distances`    squared distances that have cancelled, from differences
`checks`       kernel values that no solver should be given
`blas`         products of dense arrays
=============  ========================================================================================

To add a kernel, add one entry to `registry.KERNELS`: a function of two sets of prepared rows, the names of its
parameters, and what is known about it (`registry.KernelSpec` says what can be). All else follows.
"""

from .checks import check_kernel_values, check_symmetric, negative_curvature
from .registry import KERNELS, Kernel, resolve_gamma, spec_of
from .shared import SharedKernelMatrix
from .sources import BLOCK, MEGABYTE, GramSource, IndexedSource, KernelSource, row_blocks

__all__ = [
    "BLOCK",
    "KERNELS",
    "MEGABYTE",
    "GramSource",
    "IndexedSource",
    "Kernel",
    "KernelSource",
    "SharedKernelMatrix",
    "check_kernel_values",
    "check_symmetric",
    "negative_curvature",
    "resolve_gamma",
    "row_blocks",
    "spec_of",
]
