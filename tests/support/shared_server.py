"""A team's tracking server on one machine: MLflow with passwords and proxied artifacts, on a PostgreSQL of its own.

By hand, `python tests/support/shared_server.py` starts it, prints what to export, and removes it at Ctrl-C. It is what
docs/shared-server.md sets up, in a temporary folder, on this machine's own addresses and free ports.
"""

import base64
import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

DATABASES = ("mlflow", "mlflow_auth", "optuna")
ROLE = "mnist_exp"
ADMIN, MEMBER = "admin", "anna"
_HOST = "127.0.0.1"
_PASSWORD_FILE = "pgpass"


def missing():
    """Return why it cannot be started here; empty if it can."""
    if _programs() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    try:
        import flask_wtf  # noqa: F401
        import psycopg  # noqa: F401
    except ImportError as error:
        return f"{error}: pip install 'mnist_exp[server,postgresql]'"
    return ""


class SharedServer:
    """PostgreSQL and `mlflow server`, each of which may die and be started again.

    Args:
        workers: processes of the tracking server.
    """

    def __init__(self, workers=1):
        # Not pytest's folder, which another user may not enter; PostgreSQL does not run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="mnist_exp-server-"))
        self.folder.chmod(0o711)
        self.postgres = Postgres(self.folder)
        self.mlflow = Mlflow(self.folder, self.postgres, workers)

    def start(self):
        """Make the databases, and start both. What was started is stopped if anything fails."""
        try:
            self.postgres.create()
            self.postgres.start()
            for name in DATABASES:
                self.postgres.run(f"CREATE DATABASE {name} OWNER {ROLE}")
            self.mlflow.create()
            self.mlflow.start()
            self.mlflow.add_member()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Stop both, and remove all that they have left."""
        self.mlflow.kill()
        self.postgres.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environment(self):
        """What a member of the team exports."""
        return {
            "MLFLOW_TRACKING_URI": self.mlflow.uri,
            "MLFLOW_TRACKING_USERNAME": MEMBER,
            "MLFLOW_TRACKING_PASSWORD": self.mlflow.password,
            "PGPASSFILE": str(self.postgres.password_file),
        }


class Postgres:
    """A PostgreSQL cluster on a port of its own, which asks for passwords."""

    def __init__(self, folder):
        self.folder, self.port = folder, _free_port()
        self.password_file = folder / _PASSWORD_FILE
        self.log = folder / "postgres.log"
        self._data = folder / "postgres" / "data"
        self._password, self._process = secrets.token_hex(16), None
        # The server refuses to run as root.
        self._user = next((n for n in ("postgres", "nobody") if _exists(n)), None) if os.geteuid() == 0 else None

    def address(self, database):
        """The address of a database. The password is in the file that PGPASSFILE names."""
        return f"postgresql+psycopg://{ROLE}@{_HOST}:{self.port}/{database}"

    def create(self):
        """Make an empty cluster with one role that may make databases."""
        self._data.parent.mkdir()
        password = self._data.parent / "password"
        password.write_text(self._password)
        self.password_file.write_text(f"{_HOST}:{self.port}:*:{ROLE}:{self._password}\n")
        self.password_file.chmod(0o600)
        if self._user:
            for path in (self._data.parent, password):
                shutil.chown(path, self._user)
        words = ["--pgdata", self._data, "--username", ROLE, "--auth", "scram-sha-256", "--pwfile", password]
        self._run("initdb", *words, "--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8")
        password.unlink()

    def start(self):
        """Start it, and wait until it answers."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        words = ["-D", self._data, "-h", _HOST, "-p", str(self.port), "-k", ""]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [_programs() / "postgres", *words, "-c", "max_connections=300"],
                stdout=log,
                stderr=log,
                **self._as_user(),
            )
        _wait_for(self._answers, 60, self.log)

    def kill(self):
        """Kill it and all its processes, as a machine does that loses its power."""
        _kill(self._process)
        self._process = None

    def run(self, statement):
        """Run a statement on the database `postgres`, by itself."""
        return self.rows("postgres", statement)

    def rows(self, database, statement):
        """Return what a query gives."""
        import psycopg

        with psycopg.connect(
            host=_HOST, port=self.port, user=ROLE, dbname=database, password=self._password, autocommit=True
        ) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def _answers(self):
        import psycopg

        assert self._process.poll() is None, self.log.read_text()
        with contextlib.suppress(psycopg.OperationalError):
            return bool(self.rows("postgres", "SELECT 1"))
        return False

    def _run(self, program, *words):
        done = subprocess.run([_programs() / program, *words], capture_output=True, text=True, **self._as_user())
        assert done.returncode == 0, done.stderr

    def _as_user(self):
        own = {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []} if self._user else {}
        return own | {"cwd": self._data.parent, "start_new_session": True}


