"""Arrays whose rows are read as they are needed, and what is done alike with these and with those in memory."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Examples = Any  # Array | LazyArray: both are indexed alike, and NumPy's type has no words for that.
_PART = 16_000_000  # bytes of rows that are read in one go, where all are


class Rows(Protocol):
    """Where the rows of a `LazyArray` come from. It is pickled where trainings run in other processes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, positions: Array) -> Array:
        """Return rows, (len(positions), …); several threads may ask at once. Raises: DataError: one cannot be read."""

    def identity(self, positions: Array) -> str | None:
        """Return what changes whenever the content of these rows may have; None if that takes reading them."""


class LazyArray:
    """An array whose rows are read when they are asked for; nothing is kept.

    It has what the training and the scoring use of an array: shape, dtype, length, and rows by slices and arrays of
    positions. Anything else, as a sum over all, raises an error instead of reading all of it into memory.

    Args:
        source: of the rows.
        positions: of those that it has, in order; all if None.
    """

    def __init__(self, source: Rows, positions: Array | None = None) -> None:
        self.source = source
        self.positions = np.arange(source.shape[0]) if positions is None else positions
        self.shape = (len(self.positions), *source.shape[1:])
        self.dtype = source.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes that all rows would take."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.positions)

    def __getitem__(self, key: Any) -> Array:
        """Return one row, or those of a slice, of positions or of a mask, read now."""
        if isinstance(key, int | np.integer):
            one: Array = self.source.read(self.positions[np.array([key])])[0]
            return one
        return self.source.read(self.positions[key])

    def __iter__(self) -> Iterator[Array]:
        """Yield row after row."""
        for part in chunks(self):
            yield from part

    def __array__(self, *_: Any, **__: Any) -> Array:
        """Refuse to become an array: that would read all rows into memory."""
        raise TypeError(f"{len(self):,} rows that are read as needed are not made one array: take some, as x[0:100]")

    def view(self, positions: Any) -> "LazyArray":
        """Return some of the rows, by positions or a slice, without reading them."""
        return LazyArray(self.source, self.positions[positions])

    def identity(self) -> str | None:
        """Return what changes whenever the content may have; None if that takes reading it."""
        return self.source.identity(self.positions)

    def stand_in(self) -> Array:
        """Return an array of zeros of this shape and type that takes no memory."""
        return np.broadcast_to(np.zeros((), self.dtype), self.shape)


def rows(x: Examples, positions: Any) -> Examples:
    """Return some rows of an array, by positions or a slice; they are not read now where it is lazy."""
    return x.view(positions) if isinstance(x, LazyArray) else x[positions]


def chunks(x: Examples) -> Iterator[Array]:
    """Yield the rows of an array in their order, some at a time."""
    for part in parts(x):
        yield x[part]


def parts(x: Examples) -> Iterator[slice]:
    """Yield slices that together are all rows of an array, in their order."""
    size = max(1, int(np.prod(x.shape[1:])) * x.dtype.itemsize)
    step = max(1, _PART // size)
    for start in range(0, len(x), step):
        yield slice(start, start + step)


def joined(arrays: Sequence[Examples]) -> Examples:
    """Return arrays one after the other; lazy if one of them is."""
    if any(isinstance(each, LazyArray) for each in arrays):
        return LazyArray(_Joined(arrays))
    return np.concatenate(arrays)


def are_equal(one: Examples, other: Examples) -> bool:
    """Tell whether two arrays hold the same values; those of the same rows are not read for that."""
    if isinstance(one, LazyArray) and isinstance(other, LazyArray) and one.identity() is not None:
        return one.identity() == other.identity() or _are_equal(one, other)
    return _are_equal(one, other)


def _are_equal(one: Examples, other: Examples) -> bool:
    if one.shape != other.shape:
        return False
    return all(np.array_equal(*pair) for pair in zip(chunks(one), chunks(other), strict=False))


class _Joined:
    """Rows of several arrays."""

    def __init__(self, arrays: Sequence[Examples]) -> None:
        self._arrays = list(arrays)
        self._starts = np.cumsum([0, *map(len, arrays)])
        self.shape = (int(self._starts[-1]), *arrays[0].shape[1:])
        self.dtype = arrays[0].dtype

    def read(self, positions: Array) -> Array:
        found = np.empty((len(positions), *self.shape[1:]), self.dtype)
        owners = np.searchsorted(self._starts, positions, side="right") - 1
        for number in np.unique(owners):
            chosen = owners == number
            found[chosen] = self._arrays[number][positions[chosen] - self._starts[number]]
        return found

    def identity(self, positions: Array) -> str | None:
        return None
