r"""
Overfitting, and what helps
===========================

A network with many weights can learn the training rows by heart. The sign of it is a training loss that goes on
falling while the validation loss **rises**: the network becomes ever more certain, also where it is wrong. Smaller
networks, weight decay (``alpha``), ``dropout``, more data, and early stopping are the remedies; which of them helps is
a question to the data."""

# %%
# The loss curves
# ---------------
# Breast cancer, with only 100 rows to train on and a network of a few thousand weights.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import TorchMLPClassifier, TrainingHistoryDisplay

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=100, stratify=y, random_state=1)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

common = {"batch_size": 20, "learning_rate_init": 0.003, "max_iter": 150, "tol": 0, "n_iter_no_change": np.inf}
recipes = {
    "64-64, no penalty": {"hidden_layer_sizes": (64, 64), "alpha": 0},
    "64-64, alpha = 1": {"hidden_layer_sizes": (64, 64), "alpha": 1.0},
    "64-64, dropout 0.5": {"hidden_layer_sizes": (64, 64), "alpha": 0, "dropout": 0.5},
    "4 units": {"hidden_layer_sizes": (4,), "alpha": 0},
}
networks = {
    name: TorchMLPClassifier(**recipe, **common, random_state=0).fit(X_train, y_train, X_val=X_test, y_val=y_test)
    for name, recipe in recipes.items()
}
display = TrainingHistoryDisplay.from_estimator(*networks.values(), names=list(networks))
display.axes_[0].set_yscale("log")
display.axes_[1].set_ylim(0.9, 1.005)
plt.show()

# %%
# ``X_val`` and ``y_val`` are watched only; nothing is chosen by them here. The accuracy hardly tells the networks
# apart. The log-loss does: it punishes a wrong answer the more, the more certain it was. Weight decay and a small
# network help here; dropout, which helps large networks on many data, does not.

for name, network in networks.items():
    p = network.predict_proba(X_test)
    wrong = network.predict(X_test) != y_test
    print(
        f"{name:19} test accuracy {1 - wrong.mean():.3f}, log-loss {log_loss(y_test, p):.3f}, "
        f"certainty of its mistakes {p.max(axis=1)[wrong].mean():.2f}"
    )

# %%
# Averaging several networks, ``n_networks=8``, helps as well: where they disagree, the average is less certain.

several = TorchMLPClassifier((64, 64), alpha=0, n_networks=8, **common, random_state=0).fit(X_train, y_train)
p = several.predict_proba(X_test)
print(f"eight networks: test accuracy {several.score(X_test, y_test):.3f}, log-loss {log_loss(y_test, p):.3f}")

# %%
# Exercises
# ---------
#
# **1.** The training loss falls, the validation loss rises, and the validation *accuracy* stays the same. How can that
# be?
#
# .. dropdown:: Answer
#
#    Accuracy counts which side of 0.5 a probability is on; the loss also asks how far. The same rows are wrong as
#    before, but with more certainty, and :math:`-\log \hat{p}` of the right class grows without bound.
#
# **2.** You see a training loss and a validation loss that are both high and nearly equal. Is it overfitting? What
# would you try?
#
# .. dropdown:: Answer
#
#    No: there is no gap between them. The network underfits. Try more epochs, a higher learning rate, scaled features,
#    a larger network or a smaller ``alpha``.
