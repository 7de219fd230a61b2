"""What a relay tells the service manager, over a real socket of the manager's kind."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.server.process import notify
from tests.support.relay import RelayProcess


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        yield manager


def told(manager: socket.socket) -> dict[str, str]:
    """The next thing that is no sign of life."""
    while True:
        said = dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())
        if "WATCHDOG" not in said:
            return said


def test_the_manager_is_told_of_each_step(manager: socket.socket, tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay")
    config = relay.data / "relay.toml"
    env = {**os.environ, "NOTIFY_SOCKET": manager.getsockname()}
    relay.start(env=env)
    assert told(manager)["READY"] == "1"
    relay.begin_anew()
    reloading = told(manager)
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert told(manager)["READY"] == "1"
    config.write_text("quota = 'many'\n")
    assert relay.process is not None
    relay.process.send_signal(1)
    assert told(manager)["RELOADING"] == "1"
    ready = told(manager)
    assert ready["READY"] == "1", "else `systemctl reload` waits for it without end"
    assert "not taken over" in ready["STATUS"]
    assert relay.stop() == 0
    assert told(manager) == {"STOPPING": "1"}


def test_the_watchdog_hears_of_it_again_and_again(manager: socket.socket, tmp_path: Path) -> None:
    env = {**os.environ, "NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "100000"}
    relay = RelayProcess.make(tmp_path / "relay").start(env=env)
    signs = 0
    while signs < 3:
        signs += manager.recv(4096) == b"WATCHDOG=1"
    relay.stop()


@pytest.mark.parametrize("where", ["", "relative", "vsock:1:2", "/none/there"])
def test_a_manager_that_is_not_there_disturbs_nobody(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", where)
    notify.ready("serves")


def test_an_abstract_address_is_spoken_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        try:
            manager.bind(f"\0{tmp_path}")
        except OSError:
            pytest.skip("needs Linux")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}")
        notify.stopping()
        manager.settimeout(10)
        assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("microseconds", ["", "x", "-5", "0"])
def test_a_watchdog_of_nothing_is_none(
    microseconds: str, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    loop = asyncio.new_event_loop()
    notify.keep_awake(loop)
    loop.close()
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
