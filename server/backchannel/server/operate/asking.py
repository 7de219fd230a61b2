"""One request to a relay over HTTP, as a client makes it: a connection of its own, no proxy, no
redirection.

Says what is wrong on the way in words that an operator can act on. Knows no key.
"""

import http.client
import json
import socket
import ssl
from contextlib import closing
from typing import Final, NamedTuple, final
from urllib.parse import urlsplit

from backchannel.server.errors import OperatorError

_MOST = 1 << 20  # bytes of an answer: the largest page has some 263,000
_NAME = "get a certificate for this very name, and give tls_cert (or the proxy) its whole chain"
_UNIX = "unix:"

_FAULTS: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (socket.gaierror, "its name is not known", "give the name an A or AAAA record"),
    (ssl.SSLCertVerificationError, "its certificate is not believed", _NAME),
    (ssl.SSLError, "it does not speak TLS", "give serve a certificate, or ask the proxy's port"),
    (ConnectionRefusedError, "nothing listens there", "start relay or proxy; forward the port"),
    (TimeoutError, "no answer comes", "open the port in the firewall and forward it"),
    (OSError, "the connection breaks", "look at the proxy's and the network's own logs"),
    (http.client.HTTPException, "what answers is not HTTP", "ask the port of relay or proxy"),
)


class Said(NamedTuple):
    """An answer, whoever gave it."""

    status: int
    body: bytes

    def json(self) -> dict[str, object]:
        """Empty for what is no document."""
        try:
            said = json.loads(self.body)
        except (ValueError, RecursionError):  # a million brackets, say
            return {}
        return said if isinstance(said, dict) else {}


class Address(NamedTuple):
    """Where a relay listens: `https://name:port`, `http://…`, or `unix:/path`."""

    url: str
    own: bool = False
    """Whether it is the relay of this very machine, which proves itself by its key: then its
    certificate may be of any name.
    """

    def ask(self, path: str, body: bytes | None = None, seconds: float = 15) -> Said:
        """GET, or POST of `body`; `OperatorError` where no answer comes within that many seconds of
        silence.
        """
        try:
            with closing(self._connect(seconds)) as connection:
                headers = {"content-type": "application/octet-stream"} if body else {}
                connection.request("POST" if body else "GET", self._below(path), body, headers)
                answer = connection.getresponse()
                return Said(answer.status, answer.read(_MOST))
        except (OSError, http.client.HTTPException) as error:
            raise _fault(error) from None

    def _below(self, path: str) -> str:
        return path if self.url.startswith(_UNIX) else urlsplit(self.url).path.rstrip("/") + path

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        if self.url.startswith(_UNIX):
            return _Unix(self.url.removeprefix(_UNIX), seconds)
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=seconds)
        context = ssl.create_default_context()
        if self.own:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)


@final
class _Unix(http.client.HTTPConnection):
    """Over a socket that is a file."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _fault(error: Exception) -> OperatorError:
    found = next((said, next_) for kind, said, next_ in _FAULTS if isinstance(error, kind))
    detail = getattr(error, "verify_message", "")
    return OperatorError(f"{found[0]}{detail and ': ' + detail}", next_=found[1])
