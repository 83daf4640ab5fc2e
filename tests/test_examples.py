"""The examples run without a display or a warning, and make the table and the picture they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[1]
PICTURES = {
    "budget_and_margin": "budget_and_margin.png",
    "feasible_budgets": None,
    "first_fit": None,
    "kernels": "kernels.png",
    "maximal_margin": "maximal_margin.png",
    "tube": "tube.png",
}


def run(script, folder):
    """Run a script in a folder; its output."""
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("name", PICTURES)
def test_example_runs(name, tmp_path):
    assert "---" in run(ROOT / "examples" / f"{name}.py", tmp_path)
    if PICTURES[name] is not None:
        assert (tmp_path / "demo_output" / PICTURES[name]).stat().st_size > 0


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
    assert (tmp_path / "demo_output" / "budgets.png").stat().st_size > 0
