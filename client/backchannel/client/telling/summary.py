"""What the vault says of a channel without opening its state: counts, names, hours. Imports next
to nothing.

`status` on an unlocked vault reads only this. Who writes it is `session`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from backchannel.client.telling.phrases import SOON
from backchannel.client.vault.channels import Summary
from backchannel.protocol.types import Hour

if TYPE_CHECKING:
    from backchannel.client.vault.drafts import Draft

_NOTICES = 32  # more than anybody reads


class Unread(NamedTuple):
    """Messages that nobody has looked at on this machine."""

    waiting: int
    expired: int
    next_to_expire: Hour | None
    soon: int
    """How many expire within `SOON` hours."""


def fresh(since: Hour, *, founded: bool) -> Summary:
    """Of a channel that begins here."""
    return {
        "since": since,
        "founded": founded,
        "unread": {},
        "expired_unread": 0,
        "refused": 0,
        "missed": 0,
        "unsent": 0,
        "synced_at": 0,
        "alarms": [],
        "notices": [],
        "asked": {},
        "numbered": 0,
        "news": 0,
        "hushed": 0,
        "read_at": since,
        "silent": [],
        "away": None,
        "sealed": None,
    }


def of_drafts(drafts: Iterable["Draft"]) -> Summary:
    """What is said of those that wait, and of those that were refused."""
    told = [
        {"number": each.number, "from": each.start, "until": each.end, "refused": each.refused}
        for each in drafts
    ]
    return {"drafts": told}


def unread(summary: Summary, now: Hour) -> Unread:
    """Which of them still open at `now`."""
    alive = [Hour(expires) for expires in summary["unread"].values() if expires > now]
    expired = summary["expired_unread"] + len(summary["unread"]) - len(alive)
    soon = sum(expires - now <= SOON for expires in alive)
    return Unread(len(alive), expired, min(alive, default=None), soon)


def name_of(content: bytes) -> str:
    """What a summary calls a message: enough to tell it from others."""
    return content.hex()[:16]


def settle(summary: Summary, now: Hour) -> None:
    """Count what has expired unread, and let go of its name."""
    left = {name: expires for name, expires in summary["unread"].items() if expires > now}
    summary["expired_unread"] += len(summary["unread"]) - len(left)
    summary["unread"] = left
    summary["asked"] = {name: ends for name, ends in summary["asked"].items() if ends > now}


def alarm(summary: Summary, kind: str, alias: str, name: bytes, now: Hour) -> None:
    """Keep an alarm until somebody has seen it; of one kind and member the first."""
    known = [(each["kind"], each["alias"]) for each in summary["alarms"]]
    if (kind, alias) not in known:
        new = {"kind": kind, "alias": alias, "name": name.hex(), "at": now}
        summary["alarms"] = [*summary["alarms"], new]


def notice(summary: Summary, what: str, now: Hour, alias: str = "", detail: str = "") -> None:
    """Keep a piece of news until somebody has seen it; the newest are kept."""
    new = {"what": what, "alias": alias, "detail": detail, "at": now}
    summary["notices"] = [*summary["notices"], new][-_NOTICES:]


def pins(summaries: list[Summary]) -> dict[str, str]:
    """The relay keys, in hex, that were trusted before: by address."""
    known: dict[str, str] = {}
    for summary in summaries:
        relays: list[list[Any]] = summary.get("relays", [])
        known.update((str(url), str(key)) for url, key in relays)
    return known
