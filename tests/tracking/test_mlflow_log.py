"""What MLflow logs while a record is written, and a person need not know, is not on the screen."""

from mnist_exp.tracking import mlflow_log


def test_missing_pip_is_not_told_at_each_model(monkeypatch, capfd):
    """MLflow 3.17 warns of it, in every environment that uv made."""
    from mlflow.utils import environment

    versions = environment._get_package_version
    monkeypatch.setattr(environment, "_get_package_version", lambda name: None if name == "pip" else versions(name))
    assert "pip" in environment._mlflow_conda_env(additional_pip_deps=["keras"])["dependencies"]
    assert "Failed to resolve installed pip version" in capfd.readouterr().err
    with mlflow_log.quiet():
        environment._mlflow_conda_env(additional_pip_deps=["keras"])
    assert capfd.readouterr().err == ""
