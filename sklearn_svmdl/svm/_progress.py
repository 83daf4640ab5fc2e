"""Lines about a solve that is under way, a bar of a search, and what callbacks are told."""

from contextlib import contextmanager
from threading import Event, Thread
from time import perf_counter

from tqdm import tqdm

from ..dual.solve import solve
from ..dual.work import followed

# Seconds between two lines.
_INTERVAL = 1.0


def watched_solve(name, n_samples, problem, limits):
    """`solve`, with a line a second about where it is."""
    start = perf_counter()
    with followed() as tallies:

        def tell():
            """Print where the solve is, once it has begun."""
            if tallies:
                seconds = f"{perf_counter() - start:.0f} s"
                line = tallies[-1].line()
                print(f"{name}: {seconds}, {n_samples} samples, {line}", flush=True)

        with _every(tell):
            return solve(problem, **limits)


def gathered(name, running, total, *, at_least, verbose, steps):
    """The results of jobs in their order, with a bar of the time that is left; fewer if a callback asks to stop.

    Parameters
    ----------
    name : str, what the bar is called
    running : generator of the results
    total : int, how many there will be
    at_least : int, a stop waits for so many
    verbose : bool or int, whether to draw the bar
    steps : `_callbacks.Steps`, or None where nobody listens
    """
    found, stop = [], False
    for result in tqdm(running, total=total, desc=name, unit="fold", disable=not verbose):
        found.append(result)
        if steps is not None:
            steps.begin()
            stop |= steps.end()
        if stop and len(found) >= at_least:
            running.close()
            break
    return found


@contextmanager
def stoppable(steps):
    """Tell callbacks of every second of solving within the block; solves end at their best point if one asks to stop.

    Solves in other threads than the caller's are told of, but not stopped.

    Parameters
    ----------
    steps : `_callbacks.Steps`, or None where nobody listens
    """
    if steps is None:
        yield
        return
    with followed() as tallies:
        stops = []

        def tell():
            """The second is over; a stop holds for the solves to come as well."""
            stops.append(steps.end())
            if any(stops):
                for tally in tallies:
                    tally.most = 0
            steps.begin()

        steps.begin()
        with _every(tell):
            yield
    steps.end()


@contextmanager
def _every(call):
    """Call a function every `_INTERVAL` seconds, from another thread, until the block ends."""
    done = Event()

    def run():
        """Until the block is done."""
        while not done.wait(_INTERVAL):
            call()

    thread = Thread(target=run, daemon=True)
    try:
        thread.start()
        yield
    finally:
        done.set()
        if thread.is_alive():
            thread.join()
