r"""
A sweep and its verdict
=======================

How much dropout is good? You train several networks that differ in nothing else, and ask what may be concluded.
"""

from lesson import found, shell, show

# %%
# Look before you start
# ---------------------
#
# ``-m`` goes through several values of one or more options. Three rates of dropout and four seeds are twelve trainings. A seed
# decides all that is random: first weights, order of the images, what is dropped. With one seed you would measure luck.
#
# ``data.validation=1000`` holds 1,000 training images out. You will choose by them, so they must not be the test images.
# ``sweep.dry_run=true`` shows the plan and trains nothing.

sweep = (
    "python -m mnist_exp.run -m model.dropout=0.2,0.3,0.9 seed=1,2,3,4 "
    "model.filters=8 optimizer.learning_rate=0.003 trainer.epochs=3 "
    "data=mnist_5k data.validation=1000"
)
shell(f"{sweep} sweep.dry_run=true")

# %%
# Train
# -----
#
# The same command without ``sweep.dry_run``. It trains as many at a time as there are CPUs, a thread each.

printed = shell(sweep)

# %%
# The table ranks the jobs by ``val_accuracy``. The first row is the best of twelve, so it is also the luckiest. The row **chance**
# says how many others are as good within the noise.
#
# Ask for the verdict
# -------------------
#
# ``report`` takes the seeds together and compares the configurations. It corrects for comparing more than two.

parent = found("parent", printed)
shell(f"python -m mnist_exp.report --sweep {parent}")

# %%
# A difference is claimed only where chance would hardly give one that large. 0.9 is too much, and four seeds show it. Whether 0.2 or
# 0.3 is better, they do not: the report says how many seeds that would take. "Cannot be told apart" is a result too. It says
# that you may stop asking.
#
# The page has the same in full, and pictures. This one shows each seed as a point, and the interval of each mean:

show("reports/*/configurations.png")

# %%
# Issue it again
# --------------
#
# The same command again trains nothing: all twelve jobs are done, and counted. A fifth seed trains three more, not
# fifteen.

shell(sweep.replace("seed=1,2,3,4", "seed=1,2,3,4,5"))

# %%
# This is also how you finish a sweep after Ctrl-C or a crash.
#
# What to try next
# ----------------
#
# * ``model.filters=4,8,16`` beside the dropout: a heat map comes out, as an artifact of the parent run.
# * ``sweep.zip=true``: pairs instead of all combinations.
# * ``--against RUN_ID`` for ``report``: compare all with one baseline that you name before you look.
#
# When there are too many combinations to try them all, search.
