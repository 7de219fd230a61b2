"""The sums of several workers: each on a port of its own, also after they were replaced."""

import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.server.conftest import use
from tests.server.test_metrics import samples
from tests.server.test_metrics_port import free_port
from tests.server.test_metrics_session import scraped
from tests.support.postgres import Postgres
from tests.support.relay import RelayProcess


def two_free_ports() -> int:
    """The first of them."""
    while True:
        first = free_port()
        with suppress(OSError), socket.create_server(("127.0.0.1", first + 1)):
            return first


@pytest.mark.slow
def test_each_worker_tells_its_own_sums_and_so_does_who_follows_it(
    postgres: Postgres, template: str, tmp_path: Path
) -> None:
    relay = RelayProcess.make(tmp_path / "relay")
    url = postgres.fresh(template)
    port = two_free_ports()
    use(relay.data, url, workers=2, metrics_port=port)
    relay.start()
    try:
        for each in (port, port + 1):
            assert samples(scraped(each))
        relay.begin_anew()
        for each in (port, port + 1):
            heartbeat = "backchannel_relay_seconds_since_last_sweep"
            assert heartbeat in {sample.name for sample in samples(scraped(each))}
    finally:
        relay.stop()
        postgres.drop(url)
    assert "metrics_port is taken" not in relay.log.read_text()
