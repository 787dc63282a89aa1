"""Predict images, or rows of arrays, with a run's model: `python -m mnist_exp.predict RUN_ID IMAGE…`.

A script. Nothing imports it: that would bind `mnist_exp.predict`, which is a function, to this module.
"""

from mnist_exp.predict_command import main

if __name__ == "__main__":
    main()
