"""The labelled images that a recorded run is evaluated on, of its own data or others, and which it was trained on."""

import copy
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_exp import data
from mnist_exp.composition import compose, overrides
from mnist_exp.config import wording
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset, Split, pixels
from mnist_exp.data.dataset import Array
from mnist_exp.data.lazy import Examples, joined, rows
from mnist_exp.data.pixels import UNIT, Range
from mnist_exp.errors import DataError, SettingsError
from mnist_exp.experiment import recall
from mnist_exp.inference import pixel_record, recorded_task
from mnist_exp.inference.table_record import TableRecord
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras

SPLITS = ("test", "train", "validation", "reporting", "all")
_OF_THE_TRAINING = ("data.limit", "data.validation", "data.reporting", "data.standardize")
_OF_THE_GOAL = ("task", "loss", "metrics")
_FIXED = ("name", "_target_", "limit", "validation", "reporting", "standardize", "trusted_modules")
_NAME = re.compile(r"[A-Za-z_][\w-]*(/[\w-]+)*")


@dataclass(frozen=True)
class Images:
    """Labelled images to evaluate a model on.

    Args:
        dataset: that they are of.
        settings: task, loss and metrics of the run.
        split: test, train, validation or all.
        x: raw values, shape (n, …); pixels for images.
        y: labels, shape (n,).
        is_own: whether the run was trained on this data set, the same to the byte.
        seen: bool (n,), whether the run was trained on each image; None where its own data cannot be found.
        why_unknown: why they are not.
        shifts: pixels by which they are moved in each direction, too, where the mean prediction counts; 0 for none.
    """

    dataset: Dataset
    settings: Settings
    split: str
    x: Examples
    y: Array
    is_own: bool
    seen: Array | None
    why_unknown: str = ""
    shifts: int = 0

    def of(self, which: Array) -> "Images":
        """Return some of the images, bool (n,)."""
        seen = None if self.seen is None else self.seen[which]
        return replace(self, x=self.x[which], y=self.y[which], seen=seen)

    def words(self) -> str:
        """Return their name: `test images of mnist`."""
        kind = {"train": "training ", "test": "test ", "validation": "held-out ", "reporting": "set-aside ", "all": ""}[
            self.split
        ]
        return f"{kind}{wording.kind(self.dataset.shape)} of {wording.show(self.dataset.name)}"


def own(run: StoredRun, split: str, given: Mapping[str, Any], trusted: Sequence[str]) -> Images:
    """Return images of the data set that a run was trained on.

    Args:
        run: recorded.
        split: one of `SPLITS`.
        given: options of the data set that are different here, as `path`.
        trusted: modules whose code its record may name.
    Raises: DataError: the data set cannot be found here, or is another one.
        SettingsError: an option is mistaken, or the record.
    """
    (images,) = own_splits(run, [split], given, trusted)
    return images


def own_splits(run: StoredRun, splits: Sequence[str], given: Mapping[str, Any], trusted: Sequence[str]) -> list[Images]:
    """Return several splits of the data set that a run was trained on, which is read once; else as `own`."""
    settings = _own_settings(run, given, trusted)
    dataset = data.load(settings)
    if dataset.sha256 != run.tags.get(names.DATA_SHA256):
        raise DataError(
            f"data={wording.show(settings.data.name)}, from {dataset.place}, is not what run {run.run_id} was trained "
            f"on: its SHA-256 is {dataset.sha256[:12]}…, not {run.tags.get(names.DATA_SHA256, 'recorded')[:12]}…"
        )
    trained = _split(dataset, settings)
    return [_choose(dataset, settings, split, run, trained, dataset.pixel_range) for split in splits]


