r"""
First run
=========

You train a small network that reads handwritten digits, look at what it learnt, and change one thing.

Every lesson runs in a folder of its own. ``shell`` types a line into a terminal there, and shows what it prints. In your terminal
you type what stands between the quotes.
"""

from lesson import found, shell, show

# %%
# Train
# -----
#
# One command trains the baseline. ``data=mnist_5k`` takes 5,000 digits that are bundled, and ``trainer.epochs=3`` goes through
# them three times, so that you wait for seconds. Without both it trains on all of MNIST for ten epochs.

printed = shell("python -m mnist_exp.run data=mnist_5k trainer.epochs=3")

# %%
# Read it from the top:
#
# * **model, data, optimizer** is what will be trained. ``cnn`` is the baseline: one convolution, one hidden layer.
# * A line **an epoch**: ``loss`` and ``accuracy`` on the images that it learns from, ``val_loss`` and ``val_accuracy`` on images
#   that it does not learn from. The loss must fall. If ``accuracy`` rises and ``val_accuracy`` does not, it learns by heart.
# * **test** is the result, on images that it never saw.
# * **run** is the id of this run. All other commands take it.
#
# Look at the mistakes
# --------------------
#
# ``evaluate`` measures the model of a run. Give the id that your run printed.

run_id = found("run", printed)
shell(f"python -m mnist_exp.evaluate {run_id}")

# %%
# The interval says how far the accuracy may be from the truth: 1,000 images are few. The table says which digits are hard. The
# folder has pictures; this one shows the images where the model is most sure and wrong.

show("evaluations/*/confident_mistakes.png")

# %%
# Change one thing
# ----------------
#
# Every number of the experiment is an option. A typo is no disaster: all mistakes are told at once, before anything starts. The
# exit code is then 2.

shell("python -m mnist_exp.run model.dorpout=0.5 trainer.epochs=abc", code=2)

# %%
# ``python -m mnist_exp.run --help`` lists all options. Another model is another choice of the group ``model``:

shell("python -m mnist_exp.run data=mnist_5k trainer.epochs=3 model=mlp")

# %%
# What to try next
# ----------------
#
# * ``model.dropout=0.5``, ``optimizer=adamw``, ``trainer.epochs=10``: does it get better?
# * ``mlflow ui`` in the same folder, then open http://127.0.0.1:5000: all your runs are there, side by side.
# * ``python -m mnist_exp.demo RUN_ID``: draw a digit in the browser and see what the model reads.
#
# Which of two runs is better, and whether that is luck, is the next lesson.
