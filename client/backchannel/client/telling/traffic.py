"""What cover and whole pages cost in a day, in plain sentences, before anybody switches them on.

Owns the arithmetic of what goes around blocks on the way. Decides nothing.
"""

from typing import Any, Final, NamedTuple

from backchannel.client.errors import span
from backchannel.client.telling import phrases
from backchannel.client.wire.budget import AROUND
from backchannel.client.wire.stream import GREETING
from backchannel.protocol import cover
from backchannel.protocol.roster import Policy

_DAY: Final = 86_400
_ASKED_EACH: Final = 20  # seconds of a read that waits
_MONTH: Final = 30  # days
_QUOTA: Final = 65_536  # blocks of a drop, unless a relay's operator chose otherwise
_MANY: Final = 10  # blocks: about what follows when somebody is admitted to a small channel


class Cost(NamedTuple):
    """A day's."""

    document: dict[str, Any]
    lines: list[str]


def of_cover(policy: Policy, members: int, relays: int) -> Cost:
    """Of one block in `policy.cover` seconds."""
    cost = cover.budget(members, policy.cover)
    up = cost.up + cost.own * (AROUND + GREETING)
    down = cost.down + (cost.blocks + _DAY // _ASKED_EACH) * AROUND
    held = cover.standing(policy.lifetime, policy.cover)
    document = {**cost._asdict(), "up": up * relays, "down": down * relays, "relays": relays}
    relay, each = phrases.count(relays, "relay"), span(cost.wait)
    rare, many = span(cost.long), span(cost.wait * _MANY)
    sent, read = phrases.size(up * relays), phrases.size(down * relays)
    lines = [
        f"Cover costs, on each of {relay}, whether or not anybody speaks:",
        f"{cost.blocks:,} blocks a day, of which each of {members} members posts {cost.own:,}.",
        f"In all each member sends {sent} and reads {read} a day; {_plan((up + down) * relays)}",
        f"Everything waits for a turn, {each} in the mean; one block in twenty longer than {rare}.",
        f"{_MANY} blocks, as when somebody is admitted, take {many}.",
        "It works for whoever leaves this running: backchannel watch",
    ]
    if policy.format == "hotline":
        lines.append("Tests and incidents wait, too; with --now they do not, and are seen.")
    if held > _QUOTA:
        lines.append(
            f"A drop would hold {held:,} blocks, and a relay takes {_QUOTA:,} of them unless its"
            f" operator chose otherwise: ask for `quota = {held}` in relay.toml first."
        )
    return Cost({**document, "quota": held}, lines)


def of_pages(every: int, drops: int) -> Cost:
    """Of asking for the newest page of so many drops each `every` seconds."""
    moved = (cover.pages(every) + _DAY // every * AROUND) * drops
    document = {"every": every, "drops": drops, "down": moved}
    asked, size = phrases.count(drops, "drop"), phrases.size(moved)
    asked, size = phrases.count(drops, "drop"), phrases.size(moved)
    lines = [
        f"A whole page of {asked} each {span(every)}, new or not: {size} a day; {_plan(moved)}",
        f"What is said comes up to {span(every)} late.",
        "While it runs, look with `read --offline`, and speak with `say --queue`.",
    ]
    return Cost(document, lines)


def _plan(moved: int) -> str:
    """What a telephone's contract makes of it."""
    month, gigabyte = moved * _MONTH, 10**9
    if month < gigabyte / 20:
        return "on a telephone that is next to nothing."
    if month < gigabyte:
        return f"a telephone's gigabyte lasts {gigabyte // moved} days by it."
    return f"that is {month / gigabyte:.1f} GB a month: not for a telephone that pays by size."
