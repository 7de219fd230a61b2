"""Blocks end with their hour: between sweeps, over restarts, under wrong clocks, on the disk."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.expiry import (
    PLACE,
    ExpiryKeys,
    Place,
    PlaceKind,
    Write,
    item_key,
    open_block,
)
from backchannel.protocol.limits import CLASSES
from backchannel.protocol.secret import ExpiryKey
from backchannel.protocol.types import Hour
from backchannel.server import exits, stores
from backchannel.server.errors import BusyError, OperatorError
from backchannel.server.home import Home
from backchannel.server.places import PlacesFile
from backchannel.server.repository import Added, Repository, Swept
from backchannel.server.sqlite.repository import SqliteRepository
from tests.server.inside import Inside, Opener
from tests.support.relay import DropClient, RefusedError, RelayProcess, noise, until

pytestmark = pytest.mark.stores

_SEALED_ROWS = (
    "SELECT id, place & 4294967295, digest, noise.sealed FROM blocks{}"
    " JOIN drops ON number = place >> 32 ORDER BY place"
)
_APART = " LEFT JOIN bodies AS noise USING (place, expires)"
DAY = 0  # index of the class of 24 hours


def sealed_rows(home: Home) -> list[tuple[bytes, int, bytes, bytes]]:
    """What stands on the disk of every block: drop, position, digest, sealed."""
    with stores.snapshot(home) as engine, engine.begin() as connection:
        noise = _APART if connection.dialect.name == "postgresql" else " AS noise"
        rows = connection.execute(text(_SEALED_ROWS.format(noise)))
        return [tuple(row) for row in rows]


def keys_on_disk(home: Home) -> list[Place]:
    data = home.places.read_bytes()
    places = [Place.read(data[at : at + PLACE]) for at in range(0, len(data), PLACE)]
    return [place for place in places if place.kind is PlaceKind.EXPIRY]


def test_a_block_is_read_until_its_hour_and_not_after(inside: Inside) -> None:
    client = inside.drop(DAY)
    client.append(*noise())
    inside.move_clock(23)
    assert len(client.read().rows) == 1
    inside.move_clock(24)
    assert client.read().rows == ()


def test_attack_25_nothing_is_shown_at_the_moment_of_expiry(inside: Inside) -> None:
    """The hour has passed, and no sweep has come by: the row is there, and is not given out."""
    client = inside.drop(DAY)
    client.append(*noise())
    inside.relay.sweeper.poke = lambda: None  # type: ignore[method-assign]
    inside.move_clock(24)
    assert client.read().rows == ()
    assert len(sealed_rows(inside.home)) == 1


def test_attack_27_nothing_is_readable_after_a_restart(open_inside: Opener) -> None:
    inside = open_inside()
    client = inside.drop(DAY)
    client.append(*noise())
    inside.move_clock(24)
    again = open_inside()
    assert sealed_rows(again.home) == []
    client.http = again.http
    assert client.read().rows == ()


def test_attack_28_a_clock_that_goes_back_revives_nothing(inside: Inside) -> None:
    client = inside.drop(DAY)
    client.append(*noise())
    hour = client.hour()
    inside.move_clock(24)
    inside.sweep()
    inside.move_clock(0)
    assert client.read().rows == ()
    assert client.hour() == hour + 24


def test_the_highest_hour_survives_a_restart(open_inside: Opener) -> None:
    hour = open_inside().stranger().hour()
    open_inside().move_clock(5)
    open_inside().move_clock(0)
    assert open_inside().stranger().hour() == hour + 5


@pytest.mark.sqlite
def test_attack_29_a_restored_database_does_not_revive_blocks(open_inside: Opener) -> None:
    inside = open_inside()
    client = inside.drop(DAY)
    client.append(*noise())
    inside.sweep()
    copy = shutil.copytree(inside.home.path, inside.home.path.with_name("copy"))
    inside.move_clock(24)
    inside.close()
    open_inside().close()
    for file in copy.glob("relay.db*"):
        shutil.copyfile(file, inside.home.path / file.name)
    assert len(sealed_rows(inside.home)) == 1
    inside.move_clock(0)
    client.http = open_inside().http
    assert client.read().rows == ()
    assert sealed_rows(inside.home) == []


def test_attack_31_after_expiry_no_key_opens_what_was_on_the_disk(inside: Inside) -> None:
    client, later = inside.drop(DAY), inside.drop(DAY + 1)
    client.append(*noise(3))
    later.append(*noise(3))
    before = sealed_rows(inside.home)
    assert openable(inside.home, before) == 6
    inside.move_clock(24)
    inside.sweep()
    assert openable(inside.home, before) == 3
    assert len(sealed_rows(inside.home)) == 3


def openable(home: Home, rows: Sequence[tuple[bytes, int, bytes, bytes]]) -> int:
    """How many rows open with any key that the directory still holds."""
    keys = [item_key(home.store_secret(), ExpiryKey(place.value)) for place in keys_on_disk(home)]
    count = 0
    for drop, position, _, sealed in rows:
        for key in keys:
            try:
                open_block(key, sealed, drop + position.to_bytes(8))
            except AuthenticationError:
                continue
            count += 1
    return count


def test_attack_31_no_file_holds_remains_of_expired_rows(inside: Inside) -> None:
    client = inside.drop(DAY)
    client.append(*noise(3))
    before = sealed_rows(inside.home)
    inside.move_clock(24)
    inside.sweep()
    files = [file.read_bytes() for file in inside.home.path.iterdir()]
    for _, _, digest, sealed in before:
        for remains in (digest, sealed[:32], sealed[2000:2032], sealed[-32:]):
            assert not any(remains in file for file in files)


def test_attack_31_a_deleted_drop_leaves_the_log_at_the_next_look(inside: Inside) -> None:
    client = inside.drop()
    client.append(*noise())
    ((_, _, digest, _),) = sealed_rows(inside.home)
    client.delete()
    inside.sweep()
    files = [file.read_bytes() for file in inside.home.path.iterdir()]
    assert not any(digest in file for file in files)


def test_no_block_stands_on_the_disk_as_it_came(inside: Inside) -> None:
    client = inside.drop()
    (block,) = noise()
    client.append(block)
    files = [file.read_bytes() for file in inside.home.path.iterdir()]
    assert not any(block[100:132] in file for file in files)


@pytest.mark.sqlite
def test_a_key_is_on_the_disk_before_it_is_used(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    put, write = PlacesFile.put, SqliteRepository._write

    def watched_put(self: PlacesFile, writes: list[Write]) -> None:
        put(self, writes)
        steps.append("key synced")

    def watched_write(
        self: SqliteRepository, added: Sequence[Added], moved: Mapping[int, int]
    ) -> None:
        steps.append("row written")
        write(self, added, moved)

    monkeypatch.setattr(PlacesFile, "put", watched_put)
    monkeypatch.setattr(SqliteRepository, "_write", watched_write)
    inside.drop().append(*noise())
    assert steps == ["key synced", "row written"]


@pytest.mark.sqlite
def test_keys_go_before_rows(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    client = inside.drop(DAY)
    client.append(*noise())
    keys: list[int] = []
    sweep = SqliteRepository.sweep

    def watched(self: SqliteRepository, now: Hour, most: int, after: int) -> Swept:
        keys.append(len(keys_on_disk(inside.home)))
        return sweep(self, now, most, after)

    monkeypatch.setattr(SqliteRepository, "sweep", watched)
    inside.move_clock(24)
    inside.sweep()
    assert keys[-1] == 0


def test_one_key_serves_all_drops_of_an_hour_and_class(inside: Inside) -> None:
    for keep in (0, 0, 1):
        inside.drop(keep).append(*noise(2))
    assert len(keys_on_disk(inside.home)) == 2


def test_the_key_file_is_overwritten_in_place(inside: Inside) -> None:
    before = inside.home.places.stat()
    inside.drop(DAY).append(*noise())
    inside.move_clock(24)
    inside.sweep()
    after = inside.home.places.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)


def test_a_key_that_may_not_be_on_the_disk_is_not_used(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = inside.drop(DAY)

    def broken(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(RefusedError, match="503 busy"):
            client.append(*noise())
    with pytest.raises(RefusedError, match="503 busy"):
        client.append(*noise())
    assert sealed_rows(inside.home) == []


def test_an_expired_block_may_come_again(inside: Inside) -> None:
    client = inside.drop(DAY)
    (block,) = noise()
    client.append(block)
    inside.relay.sweeper.poke = lambda: None  # type: ignore[method-assign]
    inside.move_clock(24)
    assert client.append(block)[0].position == 2
    assert [row.position for row in client.read().rows] == [2]


def test_an_expired_block_of_a_full_drop_makes_room_for_its_return(open_inside: Opener) -> None:
    inside = open_inside(quota=2)
    client, blocks = inside.drop(DAY), noise(2)
    client.append(*blocks)
    inside.relay.sweeper.poke = lambda: None  # type: ignore[method-assign]
    inside.move_clock(24)
    assert [row.position for row in client.append(*blocks)] == [3, 4]


def test_a_sweep_of_many_rows_takes_turns(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    from backchannel.server import sweeper

    monkeypatch.setattr(sweeper, "SWEPT", 2)
    client = inside.drop(DAY)
    client.append(*noise(5))
    inside.move_clock(24)
    inside.sweep()
    assert sealed_rows(inside.home) == []


def test_a_turned_hour_is_swept_unasked(inside: Inside) -> None:
    client = inside.drop(DAY)
    client.append(*noise())
    inside.move_clock(24)
    client.read()
    for _ in until(60):
        if not sealed_rows(inside.home):
            break


def test_a_leap_while_running_stops_service_and_destroys_nothing(inside: Inside) -> None:
    client = inside.drop(DAY)
    client.append(*noise())
    inside.move_clock(25)
    answer = inside.http.get("http://relay/v1/relay")
    assert (answer.status_code, answer.json()) == (503, {"code": "busy"})
    inside.move_clock(0)
    assert len(client.read().rows) == 1


def test_a_leap_at_the_start_asks_the_operator(open_inside: Opener) -> None:
    open_inside().move_clock(25)
    with pytest.raises(OperatorError, match="25 hours ahead") as caught:
        open_inside()
    assert caught.value.code == exits.REFUSED
    assert "--accept-clock" in caught.value.next
    assert open_inside(accept_clock=True).stranger().hour()
    assert open_inside().stranger().hour()


def test_a_day_off_is_no_leap(open_inside: Opener) -> None:
    open_inside().move_clock(24)
    assert open_inside().stranger().hour()


@pytest.mark.sqlite
def test_one_directory_one_relay(inside: Inside) -> None:
    with pytest.raises(OperatorError, match="running"):
        Inside(inside.home, inside.relay.settings)


def test_a_file_that_holds_no_keys_is_told(home: Home, open_inside: Opener) -> None:
    home.places.write_bytes(bytes(PLACE))
    with pytest.raises(OperatorError, match="not an expiry-key file"):
        open_inside()


@pytest.mark.sqlite
def test_a_damaged_row_hides_no_other(inside: Inside) -> None:
    client = inside.drop()
    blocks = noise(3)
    client.append(*blocks)

    def damage(store: Repository, _hour: Hour) -> None:
        store._connection.exec_driver_sql(
            "UPDATE blocks SET sealed = zeroblob(4124) WHERE place & 0xFFFFFFFF = 2"
        )

    inside.write(damage)
    inside.forget(client)
    assert [row.block for row in client.read().rows] == [blocks[0], blocks[2]]


def test_a_new_key_file_has_a_place_for_every_hour_and_class(home: Home) -> None:
    data = home.places.read_bytes()
    places = [Place.read(data[at : at + PLACE]) for at in range(0, len(data), PLACE)]
    hours_and_classes = sum(CLASSES)
    assert sum(place.kind is PlaceKind.EMPTY for place in places) > hours_and_classes
    assert ExpiryKeys(data).highest > 0


def test_a_clock_of_another_century_is_refused_even_if_accepted(open_inside: Opener) -> None:
    open_inside().move_clock(24 * 366 * 21)
    with pytest.raises(OperatorError, match="so far ahead") as caught:
        open_inside(accept_clock=True)
    assert caught.value.next == "set the clock right"


def test_a_real_relay_forgets_over_a_restart(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay").start()
    client = DropClient.connect(relay.url)
    client.create(relay.voucher(), keep=DAY)
    client.append(*noise())
    relay.move_clock(30)
    relay.restart("--accept-clock")
    client.url = relay.url
    assert client.read().rows == ()
    relay.stop()
    assert sealed_rows(Home(relay.data)) == []


@pytest.mark.sqlite
def test_no_row_goes_before_a_key_whose_end_is_in_doubt(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails while keys are overwritten. They may still be there: a copy of the rows must
    not be all that a thief lacks.
    """
    client = inside.drop(DAY)
    client.append(*noise())

    def broken(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        inside.move_clock(24)
        with pytest.raises(BusyError):
            inside.sweep()
    with pytest.raises(BusyError):
        inside.sweep()
    assert len(sealed_rows(inside.home)) == 1
    assert client.read().rows == ()


@pytest.mark.sqlite
def test_a_damaged_database_is_told_at_the_start(home: Home, open_inside: Opener) -> None:
    home.database.write_bytes(b"not a database" * 1000)
    with pytest.raises(OperatorError, match="cannot be used") as caught:
        open_inside()
    assert caught.value.next


@pytest.mark.parametrize("size", [0, 1, PLACE - 1])
def test_a_key_file_cut_short_is_told(home: Home, open_inside: Opener, size: int) -> None:
    os.truncate(home.places, size)
    with pytest.raises(OperatorError, match="not an expiry-key file"):
        open_inside()


def test_a_key_file_cut_behind_its_headers_serves_and_grows(
    home: Home, open_inside: Opener
) -> None:
    client = open_inside().drop()
    client.append(*noise())
    open_inside().close()
    os.truncate(home.places, 2 * PLACE + 100)
    inside = open_inside()
    client.http = inside.http
    assert client.read().rows == ()
    (block,) = noise()
    client.append(block)
    assert [row.block for row in client.read().rows] == [block]
