"""One file of expiry keys under several processes: none is lost, doubled, or back after its end."""

import subprocess
import sys
from pathlib import Path
from typing import final

import pytest

from backchannel.protocol.errors import StaleError
from backchannel.protocol.expiry import PLACE, ExpiryKeys, Place, PlaceKind
from backchannel.protocol.secret import StoreKey
from backchannel.protocol.types import Block, DropId, Hour, Timestamp
from backchannel.server.entropy import SystemEntropy
from backchannel.server.errors import HourTurnedError, StoreFailedError
from backchannel.server.places import PlacesFile
from backchannel.server.retention import Retention, expires_at

START = Hour(480_000)
DROP = DropId(bytes(16))
STORE = StoreKey(b"s" * 32)
BLOCK = Block(b"b" * 4096)
DAY = 0  # class of 24 hours


def at(hour: int) -> Timestamp:
    return Timestamp(hour * 3600)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "expiry.keys"
    path.write_bytes(ExpiryKeys.new(START, 8, SystemEntropy()))
    return path


def opened(path: Path, *, shared: bool = True) -> Retention:
    return Retention(PlacesFile(path, shared=shared), STORE, SystemEntropy())


def on_disk(path: Path) -> list[Place]:
    data = path.read_bytes()
    places = [Place.read(data[offset : offset + PLACE]) for offset in range(0, len(data), PLACE)]
    return [place for place in places if place.kind is PlaceKind.EXPIRY]


def test_what_one_seals_the_other_opens(file: Path) -> None:
    one, other = opened(file), opened(file)
    sealed = one.seal(DROP, 1, BLOCK, START, DAY)
    assert other.open(DROP, 1, sealed, START, expires_at(START, DAY), START) == BLOCK


def test_two_who_need_a_key_have_the_same(file: Path) -> None:
    one, other = opened(file), opened(file)
    first = one.seal(DROP, 1, BLOCK, START, DAY)
    second = other.seal(DROP, 2, BLOCK, START, DAY)
    assert len(on_disk(file)) == 1
    anew = opened(file)
    for position, sealed in ((1, first), (2, second)):
        assert anew.open(DROP, position, sealed, START, expires_at(START, DAY), START) == BLOCK


def test_attack_34_what_one_destroyed_the_other_does_not_bring_back(file: Path) -> None:
    one, other = opened(file), opened(file)
    other.seal(DROP, 1, BLOCK, START, DAY)
    (dead,) = on_disk(file)
    one.turn(at(START + 24))
    other.seal(DROP, 2, BLOCK, Hour(START + 24), DAY)  # into a place that it knows from before
    other.advance(at(START + 24))
    assert dead.value not in file.read_bytes()
    assert [place.hour for place in on_disk(file)] == [START + 48]


def test_attack_28_an_hour_that_one_saw_the_other_goes_by(file: Path) -> None:
    one, other = opened(file), opened(file)
    sealed = other.seal(DROP, 1, BLOCK, START, DAY)
    one.turn(at(START + 24))
    assert other.turn(at(START)) == START + 24
    with pytest.raises(StaleError):
        other.open(DROP, 1, sealed, START, expires_at(START, DAY), other.hour(at(START)))
    opened(file).advance(at(START + 1))
    assert opened(file).highest == START + 24


def test_a_key_is_not_made_for_an_hour_that_has_passed(file: Path) -> None:
    """It is named by the day on which its block came, and found by that."""
    one, other = opened(file), opened(file)
    hour = other.turn(at(START + 23))
    one.turn(at(START + 24))
    with pytest.raises(HourTurnedError):
        other.seal(DROP, 1, BLOCK, hour, DAY)
    hour = other.turn(at(START + 23))
    sealed = other.seal(DROP, 1, BLOCK, hour, DAY)
    assert one.open(DROP, 1, sealed, hour, expires_at(hour, DAY), hour) == BLOCK


def test_a_leap_that_was_confirmed_to_one_is_confirmed_to_all(file: Path) -> None:
    one, other = opened(file), opened(file)
    far = at(START + 1000)
    assert other.leaps(far)
    one.advance(far)
    assert other.turn(far) == START + 1000


