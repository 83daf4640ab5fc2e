"""The README's python blocks run, in their order and without a warning."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks():
    """The python blocks of the README."""
    return re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_python_blocks_run(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    found, names = blocks(), {}
    assert found
    for block in found:
        exec(compile(block, str(README), "exec"), names)
