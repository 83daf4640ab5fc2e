"""The examples run without a display or a warning, and make the table and the picture they promise."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_svmdl

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[1]
LECTURE = sorted((ROOT / "examples" / "lecture").glob("*.py"))
LAB = sorted((ROOT / "examples" / "lab").glob("*.py"))


def run(script, folder):
    """Run a script in a folder; its output."""
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    # pyparsing takes a bare -W as the wish for its advice on grammars, of which matplotlib 3.8's gets some.
    command = [sys.executable, "-W", "error", "-W", "ignore:::pyparsing", str(script)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_first_fit_tells_its_table(tmp_path):
    assert "---" in run(ROOT / "examples" / "first_fit.py", tmp_path)


@pytest.mark.parametrize("script", LECTURE, ids=lambda script: script.stem)
def test_a_step_of_the_lecture_has_two_exercises_with_answers(script):
    """The steps themselves run when the site is built."""
    text = script.read_text(encoding="utf-8").split("# Exercises\n# ---------\n")[1]
    assert re.findall(r"^# \*\*(\d)\.\*\*", text, re.MULTILINE) == ["1", "2"]
    assert len(re.findall(r"^# \.\. dropdown:: Answer\n#\n#    \S", text, re.MULTILINE)) == 2


@pytest.mark.parametrize("script", LECTURE + LAB, ids=lambda script: script.stem)
def test_a_step_uses_what_there_is_and_shows_a_picture(script):
    text = script.read_text(encoding="utf-8")
    names = [alias.name for node in ast.walk(ast.parse(text)) if is_of_ours(node) for alias in node.names]
    assert all(hasattr(sklearn_svmdl, name) for name in names)
    assert "plt.show()" in text and text.startswith('r"""\n')


def is_of_ours(node):
    """Whether a node imports names of this package."""
    return isinstance(node, ast.ImportFrom) and node.module == "sklearn_svmdl"


def test_demo_fills_its_table_from_rows(tmp_path):
    """One small data set in place of the demo's four."""
    short = tmp_path / "short.py"
    short.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'examples')!r})\nimport demo\n"
        "demo.DATA = {'iris': demo.DATA['iris']}\ndemo.BUDGETS[:] = demo.COSTS[:] = [0.1]\n"
        "demo.main()\n"
    )
    first, output = run(short, tmp_path).split("Tuned:")
    rows = [line for line in first.splitlines() if line.startswith(("iris ", "wine ", "breast cancer "))]
    alike = [re.search(r" (\d+) of (\d+) ", line).groups() for line in rows]
    assert len(alike) == 3 and all(same == total for same, total in alike)
    models = [line.split()[1] for line in output.splitlines() if line.startswith("iris ")]
    assert models == ["BudgetSVC", "SVC"]
    pictures = output.split("Pictures: ")[1].split(" and ")
    assert len(pictures) == 2 and all((tmp_path / picture.strip()).stat().st_size > 0 for picture in pictures)


def test_demo_of_regression_draws_its_pictures(tmp_path):
    """One small data set in place of the demo's three."""
    short = tmp_path / "short.py"
    short.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'examples')!r})\nimport demo_regression as demo\n"
        "demo.DATA = {'sine': demo.noisy_sine}\ndemo.COSTS[1:] = []\ndemo.GAMMAS[1:] = []\n"
        "demo.main()\n"
    )
    output = run(short, tmp_path)
    assert [line.split()[1] for line in output.splitlines() if line.startswith("sine ")] == ["BudgetSVR", "SVR"]
    pictures = output.split("Pictures: ")[1].split(" and ")
    assert len(pictures) == 2 and all((tmp_path / picture.strip()).stat().st_size > 0 for picture in pictures)
