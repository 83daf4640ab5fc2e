"""Memory that runs out at numpy's n-th allocation, whoever asks for it: Python, or C within numpy and scipy."""

import ctypes
from contextlib import contextmanager

try:
    from numpy._core import _multiarray_umath
except ImportError:
    from numpy.core import _multiarray_umath

_ADDRESS, _SIZE = ctypes.c_void_p, ctypes.c_size_t
_MALLOC = ctypes.PYFUNCTYPE(_ADDRESS, _ADDRESS, _SIZE)
_CALLOC = ctypes.PYFUNCTYPE(_ADDRESS, _ADDRESS, _SIZE, _SIZE)
_REALLOC = ctypes.PYFUNCTYPE(_ADDRESS, _ADDRESS, _ADDRESS, _SIZE)
# Where numpy's table of functions for C has them, in every version from 1.22 on.
_SET_HANDLER, _GET_HANDLER = 304, 305
# Bytes of the least allocation that counts. Where numpy finds no memory for a single number, np.where ends the process.
_SMALLEST = 64
# A capsule keeps no copy of its name.
_NAME = b"mem_handler"


class _Handler(ctypes.Structure):
    """PyDataMem_Handler of numpy's C interface."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", _ADDRESS),
        ("malloc", _MALLOC),
        ("calloc", _CALLOC),
        ("realloc", _REALLOC),
        ("free", _ADDRESS),
    ]


_capsule, _pointer = ctypes.pythonapi.PyCapsule_New, ctypes.pythonapi.PyCapsule_GetPointer
_capsule.restype, _capsule.argtypes = ctypes.py_object, [_ADDRESS, ctypes.c_char_p, _ADDRESS]
_pointer.restype, _pointer.argtypes = _ADDRESS, [ctypes.py_object, ctypes.c_char_p]
_table = ctypes.cast(_pointer(_multiarray_umath._ARRAY_API, None), ctypes.POINTER(_ADDRESS))
_set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(_table[_SET_HANDLER])
_usual = ctypes.PYFUNCTYPE(ctypes.py_object)(_table[_GET_HANDLER])()
_usual_handler = _Handler.from_address(_pointer(_usual, _NAME))


class Allocations:
    """The allocations of numpy within a block: how many there were, and the number of the one that fails, if any."""

    def __init__(self):
        self.count, self.fails_at = 0, -1

    def is_denied(self, size):
        """Take note of an allocation of so many bytes."""
        self.count += size >= _SMALLEST
        return size >= _SMALLEST and self.count == self.fails_at


_now = Allocations()


def _or_denied(usual, size):
    """The usual function of the handler, which finds no memory where it is denied."""
    return type(usual)(lambda *arguments: None if _now.is_denied(size(*arguments)) else usual(*arguments))


# Arrays that are made within a block may outlive it, and free their memory through this.
_handler = _Handler(
    b"denying",
    1,
    _usual_handler.context,
    _or_denied(_usual_handler.malloc, lambda context, size: size),
    _or_denied(_usual_handler.calloc, lambda context, number, size: number * size),
    _or_denied(_usual_handler.realloc, lambda context, old, size: size),
    _usual_handler.free,
)
_denying = _capsule(ctypes.addressof(_handler), _NAME, None)


@contextmanager
def allocations(fails_at=-1):
    """Count numpy's allocations of this thread within the block, and let number `fails_at` find no memory."""
    _now.count, _now.fails_at = 0, fails_at
    _set_handler(_denying)
    try:
        yield _now
    finally:
        _set_handler(_usual)
