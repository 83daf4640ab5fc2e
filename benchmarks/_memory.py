"""Peak memory of one fit, measured in a process of its own, or by a thread that looks on."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

_STATUS = Path("/proc/self/status")
# Seconds between two looks.
_EVERY = 0.005

_PROGRAM = """
import json, sys
from pathlib import Path
from benchmarks.datasets import made_up
from sklearn_svmdl import BudgetSVC

def megabytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))

n_samples, C, cache_size = json.loads(sys.argv[1])
X, y = made_up(n_samples, 20)
warm = BudgetSVC(unit="relative", C=0.2).fit(X[:200], y[:200])
start = megabytes("VmRSS")
BudgetSVC(C=C, cache_size=cache_size).fit(X, y)
print(megabytes("VmHWM") - start)
"""


def peak_megabytes(n_samples, C, cache_size):
    """Megabytes that a fit takes above the start of it; None where the system does not tell."""
    if not _STATUS.exists():
        return None
    command = [sys.executable, "-c", _PROGRAM, json.dumps([n_samples, C, cache_size])]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@contextmanager
def resident_memory():
    """A record whose `most` are the megabytes that this process comes to hold within the block above those before it.

    nan where the system does not tell.
    """
    record, before, ended = SimpleNamespace(most=float("nan")), _resident(), Event()

    def look():
        record.most = 0.0
        while not ended.wait(_EVERY):
            record.most = max(record.most, _resident() - before)

    looker = Thread(target=look)
    if _STATUS.exists():
        looker.start()
    try:
        yield record
    finally:
        ended.set()
        if looker.ident is not None:
            looker.join()


def _resident():
    """Megabytes that this process holds; nan where the system does not tell."""
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), float("nan"))
