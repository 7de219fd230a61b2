"""The way through a SOCKS5 proxy (RFC 1928, 1929): every connection goes to the proxy, and it alone
resolves names.

Owns the handshake, and that each `Socks` comes under a name of its own: Tor gives different names
different circuits. Written here because httpcore takes each reply of a proxy for one read, and
leaves open a line that was refused.
"""

import ipaddress
import os
from collections.abc import Iterable
from typing import Any, final

import httpcore

from backchannel.client.errors import ProxyDown, RelayDown
from backchannel.client.wire.route import Proxy

_VERSION, _BY_NAME, _CONNECT, _DONE = 5, 2, 1, 0
_IPV4, _NAME, _IPV6 = 1, 3, 4
_BOUND = {_IPV4: 4, _IPV6: 16}
_NAMED = 8  # random bytes
_WHY = {
    1: "it failed",
    2: "it is not allowed to",
    3: "no network",
    4: "there is no such machine, or it does not answer",
    5: "nothing listens there",
    6: "it took too long",
    0xF0: "there is no such onion service, or it is not running",
    0xF1: "the onion service's entry cannot be read",
    0xF2: "no way to the onion service was found",
    0xF3: "no way to the onion service was found",
    0xF4: "the onion service wants a key of whoever comes",
    0xF5: "the onion service refuses that key",
    0xF6: "that is no onion address",
    0xF7: "the onion service did not answer in time",
}
"""What replies mean; from 0xF0 on they are Tor's own."""


@final
class Socks(httpcore.NetworkBackend):
    """Connects through a proxy, under a name that nothing else has."""

    def __init__(self, proxy: Proxy, inner: httpcore.NetworkBackend) -> None:
        self._proxy = proxy
        self._inner = inner
        self._name = os.urandom(_NAMED).hex().encode()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A stream to `host`, as the proxy finds it. `ProxyDown` where the proxy is none,
        `RelayDown` where it gets no further.
        """
        stream = self._reach(timeout, local_address, socket_options)
        try:
            _greet(_Line(stream, timeout, self._proxy), self._name)
            _ask(_Line(stream, timeout, self._proxy), host, port)
        except BaseException:
            stream.close()
            raise
        return stream

    def greet(self) -> None:
        """See that the proxy answers and takes names; nothing goes through it."""
        stream = self._reach(None, None, None)
        try:
            _greet(_Line(stream, None, self._proxy), self._name)
        finally:
            stream.close()

    def _reach(self, timeout: float | None, *more: Any) -> httpcore.NetworkStream:
        for host, port in self._proxy.places:
            try:
                return self._inner.connect_tcp(host, port, timeout, *more)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        msg = f"No proxy answers at {self._proxy}. Nothing was sent, and nothing goes around it."
        raise ProxyDown(msg)


@final
class _Line:
    """What is said to the proxy and back: whole, and never more than was announced."""

    def __init__(self, stream: httpcore.NetworkStream, timeout: float | None, proxy: Proxy) -> None:
        self._stream = stream
        self._timeout = timeout
        self._proxy = proxy

    def say(self, data: bytes) -> None:
        try:
            self._stream.write(data, self._timeout)
        except httpcore.WriteError:
            raise self.strange("broke off") from None

    def hear(self, count: int) -> bytes:
        held = b""
        while len(held) < count:
            try:
                piece = self._stream.read(count - len(held), self._timeout)
            except httpcore.ReadError:
                piece = b""
            if not piece:
                raise self.strange("broke off")
            held += piece
        return held

    def strange(self, what: str) -> ProxyDown:
        return ProxyDown(f"What listens at {self._proxy} is not the proxy for this: it {what}.")


def _greet(line: _Line, name: bytes) -> None:
    try:
        _say_who(line, name)
    except httpcore.ReadTimeout:  # so far it had nobody to wait for
        raise line.strange("says nothing") from None


def _say_who(line: _Line, name: bytes) -> None:
    """RFC 1929: one method is offered, so that no proxy mixes what is to be kept apart."""
    line.say(bytes((_VERSION, 1, _BY_NAME)))
    version, method = line.hear(2)
    if version != _VERSION:
        raise line.strange("does not speak SOCKS5")
    if method != _BY_NAME:
        raise line.strange("takes no names, by which Tor keeps connections apart")
    line.say(bytes((1, len(name))) + name + bytes((len(name),)) + name)
    if line.hear(2) != bytes((1, _DONE)):
        raise line.strange("takes a certain name only, which leaves nothing to keep apart")


def _ask(line: _Line, host: str, port: int) -> None:
    line.say(bytes((_VERSION, _CONNECT, 0)) + _packed(host) + port.to_bytes(2))
    version, reply, _, kind = line.hear(4)
    if version != _VERSION:
        raise line.strange("does not speak SOCKS5")
    if reply != _DONE:
        why = _WHY.get(reply, f"it says {reply}")
        raise RelayDown(f"The proxy does not get to {host}: {why}.")
    if kind not in _BOUND and kind != _NAME:
        raise line.strange("does not speak SOCKS5")
    line.hear((line.hear(1)[0] if kind == _NAME else _BOUND[kind]) + 2)


def _packed(host: str) -> bytes:
    """Kind and value of an address; whatever is not one is a name, for the proxy to look up."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return bytes((_NAME, len(name))) + name
    return bytes((_IPV4 if address.version == 4 else _IPV6,)) + address.packed
