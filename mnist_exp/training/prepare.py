"""All that one training needs, made from settings and data: the models, their metrics, the weights of the images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras

from mnist_exp import data
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset, Split
from mnist_exp.data.lazy import Examples, rows
from mnist_exp.tasks.task import Array
from mnist_exp.training import build, kept_graph, loss, own_callbacks, testing
from mnist_exp.training.build import Models
from mnist_exp.training.checkpoints import CheckpointPolicy
from mnist_exp.training.epoch_metrics import Metrics
from mnist_exp.training.fit import TrainingRequest
from mnist_exp.training.predict import predict
from mnist_exp.training.scores import Scores

_FEW = 1000  # training images whose labels the loss is tried on


@dataclass(frozen=True)
class Training:
    """One training, prepared.

    Args:
        settings: of it.
        dataset: all of the data.
        split: what of them is trained and validated on.
        models: of the same weights; one is compiled, the other one takes raw pixels and returns predictions.
        scores: the metrics that are computed of all predictions at once.
        weights: how much each training image counts in the loss, float32 (n,); None if all count alike.
        own: the callbacks that the configuration names.
    """

    settings: Settings
    dataset: Dataset
    split: Split
    models: Models
    scores: Scores
    weights: Array | None
    own: Mapping[str, keras.callbacks.Callback]

    def request(
        self,
        on_epoch: Callable[[int, Metrics], bool],
        policy: CheckpointPolicy | None,
        *,
        shares_graph: bool = False,
    ) -> TrainingRequest:
        """Return what `fit` takes.

        Args:
            on_epoch: called with the epoch's number, from 1, and its metrics; training stops if it returns false.
            policy: where checkpoints go, and which to go on from; None keeps none.
            shares_graph: as of the `TrainingRequest`.
        """
        model, goal = self.models.training_model, self.models.goal
        scores = self._validated if self.scores else None
        return TrainingRequest(
            model, goal, self.split, self.settings, on_epoch, policy, self.weights, scores, self.own, shares_graph
        )

    def test(self) -> tuple[Array, dict[str, float]]:
        """Return the predictions for the test images, float32 (n, outputs), and each metric of them by its name."""
        return self._tested(self.dataset.x_test, self.dataset.y_test)

    def report(self) -> dict[str, float]:
        """Return each metric of the images that nothing was selected on; empty where there are none."""
        if not len(aside := self.split.reported):
            return {}
        return self._tested(rows(self.dataset.x_train, aside), self.dataset.y_train[aside])[1]

    def _tested(self, x: Examples, y: Array) -> tuple[Array, dict[str, float]]:
        models, goal = self.models, self.models.goal
        twin = kept_graph.traced(models.training_model) if goal.is_raw else None
        return testing.test(models.inference_model, twin, goal.tested_by, goal.task, self.scores, x, y)

    def _validated(self) -> Metrics:
        return self.scores.of(self.split.y_val, predict(self.models.inference_model, self.split.x_val))


def prepare(settings: Settings, dataset: Dataset, split: Split) -> Training:
    """Build the models of a training, and try its metrics. Raises: SettingsError: they do not fit the data."""
    task, count = dataset.task, dataset.outputs
    weights = dataset.weights_of(split.trained, settings.trainer.class_weight)
    scaling, is_weighted = data.scaling(settings.data, dataset, split), weights is not None
    models = build.build(settings, dataset.shape, task, count, len(split.x_train), scaling, is_weighted=is_weighted)
    goal = models.goal
    mixed_by = settings.augment.name if goal.mixing else None
    few = split.y_train[:_FEW]
    if goal.mixing is not None:
        task.shares(few, count)
    loss.check(settings.loss, goal.loss, task, few, count, is_raw=goal.is_raw, mixed_by=mixed_by)
    scores = Scores(task, settings.metrics, len(dataset.class_names), settings.objective)
    scores.check(split.y_val, count)
    return Training(settings, dataset, split, models, scores, weights, own_callbacks.build(settings.callbacks))
