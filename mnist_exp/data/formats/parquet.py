"""Read parquet files: images as bytes in a column, as Hugging Face has them, or numbers; shards of each set."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data import pixels, unreadable
from mnist_exp.data.formats import arrays
from mnist_exp.data.formats.parquet_columns import Columns, Options, choose
from mnist_exp.data.formats.parts import Parts, some
from mnist_exp.data.images.files import read_picture, survey_of_deep
from mnist_exp.data.lazy import Array
from mnist_exp.data.limits import check_memory, most_bytes
from mnist_exp.data.pixels import BYTES, Range
from mnist_exp.errors import DataError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

_PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("validation", "valid", "val", "dev"),
}
_WORDS = re.compile(r"[^a-z]+")
_ROWS = 1000  # that are decoded in one go
_MOST_PROBLEMS = 20


def read(place: Path, options: Options) -> Parts:
    """Return the data set of a parquet file, or of a folder with shards of its sets.

    Args:
        place: of the file or folder.
        options: how it is read.
    Raises: DataError: it is damaged, or it is not clear which column is meant; naming every image that is bad.
    """
    files = _files(place)
    schema = _schema(files["train"][0])
    columns, told = choose(files["train"][0], schema, options)
    size, depth, pairs, groups = options.size, None, {}, None
    if columns.image is not None:
        size, depth = _measured(files, columns.image, options)
    kept: dict[str, Array] = {}
    for part, shards in files.items():
        tables = [_table(shard, columns, options.group_by if part == "train" else None) for shard in shards]
        if columns.image is not None:
            x, kept[part] = _images(shards, tables, columns.image, size, options.channels, depth)
        else:
            x = np.concatenate(
                [_numbers(shard, table, columns.numbers) for shard, table in zip(shards, tables, strict=True)]
            )
        labels = [_values(table.column(columns.label)) for table in tables]
        rows = kept.get(part, slice(None))
        pairs[part] = x, np.concatenate(labels)[rows]
        if part == "train" and options.group_by is not None:
            groups = np.concatenate([_values(table.column(options.group_by)) for table in tables])[rows]
    parts = Parts(pairs["train"], pairs.get("test"), pairs.get("val"), columns.names, groups, told=tuple(told))
    if columns.image is not None:
        left_out = {part: rows for part, rows in kept.items() if len(rows) <= rows[-1]}
        return replace(parts, pixels=BYTES, depth=depth, kept=left_out)
    known = tuple(columns.numbers) if len(columns.numbers) > 1 else None
    return arrays.shaped(replace(parts, columns=known), place, options.shape)


def _files(place: Path) -> dict[str, list[Path]]:
    """Return the shards of each set: what a name says, or that of the folder; without such words all are of train."""
    if place.is_file():
        return {"train": [place]}
    found = sorted(place.rglob("*.parquet"))
    if not found:
        raise DataError(f"{place} has no parquet files")
    sets: dict[str, list[Path]] = {}
    for file in found:
        words = _WORDS.split("/".join(file.relative_to(place).parts).lower().removesuffix(".parquet"))
        named = [part for word in reversed(words) for part, names in _PARTS.items() if word in names]
        sets.setdefault(named[0] if named else "", []).append(file)
    if nameless := sets.pop("", []):
        if sets:
            raise DataError(
                f"{place} has parquet files of {' and '.join(sets)}, and others: "
                f"{some([each.name for each in nameless])}; move these away, or give their names a set"
            )
        return {"train": nameless}
    if "train" not in sets:
        raise DataError(f"{place} has parquet files of {' and '.join(sets)}, and none of train")
    return {part: sets[part] for part in _PARTS if part in sets}


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises of a damaged file into a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # ArrowInvalid, OSError, ArrowNotImplementedError, …
        raise DataError(f"{path} is not a readable parquet file: {first_line(error)}") from error


def _schema(path: Path) -> "pa.Schema":
    import pyarrow.parquet as pq

    with _told(path):
        return pq.read_schema(path)


def _table(path: Path, columns: Columns, group_by: str | None) -> "pa.Table":
    """Return the columns of a file that are used, once their sizes are known to fit into memory."""
    import pyarrow.parquet as pq

    wanted = [
        *([columns.image] if columns.image else columns.numbers),
        columns.label,
        *([group_by] if group_by else []),
    ]
    with _told(path):
        # Threads would make it slower: the decoding of images takes longer than the reading.
        file = pq.ParquetFile(path)
        if lacking := [name for name in wanted if name not in file.schema_arrow.names]:
            raise DataError(f"{path} lacks the column {', '.join(map(show, lacking))}, which another shard has")
        size = 0
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            for position in range(group.num_columns):
                column = group.column(position)
                if column.path_in_schema.split(".")[0] in wanted:
                    size += max(column.total_uncompressed_size, 8 * column.num_values)
        if size > most_bytes(path.stat().st_size):
            raise DataError(
                f"{path}, of {path.stat().st_size:,} bytes, says that it holds {size:,}: no data shrink so far, so it "
                "is not read"
            )
        check_memory(path, size)
        return file.read(columns=wanted, use_threads=False)


def _values(column: "pa.ChunkedArray") -> Array:
    """Return labels or groups, as the file has them; of dictionaries their values."""
    import pyarrow as pa

    if column.null_count:
        raise DataError(
            f"{column.null_count:,} of {len(column):,} labels are missing: leave these rows out, or label them"
        )
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        return np.array(column.to_pylist())
    found: Array = column.to_numpy()
    return found


def _contents(table: "pa.Table", image: str) -> "Iterator[bytes | None]":
    """Yield the file of each image, read only as they are asked for."""
    import pyarrow as pa

    column = table.column(image)
    for chunk in column.chunks:
        files = chunk.field("bytes") if pa.types.is_struct(chunk.type) else chunk
        for start in range(0, len(files), _ROWS):
            yield from files.slice(start, _ROWS).to_pylist()


def _measured(
    files: Mapping[str, Sequence[Path]], image: str, options: Options
) -> tuple[tuple[int, int] | None, Range | None]:
    """Return the size of the first image, unless it is given, and the range of images with more than 8 bits a pixel."""
    size, found = options.size, None
    for shards in files.values():
        for shard in shards:
            for content in _stream(shard, image):
                if not content:
                    continue
                if size is None:
                    try:
                        size = read_picture(content, size=None, channels=options.channels).size
                    except DataError:  # It is named when all are read.
                        continue
                try:
                    one = survey_of_deep(content, "an image")
                except DataError:
                    continue
                if one is None and found is None:
                    break  # Shards hold files of one kind: one of 8 bits is no reason to look at all.
                if one is not None and one.bad is None:
                    found = one if found is None else found.joined(one)
    return size, None if found is None else pixels.said(found)


def _stream(path: Path, image: str) -> "Iterator[bytes | None]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _told(path):
        for batch in pq.ParquetFile(path).iter_batches(_ROWS, columns=[image], use_threads=False):
            column = batch.column(0)
            yield from (column.field("bytes") if pa.types.is_struct(column.type) else column).to_pylist()


def _images(
    shards: Sequence[Path],
    tables: "Sequence[pa.Table]",
    image: str,
    size: tuple[int, int] | None,
    channels: int,
    depth: Range | None,
) -> tuple[Array, Array]:
    """Return the images of shards, uint8 (n, height, width, channels), and their rows, (n,)."""
    count = sum(table.num_rows for table in tables)
    if size is None or not count:
        raise DataError(f"{shards[0]} has no image that can be read in its column {show(image)}")
    check_memory(shards[0], count * size[0] * size[1] * channels)
    found = np.empty((count, *size, channels), np.uint8)
    kept = np.ones(count, bool)
    position, problems, bad = 0, [], 0
    for shard, table in zip(shards, tables, strict=True):
        for row, content in enumerate(_contents(table, image)):
            try:
                if not content:
                    raise DataError(f"{shard}, row {row}: there is no image: its bytes are not in the file")
                picture = read_picture(content, size=size, channels=channels, what=f"{shard}, row {row}", depth=depth)
                found[position] = picture.pixels
            except DataError as error:
                kept[position] = False
                if not unreadable.leave_out(str(error)):
                    bad += 1
                    problems += error.problems if bad <= _MOST_PROBLEMS else []
            position += 1
    if problems:
        more = [f"{bad - _MOST_PROBLEMS:,} more images cannot be read"] if bad > _MOST_PROBLEMS else []
        raise DataError([*problems, *more])
    if not kept.any():
        raise DataError(f"{shards[0]} has no image that can be read in its column {show(image)}")
    return (found if kept.all() else found[kept]), np.flatnonzero(kept)


def _numbers(path: Path, table: "pa.Table", names: Sequence[str]) -> Array:
    """Return the examples of a table of numbers: (n, columns), or of one column of lists (n, …)."""
    made = []
    for name in names:
        column = table.column(name)
        if column.null_count:
            raise DataError(
                f"{path}: {column.null_count:,} values of {show(name)} are missing; fill them, or leave them out"
            )
        try:
            made.append(np.array(column.to_pylist()) if _is_list(column.type) else column.to_numpy())
        except ValueError as error:
            raise DataError(f"{path}: the rows of {show(name)} do not have one shape: {error}") from error
    if len(made) == 1 and made[0].ndim > 1:
        return made[0]
    if any(each.ndim > 1 for each in made):
        raise DataError(
            f"{path} has several columns of lists: say data.image=, or keep one of {some(list(map(show, names)))}"
        )
    return np.stack(made, axis=1)


def _is_list(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
