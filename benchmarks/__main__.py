"""Run the benchmarks and write their tables: ``python -m benchmarks [--quick] [--only NAME]``."""

import argparse
from importlib import import_module
from importlib.util import find_spec

from ._common import header, write

# Each has a function main(quick) that returns its table as Markdown.
NAMES = (
    "solver",
    "linear",
    "path",
    "search",
    "torchkm",
    "regression",
    "mlp",
    "ensemble",
    "tables",
    "defaults",
    "cliffs",
    "corpus",
    "parts",
)
MODULES = {name: f".{name}" for name in NAMES}


def present():
    """The benchmarks that this checkout has."""
    return [name for name, module in MODULES.items() if find_spec(module, __package__)]


def main():
    """Run what the command line asks for; quick runs write nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes; nothing is written")
    parser.add_argument("--only", choices=present(), help="run this benchmark alone")
    options = parser.parse_args()
    for name in [options.only] if options.only else present():
        text = f"# {name}\n\n{header()}\n\n{import_module(MODULES[name], __package__).main(options.quick)}\n"
        print(text, flush=True)
        if not options.quick:
            write(name, text)


if __name__ == "__main__":
    main()
