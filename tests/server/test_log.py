"""Attack class 55: the log of a relay holds no address, no id, no size, no foreign words."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest

from backchannel.protocol.drop import show_voucher
from tests.server.inside import Inside
from tests.server.plain import connection, received
from tests.support.relay import (
    HTTP,
    DropClient,
    RefusedError,
    noise,
    running_relay,
)

LEAKS = re.compile(rb"127\.0\.0\.1|\b4096\b|\b4164\b|Traceback|/v1/")


@pytest.mark.parametrize("form", ["text", "json"])
def test_attack_55_the_log_of_a_whole_session_says_nothing(form: str) -> None:
    with running_relay(start=False) as relay:
        (relay.data / "relay.toml").write_text(
            f'log_level = "debug"\nlog_format = "{form}"\nquota = 2\nbody_seconds = 0.2\n'
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
        with closing(sqlite3.connect(relay.data / "relay.db")) as store, store:
            store.execute("UPDATE blocks SET sealed = zeroblob(4136) WHERE position = 2")
        assert len(client.read().rows) == 1
        ports = [str(urlsplit(relay.url).port).encode()]
        relay.move_clock(30)  # more than a day: a person is to look
        assert HTTP.get(f"{relay.url}/v1/relay").status_code == 503
        relay.restart("--accept-clock")
        ports.append(str(urlsplit(relay.url).port).encode())
        client.url = relay.url
        client.seal()
        client.delete()
        relay.restart()
        relay.kill()
        said = relay.log.read_bytes()
    lines = [line for line in said.splitlines() if not line.startswith(b"listening on ")]
    assert any(b"a stored block is damaged" in line for line in lines)
    if form == "json":
        assert {frozenset(json.loads(line)) for line in lines} == {frozenset({"level", "message"})}
    log = b"\n".join(lines)
    assert not LEAKS.search(log)
    keys = [client.drop, client.access.expose(), client.close.expose(), client.relay.value]
    for secret in (*(key.hex().encode() for key in keys), show_voucher(voucher).encode(), *ports):
        assert secret not in log


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


def test_attack_55_as_documents_too_a_bug_is_its_place_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from backchannel.server import logs

    with logs_of_a_relay(logs, "json"):
        try:
            _ = dict[str, str]()["secret"]
        except KeyError as error:
            logs.LOG.error("a bug", exc_info=error)
        logs.LOG.info("all is well")
    bug, well = map(json.loads, capsys.readouterr().err.splitlines())
    assert bug["message"] == "a bug"
    assert bug["bug"].startswith("KeyError at test_log.py")
    assert "secret" not in str(bug)
    assert well == {"level": "info", "message": "all is well"}


@contextmanager
def logs_of_a_relay(logs: object, form: str = "text") -> Iterator[None]:
    import logging

    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    root.handlers = []
    logs.configure("debug", form)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        root.handlers, root.level = before
        logging.captureWarnings(capture=False)
