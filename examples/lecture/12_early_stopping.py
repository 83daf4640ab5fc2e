r"""
Early stopping
==============

How many epochs? Too few, and the network has not learnt yet; too many, and it learns the noise of the training rows by
heart. **Early stopping** holds a part of the rows out, watches the score on them after every epoch, stops when it has
not improved for a while, and goes back to the weights of the best epoch."""

# %%
# Ten classes, few rows
# ---------------------
# Of the digits, 400 rows for training and the rest to see what comes of it, with a fifth of the labels wrong:
# something to be learnt by heart.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_svmdl import TorchMLPClassifier, TrainingHistoryDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, train_size=400, stratify=y, random_state=0)
rng = np.random.default_rng(0)
noisy = np.where(rng.random(len(y_train)) < 0.2, rng.integers(10, size=len(y_train)), y_train)

options = {"batch_size": 32, "learning_rate_init": 0.003, "validation_fraction": 0.25, "random_state": 0}
every_epoch = {"max_iter": 100, "tol": 0, "n_iter_no_change": np.inf}
watched = TorchMLPClassifier((64,), monitor_validation=True, **every_epoch, **options)
watched.fit(X_train, noisy)
stopped = TorchMLPClassifier((64,), early_stopping=True, max_iter=100, n_iter_no_change=15, **options)
stopped.fit(X_train, noisy)

display = TrainingHistoryDisplay.from_estimator(watched, stopped, names=["100 epochs", "stopped early"])
plt.show()

# %%
# Both take the same steps as long as both go on, so their lines lie on top of each other. The dotted line is the
# epoch that early stopping went back to.

for name, network in [("100 epochs", watched), ("stopped early", stopped)]:
    training, clean = network.score(X_train, noisy), network.score(X_test, y_test)
    print(f"{name:13}: accuracy {training:.3f} in training, {clean:.3f} on clean test rows")

# %%
# What it costs
# -------------
# The rows that are held out teach the network nothing. On small tables that can cost more than stopping gains: then
# watch the curves once with ``monitor_validation=True``, choose ``max_iter`` and train on all rows. Or give ``fit`` a
# validation set of your own: ``fit(X, y, X_val=X_val, y_val=y_val)``.
#
# Exercises
# ---------
#
# **1.** The score on the held-out rows at the best epoch, ``best_validation_score_``: is it a fair estimate of the
# accuracy on new rows?
#
# .. dropdown:: Answer
#
#    It is too good on average: of all epochs the one was chosen that does best on these very rows. A fair estimate
#    needs rows that took no part in the choice, such as a test set, or cross-validation around the whole fit.
#
# **2.** Why not stop at the first epoch whose validation score is worse than that of the one before?
#
# .. dropdown:: Answer
#
#    The score jitters from epoch to epoch, as the curves show: a single fall is as likely noise as a turn.
#    ``n_iter_no_change`` epochs without an improvement of more than ``tol`` are needed, and since the best weights are
#    kept, waiting costs time only.
