"""Text files lose their secrets and can still be read back; other files are left as they are."""

import csv
import io
import json
import time

import pytest
import yaml

from mnist_exp.jobs import events
from mnist_exp.runtime import redacted_files
from mnist_exp.runtime.redacted_files import content

SECRET = "plantedX0123456789"


def read(name, text):
    return content(name, text.encode()).decode()


def test_yaml_can_be_read_back():
    text = f"# password={SECRET}\na:\n  token: {SECRET}\n  tokens: 5\n  token_count: 3\n  at: http://me:{SECRET}@h\n"
    found = read("a.yaml", text)
    assert yaml.safe_load(found) == {
        "a": {"token": "***", "tokens": 5, "token_count": 3, "at": "http://***@h"}
    }  # fmt: skip
    assert SECRET not in found
    assert read("again.yaml", found) == found, "what is hidden already stays as it is"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "a: 1 # as it is\nmodel:\n  token: 5\n"),
        ("a.json", '{"a":   1, "token": 5}'),
        ("a.csv", 'label,note\r\n1,"a, b"\r\n'),
        ("a.html", "<script>token = next(key)</script><p>a</p>"),
        ("a.html", '<img src="data:image/png;base64,AAAA/token=AAAA">'),
    ],
)
def test_text_without_a_secret_stays_byte_for_byte(name, text):
    assert read(name, text) == text


def test_table_stays_a_table():
    text = f'rank,model.token,note\r\n1,{SECRET},"it says token=""{SECRET}"""\r\n'
    rows = list(csv.reader(io.StringIO(read("a.csv", text), newline="")))
    assert rows[:1] == [["rank", "model.token", "note"]]
    assert rows[1][:2] == ["1", "***"]
    assert SECRET not in str(rows)
    assert [len(row) for row in rows] == [3, 3]


def test_page_keeps_its_markup_and_its_data():
    data = json.dumps({"token": SECRET, "n": 1})
    found = read("a.html", f'<p>password={SECRET}</p><script type="application/json">{data}</script>')
    assert found == '<p>password=***</p><script type="application/json">{"token": "***", "n": 1}</script>'


@pytest.mark.parametrize("name", ["a.png", "a.keras", "a.npz", "a.onnx", "none"])
def test_other_files_are_left_as_they_are(name):
    kept = b"\x00token=" + SECRET.encode()
    assert content(name, kept) is kept


def test_files_are_copied_and_written_without_secrets(tmp_path):
    (tmp_path / "a.txt").write_text(f"token={SECRET}")
    redacted_files.copy(tmp_path / "a.txt", tmp_path / "b.txt")
    redacted_files.write(tmp_path / "c.txt", f"token={SECRET}")
    assert [(tmp_path / name).read_text() for name in ("b.txt", "c.txt")] == ["token=***", "token=***"]


def test_large_table_takes_no_time():
    """It takes 20 ms; it took 2.6 s when every pattern searched the whole table."""
    table = "label,predicted,probability\n" + "7,7,0.123456\n" * 80_000
    began = time.monotonic()
    assert read("test_predictions.csv", table) == table
    assert time.monotonic() - began < 2


def test_events_of_a_sweep_have_no_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", SECRET)
    values = {"model.token": "by its name", "model.filters": 16}
    events.Writer(tmp_path, 3).write("invented", new=f"http://me:{SECRET}@h", values=values, deep=[{"er": SECRET}])
    events.write_known(tmp_path, "known", {"k": {"new": SECRET, "metrics": {"loss": 0.5}}})
    events.give_up(tmp_path, SECRET)
    assert [file for file in tmp_path.rglob("*") if file.is_file() and SECRET in file.read_text()] == []
    (event,) = events.Reader(tmp_path).read()
    assert event["new"] == "http://***@h"
    assert event["values"] == {"model.token": "***", "model.filters": 16}
    assert events.read_known(tmp_path, "known") == {"k": {"new": "***", "metrics": {"loss": 0.5}}}


def test_picture_in_a_page_s_data_stays_though_it_looks_like_a_token():
    encoded = "A" * 1000 + "/AKIA" + "B" * 40 + "=="
    page = f'<script type="application/json">{{"picture": "{encoded}", "command": "run password=hunter2"}}</script>'
    kept = redacted_files.content("page.html", page.encode()).decode()
    assert encoded in kept
    assert "hunter2" not in kept and "password=***" in kept
