"""Compare recorded runs on one page, with intervals and tests: `python -m mnist_exp.report RUN_ID…`.

A script. Nothing imports it: that would bind `mnist_exp.report`, which is a function, to this module.
"""

from mnist_exp.report_command import main

if __name__ == "__main__":
    main()