def other(
    run: StoredRun, split: str, name: str, words: Sequence[str], trusted: Sequence[str], config_dir: str | None = None
) -> Images:
    """Return images of any data set of the framework.

    Args:
        run: recorded, whose model is asked.
        split: one of `SPLITS`.
        name: of the data group's choice, `npz`.
        words: its options, `data.path=/file.npz`.
        trusted: modules whose code the run's record may name.
        config_dir: a folder of the user's own with a group `data`.
    Raises: SettingsError: it cannot be found, or an option is wrong.
    """
    composed = compose.compose([f"data={name}", *words], config_dir=config_dir)
    settings = replace(_own_settings(run, None, trusted), data=composed.data)
    dataset = _as_trained(run, data.load(settings))
    is_own = dataset.sha256 == run.tags.get(names.DATA_SHA256)
    if dataset.fallback and not is_own:
        raise SettingsError(f"--data={name} cannot be found: {dataset.fallback}; there is --data=mnist_5k")
    try:
        own_settings = _own_settings(run, {}, trusted)
        trained_on = dataset if is_own else _loaded_without_network(own_settings)
        if trained_on.sha256 != run.tags.get(names.DATA_SHA256):
            raise SettingsError(f"{trained_on.place} is not what the run was trained on")
        return _choose(dataset, settings, split, run, _split(trained_on, own_settings), trained_on.pixel_range)
    except SettingsError as error:
        if split == "reporting" or (split == "validation" and dataset.x_val is None):
            raise
        return _choose(dataset, settings, split, run, None, None, error.problems[0])


def _as_trained(run: StoredRun, dataset: Dataset) -> Dataset:
    """Return a data set of a table with its columns in the order of those that a run was trained on.

    Raises: SettingsError: it has other columns.
    """
    known, given = TableRecord(run).columns, dataset.columns
    if known is None or given is None or tuple(known) == tuple(given):
        return dataset
    if sorted(known) != sorted(given):
        other = [name for name in known if name not in given] or list(given)
        shown = wording.listed(other, 5)
        raise SettingsError(
            f"data={wording.show(dataset.name)} has not the columns that run {run.run_id} was trained on: {shown}"
        )
    order = [given.index(name) for name in known]

    def ordered(x: Examples | None) -> Examples | None:
        return None if x is None else x.reshape(len(x), -1)[:, order].reshape(x.shape)

    told = "the columns of the table are put in the order of those that the run was trained on"
    parts: dict[str, Any] = {name: ordered(getattr(dataset, name)) for name in ("x_train", "x_test", "x_val")}
    return replace(dataset, **parts, columns=tuple(known), warnings=(*dataset.warnings, told))


def check_words(words: Sequence[str], data_name: str | None) -> None:
    """Make sure that words are options of a data set, each with one value.

    Args:
        words: of the command line.
        data_name: what `--data` says.
    Raises: SettingsError: with every word that is none.
    """
    problems = []
    if data_name is not None and not _NAME.fullmatch(data_name):
        problems.append(f"--data={wording.show(data_name)} is no data set: it must be a name, as mnist or npz")
    for word in words:
        key = word.partition("=")[0].lstrip("+")
        if key in _OF_THE_TRAINING:
            problems.append(f"{wording.show(word)} is for training: say with --split which images are meant")
        elif not key.startswith("data.") or "=" not in word:
            problems.append(
                f"{wording.show(word)} is not understood: options of the data set are written data.path=/folder"
            )
        elif overrides.read(word).is_sweep_override():
            problems.append(f"{wording.show(word)} has several values: give one")
    if problems:
        raise SettingsError(problems)


def values(words: Sequence[str]) -> dict[str, Any]:
    """Return the options that `check_words` let through by their names, without `data.`."""
    given = map(overrides.read, words)
    return {override.key_or_group.removeprefix("data."): override.value() for override in given}


def fitted(run: StoredRun, images: Images, model: "keras.Model") -> Images:
    """Return images as a run's model takes them: pixels in the range of those that it was trained on.

    Args:
        run: recorded.
        images: to evaluate it on.
        model: of the run.
    Raises: SettingsError: with every reason why they do not fit.
    """
    check_fits(run, images.dataset, model)
    given, taken = images.dataset.pixel_range, pixel_record.range_of(run, model)
    if given is None or taken is None or given == taken:
        return images
    dataset = replace(images.dataset, pixel_range=taken)
    return replace(images, dataset=dataset, x=pixels.converted(images.x, given, taken))


