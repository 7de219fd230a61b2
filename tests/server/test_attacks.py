"""Attack classes 49, 50, 52 and 53 on a relay, by their numbers in the list of classes."""

from typing import Any

import httpx
import pytest

from backchannel.protocol import drop as protocol_drop
from backchannel.protocol.drop import Create, DropKeys, Operation, Read
from backchannel.protocol.primitives import X25519Public, dh, x25519_public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import Hour
from backchannel.server.authorize import Floor
from backchannel.server.limits import FLOOR
from backchannel.server.repository import Repository
from tests.server.inside import Inside, Opener
from tests.support.relay import (
    DropClient,
    RefusedError,
    noise,
)

pytestmark = pytest.mark.stores


def refused(client: DropClient, operation: Operation = Operation.READ) -> httpx.Response:
    """The whole answer to a request that should not be carried out."""
    payload = {
        Operation.READ: Read(1, Hour(0), 1, 0).pack(),
        Operation.APPEND: noise()[0],
    }.get(operation, b"")
    request = client.request(operation, payload)
    return client.http.post(f"{client.url}/v1/{operation.name.lower()}", content=request.pack())


@pytest.mark.parametrize(
    "operation", [Operation.APPEND, Operation.READ, Operation.SEAL, Operation.DELETE]
)
def test_attack_49_unknown_drop_and_wrong_key_answer_alike(
    inside: Inside, operation: Operation
) -> None:
    wrong = refused(inside.drop().with_wrong_key(), operation)
    unknown = refused(inside.stranger(), operation)
    assert wrong.status_code == unknown.status_code == 404
    assert wrong.content == unknown.content == b'{"code":"unknown-drop"}'
    assert wrong.headers == unknown.headers


def test_attack_49_a_create_tells_nobody_without_the_key_that_a_drop_is_there(
    inside: Inside,
) -> None:
    client = inside.drop()
    stranger = inside.stranger()
    request = stranger.request(Operation.CREATE, bytes(81))
    taken = request._replace(drop=client.drop)
    answers = [
        inside.http.post("http://relay/v1/create", content=asked.pack())
        for asked in (request, taken)
    ]
    assert [answer.json() for answer in answers] == [{"code": "unknown-drop"}] * 2


