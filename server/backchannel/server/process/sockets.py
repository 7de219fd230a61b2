"""The sockets on which a relay listens: opened here, or handed over by who started it, and handed
on to who follows.

The manner of handing over is systemd's (sd_listen_fds(3)): descriptors from 3 on, told in the
environment. Knows nothing of what is said over them.
"""

import fcntl
import os
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn, Self

from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.settings import Settings

BACKLOG: Final = 4096  # all who waited come again at once when a relay begins anew
_FIRST = 3
_MOST = 8  # of one relay: an address family or two, and a socket for a proxy or onion service
_OURS = "backchannel-own"  # the name of one that this program opened and handed to itself
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
_NEXT = "give the .socket unit ListenStream= lines only, of TCP ports or paths"


class Listeners(NamedTuple):
    """All that one relay listens on, open."""

    sockets: tuple[socket.socket, ...]
    own: bool
    """Whether `host` and `port` of the settings chose it; else whoever handed it over did."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Handed over, or by the settings; `OperatorError` where neither can be had."""
        given = _given()
        own = os.environ.pop("LISTEN_FDNAMES", "") == _OURS
        if given:
            return cls(given, own)
        return cls((listen(settings.host, settings.port),), own=True)

    def after(self, before: Settings, settings: Settings) -> Self:
        """The same, open still, or what other settings ask for; `OperatorError` where that cannot
        be had.
        """
        if not self.own or (before.host, before.port) == (settings.host, settings.port):
            return self
        return self.__class__((listen(settings.host, settings.port),), own=True)

    def urls(self, scheme: str) -> list[str]:
        """Where it listens, in words."""
        return [_url(scheme, each) for each in self.sockets]

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; `OperatorError` when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        message = f"cannot listen on {host} port {port}: {_reason(error)}"
        next_ = "choose another --port (`port` in relay.toml), or end what listens there"
        raise OperatorError(message, next_=next_, code=exits.NETWORK) from None


def become(command: Sequence[str], listeners: Listeners) -> NoReturn:
    """Be another program from here on, with the same process id and the same sockets: who connects
    meanwhile waits for it, and is not refused.
    """
    beyond = _FIRST + _MOST  # first out of the way of one another
    spare = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, beyond) for each in listeners.sockets]
    for place, each in enumerate(spare, _FIRST):
        os.dup2(each, place, inheritable=True)
    told = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(spare))}
    names = {"LISTEN_FDNAMES": _OURS} if listeners.own else {}
    os.execve(command[0], list(command), {**os.environ, **told, **names})  # noqa: S606 - ourselves


def take(descriptor: int) -> socket.socket:
    """One that was handed over; `OperatorError` unless it is a stream that listens."""
    try:
        os.set_inheritable(descriptor, False)
        given = socket.socket(fileno=descriptor)
        listens = given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        raise _refusal(f"descriptor {descriptor} is no socket") from None
    if given.type != socket.SOCK_STREAM or given.family not in _FAMILIES or not listens:
        given.detach()
        raise _refusal(f"descriptor {descriptor} is no stream that listens")
    return given


def _given() -> tuple[socket.socket, ...]:
    """What is meant for this very process; forgotten afterwards, so that no child believes it."""
    whose, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    if whose != str(os.getpid()):
        return ()
    if count not in map(str, range(1, _MOST + 1)):
        raise _refusal(f"LISTEN_FDS is not 1 to {_MOST}")
    return tuple(take(_FIRST + place) for place in range(int(count)))


def _reason(error: OSError) -> str:
    """Without what Python adds to it: the address a second time."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return str(error.strerror or error)
    return os.strerror(error.errno)


def _refusal(what: str) -> OperatorError:
    return OperatorError(f"what was handed over does not fit: {what}", next_=_NEXT)


def _url(scheme: str, listener: socket.socket) -> str:
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
