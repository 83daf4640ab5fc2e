"""What users see of a fit's troubles: one warning of a kind, at their own line, in words that are true."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_blobs, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetWarning, budget_path

ROOT = Path(__file__).parents[1]


@pytest.fixture
def overlapping():
    """Two classes that no straight line separates."""
    return make_blobs(n_samples=60, centers=[[-1, 0], [1, 0]], cluster_std=1.0, random_state=0)


WAYS = {
    "fit": lambda X, y: BudgetSVC(C=0, kernel="linear").fit(X, y),
    "fit_predict": lambda X, y: BudgetSVC(C=0, kernel="linear").fit(X, y).predict(X),
    "pipeline": lambda X, y: make_pipeline(StandardScaler(), BudgetSVC(C=0, kernel="linear")).fit(X, y),
    "search": lambda X, y: GridSearchCV(BudgetSVC(C=0, kernel="linear"), {"C": [0]}, cv=2).fit(X, y),
    "search in threads": lambda X, y: cross_val_score(BudgetSVC(C=0, kernel="linear"), X, y, cv=2),
    "path": lambda X, y: budget_path(X, y, Cs=[0], kernel="linear"),
    "cv": lambda X, y: BudgetSVCCV([0.0], unit="relative", kernel="linear", cv=2).fit(X, y),
}


@pytest.mark.parametrize("way", WAYS)
def test_warnings_point_to_the_line_of_the_user(way, overlapping):
    with pytest.warns(BudgetWarning, match="infeasible") as caught:
        WAYS[way](*overlapping)
    line = WAYS[way].__code__.co_firstlineno
    assert {(record.filename, record.lineno) for record in caught} == {(__file__, line)}


@pytest.mark.parametrize("unit, least, largest", [("total", 1.0, 60.0), ("relative", 1 / 60, 1.0)])
def test_numbers_are_in_the_unit_of_the_user(unit, least, largest, overlapping):
    X, y = overlapping
    (low,), _ = BudgetSVC(kernel="linear").feasible_budget(X, y)
    expected = (
        f"C=0.01 is infeasible: no hyperplane has a total slack below C_min={least * low:.6g}. C is a budget on the "
        f"total slack.*: larger is softer.*Feasible: (.*) <= C < {largest:g}. .*spends {least * low:.5g}"
    )
    with pytest.warns(BudgetWarning, match=expected) as caught:
        BudgetSVC(C=0.01, unit=unit, kernel="linear").fit(X, y)
    assert len(caught) == 1
    smallest = float(re.search(expected, str(caught[0].message)).group(1))
    assert least * low <= smallest <= least * low * (1 + 1e-5)
    # What it says is feasible is: no warning is left.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = BudgetSVC(C=smallest, unit=unit, kernel="linear").fit(X, y)
        BudgetSVC(C=largest * (1 - 1e-9), unit=unit, kernel="linear").fit(X, y)
        # And so is what it says to write instead.
        BudgetSVC(C=0.01, unit="cost", kernel="linear").fit(X, y)
    assert np.isfinite(model.margin_).all()


def test_of_several_problems_the_range_holds_for_all_or_there_is_none():
    X, y = make_blobs([40, 60, 25], centers=[[-1, 0], [1, 0], [0, 1]], random_state=0)
    with pytest.warns(BudgetWarning, match="infeasible in 3 of 3 binary problems .*Feasible: ") as caught:
        BudgetSVC(C=1, kernel="linear").fit(X, y)
    low, high = str(caught[0].message).split("Feasible: ")[1].split(". Returned")[0].split(" <= C < ")
    for C, is_fine in ((float(low) * 1.001, True), (float(high) * 0.999, True), (float(low) * 0.99, False)):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            BudgetSVC(C=C, kernel="linear").fit(X, y)
        assert (len(found) == 0) == is_fine
    X, y = make_blobs([100, 100, 8], centers=[[-1, 0], [1, 0], [8, 8]], cluster_std=2.0, random_state=0)
    with pytest.warns(BudgetWarning, match="infeasible .*No single C is feasible for all of them"):
        BudgetSVC(C=1, kernel="linear").fit(X, y)


def test_out_of_reach_is_not_called_feasible():
    X, y = make_moons(400, noise=0.5, random_state=1)
    with pytest.warns(BudgetWarning, match="out of numerical reach.*margin below.*Feasible: ") as caught:
        model = BudgetSVC(C=0, gamma=0.01).fit(X, y)
    low = float(str(caught[0].message).split("Feasible: ")[1].split(" <=")[0])
    assert low == pytest.approx(model.budget_[0], rel=1e-5) and low > 0


@pytest.mark.parametrize("C, unit, softer", [(1.0, "total", "a larger C"), (100.0, "cost", "a smaller C")])
def test_advice_on_the_solver_follows_the_unit(C, unit, softer, overlapping):
    with pytest.warns(ConvergenceWarning, match=f"max_iter=2 iterations .*Raise max_iter or tol, or try {softer}"):
        BudgetSVC(C=C, unit=unit, solver="smo", max_iter=2).fit(*overlapping)


SCRIPT = """
import warnings
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn_svmdl import BudgetSVC
X, y = make_blobs(n_samples=60, centers=[[-1, 0], [1, 0]], cluster_std=1.0, random_state=0)
{more}
search = GridSearchCV(BudgetSVC(kernel="linear"), {{"C": [0.0, 0.1, 0.2, 1000.0]}}, cv=5, refit=False)
search.fit(X, y)
search.fit(X, y)
"""


def shown(more, *options):
    """What a script shows of its warnings."""
    command = [sys.executable, *options, "-c", SCRIPT.format(more=more)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_search_shows_one_of_a_kind_and_how_to_see_all():
    code, text = shown("")
    assert code == 0
    # Two kinds, at either of two lines.
    assert text.count("BudgetWarning: ") == 4
    assert text.count(" is infeasible: ") == 2 and text.count("misclassifying a whole class") == 2
    assert text.count("warnings.simplefilter('always', BudgetWarning) shows all") == 4
    code, text = shown("from sklearn_svmdl import BudgetWarning; warnings.simplefilter('always', BudgetWarning)")
    # Four candidates, five folds, two searches; nothing is said twice.
    assert text.count("BudgetWarning: ") == 40 and "shows all" not in text


IN_PROCESSES = """
from sklearn.svm import SVC
from sklearn_svmdl import BudgetSVCCV
settings = dict(cv=4, refit=False, n_jobs={n_jobs})
{search}.fit(X, y)
raise SystemExit
"""
SEARCHES = {
    "our own": "BudgetSVCCV([10.0, 100.0], gammas=1, max_iter=1, **settings)",
    "of ours": "GridSearchCV(BudgetSVC(unit='cost', max_iter=1), {'C': [1.0, 10.0, 100.0]}, **settings)",
    "of SVC": "GridSearchCV(SVC(max_iter=2), {'C': [1.0, 10.0, 100.0]}, **settings)",
}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_searches_in_processes_show_one_of_a_kind_or_one_each(n_jobs):
    """A process of somebody else's search cannot tell the others what it has shown; SVC shows the same of every fit."""
    counts = {}
    for name, search in SEARCHES.items():
        code, text = shown(IN_PROCESSES.format(n_jobs=n_jobs, search=search))
        assert code == 0, text
        counts[name] = text.count("ConvergenceWarning: ")
    assert counts["our own"] == 1 and 1 <= counts["of ours"] <= n_jobs and counts["of SVC"] == 12


