"""What can be wrong with a data set: examples in two sets, nearly equal ones, missing classes, wrong labels.

Nothing here knows of a store or of Keras; `mnist_exp.inspect` shows it, and a run warns by `cheap`.
"""
