"""The sums of a relay at work, through a whole session with hostile inputs: each label one of a
fixed set, and nobody named. Rows T09, OP06.
"""

import re
from pathlib import Path

import httpx
import pytest

from backchannel.protocol.types import Hour
from backchannel.server.metrics import Metrics, Sums
from backchannel.server.process import tls
from backchannel.server.process.exporter import exporter_of
from tests.server.certificates import make_certificate
from tests.server.inside import Opener
from tests.server.session import Session
from tests.server.test_metrics import LABELS, samples
from tests.server.test_metrics_port import free_port
from tests.support.relay import RelayProcess, noise, running_relay, until

PORT = 9441
"""Of a relay that is not served: nobody listens there."""


def scraped(port: int) -> bytes:
    """Once it listens."""
    with httpx.Client(trust_env=False) as http:
        for _ in until(60):
            try:
                answer = http.get(f"http://127.0.0.1:{port}/metrics")
            except httpx.ConnectError:
                continue
            assert answer.status_code == 200
            return answer.content
    raise AssertionError


@pytest.mark.slow
def test_t09_through_a_whole_session_every_label_is_one_of_a_fixed_set_and_nobody_shows() -> None:
    """While people and strangers are there, all but the relay's own condition stands still."""
    port = free_port()
    with running_relay(start=False) as relay:
        session = Session.begin(relay, f"metrics_port = {port}\n")
        before = scraped(port)
        session.crowd()
        among = scraped(port)
        session.misfortune()
        after = scraped(port)
        names = session.names()
    assert of_people(among) == of_people(before)
    for page in (before, among, after):
        assert [name for name in names if name in page] == []
        assert not re.search(rb"127\.0\.0\.1|/v1/|\b4096\b|\b4164\b", page)
        assert shape(page) == shape(before)
    for _name, labels in shape(after):
        assert set(labels) in (set(), set(LABELS))
        assert all(value in LABELS[label] for label, value in labels.items())


def shape(page: bytes) -> list[tuple[str, dict[str, str]]]:
    return [(each.name, each.labels) for each in samples(page)]


def of_people(page: bytes) -> list[bytes]:
    """Without what the test's own bug would show if an hour turned just then."""
    machine = (b"seconds_since_last_sweep", b"clock_ahead", b"disk_free", b"bugs")
    return [line for line in page.splitlines() if not any(each in line for each in machine)]


def counted(sums: Sums) -> dict[tuple[str, str], int]:
    """Before it is told."""
    asked = {(each.name.lower(), outcome): n for (each, outcome), n in sums._requests.items()}
    return {labels: count for labels, count in asked.items() if count}


def test_each_answer_is_counted_once_under_what_was_asked_and_said(open_inside: Opener) -> None:
    inside = open_inside(metrics_port=PORT, quota=3)
    client = inside.drop()
    client.append(*noise(3))
    client.read()
    client.read()
    for attempt in (
        lambda: client.append(*noise()),
        lambda: client.append(b"short"),
        lambda: client.with_wrong_key().read(),
    ):
        with pytest.raises(Exception, match=r"\d"):
            attempt()
    client.seal()
    client.delete()
    sums = inside.relay.metrics
    assert isinstance(sums, Sums)
    assert counted(sums) == {
        ("create", "done"): 1,
        ("append", "done"): 1,
        ("append", "quota"): 1,
        ("append", "not-a-block"): 1,
        ("read", "done"): 2,
        ("read", "unknown-drop"): 1,
        ("seal", "done"): 1,
        ("delete", "done"): 1,
    }
    assert sums._commits >= 4
    assert sums._bugs == 0


def test_a_bug_is_counted_and_looks_like_a_full_house(
    open_inside: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = open_inside(metrics_port=PORT)
    client = inside.drop()

    def broken(*_arguments: object, **_named: object) -> None:
        raise KeyError

    monkeypatch.setattr(inside.relay, "perform", broken)
    with pytest.raises(Exception, match="503 busy"):
        client.read()
    sums = inside.relay.metrics
    assert isinstance(sums, Sums)
    assert counted(sums)["read", "busy"] == 1
    assert sums._bugs == 1


def test_a_sweep_is_told_and_what_it_deleted_is_counted(open_inside: Opener) -> None:
    inside = open_inside(metrics_port=PORT)
    client = inside.drop(keep=0)
    client.append(*noise(5))
    sums = inside.relay.metrics
    assert isinstance(sums, Sums)
    inside.sweep()
    swept, hour = sums._swept, sums._hour
    assert hour == inside.relay.retention.highest
    for ahead in (20, 25):
        inside.move_clock(ahead)
        inside.sweep()
    assert sums._expired == 5
    assert sums._hour == Hour(hour + 25)
    assert sums._swept > swept


def test_reads_that_wait_are_counted_and_let_go(open_inside: Opener) -> None:
    inside = open_inside(metrics_port=PORT)
    client = inside.drop()
    client.read(wait=1)
    sums = inside.relay.metrics
    assert isinstance(sums, Sums)
    assert (sums._waiting, sums._most_waiting) == (0, 1)


def test_by_default_nobody_counts_and_nothing_listens(open_inside: Opener) -> None:
    inside = open_inside()
    assert type(inside.relay.metrics) is Metrics
    assert exporter_of(inside.relay, inside.home.path) is None


def test_what_it_says_of_the_machine_is_so(open_inside: Opener, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, days=30)
    given = {"tls_cert": str(certificate), "tls_key": str(key)}
    inside = open_inside(metrics_port=PORT, **given)
    exporter = exporter_of(inside.relay, inside.home.path)
    assert exporter is not None
    told = {each.name: each.value for each in samples(exporter.page())}
    assert told["backchannel_relay_certificate_days_left"] in {29, 30}
    assert told["backchannel_relay_clock_ahead_hours"] == 0
    inside.move_clock(30)
    told = {each.name: each.value for each in samples(exporter.page())}
    assert told["backchannel_relay_clock_ahead_hours"] == 30
    assert tls.ends(inside.relay.settings) is not None


def test_the_public_port_has_no_sums(process: RelayProcess) -> None:
    for path in ("/metrics", "/v1/metrics"):
        answer = httpx.get(f"{process.url}{path}", trust_env=False)
        assert (answer.status_code, answer.json()) == (404, {"code": "no-such-path"})
