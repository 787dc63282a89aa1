"""Importing this imports TensorFlow, and what of this package a training needs: workers are forked then."""

from mnist_exp.runtime import imports

with imports.quick_imports():
    from mnist_exp.evaluation import figures  # noqa: F401
    from mnist_exp.training import checkpointing, devices, fit, prepare, readable, setup  # noqa: F401
