"""What wiping on this machine cannot reach, in words that every verb that wipes shares.

Knows neither vault nor screen: whoever wiped says what, and for how long others keep it.
"""

from typing import Any, Literal

from backchannel.client.telling.phrases import lifetime

What = Literal["thread", "channel", "everything"]

BEFORE = (
    "If somebody has a right to what you hold, or has asked for it, erasing may be an offence: ask "
    "a lawyer first. A short lifetime, set early, serves you better than erasing late."
)
"""For whoever is about to wipe."""


def beyond(what: What, hours: int = 0) -> tuple[str, ...]:
    """Lines for whoever has wiped: what is still elsewhere. `hours` is the longest lifetime of what
    was wiped; 0 where that is not known.
    """
    kept = f"at most {lifetime(hours)} from when it was said" if hours else "until it expires"
    return (
        "This reached this machine alone. It could not reach:",
        f"  - the machines of the others: their programs keep it {kept}",
        "  - the relay: it keeps blocks that it cannot open, until their time there is over",
        "  - what anybody saved, copied by hand, photographed or told",
        "  - older copies of this whole machine, such as a system backup or a snapshot",
        *_MORE[what],
    )


def document(what: What, hours: int = 0) -> dict[str, Any]:
    """The same for programs."""
    return {
        "reached": "this machine",
        "not_reached": ["others", "relay", "saved", "machine-copies", *_NAMES[what]],
        "others_keep_hours": hours or None,
    }


_MORE = {
    "thread": (),
    "channel": (
        "  - a file of `backchannel backup`: it names the channel, and nothing said there",
    ),
    "everything": (
        "  - a file of `backchannel backup`: it names your channels, and nothing said there",
        "  - your settings file, which says that Backchannel was used here",
        "  - a timer that you let run: it goes with `backchannel tick --remove`",
    ),
}
_NAMES: dict[What, tuple[str, ...]] = {
    "thread": (),
    "channel": ("backups",),
    "everything": ("backups", "settings", "timer"),
}
