r"""
A search
========

Which learning rate, and how many filters? There is no list of values to try, so you give intervals. A search tries some points, and
the results decide what it tries next.
"""

from lesson import shell, show

# %%
# Hold images out
# ---------------
#
# A search selects. On the test images it would select what happens to fit them, and the test accuracy would promise too much. So
# this is refused, with exit code 2:

search = (
    "python -m mnist_exp.run -m 'model.filters=int(interval(2,16))' "
    "'optimizer.learning_rate=tag(log, interval(1e-4, 1e-1))' "
    "data=mnist_5k trainer.epochs=3"
)
shell(f"{search} sweep.n_trials=5", code=2)

# %%
# Search
# ------
#
# ``interval`` is all numbers between two, ``int`` takes whole ones, and ``tag(log, …)`` spreads them over the powers of ten: 0.001 is
# as far from 0.01 as 0.01 is from 0.1. ``sweep.pruner=median`` stops poor trials early, once there are enough to compare with.

search += " data.validation=1000 sweep.pruner=median"
shell(f"{search} sweep.n_trials=5")

# %%
# Look at the learning rates: far too small, and little is learnt in three epochs; far too large, and nothing is. An accuracy of
# 0.1 is that of a guess among ten digits. The filters matter less.
#
# Go on
# -----
#
# The same command with more trials goes on with the same search, and learns from the first five. A trial that is **pruned**
# was not worth more epochs: after its first it was below the median of the others.

shell(f"{search} sweep.n_trials=9")

# %%
# The parent run keeps a picture of each option against the objective:

show("objective_by_option.png")

# %%
# What to try next
# ----------------
#
# * ``again`` in the last lines is the command that trains the best one alone. Add seeds to it: the best of nine is also the luckiest.
# * ``sweep.minimize_too=parameters``: the best accuracy for each size of the network.
# * The same command in two terminals: both work on one search.
#
# So far all networks came with the package. The next lesson brings your own.
