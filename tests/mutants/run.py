"""Wrong changes to the package, one at a time: do the tests notice?

    python tests/mutants/run.py [--jobs 2] [--part 1/1] [--results FILE] [--limit 180] [WORD ...]

The tables beside this file list the changes. Each is made in a copy of the package, and the tests run that ought to
notice it, by the Python that runs this; with words, only those changes that mention one of them. Of several machines
each may take a part. A file of results has a line for each change as soon as it was tried; those that it lists are not
tried again. An entry of a table is

    svm/_search_results.py: what is wrong with the change
    - the old text, as it stands once in the file
    + the new text
    ? test_file.py::test_name test_other_file.py
    ! why it cannot be noticed (only of a change that no test can tell)

A test that fails, a test file that cannot be imported and tests that hang have noticed. Tests that fail without any
change notice nothing: changes that name them are not tried. The exit status is 1 if a change went unnoticed that has no
reason, one was noticed that has, or one was not tried.
"""

import argparse
import ast
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGE = "sklearn_svmdl"
_COPIED = (PACKAGE, "tests", "setup.cfg", "pyproject.toml")
# The largest of pytest's exit statuses that tells of a fault: 1 for tests that failed, 2 for those that could not be
# collected; the others say that there are no such tests.
_NOT_COLLECTED = 2
# What became of a change where no test noticed it.
UNNOTICED, UNTRIED = "UNNOTICED", "NOT TRIED"
# Times of files, in seconds; none comes twice.
_STAMPS = count(10**9)
# Each run is a fork of one process that has imported what takes longest, and nothing of the package.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["pytest", "pandas", "sklearn.model_selection", "sklearn.svm", "skorch"])


