"""Register the model of a run; the best model of its kind gets the alias `champion`."""

import math
from typing import TYPE_CHECKING

from mnist_exp.tracking import names, store

if TYPE_CHECKING:
    import mlflow
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"


def register(client: "mlflow.MlflowClient", uri: str, run_id: str, name: str) -> None:
    """Register the model of a run as the next version of a name, once; it is the champion if it is the best.

    The alias goes from one version to another only if both were selected by the same metric on a hold-out of the same
    data, and the new one is better.

    Args:
        client: of the store.
        uri: its address.
        run_id: of a run whose model is recorded.
        name: of the registered model.
    Raises: MlflowException: the store refuses it, or does not answer.
    """
    run = client.get_run(run_id)
    if names.REGISTERED in run.data.tags:
        return
    _make(client, name)
    version = _version(client, name, run)
    with store.lock(uri):  # Two jobs of a sweep may end at the same time.
        is_champion, why = _judge(client, name, run, version)
        if is_champion:
            client.set_registered_model_alias(name, CHAMPION, str(version.version))
    client.set_tag(run_id, names.REGISTERED, f"{name} version {version.version}, {why}")


def _make(client: "mlflow.MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version(client: "mlflow.MlflowClient", name: str, run: "Run") -> "ModelVersion":
    """Return the version of the run's model; create it if it is new."""
    run_id, model_id = run.info.run_id, run.data.tags[names.MODEL_URI].rpartition("/")[2]
    made = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    if made:
        return made[0]
    # The model's address would not do: MLflow looks it up in the default store of the process.
    source = client.get_logged_model(model_id).artifact_location
    return client.create_model_version(
        name, source, run_id, {names.DATA_SHA256: run.data.tags[names.DATA_SHA256]}, model_id=model_id
    )


def _judge(client: "mlflow.MlflowClient", name: str, run: "Run", version: "ModelVersion") -> tuple[bool, str]:
    """Decide whether a version becomes the champion, and return why."""
    from mlflow.exceptions import MlflowException

    held = client.get_registered_model(name).aliases.get(CHAMPION)
    if held is None:
        return True, "the champion: there was none"
    if str(held) == str(version.version):
        return True, "the champion"
    try:
        champion = client.get_run(client.get_model_version(name, held).run_id)
    except MlflowException as error:
        if error.get_http_status_code() not in (400, 404):
            raise
        return False, f"not the champion: version {held} is, and its run cannot be found to compare with"
    different = ["data"] if run.data.tags[names.DATA_SHA256] != champion.data.tags.get(names.DATA_SHA256) else []
    params = run.data.params, champion.data.params
    different += [key for key in (names.VALIDATION, names.SELECTED_BY) if params[0].get(key) != params[1].get(key)]
    if different:
        return False, f"not the champion: version {held} is, and it has another {' and '.join(different)}"
    metric = run.data.params[names.SELECTED_BY]
    new, old = (each.data.metrics.get(names.OBJECTIVE, math.nan) for each in (run, champion))
    is_better = new < old if run.data.params.get(names.DIRECTION) == "minimize" else new > old
    if is_better:
        return True, f"the champion: {metric} {new:.4f}, that of version {held} was {old:.4f}"
    return False, f"not the champion: {metric} {new:.4f}, version {held} has {old:.4f}"
