"""Which columns of a parquet file are the images, or numbers, and the labels; what Hugging Face's metadata say of them.

Source: huggingface.co/docs/datasets, "Image features": a column of structs of bytes and path; the schema's metadata
`huggingface` holds info.features, with the names of the classes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_exp.config.wording import nearest, show
from mnist_exp.data.formats.parts import some
from mnist_exp.data.labels import LABEL_COLUMNS
from mnist_exp.errors import DataError, plural

if TYPE_CHECKING:
    import pyarrow as pa

_IMAGES = ("image", "img", "images", "picture", "pixels", "x")


@dataclass(frozen=True)
class Options:
    """How a table is read; `data.loaders.parquet` says what each means."""

    image: str | None = None
    label: str | None = None
    group_by: str | None = None
    size: tuple[int, int] | None = None
    channels: int = 1
    shape: Sequence[int] | None = None


@dataclass(frozen=True)
class Columns:
    """The columns that are read, by their names.

    Args:
        image: with files of images; None if the examples are numbers.
        numbers: of the examples, where there are no images.
        label: of the labels.
        names: of the classes, by label; None if the table has none.
    """

    image: str | None
    numbers: tuple[str, ...]
    label: str
    names: tuple[str, ...] | None


def choose(path: Path, schema: "pa.Schema", options: Options) -> tuple[Columns, list[str]]:
    """Return the columns that are read, and sentences about the others.

    Args:
        path: of the file, for messages.
        schema: of it.
        options: what the user said.
    Raises: DataError: a column is not there, or it is not clear which one is meant.
    """
    import pyarrow as pa

    features = _features(schema)
    for option, name in (("image", options.image), ("label", options.label), ("group_by", options.group_by)):
        if name is not None and name not in schema.names:
            guess = nearest(name, schema.names)
            fix = f"did you mean {show(guess)}?" if guess else f"it has {some(list(map(show, schema.names)))}"
            raise DataError(f"data.{option}={show(name)} is no column of {path}: {fix}")

    def is_image(name: str) -> bool:
        kind = schema.field(name).type
        if pa.types.is_struct(kind):
            return bool(kind.get_field_index("bytes") >= 0)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    label = options.label if options.label is not None else _label(path, schema, features)
    images = [name for name in schema.names if name != label and is_image(name)]
    image = options.image
    if image is None and images:
        image = images[0] if len(images) == 1 else next((name for name in _IMAGES if name in images), None)
        if image is None:
            raise DataError(
                f"{path} has several columns of images: say data.image=, one of {some(list(map(show, images)))}"
            )
    if image is not None and not is_image(image):
        raise DataError(f"data.image={show(image)} holds {schema.field(image).type}, no files of images")
    rest = [name for name in schema.names if name not in (label, image, options.group_by)]
    numbers = () if image is not None else tuple(name for name in rest if _is_numeric(schema.field(name).type))
    if image is None and not numbers:
        raise DataError(f"{path} has no column of images or numbers beside the label; it has {some(schema.names)}")
    names = features.get(label, {}).get("names") if isinstance(features.get(label), dict) else None
    known = tuple(map(str, names)) if isinstance(names, list) and names else None
    unused = [name for name in rest if name not in numbers]
    told = (
        [f"{plural(len(unused), 'column')} of {path.name} not used: {some(list(map(show, unused)))}"] if unused else []
    )
    return Columns(image, numbers, label, known), told


def _features(schema: "pa.Schema") -> Mapping[str, Any]:
    """Return what Hugging Face's metadata say of each column; {} if there are none."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _label(path: Path, schema: "pa.Schema", features: Mapping[str, Any]) -> str:
    classes = [
        name
        for name in schema.names
        if isinstance(features.get(name), dict) and features[name].get("_type") == "ClassLabel"
    ]
    named = [name for name in schema.names if name.lower() in LABEL_COLUMNS]
    found = classes if len(classes) == 1 else named or classes
    if len(found) != 1:
        what = f"several columns of labels, {' and '.join(map(show, found))}" if found else "no column called label"
        raise DataError(f"{path} has {what}: say data.label=, one of {some(list(map(show, schema.names)))}")
    return str(found[0])


def _is_numeric(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
