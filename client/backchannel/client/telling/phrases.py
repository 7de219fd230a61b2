"""How hours and lifetimes are said to people. Hours are UTC: the wire knows nothing finer."""

from datetime import UTC, datetime
from typing import Final

from backchannel.client.ui import iso
from backchannel.protocol.types import Hour, Timestamp, start_of

DENIABLE: Final = (
    "Nobody signs anything. Everybody in the channel can be sure who said what, and nobody can "
    "prove it to an outsider, since any member can write a record of things that were never said, "
    "which is accepted like a real one: `backchannel forge` does it, try it. But a photograph of a "
    "screen, or a member who tells, can still harm you."
)
"""What deniability means, for who joins or convenes."""
SOON = 6  # hours before they expire that people are warned of unread messages
_DAY = 24
_KILO = 1000


def lifetime(hours: int) -> str:
    """`7 days`, `36 hours`, `1 hour`."""
    days, rest = divmod(hours, _DAY)
    if not rest and days > 1:
        return f"{days} days"
    return f"{hours} hour{'s' if hours != 1 else ''}"


def life(hours: int, burn: int) -> str:
    """`7 days`, `7 days, and 2 hours once read`."""
    return f"{lifetime(hours)}, and {lifetime(burn)} once read" if burn else lifetime(hours)


def left(expires: Hour, now: Hour) -> str:
    """`6 days 23 h left`, `under 1 h left`."""
    return hours_left(expires - now)


def hours_left(span: int) -> str:
    """The same for a number of hours."""
    days, hours = divmod(max(0, span), _DAY)
    parts = [f"{days} day{'s' if days != 1 else ''}"] if days else []
    parts += [f"{hours} h"] if hours else []
    if parts in ([], ["1 h"]):
        return "under 1 h left"
    return f"{' '.join(parts)} left"


def date(hour: Hour) -> str:
    """`2 July 2026`."""
    moment = _moment(hour)
    return f"{moment.day} {moment.strftime('%B %Y')}"


def hour_of_day(hour: Hour) -> str:
    """`Thursday 2 July, 14:00 UTC`."""
    moment = _moment(hour)
    return f"{moment.strftime('%A')} {moment.day} {moment.strftime('%B, %H:00')} UTC"


def both_clocks(hour: Hour) -> str:
    """`Thursday 2 July, 14:00 UTC`, and behind it `(16:00 here)` where clocks say something else:
    who reads what is urgent does not reckon.
    """
    here = datetime.fromtimestamp(start_of(hour), UTC).astimezone()
    local = "" if not here.utcoffset() else f" ({here.strftime('%H:%M')} here)"
    return hour_of_day(hour) + local


def minutes(count: int) -> str:
    """`45 min`, `6 h`, `6 h 30 min`."""
    hours, rest = divmod(count, 60)
    parts = ([f"{hours} h"] if hours else []) + ([f"{rest} min"] if rest or not hours else [])
    return " ".join(parts)


def clock_time(moment: Timestamp) -> str:
    """`14:00`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M")


def stamp(hour: Hour) -> str:
    """`2026-07-02T14:00Z`."""
    return iso(start_of(hour))


_ENDED = {
    "used": "This invite was used already: each is good for one person, once.",
    "refused": "The facilitator did not admit this request.",
    "burnt": "Two people answered this invite, so nobody is admitted on it.",
    "withdrawn": "This invite was withdrawn.",
    "expired": "This invite has expired.",
}


def ended(reason: str) -> str:
    """Why a lobby waits for nobody; nothing while it still does."""
    return _ENDED.get(reason, "")


_OVER = {
    "removed": "a facilitator has removed you",
    "compromised": "your device was reported as lost or taken",
    "left": "you have left",
    "replaced": "somebody has taken your place",
}


def over(reason: str) -> str:
    """Why one is a member no more."""
    if reason == "closed":
        return "This channel is closed for good. What was said can be read until it expires."
    return f"You are a member no more: {_OVER.get(reason, reason)}."


def missing(posts: int) -> str:
    """What others have and this machine has not."""
    return f"{count(posts, 'post')} that others saw {'has' if posts == 1 else 'have'} not arrived."


def not_shown(reason: str, number: int) -> tuple[str, str]:
    """What cannot be opened and why, in words, and what to do about it."""
    text, step = _NOT_SHOWN[reason]
    nouns = {"block": count(number, "block"), "item": count(number, "item")}
    nouns["was"] = "was" if number == 1 else "were"
    nouns["post"] = missing(number)
    return text.format(**nouns), step


_NOT_SHOWN: Final = {
    "expired-unread": (
        "{item} expired unread: nobody can open them any more.",
        "ask for it to be said again; in time for the next: backchannel read --follow",
    ),
    "missed": (
        "{block} expired at the relay before this machine fetched them.",
        "ask the others what was said; for the next, sync more often",
    ),
    "refused": (
        "{block} refused: not of this channel, or damaged.",
        "nothing; if there are more each day, tell the facilitator",
    ),
    "suspended": (
        "{item} came that {was} said after the channel was suspended: not shown.",
        "nothing; it is said again by whoever wants to, once a facilitator resumes the channel",
    ),
    "missing": (
        "{post}",
        "backchannel sync; where its relay is gone, ask others for a courier file",
    ),
    "off-record": (
        (
            "{item} off the record {was} not shown: the vault was not unlocked when they came, or "
            "was locked since."
        ),
        "ask for it to be said again, after: backchannel unlock",
    ),
}
"""By the reason's code, which programs are told."""


def soon(number: int) -> str:
    """A warning of what is about to expire unread."""
    verb = "expires" if number == 1 else "expire"
    return f"{count(number, 'unread item')} {verb} within {SOON} hours."


def count(number: int, noun: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size(octets: int) -> str:
    """`640 bytes`, `12 kB`, `2.1 MB`."""
    if octets < _KILO:
        return count(octets, "byte")
    if octets < _KILO * _KILO:
        return f"{round(octets / _KILO)} kB"
    return f"{octets / _KILO / _KILO:.1f} MB"


def listed(names: list[str]) -> str:
    """`Heron`, `Heron and Ibis`, `Heron, Ibis and Wren`."""
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last


_TAKEN: Final = (
    "another name; or first, to withdraw an invite: backchannel refuse ALIAS; "
    "for somebody who comes back: backchannel remove ALIAS"
)
_WAYS_OUT: Final = (
    ("has the floor", "backchannel hand raise"),
    ("not a member", "backchannel channel list"),
    ("does not", "backchannel whoami"),
    ("only a facilitator", "backchannel whoami"),
    ("keys has not reached", "backchannel sync"),
    ("come back from the relay", "backchannel sync"),
    ("name is taken", _TAKEN),
    ("only made shorter", "backchannel thread list"),
    ("began a thread", "backchannel whoami"),
    ("no longer than its channel", "backchannel policy"),
    ("stand against each other", "backchannel alarms"),
    ("is presented", "backchannel lobby"),
    ("of that name waits", "backchannel lobby"),
    ("of that name is here", "backchannel members"),
    ("each party has agreed", "backchannel policy"),
    ("channel is closed", "backchannel channel list"),
)
"""Part of a refusal, and the command that leads on from it."""


def way_out(refusal: str) -> str:
    """What to type after a refusal: where things stand, unless something leads further."""
    return next((command for part, command in _WAYS_OUT if part in refusal), "backchannel status")


def sentence(text: str) -> str:
    """A library's lower-case clause as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _moment(hour: Hour) -> datetime:
    return datetime.fromtimestamp(start_of(hour), UTC)
