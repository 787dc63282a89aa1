"""Images of files as TensorFlow's own threads decode them: the pixels that Pillow gives, in the order of the epoch."""

import numpy as np
import pytest
from PIL import Image

from mnist_exp.data.images.folder import list_folder, read_folder
from mnist_exp.data.images.lazy_folder import FolderImages
from mnist_exp.data.lazy import LazyArray
from mnist_exp.errors import DataError
from mnist_exp.mixing import Mixup
from mnist_exp.training import image_feed
from mnist_exp.training.batches import Batches

KINDS = [".jpg", ".png", ".jpg", ".webp", ".jpeg", ".gif", ".bmp"]


@pytest.fixture(params=[1, 3])
def listing(request, tmp_path):
    """Images of many formats; JPEG of all samplings, progressive, turned, in other colours, and of another size."""
    rng = np.random.default_rng(0)
    for number in range(60):
        file = tmp_path / "a" / f"class {number % 2}" / f"{number:02d}{KINDS[number % 7]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = (13, 10, 3) if number % 11 else (10, 13, 3)
        image = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
        if file.suffix in (".jpg", ".jpeg"):
            exif = image.getexif()
            if number % 5 == 0:
                exif[0x0112] = 3
            mode = ("RGB", "L", "CMYK", "RGB")[number % 4]
            image.convert(mode).save(file, subsampling=number % 3, progressive=number % 4 == 0, exif=exif)
        else:
            image.save(file)
    return list_folder(tmp_path / "a"), request.param


def arrays(listing):
    found, channels = listing
    x, y = read_folder(found, size=(13, 10), channels=channels)
    return x, LazyArray(FolderImages(found, (13, 10, channels))), y


def seen(batches):
    return [[np.asarray(part) for part in batch] for batch in batches.feed()]


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize("decodes", [True, False])
def test_the_batches_are_those_in_memory(listing, seed, decodes, monkeypatch):
    monkeypatch.setattr(image_feed, "decodes_as_pillow", lambda: decodes)
    x, lazy, y = arrays(listing)
    order = np.random.default_rng(3).permutation(len(x))[:50]
    weights = np.linspace(0, 1, len(x), dtype=np.float32)
    expected, found = (
        Batches(images, y[order], weights[order], batch_size=16, seed=seed) for images in (x[order], lazy.view(order))
    )
    for epoch in (0, 2):
        for each in (expected, found):
            each.start_epoch(epoch)
        for theirs, ours in zip(seen(expected), seen(found), strict=True):
            for one, other in zip(theirs, ours, strict=True):
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)


def test_mixed_batches_are_those_in_memory(listing):
    """Each is drawn for the number of its batch: what is decoded ahead, and by whom, changes nothing."""
    x, lazy, y = arrays(listing)

    def mix(rng, images, labels):
        return Mixup(1.0).mix(rng, images, np.eye(2, dtype=np.float32)[labels])

    expected, found = (Batches(images, y, batch_size=16, seed=7, mix=mix) for images in (x, lazy))
    assert found.feed().element_spec == expected.feed().element_spec
    for theirs, ours in zip(seen(expected), seen(found), strict=True):
        for one, other in zip(theirs, ours, strict=True):
            np.testing.assert_array_equal(one, other)


def test_tensorflow_decodes_as_pillow_does():
    assert image_feed.decodes_as_pillow()


def test_a_decoder_that_differs_is_noticed(monkeypatch):
    monkeypatch.setattr(image_feed, "_METHOD", "INTEGER_FAST")
    image_feed.decodes_as_pillow.cache_clear()
    try:
        assert not image_feed.decodes_as_pillow()
    finally:
        image_feed.decodes_as_pillow.cache_clear()


def test_a_feed_knows_its_length_and_its_shapes(listing):
    _, lazy, y = arrays(listing)
    feed = Batches(lazy, y, batch_size=16).feed()
    assert int(feed.cardinality()) == 4
    assert feed.element_spec[0].shape.as_list() == [None, *lazy.shape[1:]]


def test_a_file_that_changes_ends_the_training_with_its_name(listing):
    _, lazy, y = arrays(listing)
    found, _ = listing
    found.path(3).write_bytes(found.path(4).read_bytes())
    with pytest.raises(Exception, match="was changed while the data set was in use") as error:
        seen(Batches(lazy, y, batch_size=16))
    assert not isinstance(error.value, AssertionError)
    with pytest.raises(DataError, match="was changed"):
        lazy[:]
