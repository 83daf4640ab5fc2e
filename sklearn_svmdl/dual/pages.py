"""Pages of memory that outlive the arrays on them."""

from functools import cache

import numpy as np

# Just below the largest block, 32 MB, that raises glibc's threshold.
_LARGEST_HEAP_BLOCK = 31 * 2**20


@cache
def keep_freed_pages():
    """Let malloc keep the pages that a fit frees: to fault them in again costs a small fit as much as its arithmetic.

    glibc hands memory back to the system beyond twice the largest block that was ever freed, as it would after any
    program's block of this size (mallopt(3), "dynamic mmap threshold"). This one is never touched.
    """
    np.empty(_LARGEST_HEAP_BLOCK, dtype=np.uint8)
