"""Which recorded runs are like a job that is to be run: of the same model, and trained at the same speed."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass

from mnist_exp.config.nested import flatten
from mnist_exp.config.schema import Settings
from mnist_exp.config.wording import text
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

_OF_A_MODEL = ("model.",)
# What decides the time of a step, beside the model. Numbers of an optimizer or a loss do not.
_OF_A_STEP = (
    "data.name", "augment.", "callbacks.", "metrics.", "optimizer._target_", "loss._target_", "task.",
    "trainer.batch_size", "trainer.precision", "trainer.backend", "trainer.devices",
)  # fmt: skip
_OF_AN_EPOCH = ("data.limit", "data.validation")


@dataclass(frozen=True)
class Job:
    """One job whose cost is asked for.

    Args:
        settings: of it.
        train_images: that it trains on each epoch.
        val_images: that it is validated on after each.
        test_images: that it is tested on at its end.
        data_sha256: digest of its data.
        epochs: that are left to be trained; at most, where it may stop early.
    """

    settings: Settings
    train_images: int
    val_images: int
    test_images: int
    data_sha256: str
    epochs: int

    @functools.cached_property
    def _options(self) -> dict[str, str]:
        flat = flatten(self.settings.to_config())
        return {key: text(value) for key, value in flat.items()}

    @functools.cached_property
    def model(self) -> dict[str, str]:
        """The options that decide its model."""
        return {key: value for key, value in self._options.items() if key.startswith(_OF_A_MODEL)}

    @functools.cached_property
    def step(self) -> dict[str, str]:
        """The options that decide the time of a step, beside its model."""
        return {key: value for key, value in self._options.items() if key.startswith(_OF_A_STEP)}

    @functools.cached_property
    def key(self) -> str:
        """What is the same in jobs of the same model and speed."""
        return json.dumps([self.model, self.step, self.data_sha256, self.train_images, self.val_images])

    @functools.cached_property
    def model_key(self) -> str:
        """What is the same in jobs of the same model; the data decide its inputs and outputs."""
        return json.dumps([self.model, self.data_sha256])

    def is_model_of(self, run: StoredRun) -> bool:
        """Tell whether a recorded run has the same model. An option that came later has no value in it."""
        return run.tags.get(names.DATA_SHA256) == self.data_sha256 and _agree(run.params, self.model)

    def has_steps_of(self, run: StoredRun) -> bool:
        """Tell whether the steps of a recorded run took as long, but for the size of its model."""
        return run.tags.get(names.DATA_SHA256) == self.data_sha256 and _agree(run.params, self.step)

    def has_epochs_of(self, run: StoredRun) -> bool:
        """Tell whether an epoch of a recorded run had as many images."""
        wanted = {key: self._options[key] for key in _OF_AN_EPOCH if key in self._options}
        return _agree(run.params, wanted)


def _agree(params: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(params.get(key, value) == value for key, value in wanted.items())
