"""What becomes of a signal of a hotline on this machine: a message that dies in its hour, or a note
of when a test went and came. Knows the vault's shapes, and no vault.
"""

import json
from typing import Any

import msgspec

from backchannel.client.hotline import testing
from backchannel.client.hotline.incidents import Spoken
from backchannel.client.hotline.sides import sides
from backchannel.client.vault.messages import Message
from backchannel.protocol.alias import alike
from backchannel.protocol.codec import encode
from backchannel.protocol.content import read_content
from backchannel.protocol.hotline import Attend, Coming, Convene, Heard, Incident, Test
from backchannel.protocol.outcome import Rang
from backchannel.protocol.roster import Entry
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import MAIN_THREAD, Hour, Timestamp, start_of

KIND = "signal"
_SAID = Incident | Attend | Convene | Coming


def message(state: ChannelState, rang: Rang, now: Timestamp) -> Message | None:
    """What the vault keeps of it, with who said it and when it came; None of a test, an echo and a
    duty list: those say nothing that is read later.
    """
    if not isinstance(rang.signal, _SAID):
        return None
    author = _entry(state, rang.author)
    plain = {
        "kind": KIND,
        "from": author.alias if author else "",
        "party": author.party if author else "",
        "role": author.role if author else "",
        "came": now,
        "signal": encode(rang.signal).hex(),
    }
    return Message(
        *(state.id, rang.hash, rang.id, rang.author, MAIN_THREAD, rang.hour, rang.order),
        *(rang.expires, msgspec.json.encode(plain)),
    )


def spoken(found: Message) -> Spoken | None:
    """The same again; None for a message of another kind."""
    plain: dict[str, Any] = json.loads(found.plain)
    if plain["kind"] != KIND:
        return None
    return Spoken(
        *(found.hour, found.order, found.content, found.id, found.author),
        *(plain["from"], plain["party"], plain["role"], Timestamp(plain["came"]), found.expires),
        read_content(bytes.fromhex(plain["signal"])),
    )


def noted(about: dict[str, Any], state: ChannelState, rang: Rang, now: Timestamp) -> dict[str, Any]:
    """What a summary says of tests, after this."""
    author, signal = _entry(state, rang.author), rang.signal
    if author is None:
        return about
    party = _spelt(state, author.party)
    if isinstance(signal, Test):
        if rang.author == state.me:
            about = testing.sent(about, rang.id.hex(), testing.WITHIN, now)
        when = min(now, start_of(Hour(rang.hour + 1)))
        return testing.heard(about, party, Timestamp(when))
    if isinstance(signal, Heard) and signal.test.slot == state.me:
        return testing.echoed(about, signal.test.id.hex(), party, now)
    return about


def _spelt(state: ChannelState, party: str) -> str:
    """As the side is called."""
    return next((each for each in sides(state.current().entries) if alike(each, party)), party)


def _entry(state: ChannelState, slot: int) -> Entry | None:
    entries = state.roster.entries if state.roster else ()
    return next((each for each in entries if each.slot == slot), None)
