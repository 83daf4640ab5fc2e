"""What all benchmarks share: taking turns at the clock, Markdown tables, and the machine they ran on."""

import os
import platform
import sys
from datetime import date
from pathlib import Path
from time import perf_counter

import numpy as np
import scipy
import sklearn
from threadpoolctl import threadpool_info

RESULTS = Path(__file__).parent / "results"
_MOST_RUNS = 51
# Short calls are repeated until about this many seconds are spent: their noise is relatively larger.
_SECONDS = 3.0


def seconds(call):
    """Wall time of one call."""
    start = perf_counter()
    call()
    return perf_counter() - start


def interleaved(calls, *, quick=False):
    """Medians of the calls' wall times, taken in turns within this process, and the number of turns.

    Parameters
    ----------
    calls : sequence of callables
    quick : bool, a single turn

    Returns
    -------
    medians : list of float, seconds
    n_turns : int
    """
    turns = [[seconds(call) for call in calls]]
    n_turns = 1 if quick else _turns(sum(turns[0]))
    turns += [[seconds(call) for call in calls] for _ in range(n_turns - 1)]
    return [float(time) for time in np.median(turns, axis=0)], n_turns


def _turns(duration):
    """How many turns to take when one takes so many seconds: 5 or more, less where one takes minutes."""
    fewest = 5 if duration < 20.0 else 3 if duration < 60.0 else 1
    return int(np.clip(_SECONDS / duration, fewest, _MOST_RUNS))


def markdown(header, rows):
    """A Markdown table of strings."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def header():
    """The machine and the versions, in one line."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    blas = {f"{pool['internal_api']} {pool['version']}" for pool in pools}
    threads = max((pool["num_threads"] for pool in pools), default=1)
    return (
        f"{date.today():%Y-%m}; {_processor()}, {os.cpu_count()} cores, {threads} BLAS thread(s); "
        f"Python {platform.python_version()}, numpy {np.__version__} ({', '.join(sorted(blas))}), "
        f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}."
    )


def _processor():
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def say(text):
    """Tell how far a long run is, apart from its result."""
    print(text, file=sys.stderr, flush=True)


def write(name, text):
    """Keep a result in `RESULTS`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
