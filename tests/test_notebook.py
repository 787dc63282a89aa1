"""Real notebooks, executed by a real kernel: what a person sees in them, and what is in the store then."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image
from real_runs import only_run, recorded, wait_for, with_checkpoints

SMALL = ["data=mnist_5k", "data.limit=600", "trainer.epochs=3", "model.filters=4", "model.dense_units=16"]
# Of libraries, at the start of a kernel.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Notebook:
    """A kernel in the working folder, and the cells that it has executed."""

    def __enter__(self):
        self.nb = nbformat.v4.new_notebook()
        self._client = NotebookClient(self.nb, timeout=900, allow_errors=True)  # Six trainings, on a busy machine.
        self._kernel = self._client.setup_kernel()
        self._kernel.__enter__()
        return self

    def __exit__(self, *error):
        self._kernel.__exit__(*error)

    def run(self, source):
        """Execute a cell; return its outputs."""
        self.nb.cells.append(nbformat.v4.new_code_cell(source))
        return self._client.execute_cell(self.nb.cells[-1], len(self.nb.cells) - 1).outputs

    def interrupt_once(self, condition):
        """Send what the button of a notebook sends, as soon as a condition holds."""

        def interrupt():
            wait_for(condition)
            os.kill(self._client.km.provisioner.pid, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()


def printed(outputs):
    return "".join(each.text for each in outputs if each.output_type == "stream")


def shown(outputs):
    return [each.data for each in outputs if "data" in each]


def error(outputs):
    (found,) = [each for each in outputs if each.output_type == "error"]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(found.traceback))


@pytest.fixture(scope="module")
def notebook(tmp_path_factory, request):
    """A kernel in which a run was made; its outputs."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("notebook"))
    try:
        with Notebook() as opened:
            opened.folder = Path.cwd()
            opened.first = opened.run(f"from mnist_exp import *\nresult = run(compose({SMALL}))\nresult")
            yield opened
    finally:
        os.chdir(before)


@pytest.fixture
def there(notebook, monkeypatch):
    monkeypatch.chdir(notebook.folder)
    return notebook


def test_run_shows_its_curve_in_one_place_and_plain_text(there):
    text = printed(there.first)
    assert "model      cnn, 9,506 parameters" in text
    assert not re.search(r"[\x1b\r]|Warning|retracing", text)
    live, result = shown(there.first)
    assert live["text/plain"].splitlines()[-1].startswith("epoch 3/3   loss")
    assert "<title>Learning curves: loss, val_loss, accuracy, val_accuracy</title>" in live["text/html"]
    assert result["text/plain"].startswith("Result(run_id=")
    assert f"run {only_run().info.run_id}" in result["text/html"]
    assert "<td>test_accuracy</td>" in result["text/html"]
    words = only_run().data.tags["mnist_exp.command"].split()
    assert words == ["python", "-m", "mnist_exp.run", *SMALL]


def test_mistake_of_the_user_is_a_line_and_no_traceback(there):
    told = error(there.run("compose(['model.dropuot=0.5', 'trainer.epochs=0'])"))
    assert told.splitlines() == [
        "SettingsError: model.dropuot does not exist: did you mean model.dropout?",
        "trainer.epochs=0 is not allowed: it must be a whole number, at least 1",
    ]
    assert len(error(there.run("sweep(['model.dropout=0.1,7'])")).splitlines()) == 1
    assert len(error(there.run("compose(3)")).splitlines()) == 1
    bug = "from mnist_exp.errors import plural\nplural('three', 'run')"
    assert "Traceback" in error(there.run(bug))


@pytest.mark.slow
def test_interrupted_kernel_ends_a_run_as_killed_and_goes_on(there):
    there.interrupt_once(with_checkpoints)
    outputs = there.run(f"run({[*SMALL, 'trainer.epochs=100', 'seed=2']})")
    assert error(outputs).splitlines()[0].startswith("Interrupted: ")
    assert "to go on with this run" in printed(outputs)
    _, _, runs = recorded()
    (stopped,) = [run for run in runs if run.data.params["trainer.epochs"] == "100"]
    assert stopped.info.status == "KILLED"
    resumed = there.run(f"r = run('resume={stopped.info.run_id}')\nprint(len(r.history['loss']), r.run_id)")
    assert printed(resumed).endswith(f"100 {stopped.info.run_id}\n")


@pytest.mark.slow
def test_runs_in_a_loop_say_nothing_of_retracing(there):
    words = [*SMALL, "trainer.epochs=1", "tracking=none"]
    text = printed(there.run(f"for n in range(2, 9): run(compose({words} + [f'model.filters={{n}}']))"))
    assert text.count("accuracy") >= 7
    assert "retracing" not in text


@pytest.mark.slow
def test_sweep_runs_in_a_notebook_and_shows_its_leaderboard(alone):
    with Notebook() as notebook:
        words = [*SMALL, "data.validation=0.2", "model.dropout=0.1,0.2,0.3"]
        outputs = notebook.run(f"from mnist_exp import sweep\ns = sweep({words})\ns")
        text = printed(outputs)
        assert not re.search(r"[\x1b\r]|Traceback", text)
        live, result = shown(outputs)
        assert live["text/plain"].startswith("3 done   best val_accuracy")
        assert "left" not in live["text/plain"] + text
        assert result["text/html"].count("<tr>") == 4
        _, (parent,), children = recorded()
        assert parent.info.run_id in result["text/html"]
        assert len(children) == 3
        frame = notebook.run("print(list(s.jobs['model.dropout']), s.best['options'], s.status, s.errors)")
        assert "FINISHED []" in printed(frame)
        again = notebook.run(f"sweep({words})")
        assert "3 done already" in printed(again)


@pytest.mark.slow
def test_interrupted_kernel_ends_a_sweep_as_killed(alone):
    with Notebook() as notebook:
        notebook.interrupt_once(with_checkpoints)
        words = [*SMALL, "data.validation=0.2", "trainer.epochs=500", "model.dropout=0.1,0.2,0.3"]
        outputs = notebook.run(f"from mnist_exp import sweep\ns = sweep({words})")
        assert error(outputs).splitlines()[0].startswith("Interrupted: ")
        _, (parent,), children = recorded()
        assert parent.info.status == "KILLED"
        assert {child.info.status for child in children} == {"KILLED"}


@pytest.mark.slow
def test_cells_of_the_page_do_what_it_says(alone, digits):
    page = (Path(__file__).parents[1] / "docs" / "notebook.md").read_text("utf-8")
    cells = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (alone / "photos").mkdir()
    for number, image in enumerate(digits[1][0][:3]):
        Image.fromarray(image).save(alone / "photos" / f"{number}.png")
    np.save("images.npy", digits[1][0][:3])
    with Notebook() as notebook:
        notebook.run("import numpy\nimages = numpy.load('images.npy')")
        for cell in cells:
            outputs = notebook.run(cell)
            assert not [each for each in outputs if each.output_type == "error"], error(outputs)
            assert not re.search(r"[\x1b\r]|Warning", printed(outputs))
        nbformat.write(notebook.nb, "executed.ipynb")


@pytest.mark.slow
def test_script_without_a_guard_runs_its_sweep_once(alone):
    words = [*SMALL, "data.validation=0.2", "model.dropout=0.1,0.2"]
    text = f"from mnist_exp import sweep\nprint('begins')\nprint(sweep({words}).status)\n"
    (alone / "mine.py").write_text(text)
    done = subprocess.run([sys.executable, "mine.py"], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.count("begins") == 1
    assert done.stdout.endswith("FINISHED\n")
