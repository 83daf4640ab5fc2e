"""What all benchmarks share: taking turns at the clock, Markdown tables, and the machine they ran on."""

import os
import platform
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import scipy
import sklearn
from threadpoolctl import threadpool_info

RESULTS = Path(__file__).parent / "results"
_MOST_RUNS = 51
# Up to so many samples a problem of a corpus is small. The median and the 95th percentile of the ratios that are aimed
# at, beyond and up to it.
_SMALL, _GOALS = 300, {"more than": (1.0, 3.0), "up to": (2.0, 5.0)}
# Short calls are repeated until about this many seconds are spent: their noise is relatively larger.
_SECONDS = 3.0


@dataclass(frozen=True)
class Comparison:
    """Median times of two calls.

    Parameters
    ----------
    ours, theirs : float, seconds of wall time
    ratio : float, ours / theirs
    cpu_ratio : float, the same of the processor's time, which waiting for a busy machine does not lengthen
    turns : int, how often each call was timed
    """

    ours: float
    theirs: float
    ratio: float
    cpu_ratio: float
    turns: int


def seconds(call):
    """Wall and processor time of one call."""
    wall, cpu = perf_counter(), process_time()
    call()
    return perf_counter() - wall, process_time() - cpu


def compare(ours, theirs, *, quick=False):
    """Time two calls in turns, in this process.

    Parameters
    ----------
    ours, theirs : callables
    quick : bool, a single turn

    Returns
    -------
    Comparison
    """
    turns = [(seconds(ours), seconds(theirs))]
    n_turns = 1 if quick else _turns(turns[0][0][0] + turns[0][1][0])
    turns += [(seconds(ours), seconds(theirs)) for _ in range(n_turns - 1)]
    (our_wall, our_cpu), (their_wall, their_cpu) = np.median(turns, axis=0).tolist()
    return Comparison(our_wall, their_wall, our_wall / their_wall, our_cpu / their_cpu, n_turns)


def _turns(duration):
    """How many turns to take when one takes so many seconds: 5 or more, less where one takes minutes."""
    fewest = 5 if duration < 20.0 else 3 if duration < 60.0 else 1
    return int(np.clip(_SECONDS / duration, fewest, _MOST_RUNS))


def markdown(header, rows):
    """A Markdown table of strings."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def by_size(counts, ratios):
    """What came of the ratios of a corpus, a line for the larger problems and one for the small, by their samples."""
    counts, ratios, lines = np.asarray(counts), np.asarray(ratios), []
    for size, (median, most) in _GOALS.items():
        some = ratios[(counts > _SMALL) == (size == "more than")]
        if len(some):
            of = np.percentile(some, [50, 95, 100])
            lines.append(
                f"* {len(some)} cells of {size} {_SMALL} samples: median ratio {of[0]:.2f} (goal {median:g}), "
                f"95 % within {of[1]:.1f} (goal {most:g}), worst {of[2]:.1f}"
            )
    return lines


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
