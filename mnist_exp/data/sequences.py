"""Data that a loader gives in place of arrays: anything with items by position, a PyDataset, a tf.data.Dataset."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data.dataset import Pair
from mnist_exp.data.lazy import Array, LazyArray
from mnist_exp.errors import DataError

IN_MEMORY_MB = 2000  # up to which they are read once, at the start
LABELS = ("label", "labels", "y", "target", "targets")
EXAMPLES = ("x", "image", "images", "img", "pixels", "features", "input", "inputs")
ITEMS = "(x, y), or a dict with one of {} and one of {}".format(", ".join(EXAMPLES), ", ".join(LABELS))


def is_arrays(part: Any) -> bool:
    """Tell whether a part of a data set is a pair of arrays, or of lists, and no other kind of sequence."""
    return isinstance(part, tuple | list) and len(part) == 2


def pair_of(part: Any, name: str) -> tuple[Pair, tuple[str, ...]]:
    """Return the examples and labels of a part of a data set, and sentences about what a user may not expect.

    What fits into `IN_MEMORY_MB` is read now. Of more, examples by position are read as they are needed.

    Args:
        part: a pair of arrays, an object with `__len__` and `__getitem__`, a `keras.utils.PyDataset` or a
            `tf.data.Dataset`.
        name: train or test, for messages.
    Raises: DataError: it is none of these, or too large for what it is.
    """
    if is_arrays(part):
        return (part[0], part[1]), ()
    kinds = {f"{each.__module__.partition('.')[0]}.{each.__name__}" for each in type(part).__mro__}
    if kinds & {"tensorflow.DatasetV2", "tensorflow.DatasetV1"}:
        return _read(_of_tf_data(part, name), name, f"the tf.data.Dataset {name}"), ()
    if not (hasattr(part, "__len__") and hasattr(part, "__getitem__")):
        wanted = "a pair of arrays, an object with __len__ and __getitem__, a PyDataset or a tf.data.Dataset"
        raise DataError(f"{name} must be {wanted}, not {type(part).__name__}")
    if len(part) == 0:
        raise DataError(f"{name} is empty; it must hold at least one example")
    if "keras.PyDataset" in kinds:
        batches = (_batch(part[number], f"{name}[{number}]") for number in range(len(part)))
        once = f"{name} is a PyDataset: it was read once, and what it draws at random was drawn once"
        return _read(batches, name, f"the PyDataset {name}"), (once,)
    x, _ = _item(part[0], f"{name}[0]")
    if len(part) * x.nbytes <= IN_MEMORY_MB * 1_000_000:
        return _read((_alone(part, number, name) for number in range(len(part))), name, name), ()
    source = Items(part, name)
    labels = [_item(part[number], f"{name}[{number}]")[1] for number in range(len(part))]
    return (LazyArray(source), np.stack(labels)), ()


class Items:
    """The rows of a lazy array: the items of an object with `__len__` and `__getitem__`.

    They are asked for one by one, and never two at a time: not every data set bears more.

    Args:
        part: the object.
        name: train or test, for messages.
    """

    def __init__(self, part: Any, name: str) -> None:
        first, _ = _item(part[0], f"{name}[0]")
        self.shape: tuple[int, ...] = (len(part), *first.shape)
        self.dtype = first.dtype
        self._part, self._name, self._lock = part, name, threading.Lock()

    def read(self, positions: Array) -> Array:
        """Return examples. Raises: DataError: one has another shape than the first."""
        found = np.empty((len(positions), *self.shape[1:]), self.dtype)
        with self._lock:
            for place, position in enumerate(positions.tolist()):
                what = f"{self._name}[{position}]"
                x, _ = _item(self._part[position], what)
                if (x.shape, x.dtype) != (self.shape[1:], self.dtype):
                    raise DataError(_unlike(what, x, self.shape[1:], self.dtype))
                found[place] = x
        return found

    def identity(self, positions: Array) -> None:
        """Return None: only reading tells what they are."""

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the lock, which no other process can share."""
        return vars(self) | {"_lock": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take what `__getstate__` returned."""
        vars(self).update(state, _lock=threading.Lock())


def _read(batches: Iterator[tuple[Array, Array]], name: str, what: str) -> Pair:
    """Return the examples and labels of batches. Raises: DataError: they take too much memory, or are not alike."""
    xs: list[Array] = []
    ys: list[Array] = []
    size = 0
    for x, y in batches:
        if xs and (x.shape[1:], x.dtype) != (xs[0].shape[1:], xs[0].dtype):
            raise DataError(_unlike(f"a batch of {what}" if len(x) > 1 else what, x[0], xs[0].shape[1:], xs[0].dtype))
        size += x.nbytes
        if size > IN_MEMORY_MB * 1_000_000:
            raise DataError(
                f"{what} takes more than {IN_MEMORY_MB:,} MB, and can only be read in its own order, so a resumed run "
                "could not be the same: return an object with __len__ and __getitem__ that gives one example by its "
                "position, as Grain's, Hugging Face's and torch's data sets do"
            )
        xs.append(x)
        ys.append(y)
    if not xs:
        raise DataError(f"{name} is empty; it must hold at least one example")
    return np.concatenate(xs), np.concatenate(ys)


def _alone(part: Any, number: int, name: str) -> tuple[Array, Array]:
    x, y = _item(part[number], f"{name}[{number}]")
    return x[np.newaxis], y[np.newaxis]


def _item(item: Any, what: str) -> tuple[Array, Array]:
    """Return the example and the label of an item. Raises: DataError: it is no such item."""
    if isinstance(item, Mapping):
        x, y = (_only(item, names, what) for names in (EXAMPLES, LABELS))
    elif isinstance(item, tuple | list) and len(item) == 2:
        x, y = item
    else:
        raise DataError(f"{what} is {type(item).__name__}; it must be {ITEMS}")
    try:
        return np.asarray(x), np.asarray(y)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} is not made of arrays: {error}") from error


def _only(item: Mapping[str, Any], names: Sequence[str], what: str) -> Any:
    found = [name for name in names if name in item]
    if len(found) != 1:
        has = ", ".join(map(show, item)) or "nothing"
        raise DataError(f"{what} has {has}; it must have one of {', '.join(names)}")
    return item[found[0]]


def _batch(item: Any, what: str) -> tuple[Array, Array]:
    if not (isinstance(item, tuple | list) and len(item) == 2):
        raise DataError(f"{what} is no batch (x, y); weights go into weights of a Source")
    x, y = (np.asarray(each) for each in item)
    return x, y


def _of_tf_data(part: Any, name: str) -> Iterator[tuple[Array, Array]]:
    """Yield the batches of a tf.data.Dataset of known size, whose elements are examples or batches."""
    size = int(part.cardinality())
    if size < 0:
        what = "has no end" if size == -1 else "does not know its size"
        raise DataError(
            f"the tf.data.Dataset {name} {what}: take some of it, take(1000), or say how many there are, "
            "apply(tf.data.experimental.assert_cardinality(1000))"
        )
    spec = part.element_spec
    if not (isinstance(spec, tuple) and len(spec) == 2 and all(hasattr(each, "shape") for each in spec)):
        raise DataError(f"the elements of the tf.data.Dataset {name} must be (x, y), not {spec}")
    x, y = (each.shape for each in spec)
    are_batches = y.rank is not None and y.rank > 0 and x[0] is None and y[0] is None
    if not are_batches and y.rank != 0:
        raise DataError(
            f"the elements of the tf.data.Dataset {name} have the shapes {x} and {y}, which may be examples or "
            "batches: give single examples with one label each, unbatch(), or batches of any size, batch(100)"
        )
    for element in part.as_numpy_iterator():
        example, label = map(np.asarray, element)
        yield (example, label) if are_batches else (example[np.newaxis], label[np.newaxis])


def _unlike(what: str, x: Array, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> str:
    return f"{what} holds {x.dtype} of the shape {x.shape}, the first one {dtype} of {shape}; they must be alike"
