r"""
Two recipes: 32-16-1 from Keras, 64-32-1 from PyTorch
=====================================================

Courses on neural networks often end in one of two scripts for a table of numbers with two classes: a Keras model with
layers of 32, 16 and 1 units, 50 epochs in batches of 10, a fifth of the rows watched; or a PyTorch loop with layers of
64, 32 and 1, 100 epochs in batches of 32. Here each is a line, and an estimator that goes into pipelines and searches.

In Keras the first would read

.. code-block:: python

   model = Sequential([Dense(32, activation="relu"), Dense(16, activation="relu"), Dense(1, activation="sigmoid")])
   model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
   history = model.fit(X_scaled, y, epochs=50, batch_size=10, validation_split=0.2)
"""

# %%
# 32-16-1
# -------
# The output layer, its sigmoid and the loss follow from y. ``tol=0, n_iter_no_change=np.inf`` asks for every one of
# the 50 epochs. The scaler is part of the model, so that new rows are scaled as the training rows were.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import TorchMLPClassifier, TrainingHistoryDisplay

cancer = load_breast_cancer()
X, y = cancer.data, cancer.target_names[cancer.target]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
every_epoch = {"tol": 0, "n_iter_no_change": np.inf, "random_state": 0}

watch = {"monitor_validation": True, "validation_fraction": 0.2}
network = TorchMLPClassifier((32, 16), batch_size=10, max_iter=50, **watch, **every_epoch)
keras = make_pipeline(StandardScaler(), network).fit(X_train, y_train)

TrainingHistoryDisplay.from_estimator(keras, names=["32-16-1"])
plt.show()

# %%
# 64-32-1
# -------
# The loop over epochs and batches, ``zero_grad``, ``backward`` and ``step`` are inside ``fit``.

network = TorchMLPClassifier((64, 32), batch_size=32, max_iter=100, **every_epoch)
pytorch = make_pipeline(StandardScaler(), network).fit(X_train, y_train)

for name, model in [("32-16-1", keras), ("64-32-1", pytorch)]:
    training, test = model.score(X_train, y_train), model.score(X_test, y_test)
    print(f"{name}: accuracy {training:.3f} in training, {test:.3f} on the test set")

# %%
# Labels may be words; ``predict_proba`` has a column for each class, in the order of ``classes_``.

print(keras.classes_, keras.predict_proba(X_test[:3]).round(3), sep="\n")

# %%

ConfusionMatrixDisplay.from_estimator(keras, X_test, y_test, cmap="cividis")
plt.show()

# %%
# :doc:`/mlp` translates Keras' words one by one.
#
# Exercises
# ---------
#
# **1.** How many times are the weights updated in training 32-16-1 here?
#
# .. dropdown:: Answer
#
#    426 rows are for training; a fifth of them, 86, is held out, which leaves 340. In batches of 10 these are 34
#    updates an epoch, and 50 * 34 = 1,700 in all.
#
# **2.** Leave the scaler out of 32-16-1. What happens to the test accuracy, and why?
#
# .. dropdown:: Answer
#
#    It falls by some hundredths, or training gets stuck altogether, depending on ``random_state``. The features of this
#    table differ in size by a factor of more than ten thousand: the weighted sums of the first layer are ruled by the
#    largest of them, and one learning rate cannot suit all weights.
