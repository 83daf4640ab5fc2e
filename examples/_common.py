"""What the examples share: tables, the folder of the pictures, and a quiet matplotlib."""

from pathlib import Path

PICTURES = Path("demo_output")


def table(header, rows):
    """An aligned text table of a header and rows of strings."""
    lines = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join(line.rstrip() for line in [text[0], rule, *text[1:]])


def axes(columns, *, rows=1):
    """A figure that needs no display, and its axes in a row (or a grid)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=(max(6.0, 4.6 * columns), 4.4 * rows), layout="constrained")


def one_legend(figure, drawn):
    """Take the legends off the axes and put a single one of all that they name below them all."""
    named = {}
    for ax in drawn:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
        ax.get_legend().remove()
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=3, frameon=False)


def save(figure, name):
    """Write the picture; its path."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / name
    figure.savefig(path, dpi=130)
    return path
