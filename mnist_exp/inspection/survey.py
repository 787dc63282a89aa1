"""One pass over the examples: their range, those of one colour, and a digest of each, by which equal ones are found."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from mnist_exp.data.lazy import Array, Examples, chunks

_DIGEST = 16  # bytes; that two of a billion different images share one has a probability of 10⁻²¹


@dataclass(frozen=True)
class Survey:
    """What a pass over the examples of a set found.

    Args:
        low: the lowest value.
        high: the highest.
        flat: whether all values of an example are the same, bool (n,).
        digests: of each example's values, (n,) of bytes; those of equal values are equal, whatever their dtype.
    """

    low: float
    high: float
    flat: Array
    digests: Array


def survey(x: Examples) -> Survey:
    """Return the survey of examples (n, …); lazy ones are read once, some at a time."""
    low, high = np.inf, -np.inf
    flat: list[Array] = []
    found: list[bytes] = []
    for part in chunks(x):
        values = part.reshape(len(part), -1)
        lows, highs = values.min(axis=1), values.max(axis=1)
        low, high = min(low, float(lows.min())), max(high, float(highs.max()))
        flat.append(lows == highs)
        found += digests(values)
    return Survey(low, high, np.concatenate(flat) if flat else np.zeros(0, bool), np.array(found, f"V{_DIGEST}"))


def digests(values: Array) -> list[bytes]:
    """Return the digest of each row, (n, values); the same for whole numbers as bytes and as any other dtype."""
    plain = np.ascontiguousarray(values)
    if plain.dtype != np.uint8:
        plain = plain.astype(np.float32) + np.float32(0)  # -0 becomes 0.
        whole = ((plain >= 0) & (plain <= 255) & (plain == np.rint(plain))).all(axis=1)
        as_bytes = np.where(whole[:, np.newaxis], plain, 0).astype(np.uint8)
        return [sha256(as_bytes[i] if whole[i] else plain[i]).digest()[:_DIGEST] for i in range(len(plain))]
    return [sha256(row).digest()[:_DIGEST] for row in plain]
