"""How alive the line is: of each party when it was heard last, and what that means by how often the
members of its channel tell that they are there.

Pure. Knows no vault and no relay; who was never asked is not called silent, so it reckons up to
when this machine last read.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from backchannel.client.telling import phrases
from backchannel.protocol.types import Hour

Sign = Literal["alive", "late", "silent", "unwatched"]
"""It keeps its rhythm; missed it once or twice; missed it three times; or the channel has none."""

GRACE: Final = 2
"""Hours: clocks are one apart, and who is heard late in one hour is heard early in another."""
MISSED: Final = 3
"""Heartbeats in a row that make a silence: who closes a laptop for a night is late, not silent."""

_DAY: Final = 24


class Heard(NamedTuple):
    """A member, and the hour of the newest that came of it."""

    alias: str
    party: str
    hour: Hour
    """Of the list of members, where nothing has come yet."""
    ever: bool


class Pulse(NamedTuple):
    """A party or a member, as it sounds."""

    name: str
    sign: Sign
    hour: Hour
    ever: bool
    hours: int
    """For which it was not heard, up to when this machine read."""


def sign(hours: int, pulse: int) -> Sign:
    """What it means not to hear somebody for some hours who tells every `pulse` hours; 0: never."""
    if not pulse:
        return "unwatched"
    if hours <= pulse + GRACE:
        return "alive"
    return "late" if hours <= MISSED * pulse + GRACE else "silent"


def members(heard: Iterable[Heard], pulse: int, read: Hour) -> list[Pulse]:
    """Each of the others, as at hour `read`."""
    return [_pulse(each.alias, each, pulse, read) for each in heard]


def parties(heard: Iterable[Heard], pulse: int, read: Hour) -> list[Pulse]:
    """The same for each party: it is as alive as who was heard of it last."""
    newest: dict[str, Heard] = {}
    for each in heard:
        known = newest.get(each.party)
        if known is None or (each.hour, each.ever) > (known.hour, known.ever):
            newest[each.party] = each
    return [_pulse(party, each, pulse, read) for party, each in newest.items()]


def _pulse(name: str, heard: Heard, pulse: int, read: Hour) -> Pulse:
    hours = max(0, read - heard.hour)
    return Pulse(name, sign(hours, pulse), heard.hour, heard.ever, hours)


def crossed(before: Iterable[str], now: Iterable[Pulse]) -> tuple[list[str], list[str]]:
    """Who has fallen silent since it was last looked, and all who are."""
    silent = [each.name for each in now if each.sign == "silent"]
    return [name for name in silent if name not in set(before)], silent


def document(each: Pulse) -> dict[str, Any]:
    """For programs."""
    return {
        "state": each.sign,
        "heard_at": phrases.stamp(each.hour) if each.ever else None,
        "hours": each.hours,
    }


def span(hours: int) -> str:
    """`30 hours`, `19 days`: what is long need not be exact."""
    return phrases.lifetime(hours if hours < 2 * _DAY else hours - hours % _DAY)


def line(name: str, about: Mapping[str, Any]) -> str:
    """`Party South: alive, 2 hours ago.`"""
    ago = span(about["hours"])
    if about["heard_at"] is None:
        return f"{name}: not heard yet{f', for {ago}' if about['hours'] else ''}."
    if about["state"] == "silent":
        return f"{name}: SILENT for {ago}."
    word = {"alive": "alive, ", "late": "late, last heard "}.get(about["state"], "last heard ")
    return f"{name}: {word}{f'{ago} ago' if about['hours'] else 'within the hour'}."
