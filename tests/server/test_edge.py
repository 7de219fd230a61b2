"""What the edge makes of bodies that are not what they should be: a stable code, never a 500."""

import json
import os
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backchannel.protocol import limits
from backchannel.protocol.drop import NEWEST, REQUEST_HEAD, Create, Operation, Read, Request
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.types import Hour
from backchannel.server.errors import answer_to
from backchannel.server.limits import BODY, DRAINED
from tests.server.inside import Inside, Opener
from tests.support.relay import DropClient, RefusedError, noise

LOW_ORDER = X25519Public(bytes(32))
PROPERTY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def post(inside: Inside, operation: Operation, body: bytes | Iterator[bytes]) -> tuple[int, str]:
    answer = inside.http.post(f"http://relay/v1/{operation.name.lower()}", content=body)
    return answer.status_code, answer.json()["code"]


def test_the_largest_append_is_taken(inside: Inside) -> None:
    assert len(inside.drop().append(*noise(64))) == 64


@pytest.mark.parametrize("extra", [1, limits.BLOCK])
def test_one_more_is_too_large(inside: Inside, extra: int) -> None:
    with pytest.raises(RefusedError, match="413 too-large"):
        inside.drop().append(*noise(64), bytes(extra))


def test_a_refusal_leaves_nothing_in_the_answers_after_it(inside: Inside) -> None:
    """What one answer's headers say is for one client."""
    operation = Operation.APPEND
    assert post(inside, operation, bytes(BODY[operation] + 1)) == (413, "too-large")
    answer = inside.http.get("/v1/relay")
    assert set(answer.headers) == {"cache-control", "content-length", "content-type"}
    answer = inside.http.post("/v1/read", content=b"x")
    assert set(answer.headers) == {"cache-control", "content-length", "content-type"}


@pytest.mark.parametrize("operation", Operation)
def test_a_body_over_the_operations_size_is_too_large(inside: Inside, operation: Operation) -> None:
    assert post(inside, operation, bytes(BODY[operation] + 1)) == (413, "too-large")


