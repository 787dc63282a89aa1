"""Evaluate a run's model on labelled images: `python -m mnist_exp.evaluate RUN_ID`.

A script. Nothing imports it: that would bind `mnist_exp.evaluate`, which is a function, to this module.
"""

from mnist_exp.evaluate_command import main

if __name__ == "__main__":
    main()
