"""How many threads a training step may use."""

from contextlib import nullcontext
from functools import cache

from threadpoolctl import ThreadpoolController

# Multiplications of a forward pass over one batch or chunk below which waking other threads costs more than
# they save.
WORTH_THREADS = 2**24


def fitting_threads(multiplications):
    """A context with one OpenMP thread for small steps, and the user's setting otherwise.

    OpenMP keeps this number for each calling thread, so other threads of the program, which may be training
    too, do not notice; it is back to what it was at the end.
    """
    if multiplications >= WORTH_THREADS:
        return nullcontext()
    return _controller().limit(limits=1, user_api="openmp")


@cache
def _controller():
    """Looking up the loaded libraries takes milliseconds, so it is done once."""
    return ThreadpoolController()
