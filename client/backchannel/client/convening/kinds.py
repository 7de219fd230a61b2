"""The kinds of channels that a facilitator picks from: one table, in plain words.

What a kind suggests may be decided otherwise when a channel is opened; what it holds may not, and
every member's program sees to that: `protocol.format`. Knows no channel.
"""

from typing import NamedTuple

from backchannel.client.errors import UsageMistake
from backchannel.client.telling import phrases
from backchannel.protocol.errors import RemoteProtocolError
from backchannel.protocol.format import ATTRIBUTED, HOURS, PARTIES, check_format
from backchannel.protocol.roster import Format, Policy, Role

_DAY, _WEEK = 24, 168


class Kind(NamedTuple):
    """One row: a name, and what a channel of it begins with."""

    name: str
    format: Format
    about: str
    lifetime: int
    """Hours that content is kept, unless decided otherwise; so with all that follows."""
    unattributed: int
    """How many people must be about for an unattributed post; 0: there are none."""
    vouches: int
    """How many members stand up for somebody before the door opens."""
    pulse: int
    """Hours between heartbeats."""
    roles: tuple[Role, ...]
    """Who is usually invited."""
    threads: tuple[tuple[str, int | None], ...]
    """Topics of the first threads, with hours of their own or the channel's."""

    @property
    def holds(self) -> list[str]:
        """What nobody in such a channel can set aside, in a few words each."""
        most, hours, rules = PARTIES.get(self.format), HOURS.get(self.format), []
        if most is not None:
            rules.append(f"{'one party' if most == 1 else f'{most} parties'} besides yours")
        if hours is not None:
            rules.append(f"content kept for at most {phrases.lifetime(hours)}")
        if self.format in ATTRIBUTED:
            rules.append("nothing unattributed")
        return rules


_TABLE: tuple[Role, ...] = ("participant", "observer", "note-taker")
KINDS: tuple[Kind, ...] = (
    Kind("plenary", "plenary", "Everybody speaks with everybody.", _WEEK, 0, 0, _DAY, _TABLE, ()),
    Kind(
        "bilateral", "bilateral", "Two sides, and whoever facilitates.",
        72, 0, 0, _DAY, _TABLE, (),
    ),
    Kind(
        "shuttle", "shuttle",
        "One leg of two: you carry to the other what was released.",
        48, 0, 0, _DAY, ("participant",), (),
    ),
    Kind(
        "hotline", "hotline", "A line that stays open: short, urgent, soon forgotten.",
        _DAY, 0, 0, 1, ("participant",), (),
    ),
    Kind(
        "workshop", "workshop", "Thinking together; ideas without authors are welcome.",
        _WEEK, 4, 0, _DAY, _TABLE,
        (("Needs and fears", _DAY), ("Joint thinking", None), ("Takeaways", None)),
    ),
    Kind("soft", "plenary", "To understand each other; nothing has to be concluded.",
         72, 0, 0, _DAY, _TABLE, ()),
    Kind("hard", "plenary", "To work out options and a text that others can build upon.",
         2 * _WEEK, 0, 0, _DAY, _TABLE, (("Options", None), ("Joint text", None))),
)  # fmt: skip
"""Every template; the last two are plenaries of soft and of hard Track Two."""


def find(name: str) -> Kind:
    """The kind of that name; `UsageMistake`."""
    for each in KINDS:
        if each.name == name:
            return each
    msg = f"There is no kind {name!r} of channel."
    raise UsageMistake(msg, "backchannel channel kinds")


def policy(
    kind: Kind, lifetime: int | None, unattributed: int | None, vouches: int | None
) -> Policy:
    """What the kind suggests, but for what was decided; `UsageMistake` where it forbids that."""
    rules = Policy(
        kind.lifetime if lifetime is None else lifetime,
        kind.format,
        kind.unattributed if unattributed is None else unattributed,
        kind.vouches if vouches is None else vouches,
        kind.pulse,
    )
    try:
        rules.check()
        check_format(rules, ())
    except RemoteProtocolError as error:
        msg = f"{phrases.sentence(str(error))} Nothing was done."
        raise UsageMistake(msg, "backchannel channel kinds") from None
    return rules


def document(kind: Kind) -> dict[str, object]:
    """For programs."""
    return {
        "kind": kind.name,
        "format": kind.format,
        "about": kind.about,
        "expires_hours": kind.lifetime,
        "unattributed": kind.unattributed,
        "vouches": kind.vouches,
        "pulse_hours": kind.pulse,
        "roles": list(kind.roles),
        "threads": [{"topic": topic, "expires_hours": hours} for topic, hours in kind.threads],
        "holds": kind.holds,
    }


def described(kind: Kind) -> list[str]:
    """For people: what it is for, what it begins with, what it holds."""
    begins = [f"kept {phrases.lifetime(kind.lifetime)}"]
    begins.append(f"heartbeats {'hourly' if kind.pulse == 1 else 'daily'}")
    if kind.unattributed:
        begins.append(f"unattributed from {kind.unattributed} people on")
    if kind.vouches:
        begins.append(f"{phrases.count(kind.vouches, 'member')} to vouch")
    lines = [f"{kind.name}: {kind.about}", f"  begins with: {'; '.join(begins)}"]
    if kind.threads:
        lines.append(f"  threads: {', '.join(topic for topic, _ in kind.threads)}")
    return [*lines, f"  always: {'; '.join(kind.holds)}"] if kind.holds else lines
