"""What a run records of its confidence: for each task, from the images that it held out, and from no others."""

import json
from pathlib import Path

import numpy as np
import pytest
from real_runs import client_of

from mnist_exp import compose, run
from mnist_exp.evaluation import confidence
from mnist_exp.tracking import names


def labelled(task, count, seed):
    """Return images with a light half, or two, and labels of a task; a tenth of these are wrong."""
    random = np.random.default_rng(seed)
    halves = random.integers(0, 2, (count, 2))
    x = random.integers(0, 60, (count, 8, 8), dtype=np.uint8)
    x[:, :4] += (120 * halves[:, :1, np.newaxis]).astype(np.uint8)
    x[:, 4:] += (120 * halves[:, 1:, np.newaxis]).astype(np.uint8)
    halves ^= (random.random(halves.shape) < 0.1).astype(halves.dtype)
    y = {
        "classification": halves @ [1, 2],
        "binary": halves[:, 0],
        "multilabel": halves,
        "regression": halves @ [1.0, 2.0],
    }
    return x, y[task]


@pytest.fixture
def recorded(alone):
    """Train on the labels of a task; returns the tags and the files of the run."""

    def trained(task, *words):
        (x, y), (x_test, y_test) = (labelled(task, count, seed) for seed, count in enumerate((800, 100)))
        np.savez("data.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
        by = ["objective=val_mae", "direction=minimize"] if task == "regression" else []
        small = [
            *by,
            "model=mlp",
            "model.hidden_units=[16]",
            "trainer.epochs=20",
            "optimizer.learning_rate=0.005",
            "data=npz",
            "data.path=data.npz",
        ]
        result = run(compose([*small, f"task={task}", *words]))
        files = {file.path for file in client_of().list_artifacts(result.run_id)}
        tags = client_of().get_run(result.run_id).data.tags
        text = None
        if confidence.FILE in files:
            text = Path(client_of().download_artifacts(result.run_id, confidence.FILE)).read_text()
        return tags, text

    return trained


@pytest.mark.parametrize(
    "task",
    [
        "classification",
        pytest.param("binary", marks=pytest.mark.slow),
        pytest.param("multilabel", marks=pytest.mark.slow),
    ],
)
def test_tasks_with_probabilities_are_calibrated_on_what_is_held_out(recorded, task):
    tags, text = recorded(task, "data.validation=200")
    found = confidence.parse(text, confidence.FILE)
    assert found.images == 200
    assert found.loss[1] <= found.loss[0]
    assert found.likeness is not None
    assert found.steps[-1].answered == 200
    assert 0.5 < found.steps[-1].right / 200 < 1
    assert json.loads(tags[names.CALIBRATION])["temperature"] == found.temperature
    assert len(text) < 15_000


@pytest.mark.parametrize("words", [("classification",), ("regression", "data.validation=200")])
@pytest.mark.slow
def test_without_a_hold_out_or_probabilities_nothing_is_recorded(recorded, words):
    tags, text = recorded(*words)
    assert text is None
    assert names.CALIBRATION not in tags


@pytest.mark.slow
def test_validation_images_of_the_data_set_are_a_hold_out(recorded):
    x, y = labelled("classification", 150, 7)
    save = np.savez

    def with_validation(file, **arrays):
        save(file, **arrays, x_val=x, y_val=y)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "savez", with_validation)
        tags, text = recorded("classification")
    assert confidence.parse(text, confidence.FILE).images == 150
    assert json.loads(tags[names.CALIBRATION])["images"] == 150
