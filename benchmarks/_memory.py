"""Peak memory of one fit, measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

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
    if not Path("/proc/self/status").exists():
        return None
    command = [sys.executable, "-c", _PROGRAM, json.dumps([n_samples, C, cache_size])]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
