"""Train one experiment, or with -m a sweep of them: `python -m mnist_exp.run model.dropout=0.5`.

A script. Nothing imports it: that would bind `mnist_exp.run`, which is a function, to this module.
"""

from mnist_exp.run_command import main

if __name__ == "__main__":
    main()
