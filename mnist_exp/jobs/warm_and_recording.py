"""As `warm`, with what recording in MLflow needs."""

from mnist_exp.runtime import imports

with imports.quick_imports():
    from mnist_exp.jobs import warm  # noqa: F401
    from mnist_exp.tracking import tracker

    tracker.load_mlflow(is_remote=False)
