"""Run by tests in a process of its own, as Keras keeps its backend: jobs one by one, then together, on JAX.

`both JOBS` prints what came of each job, alone and together; `reasons JOBS` why the second, fourth, … cannot be
together with the one before it. JOBS are the overrides of each, as JSON; what is printed stands behind RESULT. A folder
`own` has groups of the tests' own.
"""

import json
import os
import sys
from pathlib import Path

from mnist_exp import compose
from mnist_exp.composition import preflight
from mnist_exp.errors import TrainingError


def built(overrides):
    from mnist_exp.training import setup
    from mnist_exp.training.prepare import prepare

    settings = compose([*overrides, "trainer.backend=jax"], config_dir="own" if Path("own").exists() else None)
    dataset, split = preflight.load_data(settings)
    setup.set_up(settings.seed, settings.trainer)
    training = prepare(settings, dataset, split)
    return dataset, training.models.inference_model, training.request(lambda epoch, metrics: True, None)


def alone(overrides):
    from mnist_exp.training.fit import fit

    _, kept, request = built(overrides)
    try:
        fitted = fit(request)
    except TrainingError as error:
        fitted = error
    return told(kept, fitted)


def told(kept, fitted):
    if isinstance(fitted, TrainingError):
        return {"error": str(fitted)}
    if isinstance(fitted, Exception):
        raise fitted
    return {"history": fitted.history, "seconds": fitted.seconds, "weights": [w.tolist() for w in kept.get_weights()]}


def both(jobs):
    from mnist_exp.training import vectorized

    apart = [alone(overrides) for overrides in jobs]
    made = [built(overrides) for overrides in jobs]
    fitted = vectorized.fit([request for _, _, request in made], made[0][0])
    joint = [told(kept, each) for (_, kept, _), each in zip(made, fitted, strict=True)]
    return {"apart": apart, "together": joint, "reasons": reasons([job for each in jobs for job in (jobs[0], each)])}


def reasons(jobs):
    from mnist_exp.training import vectorizable

    requests = [built(overrides)[2] for overrides in jobs]
    return [vectorizable.why_not(*pair) for pair in zip(requests[::2], requests[1::2], strict=True)]


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "jax"
    print("RESULT", json.dumps({"both": both, "reasons": reasons}[sys.argv[1]](json.loads(sys.argv[2]))))
