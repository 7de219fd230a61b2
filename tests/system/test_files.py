"""A file over a real relay, and a sender that dies on the way."""

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.member import Channel, Member, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]
SIZE = 6 * 1024 * 1024
BLOCKS = 1_500
"""A few less than it has."""


@pytest.fixture
def north() -> Iterator[Channel]:
    with channel("Heron") as made:
        yield made


def stored(north: Channel) -> int:
    """Blocks in the relay's store."""
    store = sqlite3.connect(f"file:{north.relay.data}/relay.db?mode=ro", uri=True)
    try:
        (count,) = store.execute("SELECT count(*) FROM blocks").fetchone()
    finally:
        store.close()
    return int(count)


def number_of(member: Member, name: str) -> str:
    listed = member.json("file", "list")["files"]
    return str(next(each["number"] for each in listed if each["name"] == name))


def test_a_file_whose_sender_is_killed_on_the_way_arrives_whole_and_once(
    north: Channel, tmp_path: Path
) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    report, data = tmp_path / "report.bin", bytes(range(256)) * (SIZE // 256)
    report.write_bytes(data)
    before = stored(north)
    with fox.start("file", "send", str(report)) as sending:
        while sending.poll() is None and stored(north) < before + 200:
            pass  # the relay says how far it has come
        sending.send_signal(signal.SIGKILL)
    assert sending.returncode == -signal.SIGKILL
    assert stored(north) < before + BLOCKS
    fox.do("sync")
    assert stored(north) >= before + BLOCKS
    heron.do("sync")
    copy = tmp_path / "copy.bin"
    heron.do("file", "save", number_of(heron, "report.bin"), str(copy))
    assert copy.read_bytes() == data
    sent = stored(north)
    fox.do("sync")
    assert stored(north) == sent
