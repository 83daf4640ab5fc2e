"""One row of the demo's table, whatever the family of the model."""

from dataclasses import dataclass

HEADER = (
    "data",
    "model",
    "best parameters",
    "CV acc.",
    "test acc.",
    "training mistakes",
    "margin",
    "budget",
    "used",
    "SVs",
    "search s",
)


@dataclass(frozen=True)
class Row:
    """A tuned model; what its family does not have stays None."""

    data: str
    model: str
    parameters: str
    cv_accuracy: float
    test_accuracy: float
    seconds: float
    mistakes: int | None = None
    margin: str | None = None
    allowed: str | None = None
    used: str | None = None
    support_vectors: int | None = None


def cells(row):
    """The row as text, in the order of `HEADER`."""
    optional = row.mistakes, row.margin, row.allowed, row.used, row.support_vectors
    return [
        row.data,
        row.model,
        row.parameters,
        f"{row.cv_accuracy:.3f}",
        f"{row.test_accuracy:.3f}",
        *("-" if cell is None else str(cell) for cell in optional),
        f"{row.seconds:.1f}",
    ]