def check_fits(run: StoredRun, dataset: Dataset, model: "keras.Model") -> None:
    """Make sure that a run's model fits a data set. Raises: SettingsError: with every reason why not."""
    taken, given = (getattr(model, name, None) for name in ("input_shape", "output_shape"))
    if not (isinstance(taken, tuple) and isinstance(given, tuple) and len(taken) > 1 and len(given) == 2):
        raise SettingsError(f"the model of run {run.run_id} takes {taken} and gives {given}: it is no classifier")
    name, problems = wording.show(dataset.name), []
    if taken[1:] != dataset.shape:
        there, here = wording.examples(dataset.shape), wording.examples(taken[1:])
        is_scalable = "image_folder" in name and len(taken) == 4
        fix = f"; data.size=[{taken[1]},{taken[2]}] scales them" if is_scalable else ""
        problems.append(f"data={name} has {there}, but the model of run {run.run_id} takes {here}{fix}")
    # Of 0 to 1: these once counted as no pixels.
    elif pixel_record.takes_pixels(model) != dataset.pixels and dataset.pixel_range != UNIT:
        has, takes = ("pixels", "values as they are")[:: 1 if dataset.pixels else -1]
        problems.append(f"data={name} has {has}, but the model of run {run.run_id} takes {takes}")
    if given[1] != dataset.outputs:
        problems.append(
            f"data={name} has {dataset.task.counted(dataset.class_names)}, but the model of run {run.run_id} knows "
            f"{given[1]}: they must be the same, in the same order"
        )
    names = run.class_names() or dataset.class_names
    if set(names) == set(dataset.class_names) and names != dataset.class_names:
        problems.append(
            f"data={name} has the classes in another order than run {run.run_id}: {_named(dataset.class_names)}, not "
            f"{_named(names)}"
        )
    if problems:
        raise SettingsError(problems)


def rescaled(run: StoredRun, dataset: Dataset) -> str:
    """Return a warning if a data set has pixels of another range than the run's model takes; else an empty text."""
    given = dataset.pixel_range
    if names.PIXEL_RANGE not in run.tags or given is None or (taken := pixel_record.recorded_range(run)) == given:
        return ""
    return (
        f"data={wording.show(dataset.name)} has pixels of {pixels.words(given)}: they are scaled to "
        f"{pixels.words(taken)}, which the model takes"
    )


def renamed(run: StoredRun, dataset: Dataset) -> str:
    """Return a warning if a data set names its classes differently from the run; else an empty text."""
    names = run.class_names()
    if names is None or names == dataset.class_names:
        return ""
    return (
        f"the classes have other names here: the run knew {_named(names)}, data={wording.show(dataset.name)} has "
        f"{_named(dataset.class_names)}; they are compared by their order"
    )


def _named(names: Sequence[str]) -> str:
    return wording.listed(names, 3, wording.short_name)


def _own_settings(run: StoredRun, given: Mapping[str, Any] | None, trusted: Sequence[str]) -> Settings:
    """Return settings with data, seed, task, loss and metrics of a run; the rest of its record does not matter here.

    Args:
        run: recorded.
        given: options of the data set that are different here; None if its data do not matter either.
        trusted: modules whose code its record may name.
    """
    config = run.config()
    defaults = compose.compose()
    rest = defaults.to_config()
    # The loss is an objective of every task.
    chosen = {name: config[name] for name in (*_OF_THE_GOAL, "seed") if name in config}
    chosen |= {"objective": "val_loss", "direction": "minimize"}
    chosen["task"] = recorded_task.section(run)  # Not what other labels say, where it was found out.
    if given is not None:
        chosen["data"] = _data_section(run, given)
    targets = [f"{each['_target_']}." for each in _components(chosen)]
    named = config.get("trusted_modules")
    listed = map(str, named if isinstance(named, list) else [])
    chosen["trusted_modules"] = [name for name in listed if any(t.startswith(f"{name}.") for t in targets)]
    try:
        return recall.check_config(rest | chosen, set(trusted), run, defaults.tracking, "--trusted-modules={}")
    except SettingsError as error:
        prefixes = tuple(f"config.yaml of run {run.run_id}: data.{name}" for name in given or ())
        raise SettingsError(
            [p.partition(": ")[2] if prefixes and p.startswith(prefixes) else p for p in error.problems]
        ) from error


