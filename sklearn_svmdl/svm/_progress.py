"""Lines about a solve that is under way."""

from contextlib import contextmanager
from threading import Event, Thread
from time import perf_counter

from ..dual.solve import solve
from ..dual.work import followed

# Seconds between two lines.
_INTERVAL = 1.0


def watched_solve(name, n_samples, problem, limits):
    """`solve`, with a line a second about where it is."""
    start = perf_counter()
    with followed() as tallies:

        def tell():
            if tallies:
                seconds = f"{perf_counter() - start:.0f} s"
                line = tallies[-1].line()
                print(f"{name}: {seconds}, {n_samples} samples, {line}", flush=True)

        with _every(tell):
            return solve(problem, **limits)


@contextmanager
def _every(call):
    """Call a function every `_INTERVAL` seconds, from another thread, until the block ends."""
    done = Event()

    def run():
        """Until the block is done."""
        while not done.wait(_INTERVAL):
            call()

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
