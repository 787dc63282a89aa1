"""Examples as small pictures within a page, and which ones stand for a class."""

import base64
import io
from collections.abc import Sequence

import numpy as np

from mnist_exp.data import Dataset
from mnist_exp.data.lazy import Array
from mnist_exp.inspection.parts import Example, Part, example

SIDE = 112  # pixels; larger pictures are made smaller
OF_EACH_CLASS = 10
MOST_CLASSES = 60


def shown(parts: Sequence[Part], examples: Sequence[Example]) -> dict[tuple[int, int], str]:
    """Return pictures of examples as addresses that hold them, by part and row; none where they cannot be shown."""
    wanted: dict[int, list[int]] = {}
    for each in examples:
        wanted.setdefault(each.part, []).append(each.row)
    found: dict[tuple[int, int], str] = {}
    for number, listed in wanted.items():
        pictures, distinct = parts[number].pictures, np.unique(listed)
        if pictures is not None:
            images = pictures[distinct]
            found |= {(number, int(row)): address(image) for row, image in zip(distinct, images, strict=True)}
    return found


def address(image: Array) -> str:
    """Return a picture, (height, width, channels) of 0 to 255, as an address of a PNG that holds all of it."""
    from PIL import Image

    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if max(picture.size) > SIDE:
        picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def some_of_each_class(parts: Sequence[Part], dataset: Dataset) -> list[tuple[str, list[Example]]]:
    """Return for each class its name and some examples of the first set, evenly spread; at most `MOST_CLASSES`.

    Where there are no classes, the only row has some of all.
    """
    y = parts[0].y
    if dataset.task.has_classes:
        sets = [(name, np.flatnonzero(y == label)) for label, name in enumerate(dataset.class_names)]
    elif dataset.task.activation == "linear":
        sets = [("in the order of the first number", np.argsort(y[:, 0], kind="stable"))]
    else:
        sets = [(name, np.flatnonzero(y[:, label])) for label, name in enumerate(dataset.class_names)]
    found = []
    for name, rows in sets[:MOST_CLASSES]:
        some = rows[np.unique(np.linspace(0, len(rows) - 1, OF_EACH_CLASS).round().astype(int))] if len(rows) else rows
        found.append((name, [example(parts, dataset, 0, int(row)) for row in some]))
    return found
