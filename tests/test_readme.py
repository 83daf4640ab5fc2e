"""The python blocks of the README and of the guides run, in their order and without a warning."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The guide of the networks has a test of its own, tests/test_mlp_examples.py.
GUIDES = ("start", "coming_from", "two_cs", "tuning", "large_data", "extending")
PAGES = ["README.md", *(f"docs/{name}.md" for name in GUIDES)]


def blocks(page):
    """The python blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    found, names = blocks(page), {}
    assert found
    for block in found:
        exec(compile(block, page, "exec"), names)
    plt.close("all")
