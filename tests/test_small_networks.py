"""The networks of the finding about parameters: experiments/findings/small_networks.py."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def small_networks():
    sys.path.insert(0, str(ROOT / "experiments/findings"))
    import small_networks

    yield small_networks
    sys.path.remove(str(ROOT / "experiments/findings"))


@pytest.mark.parametrize(
    ("options", "parameters"),
    [({}, 496), ({"repeats": [1, 5], "upright": False}, 496), ({"stages": "own"}, 667), ({"channels": 24}, 1666)],
)
def test_uses_of_a_convolution_cost_no_parameters(small_networks, options, parameters):
    assert small_networks.small_network((28, 28, 1), 10, **options).count_params() == parameters


def test_a_slanting_stroke_is_set_upright_in_the_middle(small_networks):
    images = np.zeros((2, 28, 28, 1), np.float32)
    for row in range(6, 22):
        images[0, row, 22 - row // 2] = images[1, row - 4, 5 + row // 4] = 1
    upright = np.asarray(small_networks.Upright()(images))[..., 0]
    assert upright.sum((1, 2)) == pytest.approx(images.sum((1, 2, 3)), rel=0.05)
    for image in upright:
        columns, rows = image.sum(0), image.sum(1)
        places = np.arange(28)
        assert (columns @ places / columns.sum(), rows @ places / rows.sum()) == pytest.approx((13.5, 13.5), abs=0.1)
        assert columns[12:16].sum() == pytest.approx(columns.sum(), rel=0.01)


def test_an_image_that_stands_upright_stays(small_networks):
    images = np.zeros((1, 27, 27, 1), np.float32)
    images[0, 5:22, 10:17] = 0.5
    np.testing.assert_allclose(small_networks.Upright()(images), images, atol=1e-4)
    assert not np.asarray(small_networks.Upright()(np.zeros_like(images))).any()


def test_it_is_trained_as_a_model_of_ones_own(small_networks, tmp_path, monkeypatch):
    import mnist_exp

    monkeypatch.chdir(tmp_path)
    words = ["model=small_network", "data=mnist_5k", "data.limit=200", "trainer.epochs=1"]
    result = mnist_exp.run(words, config_dir=ROOT / "experiments/findings/conf")
    assert result.metrics["parameters"] == 496
    assert np.asarray(result.model.predict(np.zeros((2, 28, 28, 1)), verbose=0)).shape == (2, 10)
