"""Lines about a solve that is under way, a bar of a search, and what callbacks are told."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from time import perf_counter

from sklearn.utils.parallel import Parallel, delayed
from tqdm import tqdm

from ..dual.solve import solve
from ..dual.work import watched

# Seconds between two lines, or two tasks.
_INTERVAL = 1.0


def watched_solve(name, n_samples, problem, limits):
    """`solve`, with a line a second about where it is."""
    start = perf_counter()
    with watched() as watch:

        def tell():
            """Print where the solve is, once it has begun."""
            if watch.tallies:
                seconds = f"{perf_counter() - start:.0f} s"
                line = watch.tallies[-1].line()
                print(f"{name}: {seconds}, {n_samples} samples, {line}", flush=True)

        with _every(tell):
            return solve(problem, **limits)


def gathered(name, function, jobs, *, at_least, n_jobs, verbose, steps):
    """The function's results for jobs in their order, with a bar of the time that is left.

    If a callback asks to stop no further job begins; those under way in other processes or threads are completed.

    Parameters
    ----------
    name : str, what the bar is called
    function : callable
    jobs : list of tuples of its arguments
    at_least : int, a stop waits for so many jobs
    n_jobs : int or None, number of processes
    verbose : bool or int, whether to draw the bar
    steps : `_callbacks.Steps`, or None where nobody listens
    """
    found, stop = [], False

    def to_begin():
        """The jobs as they are taken up, until a stop."""
        for number, job in enumerate(jobs):
            if stop and number >= at_least:
                return
            yield delayed(function)(*job)

    running = Parallel(n_jobs=n_jobs, return_as="generator")(to_begin())
    # Even a bar that shows nothing starts a thread.
    for result in tqdm(running, total=len(jobs), desc=name, unit="task") if verbose else running:
        found.append(result)
        if steps is not None:
            steps.begin()
            stop |= steps.end()
    return found


@contextmanager
def stoppable(steps):
    """Tell callbacks of every second of solving within the block; solves end at their best point if one asks to stop.

    Those that have not begun then end where they begin. They are stopped where they are `Watched` in other threads,
    too, but not in other processes.

    Parameters
    ----------
    steps : `_callbacks.Steps`, or None where nobody listens
    """
    if steps is None:
        yield
        return
    with watched() as watch:

        def tell():
            """The second is over. Where a callback fails, too, there is nothing to go on for."""
            stop = True
            try:
                stop = steps.end()
            finally:
                if stop:
                    watch.stop()
            steps.begin()

        steps.begin()
        with _every(tell):
            yield
    steps.end()


@contextmanager
def _every(call):
    """Call a function every `_INTERVAL` seconds, from another thread, until the block ends; raise what it raises."""
    done = Event()

    def run():
        """Until the block is done."""
        while not done.wait(_INTERVAL):
            call()

    with ThreadPoolExecutor(1) as thread:
        try:
            running = thread.submit(run)
            yield
        finally:
            done.set()
        running.result()
