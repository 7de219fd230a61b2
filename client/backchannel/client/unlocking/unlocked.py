"""The caller's side of the agent: start one, ask it for the key, end it."""

import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backchannel.client.errors import ClientError
from backchannel.client.machine.clock import elapsed
from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking.agent import KEY, peer_is_me
from backchannel.client.vault.head import VaultKey, VolatileKey

_LONGEST = 100  # bytes of a socket's path; systems allow 104 to 108
_PATIENCE = 5.0  # seconds
_PAUSE = 0.05
_MODULE = "backchannel.client.unlocking.agent"


def socket_path(profile: Profile) -> Path:
    """One socket a vault, so that two vaults may share a runtime folder."""
    name = hashlib.sha256(os.fsencode(profile.vault)).hexdigest()[:12]
    return profile.runtime / f"agent-{name}.sock"


def start(
    profile: Profile,
    key: VaultKey,
    seconds: int,
    home: Path | None = None,
    idle: int | None = None,
) -> bool:
    """Leave an agent that holds `key`, until nobody has asked for it for `idle` seconds; whether
    its memory is locked. Ends the one before, which leaves to this one a `home`, which goes with
    the last, and its volatile key if it is the same vault's.
    """
    profile.make(profile.runtime)
    path = socket_path(profile)
    with _alone(profile.runtime):
        same = ask(profile) == key
        kept = volatile(profile) if same else None
        kept = kept or VolatileKey(os.urandom(KEY))
        with _replaced(path):
            times = seconds.to_bytes(4) + (seconds if idle is None else idle).to_bytes(4)
            return _start(path, times + key.expose() + kept.expose(), home)


@contextmanager
def _alone(runtime: Path) -> Iterator[None]:
    """Two that start at once would leave an agent that nobody reaches."""
    folder = os.open(runtime, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def _replaced(path: Path) -> Iterator[None]:
    """The agent before finds that another has its place, and takes nothing but itself away."""
    before = path.with_suffix(".before")
    with suppress(FileNotFoundError):
        path.rename(before)
    try:
        yield
    finally:
        _exchange(before, b"l", 1)
        before.unlink(missing_ok=True)


def _start(path: Path, what: bytes, home: Path | None) -> bool:
    ours, theirs = socket.socketpair()
    with ours, theirs, _listen(path) as listener:
        _spawn(listener, theirs, path, home)
        theirs.close()
        ours.settimeout(_PATIENCE)
        try:
            ours.sendall(what)
            answer = ours.recv(1)
        except OSError:
            answer = b""
    if not answer:
        msg = "The agent did not start."
        raise ClientError(msg)
    return answer == b"\1"


def ask(profile: Profile, *, aside: bool = False) -> VaultKey | None:
    """The key, if an agent holds it; `aside` for who is no person: an agent that nobody uses ends
    as it would have.
    """
    answer = _exchange(socket_path(profile), b"p" if aside else b"k", KEY)
    return VaultKey(answer) if len(answer) == KEY else None


def volatile(profile: Profile) -> VolatileKey | None:
    """The key that ends with the agent, if there is one."""
    answer = _exchange(socket_path(profile), b"v", KEY)
    return VolatileKey(answer) if len(answer) == KEY else None


def seconds_left(profile: Profile) -> int | None:
    """How long an agent will hold the key; none when there is no agent."""
    answer = _exchange(socket_path(profile), b"t", 4)
    return int.from_bytes(answer) if len(answer) == 4 else None


def end(profile: Profile) -> bool:
    """Let the agent wipe the key and end; false when there was none."""
    return _exchange(socket_path(profile), b"l", 1) == b"l"


def gone(profile: Profile) -> bool:
    """Whether there is surely no agent: nobody listens, which is more than that nobody answers."""
    try:
        with _alone(profile.runtime):
            return _nobody_listens(socket_path(profile))
    except FileNotFoundError:
        return True


def _nobody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        try:
            with _reachable(path) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False


def _exchange(path: Path, question: bytes, length: int) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        try:
            with _reachable(path) as address:
                _connect(connection, address)
            if not peer_is_me(connection):
                return b""
            connection.sendall(question)
            return connection.recv(length, socket.MSG_WAITALL)
        except OSError:  # no socket, nobody behind it, or an end in mid-sentence: all mean no agent
            return b""


def _connect(connection: socket.socket, address: str) -> None:
    """Wait for room among the callers, which a system may refuse at once."""
    end = elapsed() + _PATIENCE
    while True:
        try:
            connection.connect(address)
        except BlockingIOError:
            if elapsed() >= end:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _listen(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with _reachable(path) as address:
            listener.bind(address)
    finally:
        os.umask(before)
    listener.listen(8)
    return listener


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """A name of `path` that is short enough for a socket."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _spawn(listener: socket.socket, pair: socket.socket, path: Path, home: Path | None) -> None:
    about = [str(path), *([str(home)] if home else [])]
    numbers = (listener.fileno(), pair.fileno())
    process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
        [sys.executable, "-P", "-m", _MODULE, *map(str, numbers), *about],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # a script that captures our output would wait for it
        stderr=subprocess.DEVNULL,
        pass_fds=numbers,
        start_new_session=True,
        cwd="/",
        env={
            name: value for name, value in os.environ.items() if not name.startswith("BACKCHANNEL_")
        },
    )
    process.wait(_PATIENCE)  # for its first half: see `agent.main`
