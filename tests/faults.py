"""Faults on demand: an exception where the n-th function is entered, and what a process has that all of it shares."""

import inspect
import os
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import sklearn
import threadpoolctl


class Strike(NamedTuple):
    """What came of a fault: whether it struck and came through to the caller; how many functions were entered."""

    struck: bool
    through: bool
    entered: int


@contextmanager
def dropped(fault, again):
    """`again` is called for each exception `fault` that Python drops, as of finalizers and callbacks of gc."""
    hook = sys.unraisablehook

    def unraisable(dropped):
        if isinstance(dropped.exc_value, fault):
            again()
        else:
            hook(dropped)

    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        sys.unraisablehook = hook


def strike(call, after, fault=KeyboardInterrupt):
    """Run `call`, with the exception `fault` as the function number `after` is entered.

    Where Python itself drops the exception, or no code can make it safe (as a generator is resumed, which may be
    to close it, and in the midst of entering or leaving somebody else's context) it strikes with the next function.
    """
    entered, done, configuration = 0, False, sklearn.get_config()

    def watch(frame, event, argument):
        nonlocal entered, done
        entered += event == "call"
        if 0 <= after <= entered and event == "call" and not done and not _is_out_of_reach(frame):
            done = True
            if fault is KeyboardInterrupt:
                # As Ctrl-C does it: no line of Python raises it.
                signal.default_int_handler(signal.SIGINT, frame)
            raise fault

    def again():
        nonlocal done
        done = False
        sys.setprofile(watch)

    sys.setprofile(watch)
    try:
        with dropped(fault, again):
            call()
    except fault:
        return Strike(done, True, entered)
    finally:
        sys.setprofile(None)
        # Interrupted as it leaves its own context, scikit-learn does not restore it.
        sklearn.set_config(**configuration)
    return Strike(done, False, entered)


def _is_out_of_reach(frame):
    if frame.f_code.co_flags & inspect.CO_GENERATOR:
        return True
    for _ in range(4):
        if frame is None:
            return False
        if frame.f_code.co_name in ("__enter__", "__exit__") and "sklearn_svmdl" not in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def moments(call, n):
    """At most n moments of a call, evenly spaced: numbers of functions entered."""
    return np.unique(np.linspace(1, strike(call, -1).entered, n).astype(int)).tolist()


def running_threads():
    """The names of the threads that run Python."""
    return sorted(thread.name for thread in threading.enumerate())


def global_state():
    """What the whole process shares and a fit has no business to change, by name."""
    state = {
        "numpy's generator": [np.asarray(part).tolist() for part in np.random.get_state()],
        "numpy's errors": np.geterr(),
        "numpy's printing": np.get_printoptions(),
        "warning filters": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "environment": dict(os.environ),
        "working directory": os.getcwd(),
        "scikit-learn's configuration": sklearn.get_config(),
        "threads of BLAS and OpenMP": {
            library["filepath"]: library["num_threads"] for library in threadpoolctl.threadpool_info()
        },
        "threads that run": running_threads(),
        "handler of SIGINT": signal.getsignal(signal.SIGINT),
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "joblib's backend": _backend(),
    }
    return {**state, **_torchs()} if "torch" in sys.modules else state


def _backend():
    from joblib.parallel import get_active_backend

    backend, n_jobs = get_active_backend()
    return type(backend).__name__, n_jobs


def _torchs():
    import torch

    return {
        "torch's generator": torch.get_rng_state().tolist(),
        "torch's threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "torch's determinism": torch.are_deterministic_algorithms_enabled(),
        "torch's matmul precision": torch.get_float32_matmul_precision(),
        "torch's anomaly mode": torch.is_anomaly_enabled(),
    }