@pytest.mark.parametrize("operation", Operation)
def test_a_body_without_end_is_left_early(inside: Inside, operation: Operation) -> None:
    pieces = iter([bytes(65_536)] * (DRAINED // 65_536 + 2))
    assert post(inside, operation, pieces) == (413, "too-large")


def test_a_length_that_is_too_large_is_not_awaited(inside: Inside) -> None:
    headers = {"content-length": str(DRAINED + 1)}
    answer = inside.http.post("http://relay/v1/append", content=iter([b""]), headers=headers)
    assert (answer.status_code, answer.json()) == (413, {"code": "too-large"})
    assert answer.headers["connection"] == "close"


def test_a_body_may_come_in_any_pieces(inside: Inside) -> None:
    client = inside.drop()
    body = client.request(Operation.APPEND, noise()[0]).pack()
    pieces = (body[at : at + 7] for at in range(0, len(body), 7))
    assert inside.http.post("http://relay/v1/append", content=pieces).status_code == 200


@pytest.mark.parametrize("size", [0, 1, limits.BLOCK - 1, limits.BLOCK + 1])
def test_anything_but_whole_blocks_is_not_a_block(inside: Inside, size: int) -> None:
    with pytest.raises(RefusedError, match="422 not-a-block"):
        inside.drop().append(bytes(size))


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("size", [0, 1, REQUEST_HEAD - 1])
def test_less_than_a_head_is_malformed(inside: Inside, operation: Operation, size: int) -> None:
    assert post(inside, operation, bytes(size)) == (422, "malformed")


@pytest.mark.parametrize(
    "payload",
    [
        Read(1, Hour(0), 0, 0).pack(),
        Read(1, Hour(0), 65, 0).pack(),
        Read(1, Hour(0), 1, 61).pack(),
        bytes(15),
    ],
)
def test_a_read_of_the_wrong_value_is_malformed(inside: Inside, payload: bytes) -> None:
    client = inside.drop()
    with pytest.raises(RefusedError, match="422 malformed"):
        client.send(client.request(Operation.READ, payload))


def test_a_payload_where_there_is_none_is_too_large(inside: Inside) -> None:
    client = inside.drop()
    with pytest.raises(RefusedError, match="413 too-large"):
        client.send(client.request(Operation.DELETE, b"\0"))


def test_a_class_that_is_not_there_is_malformed(inside: Inside) -> None:
    client = inside.stranger()
    with pytest.raises(RefusedError, match="422 malformed"):
        client.create(inside.voucher(), keep=len(limits.CLASSES))


def test_a_key_that_is_not_canonical_is_malformed(inside: Inside) -> None:
    client = inside.stranger()
    payload = inside.voucher() + b"\xff" * 32 + bytes(33)
    with pytest.raises(RefusedError, match="422 malformed"):
        client.send(client.request(Operation.CREATE, payload))


def test_a_low_order_key_is_refused_like_a_wrong_mac(inside: Inside) -> None:
    client = inside.stranger()
    asked = Create(inside.voucher(), LOW_ORDER, x25519_public(client.close), 2)
    with pytest.raises(RefusedError, match="404 unknown-drop"):
        client.send(client.request(Operation.CREATE, asked.pack()))


@pytest.mark.parametrize("most", [1, 64])
def test_a_read_may_ask_up_to_its_limits(inside: Inside, most: int) -> None:
    client = inside.drop()
    client.append(*noise(64))
    assert len(client.read(most=most, wait=60).rows) == most


def test_positions_beyond_the_end_are_empty(inside: Inside) -> None:
    client = inside.drop()
    client.append(*noise())
    page = client.read(position=2**63 - 1)
    assert (page.rows, page.following) == ((), 2)
    assert client.read(position=NEWEST - 1).rows == ()


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/docs", "/openapi.json", "/v1/relay/"])
def test_other_paths_speak_the_same_way(inside: Inside, path: str) -> None:
    answer = inside.http.get(f"http://relay{path}")
    assert (answer.status_code, answer.json()) == (404, {"code": "no-such-path"})


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_other_methods_are_not_allowed(inside: Inside, method: str) -> None:
    assert inside.http.request(method, "http://relay/v1/append").status_code == 405


def test_every_answer_forbids_keeping_it(inside: Inside) -> None:
    client = inside.drop()
    answer = inside.http.post("http://relay/v1/read", content=b"")
    assert answer.headers["cache-control"] == "no-store"
    good = client.request(Operation.READ, Read(1, Hour(0), 1, 0).pack()).pack()
    assert inside.http.post("http://relay/v1/read", content=good).headers["cache-control"]


def test_the_description_is_not_kept_either(inside: Inside) -> None:
    assert inside.http.get("http://relay/v1/relay").headers["cache-control"] == "no-store"


def test_a_full_house_is_busy_and_says_when_to_return(open_inside: Opener) -> None:
    inside = open_inside(most_requests=1)
    with inside.relay.gate:
        answer = inside.http.post("http://relay/v1/read", content=b"")
    assert (answer.status_code, answer.json()) == (503, {"code": "busy"})
    assert int(answer.headers["retry-after"]) > 0


def test_a_waiting_read_leaves_its_place_to_others(open_inside: Opener) -> None:
    inside = open_inside(most_requests=1)
    client = inside.drop()
    with inside.relay.gate, inside.relay.gate.outside():
        client.append(*noise())


def test_readers_past_the_limit_are_answered_at_once(open_inside: Opener) -> None:
    client = open_inside(most_waiting=0).drop()
    assert client.read(wait=60).rows == ()


def test_an_error_that_nobody_foresaw_is_busy_outside(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = inside.drop()

    def broken(*_arguments: object) -> None:
        raise KeyError

    monkeypatch.setattr(inside.relay.authorizer, "known", broken)
    with pytest.raises(RefusedError, match="503 busy"):
        client.read()
    monkeypatch.setattr(inside.relay.retention, "hour", broken)
    assert inside.http.get("http://relay/v1/relay").json() == {"code": "busy"}


def test_what_is_not_in_the_table_has_no_answer() -> None:
    assert answer_to(KeyError()) is None


@pytest.fixture
def quick(inside: Inside) -> Iterator[Inside]:
    """Without the floor: for properties, which try many wrong keys."""

    async def at_once(_mark: float) -> None:
        return

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inside.relay.floor, "wait", at_once)
        yield inside


@PROPERTY
@given(operation=st.sampled_from(Operation), body=st.binary(max_size=9000))
def test_attack_54_garbage_is_refused_with_a_stable_code(
    quick: Inside, operation: Operation, body: bytes
) -> None:
    status, code = post(quick, operation, body)
    assert (status, code) in {
        (404, "unknown-drop"),
        (413, "too-large"),
        (422, "not-a-block"),
        (422, "malformed"),
    }


@PROPERTY
@given(operation=st.sampled_from(Operation), data=st.data())
def test_attack_54_garbage_under_a_right_mac_is_answered(
    quick: Inside, operation: Operation, data: st.DataObject
) -> None:
    client = quick.drop()
    size = BODY[operation] - REQUEST_HEAD
    payload = data.draw(st.binary(min_size=min(size, 81), max_size=min(size, 81)))
    answer = send(quick, client.request(operation, payload))
    assert answer.status_code in {200, 403, 404, 409, 422}


@PROPERTY
@given(at=st.integers(0, REQUEST_HEAD + limits.BLOCK - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_an_unknown_drop(quick: Inside, at: int, bit: int) -> None:
    client = quick.drop()
    body = bytearray(client.request(Operation.APPEND, os.urandom(limits.BLOCK)).pack())
    body[at] ^= 1 << bit
    assert post(quick, Operation.APPEND, bytes(body)) == (404, "unknown-drop")
    assert client.read().rows == ()


def send(inside: Inside, request: Request) -> httpx.Response:
    url = f"http://relay/v1/{request.operation.name.lower()}"
    return inside.http.post(url, content=request.pack())


def test_a_replayed_request_changes_nothing(inside: Inside) -> None:
    client = inside.drop()
    request = client.request(Operation.APPEND, noise()[0])
    assert send(inside, request).content == send(inside, request).content
    assert client.read().following == 2


def test_a_request_is_good_for_its_operation_only(inside: Inside) -> None:
    client = inside.drop()
    asked = client.request(Operation.SEAL, b"")
    answer = inside.http.post("http://relay/v1/delete", content=asked.pack())
    assert answer.json() == {"code": "unknown-drop"}
    assert json.loads(answer.content) == {"code": "unknown-drop"}


def test_an_answer_is_good_for_its_request_only(inside: Inside) -> None:
    client = inside.drop()
    first, second = (client.request(Operation.READ, Read(1, Hour(0), 1, 0).pack()) for _ in "ab")
    answer = send(inside, first)
    keys = client.keys(Operation.READ)
    first.read_answer(200, answer.content, keys)
    with pytest.raises(Exception, match="not from the relay"):
        second.read_answer(200, answer.content, keys)


def test_a_stranger_with_the_right_key_for_another_drop_is_unknown(inside: Inside) -> None:
    client, other = inside.drop(), inside.drop()
    mixed = DropClient(inside.http, client.relay, client.url, client.drop, other.access)
    with pytest.raises(RefusedError, match="404 unknown-drop"):
        mixed.read()
