r"""
Resume and rerun
================

You stop a training in the middle, go on with it, and prove that nothing was lost.
"""

from lesson import shell, show

# %%
# Stop it
# -------
#
# ``shell`` presses Ctrl-C for you, when the second epoch is over.

printed = shell(
    "python -m mnist_exp.run data=mnist_5k trainer.epochs=5",
    code=130,
    interrupt_at="epoch 2/5",
)

# %%
# It finished the step that it was at, wrote a checkpoint, and ended with exit code 130. In MLflow the run is KILLED. A computer that
# is switched off, or a cluster that takes its machine back, does the same to you.
#
# Go on
# -----
#
# The last line is the command. It needs nothing but the id: model, data and all options are in the record.

run_id = printed.rpartition("resume=")[2].split()[0]
shell(f"python -m mnist_exp.run resume={run_id}")

# %%
# It is the same run, with the same id, and now FINISHED. Its curves go through the place where it was stopped as if nothing had been.

show("learning_curves.png")

# %%
# Prove it
# --------
#
# ``rerun`` trains the whole experiment again, as a new run, from the first epoch to the last without a stop. Then it compares every
# number of every epoch, and the weights.

shell(f"python -m mnist_exp.rerun {run_id}")

# %%
# Equal to the last bit. So the interruption changed nothing, and the result does not hang on luck: whoever has the record gets the
# same numbers on the same machine.
#
# What to try next
# ----------------
#
# * ``resume=RUN_ID trainer.epochs=10`` on a finished run: train it longer.
# * ``kill -9`` instead of Ctrl-C: at most one epoch is lost.
# * Stop a sweep, and issue its command again.
# * ``rerun`` on another computer needs ``--tolerance=0.001``: the last digits differ there.
#
# In the last lesson the model leaves the house.
