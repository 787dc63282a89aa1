"""The task of a recorded run: by its tag, and one of the user's own only if that is trusted."""

import sys

import pytest

from mnist_exp.errors import SettingsError
from mnist_exp.inference import recorded_task
from mnist_exp.tracking.runs import StoredRun


class Run(StoredRun):
    """A run whose configuration is given by its name."""

    def config(self):
        return {"task": {"_target_": self.name}} if self.name else {}


def run_of(task=None, target=None):
    tags = {"mnist_exp.task": task} if task else {}
    values = dict.fromkeys(StoredRun.__dataclass_fields__) | {"run_id": "0" * 32, "tags": tags, "name": target}
    return Run(**values)


@pytest.mark.parametrize("name", ["classification", "binary", "multilabel", "regression"])
def test_task_of_ours_is_known_by_its_tag(name):
    assert recorded_task.of_run(run_of(name), ()).name == name
    assert recorded_task.of_run(run_of(name, "mnist_exp.tasks.builders.auto"), ()).name == name


def test_run_of_before_there_were_tasks_is_a_classification():
    assert recorded_task.of_run(run_of(), ()).name == "classification"


def test_task_of_the_users_own_runs_only_if_it_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "own_task_module.py").write_text(
        "from mnist_exp.tasks.classification import Classification\n\n\nclass Odd(Classification):\n    name = 'odd'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=r"uses code of own_task_module, .* add --trusted-modules=own_task_module"):
        recorded_task.of_run(run_of("classification", "own_task_module.Odd"), ())
    assert "own_task_module" not in sys.modules
    assert recorded_task.of_run(run_of("classification", "own_task_module.Odd"), ("own_task_module",)).name == "odd"