def test_filters_are_respected_in_a_search():
    assert shown("", "-W", "ignore")[1] == ""
    _, text = shown("search = GridSearchCV(BudgetSVC(C=0, kernel='linear'), {'C': [0]}, cv=2).fit(X, y)", "-W", "error")
    assert "All the 2 fits failed" in text and "is infeasible" in text


def test_equal_lines_of_other_code_are_told_again(overlapping):
    X, y = overlapping
    cell = "cross_val_score(BudgetSVC(C=0, kernel='linear'), X, y, cv=2)"
    names = {"cross_val_score": cross_val_score, "BudgetSVC": BudgetSVC, "X": X, "y": y, "__name__": "cells"}
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            exec(compile(cell, "<cell>", "exec"), names)
        assert len(caught) == 1


def test_of_several_infeasible_problems_the_worst_is_described():
    X = np.array([0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 2.5, 3.5, 2.8, 10.0, 11.0, 12.0])[:, None]
    y = np.repeat(["a", "b", "c"], 4)
    model = BudgetSVC(C=0.01, kernel="linear")
    least, _ = model.feasible_budget(X, y)
    assert len(set(least.round(6))) == 3 and least.min() > 0.01
    worst = ["a vs b", "a vs c", "b vs c"][least.argmax()]
    with pytest.warns(BudgetWarning, match=f"in 3 of 3 binary problems .numbers of the worst, {worst}.") as caught:
        model.fit(X, y)
    assert f"C_min={least.max():.6g}" in str(caught[0].message)


@pytest.mark.parametrize("limit, advice", [({"max_iter": 2}, "Raise max_iter or tol"), ({"tol": 1e-30}, "Raise tol")])
def test_advice_to_raise_max_iter_is_given_where_it_was_used_up(limit, advice):
    X, y = make_moons(80, noise=0.4, random_state=0)
    with pytest.warns(ConvergenceWarning, match=advice):
        BudgetSVC(**limit).fit(X, y)
