"""Deliver the records that wait for their store: `python -m mnist_exp.deliver [RUN_ID ...]`.

A run whose store stops answering keeps its records on disk. When the store is back, this brings them, in their order.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence

from mnist_exp import commands
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime.redaction import redact_record
from mnist_exp.tracking import backlog, run_folder

SCHEMA = "mnist_exp.deliver/1"


def main() -> None:
    """Run the command line and exit: 0 all delivered, 1 some records still wait, 2 wrong command line."""
    commands.leave_with(lambda: launch(sys.argv[1:]))


def launch(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code. Raises: SettingsError: there is no such run or store."""
    parser = commands.parser(
        "deliver",
        "Deliver the records of runs whose tracking store did not answer.",
        "0 all delivered, or none waits; 1 some still wait; 2 the command line is wrong.",
        ["", "RUN_ID --json"],
    )
    parser.add_argument("run_ids", metavar="RUN_ID", nargs="*", help="a run; all that wait if none is named")
    commands.add_tracking(parser)
    parser.add_argument(
        "--local-dir", metavar="DIR", help="where runs wait; default: unfinished/ beside an SQLite store, or here"
    )
    commands.add_json(parser)
    options = parser.parse_args(arguments)
    settings = TrackingSettings(uri=options.tracking_uri, local_dir=options.local_dir)
    if options.local_dir is not None and not run_folder.root(settings).is_dir():
        raise SettingsError(f"--local-dir={options.local_dir}: there is no such folder")
    run_ids = list(dict.fromkeys(options.run_ids)) or None
    done = backlog.upload_waiting(settings, lambda _: None, run_ids)  # The line of each run says it all.
    if options.json:
        runs = [dataclasses.asdict(delivery) for delivery in done]
        print(json.dumps(redact_record({"schema": SCHEMA, "runs": runs}), ensure_ascii=False))
        return commands.FAILED if any(delivery.waiting for delivery in done) else commands.DONE
    if not done:
        print(f"nothing waits in {run_folder.root(settings)}")
    for delivery in done:
        print(delivery)
    return commands.FAILED if any(delivery.waiting for delivery in done) else commands.DONE


if __name__ == "__main__":
    main()
