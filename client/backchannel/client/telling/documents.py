"""What the vault keeps of an event that people read: a document for each kind, sealed until its
hour. Aliases are those of the time: a place in the roster may be somebody else's later.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from backchannel.client.vault.messages import Message
from backchannel.protocol.content import AUTHORITY, RELEASE
from backchannel.protocol.outcome import NOBODY, Acted, Offered, Released, Rephrased, Said
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import MAIN_THREAD, ContentHash, Hour, MessageId, Slot

Document = dict[str, Any]
Readable = Said | Offered | Rephrased | Released | Acted
"""Events that become a message of the vault."""


def alias_at(state: ChannelState, slot: int) -> str:
    """How a member is called now, or was when it last stood in a roster that is known; empty for
    nobody.
    """
    rosters = [state.roster, *(each.ending.roster for each in state.epochs[::-1] if each.ending)]
    for roster in rosters:
        for entry in roster.entries if roster else ():
            if entry.slot == slot:
                return entry.alias
    return "" if slot == NOBODY else f"member {slot}"


def of_event(state: ChannelState, event: Readable, hour: Hour, number: int) -> Message:
    """The message that an event becomes; `hour` is that of its coming, where it has no other, and
    `number` what people call it by on this machine.
    """
    match event:
        case Said():
            return _message(state, event, _said(state, event) | {"number": number})
        case Offered():
            return _message(state, event, _offered(state, event) | {"number": number})
        case Rephrased():
            plain = {"kind": "paraphrase", "about": event.about.hex(), "text": event.text}
        case Released():
            plain = {"kind": "release", "about": event.about.hex(), "words": event.words.hex()}
        case Acted():
            return _acted(state, event, number)
    plain["from"] = alias_at(state, event.author)
    name = ContentHash(hashlib.sha256(_pack(plain)).digest())
    ident = MessageId(name[:16])
    order = state.transcript.next_order
    return Message(
        *(state.id, name, ident, event.author, MAIN_THREAD, hour, order),
        *(event.expires, _pack(plain | {"number": number})),
    )


def cores_of(messages: Iterable[Message]) -> set[ContentHash]:
    """Names of the cores that texts came in, part by part. What carried a file opens only with the
    file's key, which stands in its message.
    """
    found = {each.content for each in messages}
    for each in messages:
        leaves = json.loads(each.plain).get("leaves", ())
        found |= {ContentHash(bytes.fromhex(core)) for core, _ in leaves}
    return found


def _said(state: ChannelState, said: Said) -> Document:
    plain: Document = {
        "kind": "text",
        "from": alias_at(state, said.author),
        "text": said.text,
        "authority": AUTHORITY[said.authority],
        "release": RELEASE[said.release],
        "carried": said.carried,
        "about": said.about.hex(),
        "quote": said.quote,
        "out_of_turn": said.out_of_turn,
        "burn": said.burn,
        "off": said.off,
        "leaves": [[leaf.core.hex(), leaf.key.expose().hex()] for leaf in said.leaves],
    }
    if said.to is not None:
        plain |= {"kind": "note", "to": alias_at(state, said.to)}
    return plain


def _offered(state: ChannelState, file: Offered) -> Document:
    return {
        "kind": "file",
        "from": alias_at(state, file.author),
        "name": file.name,
        "size": file.size,
        "key": file.key.expose().hex(),
        "index": [core.hex() for core in file.names],
        "burn": file.burn,
    }


def _message(state: ChannelState, event: Said | Offered, plain: Document) -> Message:
    return Message(
        *(state.id, event.hash, event.id, event.author, event.thread, event.hour, event.order),
        *(event.expires, _pack(plain)),
        off=isinstance(event, Said) and event.off,
    )


def _acted(state: ChannelState, acted: Acted, number: int) -> Message:
    """Of nobody's slot: who it was stands in the document."""
    plain = {
        "kind": "act",
        "from": acted.by,
        "version": acted.version,
        "changes": [change._asdict() for change in acted.changes],
        "number": number,
    }
    name, order = ContentHash(acted.hash), state.transcript.next_order
    return Message(
        *(state.id, name, MessageId(name[:16]), Slot(NOBODY), MAIN_THREAD, acted.hour, order),
        *(acted.expires, _pack(plain)),
    )


def _pack(plain: Document) -> bytes:
    return msgspec.json.encode(plain)
