"""A drop's credentials, requests, answers, pages and vouchers: SPEC.md sections 6 and 18."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol import drop, limits
from backchannel.protocol.drop import (
    NEWEST,
    Create,
    Drop,
    DropKeys,
    Operation,
    Page,
    Read,
    Request,
    Stored,
)
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import X25519Public, dh, hash_, kdf, mac, x25519_public
from backchannel.protocol.secret import (
    CloseSecret,
    DropSecret,
    EpochSecret,
    InviteSecret,
    X25519Private,
)
from backchannel.protocol.types import Block, DropId, Hour
from tests.support.bits import sampled_flips
from tests.support.second_reader.refused import Refused
from tests.support.second_reader.relay import check_request, read_appended

RELAY = X25519Private(bytes(range(32)))
R = x25519_public(RELAY)
OTHER_R = x25519_public(X25519Private(bytes(32)))
DROP = Drop.of_epoch(EpochSecret(b"\1" * 32), R)
OTHER_DROP = Drop.of_epoch(EpochSecret(b"\2" * 32), R)
K = x25519_public(DROP.access)
KEYS = DropKeys.of_client(DROP.id, DROP.access, R)
NOW = Hour(489_937)

HOURS = st.integers(0, 2**32 - 1).map(Hour)
NONCES = st.binary(min_size=16, max_size=16)
PAYLOADS = st.binary(max_size=200)
OPERATIONS = st.sampled_from(Operation)
STATUSES = st.sampled_from([200, 403, 409, 507])
POSITIONS = st.integers(0, 2**64 - 1)


def request(
    operation: Operation = Operation.APPEND, nonce: bytes = bytes(16), payload: bytes = b"payload"
) -> Request:
    return Request.write(operation, DROP.id, NOW, nonce, payload, KEYS)


# --- Credentials ----------------------------------------------------------------------------------


def test_credentials_as_written() -> None:
    secret = kdf(b"\1" * 32, R.value, Label.DROP)
    assert kdf(secret, b"", Label.DROP_ID, length=16) == DROP.id
    assert DROP.access.expose() == kdf(secret, b"", Label.DROP_ACCESS)
    assert DROP.outer.expose() == kdf(secret, b"", Label.DROP_OUTER)
    assert DROP.relay == R


def test_a_lobby_has_another_root_than_an_epoch() -> None:
    lobby = Drop.of_lobby(InviteSecret(b"\1" * 32), R)
    named = Drop(DropSecret(kdf(b"\1" * 32, R.value, Label.LOBBY_DROP)), R)
    assert (lobby.id, lobby.access, lobby.outer) == (named.id, named.access, named.outer)
    assert lobby.id != DROP.id


def test_attack_49_one_epoch_has_unrelated_drops_on_two_relays() -> None:
    other = Drop.of_epoch(EpochSecret(b"\1" * 32), OTHER_R)
    assert {other.id, other.access.expose(), other.outer.expose()}.isdisjoint(
        {DROP.id, DROP.access.expose(), DROP.outer.expose()}
    )


def test_the_close_key_is_of_the_facilitators_and_the_drop() -> None:
    secret = CloseSecret(b"\3" * 32)
    key = DROP.close_key(secret)
    assert key.expose() == kdf(secret.expose(), b"", Label.DROP_CLOSE, DROP.id)
    assert key not in (OTHER_DROP.close_key(secret), DROP.close_key(CloseSecret(bytes(32))))
    assert key != DROP.access


def test_both_sides_derive_the_same_keys() -> None:
    assert DropKeys.of_relay(DROP.id, K, RELAY, R) == KEYS
    both = kdf(dh(RELAY, K), b"", Label.RELAY_KEYS, DROP.id + K.value + R.value, 64)
    assert (KEYS.request.expose(), KEYS.answer.expose()) == (both[:32], both[32:])


def test_attack_5_keys_bind_drop_and_both_publics() -> None:
    shared = dh(RELAY, K)
    made = [
        DropKeys._of(DROP.id, shared, K, R),
        DropKeys._of(OTHER_DROP.id, shared, K, R),
        DropKeys._of(DROP.id, shared, OTHER_R, R),
        DropKeys._of(DROP.id, shared, K, OTHER_R),
    ]
    assert len({keys.request.expose() for keys in made}) == 4
    assert len({keys.answer.expose() for keys in made}) == 4


@pytest.mark.parametrize("point", [0, 1, 2**255 - 20])
def test_attack_13_a_relay_refuses_a_low_order_key(point: int) -> None:
    public = X25519Public(point.to_bytes(32, "little"))
    with pytest.raises(AuthenticationError):
        DropKeys.of_relay(DROP.id, public, RELAY, R)


# --- Requests -------------------------------------------------------------------------------------


@given(OPERATIONS, HOURS, NONCES, PAYLOADS)
def test_a_request_is_read_as_written(
    operation: Operation, hour: Hour, nonce: bytes, payload: bytes
) -> None:
    written = Request.write(operation, DROP.id, hour, nonce, payload, KEYS)
    read = Request.read(operation, written.pack())
    assert read == written
    assert len(written.pack()) == drop.REQUEST_HEAD + len(payload)
    read.verify(KEYS)


def test_the_mac_of_a_request_as_written() -> None:
    """`mac(request key, "relay request", u8 operation | request[0:36] | payload)`."""
    body = request().pack()
    assert body[36:68] == mac(KEYS.request, Label.RELAY_REQUEST, b"\x02" + body[:36] + body[68:])


@pytest.mark.parametrize("size", [0, 16, 67])
def test_a_request_shorter_than_its_head_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match="shorter"):
        Request.read(Operation.READ, request().pack()[:size])


def test_a_request_may_have_no_payload() -> None:
    Request.read(Operation.SEAL, request(Operation.SEAL, payload=b"").pack()).verify(KEYS)


def test_every_bit_flip_of_a_request_is_refused() -> None:
    for damaged in sampled_flips(request().pack(), 1):
        with pytest.raises(AuthenticationError):
            Request.read(Operation.APPEND, damaged).verify(KEYS)


@given(OPERATIONS, OPERATIONS)
def test_attack_3_a_request_is_for_one_operation(written: Operation, claimed: Operation) -> None:
    read = Request.read(claimed, request(written).pack())
    if written is claimed:
        read.verify(KEYS)
    else:
        with pytest.raises(AuthenticationError):
            read.verify(KEYS)


WRONG_KEYS = {
    "drop": DropKeys.of_client(OTHER_DROP.id, DROP.access, R),
    "access key": DropKeys.of_client(DROP.id, OTHER_DROP.access, R),
    "close key": DropKeys.of_client(DROP.id, DROP.close_key(CloseSecret(bytes(32))), R),
    "relay": DropKeys.of_client(DROP.id, DROP.access, OTHER_R),
}


@pytest.mark.parametrize("wrong", WRONG_KEYS)
def test_attack_50_a_request_is_for_one_drop_key_and_relay(wrong: str) -> None:
    with pytest.raises(AuthenticationError, match="request"):
        request().verify(WRONG_KEYS[wrong])
    with pytest.raises(AuthenticationError, match="answer"):
        request().read_answer(200, request().answer(200, b"", KEYS), WRONG_KEYS[wrong])


# --- Answers --------------------------------------------------------------------------------------


@given(OPERATIONS, NONCES, PAYLOADS, STATUSES)
def test_an_answer_is_read_as_given(
    operation: Operation, nonce: bytes, payload: bytes, status: int
) -> None:
    sent = request(operation, nonce)
    body = Request.read(operation, sent.pack()).answer(status, payload, KEYS)
    assert sent.read_answer(status, body, KEYS) == payload


def test_the_mac_of_an_answer_as_written() -> None:
    """`mac(answer key, "relay answer", the request's mac | u16 status | payload)`."""
    body = request().answer(409, b"sealed", KEYS)
    covered = request().mac + (409).to_bytes(2) + b"sealed"
    assert body == mac(KEYS.answer, Label.RELAY_ANSWER, covered) + b"sealed"


def test_attack_73_an_answer_is_for_one_request() -> None:
    """ "Nothing new", recorded, says nothing to the next question: its nonce is another."""
    nothing_new = Page(7, more=False, rows=()).pack()
    first = request(Operation.READ, bytes(16))
    answer = first.answer(200, nothing_new, KEYS)
    assert first.read_answer(200, answer, KEYS) == nothing_new
    others = [
        request(Operation.READ, bytes(15) + b"\1"),
        request(Operation.READ, payload=b"another"),
        request(Operation.APPEND, bytes(16)),
        Request.write(Operation.READ, DROP.id, Hour(NOW + 1), bytes(16), b"payload", KEYS),
    ]
    for other in others:
        with pytest.raises(AuthenticationError, match="answer"):
            other.read_answer(200, answer, KEYS)


@given(STATUSES, STATUSES)
def test_an_answer_is_for_one_status(given_status: int, claimed: int) -> None:
    body = request().answer(given_status, b"quota", KEYS)
    if given_status == claimed:
        assert request().read_answer(claimed, body, KEYS) == b"quota"
    else:
        with pytest.raises(AuthenticationError):
            request().read_answer(claimed, body, KEYS)


def test_every_bit_flip_of_an_answer_is_refused() -> None:
    for damaged in sampled_flips(request().answer(200, b"payload", KEYS), 1):
        with pytest.raises(AuthenticationError):
            request().read_answer(200, damaged, KEYS)


@pytest.mark.parametrize("size", [0, 1, 31])
def test_an_answer_shorter_than_its_mac_is_refused(size: int) -> None:
    with pytest.raises(AuthenticationError):
        request().read_answer(200, request().answer(200, b"", KEYS)[:size], KEYS)


def test_attack_10_reflection() -> None:
    """A request sent back is no answer, an answer sent on is no request."""
    sent = request()
    for body in (sent.pack(), sent.mac, sent.mac + sent.payload):
        with pytest.raises(AuthenticationError):
            sent.read_answer(200, body, KEYS)
    answer = sent.answer(200, bytes(100), KEYS)
    with pytest.raises(AuthenticationError):
        Request.read(Operation.APPEND, answer).verify(KEYS)
    head = sent.pack()[:36]
    forged = head + sent.answer(200, sent.payload, KEYS)[:32] + sent.payload
    with pytest.raises(AuthenticationError):
        Request.read(Operation.APPEND, forged).verify(KEYS)


def test_nothing_secret_is_shown() -> None:
    voucher = b"\xa5" * 16
    create = Create(voucher, K, R, 0)
    shown = f"{create!r} {request(payload=create.pack())!r} {DROP!r} {KEYS!r}"
    assert voucher.hex()[:8] not in shown  # two digits of it stand in many an address in memory
    assert repr(voucher)[2:10] not in shown
    assert "Create" in shown
    assert "Request APPEND" in shown


# --- Payloads -------------------------------------------------------------------------------------


@given(st.binary(min_size=16, max_size=16), st.integers(0, len(limits.CLASSES) - 1))
def test_create_is_read_as_written(voucher: bytes, keep: int) -> None:
    create = Create(voucher, K, R, keep)
    assert len(create.pack()) == 81
    assert Create.read(create.pack()) == create


CREATE = Create(bytes(16), K, R, 0).pack()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        CREATE[:-1],
        CREATE + b"\0",
        CREATE[:80] + bytes([len(limits.CLASSES)]),
        CREATE[:80] + b"\xff",
        CREATE[:16] + b"\xff" * 32 + CREATE[48:],
        CREATE[:48] + b"\xff" * 32 + CREATE[80:],
    ],
)
def test_what_is_no_create_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        Create.read(payload)


@given(POSITIONS, HOURS, st.integers(1, 64), st.integers(0, 60))
def test_read_is_read_as_written(position: int, hour: Hour, most: int, wait: int) -> None:
    read = Read(position, hour, most, wait)
    assert len(read.pack()) == 16
    assert Read.read(read.pack()) == read


@pytest.mark.parametrize(("most", "wait"), [(0, 0), (65, 0), (65535, 0), (1, 61), (64, 65535)])
def test_attack_51_a_read_asks_for_no_more_than_is_allowed(most: int, wait: int) -> None:
    with pytest.raises(DecodeError, match="too much"):
        Read.read(Read(1, NOW, most, wait).pack())


@pytest.mark.parametrize(
    ("position", "following", "first"),
    [(NEWEST, 100, 36), (NEWEST, 65, 1), (NEWEST, 10, 1), (7, 100, 7), (NEWEST - 1, 9, NEWEST - 1)],
)
def test_the_newest_page_begins_so_far_before_the_end(
    position: int, following: int, first: int
) -> None:
    assert Read(position, NOW, 64, 0).of(following) == Read(first, NOW, 64, 0)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_read_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match="not a request to read"):
        Read.read(bytes(size))


BLOCKS = st.integers(0, 255).map(lambda fill: Block(bytes([fill]) * limits.BLOCK))


@st.composite
def pages(draw: st.DrawFn) -> Page:
    positions = sorted(draw(st.sets(st.integers(1, 2**63), max_size=6)))
    rows = tuple(Stored(position, draw(HOURS), draw(BLOCKS)) for position in positions)
    last = positions[-1] if positions else 0
    return Page(draw(st.integers(last + 1, 2**64 - 1)), draw(st.booleans()), rows)


@given(pages())
def test_a_page_is_read_as_written(page: Page) -> None:
    assert len(page.pack()) == 9 + 4108 * len(page.rows)
    assert Page.read(page.pack()) == page


@given(st.binary(max_size=30) | pages().map(Page.pack), st.integers(-20, 20))
def test_what_reads_as_a_page_is_packed_the_same(payload: bytes, cut: int) -> None:
    payload = payload[:cut] if cut < 0 else payload + bytes(cut)
    try:
        page = Page.read(payload)
    except DecodeError:
        assert cut or len(payload) != 9 or payload[8] > 1
    else:
        assert page.pack() == payload


def page_of(positions: list[int], following: int) -> bytes:
    rows = tuple(Stored(position, NOW, Block(bytes(4096))) for position in positions)
    return Page(following, more=False, rows=rows).pack()


def test_a_full_page_is_read_and_one_more_is_refused() -> None:
    assert len(Page.read(page_of(list(range(1, 65)), 65)).rows) == limits.MOST_BLOCKS
    with pytest.raises(DecodeError):
        Page.read(page_of(list(range(1, 66)), 66))


@pytest.mark.parametrize(
    ("positions", "following"), [([1, 1], 2), ([2, 1], 3), ([1, 2], 2), ([1, 2], 1), ([5], 0)]
)
def test_attack_9_a_page_rises(positions: list[int], following: int) -> None:
    with pytest.raises(DecodeError, match="not a page"):
        Page.read(page_of(positions, following))


@pytest.mark.parametrize("more", [2, 255])
def test_more_is_zero_or_one(more: int) -> None:
    with pytest.raises(DecodeError):
        Page.read(bytes(8) + bytes([more]))


def test_positions_start_at_one() -> None:
    for read in (lambda: Page.read(page_of([0], 1)), lambda: drop.read_stored(bytes(12), 1)):
        with pytest.raises(DecodeError, match="below the first"):
            read()


@given(st.lists(st.builds(Stored, POSITIONS.filter(bool), HOURS, st.just(Block(b""))), max_size=64))
def test_the_answer_to_an_append_or_seal_counts_its_blocks(rows: list[Stored]) -> None:
    payload = b"".join(row.pack() for row in rows)
    assert drop.read_stored(payload, len(rows)) == tuple(rows)
    assert read_appended(payload, len(rows)) == [row[:2] for row in rows]
    for count in (len(rows) - 1, len(rows) + 1):
        with pytest.raises(DecodeError, match="other blocks"):
            drop.read_stored(payload, count)


@pytest.mark.parametrize("count", [0, 1, limits.MOST_BLOCKS])
def test_a_seal_may_have_last_blocks(count: int) -> None:
    blocks = [bytes([fill]) * limits.BLOCK for fill in range(count)]
    sent = request(Operation.SEAL, payload=b"".join(blocks))
    Request.read(Operation.SEAL, sent.pack()).verify(KEYS)
    found = check_request(KEYS.request.expose(), "seal", sent.pack())
    assert found["payload"] == {"blocks": blocks}


@pytest.mark.parametrize("size", [1, limits.BLOCK - 1, (limits.MOST_BLOCKS + 1) * limits.BLOCK])
def test_attack_52_a_seal_has_whole_blocks_and_no_more_than_an_append(size: int) -> None:
    sent = request(Operation.SEAL, payload=bytes(size))
    with pytest.raises(Refused):
        check_request(KEYS.request.expose(), "seal", sent.pack())


@pytest.mark.parametrize("size", [1, 11, 13, 23])
def test_a_part_of_a_row_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match="part of a row"):
        drop.read_stored(bytes(size), 1)


# --- Vouchers -------------------------------------------------------------------------------------

VOUCHER = bytes(range(16))
SHOWN = "bc-aaaqeayeaudaocajbifqydiob4"


def test_a_known_voucher() -> None:
    assert drop.show_voucher(VOUCHER) == SHOWN
    assert drop.read_voucher(SHOWN) == VOUCHER
    assert drop.voucher_hash(VOUCHER) == hash_(Label.VOUCHER, VOUCHER)


@given(st.binary(min_size=16, max_size=16), st.sampled_from([str.lower, str.upper]), st.booleans())
def test_a_voucher_is_read_as_shown_in_either_case(voucher: bytes, case: Any, spaced: bool) -> None:
    shown = case(drop.show_voucher(voucher))
    assert len(shown) == 29
    assert drop.read_voucher(f"  {shown}\n" if spaced else shown) == voucher


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bc-",
        SHOWN[3:],
        SHOWN[:-1],
        SHOWN + "a",
        SHOWN + "======",
        "bc-" + SHOWN,
        "bd-" + SHOWN[3:],
        SHOWN[:-1] + "5",
        SHOWN.replace("q", "1"),
        SHOWN.replace("q", "ß"),
        SHOWN.replace("q", " "),
        "bc-" + "a" * 24,
        "bc-" + "a" * 32,
    ],
)
def test_what_is_no_voucher_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="not a voucher"):
        drop.read_voucher(text)


@given(st.text(max_size=40) | st.text("abz27-=BC ", max_size=40).map("bc-".__add__))
def test_any_text_is_a_voucher_or_refused(text: str) -> None:
    try:
        voucher = drop.read_voucher(text)
    except DecodeError:
        return
    assert drop.show_voucher(voucher) == text.strip().lower()


def test_the_drop_of_a_request_stands_first() -> None:
    assert Request.read(Operation.READ, request().pack()).drop == DropId(request().pack()[:16])