@dataclass(frozen=True)
class Mutant:
    """A wrong change of a file, the tests that ought to notice it, and why they cannot, if so."""

    path: str
    what: str
    old: str
    new: str
    tests: tuple
    reason: str

    @property
    def name(self):
        """What a line of results begins with."""
        return f"{self.path}: {self.what}"

    @property
    def files(self):
        """The files of its tests."""
        return {test.partition("::")[0] for test in self.tests}

    @classmethod
    def of(cls, entry):
        """The mutant of an entry of a table."""
        head, *lines = entry.splitlines()
        path, what = head.split(": ", 1)
        of_kind = {mark: [line[2:] for line in lines if line[0] == mark] for mark in "-+?!"}
        if not (of_kind["-"] and of_kind["+"] and of_kind["?"]) or any(line[0] not in of_kind for line in lines):
            raise ValueError(f"No entry of a table of mutants: {entry!r}")
        tests, reason = tuple(" ".join(of_kind["?"]).split()), " ".join(of_kind["!"])
        return cls(path, what, "\n".join(of_kind["-"]), "\n".join(of_kind["+"]), tests, reason)

    def apply(self, text):
        """The text with the change; ValueError unless the old text stands in it once."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.path}: {self.what}: {text.count(self.old)} times, not once: {self.old!r}")
        return text.replace(self.old, self.new)


def all_mutants():
    """The mutants of all tables, in their order."""
    tables = [table.read_text() for table in sorted(HERE.glob("*.txt"))]
    entries = [entry for text in tables for entry in re.sub(r"^#.*\n", "", text, flags=re.M).split("\n\n")]
    return [Mutant.of(entry.strip("\n")) for entry in entries if entry.strip()]


@contextmanager
def changed(mutant, copy):
    """The copy of the package with the change, within the block."""
    path = copy / PACKAGE / mutant.path
    before = path.read_text()
    after = mutant.apply(before)
    # Text that is no Python would be noticed by any test.
    ast.parse(after)
    _write(path, after)
    try:
        yield
    finally:
        _write(path, before)


def _write(path, text):
    """Write a file with a time of its own: bytecode is taken for that of a file by its seconds and its size."""
    path.write_text(text)
    stamp = next(_STAMPS)
    os.utime(path, (stamp, stamp))


def run_tests(copy, tests, limit):
    """Run tests on a copy of the package: who noticed, "" where all of them pass.

    Raises
    ------
    RuntimeError : no such tests.
    """
    said = copy / "said.txt"
    child = _SERVER.Process(target=_pytest, args=(copy, tests, said))
    child.start()
    child.join(limit)
    with suppress(ProcessLookupError):
        # With all that the tests may have started.
        os.killpg(child.pid, signal.SIGKILL)
    child.join()
    output = said.read_text()
    if child.exitcode == 0:
        return ""
    if child.exitcode == -signal.SIGKILL:
        return f"a hang of {limit:.0f} s"
    if child.exitcode > _NOT_COLLECTED:
        raise RuntimeError(f"pytest {' '.join(tests)} ended with {child.exitcode}:\n{output}")
    who = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.M)
    return who[1].removeprefix("tests/") if who else f"status {child.exitcode}: {output[-2000:]}"


def _pytest(copy, tests, said):
    """In a process of its own, which has imported what takes long: pytest, in the copy."""
    import pytest

    os.setsid()
    os.chdir(copy / "tests")
    os.environ["PYTHONPATH"] = str(copy)
    sys.path.insert(0, str(copy))
    with open(said, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    status = int(pytest.main(["-q", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider", *tests]))
    sys.stdout.flush()
    # Nobody waits for what the tests have started.
    os._exit(status)


def copy_of_package(parent, number):
    """A fresh copy of what tests need."""
    copy = Path(parent) / f"copy{number}"
    copy.mkdir()
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


def tests_by_file(mutants):
    """The tests that any of them names, a list for each file; a whole file stands for its tests."""
    files = {}
    for test in sorted({test for mutant in mutants for test in mutant.tests}):
        files.setdefault(test.partition("::")[0], []).append(test)
    return [[file] if file in tests else tests for file, tests in files.items()]


def try_all(mutants, jobs, limit):
    """Yield (mutant, what became of it, seconds) as they end."""
    with tempfile.TemporaryDirectory() as parent:
        copies = SimpleQueue()
        for number in range(jobs):
            copies.put(copy_of_package(parent, number))

        @contextmanager
        def a_copy():
            """A copy that nobody else uses."""
            copy = copies.get()
            try:
                yield copy
            finally:
                copies.put(copy)

        def unchanged(tests):
            """Who fails of tests without a change, and their file."""
            with a_copy() as copy:
                return run_tests(copy, tests, 10 * limit), tests[0].partition("::")[0]

        def attempt(mutant):
            """What becomes of a mutant."""
            start = perf_counter()
            with a_copy() as copy:
                if mutant.files & failing and (who := run_tests(copy, mutant.tests, 10 * limit)):
                    return mutant, f"{UNTRIED}: without any change {who} fails", perf_counter() - start
                with changed(mutant, copy):
                    return mutant, run_tests(copy, mutant.tests, limit) or UNNOTICED, perf_counter() - start

        with ThreadPoolExecutor(jobs) as pool:
            failing = {file for who, file in pool.map(unchanged, tests_by_file(mutants)) if who}
            for done in as_completed([pool.submit(attempt, mutant) for mutant in mutants]):
                yield done.result()


def asked_for(words, part):
    """The mutants that mention a word, of these the part i/n."""
    i, n = map(int, part.split("/"))
    if not 1 <= i <= n:
        raise ValueError(f"--part must be i/n with 1 <= i <= n, got {part!r}.")
    return [m for m in all_mutants() if not words or any(word in m.name for word in words)][i - 1 :: n]


def known_results(path):
    """What became of the mutants that a file of results lists, by their names."""
    if not (path and path.exists()):
        return {}
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return {name: became for _, name, became in lines}


def is_noticed(became):
    """Whether tests noticed."""
    return not became.startswith((UNNOTICED, UNTRIED))


def table(mutants, became):
    """Lines that count what became of the mutants of each part of the package."""
    head = ("part", "changes", "noticed", "with a reason", "unnoticed", "not tried")
    counts = {}
    for mutant in mutants:
        said = became[mutant.name]
        kind = 2 if is_noticed(said) else 5 if said.startswith(UNTRIED) else 3 if mutant.reason else 4
        for section in (mutant.path.partition("/")[0], "in all"):
            counts.setdefault(section, Counter()).update([1, kind])
    rows = [(section, *(count[column] for column in range(1, 6))) for section, count in counts.items()]
    rows.sort(key=lambda row: row[0] == "in all")
    return [f"{row[0]:16}" + "".join(f"{each!s:>15}" for each in row[1:]) for row in (head, *rows)]


def main():
    """Print a line for each mutant, a table, then those that no test noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="parts of the entries to try, all if none")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--part", default="1/1", help="i/n: the i-th of n parts")
    parser.add_argument("--results", type=Path, help="a file to add to; what it lists is not tried again")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds after which tests count as hanging")
    asked = parser.parse_args()
    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    mutants, became = asked_for(asked.words, asked.part), known_results(asked.results)
    for mutant, said, seconds in try_all([m for m in mutants if m.name not in became], asked.jobs, asked.limit):
        print(f"{seconds:6.1f} s  {mutant.name}  ->  {said}", flush=True)
        became[mutant.name] = " ".join(said.split())
        if asked.results:
            with asked.results.open("a") as file:
                print(f"{seconds:.1f}", mutant.name, became[mutant.name], sep="\t", file=file)
    print("\n" + "\n".join(table(mutants, became)))
    for mutant in mutants:
        if not is_noticed(became[mutant.name]):
            print(f"  {became[mutant.name]}  {mutant.name}: {mutant.reason or 'NO REASON KNOWN'}")
    return int(any(is_noticed(became[m.name]) == bool(m.reason) for m in mutants))


if __name__ == "__main__":
    sys.exit(main())
