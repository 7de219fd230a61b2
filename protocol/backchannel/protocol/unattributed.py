"""A post that nobody in particular wrote: SPEC.md section 15. Kind 2.

```
unattributed core = head 21 | commitment 32 | AEAD 4003 of pad(encoded record, 3987)
```
Keyed by epoch and hour alone: whoever has the epoch's keys can have made it. Knows neither who may
nor when.
"""

import unicodedata
from typing import Annotated, Final

from msgspec import Meta

from backchannel.protocol.codec import Record, decode, encode
from backchannel.protocol.core import Clock, Head
from backchannel.protocol.epoch import unattributed_secret
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.roster import PIECE, Id, Lifetime, open_piece, seal_piece
from backchannel.protocol.secret import EpochSecret
from backchannel.protocol.types import Core

MOST: Final = PIECE - 1 - 18 - 3 - 3
"""Bytes of text: the encoding adds the array, the thread, a lifetime and a length."""

NOT_PROTECTED: Final = (
    "Nothing in others' records or on the relay says who wrote an unattributed message.",
    "In a small group people may guess, and in a group of four a guess is often right.",
    "A relay and one member together can name an author who does not use Tor.",
    "Your words may give you away: how you write, and what only you could know.",
    "One person can write many: never count opinions by them.",
    "Until it is sent, your device holds it.",
)
"""What to tell people before they speak so."""


class Unattributed(Record, frozen=True):
    """Its text. No order: it would show what its author had read."""

    thread: Id
    lifetime: Lifetime
    text: Annotated[str, Meta(min_length=1)]


def seal_unattributed(post: Unattributed, secret: EpochSecret, clock: Clock, head: Head) -> Core:
    """A core; `DecodeError` for a text that no reader would take, or that does not fit."""
    try:
        data, size = encode(post), len(post.text.encode())
    except UnicodeEncodeError:
        msg = "a text holds half a character"
        raise DecodeError(msg) from None
    if size > MOST:
        msg = f"an unattributed message is one block: at most {MOST:,} bytes of text"
        raise DecodeError(msg)
    _read(data)
    return seal_piece(data, unattributed_secret(secret), clock, head)


def open_unattributed(core: Core, secret: EpochSecret, clock: Clock, head: Head) -> Unattributed:
    """What it says; a `RemoteProtocolError` where it does not open."""
    return _read(open_piece(core, unattributed_secret(secret), clock, head))


def _read(data: bytes) -> Unattributed:
    post = decode(data, Unattributed, PIECE)
    if not unicodedata.is_normalized("NFC", post.text):
        msg = "a text is not in the form NFC"
        raise DecodeError(msg)
    return post
