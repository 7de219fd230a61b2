"""Attack class 55: the log of a relay holds no address, no id, no size, no foreign words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backchannel.protocol.drop import show_voucher
from tests.server.inside import Inside
from tests.server.plain import connection, received
from tests.support.relay import (
    DropClient,
    RefusedError,
    noise,
    running_relay,
)

LEAKS = re.compile(rb"127\.0\.0\.1|\b4096\b|\b4164\b|Traceback|/v1/")


def test_attack_55_the_log_of_a_whole_session_says_nothing(tmp_path: Path) -> None:
    with running_relay(start=False) as relay:
        (relay.data / "relay.toml").write_text(
            'log_level = "debug"\nquota = 2\nbody_seconds = 0.2\n'
        )
        relay.start()
        client = DropClient.connect(relay.url)
        voucher = relay.voucher()
        client.create(voucher)
        client.append(*noise(2))
        client.read(wait=1)
        for attempt in (
            lambda: client.append(*noise()),
            lambda: client.append(b"short"),
            lambda: client.with_wrong_key().read(),
            lambda: DropClient.connect(relay.url).create(voucher),
        ):
            with pytest.raises(RefusedError):
                attempt()
        with connection(relay) as plain:
            plain.sendall(b"NONSENSE \x00\xff\r\n\r\n")
            received(plain)
        with connection(relay) as plain:
            plain.sendall(b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 84\r\n\r\nabc")
            plain.recv(100)
        client.seal()
        client.delete()
        relay.restart()
        relay.kill()
        said = relay.log.read_bytes()
    lines = [line for line in said.splitlines() if not line.startswith(b"listening on ")]
    assert not LEAKS.search(b"\n".join(lines))
    port = str(urlsplit(relay.url).port).encode()
    for secret in (client.drop.hex().encode(), show_voucher(voucher).encode(), port):
        assert secret not in b"\n".join(lines)


def test_attack_55_a_bug_is_logged_by_its_place_only(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from backchannel.server import logs

    def broken(*_arguments: object, **_named: object) -> None:
        msg = f"secret {client.drop.hex()}"
        raise KeyError(msg)

    client = inside.drop()
    with logs_of_a_relay(logs):
        monkeypatch.setattr(inside.relay.authorizer, "of_drop", broken)
        with pytest.raises(RefusedError, match="503 busy"):
            client.read()
    said = capsys.readouterr().err
    assert said.startswith("ERROR a bug in answering a request")
    assert "KeyError at test_log.py" in said
    assert "secret" not in said
    assert client.drop.hex() not in said


@contextmanager
def logs_of_a_relay(logs: object) -> Iterator[None]:
    import logging

    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    root.handlers = []
    logs.configure("debug")  # type: ignore[attr-defined]
    try:
        yield
    finally:
        root.handlers, root.level = before
        logging.captureWarnings(capture=False)
