"""A progress bar: redrawn in place on a terminal, one line for each finished task in a log file."""

import sys
from time import perf_counter

_WIDTH = 24
# Seconds between two drawings: a terminal is slower than a small fit.
_REDRAW = 0.1


class Progress:
    """Counts the steps of one task after the other.

    Parameters
    ----------
    n_tasks : int, number of tasks to come
    """

    def __init__(self, n_tasks):
        self.n_tasks = n_tasks
        self.task = 0
        self.live = sys.stdout.isatty()

    def begin(self, name, n_steps):
        """Begin the next task, of `n_steps` steps."""
        self.task += 1
        self.name, self.n_steps, self.step = name, n_steps, 0
        self.start, self.drawn = perf_counter(), 0.0

    def tick(self):
        """Count one step."""
        self.step += 1
        if self.live and perf_counter() - self.drawn > _REDRAW:
            self._draw(end="")
            self.drawn = perf_counter()

    def end(self):
        """End the task."""
        self._draw(end="\n")

    def _draw(self, end):
        full = _WIDTH * min(self.step, self.n_steps) // self.n_steps
        bar = "#" * full + "." * (_WIDTH - full)
        back = "\r" if self.live else ""
        print(
            f"{back}[{self.task}/{self.n_tasks}] {self.name:<28} |{bar}| {self.step:4d}/{self.n_steps} fits "
            f"{perf_counter() - self.start:5.1f} s",
            end=end,
            flush=True,
        )
