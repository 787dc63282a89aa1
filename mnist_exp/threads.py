"""How many threads TensorFlow uses: another number changes the last digits of every result."""

import os
import sys
from typing import Any

VARIABLES = {"intra_op": "TF_NUM_INTRAOP_THREADS", "inter_op": "TF_NUM_INTEROP_THREADS"}


def usable_cpus() -> int:
    """Return how many CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def counts() -> dict[str, int]:
    """Return how many threads TensorFlow was told to use (0: its own choice) and how many it may run on."""
    import keras

    usable = usable_cpus()
    if keras.backend.backend() != "tensorflow":
        return {"usable": usable}
    import tensorflow as tf

    within, between = (
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.threading.get_inter_op_parallelism_threads(),
    )
    told = {name: int(os.environ.get(variable) or 0) for name, variable in VARIABLES.items()}
    return {"intra_op": within or told["intra_op"], "inter_op": between or told["inter_op"], "usable": usable}


def adopt(recorded: Any) -> list[str]:
    """Make TensorFlow use as many threads as it did in a recorded run, and return what stays different.

    Args:
        recorded: what `counts` returned then.
    """
    if not isinstance(recorded, dict) or not all(isinstance(count, int) for count in recorded.values()):
        return []
    different = []
    for name, variable in VARIABLES.items():
        # Left to itself TensorFlow takes one for each CPU that it may run on.
        then = recorded.get(name) or recorded.get("usable") or 0
        now = int(os.environ.get(variable) or 0) or usable_cpus()
        if not then or now == then:
            continue
        if variable in os.environ or "tensorflow" in sys.modules:
            different.append(f"{variable}={now} was {then}")
        else:
            os.environ[variable] = str(then)
    return different
