"""What a solve takes, counted: kernel values, factorisations, pivots, interior steps and pair steps."""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

# Where tallies that begin in this context are entered, None where no one follows.
_FOLLOWED = ContextVar("followed", default=None)


@contextmanager
def followed():
    """A list of the tallies that begin within the block, for another thread to read while the solve goes on."""
    tallies = []
    token = _FOLLOWED.set(tallies)
    try:
        yield tallies
    finally:
        _FOLLOWED.reset(token)


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
        tallies = _FOLLOWED.get()
        if tallies is not None:
            tallies.append(self)

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
