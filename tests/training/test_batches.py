"""The order of the images: as `Batches` gives it, and as `model.fit` sees it."""

import keras
import numpy as np
import pytest

from mnist_exp.training.batches import Batches


def numbered(count):
    """Return images that carry their number in a pixel, and the numbers as labels."""
    numbers = np.arange(count)
    x = np.zeros((count, 2, 2, 1), np.float32)
    x[:, 0, 0, 0] = numbers
    return x, numbers


def order(batches, epoch=0):
    batches.start_epoch(epoch)
    return [int(number) for i in range(len(batches)) for number in batches[i][1]]


class Recorder(keras.Model):
    """A model that learns nothing and notes the numbers of the images in each step."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x):
        return x

    def train_step(self, data):
        x, y = (np.asarray(part) for part in data)
        np.testing.assert_array_equal(x[:, 0, 0, 0], y)
        self.seen.append(y.tolist())
        return {"loss": 0.0}


def fit(batches, epochs, initial_epoch=0):
    model = Recorder()
    model.compile(run_eagerly=True)
    callbacks = [batches.counted()]
    model.fit(batches, epochs=epochs, initial_epoch=initial_epoch, shuffle=False, verbose=0, callbacks=callbacks)
    return model.seen


@pytest.mark.parametrize(
    ("count", "size", "sizes"), [(12, 4, [4, 4, 4]), (10, 4, [4, 4, 2]), (3, 4, [3]), (5, 1, [1] * 5)]
)
def test_every_image_is_in_exactly_one_batch(count, size, sizes):
    x, y = numbered(count)
    batches = Batches(x, y, batch_size=size, seed=7)
    assert [len(batches[i][1]) for i in range(len(batches))] == sizes
    assert sorted(order(batches)) == list(range(count))
    for i in range(len(batches)):
        np.testing.assert_array_equal(batches[i][0][:, 0, 0, 0], batches[i][1])


def test_real_digits_keep_their_labels_and_type(digits):
    (x, y), _ = digits
    batches = Batches(x, y, batch_size=300, seed=7)
    images, labels = (np.concatenate(parts) for parts in zip(*(batches[i] for i in range(len(batches))), strict=True))
    assert images.dtype == np.uint8
    for label in range(10):
        assert images[labels == label].sum(dtype=np.int64) == x[y == label].sum(dtype=np.int64)


def test_order_depends_on_seed_and_epoch_only():
    x, y = numbered(100)
    first = order(Batches(x, y, batch_size=10, seed=7), epoch=2)
    np.random.seed(99)
    keras.utils.set_random_seed(3)
    assert order(Batches(x, y, batch_size=33, seed=7), epoch=2) == first
    assert order(Batches(x, y, batch_size=10, seed=8), epoch=2) != first
    assert first != list(range(100))


def test_each_epoch_has_its_own_order():
    orders = [order(Batches(*numbered(50), batch_size=10, seed=7), epoch) for epoch in range(10)]
    assert len(set(map(tuple, orders))) == 10


def test_without_a_seed_the_order_is_that_of_the_arrays():
    batches = Batches(*numbered(25), batch_size=10)
    assert order(batches) == list(range(25))
    assert order(batches, epoch=3) == list(range(25))


# One and two batches are fewer than Keras looks at beforehand to learn their shape.
@pytest.mark.parametrize(("count", "size"), [(100, 10), (95, 10), (23, 1), (10, 10), (15, 10), (7, 10)])
def test_fit_sees_the_orders_of_epochs_0_1_2(count, size):
    data = numbered(count)
    seen = fit(Batches(*data, batch_size=size, seed=7), epochs=3)
    expected = Batches(*data, batch_size=size, seed=7)
    assert [number for batch in seen for number in batch] == [n for epoch in range(3) for n in order(expected, epoch)]
    assert [len(batch) for batch in seen] == [len(expected[i][1]) for i in range(len(expected))] * 3


def test_fit_from_a_later_epoch_sees_that_epochs_order():
    data = numbered(25)
    whole = fit(Batches(*data, batch_size=10, seed=7), epochs=4)
    assert fit(Batches(*data, batch_size=10, seed=7), epochs=4, initial_epoch=2) == whole[6:]


def test_predictions_come_in_the_order_of_the_arrays():
    x, _ = numbered(1050)
    found = Recorder().predict(Batches(x, batch_size=100), verbose=0)
    np.testing.assert_array_equal(found, x)
