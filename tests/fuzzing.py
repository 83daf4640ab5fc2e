"""Properties that hold for every problem: a few examples of each in the tests, many in fuzz.py."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings

# What is drawn is as large as it is meant to be, and conditions on what was fitted cost a fit.
ORDINARY = dict(deadline=None, database=None, suppress_health_check=list(HealthCheck))
PROPERTIES = []


@dataclass(frozen=True)
class Property:
    """What a function asserts of whatever the strategies draw for it."""

    check: object
    strategies: tuple

    @property
    def name(self):
        return self.check.__name__


def fuzzed(*strategies, examples):
    """A test on so many examples, always the same, and a property for `fuzz.py`."""

    def decorate(check):
        PROPERTIES.append(Property(check, strategies))
        return settings(max_examples=examples, derandomize=True, **ORDINARY)(given(*strategies)(check))

    return decorate
