"""docs/trust.md names commands and files that there are, and versions that are the declared ones."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([^`]+)`", TEXT)
FILES = sorted({name for name in NAMED if re.fullmatch(r"[\w./-]+/[\w.-]+\.\w+", name)})
TARGETS = sorted({name.split()[1] for name in NAMED if name.startswith("make ")})


def pins(name):
    """The versions that a file of constraints pins, by package."""
    return dict(re.findall(r"^([\w-]+)==([\w.]+)$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", FILES)
def test_named_files_exist(name):
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("target", TARGETS)
def test_named_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_row_names_what_shows_it():
    rows = re.findall(r"^\| (?!promise|---)(.+) \| (.+) \|$", TEXT, re.MULTILINE)
    assert len(rows) > 15
    for _, shown in rows:
        assert set(re.findall(r"`(?:make )?([^`]+)`", shown)) & {*FILES, *TARGETS}


def test_floors_are_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["torch"], *extras["plots"], *extras["onnx"]]
    oldest = pins("tests/constraints-oldest.txt")
    for name, floor in (each.split(">=") for each in needed):
        assert oldest[name] in (floor, f"{floor}.0")
        assert re.search(rf"{name} {re.escape(floor)}\b", TEXT)


def test_what_is_needed_is_pinned():
    named = re.findall(r'"([\w-]+)(?:\[\w+\])?>=', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(named) - {"setuptools"} <= {name.lower() for name in pins("constraints.txt")}
