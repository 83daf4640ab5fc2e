"""What a solve takes, counted: kernel values, factorisations, pivots, interior steps and pair steps."""

from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import NamedTuple

# The watches that tallies which begin in this context are entered in.
_WATCHES = ContextVar("watches", default=())


class Watch:
    """The tallies that begin while somebody watches, for another thread to read, or to stop, while the solves go on."""

    def __init__(self):
        self.tallies, self.stopped = [], False

    def enter(self, tally):
        """Take up a tally that begins."""
        self.tallies.append(tally)
        if self.stopped:
            tally.most = 0

    def stop(self):
        """Leave no iteration to the solves, those under way and those to come: each ends at its best point."""
        self.stopped = True
        for tally in self.tallies:
            tally.most = 0


@contextmanager
def watched():
    """A `Watch` of the tallies that begin within the block, besides those that watch it from without."""
    watch = Watch()
    token = _WATCHES.set((*_WATCHES.get(), watch))
    try:
        yield watch
    finally:
        _WATCHES.reset(token)


@contextmanager
def stopped_if_left():
    """Solves that began within the block in other threads, `Watched`, end soon where an exception leaves it: Ctrl-C
    reaches one thread alone."""
    with watched() as watch:
        try:
            yield
        except BaseException:
            watch.stop()
            raise


def is_stopped():
    """Whether who watches has stopped the solves of this context."""
    return any(watch.stopped for watch in _WATCHES.get())


class Watched:
    """A function to call in another thread, watched by whoever watches here; in another process nobody does."""

    # What wraps it would take over a __dict__, and a context goes to no other process.
    __slots__ = ("_context", "_function")

    def __init__(self, function):
        self._function, self._context = function, copy_context()

    def __call__(self, *args):
        return self._context.copy().run(self._function, *args)

    def __reduce__(self):
        return Watched, (self._function,)


class Work(NamedTuple):
    """What a solve took.

    kernel_values : kernel values evaluated (the linear kernel's sums in d dimensions count one a sample)
    factored : the order of every matrix that was factorised
    pivots : rounds of the active set
    interior_steps : Newton steps of the interior point method
    pair_steps : pair steps and steps in lam of the coordinate ascent
    """

    kernel_values: int = 0
    factored: tuple = ()
    pivots: int = 0
    interior_steps: int = 0
    pair_steps: int = 0

    @property
    def iterations(self):
        """Iterations of every kind."""
        return self.pivots + self.interior_steps + self.pair_steps

    def __str__(self):
        largest = f" (largest {max(self.factored)})" if self.factored else ""
        return (
            f"{self.kernel_values:,} kernel values, {len(self.factored)} factorisations{largest}, "
            f"{self.pivots} pivots, {self.interior_steps} interior steps, {self.pair_steps} pair steps"
        )


@dataclass
class Tally:
    """Counts while a solve is under way, and the most iterations it may take.

    `gap` is the relative duality gap where a solver last knew it, or what is left of the residuals where that is more;
    nan until then.
    """

    most: float = float("inf")
    kernel_values: int = 0
    pivots: int = 0
    interior_steps: int = 0
    pair_steps: int = 0
    gap: float = float("nan")

    def __post_init__(self):
        self.factored = []
        for watch in _WATCHES.get():
            watch.enter(self)

    @property
    def left(self):
        """Iterations that may still be taken; none, too, where who watches has lowered `most` in the meantime."""
        return max(self.most - self.pivots - self.interior_steps - self.pair_steps, 0)

    def line(self):
        """Where the solve is, in words."""
        stages = {"interior steps": self.interior_steps, "pair steps": self.pair_steps, "pivots": self.pivots}
        taken = ", ".join(f"{count} {stage}" for stage, count in stages.items() if count)
        gap = "" if self.gap != self.gap else f", relative gap {self.gap:.2g}"
        return f"{self.kernel_values:,} kernel values, {taken or 'no steps yet'}{gap}"

    def done(self):
        """The counts so far, as a record."""
        return Work(self.kernel_values, tuple(self.factored), self.pivots, self.interior_steps, self.pair_steps)
