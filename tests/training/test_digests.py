"""Digests tell where two trainings part: at which moment, and in which weights."""

import json

import ml_dtypes
import numpy as np
import pytest
import sittings

from mnist_exp import compose, data
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import signals
from mnist_exp.training import digests
from mnist_exp.training.checkpoints import Position
from mnist_exp.training.digests import Digests

SMALL = ["data=mnist_5k", "data.limit=400", "data.validation=0.25", "model.filters=2", "model.dense_units=8"]
SMALL += ["trainer.batch_size=20", "trainer.epochs=2"]  # 15 steps an epoch
FIRST, FIFTH, END = Position(), Position(0, 5), Position(1)


def made(*moments):
    record = Digests()
    for position, found in moments:
        record.add(position, found)
    return record


OLD = made((FIRST, {"a": "1", "b": "1"}), (FIFTH, {"a": "2"}), (END, {"a": "3", "b": "3"}))


@pytest.mark.parametrize(
    ("new", "position", "equal_at", "parts", "words"),
    [
        ({}, None, END, (), "never: all weights were equal at the end of epoch 1"),
        ({FIRST: {"a": "9", "b": "1"}}, FIRST, None, ("a",), "before the first step, in a: they did not begin ali"),
        ({FIFTH: {"a": "9"}}, FIFTH, FIRST, ("a",), "after step 5 of epoch 1, in a; before the first step all were eq"),
        ({END: {"a": "8", "b": "9"}}, END, FIFTH, ("a", "b"), "at the end of epoch 1, in a and b; after step 5 of epo"),
    ],
)
def test_parting_is_the_first_moment_that_differs(new, position, equal_at, parts, words):
    known = {FIRST: {"a": "1", "b": "1"}, FIFTH: {"a": "2"}, END: {"a": "3", "b": "3"}} | new
    found = digests.parting(OLD, made(*known.items()))
    assert (found.position, found.equal_at, found.parts) == (position, equal_at, parts)
    assert found.words.startswith(words)


def test_only_moments_of_both_are_compared():
    other = made((FIRST, {"a": "1", "b": "1"}), (Position(0, 4), {"a": "7"}), (END, {"a": "8", "b": "3"}))
    found = digests.parting(OLD, other)
    assert (found.position, found.equal_at, found.parts) == (END, FIRST, ("a",))


def test_other_models_are_told_by_their_weights():
    assert digests.parting(OLD, made((FIRST, {"a": "1"}))).words == "the two models have other weights: b"


def test_a_file_says_the_same_again_and_damage_is_told():
    again = digests.parse(OLD.to_json(), "it")
    assert again == OLD
    for text in ("", "[]", '{"parts": ["a"]}', '{"parts": [], "moments": [{"epoch": 1}]}', OLD.to_json()[:-9]):
        with pytest.raises(SettingsError, match="it is not what mnist_exp writes"):
            digests.parse(text, "it")
    with pytest.raises(SettingsError):
        digests.parse(OLD.to_json().replace('["a", "b"]', '["a"]'), "it")


def test_a_part_that_comes_later_has_its_name():
    """As the state of Keras's own generator, which a layer makes with the first step."""
    moments = (
        (FIRST, {"a": "1", "z": "1"}),
        (FIFTH, {"a": "2", "random": "2"}),
        (END, {"a": "3", "random": "3", "z": "3"}),
    )
    record = made(*moments)
    assert record.parts == ("a", "z", "random")
    assert [moment.digests for moment in record.moments] == [("1", "1"), ("2", "", "2"), ("3", "3", "3")]
    assert digests.parse(record.to_json(), "it") == record
    found = digests.parting(record, made(*moments[:2], (END, {"a": "3", "random": "9", "z": "3"})))
    assert (found.position, found.parts) == (END, ("random",))


