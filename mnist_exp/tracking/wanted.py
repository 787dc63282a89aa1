"""Which runs of an experiment are wanted: for MLflow as its filters, for the reader of SQLite files as it is."""

from collections.abc import Collection
from dataclasses import dataclass

from mnist_exp.tracking import names

AT_ONCE = 500  # run ids in one request


@dataclass(frozen=True)
class Wanted:
    """Which runs of an experiment are meant: those for which all of this holds.

    Args:
        tag: they have this tag; empty for no condition.
        values: its value is one of these; None for any.
        status: of the runs; empty for any.
        run_ids: their ids are among these; None for any.
        is_top: they are no jobs of a sweep.
        most: at most so many of them, the first ones; None for all.
    """

    tag: str = ""
    values: Collection[str] | None = None
    status: str = ""
    run_ids: Collection[str] | None = None
    is_top: bool = False
    most: int | None = None

    def allows(self, tags: dict[str, str]) -> bool:
        """Tell whether the tags of a run are as wanted."""
        if self.is_top and names.PARENT in tags:
            return False
        return not self.tag or (self.tag in tags and (self.values is None or tags[self.tag] in self.values))

    def conditions(self) -> list[str]:
        """Return filters in MLflow's syntax that together let all these runs through; and more, of several values."""
        found = [f"attributes.status = '{self.status}'"] if self.status else []
        if self.tag:
            only = next(iter(self.values)) if self.values is not None and len(self.values) == 1 else None
            found.append(f"tags.`{self.tag}` LIKE '%'" if only is None else f"tags.`{self.tag}` = '{only}'")
        if self.run_ids is None:
            return [" and ".join(found)]
        ids = list(dict.fromkeys(self.run_ids))
        parts = [", ".join(map(repr, ids[start : start + AT_ONCE])) for start in range(0, len(ids), AT_ONCE)]
        return [" and ".join([*found, f"attributes.run_id IN ({part})"]) for part in parts]
