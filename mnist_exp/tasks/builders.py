"""The tasks that `task=NAME` chooses: functions that return a `Task`."""

from mnist_exp.tasks.auto import Auto
from mnist_exp.tasks.classification import Binary, Classification
from mnist_exp.tasks.multilabel import Multilabel
from mnist_exp.tasks.regression import Regression
from mnist_exp.tasks.task import Task


def auto() -> Task:
    """Return the task that the labels of the data say: whole numbers, 0 and 1 in columns, or floats."""
    return Auto()


def classification() -> Task:
    """Return the task of one of several classes."""
    return Classification()


def binary() -> Task:
    """Return the task of two classes, by one probability: that of the second."""
    return Binary()


def multilabel() -> Task:
    """Return the task of several labels, of which each is there or not."""
    return Multilabel()


def regression() -> Task:
    """Return the task of one number, or of several."""
    return Regression()
