"""List recorded runs and sweeps, on the screen or for other programs: `python -m mnist_exp.runs`.

A script. Nothing imports it: that would bind `mnist_exp.runs`, which is a function, to this module.
"""

from mnist_exp.runs_command import main

if __name__ == "__main__":
    main()
