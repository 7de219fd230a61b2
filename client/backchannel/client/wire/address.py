"""The address of a relay: one strict spelling, and whether it may be used. Connects to nothing."""

import re
from typing import NamedTuple

from backchannel.client.errors import UsageMistake
from backchannel.protocol import limits

_FORM = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?/?"
)
_OCTET = r"(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
"""Strict: of what is no octet, a name server would be asked."""
_LOOPBACK = re.compile(rf"localhost|\[::1\]|127(?:\.{_OCTET}){{3}}")
_LONGEST_HOST, _LONGEST_LABEL = 253, 63
_USUAL = {"http": 80, "https": 443}


class Address(NamedTuple):
    """Scheme, host (an IPv6 one in brackets) and port; `str` gives the one spelling."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, allow_http: bool = False) -> "Address":
        """`UsageMistake` for anything but `https://HOST[:PORT]`, or what needs no certificate.

        Without TLS only this machine and onion services are reached, unless `allow_http`.
        """
        found = _FORM.fullmatch(text.strip().lower())
        if found is None or len(text) > limits.URL_BYTES or not _possible(found):
            msg = "That is not the address of a relay."
            raise UsageMistake(
                msg, "write it as https://relay.example or https://relay.example:8443"
            )
        scheme = found["scheme"]
        address = cls(scheme, found["host"], int(found["port"] or _USUAL[scheme]))
        if scheme == "http" and not (address.loopback or address.onion or allow_http):
            msg = "Over http everybody on the way sees that this relay is used, and when."
            raise UsageMistake(
                msg, "use https; in a network you trust, set BACKCHANNEL_ALLOW_HTTP=1"
            )
        return address

    @property
    def loopback(self) -> bool:
        """On this machine."""
        return _LOOPBACK.fullmatch(self.host) is not None

    @property
    def onion(self) -> bool:
        """A Tor service, which authenticates and encrypts by its name."""
        return self.host.endswith(".onion")

    def __str__(self) -> str:
        port = "" if self.port == _USUAL[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def _possible(found: re.Match[str]) -> bool:
    """Whether its sizes are within what names and ports can have."""
    host = found["host"]
    labels_fit = all(len(label) <= _LONGEST_LABEL for label in host.split("."))
    return labels_fit and len(host) <= _LONGEST_HOST and int(found["port"] or 1) <= 0xFFFF
