"""Several workers behind one socket: there are always as many as asked for, and nobody is refused
while they are replaced.
"""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backchannel.server.limits import BACK_OFF, STEADY
from backchannel.server.process.worker import next_pause
from tests.server.standin import CRASH, PROGRAM
from tests.support.relay import RelayProcess, run, until


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    relay = RelayProcess.make(tmp_path / "relay")
    workers(relay, 2)
    yield relay
    relay.kill()


def workers(relay: RelayProcess, count: object, port: int | None = None) -> None:
    """What relay.toml says. Workers of this kind ask no database, but only a relay with one has
    several.
    """
    said = "" if port is None else f"port = {port}\n"
    config = f"workers = {count}\ndatabase = 'postgresql:///none'\n{said}"
    (relay.data / "relay.toml").write_text(config)


def behave(relay: RelayProcess, how: str) -> None:
    (relay.data / "behaviour").write_text(how)


def began(relay: RelayProcess) -> list[int]:
    """The process ids of all workers that ever began."""
    file = relay.data / "began"
    return [int(line.split()[0]) for line in file.read_text().splitlines()]


def ask(relay: RelayProcess, request: bytes = b"GET /") -> int:
    """Who answers, over a connection of its own; 0 where the connection breaks."""
    address = urlsplit(relay.url)
    with socket.create_connection((str(address.hostname), address.port), 30) as plain:
        plain.sendall(request + b" HTTP/1.0\r\n\r\n")
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := plain.recv(4096):
                said += piece
    return int(said.rpartition(b"\n")[2] or 0)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def logged(relay: RelayProcess, text: str, times: int = 1) -> None:
    for _ in until(60):
        if relay.log.read_text().count(text) >= times:
            return


def test_as_many_workers_serve_as_were_asked_for(relay: RelayProcess) -> None:
    workers(relay, 3)
    relay.start(program=PROGRAM)
    assert len(began(relay)) == 3
    assert ask(relay) in began(relay)
    assert (relay.data / "relay.address").read_text().strip() == relay.url
    assert relay.stop() == 0
    assert not any(map(alive, began(relay)))
    assert not (relay.data / "relay.address").exists()


def test_an_interrupt_ends_all_with_the_code_for_it(relay: RelayProcess) -> None:
    relay.start(program=PROGRAM)
    assert relay.process is not None
    relay.process.send_signal(signal.SIGINT)
    assert relay.process.wait(60) == 130
    assert not any(map(alive, began(relay)))


def test_a_worker_that_was_killed_is_followed_by_another(relay: RelayProcess) -> None:
    relay.start(program=PROGRAM)
    first = began(relay)
    assert ask(relay, CRASH) == 0
    assert ask(relay) in first, "the other goes on meanwhile"
    logged(relay, "a worker ended (-9); the next begins in 1 seconds")
    for _ in until(60):
        if len(began(relay)) == 3:
            break
    third = began(relay)[2]
    for _ in until(60):
        if ask(relay) == third:
            break


def test_a_worker_that_always_crashes_is_no_hot_loop(relay: RelayProcess) -> None:
    relay.start(program=PROGRAM)
    behave(relay, "crash")
    ask(relay, CRASH)
    logged(relay, "the next begins in 2 seconds")
    logged(relay, "the next begins in 4 seconds")
    assert ask(relay) in began(relay)


def test_a_pause_grows_to_a_bound_and_is_forgiven() -> None:
    first, most = BACK_OFF
    pauses = [0.0]
    for _ in range(10):
        pauses.append(next_pause(pauses[-1], lived=1.0))
    assert pauses[1:4] == [first, 2 * first, 4 * first]
    assert pauses[-1] == pauses[-2] == most
    assert next_pause(most, lived=STEADY) == first


def test_hup_replaces_all_and_a_client_is_never_refused(relay: RelayProcess) -> None:
    relay.start(program=PROGRAM)
    ended, answers = threading.Event(), list[int]()

    def keep_asking() -> None:
        while not ended.is_set():
            answers.append(ask(relay))

    clients = [threading.Thread(target=keep_asking) for _ in range(3)]
    for client in clients:
        client.start()
    for round_ in range(2, 5):
        workers(relay, round_)  # from two to two, to three, to four
        before = began(relay)
        relay.begin_anew()
        fresh = [each for each in began(relay) if each not in before]
        assert len(fresh) == round_
        assert not any(map(alive, before))
        for _ in until(60):
            if answers[-1] in fresh:
                break
    ended.set()
    for client in clients:
        client.join()
    assert 0 not in answers, "no connection was broken"
    workers(relay, 1)
    relay.begin_anew()
    assert sum(map(alive, began(relay))) == 1


def test_hup_keeps_the_old_where_no_new_one_can_begin(relay: RelayProcess) -> None:
    relay.start(program=PROGRAM)
    first = began(relay)
    behave(relay, "refuse")
    assert relay.process is not None
    relay.process.send_signal(signal.SIGHUP)
    logged(relay, "no worker could begin with it")
    workers(relay, "'many'")
    relay.process.send_signal(signal.SIGHUP)
    logged(relay, "not taken over", times=2)
    assert all(map(alive, first))
    assert ask(relay) in first
    behave(relay, "serve")
    workers(relay, 2)
    relay.begin_anew()
    assert not any(map(alive, first))


def test_hup_moves_all_to_another_port(relay: RelayProcess) -> None:
    relay.port = ()
    workers(relay, 2, port=0)
    relay.start(program=PROGRAM)
    before = relay.url
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    workers(relay, 2, port)
    relay.begin_anew()
    assert relay.url == f"http://127.0.0.1:{port}"
    assert ask(relay) in began(relay)
    relay.url = before
    with pytest.raises(ConnectionRefusedError):
        ask(relay)


def test_who_cannot_begin_at_all_says_so_and_ends(relay: RelayProcess) -> None:
    behave(relay, "refuse")
    with pytest.raises(AssertionError, match="the first worker could not begin"):
        relay.start(program=PROGRAM)
    assert not any(map(alive, began(relay)))


def test_only_the_first_is_told_to_believe_the_clock(relay: RelayProcess) -> None:
    """It turns the hour for all; one that begins later must not confirm a leap of then."""
    relay.start("--accept-clock", program=PROGRAM)
    relay.begin_anew()
    said = [line.split()[1:] for line in (relay.data / "began").read_text().splitlines()]
    assert said == [["--accept-clock"], [], [], []]


def test_workers_end_when_their_supervisor_was_killed(relay: RelayProcess) -> None:
    """Else they would hold the port, and nobody could begin anew."""
    relay.start(program=PROGRAM)
    relay.kill()
    for _ in until(60):
        if not any(map(alive, began(relay))):
            break


def test_a_store_of_one_file_has_one_worker(relay: RelayProcess) -> None:
    config = relay.data / "relay.toml"
    config.write_text("workers = 2\n")
    for command in ("check", "serve"):
        done = run(command, "--data", str(relay.data))
        assert done.returncode == 2
        assert "more than 1 needs `database`" in done.stderr
        assert f"next: correct {config}" in done.stderr
