"""The worked example of docs/your-own.md, and the README's claims that can be checked without training."""

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def run(line):
    words = shlex.split(line)
    assert words[0] == "python"
    return subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, timeout=200)


@pytest.fixture
def own_code(alone):
    for block in blocks("docs/your-own.md", "python") + blocks("docs/your-own.md", "yaml"):
        name = Path(block.splitlines()[0].removeprefix("# "))
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text(block.partition("\n")[2])
    return alone


@pytest.mark.slow
def test_own_model_optimizer_data_and_experiment_run(own_code):
    (commands,) = blocks("docs/your-own.md", "bash")
    outputs = [run(line) for line in commands.splitlines()]
    assert [done.returncode for done in outputs] == [0, 0, 0], outputs
    assert not any("absl" in done.stderr for done in outputs)  # What TensorFlow says when my_pkg imports it.
    assert "my_net" in outputs[0].stdout
    assert "SignSGD" in outputs[1].stdout
    assert re.search(r"model.width +32 +units of each hidden layer", outputs[2].stdout)


def test_mistakes_in_own_options_are_told_as_shown(own_code):
    (shown,) = blocks("docs/your-own.md", "console")
    line, _, wanted = shown.partition("\n")
    done = run(line.removeprefix("$ "))
    assert done.returncode == 2
    assert done.stderr == wanted


PAGES = sorted(
    str(page.relative_to(ROOT))
    for folder in (ROOT, *(ROOT / name for name in ("docs", "benchmarks", "experiments/findings")))
    for page in (folder.rglob("*.md") if folder != ROOT else folder.glob("*.md"))
    if not page.is_relative_to(ROOT / "docs" / "generated")
)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), target


def run_commands(page):
    """The words behind `mnist_exp.run` of each command on a page, in blocks and in the text."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    lines = [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"`(python -m mnist_exp\.run [^`]+)`", text)
    for line in lines:
        words = shlex.split(line, comments=True) if "mnist_exp.run" in line else []
        if "mnist_exp.run" in words:
            words = words[words.index("mnist_exp.run") + 1 :]
            yield [word for word in itertools.takewhile(lambda word: word != "|", words) if word != "--json"]


PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))]
# Placeholders, other installations, and folders that only the page's reader has.
NOT_HERE = {"-m", "--help", "--config-dir", "--cfg", "trainer.backend=torch", "hydra/launcher=joblib"}


def test_commands_of_the_pages_compose(alone, monkeypatch):
    from mnist_exp.run_command import launch

    checked = 0
    for page in PAGES:
        for words in run_commands(page):
            if not NOT_HERE & set(words) and not any("…" in word or word.isupper() for word in words):
                monkeypatch.setattr(sys, "argv", ["run.py", "--cfg", "job", *words])
                assert launch() == 0, (page, words)
                checked += 1
    assert checked > 8