class Mlflow:
    """`mlflow server` with passwords and artifacts of its own, on a PostgreSQL."""

    def __init__(self, folder, postgres, workers):
        self.folder, self.port = folder, _free_port()
        self.uri = f"http://{_HOST}:{self.port}"
        self.password, self.admin_password = secrets.token_hex(16), secrets.token_hex(16)
        self.log = folder / "mlflow.log"
        self._postgres, self._workers, self._process = postgres, workers, None
        self._settings = folder / "basic_auth.ini"
        self._secret = secrets.token_hex(16)

    def create(self):
        """Make its tables, and write who may do what."""
        self._settings.write_text(
            "[mlflow]\n"
            "default_permission = EDIT\n"
            f"database_uri = {self._postgres.address('mlflow_auth')}\n"
            f"admin_username = {ADMIN}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "auth_cache_ttl_seconds = 60\n"
        )
        words = [_mlflow(), "db", "upgrade", self._postgres.address("mlflow")]
        done = subprocess.run(words, env=self._environment, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def start(self):
        """Start it, and wait until it answers."""
        words = [_mlflow(), "server", "--host", _HOST, "--port", str(self.port), "--workers", str(self._workers)]
        words += ["--backend-store-uri", self._postgres.address("mlflow")]
        words += ["--artifacts-destination", str(self.folder / "artifacts")]
        words += ["--allowed-hosts", f"{_HOST}:{self.port}", "--app-name", "basic-auth"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                words, env=self._environment, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        _wait_for(self._answers, 90, self.log)

    def add_member(self):
        """Make a user who is no administrator."""
        request = urllib.request.Request(f"{self.uri}/api/2.0/mlflow/users/create", method="POST")
        word = base64.b64encode(f"{ADMIN}:{self.admin_password}".encode()).decode()
        request.add_header("Authorization", f"Basic {word}")
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps({"username": MEMBER, "password": self.password}).encode()
        with urllib.request.urlopen(request, timeout=30):
            pass

    def kill(self):
        """Kill it and all its workers."""
        _kill(self._process)
        self._process = None

    @property
    def _environment(self):
        return os.environ | {
            "PGPASSFILE": str(self._postgres.password_file),
            "MLFLOW_AUTH_CONFIG_PATH": str(self._settings),
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.admin_password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self._secret,
            # It runs jobs of language models: eleven more processes, 2 GB.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            # A request may need several connections, and 40 are served at a time: with SQLAlchemy's 15 they would wait
            # for each other.
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "20",
            "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "100",
        }

    def _answers(self):
        assert self._process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
            return True
        return False


def _mlflow():
    return str(Path(sys.executable).with_name("mlflow"))


def _programs():
    """Return the folder of PostgreSQL's server programs, which Debian keeps off the PATH; None where there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return installed[-1].parent if installed else None


def _exists(user):
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


def _free_port():
    with socket.socket() as free:
        free.bind((_HOST, 0))
        return free.getsockname()[1]


def _kill(process):
    """Kill a process and its descendants, who may have left its group, the parent first: it would start them again."""
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, timeout=20)
    process.wait()


def _wait_for(condition, seconds, log):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)


def main():
    """Start it, print what to export, and stay."""
    if reason := missing():
        sys.exit(reason)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    server = SharedServer()
    try:
        server.start()
        for name, value in server.environment.items():
            print(f"export {name}={value}")
        print(f"# a search: sweep.storage={server.postgres.address('optuna')}")
        print("# Ctrl-C stops it and removes everything", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


if __name__ == "__main__":
    main()
