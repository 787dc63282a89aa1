"""Downloads from real servers on 127.0.0.1: good, silent, interrupted, wrong, broken and missing ones."""

import hashlib
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest

from mnist_exp.composition.compose import compose
from mnist_exp.data import load
from mnist_exp.data.download import ATTEMPTS, fetch
from mnist_exp.errors import DataError

TIMEOUT_S = 0.4
OLD = b"a good file from before"


class Server(ThreadingHTTPServer):
    """A server that answers each request by the next of `plans`, and repeats the last one."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.plans = ["good"]
        self.paths: list[str] = []
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/mnist.npz"

    def handle_error(self, request, client_address) -> None:
        """Ignore errors: clients that leave early are part of these tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        plan = self.server.plans[min(len(self.server.paths), len(self.server.plans) - 1)]
        self.server.paths.append(self.path)
        body = self.server.content
        if plan == "hang up":
            return
        if plan == "silent":
            self.server.closing.wait(10)
            return
        self.send_response(500 if plan == "500" else 404 if plan == "404" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if plan == "corrupt":
            self.wfile.write(body[: len(body) // 2] + bytes(100) + body[len(body) // 2 + 100 :])
        elif plan in ("stall", "truncate"):
            self.wfile.write(body[: len(body) // 2])
            if plan == "stall":
                self.server.closing.wait(10)
        else:
            self.wfile.write(body)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("mnist_exp.data.download.PAUSE_S", 0.01)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="session")
def content(digits, tmp_path_factory):
    """A real npz file of 500 digits."""
    path = tmp_path_factory.mktemp("content") / "digits.npz"
    (x_train, y_train), (x_test, y_test) = digits
    np.savez(path, x_train=x_train[::10], y_train=y_train[::10], x_test=x_test[::10], y_test=y_test[::10])
    return path.read_bytes()


@pytest.fixture
def start(content):
    """Start a server with these plans."""
    servers: list[tuple[Server, threading.Thread]] = []

    def _start(*plans: str, body: bytes = content) -> Server:
        server = Server(body)
        server.plans = list(plans)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return server

    yield _start
    for server, thread in servers:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def nowhere():
    """An address where nothing listens: the port was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}/mnist.npz"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "cache" / "mnist.npz"


@pytest.fixture
def get(content, place):
    """Download to `place` a file with the right SHA-256."""
    digest = hashlib.sha256(content).hexdigest()

    def verify(file: Path) -> None:
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise DataError("the content has another SHA-256")

    return lambda *urls: fetch(urls, place, verify, timeout_s=TIMEOUT_S)


@pytest.fixture
def asked(monkeypatch):
    """The addresses that were tried, in order, including those that did not answer."""
    tried: list[str] = []
    download = pooch.HTTPDownloader.__call__

    def note(self, url, *args, **options):
        tried.append(url)
        return download(self, url, *args, **options)

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", note)
    return tried


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_good_file_lands_in_its_place_alone(start, get, place, content):
    server = start("good")
    assert get(server.url) == place
    assert place.read_bytes() == content
    assert names(place.parent) == ["mnist.npz"]
    assert len(server.paths) == 1


def test_a_good_file_may_be_read_by_whom_the_umask_allows(start, get, place):
    # The cache can be shared by a group; a temporary file's own mode, 600, must not stay.
    before = os.umask(0o027)
    try:
        get(start("good").url)
    finally:
        os.umask(before)
    assert oct(place.stat().st_mode & 0o777) == "0o640"


@pytest.mark.slow
@pytest.mark.parametrize("existing", [None, OLD], ids=["empty folder", "over an older file"])
@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ("stall", "timed out"),
        ("silent", "timed out"),
        ("truncate", "broken"),
        ("hang up", "aborted"),
        ("corrupt", "another SHA-256"),
        ("500", "500"),
        ("404", "404"),
    ],
)
def test_a_bad_answer_is_an_error_and_leaves_no_trace(start, get, place, plan, reason, existing):
    place.parent.mkdir()
    if existing:
        place.write_bytes(existing)
    server = start(plan)
    began = time.monotonic()
    with pytest.raises(DataError) as error:
        get(server.url)
    assert server.url in str(error.value)
    assert reason in str(error.value).lower().replace("sha", "SHA")
    assert time.monotonic() - began < ATTEMPTS * TIMEOUT_S + 2
    assert names(place.parent) == (["mnist.npz"] if existing else [])
    assert not existing or place.read_bytes() == existing


@pytest.mark.parametrize("plan", ["500", "stall", "truncate", "hang up", "corrupt"])
def test_an_answer_that_was_bad_once_is_asked_for_again(start, get, place, content, plan):
    server = start(plan, "good")
    get(server.url)
    assert place.read_bytes() == content
    assert names(place.parent) == ["mnist.npz"]
    assert len(server.paths) == 2


def test_a_server_is_not_asked_for_ever(start, get):
    server = start("500")
    with pytest.raises(DataError):
        get(server.url)
    assert len(server.paths) == ATTEMPTS


def test_the_second_mirror_is_taken_where_the_first_is_bad(start, get, place, content):
    bad, good = start("corrupt"), start("good")
    get(bad.url, good.url)
    assert place.read_bytes() == content
    assert (len(bad.paths), len(good.paths)) == (1, 1)


def test_the_second_mirror_is_taken_where_nothing_listens_at_the_first(start, get, nowhere, place, content):
    get(nowhere, start("good").url)
    assert place.read_bytes() == content


def test_where_nothing_listens_each_mirror_is_tried_once(get, nowhere, place, asked):
    other = nowhere.replace("mnist.npz", "other.npz")
    with pytest.raises(DataError) as error:
        get(nowhere, other)
    assert asked == [nowhere, other]
    assert f"{nowhere}: the host cannot be reached" in str(error.value)
    assert names(place.parent) == []


def test_a_host_that_never_accepts_is_tried_once(get, asked):
    # A firewall that drops packets; here, a socket whose queue of callers is full.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        with pytest.raises(DataError, match="cannot be reached"):
            get(f"http://127.0.0.1:{port}/mnist.npz")
        for caller in callers:
            caller.close()
    assert len(asked) == 1


def test_the_reason_of_each_mirror_is_its_own(start, get, nowhere):
    bad = start("500")
    with pytest.raises(DataError) as error:
        get(bad.url, nowhere)
    assert f"{nowhere}: the host cannot be reached" in str(error.value)
    assert f"{bad.url}: 500" in str(error.value)


def test_no_mirror_is_an_error(get):
    with pytest.raises(DataError, match="no mirror is given"):
        get()


def test_an_invalid_address_is_named(get):
    with pytest.raises(DataError, match=r"example/mnist\.npz: .*[Ii]nvalid URL"):
        get("example/mnist.npz")


def test_a_folder_that_cannot_be_made_is_named(start, get, place):
    place.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=f"{place.parent} cannot be made for the download"):
        get(start("good").url)


def test_two_at_once_both_end_with_the_whole_file(start, get, place, content):
    server = start("good")
    threads = [threading.Thread(target=get, args=(server.url,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.read_bytes() == content
    assert names(place.parent) == ["mnist.npz"]


def keras_cache() -> Path:
    return Path(os.environ["KERAS_HOME"]) / "datasets"


def test_mnist_is_downloaded_once_into_the_keras_cache(start, full_mnist, nowhere):
    server = start("good", body=(full_mnist / "mnist.npz").read_bytes())
    settings = compose(["data=mnist", f"data.mirrors=['{nowhere}','{server.url}']", "data.fallback=false"])
    data = load(settings)
    assert data.place == f"a download, now in {keras_cache() / 'mnist.npz'}"
    assert len(data.x_train) == 60_000
    assert names(keras_cache()) == ["mnist.npz"]
    again = load(settings)
    assert again.place == f"the Keras cache, {keras_cache() / 'mnist.npz'}"
    assert again.sha256 == data.sha256
    assert len(server.paths) == 1


def test_mnist_replaces_a_damaged_copy_in_the_keras_cache(start, full_mnist):
    good = (full_mnist / "mnist.npz").read_bytes()
    keras_cache().mkdir(parents=True)
    (keras_cache() / "mnist.npz").write_bytes(good[:100_000])
    data = load(compose(["data=mnist", f"data.mirrors=['{start('good', body=good).url}']"]))
    assert data.fallback is None
    assert (keras_cache() / "mnist.npz").read_bytes() == good


@pytest.mark.parametrize(("plan", "reason"), [("good", "another SHA-256"), ("corrupt", "not a readable npz")])
def test_mnist_takes_no_other_arrays_from_a_mirror(start, plan, reason):
    # The mirror's file is a readable npz, but of the bundled digits.
    url = start(plan).url
    with pytest.raises(DataError, match=f"data=mnist was not found .*{url}: .*{reason}") as error:
        load(compose(["data=mnist", f"data.mirrors=['{url}']", "data.fallback=false"]))
    assert ".partial" not in str(error.value), "a file that is gone is no help"
    assert names(keras_cache()) == []


def test_mnist_reports_a_damaged_copy_that_no_mirror_could_replace(nowhere):
    keras_cache().mkdir(parents=True)
    (keras_cache() / "mnist.npz").write_bytes(b"half a downl")
    data = load(compose(["data=mnist", f"data.mirrors=['{nowhere}']"]))
    assert "the copy in the Keras cache is damaged" in data.fallback
    assert "the host cannot be reached" in data.fallback
    assert (keras_cache() / "mnist.npz").read_bytes() == b"half a downl"


def test_fashion_mnist_takes_only_the_published_files_from_a_mirror(start):
    server = start("good")
    folder = server.url.removesuffix("/mnist.npz")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: .*another MD5"):
        load(compose(["data=fashion_mnist", f"data.mirrors=['{folder}/']"]))
    assert set(server.paths) == {"/train-images-idx3-ubyte.gz"}
    assert names(keras_cache() / "fashion-mnist") == []
