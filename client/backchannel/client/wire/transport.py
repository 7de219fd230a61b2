"""HTTP to one relay: bytes there, bytes back, within a time and a size. Understands neither.

`httpcore` and not `httpx`, whose transport it is: it sends no header of its own, follows nothing,
keeps no cookies, unpacks nothing, and lets a deadline stand over a whole exchange, so that a relay
which answers a byte a minute holds nobody up. How long that is stands in `stream`.
"""

import os
import ssl
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple, final

import httpcore

from backchannel.client.errors import (
    ClientError,
    RelayBroke,
    RelayDown,
    RelayGarbage,
    RelaySlow,
    UsageMistake,
)
from backchannel.client.machine.clock import elapsed
from backchannel.client.wire.address import Address
from backchannel.client.wire.route import Proxy
from backchannel.client.wire.socks import Socks
from backchannel.client.wire.stream import GREETING, HEADS, Backend, Deadline, TooMuchError

_TIMEOUTS = (httpcore.ConnectTimeout, httpcore.ReadTimeout, httpcore.WriteTimeout)
_BROKEN = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    retry_after: int
    """Seconds; 0 where nothing was said."""


def greet(proxy: str, seconds: float) -> None:
    """See that a proxy answers and does what is needed; `ProxyDown` otherwise."""
    deadline = Deadline()
    deadline.set(seconds)
    Socks(Proxy.parse(proxy), Backend(deadline, lambda _moved: None)).greet()


@final
class Transport:
    """One connection, made when needed and kept while it lasts."""

    def __init__(
        self,
        address: Address,
        proxy: str | None = None,
        count: Callable[[int], None] = lambda _moved: None,
        sign: Callable[[float], None] = lambda _after: None,
    ) -> None:
        """`count` hears of the bytes that go through, both ways, what a proxy is told included;
        `sign` of each step forward, see `Deadline`.
        """
        self._address = address
        self._made = elapsed()
        self._deadline = Deadline(sign)
        self._backend = Backend(self._deadline, count)
        self._pool = httpcore.ConnectionPool(
            ssl_context=_certificates() if address.scheme == "https" else None,
            max_connections=1,
            network_backend=_backend(address, proxy, self._backend),
        )

    def close(self) -> None:
        """Hang up."""
        self._pool.close()
        self._backend.close()

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return elapsed() - self._made

    @property
    def ahead(self) -> int:
        """Bytes that go before the next exchange, where a connection must be made for it."""
        return 0 if self._pool.connections or self._address.scheme == "http" else GREETING

    def exchange(
        self, method: str, path: str, body: bytes, most: int, patience: float, wait: float = 0
    ) -> Answer:
        """One request and its answer of at most `most` bytes, after `patience` seconds of silence
        at the latest, and `wait` more where the relay was asked to wait.
        """
        self._deadline.set(patience, wait, most + HEADS, len(body))
        for again in (bool(self._pool.connections), False):
            try:
                return self._exchange(method, path, body, most)
            except TooMuchError:
                raise self._too_much() from None
            except _BROKEN:  # a kept connection that the relay had closed meanwhile
                if not again:
                    msg = f"{self._address} broke off, or does not speak HTTP."
                    raise RelayBroke(msg) from None
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                raise self._explain(error) from None
        raise AssertionError

    def _exchange(self, method: str, path: str, body: bytes, most: int) -> Answer:
        url = httpcore.URL(
            scheme=self._address.scheme,
            host=self._address.host.strip("[]"),
            port=self._address.port,
            target=path,
        )
        headers: dict[bytes | str, bytes | str] = {"Host": str(self._address).partition("//")[2]}
        if body:
            headers |= {"Content-Length": str(len(body))}
        with self._pool.stream(method, url, headers=headers, content=body or None) as response:
            held = bytearray()
            for chunk in response.iter_stream():
                held += chunk
                if len(held) > most:
                    raise self._too_much()
            return Answer(response.status, bytes(held), _retry_after(response.headers))

    def _too_much(self) -> RelayGarbage:
        return RelayGarbage(f"{self._address} answers with more than was asked for.")

    def _explain(self, error: Exception) -> ClientError:
        if isinstance(error, httpcore.ReadTimeout | httpcore.WriteTimeout):
            return RelaySlow(f"{self._address} did not answer in time.")
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return RelayDown(f"The certificate of {self._address} is not valid.")
        return RelayDown(f"{self._address} cannot be reached.")


def _backend(
    address: Address, proxy: str | None, inner: httpcore.NetworkBackend
) -> httpcore.NetworkBackend:
    """What connects: straight, or through the proxy and in no other way."""
    if proxy is None and address.onion:
        msg = f"{address} is reached only through Tor."
        raise UsageMistake(msg, "start Tor, then the same with --tor")
    if proxy is not None and address.loopback:
        msg = f"{address} is this machine, to which no proxy leads."
        raise UsageMistake(msg, "if that is meant, the same with --proxy none")
    return inner if proxy is None else Socks(Proxy.parse(proxy), inner)


@cache  # reading them takes longer than asking a relay; no session is kept in it
def _certificates() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & set(os.environ):
        import certifi

        context.load_verify_locations(certifi.where())  # small systems have no store of their own
    return context


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit():
            return min(int(value[:6]), 86_400)
    return 0
