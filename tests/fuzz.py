"""Try all properties on problems never seen before, for FUZZ_SECONDS (300): `make fuzz`.

Every property takes turns of a few examples, each with a new seed. Where one fails the example is made as small as it
gets, and printed as a script that shows the failure again; the property then takes no more turns. FUZZ_SEED repeats a
whole run, FUZZ_ONLY takes the properties with this in their name.
"""

import os
import random
import sys
import time
import traceback
import warnings

import hypothesis
import numpy as np
import test_differential  # noqa: F401
import test_properties  # noqa: F401
from fuzzing import ORDINARY, PROPERTIES
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable, UnsatisfiedAssumption

EXAMPLES_A_TURN = 20


class Turns:
    """A property's turns: how many examples it has seen, and the last that failed."""

    def __init__(self, prop):
        self.prop, self.n_examples, self.seconds, self.failed = prop, 0, 0.0, None

    def take(self, seed):
        """One turn; the exception of a failure, None where there is none."""

        def counted(drawn):
            self.n_examples += 1
            try:
                self.prop.check(*drawn)
            except UnsatisfiedAssumption:
                raise
            except Exception:
                self.failed = drawn
                raise

        few = settings(max_examples=EXAMPLES_A_TURN, report_multiple_bugs=False, print_blob=False, **ORDINARY)
        start = time.monotonic()
        try:
            hypothesis.seed(seed)(few(given(st.tuples(*self.prop.strategies))(counted)))()
        except Unsatisfiable:
            return None
        except Exception as error:
            return error
        finally:
            self.seconds += time.monotonic() - start

    def script(self):
        """What shows the failure again, from tests/."""
        check, values = self.prop.check, ",\n    ".join(map(repr, self.failed))
        return (
            f"import numpy as np\nfrom numpy import array\nfrom problems import *\n"
            f"from {check.__module__} import {check.__name__}\n"
            f"{check.__name__}.hypothesis.inner_test(\n    {values},\n)"
        )


def main():
    """Fuzz until the time is up; the exit status says whether all properties held."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "300"))
    seed = int(os.environ.get("FUZZ_SEED", random.SystemRandom().randrange(2**32)))
    only = os.environ.get("FUZZ_ONLY", "")
    print(f"FUZZ_SEED={seed} FUZZ_SECONDS={seconds:g}", flush=True)
    warnings.simplefilter("error")
    np.set_printoptions(threshold=sys.maxsize)
    seeds, end = random.Random(seed), time.monotonic() + seconds
    every = [Turns(prop) for prop in PROPERTIES if only in prop.name]
    left = list(every)
    while left and time.monotonic() < end:
        turns = min(left, key=lambda turns: turns.seconds)
        error = turns.take(seeds.randrange(2**32))
        if error is not None:
            left.remove(turns)
            report(turns, error)
    for turns in every:
        print(f"{turns.n_examples:7d} examples  {'FAILED' if turns.failed else 'held  '}  {turns.prop.name}")
    print(f"{sum(turns.n_examples for turns in every)} examples in all")
    return int(any(turns.failed for turns in every))


def report(turns, error):
    """Print what failed, and what shows it again."""
    print(f"\n{'=' * 20} {turns.prop.name}\n{turns.script()}\n{'-' * 20}")
    # What hypothesis notes is the example once more, rounded.
    error.__notes__ = []
    traceback.print_exception(error, limit=-3)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
