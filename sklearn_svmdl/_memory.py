"""Where memory runs out the error says what was needed, and what to try."""

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ._typing import Function

# What torch says, with an error of a class that has other causes too.
_TORCHS = ("can't allocate memory", "out of memory")


@contextmanager
def memory_errors():
    """Let a MemoryError of numpy's be one: scipy's wrappers of BLAS and LAPACK made by numpy 1.26 cannot repeat it, and
    raise a TypeError from it."""
    try:
        yield
    except TypeError as error:
        if isinstance(error.__cause__, MemoryError):
            raise error.__cause__ from None
        raise


@contextmanager
def memory_advice(advice):
    """Let a MemoryError that the block raises end in advice, and make torch's a MemoryError.

    Parameters
    ----------
    advice : callable, returns a sentence that says what to try
    """
    try:
        with memory_errors():
            yield
    except (MemoryError, RuntimeError) as error:
        if not _is_for_want_of_memory(error) or error.__cause__ is not None:
            raise
        needed = (str(error) or "Memory ran out").rstrip(".")
        raise MemoryError(f"{needed}. {advice()}") from error


def advising_on_memory(function: "Function") -> "Function":
    """Decorate a function of an estimator whose `_memory_advice()` says what to try where memory runs out."""

    @wraps(function)
    def advised(estimator, *args, **kwargs):
        """The function, with advice."""
        with memory_advice(estimator._memory_advice):
            return function(estimator, *args, **kwargs)

    return cast("Function", advised)


def _is_for_want_of_memory(error):
    return isinstance(error, MemoryError) or any(words in str(error) for words in _TORCHS)
