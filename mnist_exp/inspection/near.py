"""Nearly equal images: compressed again, shifted by a pixel, brightened or darkened.

Each image is known by the amplitudes of its frequencies, which a shift does not change. Those nearest in that are
compared pixel by pixel, a little blurred, at the best shift. The numbers below were chosen on MNIST, no two of
whose images are equal, with copies planted among them: `benchmarks/near_copies.py`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mnist_exp.data.lazy import Array
from mnist_exp.inspection.parts import Part, located

MOST_COMPARISONS = 20_000_000_000  # about a minute on two CPU threads
SIDE = 32  # Larger images are made smaller than this.
SMALLEST_SIDE = 6
DISTANCE = 0.06  # between images of mean 0 and length 1: a correlation of 0.9982
_BLUR = 0.7  # pixels
_LARGEST_STEP = 0.6  # of a pixel, for which a slope stands
_FEATURES = 32
_FOR_FEATURES = 20_000  # images from which they are learned
_NEIGHBOURS = 10
_COMPARED = 3  # of them pixel by pixel
_CLOSE = 0.04  # Two images that are further apart in features are compared pixel by pixel only if they are
_CLOSER = 0.75  # closer than this share of the distance to the tenth neighbour.
_AT_ONCE = 1024


@dataclass(frozen=True)
class Near:
    """Pairs of nearly equal images.

    Args:
        pairs: each two images as (part, row), nearest first.
        distances: theirs, from 0.
        left_out: how many images were not compared with all others: there were too many.
        seconds: that it took.
    """

    pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]]
    distances: Sequence[float]
    left_out: int
    seconds: float


def find(parts: Sequence[Part], leave_out: Sequence[Array], seed: int = 0) -> Near:
    """Return the nearly equal images of sets, across them and within.

    Where there are too many to compare each with each, as many as there is time for are compared with all others, those
    of the last set first: of the test set.

    Args:
        parts: the sets, whose images can be shown.
        leave_out: for each set which images are not compared, bool (n,): equal ones but the first, those of one colour.
        seed: of the choice where there are too many.
    """
    began = time.perf_counter()
    part, row = located(parts)
    kept = np.flatnonzero(~np.concatenate(list(leave_out)))
    if len(kept) < 2:
        return Near([], [], 0, time.perf_counter() - began)
    part, row = part[kept], row[kept]
    features = _features(parts, part, row, np.random.default_rng(seed))
    asked = _asked(part, len(parts), np.random.default_rng([seed, 1]))
    one, other = _candidates(features, asked)
    distances = np.empty(len(one))
    for start in range(0, len(one), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        first, second = (_pictures(parts, part[ids], row[ids]) for ids in (one[some], other[some]))
        distances[some] = distance(first, second)
    near = np.flatnonzero(distances < DISTANCE)
    near = near[np.argsort(distances[near], kind="stable")]
    places = list(zip(part.tolist(), row.tolist(), strict=True))
    pairs = [(places[int(one[i])], places[int(other[i])]) for i in near]
    return Near(pairs, distances[near].tolist(), len(part) - len(asked), time.perf_counter() - began)


def distance(images: Array, others: Array) -> Array:
    """Return how different images are from others, each from its own: 0 for equal ones, about 1.4 for unrelated ones.

    A shift by up to a pixel and a half, a factor and a summand of the brightness, and what a blur hides make no
    difference. Shifts by less than a pixel are taken for the slope of the image, its tangents.

    Args:
        images: float32 (n, height, width, channels).
        others: likewise.
    Source: Simard, LeCun, Denker 1992, Efficient Pattern Recognition Using a New Transformation Distance.
    """
    fixed, (height, width) = _unit(_blurred(images)), images.shape[1:3]
    blurred = np.pad(_blurred(others), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    best = np.full(len(images), -1.0)
    found = np.empty((len(images), height + 2, width + 2, images.shape[3]), np.float32)  # and a pixel around it
    for down in range(3):
        for right in range(3):
            moved = blurred[:, down : down + height + 2, right : right + width + 2]
            alike = np.einsum("nd,nd->n", fixed, _unit(moved[:, 1:-1, 1:-1]))
            better = alike > best
            best[better], found[better] = alike[better], moved[better]
    slopes = (found[:, 2:, 1:-1] - found[:, :-2, 1:-1], found[:, 1:-1, 2:] - found[:, 1:-1, :-2])
    best = np.maximum(best, _with_tangents(fixed, found[:, 1:-1, 1:-1], *slopes))
    return np.asarray(np.sqrt(np.maximum(2 - 2 * best, 0)))


def _with_tangents(fixed: Array, image: Array, down: Array, right: Array) -> Array:
    """Return the correlation with an image that is moved by the part of a pixel that fits best.

    Args:
        fixed: rows of mean 0 and length 1.
        image: to be moved, (n, height, width, channels).
        down: twice its slope.
        right: likewise.
    """
    basis = np.stack([each.reshape(len(fixed), -1) for each in (image, down / 2, right / 2)], axis=1)
    basis = basis - basis.mean(axis=2, keepdims=True)
    products = np.einsum("nid,njd->nij", basis, basis).astype(np.float64)
    # An image without a slope in one direction has no answer there.
    products += np.eye(3) * (1e-6 * (np.trace(products, axis1=1, axis2=2) / 3 + 1e-6))[:, np.newaxis, np.newaxis]
    share = np.linalg.solve(products, np.einsum("nid,nd->ni", basis, fixed)[..., np.newaxis])[..., 0]
    step = share[:, 1:] / np.where(np.abs(share[:, :1]) < 1e-12, 1e-12, share[:, :1])
    step = np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
    moved = basis[:, 0] + step[:, :1] * basis[:, 1] + step[:, 1:] * basis[:, 2]
    return np.asarray(np.einsum("nd,nd->n", _unit(moved), fixed))


def _blurred(images: Array) -> Array:
    from scipy.ndimage import gaussian_filter

    found: Array = gaussian_filter(images, (0, _BLUR, _BLUR, 0))
    return found


def _unit(images: Array) -> Array:
    """Return images as rows of mean 0 and length 1; zeros for one of one colour."""
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    found: Array = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return found


def _features(parts: Sequence[Part], part: Array, row: Array, rng: np.random.Generator) -> Array:
    """Return what images are known by, float32 (n, features)."""
    from sklearn.decomposition import PCA

    sample = np.sort(rng.permutation(len(part))[:_FOR_FEATURES])
    known = np.concatenate([_amplitudes(each) for each in _in_turn(parts, part[sample], row[sample])])
    pca = PCA(min(_FEATURES, *known.shape), svd_solver="covariance_eigh").fit(known)
    if len(sample) == len(part):
        return np.asarray(pca.transform(known), np.float32)
    found = [np.asarray(pca.transform(_amplitudes(each)), np.float32) for each in _in_turn(parts, part, row)]
    return np.concatenate(found)


def _amplitudes(images: Array) -> Array:
    grey = images.mean(axis=3)
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    found = np.sqrt(np.abs(np.fft.rfft2(grey))).reshape(len(grey), -1).astype(np.float32)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    return found


def _asked(part: Array, parts: int, rng: np.random.Generator) -> Array:
    """Return the images whose neighbours are looked for: all, or as many as there is time for."""
    most = MOST_COMPARISONS // len(part)
    if len(part) <= most:
        return np.arange(len(part))
    order = np.lexsort((rng.permutation(len(part)), -part))  # The test set first.
    return np.sort(order[: max(most, 1)])


def _candidates(features: Array, asked: Array) -> tuple[Array, Array]:
    """Return the pairs of images that may be nearly equal, each once."""
    from sklearn.neighbors import NearestNeighbors

    count = min(_NEIGHBOURS + 1, len(features))
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(features)
    distances, neighbours = search.kneighbors(features[asked])
    is_other = neighbours != asked[:, np.newaxis]
    # Of several at distance 0 an image need not be its own nearest.
    order = np.argsort(~is_other, axis=1, kind="stable")[:, : count - 1]
    distances, neighbours = (np.take_along_axis(each, order, axis=1) for each in (distances, neighbours))
    first = distances[:, :_COMPARED]
    close = (first < _CLOSE) | (first < _CLOSER * distances[:, -1:]) | (count <= _NEIGHBOURS)
    asking, rank = np.nonzero(close)
    one, other = asked[asking], neighbours[asking, rank]
    pairs = np.unique(np.stack([np.minimum(one, other), np.maximum(one, other)], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _in_turn(parts: Sequence[Part], part: Array, row: Array) -> Iterator[Array]:
    """Yield images in their order, some at a time."""
    for start in range(0, len(part), _AT_ONCE):
        yield _pictures(parts, part[start : start + _AT_ONCE], row[start : start + _AT_ONCE])


def _pictures(parts: Sequence[Part], part: Array, row: Array) -> Array:
    """Return images as float32 (n, height, width, channels), no side longer than `SIDE`."""
    found: Array | None = None
    for number in np.unique(part):
        own = np.flatnonzero(part == number)
        small = _small(parts[number].pictures[row[own]])
        found = np.empty((len(part), *small.shape[1:]), np.float32) if found is None else found
        found[own] = small
    assert found is not None
    return found


def _small(images: Array) -> Array:
    """Return images whose sides are made shorter by a whole factor, by means."""
    factor = -(-max(images.shape[1:3]) // SIDE)
    values = images.astype(np.float32)
    if factor == 1:
        return values
    height, width = (-(-side // factor) for side in images.shape[1:3])
    beyond = [(0, 0), (0, height * factor - images.shape[1]), (0, width * factor - images.shape[2]), (0, 0)]
    values = np.pad(values, beyond, mode="edge")
    found: Array = values.reshape(len(images), height, factor, width, factor, -1).mean(axis=(2, 4))
    return found
