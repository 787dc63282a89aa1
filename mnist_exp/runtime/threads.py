"""The number of threads of the backend. Another number changes the last digits of every result."""

import os
import sys
from collections.abc import Mapping
from typing import Any

from mnist_exp.runtime import backends

# The libraries read these when they start. JAX has no such variable: it takes a thread for each CPU it may use.
VARIABLES: Mapping[str, Mapping[str, str]] = {
    "tensorflow": {"intra_op": "TF_NUM_INTRAOP_THREADS", "inter_op": "TF_NUM_INTEROP_THREADS"},
    "torch": {"intra_op": "OMP_NUM_THREADS"},
    "jax": {},
}


def usable_cpus() -> int:
    """Return how many CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(count: int) -> None:
    """Set the number of threads of the backend, before it is imported, unless the user has set it."""
    for variable in VARIABLES.get(backends.default(), {}).values():
        os.environ.setdefault(variable, str(count))


def told() -> int | None:
    """Return the number of threads of one operation that the user has set by a variable; None if there is none."""
    count = os.environ.get(VARIABLES.get(backends.default(), {}).get("intra_op", ""), "")
    return int(count) if count.isdecimal() and int(count) else None


def counts() -> dict[str, int]:
    """Return how many threads the backend is set to use (0: its own choice) and how many CPUs it may use."""
    usable = usable_cpus()
    backend = backends.default()
    if backend == "torch":
        import torch

        return {"intra_op": torch.get_num_threads(), "usable": usable}
    if backend != "tensorflow":
        return {"usable": usable}
    import tensorflow as tf

    within, between = (
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.threading.get_inter_op_parallelism_threads(),
    )
    told = {name: int(os.environ.get(variable) or 0) for name, variable in VARIABLES[backend].items()}
    return {"intra_op": within or told["intra_op"], "inter_op": between or told["inter_op"], "usable": usable}


def recorded_count(recorded: Any, backend: str) -> int | None:
    """Return the threads of one operation that a recorded run had; None where that is not known, or cannot be set.

    Args:
        recorded: what `counts` returned then.
        backend: of the run.
    """
    if "intra_op" not in VARIABLES[backend] or not isinstance(recorded, dict):
        return None
    count = recorded.get("intra_op") or recorded.get("usable")  # Left to itself it takes one for each CPU.
    return count if isinstance(count, int) and count > 0 else None


def adopt(recorded: Any, backend: str) -> list[str]:
    """Set the number of threads to that of a recorded run, and return what stays different.

    Args:
        recorded: what `counts` returned then.
        backend: of the run.
    """
    if not isinstance(recorded, dict) or not all(isinstance(count, int) for count in recorded.values()):
        return []
    different = []
    usable = usable_cpus()
    if not VARIABLES[backend] and recorded.get("usable") not in (None, usable):
        return [f"CPUs={usable} was {recorded['usable']}"]
    for name, variable in VARIABLES[backend].items():
        # Left to itself TensorFlow takes one for each CPU that it may run on.
        then = recorded.get(name) or recorded.get("usable") or 0
        now = int(os.environ.get(variable) or 0) or usable
        # PyTorch takes one for each core, which may be fewer.
        if not then or (now == then and (variable in os.environ or backend == "tensorflow")):
            continue
        if variable in os.environ or backend in sys.modules:
            different.append(f"{variable}={now} was {then}")
        else:
            os.environ[variable] = str(then)
    return different
