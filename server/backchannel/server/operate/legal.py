"""What this server holds, as a text for answering a request: every figure from the store as it is.

Claims only what tests measure. Opens no block and names no drop.
"""

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from backchannel.protocol import limits
from backchannel.protocol.types import Hour
from backchannel.server.operate.holdings import Survey, lifetime

_WIDTH: Final = 78
_MEANT: Final = {
    "drops": "a place for blocks, without a name, an owner or a date",
    "blocks": "where a block stands; the block itself, encrypted twice, is called sealed",
    "bodies": "the same block's noise, in a table for each hour in which something ends",
    "vouchers": "a hash of one that is not used yet; not to whom it was given",
    "alembic_version": "the version of these tables",
}
_ABSENT: Final = (
    "a name, an account, an e-mail address or a telephone number of anybody",
    "a network address, or a record of connections",
    "a record of who reads, writes to or belongs to a drop, or of what two drops have in common",
    "whose a block is: all of a drop come under one credential, which its members share",
    "a time finer than an hour",
    "a key that opens what people wrote",
    "in any backup that this program made: a block, or a key that opens one",
)
_ENDED: Final = "a block whose hour has passed, or a key that opens a copy of one"


def absent(store: Survey) -> list[str]:
    """What a relay does not hold."""
    return [*_ABSENT, *([] if _over(store) else [_ENDED])]


def letter(store: Survey) -> list[str]:
    """The text, in lines."""
    return [
        f"What this Backchannel relay holds, {_time(store.now)}",
        "",
        *_said(
            "This server keeps blocks of 4,096 bytes for other people's programs and forgets them "
            "by the clock. What follows is all that it holds; the figures come from its store."
        ),
        "",
        "In its database now, by table and column",
        *_tables(store),
        *_hours(store),
        *_overdue(store),
        "",
        "Beside the database",
        *_item(
            f"{store.keys} expiry {_keys(store.keys)}, its own two keys and its configuration. "
            "Each expiry key is overwritten where it stands in the hour when its blocks end."
        ),
        "",
        "Why it cannot be read here",
        *_said(
            "Blocks are encrypted on the devices of the people who use them, under keys that this "
            "server never has. It encrypts each once more, under a key that it destroys with the "
            f"block's hour, at most {lifetime(max(limits.CLASSES))} after it came. A copy made "
            "today would hold what stands above, as noise; what has ended cannot be brought back."
        ),
        "",
        "What it does not hold",
        *(line for each in absent(store) for line in _item(each)),
        "",
        "What can be seen while it runs, and is not written down",
        *_item("from which network address a connection comes, as long as it is open"),
        *_item("when and how much a drop is used"),
    ]


def _tables(store: Survey) -> Iterator[str]:
    for name, columns in store.columns.items():
        meant = _MEANT.get(name, "")
        yield from _item(f"{name}: {store.rows[name]}; of each {', '.join(columns)} ({meant})")


def _hours(store: Survey) -> Iterator[str]:
    if store.first is not None and store.last is not None:
        first, last = _time(store.first), _time(store.last)
        yield from _item(f"the oldest block came in the hour from {first}; the last ends {last}")


def _overdue(store: Survey) -> Iterator[str]:
    over = _over(store)
    if over:
        said = f"{over} of the blocks are past their hour: the relay, when it runs, destroys them"
        yield from _item(said)


def _over(store: Survey) -> int:
    return sum(kept.over for kept in store.classes)


def _keys(count: int) -> str:
    return "key" if count == 1 else "keys"


def _item(said: str) -> list[str]:
    return textwrap.wrap(said, _WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _said(said: str) -> list[str]:
    return textwrap.wrap(said, _WIDTH)


def _time(hour: Hour) -> str:
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%d %B %Y, %H:00 UTC}"
