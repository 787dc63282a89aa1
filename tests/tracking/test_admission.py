"""The check of a tracking server before a run: real servers on 127.0.0.1, with and without TLS."""

import base64
import datetime
import ipaddress
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mnist_exp.errors import TrackingError
from mnist_exp.tracking import store

BASIC = "Basic " + base64.b64encode(b"anna:correct horse").decode()


@pytest.fixture(autouse=True)
def no_credentials(alone, monkeypatch):
    """A home folder without credentials, and no proxy."""
    monkeypatch.setenv("HOME", str(alone))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("USERNAME", "PASSWORD", "TOKEN", "INSECURE_TLS", "SERVER_CERT_PATH"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.fixture
def start():
    """Start a server with a fixed answer; `asked` lists the path and the Authorization header of each request."""
    running = []

    def _start(status=200, body=b"", location="", certificate=None):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                answering.asked.append((self.path.partition("?")[0], self.headers["Authorization"]))
                self.send_response(200 if self.path == "/health" and not location else status)
                if location:
                    self.send_header("Location", location + self.path)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        answering = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        answering.asked, answering.uri = [], f"http://127.0.0.1:{answering.server_port}"
        answering.handle_error = lambda *_: None  # Clients that leave in the middle of it.
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            answering.socket = context.wrap_socket(answering.socket, server_side=True)
            answering.uri = answering.uri.replace("http", "https")
        thread = threading.Thread(target=answering.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((answering, thread))
        return answering

    yield _start
    for answering, thread in running:
        answering.shutdown()
        answering.server_close()
        thread.join()


def error_of(uri):
    with pytest.raises(TrackingError) as error:
        store.check(uri)
    return str(error.value)


@pytest.mark.parametrize("status", [200, 404, 500])
def test_server_that_answers_is_accepted(start, status):
    store.check(start(status).uri + "/")


def test_credentials_are_those_that_mlflow_sends(start, alone, monkeypatch):
    server = start()

    def sent(uri=server.uri):
        store.check(uri)
        return server.asked[-1][1]

    assert sent() is None
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-token")
    assert sent() == "Bearer a-token"
    (alone / ".mlflow").mkdir()
    kept = "[mlflow]\nmlflow_tracking_username = anna\nmlflow_tracking_password = correct horse\n"
    (alone / ".mlflow" / "credentials").write_text(kept)
    assert sent() == BASIC
    assert sent(server.uri.replace("://", "://anna:other%20words@")).startswith("Basic ") and sent() == BASIC
    assert base64.b64decode(sent(server.uri.replace("://", "://anna:other%20words@"))[6:]) == b"anna:other words"
    # MLflow does the same: `requests` takes it before anything else.
    netrc = alone / ".netrc"
    netrc.write_text("machine 127.0.0.1 login bert password of-netrc\nmachine localhost login no password no\n")
    netrc.chmod(0o600)
    assert base64.b64decode(sent()[6:]) == b"bert:of-netrc"


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_credentials_are_not_sent_after_a_redirect(start, alone, monkeypatch, code):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse")
    netrc = alone / ".netrc"
    netrc.write_text("machine localhost login bert password of-netrc\n")
    netrc.chmod(0o600)
    other = start(401)
    first = start(code, location=other.uri.replace("127.0.0.1", "localhost"))
    store.check(first.uri)
    assert {header for _, header in first.asked} == {BASIC}
    assert other.asked == []


@pytest.mark.parametrize(
    ("environment", "netrc", "words"),
    [
        ({}, "", "asks for a user and a password; set MLFLOW_TRACKING_USERNAME and"),
        ({"USERNAME": "anna"}, "", "asks for a password; set"),
        ({"TOKEN": "a-secret-token"}, "", "does not accept the token in $MLFLOW_TRACKING_TOKEN; renew it"),
        ({"USERNAME": "anna", "PASSWORD": "a-secret-word"}, "", "correct them in $MLFLOW_TRACKING_USERNAME and"),
        ({}, "machine 127.0.0.1 login anna password a-secret-word\n", "correct them in ~/.netrc"),
    ],
)
def test_refused_user_is_told_which_credentials_to_correct(start, alone, monkeypatch, environment, netrc, words):
    for name, value in environment.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    (alone / ".netrc").write_text(netrc)
    (alone / ".netrc").chmod(0o600)
    said = error_of(start(401).uri)
    assert words in said
    assert "secret" not in said


def test_password_in_a_malformed_address_is_not_shown():
    assert "a-secret-word" not in error_of("http://anna:a-secret-word@:99999/")


def test_long_refusal_is_not_read_to_its_end(start):
    body = b"Invalid Host header" + b"x" * 10_000_000
    assert "add it to its --allowed-hosts" in error_of(start(403, body).uri)


def test_reason_is_shown_without_the_wrappers_of_libraries(start):
    server = start()
    server.shutdown()
    server.server_close()
    assert "nothing answers there ([Errno 111] Connection refused); start it" in error_of(server.uri)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a self-signed certificate, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + made.public_bytes(encoding))
    return file


def test_self_signed_certificate_is_refused_unless_the_user_names_it(start, certificate, monkeypatch):
    server = start(certificate=certificate)
    assert "CERTIFICATE_VERIFY_FAILED" in error_of(server.uri)
    assert server.asked == [], "no password is sent to who is not known"
    with monkeypatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        store.check(server.uri)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        store.check(server.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    store.check(server.uri)


def test_check_waits_for_a_server_that_starts_late(monkeypatch):
    monkeypatch.setattr("mnist_exp.runtime.retries.RETRY_S", 0.05)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # As long as it does not listen, nobody gets through.
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"

        def listen():
            server.listen()
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

        with pytest.raises(TrackingError, match="Connection refused"):
            store.check(uri, 0.2)
        starting = threading.Timer(0.3, listen)
        starting.start()
        store.check(uri, 20.0)
        starting.join()