def test_a_key_that_is_nowhere_is_looked_for_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many rows whose key was lost do not let each read go through the file."""
    looks: list[None] = []
    read = PlacesFile.read

    def watched(self: PlacesFile) -> bytes:
        looks.append(None)
        return read(self)

    keys = opened(file)
    monkeypatch.setattr(PlacesFile, "read", watched)
    for _ in range(3):
        with pytest.raises(StaleError):
            keys.open(DROP, 1, bytes(4124), START, Hour(START + 24), START)
    assert len(looks) == 1


def test_alone_nothing_is_locked_or_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = opened(file, shared=False)
    monkeypatch.setattr("fcntl.flock", lambda *_: pytest.fail("locked"))
    monkeypatch.setattr(PlacesFile, "read", lambda _: pytest.fail("read"))
    for position in range(1, 4):
        keys.seal(DROP, position, BLOCK, START, DAY)
    keys.turn(at(START + 1))


def test_one_that_fails_leaves_the_file_to_the_others(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = opened(file), opened(file)

    def full(_self: PlacesFile, _writes: object) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(PlacesFile, "put", full)
        with pytest.raises(StoreFailedError):
            one.seal(DROP, 1, BLOCK, START, DAY)
    with pytest.raises(StoreFailedError):
        one.seal(DROP, 1, BLOCK, START, DAY)
    sealed = other.seal(DROP, 1, BLOCK, START, DAY)
    assert opened(file).open(DROP, 1, sealed, START, expires_at(START, DAY), START) == BLOCK


RACE = """
import sys
from pathlib import Path
from backchannel.server.errors import HourTurnedError
from tests.server.test_shared_keys import BLOCK, DROP, START, at, opened
keys, number = opened(Path(sys.argv[1])), int(sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    for keep in range(3):
        while True:
            hour = keys.turn(at(int(line) + number % 2))  # half of them an hour ahead
            try:
                sealed = keys.seal(DROP, number, BLOCK, hour, keep)
            except HourTurnedError:
                continue  # as the writer does
            break
        print(hour, keep, sealed.hex(), flush=True)
"""

HELD = """
import os, sys
from pathlib import Path
from backchannel.server.places import PlacesFile
from tests.server.test_shared_keys import BLOCK, DROP, START, opened
def put(self, writes):
    first = next(iter(writes))
    os.pwrite(self._descriptor, first.data[:100], first.offset)  # torn
    print("holding", flush=True)
    sys.stdin.readline()
PlacesFile.put = put
opened(Path(sys.argv[1])).seal(DROP, 1, BLOCK, START, 0)
"""


@final
class Child:
    """A process that does as it is told, line by line."""

    def __init__(self, script: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, hour: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{hour}\n")
        self.process.stdin.flush()

    def hear(self) -> list[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def end(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.mark.slow
def test_processes_that_race_lose_no_key_and_make_none_twice(file: Path) -> None:
    """The file itself refuses a name that stands twice; each block opens until its hour."""
    racing = [Child(RACE, file, number) for number in range(4)]
    assert [each.hear() for each in racing] == [["ready"]] * 4
    said: list[tuple[int, list[str]]] = []
    for hour in range(START, START + 40):
        for each in racing:
            each.tell(hour)
        said += [(number, each.hear()) for number, each in enumerate(racing) for _ in range(3)]
    assert [each.end() for each in racing] == [0] * 4
    keys = opened(file)
    now, alive = keys.highest, 0
    assert now == START + 40
    assert all(place.hour > now for place in on_disk(file))
    for number, (came, keep, sealed) in said:
        stored, expires = Hour(int(came)), expires_at(Hour(int(came)), int(keep))
        if expires <= now:
            with pytest.raises(StaleError):
                keys.open(DROP, number, bytes.fromhex(sealed), stored, expires, now)
        else:
            block = keys.open(DROP, number, bytes.fromhex(sealed), stored, expires, now)
            assert block == BLOCK
            alive += 1
    assert alive > 320


@pytest.mark.slow
def test_one_that_is_killed_while_it_holds_the_file_stops_nobody(file: Path) -> None:
    holding = Child(HELD, file)
    assert holding.hear() == ["holding"]
    other = Child(RACE, file, 2)
    other.tell(START)
    holding.process.kill()
    holding.end()
    assert other.hear() == ["ready"]
    assert [len(other.hear()) for _ in range(3)] == [3] * 3
    assert other.end() == 0
    assert len(on_disk(file)) == 3
