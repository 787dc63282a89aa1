"""What only shows once the number of training images is known."""

import numpy as np
import pytest

from mnist_exp.composition.compose import compose
from mnist_exp.composition.preflight import load_data
from mnist_exp.config.rules import problems_of_size, warnings_of_size
from mnist_exp.errors import SettingsError
from mnist_exp.tasks.classification import Classification

SMALL = ["data=mnist_5k", "data.limit=400", "data.validation=100", "trainer.epochs=2", "trainer.batch_size=50"]


def accumulating(steps):
    return compose([*SMALL, f"+optimizer.gradient_accumulation_steps={steps}"])


def test_accumulation_over_more_steps_than_there_are_is_refused_before_training():
    with pytest.raises(SettingsError) as error:
        load_data(accumulating(13))
    (problem,) = error.value.problems
    assert problem.startswith("optimizer.gradient_accumulation_steps=13: the training has 12 steps (2 × 6), so no ")
    load_data(accumulating(12))


@pytest.mark.parametrize(("every", "told"), [(12, []), (5, [2]), (4, [])])
def test_gradients_that_are_left_over_are_told(every, told):
    settings = accumulating(every)
    assert problems_of_size(settings, 300) == []
    words = [f"{12 // every} updates of 12 steps: the gradients of the last {left} are not applied" for left in told]
    assert [sentence.partition(" makes ")[2] for sentence in warnings_of_size(settings, 300)] == words


def test_accumulation_does_what_the_sentences_say():
    """Keras applies gradients at each fourth step; at fewer steps nothing is learnt."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer=keras.optimizers.SGD(gradient_accumulation_steps=4), loss="mse")
    start = model.get_weights()[0]
    x, y = np.ones((8, 3), np.float32), np.zeros((8, 2), np.float32)
    model.fit(x, y, batch_size=4, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], start)
    model.fit(x, y, batch_size=4, verbose=0)
    assert (model.get_weights()[0] != start).any()


def test_batch_larger_than_the_training_set_is_told():
    settings = compose([*SMALL, "trainer.batch_size=301"])
    assert warnings_of_size(settings, 300) == [
        "trainer.batch_size=301 is more than the 300 training images: an epoch is one step"
    ]
    assert warnings_of_size(settings, 301) == []
    assert warnings_of_size(settings, 1)[0].startswith("trainer.batch_size=301 is more than the 1 training image:")


@pytest.mark.parametrize(
    ("y_train", "y_val", "sentences"),
    [
        ([0, 1, 2], [0, 1, 2], []),
        ([0, 1, 2], [0, 1], ["none of the 2 validation images is of the class cat"]),
        ([0, 1, 1], [0, 1, 2], ["none of the 3 training images is of the class cat"]),
        ([0, 1, 2], [2, 2], ["all 2 validation images are of the class cat"]),
        ([1], [0, 1, 2], ["the only training image is of the class bee"]),
    ],
)  # fmt: skip
def test_classes_that_a_part_of_the_data_lacks_are_told(y_train, y_val, sentences):
    sets = {"training": np.array(y_train), "validation": np.array(y_val)}
    assert Classification().remarks(sets, ("ant", "bee", "cat")) == sentences
