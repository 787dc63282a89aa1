"""What a run has recorded so far, kept in memory: it is known where nothing is recorded, or the store is away."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mnist_exp.config.schema import TrackingSettings
from mnist_exp.config.wording import text
from mnist_exp.tracking import store
from mnist_exp.tracking.runs import StoredRun


@dataclass
class Written:
    """The record of one run, as the process that runs it has written it.

    Args:
        settings: of the tracking.
    """

    settings: TrackingSettings
    name: str = field(default="", init=False)
    status: str = field(default="RUNNING", init=False)
    params: dict[str, str] = field(default_factory=dict, init=False)
    metrics: dict[str, float] = field(default_factory=dict, init=False)
    tags: dict[str, str] = field(default_factory=dict, init=False)
    began_ms: int = field(default=0, init=False)
    ended_ms: int = field(default=0, init=False)

    def begin(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str], began_ms: int | None = None) -> None:
        """Note the begin of a run, or how it began if it is resumed; None is now."""
        self.name, self.began_ms = name, _now_ms() if began_ms is None else began_ms
        self.params |= {key: text(value) for key, value in params.items()}
        self.tags |= tags

    def end(self, status: str) -> None:
        """Note that it has ended."""
        self.status, self.ended_ms = status, _now_ms()

    def stored(self, run_id: str | None) -> StoredRun:
        """Return it as the store would have it; its id is empty if it is not recorded."""
        seconds = max(self.ended_ms - self.began_ms, 0) / 1000 if self.ended_ms else 0.0
        return StoredRun(
            run_id=run_id or "",
            name=self.name,
            experiment=self.settings.experiment,
            status=self.status,
            params=dict(self.params),
            metrics=dict(self.metrics),
            tags=dict(self.tags),
            uri=store.locate(self.settings.uri),
            seconds=seconds,
            started_ms=self.began_ms,
        )


def _now_ms() -> int:
    return round(time.time() * 1000)
