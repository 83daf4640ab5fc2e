"""The networks of a first lecture on neural networks, as a Keras or PyTorch script would have them.

Run ``python examples/lecture_networks.py``; it takes a few seconds and prints a table for each network.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import TorchMLPClassifier

# Keras' fit(epochs=...) trains for exactly that many epochs: nothing counts as too little an improvement.
EVERY_EPOCH = {"tol": 0, "n_iter_no_change": np.inf}

GATE_INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
GATES = {"OR": [0, 1, 1, 1], "AND": [0, 0, 0, 1], "XOR": [0, 1, 1, 0]}


def table(header, rows):
    """Print rows under a header, the columns aligned."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()


def watched_network():
    """Dense 32-16-1, Adam, 50 epochs, batches of 10, 20 % of the rows watched."""
    X, y = load_breast_cancer(return_X_y=True)
    network = TorchMLPClassifier(
        (32, 16),
        batch_size=10,
        max_iter=50,
        monitor_validation=True,
        validation_fraction=0.2,
        random_state=0,
        **EVERY_EPOCH,
    )
    make_pipeline(StandardScaler(), network).fit(X, y)
    records = [network.history_[epoch - 1] for epoch in (1, 2, 5, 10, 20, 50)]
    columns = ("loss", "accuracy", "val_loss", "val_accuracy")
    print("32-16-1 on breast cancer, 50 epochs, batches of 10, 20 % watched")
    table(("epoch", *columns), [(r["epoch"], *(f"{r[name]:.4f}" for name in columns)) for r in records])


def larger_network():
    """64-32-1, 100 epochs, batches of 32: accuracy on the training rows and on rows never seen."""
    X, y = load_breast_cancer(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    network = TorchMLPClassifier((64, 32), batch_size=32, max_iter=100, random_state=0, **EVERY_EPOCH)
    pipeline = make_pipeline(StandardScaler(), network).fit(X_train, y_train)
    print("64-32-1 on breast cancer, 100 epochs, batches of 32")
    parts = [("training", X_train, y_train), ("held out", X_test, y_test)]
    table(("rows", "accuracy"), [(name, f"{pipeline.score(X, y):.4f}") for name, X, y in parts])


def gate_network(hidden, random_state):
    """A network for two binary inputs."""
    return TorchMLPClassifier(
        hidden,
        "tanh",
        learning_rate_init=0.1,
        alpha=0,
        max_iter=500,
        random_state=random_state,
        **EVERY_EPOCH,
    )


def learns(hidden, gate, random_state):
    """Whether a network gives all four outputs of the gate."""
    network = gate_network(hidden, random_state).fit(GATE_INPUTS, GATES[gate])
    return network.score(GATE_INPUTS, GATES[gate]) == 1


def gates():
    """A single perceptron draws one line: enough for OR and AND, never for XOR."""
    seeds = range(10)
    networks = {"perceptron": (), "3 hidden neurons": (3,)}
    print(f"Logic gates: how many of {len(seeds)} first weights lead to a network with all four outputs right")
    table(
        ("network", *GATES),
        [(name, *(sum(learns(hidden, gate, s) for s in seeds) for gate in GATES)) for name, hidden in networks.items()],
    )


if __name__ == "__main__":
    watched_network()
    larger_network()
    gates()
