"""A relay takes sockets from who starts it, and only such as it can serve."""

import contextlib
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backchannel.server.errors import OperatorError
from backchannel.server.process.sockets import Listeners, become, take
from backchannel.server.settings import Settings
from tests.support.relay import HTTP, DropClient, RelayProcess, noise, run

# As systemd does it: descriptors from 3 on, and in the environment whose they are.
_ACTIVATE = """
import os, sys
given = [os.dup(int(each)) for each in sys.argv.pop(1).split(",")]
for place, each in enumerate(given, 3):
    os.dup2(each, place)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)))
from backchannel.server.cli import main
main()
"""


def activated(relay: RelayProcess, *sockets: socket.socket) -> None:
    descriptors = [each.fileno() for each in sockets]
    program = (sys.executable, "-c", _ACTIVATE, ",".join(map(str, descriptors)))
    relay.start(program=program, pass_fds=descriptors)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    relay = RelayProcess.make(tmp_path / "relay")
    yield relay
    relay.stop()


@pytest.fixture
def free() -> Iterator[None]:
    """The variables of the hand-over, as nobody set them."""
    kept = {name: os.environ.pop(name, None) for name in ("LISTEN_PID", "LISTEN_FDS")}
    yield
    for name, value in kept.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def test_a_socket_that_was_handed_over_is_served_and_survives_hup(relay: RelayProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        activated(relay, given)
        assert relay.url == f"http://127.0.0.1:{given.getsockname()[1]}"
        client = DropClient.connect(relay.url)
        client.create(relay.voucher())
        (relay.data / "relay.toml").write_text("port = 1\nhost = '192.0.2.1'\n")
        relay.begin_anew()  # who handed the socket over chose where, not the file
        assert client.append(*noise())


def test_who_comes_while_no_relay_runs_waits_for_it(relay: RelayProcess) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as given,
        socket.create_connection(given.getsockname(), 20) as early,
    ):
        early.sendall(b"GET /v1/relay HTTP/1.1\r\nhost: x\r\n\r\n")
        activated(relay, given)
        assert early.recv(100).startswith(b"HTTP/1.1 200")


def test_a_file_socket_is_served_and_left_as_it_was(relay: RelayProcess, tmp_path: Path) -> None:
    with file_socket(tmp_path) as local:
        path = Path(local.getsockname())
        activated(relay, local)
        for _ in range(2):
            assert relay.url == f"unix:{path}"
            health = run("health", "--data", str(relay.data))
            assert health.returncode == 0, health.stderr
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            relay.begin_anew()
    relay.stop()
    assert "ERROR" not in relay.log.read_text()


def test_several_sockets_are_one_relay(relay: RelayProcess, tmp_path: Path) -> None:
    """As for a proxy on this machine and an onion service beside it."""
    with file_socket(tmp_path) as local, socket.create_server(("127.0.0.1", 0)) as given:
        activated(relay, local, given)
        transport = httpx.HTTPTransport(uds=local.getsockname())
        with httpx.Client(transport=transport, base_url="http://relay") as http:
            over_file = http.get("/v1/relay").json()
        assert over_file == HTTP.get(f"http://127.0.0.1:{given.getsockname()[1]}/v1/relay").json()


@contextlib.contextmanager
def file_socket(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as local:
        local.bind(str(folder / "relay.sock"))
        (folder / "relay.sock").chmod(0o660)
        local.listen()
        yield local


@pytest.mark.parametrize("count", ["", "0", "-1", "9", "1 ", "x"])
def test_attack_54_a_count_of_sockets_that_is_none_is_refused(
    count: str, free: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)
    with pytest.raises(OperatorError, match="LISTEN_FDS"):
        Listeners.of(Settings(port=0))


def test_sockets_of_another_process_are_not_taken(
    free: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    listeners = Listeners.of(Settings(port=0))
    with contextlib.closing(listeners):
        assert listeners.own
    assert "LISTEN_FDS" not in os.environ, "no child of ours believes it either"


def test_attack_54_only_streams_that_listen_are_taken(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        deaf = stack.enter_context(socket.socket())
        one, _other = (stack.enter_context(each) for each in socket.socketpair())
        file = stack.enter_context((tmp_path / "file").open("w"))
        for each in (datagrams, deaf, one, file):
            with pytest.raises(OperatorError, match="handed over"):
                take(each.fileno())
            os.fstat(each.fileno())  # it is not closed under its owner
        with pytest.raises(OperatorError, match="handed over"):
            take(999_999)


def test_what_is_taken_is_not_left_to_children() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = os.dup(listener.fileno())
        os.set_inheritable(descriptor, True)
        with take(descriptor) as taken:
            assert not taken.get_inheritable()


def test_sockets_are_handed_on_in_order_wherever_they_stand() -> None:
    """Their descriptors may be the very ones that are to be used, the other way round."""
    program = (
        "import os, socket; print(*(socket.socket(fileno=f).getsockname()[1] for f in (3, 4)))"
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        ports = [each.getsockname()[1] for each in (one, two)]
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.dup2(writing, 1, inheritable=True)
            first, second = (os.dup(each.fileno()) + 100 for each in (one, two))
            os.dup2(one.fileno(), first)
            os.dup2(two.fileno(), second)
            os.dup2(first, 4)
            os.dup2(second, 3)
            sockets = (socket.socket(fileno=4), socket.socket(fileno=3))
            become([sys.executable, "-c", program], Listeners(sockets, own=True))
        os.close(writing)
        with os.fdopen(reading) as said:
            assert list(map(int, said.read().split())) == ports
        assert os.waitpid(child, 0)[1] == 0
