"""`backchannel-relay test` tries all of a relay, tells what is wrong with it, and leaves nothing:
row OP14.
"""

import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from backchannel.server import exits
from backchannel.server.home import Home
from backchannel.server.operate import selftest
from backchannel.server.operate.asking import Address
from backchannel.server.operate.holdings import survey
from tests.server.test_cli import document, failed, invoke
from tests.server.test_doctor import as_it_came, forging, proxy
from tests.support.relay import PROGRAM, DropClient, RelayProcess, noise, running_relay

STEPS = 14


def rows(data: Path) -> tuple[dict[str, int], int]:
    """Of each table; and bytes of the log, in which a deleted row could stand."""
    store = survey(Home(data))
    return dict(store.rows), store.log


@contextmanager
def nothing_left(relay: RelayProcess) -> Iterator[None]:
    """Whatever happens: other people's drops, blocks and vouchers stay, and nothing is added."""
    others = DropClient.connect(relay.url)
    others.create(relay.voucher())
    others.append(*noise(2))
    relay.mint(2)
    before = rows(relay.data)[0]
    yield
    assert rows(relay.data) == (before, 0)


def test_a_relay_that_works_passes_and_keeps_nothing(process: RelayProcess) -> None:
    with nothing_left(process):
        said = document("test", "--data", process.data)
    assert said["ok"]
    assert len(said["steps"]) == STEPS
    text = invoke("test", "--data", process.data)[1].splitlines()
    assert all(line.startswith("ok   ") for line in text[:-1])
    assert text[-1] == "all is well; nothing of it is left"


def test_it_goes_by_the_public_address(process: RelayProcess) -> None:
    with nothing_left(process), proxy(process.url, as_it_came) as url:
        said = document("test", "--data", process.data, "--url", url)
    assert said["ok"]


def test_only_the_hours_key_stays_as_after_any_block(tmp_path: Path) -> None:
    with running_relay() as relay:
        for _ in range(2):
            assert document("test", "--data", relay.data)["ok"]
        assert survey(Home(relay.data)).keys == 1


@pytest.mark.parametrize("steps", range(STEPS))
def test_whoever_stops_listening_after_any_step_leaves_nothing(
    process: RelayProcess, steps: int
) -> None:
    with nothing_left(process), selftest.trial(Home(process.data)) as trial:
        for _ in range(steps):
            assert next(trial).ok


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("lines", [1, 8])
def test_attack_it_is_interrupted_and_leaves_nothing(
    process: RelayProcess, how: signal.Signals, lines: int
) -> None:
    """After eight steps a reader waits."""
    heeding = "import signal as s; s.signal(s.SIGINT, s.default_int_handler);"
    heeding += " s.signal(s.SIGHUP, s.SIG_DFL); s.pthread_sigmask(s.SIG_UNBLOCK, {s.SIGHUP});"
    # whoever runs the tests may heed neither
    program = (PROGRAM[0], "-c", f"{heeding} {PROGRAM[2]}")
    command = [*program, "test", "--data", str(process.data)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with nothing_left(process), subprocess.Popen(command, **pipes) as running:  # type: ignore[call-overload]
        for _ in range(lines):
            assert running.stdout.readline().startswith("ok")
        running.send_signal(how)
        _, said = running.communicate(30)
    assert running.returncode == exits.INTERRUPTED
    assert said.strip() == "interrupted; nothing of it is left"


def test_a_relay_that_dies_meanwhile_keeps_nothing(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay").start()
    home = Home(relay.data)
    with selftest.trial(home) as trial:
        assert next(trial).ok
        relay.kill()
        step = next(trial)
        assert not step.ok
        assert "listens" in step.detail
        assert list(trial) == []
    assert rows(relay.data)[0] == {"alembic_version": 1, "blocks": 0, "drops": 0, "vouchers": 0}


def losing_blocks(path: str, _body: bytes, answer: httpx.Response) -> tuple[int, bytes]:
    """Whoever is in between says of each append that it was done."""
    return (200, bytes(32 + 24)) if path == "/v1/append" else (answer.status_code, answer.content)


def refusing_seals(path: str, _body: bytes, answer: httpx.Response) -> tuple[int, bytes]:
    refusal = 503, b'{"code":"busy"}'
    return refusal if path == "/v1/seal" else (answer.status_code, answer.content)


@pytest.mark.parametrize(
    ("change", "step", "says"),
    [
        (forging, "a voucher makes a drop", "not under this relay's key"),
        (losing_blocks, "blocks are taken", "not under this relay's key"),
        (refusing_seals, "the drop is sealed with a last block", "busy"),
    ],
)
def test_what_goes_wrong_is_named_and_keeps_nothing(
    process: RelayProcess, change: Callable[..., tuple[int, bytes]], step: str, says: str
) -> None:
    with nothing_left(process), proxy(process.url, change) as url:
        code, said, _ = invoke("test", "--data", process.data, "--url", url)
    assert code == exits.FAILED
    *_, wrong, next_, end = said.splitlines()
    assert wrong.startswith(f"FAIL {step}: ")
    assert says in wrong
    assert next_.startswith("     next: ")
    assert end == "nothing of it is left"


def test_readers_that_may_not_wait_are_told() -> None:
    with running_relay() as relay:
        (relay.data / "relay.toml").write_text("most_waiting = 0\n")
        relay.restart()
        with nothing_left(relay):
            code, said, _ = invoke("test", "--data", relay.data)
    assert code == exits.FAILED
    assert "most_waiting" in said


def test_without_a_relay_that_runs_it_says_so(home: Home) -> None:
    assert "no relay runs" in failed("test", "--data", home.path)[1]
    assert rows(home.path)[0]["vouchers"] == 0


def test_another_relays_address_is_not_tried(process: RelayProcess, home: Home) -> None:
    code, said = failed("test", "--data", home.path, "--url", process.url)
    assert code == exits.NETWORK
    assert "another relay" in said
    assert rows(home.path)[0]["vouchers"] == 0


def test_health_and_test_come_by_a_socket_that_is_a_file(
    process: RelayProcess, tmp_path: Path
) -> None:
    """As behind a proxy or an onion service: here something that passes bytes on stands for it."""
    parts = urlsplit(process.url)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def once() -> None:
            there, _ = listener.accept()
            with there, socket.create_connection((parts.hostname, parts.port)) as onward:
                onward.sendall(there.recv(65_536))
                while piece := onward.recv(65_536):
                    there.sendall(piece)
                    break

        thread = threading.Thread(target=once)
        thread.start()
        said = Address(f"unix:{tmp_path / 's'}").ask("/v1/relay")
        thread.join()
    assert said.json()["protocol"] == "backchannel/1"