def test_single_weights_are_left_out_where_there_would_be_too_many(monkeypatch):
    monkeypatch.setattr(digests, "_MOST", 3)
    record = made((FIRST, {"a": "1", "b": "1"}), (END, {"a": "3", "b": "3"}))
    assert [len(moment.digests) for moment in record.moments] == [2, 0]
    found = digests.parting(record, made((FIRST, {"a": "1", "b": "1"}), (END, {"a": "4", "b": "3"})))
    assert found.position == END
    assert found.words == "at the end of epoch 1, in some weights; before the first step all were equal"


@pytest.mark.parametrize("kind", [np.float32, np.float16, ml_dtypes.bfloat16, np.uint32])
def test_a_digest_is_of_every_bit(kind):
    values = np.ones((3, 4), kind)
    other = values.copy()
    other.view(np.uint8)[-1, -1] ^= 1
    assert digests.of_arrays([values]) != digests.of_arrays([other])
    assert digests.of_arrays([values]) == digests.of_arrays([np.asfortranarray(values)])
    assert len(digests.of_arrays([np.float32(1), np.zeros(0, np.float32)])) == 16


def test_steps_are_those_after_each_power_of_two():
    for at_a_time, expected in ((1, [1, 2, 4, 8, 16, 32]), (15, [15, 30, 45]), (16, [16, 32])):
        seen, last = [], 0
        for step in range(at_a_time, 46, at_a_time):
            if digests.is_due(step, last):
                seen.append(step)
                last = step
        assert seen == expected


@pytest.fixture(scope="module")
def dataset():
    return data.load(compose(SMALL))


def trained(dataset, folder, *overrides, stop_at=None):
    return sittings.sitting(compose([*SMALL, *overrides]), dataset, folder, stop_at)


def positions(record):
    return [moment.position for moment in record.moments]


@pytest.mark.slow
@pytest.mark.parametrize("at_a_time", [1, 4])
@pytest.mark.parametrize("stop_at", [(0, 4), (1, 8)])
def test_a_resumed_training_has_the_digests_of_a_whole_one(at_a_time, stop_at, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("mnist_exp.training.fit._MOST_STEPS_AT_A_TIME", at_a_time)
    whole = trained(dataset, tmp_path / "whole")[1].digests
    assert positions(whole)[:2] == [Position(), Position(0, at_a_time)]
    assert positions(whole)[-2:] == [Position(1), Position(2)]
    with pytest.raises(signals.Terminated):
        trained(dataset, tmp_path / "cut", stop_at=stop_at)
    resumed = trained(dataset, tmp_path / "cut")[1].digests
    assert resumed == whole


@pytest.mark.slow
def test_digests_change_no_bit_of_a_training(dataset, tmp_path, monkeypatch):
    with_them = trained(dataset, tmp_path / "with")
    monkeypatch.setattr("mnist_exp.training.digesting.Digesting._add", lambda *_: None)
    sittings.assert_same(trained(dataset, tmp_path / "without"), with_them)


@pytest.mark.slow
def test_another_seed_or_rate_parts_before_the_first_step_another_dropout_after_it(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("mnist_exp.training.fit._MOST_STEPS_AT_A_TIME", 1)
    first = trained(dataset, tmp_path / "a")[1].digests
    found = digests.parting(first, trained(dataset, tmp_path / "b", "seed=8")[1].digests)
    assert found.position == Position()
    assert {"conv2d/kernel", "dense/kernel"} <= set(found.parts)
    assert "conv2d/bias" not in found.parts  # Zeros at first.
    found = digests.parting(first, trained(dataset, tmp_path / "c", "optimizer.learning_rate=0.002")[1].digests)
    assert (found.position, found.parts) == (Position(), (digests.OPTIMIZER,))
    found = digests.parting(first, trained(dataset, tmp_path / "d", "model.dropout=0.5")[1].digests)
    assert (found.position, found.equal_at) == (Position(0, 1), Position())
    assert json.loads(json.dumps(found.as_data()))["first_different"] == {"epoch": 1, "step": 1}
