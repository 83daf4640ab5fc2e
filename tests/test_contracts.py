"""docs/contracts.md lists every test of scikit-learn's, and tests of ours that there are."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import sklearn

HERE = Path(__file__).parent
ORIGINALS = {
    "Support vector machines": ("sklearn.svm.tests.test_svm", "test_contracts_svm.py"),
    "Multi-layer perceptrons": ("sklearn.neural_network.tests.test_mlp", "test_contracts_mlp.py"),
}


def functions_of(path):
    """The names of the test functions of a file."""
    return re.findall(r"^def (test_\w+)", path.read_text(), re.M)


def rows_of(title):
    """The tests of scikit-learn and those of ours that the rows of a table name."""
    text = (HERE.parent / "docs" / "contracts.md").read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [row.split(" | ") for row in text.splitlines() if row.startswith("| `")]
    return [
        (re.findall(r"`(test_\w+)`", first), re.findall(r"`((?:\w+\.py::)?test_\w+)`", last)) for first, _, last in rows
    ]


@pytest.mark.skipif(not sklearn.__version__.startswith("1.9."), reason="the tables are of scikit-learn 1.9")
@pytest.mark.parametrize("title", ORIGINALS)
def test_every_test_of_scikit_learn_is_in_the_table_once(title):
    listed = [name for originals, _ in rows_of(title) for name in originals]
    assert sorted(listed) == sorted(functions_of(Path(find_spec(ORIGINALS[title][0]).origin)))


@pytest.mark.parametrize("title", ORIGINALS)
def test_every_test_of_ours_in_the_table_exists(title):
    own = ORIGINALS[title][1]
    named = {name if "::" in name else f"{own}::{name}" for _, ours in rows_of(title) for name in ours}
    assert len(named) > 10
    for name in named:
        file, _, function = name.partition("::")
        assert function in functions_of(HERE / file), name
