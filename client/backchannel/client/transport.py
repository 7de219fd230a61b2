"""HTTP to one relay: bytes there, bytes back, within a time and a size. Understands neither.

`httpcore` and not `httpx`, whose transport it is: it sends no header of its own, follows nothing,
keeps no cookies, unpacks nothing, and lets a deadline stand over a whole exchange, so that a relay
which answers a byte a minute holds nobody up.
"""

import os
import re
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple, final

import httpcore
import socksio

from backchannel.client.address import Address
from backchannel.client.clock import elapsed
from backchannel.client.errors import (
    ClientError,
    RelayDown,
    RelayGarbage,
    RelaySlow,
    UsageMistake,
)

_PROXY = re.compile(r"socks5h?://([A-Za-z0-9.\[\]:-]+:[0-9]{1,5})")
_BODY = "application/octet-stream"
_TIMEOUTS = (httpcore.ConnectTimeout, httpcore.ReadTimeout, httpcore.WriteTimeout)
_BROKEN = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    retry_after: int
    """Seconds; 0 where nothing was said."""


@final
class Transport:
    """One connection, made when needed and kept while it lasts."""

    def __init__(self, address: Address, proxy: str | None = None) -> None:
        self._address = address
        self._deadline = _Deadline()
        self._backend = _Backend(self._deadline)
        self._pool = _pool(address, proxy, self._backend)

    def close(self) -> None:
        """Hang up."""
        self._pool.close()
        self._backend.close()

    def exchange(self, method: str, path: str, body: bytes, most: int, seconds: float) -> Answer:
        """One request and its answer of at most `most` bytes, within `seconds` from now."""
        self._deadline.set(seconds)
        for again in (bool(self._pool.connections), False):
            try:
                return self._exchange(method, path, body, most)
            except _BROKEN:  # a kept connection that the relay had closed meanwhile
                if not again:
                    msg = f"{self._address} broke off, or does not speak HTTP."
                    raise RelayGarbage(msg) from None
            except socksio.SOCKSError:
                msg = f"The proxy on the way to {self._address} does not speak SOCKS5."
                raise RelayDown(msg, "check --proxy socks5h://HOST:PORT") from None
            except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProxyError) as error:
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
            headers |= {"Content-Type": _BODY, "Content-Length": str(len(body))}
        with self._pool.stream(method, url, headers=headers, content=body) as response:
            held = bytearray()
            for chunk in response.iter_stream():
                held += chunk
                if len(held) > most:
                    msg = f"{self._address} answers with more than was asked for."
                    raise RelayGarbage(msg)
            return Answer(response.status, bytes(held), _retry_after(response.headers))

    def _explain(self, error: Exception) -> ClientError:
        if isinstance(error, httpcore.ProxyError):
            return RelayDown(f"The proxy could not reach {self._address}: {error}.")
        if isinstance(error, httpcore.ReadTimeout | httpcore.WriteTimeout):
            return RelaySlow(f"{self._address} did not answer in time.")
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return RelayDown(f"The certificate of {self._address} is not valid.")
        return RelayDown(f"{self._address} cannot be reached.")


def _pool(
    address: Address, proxy: str | None, backend: httpcore.NetworkBackend
) -> httpcore.ConnectionPool:
    context = _certificates() if address.scheme == "https" else None
    if proxy is None or address.loopback:
        if address.onion:
            msg = f"{address} is reached only through Tor."
            raise UsageMistake(msg, "give --proxy socks5h://127.0.0.1:9050")
        return httpcore.ConnectionPool(
            ssl_context=context, max_connections=1, network_backend=backend
        )
    found = _PROXY.fullmatch(proxy)
    if found is None:
        msg = "That is not the address of a proxy."
        raise UsageMistake(msg, "give --proxy socks5h://HOST:PORT")
    # Tor puts different names on different circuits: one for reads, one for writes.
    name = os.urandom(8).hex()
    return httpcore.SOCKSProxy(
        f"socks5://{found[1]}",
        (name, name),
        ssl_context=context,
        max_connections=1,
        network_backend=backend,
    )


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


@final
class _Deadline:
    """A moment that all reads and writes of one exchange share."""

    def __init__(self) -> None:
        self._moment = 0.0

    def set(self, seconds: float) -> None:
        self._moment = elapsed() + seconds

    def left(self, late: type[Exception]) -> float:
        left = self._moment - elapsed()
        if left <= 0:
            raise late
        return left


@final
class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()
        self._latest: httpcore.NetworkStream | None = None

    def close(self) -> None:
        """A stream that a proxy refused is not closed by the library."""
        if self._latest is not None:
            self._latest.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        left = self._deadline.left(httpcore.ConnectTimeout)
        self.close()  # one connection at a time: the one before is done with
        stream = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        self._latest = _Stream(stream, self._deadline)
        return self._latest


@final
class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._inner.read(max_bytes, self._deadline.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._inner.write(buffer, self._deadline.left(httpcore.WriteTimeout))

    def close(self) -> None:
        with suppress(OSError):
            self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        left = self._deadline.left(httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
