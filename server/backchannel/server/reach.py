"""Comes to a relay from outside, the way a client would: name, connection, certificate, proxy, key.

The key proves itself: a request that no relay grants is answered under the key all the same. Knows
nothing of the store.
"""

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from backchannel.protocol.drop import Create, DropKeys, Operation, Request
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import DropId, Hour
from backchannel.server.entropy import SystemEntropy
from backchannel.server.errors import OperatorError
from backchannel.server.limits import BODY

_SECONDS = 15
_MOST = 65_536
_UPSTREAM = "let the proxy pass all of /v1/ to the relay unchanged, and see that the relay runs"
_NAME = "get a certificate for this very name, and give tls_cert (or the proxy) its whole chain"

_FAULTS: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (socket.gaierror, "its name is not known", "give the name an A or AAAA record"),
    (ssl.SSLCertVerificationError, "its certificate is not believed", _NAME),
    (ssl.SSLError, "it does not speak TLS", "give serve a certificate, or ask the proxy's port"),
    (ConnectionRefusedError, "nothing listens there", "start relay or proxy; forward the port"),
    (TimeoutError, "no answer comes", "open the port in the firewall and forward it"),
    (OSError, "the connection breaks", "look at the proxy's and the network's own logs"),
    (http.client.HTTPException, "what answers is not HTTP", "ask the port of relay or proxy"),
)


class _Said(NamedTuple):
    status: int
    body: bytes

    def json(self) -> dict[str, object]:
        try:
            said = json.loads(self.body)
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}


class _Stay(urllib.request.HTTPRedirectHandler):
    """Clients follow no redirection."""

    def redirect_request(self, *_arguments: object) -> None:
        return None


def reach(url: str, key: X25519Public) -> str:
    """What was proved; `OperatorError` names what is wrong on the way to the relay of `key`."""
    url = url.rstrip("/")
    _check_address(url)
    hour = _describe(url, key)
    _prove(url, key, hour)
    _send_much(url)
    return "answers with this relay's key, and takes the largest request"


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host:
        raise OperatorError(f"{url} is no address", next_="give one like https://relay.example")
    if host.endswith(".onion"):
        message = "an onion address is not asked from here"
        raise OperatorError(message, next_="ask with a client through Tor: backchannel doctor")
    if parts.scheme == "http" and host not in {"localhost", "127.0.0.1", "::1"}:
        message = "clients insist on https there"
        raise OperatorError(message, next_="give serve a certificate, or put a proxy before it")


def _describe(url: str, key: X25519Public) -> Hour:
    """The hour that it says; `OperatorError` for another relay, or none."""
    said = _ask(f"{url}/v1/relay")
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


def _prove(url: str, key: X25519Public, hour: Hour) -> None:
    """Ask for a drop without a voucher: the refusal is under the key."""
    draw = SystemEntropy().draw
    private = X25519Private(draw(32))
    drop, public = DropId(draw(16)), x25519_public(private)
    keys = DropKeys.of_client(drop, private, key)
    payload = Create(draw(16), public, public, 0).pack()
    request = Request.write(Operation.CREATE, drop, hour, draw(16), payload, keys)
    said = _ask(f"{url}/v1/create", request.pack())
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


def _send_much(url: str) -> None:
    """The largest append, of a drop that is not there."""
    said = _ask(f"{url}/v1/append", SystemEntropy().draw(BODY[Operation.APPEND]))
    if said.status != 404 or said.json() != {"code": "unknown-drop"}:
        message = f"a large request does not get through (status {said.status})"
        raise OperatorError(message, next_="let the proxy take bodies of at least 300 kB")


def _ask(url: str, body: bytes | None = None) -> _Said:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())
    headers = {"content-type": "application/octet-stream"} if body else {}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - the scheme is checked
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            return _Said(answer.status, answer.read(_MOST))
    except urllib.error.HTTPError as error:
        with error:
            return _Said(error.code, error.read(_MOST))
    except (OSError, http.client.HTTPException) as error:
        raise _fault(error) from None


def _fault(error: Exception) -> OperatorError:
    cause = getattr(error, "reason", error)
    cause = cause if isinstance(cause, Exception) else error
    found = next(((said, next_) for kind, said, next_ in _FAULTS if isinstance(cause, kind)))
    detail = getattr(cause, "verify_message", "")
    return OperatorError(f"{found[0]}{detail and ': ' + detail}", next_=found[1])
