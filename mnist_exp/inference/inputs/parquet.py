"""The examples of parquet files: images as bytes in a column, as Hugging Face has them, or columns of numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data.dataset import Array
from mnist_exp.data.limits import check_memory, most_bytes
from mnist_exp.errors import DataError, first_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIX = ".parquet"
_ROWS = 500  # that are in memory at a time
_IMAGES = ("image", "img", "images", "picture")


@dataclass(frozen=True)
class Table:
    """A parquet file.

    Args:
        path: of it.
        image: the column with files of images; None if there is none.
        numbers: the columns of numbers.
        others: all others.
    """

    path: Path
    image: str | None
    numbers: tuple[str, ...]
    others: tuple[str, ...]

    def contents(self) -> Iterator[bytes | None]:
        """Yield the file of each image, some in memory at a time. Raises: DataError: they cannot be read."""
        import pyarrow as pa

        with _opened(self.path) as file:
            for batch in file.iter_batches(_ROWS, columns=[self.image], use_threads=False):
                column = batch.column(0)
                yield from (column.field("bytes") if pa.types.is_struct(column.type) else column).to_pylist()

    def rows(self) -> Array:
        """Return the columns of numbers side by side, (n, columns). Raises: DataError: a value is missing."""
        with _opened(self.path) as file:
            table = file.read(columns=list(self.numbers), use_threads=False)
            if lacking := [name for name in self.numbers if table.column(name).null_count]:
                raise DataError(f"values of {show(lacking[0])} are missing: fill them, or leave the rows out")
            return np.column_stack([table.column(name).to_numpy() for name in self.numbers])


def table_of(path: Path) -> Table:
    """Return what a parquet file holds, by its schema. Raises: DataError: it is damaged, or grows beyond measure."""
    import pyarrow as pa

    with _opened(path) as file:
        schema = file.schema_arrow
        images = [field.name for field in schema if _holds_files(field.type)]
        chosen = next((name for name in _IMAGES if name in images), images[0] if images else None)
        numbers = tuple(
            field.name for field in schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        )
    used = (chosen,) if chosen is not None else numbers
    return Table(path, chosen, numbers, tuple(name for name in schema.names if name not in used))


def _holds_files(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_files(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


@contextmanager
def _opened(path: Path) -> "Iterator[pq.ParquetFile]":
    """Open a file; what reading it raises becomes a DataError."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
            size = sum(group.total_byte_size for group in groups)
            if size > most_bytes(path.stat().st_size):
                raise DataError(
                    f"of {path.stat().st_size:,} bytes, it says that it holds {size:,}: no data shrink so far"
                )
            check_memory(path, size)
            yield file
    except DataError:
        raise
    except Exception as error:  # ArrowInvalid, OSError, ArrowNotImplementedError, …
        raise DataError(f"it is not a readable parquet file: {first_line(error)}") from error