def _data_section(run: StoredRun, given: Mapping[str, Any]) -> dict[str, Any]:
    section = copy.deepcopy(run.config().get("data"))
    if not isinstance(section, dict):
        raise SettingsError(f"config.yaml of run {run.run_id} has no section data")
    names = [name for name in section if name not in _FIXED]
    if problems := [wording.unknown(f"data.{name}", name, names, "data.") for name in given if name not in names]:
        raise SettingsError(problems)
    if "path" in given and "mirrors" in section:
        section["mirrors"] = []
    return section | dict(given)


def _components(config: Any) -> Iterator[dict[str, Any]]:
    """Yield each section of a configuration that names a builder."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield config
        for section in config.values():
            yield from _components(section)


def _loaded_without_network(settings: Settings) -> Dataset:
    """Return a run's data set if it is on this machine; it is not downloaded."""
    loader = settings.data.loader
    if "mirrors" in loader.arguments:
        loader = replace(loader, arguments=loader.arguments | {"mirrors": []})
    return data.load(replace(settings, data=replace(settings.data, loader=loader)))


def _split(dataset: Dataset, settings: Settings) -> Split:
    return data.split_of(dataset, settings)


def _choose(
    dataset: Dataset,
    settings: Settings,
    split: str,
    run: StoredRun,
    trained: Split | None,
    trained_range: Range | None,
    why_unknown: str = "",
) -> Images:
    is_own = dataset.sha256 == run.tags.get(names.DATA_SHA256)
    if split == "validation" and not is_own and dataset.x_val is not None and dataset.y_val is not None:
        x, y = dataset.x_val, dataset.y_val
    elif split == "validation":
        if not is_own or trained is None:
            raise SettingsError(
                f"--split=validation is what run {run.run_id} held out of its own training images: data="
                f"{wording.show(dataset.name)} has none; there are test, train and all"
            )
        if trained.validated_on_test:
            raise SettingsError(
                f"--split=validation: run {run.run_id} held no training images out (data.validation=test); there are "
                "test, train and all"
            )
        x, y = trained.x_val, trained.y_val
    elif split == "reporting":
        if not is_own or trained is None or not len(trained.reported):
            raise SettingsError(
                f"--split=reporting is what run {run.run_id} set aside with data.reporting: there is none here; there "
                "are test, train and all"
            )
        x, y = rows(dataset.x_train, trained.reported), dataset.y_train[trained.reported]
    elif split == "train":
        own_ones = is_own and trained is not None
        x, y = (trained.x_train, trained.y_train) if own_ones and trained else (dataset.x_train, dataset.y_train)
    elif split == "test":
        x, y = dataset.x_test, dataset.y_test
    else:
        parts = ("train", "test") if dataset.x_val is None else ("train", "val", "test")
        x, y = (joined([getattr(dataset, f"{n}_{part}") for part in parts]) for n in "xy")
    alike = x
    if trained_range is not None and dataset.pixel_range is not None:
        alike = pixels.converted(x, dataset.pixel_range, trained_range)
    seen = None if trained is None else among(alike, trained.x_train)
    return Images(dataset, settings, split, x, y, is_own, seen, why_unknown)


def among(x: Examples, others: Examples) -> Array:
    """Return which examples, shape (n, …), equal one of the others, value for value: bool (n,)."""
    if x.shape[1:] != others.shape[1:]:
        return np.zeros(len(x), bool)
    known = set(_digests(others))
    return np.fromiter((digest in known for digest in _digests(x)), bool, len(x))


def _digests(x: Examples) -> list[bytes]:
    """Return each example's SHA-256, the same for bytes and for floats that are equal to them."""
    digests = []
    for image in x:
        with np.errstate(invalid="ignore"):  # Of a float that no byte can hold.
            whole = image.astype(np.uint8)
        digests.append(hashlib.sha256((whole if (whole == image).all() else image).tobytes()).digest())
    return digests
