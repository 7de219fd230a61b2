"""Vectors of sections 18 and 19: what a relay is asked and answers, and what a store keeps."""

from backchannel.protocol import expiry
from backchannel.protocol import primitives as prim
from backchannel.protocol.drop import (
    Create,
    Drop,
    DropKeys,
    Operation,
    Page,
    Read,
    Request,
    Stored,
    show_voucher,
)
from backchannel.protocol.expiry import ExpiryKeys, Place, PlaceKind
from backchannel.protocol.labels import Label
from backchannel.protocol.secret import (
    ExpiryKey,
    StoreKey,
    ThreadKey,
)
from backchannel.protocol.types import (
    Block,
    Hour,
)
from tests.support.bits import flip
from tests.support.entropy import ScriptedEntropy
from tests.support.make_vectors.cases import (
    HOUR,
    RELAY,
    SECRET,
    Cases,
    case,
    changed,
    damaged,
    fixed,
)
from tests.support.vectors import Case


def relay() -> Cases:
    public = prim.x25519_public(RELAY)
    made = Drop.of_epoch(SECRET, public)
    keys = DropKeys.of_client(made.id, made.access, public)
    yield case(
        "keys of a drop",
        "relay keys",
        key=made.access.expose(),
        relay_key=public.value,
        drop_id=made.id,
    )
    yield from _requests(made, keys)
    yield from _answers(made, keys)
    voucher = fixed("voucher", 16)
    shown = show_voucher(voucher)
    for text in (shown, shown.upper(), f" {shown}\n"):
        yield case(f"voucher {text!r}", "voucher", text=text)
    yield case("voucher, cut", "voucher", "size", text=shown[:-1])
    yield case("voucher, a letter that is none", "voucher", "encoding", text=shown[:-1] + "1")
    yield case("voucher, bits after its end", "voucher", "encoding", text=shown[:-1] + "b")


def _request(
    name: str, expect: str, operation: Operation, payload: bytes, of: Drop, keys: DropKeys
) -> Case:
    made = Request.write(operation, of.id, HOUR, fixed("nonce", 16), payload, keys)
    return case(
        name,
        "request",
        expect,
        operation=operation.name.lower(),
        request=made.pack(),
        request_key=keys.request.expose(),
    )


def _requests(of: Drop, keys: DropKeys) -> Cases:
    access = prim.x25519_public(of.access)
    create = Create(fixed("voucher", 16), access, prim.x25519_public(RELAY), 4)
    good = _request("create", "ok", Operation.CREATE, create.pack(), of, keys)
    yield good
    for why, at in (("drop id", 0), ("hour", 19), ("nonce", 20), ("mac", 36), ("payload", 68)):
        yield damaged(good, f"create, {why} changed", "mac", "request", 8 * at)
    yield changed(good, "create, cut", "size", request=good["given"]["request"][:134])
    bad = create._replace(keep=6)
    yield _request("create, class 6", "rules", Operation.CREATE, bad.pack(), of, keys)
    over = create.pack()[:16] + b"\xff" * 32 + create.pack()[48:]
    yield _request("create, a key not canonical", "encoding", Operation.CREATE, over, of, keys)
    for name, expect, wanted in (
        ("read", "ok", Read(1, HOUR, 64, 60)),
        ("read, none", "rules", Read(1, HOUR, 0, 0)),
        ("read, 65", "rules", Read(1, HOUR, 65, 0)),
        ("read, waiting 61 seconds", "rules", Read(1, HOUR, 1, 61)),
    ):
        yield _request(name, expect, Operation.READ, wanted.pack(), of, keys)
    yield _request("read, longer", "size", Operation.READ, bytes(17), of, keys)


