"""The examples that a command line names as arrays: rows of csv, npy and npz files, made ready for a model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mnist_exp.config import wording
from mnist_exp.config.wording import show
from mnist_exp.data import features
from mnist_exp.data import pixels as ranges
from mnist_exp.data.dataset import Array
from mnist_exp.data.pixels import BYTES, Range
from mnist_exp.errors import DataError, SettingsError
from mnist_exp.inference.inputs import array_files
from mnist_exp.inference.inputs import parquet as parquet_inputs
from mnist_exp.inference.inputs.array_files import SUFFIXES, TEXTS
from mnist_exp.inference.inputs.images import STDIN
from mnist_exp.inference.mnist_style import AS_IT_IS
from mnist_exp.inference.preprocessing import Reader
from mnist_exp.inference.table_record import TableRecord

_AT_ONCE = 500  # rows that are converted at a time
_USUAL = (ranges.UNIT, ranges.SIGNED, ranges.BYTES, ranges.SIXTEEN_BITS)  # Others are a guess, which is told.


@dataclass(frozen=True)
class Example:
    """One example to predict.

    Args:
        path: the file and the example's number in it, from 0: `rows.csv:3`.
        values: float32, or uint8 for pixels, of the shape that the model takes; or why there are none.
        notes: what was done to it.
        picture: pixels of 0 to 255 that `values` were made of; None if it is no image.
    """

    path: str
    values: Array | DataError
    notes: tuple[str, ...] = ()
    picture: Array | None = None


def is_array(name: str) -> bool:
    """Tell whether a file holds arrays, by its name."""
    return name.lower().endswith(SUFFIXES)


def find(names: Sequence[str]) -> list[str]:
    """Return the names of a command line. Raises: SettingsError: one is neither a file nor - ."""
    problems = []
    for name in names:
        if name == STDIN:
            continue
        if not name or not Path(name).is_file():
            problems.append(f"{name or repr(name)} is not a file: this model takes examples of {', '.join(SUFFIXES)}")
        elif not is_array(name):
            problems.append(f"{name} must end in {', '.join(SUFFIXES)}: this model takes arrays, not images")
    if names.count(STDIN) > 1:
        problems.append("IMAGE=- is named twice, but standard input can be read once")
    if problems:
        raise SettingsError(problems)
    return list(names)


def all_of(
    names: Sequence[str],
    shape: tuple[int, ...],
    pixels: bool,
    stdin: BinaryIO | None = None,
    *,
    taken: Range = BYTES,
    reader: Reader | None = None,
    record: TableRecord | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Example]:
    """Yield the examples of files, in order; - reads rows of numbers, with commas between them, from standard input.

    Args:
        names: as `find` returns them.
        shape: of one example, as the model takes it.
        pixels: whether its values are pixels.
        stdin: standard input.
        taken: the values of black and white that the model takes, if they are.
        reader: makes images of another size ready; None refuses these.
        record: of the tables that the model was trained on; None if that is not known.
        tell: called with a sentence on what was chosen, or left out, of a file.
    """
    for name in names:
        try:
            if reader is not None and name.lower().endswith(parquet_inputs.SUFFIX):
                table = parquet_inputs.table_of(Path(name))
                if table.image is not None:
                    tell(f"{name}: its column {show(table.image)} is taken" + _but_not(table.others))
                    yield from _files(name, table.contents(), reader)
                    continue
            found = array_files.read(name, int(np.prod(shape)), stdin, record)
            for sentence in found.told:
                tell(f"{name}: {sentence}")
            values = found.values
            if record and name.lower().endswith(TEXTS) and len(shape) == 3 and record.is_transposed(name):
                tell(f"{name}: rows and columns of its images are exchanged, as in training")
                values = _upright(values, shape)
            yield from examples(name, values, shape, taken if pixels else None, reader, tell)
        except DataError as error:
            yield Example(name, DataError(f"{name}: {error}"))


def _upright(values: Array, shape: tuple[int, ...]) -> Array:
    """Return rows of images, (n, values), with rows and columns exchanged; others as they are."""
    if values.shape[1:] != (int(np.prod(shape)),):
        return values
    turned = values.reshape(-1, shape[1], shape[0], shape[2])
    return np.asarray(np.swapaxes(turned, 1, 2).reshape(len(values), -1))


def _but_not(others: Sequence[str]) -> str:
    return f", not {', '.join(map(show, others[:5]))}" if others else ""


def _files(name: str, contents: Iterator[bytes | None], reader: Reader) -> Iterator[Example]:
    """Yield the files of images that a table holds."""
    for number, content in enumerate(contents):
        place = f"{name}:{number}"
        try:
            if not content:
                raise DataError(f"{place}: there is no image: its bytes are not in the file")
            prepared = reader.read(content, place)
        except DataError as error:
            yield Example(place, error if place in str(error) else DataError(f"{place}: {error}"))
        else:
            yield Example(place, reader.raw(prepared.pixels[np.newaxis])[0], prepared.notes, prepared.pixels)


def examples(
    name: str,
    values: Array,
    shape: tuple[int, ...],
    taken: Range | None,
    reader: Reader | None,
    tell: Callable[[str], None],
) -> Iterator[Example]:
    """Yield the examples of an array, in order.

    Args:
        name: of it, for people.
        values: (n, …).
        shape: of one example, as the model takes it.
        taken: the values of black and white that the model takes; None if its values are no pixels.
        reader: makes images of another size ready; None refuses these.
        tell: called with a sentence where the range of the pixels is a guess.
    Raises: DataError: they do not fit the model.
    """
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)  # A mask, of black and white.
    if values.dtype.kind not in "uif":
        raise DataError(f"it holds {values.dtype} values; they must be numbers")
    if not values.size:
        raise DataError(f"it is empty: its shape is {values.shape}")
    shaped = _shaped(values, shape)
    are_other = shaped is None and reader is not None and values.ndim in (3, 4) and values.shape[3:] in ((), (1,), (3,))
    if shaped is None and not are_other:
        raise DataError(
            f"its shape is {values.shape}; the model takes (n, {', '.join(map(str, shape))}): {wording.examples(shape)}"
        )
    rows = values if shaped is None else shaped
    good = np.asarray(np.isfinite(rows.reshape(len(rows), -1)).all(axis=1))
    given = None if taken is None else _range(rows[good], taken)
    if given is not None and taken is not None and given not in (taken, *_USUAL):
        low, high = (float(edge(rows[good])) for edge in (np.min, np.max))
        tell(
            f"{name}: its values go from {low:g} to {high:g}, the model takes pixels of {ranges.words(taken)}: "
            f"{ranges.words(given)} is taken for black to white"
        )
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        made = _others(part, given, reader) if shaped is None and reader and given else _same(part, given, taken, shape)
        for number, (example, notes, picture) in enumerate(made, start):
            place = f"{name}:{number}"
            if not good[number]:
                yield Example(place, DataError(f"{place}: it has a value that is NaN or infinite"))
            elif isinstance(example, DataError):
                yield Example(place, DataError(f"{place}: {example}"))
            else:
                yield Example(place, example, notes, picture)


_Made = tuple[Array | DataError, tuple[str, ...], Array | None]


def _same(rows: Array, given: Range | None, taken: Range | None, shape: tuple[int, ...]) -> Iterator[_Made]:
    """Yield examples of the shape that the model takes, their notes and pictures."""
    if given is None or taken is None:
        yield from ((row, (), None) for row in features.converted(rows, None))
        return
    words = AS_IT_IS if given == taken else f"scaled from {ranges.words(given)} to {ranges.words(taken)}"
    with np.errstate(invalid="ignore"):  # Of rows that are refused.
        raw = ranges.converted(rows, given, taken)
        pictures = ranges.converted(rows, given, BYTES) if ranges.are_pictures(shape, True) else None
    for number, row in enumerate(raw):
        yield row, (words,), None if pictures is None else pictures[number]


def _others(images: Array, given: Range, reader: Reader) -> Iterator[_Made]:
    """Yield images of another size, made ready as files are, their notes and pictures."""
    with np.errstate(invalid="ignore"):
        pictures = ranges.converted(images if images.ndim == 4 else images[..., np.newaxis], given, BYTES)
    for picture in pictures:
        try:
            prepared = reader.prepared(np.asarray(picture, np.uint8))
        except DataError as error:
            yield error, (), None
        else:
            yield reader.raw(prepared.pixels[np.newaxis])[0], prepared.notes, prepared.pixels


def _shaped(values: Array, shape: tuple[int, ...]) -> Array | None:
    """Return examples in the shape that the model takes; None if they have another one."""
    if values.shape == shape:
        values = values[np.newaxis]  # One example alone.
    if values.shape[1:] != shape and values.ndim == 2 and values.shape[1] == int(np.prod(shape)):
        values = values.reshape(-1, *shape)  # As a table holds them.
    if values.shape[1:] != shape and values.shape[1:] == shape[:-1] and shape[-1] == 1:
        values = values[..., np.newaxis]
    return values if values.shape[1:] == shape and len(values) else None


def _range(rows: Array, taken: Range) -> Range:
    """Return the values of black and white of pixels: those that the model takes, unless they show that it is not so.

    Args:
        rows: finite values, (n, …).
        taken: by the model.
    """
    if not rows.size:
        return taken
    low, high = float(rows.min()), float(rows.max())
    # Nothing above 1 is no dim picture of a range that goes to 255.
    if taken[0] <= low and high <= taken[1] and not (low >= 0 and 0 < high <= 1 < taken[1]):
        return taken
    return ranges.said(ranges.survey(rows))
