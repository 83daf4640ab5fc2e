"""The tables of wrong changes name text that is there and tests that there are."""

from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from mutants.run import (
    PACKAGE,
    ROOT,
    UNNOTICED,
    UNTRIED,
    Mutant,
    all_mutants,
    asked_for,
    known_results,
    table,
)

TESTS = ROOT / "tests"
SECTIONS = {"svm", "dual", "kernels", "neural_network", "inspection"}


def test_every_old_text_stands_once_in_its_file():
    for mutant in all_mutants():
        mutant.apply((ROOT / PACKAGE / mutant.path).read_text())


def test_every_test_that_ought_to_notice_exists():
    known = {path.name: path.read_text() for path in TESTS.glob("test_*.py")}
    # This one runs tests of scikit-learn.
    known["test_mlp_scikit_learn.py"] = Path(find_spec("sklearn.neural_network.tests.test_mlp").origin).read_text()
    for mutant in all_mutants():
        for test in mutant.tests:
            file, _, name = test.partition("::")
            assert f"def {name.split('[')[0]}(" in known[file] if name else file in known, (mutant.what, test)


def test_every_part_of_the_package_is_changed_many_times_and_no_change_is_listed_twice():
    mutants = all_mutants()
    count = Counter(mutant.path.split("/")[0] for mutant in mutants)
    assert set(count) >= SECTIONS and len(mutants) >= 80
    assert all(count[section] >= 8 for section in SECTIONS), count
    assert len({(mutant.path, mutant.old, mutant.new) for mutant in mutants}) == len(mutants)


def test_a_change_whose_text_is_not_there_once_is_refused():
    mutant = Mutant.of("a.py: a sign\n- x + y\n+ x - y\n? test_a.py")
    assert mutant.apply("z = x + y") == "z = x - y"
    for text in ("z = x - y", "z = x + y + x + y"):
        with pytest.raises(ValueError, match="not once"):
            mutant.apply(text)


def test_an_entry_that_lacks_a_part_is_refused():
    with pytest.raises(ValueError, match="No entry"):
        Mutant.of("a.py: a sign\n- x + y\n? test_a.py")


def test_parts_are_all_of_it_and_have_nothing_in_common():
    parts = [asked_for([], f"{i}/3") for i in (1, 2, 3)]
    assert sorted(mutant.name for part in parts for mutant in part) == sorted(mutant.name for mutant in all_mutants())
    assert {mutant.path for mutant in asked_for(["kernels/blas.py"], "1/1")} == {"kernels/blas.py"}
    with pytest.raises(ValueError, match="1 <= i <= n, got '4/3'"):
        asked_for([], "4/3")


def test_results_are_known_again_and_counted(tmp_path):
    first, second, third = all_mutants()[:3]
    file = tmp_path / "results.tsv"
    assert known_results(file) == known_results(None) == {}
    file.write_text(f"1.0\t{first.name}\ttest_a.py::test_b\n2.0\t{second.name}\t{UNNOTICED}\n")
    became = known_results(file) | {third.name: f"{UNTRIED}: without any change test_c fails"}
    *_, total = table([first, second, third], became)
    assert total.split() == ["in", "all", "3", "1", "0", "1", "1"]