def test_attack_50_refusals_wait_for_the_floor_after_the_same_work(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = inside.drop()
    slept: list[float] = []
    exchanges: list[X25519Public] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    def counted(private: X25519Private, public: X25519Public) -> bytes:
        if private == inside.relay.authorizer._private:
            exchanges.append(public)
        return dh(private, public)

    monkeypatch.setattr(protocol_drop, "dh", counted)
    inside.relay.floor = Floor(FLOOR, monotonic=lambda: 7.0, sleep=sleep)
    work = []
    for asking in (client.with_wrong_key(), inside.stranger()):
        exchanges.clear()
        assert refused(asking).status_code == 404
        work.append(len(exchanges))
    assert work == [1, 1]
    assert slept == [FLOOR, FLOOR]
    assert client.read().rows == ()
    assert slept == [FLOOR, FLOOR]


def test_attack_50_the_floor_counts_from_the_whole_request(open_inside: Opener) -> None:
    """Else a slow sender would see past it."""
    inside = open_inside()
    marks: list[float] = []
    ticks = iter(range(100))

    async def sleep(seconds: float) -> None:
        marks.append(seconds)

    inside.relay.floor = Floor(10.0, monotonic=lambda: next(ticks), sleep=sleep)
    assert refused(inside.stranger()).status_code == 404
    assert marks == [9.0]  # two marks, before and after the body; the later one counts


def test_attack_49_a_create_under_ones_own_key_does_not_tell_either(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a voucher: neither by the answer nor by its time does an id show that it is there."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    inside.relay.floor = Floor(FLOOR, monotonic=lambda: 7.0, sleep=sleep)
    there = inside.drop()
    for drop in (there.drop, inside.stranger().drop):
        stranger = inside.stranger()
        stranger.drop = drop
        with pytest.raises(RefusedError, match="403 voucher-refused"):
            stranger.create(bytes(16))
    assert slept == [FLOOR, FLOOR]


def test_attack_51_who_waits_out_a_refusal_holds_no_place(inside: Inside) -> None:
    places: list[int] = []

    async def sleep(_seconds: float) -> None:
        places.append(inside.relay.gate._inside)

    inside.relay.floor = Floor(FLOOR, sleep=sleep)
    with pytest.raises(RefusedError, match="403 voucher-refused"):
        inside.stranger().create(bytes(16))
    assert refused(inside.stranger()).status_code == 404
    assert places == [0, 0]


def test_attack_8_a_replayed_create_makes_no_drop_again(inside: Inside) -> None:
    client = inside.stranger()
    public = x25519_public(client.access), x25519_public(client.close)
    request = client.request(Operation.CREATE, Create(inside.voucher(), *public, 2).pack())
    client.send(request)
    client.delete()
    with pytest.raises(RefusedError, match="403 voucher-refused"):
        client.send(request)


def test_attack_8_requests_to_a_drop_do_not_reach_its_namesake(inside: Inside) -> None:
    """The id again, with other keys: what was recorded for the first is unknown to the second."""
    client = inside.drop()
    recorded = [client.request(Operation.APPEND, noise()[0])]
    recorded += [client.request(operation, b"") for operation in (Operation.SEAL, Operation.DELETE)]
    client.delete()
    namesake = inside.stranger()
    namesake.drop = client.drop
    namesake.create(inside.voucher())
    for request in recorded:
        with pytest.raises(RefusedError, match="404 unknown-drop"):
            client.send(request)
    assert namesake.append(*noise())[0].position == 1


def test_attack_52_a_full_drop_is_told_and_others_go_on(open_inside: Opener) -> None:
    inside = open_inside(quota=3)
    client, other = inside.drop(), inside.drop()
    blocks = noise(3)
    client.append(*blocks)
    with pytest.raises(RefusedError, match="507 quota"):
        client.append(*noise())
    assert client.append(*blocks)[0].position == 1, "what is there costs nothing"
    other.append(*noise(3))


def test_attack_52_an_append_past_the_quota_is_refused_whole(open_inside: Opener) -> None:
    client = open_inside(quota=3).drop()
    client.append(*noise(2))
    with pytest.raises(RefusedError, match="507 quota"):
        client.append(*noise(2))
    assert client.read().following == 3


def test_attack_52_expired_blocks_make_room(open_inside: Opener) -> None:
    inside = open_inside(quota=1)
    client = inside.drop(keep=0)
    client.append(*noise())
    inside.move_clock(24)
    inside.sweep()
    assert client.append(*noise())[0].position == 2


@pytest.mark.sqlite
def test_attack_53_a_full_disk_is_busy_and_nothing_is_lost(inside: Inside) -> None:
    client = inside.drop()
    kept = [noise()[0] for _ in range(4)]
    for block in kept:
        client.append(block)

    def full(store: Repository, _hour: Hour) -> None:
        pages = store._connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        store._connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    inside.write(full)
    with pytest.raises(RefusedError, match="503 busy"):
        client.append(*noise(64))
    assert [row.block for row in client.read().rows] == kept
    inside.write(
        lambda store, _: store._connection.exec_driver_sql("PRAGMA max_page_count = 1073741823")
    )
    assert client.append(*noise())[0].position == 5


def test_attack_49_a_wrong_key_takes_the_same_way_whether_or_not_the_drop_is_known(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look into the store and one key exchange: for a drop whose door is in memory too."""
    known = inside.drop()
    asked: list[object] = []
    exchanged: list[object] = []
    known.append(*noise())
    ask, of_relay = inside.relay.readers.ask, DropKeys.of_relay

    async def counted(question: Any) -> Any:
        asked.append(question)
        return await ask(question)

    def exchange(*arguments: Any) -> DropKeys:
        exchanged.append(arguments)
        return of_relay(*arguments)

    monkeypatch.setattr(inside.relay.readers, "ask", counted)
    monkeypatch.setattr(DropKeys, "of_relay", exchange)
    for client in (known.with_wrong_key(), inside.stranger()):
        asked.clear()
        exchanged.clear()
        with pytest.raises(RefusedError, match="404"):
            client.read()
        assert (len(asked), len(exchanged)) == (1, 1)


def test_attack_a_drop_that_another_worker_made_anew_opens_to_its_new_key(inside: Inside) -> None:
    """This one still knows the former door."""
    former = inside.drop()
    old = inside.relay.authorizer._known[former.drop]
    former.delete()
    anew = inside.stranger()
    anew.drop = former.drop
    anew.create(inside.voucher())
    inside.relay.authorizer.keep(old)
    anew.append(*noise())
    with pytest.raises(RefusedError, match="404"):
        former.read()
