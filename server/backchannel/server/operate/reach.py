"""Comes to a relay from outside, the way a client would: name, connection, certificate, proxy, key.

The key proves itself: a request that no relay grants is answered under the key all the same. Knows
nothing of the store.
"""

from urllib.parse import urlsplit

from backchannel.protocol.drop import Create, DropKeys, Operation, Request
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import DropId, Hour
from backchannel.server.entropy import SystemEntropy
from backchannel.server.errors import OperatorError
from backchannel.server.limits import BODY
from backchannel.server.operate.asking import Address

_UPSTREAM = "let the proxy pass all of /v1/ to the relay unchanged, and see that the relay runs"


def reach(url: str, key: X25519Public) -> str:
    """What was proved; `OperatorError` names what is wrong on the way to the relay of `key`."""
    address = public(url)
    hour = describe(address, key)
    _prove(address, key, hour)
    _send_much(address)
    return "answers with this relay's key, and takes the largest request"


def public(url: str) -> Address:
    """The address as clients may use it; `OperatorError` for one that they may not."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in {"http", "https"} or not host:
        raise OperatorError(f"{url} is no address", next_="give one like https://relay.example")
    if host.endswith(".onion"):
        message = "an onion address is not asked from here"
        raise OperatorError(message, next_="ask with a client through Tor: backchannel doctor")
    if parts.scheme == "http" and host not in {"localhost", "127.0.0.1", "::1"}:
        message = "clients insist on https there"
        raise OperatorError(message, next_="give serve a certificate, or put a proxy before it")
    return Address(url)


def describe(address: Address, key: X25519Public) -> Hour:
    """The hour that it says; `OperatorError` for another relay, or none."""
    said = address.ask("/v1/relay")
    if 300 <= said.status < 400:
        raise OperatorError("it redirects", next_="give clients the address that it leads to")
    if said.status == 503 and said.json() == {"code": "busy"}:
        message = "the relay answers that it is busy"
        raise OperatorError(message, next_="mend what stands above, then look at the relay's log")
    description = said.json()
    hour = description.get("hour")
    if said.status != 200 or not isinstance(hour, int):
        message = f"what answers there is no relay (status {said.status})"
        raise OperatorError(message, next_=_UPSTREAM)
    if description.get("static_key") != key.value.hex():
        message = "another relay answers there: clients of this one would refuse its key"
        raise OperatorError(message, next_=_UPSTREAM)
    return Hour(hour)


def _prove(address: Address, key: X25519Public, hour: Hour) -> None:
    """Ask for a drop without a voucher: the refusal is under the key."""
    draw = SystemEntropy().draw
    private = X25519Private(draw(32))
    drop, own = DropId(draw(16)), x25519_public(private)
    keys = DropKeys.of_client(drop, private, key)
    payload = Create(draw(16), own, own, 0).pack()
    request = Request.write(Operation.CREATE, drop, hour, draw(16), payload, keys)
    said = address.ask("/v1/create", request.pack())
    if said.status not in {403, 409}:
        message = f"requests do not get through (status {said.status})"
        raise OperatorError(message, next_=_UPSTREAM)
    try:
        code = request.read_answer(said.status, said.body, keys)
    except AuthenticationError:
        message = "what answers there shows this relay's key and does not have it"
        raise OperatorError(message, next_=_UPSTREAM) from None
    if code != b"voucher-refused":
        message = "it describes itself by an old hour: something keeps its answers"
        raise OperatorError(message, next_="let the proxy cache nothing")


def _send_much(address: Address) -> None:
    """The largest append, of a drop that is not there."""
    said = address.ask("/v1/append", SystemEntropy().draw(BODY[Operation.APPEND]))
    if said.status != 404 or said.json() != {"code": "unknown-drop"}:
        message = f"a large request does not get through (status {said.status})"
        raise OperatorError(message, next_="let the proxy take bodies of at least 300 kB")