def _answers(of: Drop, keys: DropKeys) -> Cases:
    asked = Request.write(Operation.READ, of.id, HOUR, fixed("nonce", 16), b"", keys)
    rows = tuple(Stored(n, HOUR, Block(fixed(f"block {n}", 4096))) for n in (3, 5))
    page = Page(6, more=True, rows=rows).pack()
    answer = asked.answer(200, page, keys)
    given = {"answer_key": keys.answer.expose(), "request_mac": asked.mac, "status": 200}
    good = case("answer", "answer", answer=answer, **given)
    yield good
    yield damaged(good, "answer, payload changed", "mac", "answer", 8 * 40)
    yield changed(good, "answer, another status", "mac", status=409)
    yield changed(good, "answer to another request", "mac", request_mac=bytes(32).hex())
    yield changed(good, "answer, cut", "size", answer=answer[:31].hex())
    yield case("page", "page", payload=page)
    yield case("page of nothing", "page", payload=Page(7, more=False, rows=()).pack())
    refused: dict[str, tuple[str, bytes]] = {
        "cut": ("size", page[:-1]),
        "shorter than its head": ("size", page[:8]),
        "more 2": ("rules", page[:8] + b"\2" + page[9:]),
        "positions that fall": ("rules", Page(6, more=False, rows=rows[::-1]).pack()),
        "next position given": ("rules", Page(5, more=False, rows=rows).pack()),
        "position 0": ("rules", Page(6, more=False, rows=(Stored(0, HOUR, rows[0].block),)).pack()),
    }
    for why, (reason, payload) in refused.items():
        yield case(f"page, {why}", "page", reason, payload=payload)
    stored = Stored(9, HOUR).pack() + Stored(4, HOUR).pack()
    good = case("appended", "appended", payload=stored, count=2)
    yield good
    yield changed(good, "appended, another number", "size", count=3)
    yield changed(good, "appended, cut", "size", payload=stored[:-1].hex())
    yield changed(good, "appended, position 0", "rules", payload=bytes(24).hex())


def store() -> Cases:
    name = fixed("name", 16).ljust(24, b"\0")
    dies = Hour(HOUR + 24)
    daily = ((HOUR // 24).to_bytes(4) + dies.to_bytes(4)).ljust(24, b"\0")
    header = b"backchannel/1 expiry".ljust(24, b"\0")
    places = {
        "header": Place(PlaceKind.HEADER, header, HOUR, 0, fixed("id")),
        "expiry key": Place(PlaceKind.EXPIRY, daily, dies, 0, fixed("expiry")),
        "thread key": Place(PlaceKind.THREAD, name, dies, 0, fixed("thread")),
        "clock": Place(PlaceKind.CLOCK, name, HOUR, 720, fixed("clock")),
        "base key": Place(PlaceKind.BASE, name, HOUR, 0, fixed("base")),
        "base key with a lifetime: not read": Place(PlaceKind.BASE, name, HOUR, 1, bytes(32)),
        "empty": Place(PlaceKind.EMPTY, bytes(24), Hour(0), 0, bytes(32)),
        "header of another name: not read": Place(PlaceKind.HEADER, name, HOUR, 0, fixed("id")),
        "expiry key of another hour: not read": Place(PlaceKind.EXPIRY, daily, HOUR, 0, bytes(32)),
        "thread key with a lifetime: not read": Place(PlaceKind.THREAD, name, dies, 1, bytes(32)),
    }
    for why, place in places.items():
        yield case(why, "place", place=place.pack())
    torn = flip(places["clock"].pack(), 8 * 33)
    yield case("torn: empty", "place", place=torn)
    for why, data in (
        ("of kind 6", b"\6" + bytes(479)),
        ("with filler", bytes(70) + b"\1" + bytes(409)),
    ):
        yield case(f"{why}: not read", "place", place=data + prim.hash_(Label.PLACE, data))
    yield case("a place cut short", "place", "size", place=torn[:-1])
    yield from _headers(places["header"])
    yield from _items()


def _headers(header: Place) -> Cases:
    fresh = ExpiryKeys.new(HOUR, 1, ScriptedEntropy("file"))
    later = header._replace(hour=Hour(HOUR + 9)).pack()
    empty = fresh[1024:]
    files = {
        "fresh": fresh,
        "place 1 counts": fresh[:512] + later + empty,
        "place 0 counts": later + fresh[512:],
        "place 1 torn": fresh[:512] + flip(later, 200) + empty,
        "place 0 torn": flip(later, 200) + fresh[512:],
        "a header elsewhere is not read": fresh[:1024] + later,
        "a last place cut short": fresh + b"\2" * 100,
    }
    for why, data in files.items():
        yield case(f"file, {why}", "expiry file", data=data)
    yield case("file, both torn", "expiry file", "rules", data=bytes(1024) + later)


def _items() -> Cases:
    keys: dict[str, bytes] = {"store_key": fixed("store"), "expiry_key": fixed("expiry")}
    store_key, key = StoreKey(keys["store_key"]), ExpiryKey(keys["expiry_key"])
    for name, thread in (("item", None), ("item of a thread", ThreadKey(fixed("thread")))):
        sealing = expiry.item_key(store_key, key, thread)
        item = expiry.seal_item(sealing, b"words", b"where it stands", ScriptedEntropy(name))
        last = thread.expose() if thread else bytes(32)
        given = {"thread_key": last, "associated": b"where it stands", "item": item}
        good = case(name, "item", **keys, **given)
        yield good
        for field in ("associated", "item", "thread_key", "expiry_key"):
            yield damaged(good, f"{name}, {field} changed", "ciphertext", field, 0)
