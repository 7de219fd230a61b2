"""Whether relays are reached straight or through a proxy; who went through one goes straight by no
slip.

Owns how a proxy is named, and the mark of a vault that was used through one. Connects to nothing.
"""

import re
from contextlib import suppress
from typing import Final, NamedTuple, Self

from backchannel.client.errors import ProxyWanted, UsageMistake
from backchannel.client.machine.profile import Profile

TOR: Final = "tor"
"""In place of a proxy's address: Tor on this machine."""
STRAIGHT: Final = "none"
"""In its place, too: no proxy, and that is meant."""
_TOR_PLACES = (("127.0.0.1", 9050), ("127.0.0.1", 9150))  # as a service; of the Tor Browser
_FORM = re.compile(r"socks5h?://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")


class Proxy(NamedTuple):
    """Where it may listen: the first place that answers is it."""

    places: tuple[tuple[str, int], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """`socks5h://HOST:PORT`, or `tor`; else `UsageMistake`."""
        if text == TOR:
            return cls(_TOR_PLACES)
        found = _FORM.fullmatch(text)
        if found is None or not 0 < int(found["port"]) <= 0xFFFF:
            msg = "That is not the address of a proxy."
            raise UsageMistake(msg, "give --tor, or --proxy socks5h://HOST:PORT")
        return cls(((found["host"].strip("[]"), int(found["port"])),))

    def __str__(self) -> str:
        return " or ".join(f"{host}:{port}" for host, port in self.places)


def chosen(profile: Profile, said: str | None, *, loopback: bool = False) -> str | None:
    """What connections go through, of what was `said`; none: they go straight. `ProxyWanted` where
    nothing was said, and the vault has been used through a proxy. `loopback`: it is for a relay on
    this machine, to which no proxy leads: that nothing goes there is no use of one.
    """
    if said is None and profile.proxied.exists():
        step = "the same with --tor or --proxy URL, or for good in the settings file: tor = true; "
        msg = "This vault was used through a proxy before. Without one, relays see where you are."
        raise ProxyWanted(f"{msg} Nothing was sent.", f"{step}to go without one: --proxy none")
    if said in (None, STRAIGHT):
        return None
    Proxy.parse(said)
    if not loopback:
        mark(profile)
    return said


def mark(profile: Profile) -> None:
    """From now on the vault goes straight only where that is said."""
    with suppress(FileNotFoundError):  # no vault was made yet, or it went
        profile.proxied.touch(0o600)
