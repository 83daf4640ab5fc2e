"""The examples run, and show what they are there to show."""

import importlib.util
import re
from pathlib import Path

import pytest
import sklearn

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def load(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lecture():
    return load("lecture_networks")


@pytest.mark.parametrize("gate", ["OR", "AND"])
def test_a_perceptron_learns_or_and_and(lecture, gate):
    assert lecture.learns((), gate, random_state=0)


def test_no_perceptron_learns_xor(lecture):
    assert not any(lecture.learns((), "XOR", random_state=seed) for seed in range(5))


def test_three_hidden_neurons_learn_xor(lecture):
    assert sum(lecture.learns((3,), "XOR", random_state=seed) for seed in range(5)) >= 3


def test_the_watched_network_prints_the_keras_columns(lecture, capsys):
    lecture.watched_network()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert float(lines[-2].split()[2]) > 0.98


def test_the_demo_rows_compare_both_networks():
    demo = load("demo_mlp")
    rows = demo.mlp_rows()
    assert {row[1] for row in rows} == {"TorchMLPClassifier", "MLPClassifier"}
    assert all(len(row) == len(demo.COLUMNS) and float(row[4]) > 0.9 for row in rows)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_code_of_the_guide_runs():
    names = {}
    with sklearn.config_context():
        for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "mlp.md").read_text(), re.DOTALL):
            exec(block, names)  # the guide is ours; its blocks build on each other
    assert names["pipeline"][-1].best_validation_score_ > 0.9
