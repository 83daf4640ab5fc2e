"""What verbose=1 prints while a fit is under way."""

from threading import Event, active_count

import pytest
from sklearn.datasets import make_moons

from sklearn_svmdl import BudgetSVC
from sklearn_svmdl.dual.work import Tally, watched
from sklearn_svmdl.svm import _progress


@pytest.fixture
def moons():
    return make_moons(200, noise=0.3, random_state=0)


def test_a_long_solve_tells_where_it_is(moons, monkeypatch):
    lines, enough = [], Event()

    def heard(text, flush):
        lines.append(text)
        if len(lines) == 3:
            enough.set()

    def slow(problem, **limits):
        tally = Tally()
        tally.kernel_values, tally.interior_steps, tally.pivots, tally.gap = 4000, 7, 2, 0.25
        # It lasts as long as three lines take to come.
        assert enough.wait(60)
        return solve(problem, **limits)

    solve = _progress.solve
    monkeypatch.setattr(_progress, "solve", slow)
    monkeypatch.setattr(_progress, "print", heard, raising=False)
    monkeypatch.setattr(_progress, "_INTERVAL", 1e-3)
    X, y = moons
    BudgetSVC(verbose=1).fit(X, y)
    assert lines[0] == (
        "[BudgetSVC] 1/1 0 vs 1: 0 s, 200 samples, 4,000 kernel values, 7 interior steps, 2 pivots, relative gap 0.25"
    )
    # Once it has ended nothing more is said.
    told = len(lines)
    BudgetSVC().fit(X, y)
    assert len(lines) == told


def test_the_lines_end_with_a_solve_that_fails(moons, monkeypatch):
    def failing(problem, **limits):
        raise RuntimeError("no")

    monkeypatch.setattr(_progress, "solve", failing)
    before = active_count()
    with pytest.raises(RuntimeError, match="no"):
        BudgetSVC(verbose=1).fit(*moons)
    assert active_count() == before


def test_nothing_is_printed_unless_asked_for(moons, capfd):
    BudgetSVC(C=60).fit(*moons)
    assert capfd.readouterr() == ("", "")


def test_tallies_are_watched_within_the_block_only():
    with watched() as outer:
        first = Tally()
        with watched() as inner:
            second = Tally()
        third = Tally()
    Tally()
    # Who watches from without sees what happens within.
    assert [tally is seen for tally, seen in zip(outer.tallies, (first, second, third), strict=True)] == [True] * 3
    assert inner.tallies[0] is second and len(inner.tallies) == 1
    assert first.line() == "0 kernel values, no steps yet"
