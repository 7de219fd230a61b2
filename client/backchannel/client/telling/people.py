"""How members are called on a screen: an alias, and beside it what is not settled about them.

Looks at state only. Whose words were never compared, or who came back with other keys, is marked
wherever the name stands, until somebody has compared words.
"""

from typing import Any

from backchannel.client.errors import NotFound
from backchannel.client.telling.documents import alias_at
from backchannel.protocol.alias import alike
from backchannel.protocol.assent import identities, verified
from backchannel.protocol.outcome import NOBODY
from backchannel.protocol.roster import Entry, Roster
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour, Slot

UNVERIFIED, NEW_KEYS, GONE = "unverified", "new keys", "gone"
SOMEBODY = "somebody"


def alias(state: ChannelState, slot: int) -> str:
    """The bare name; that of somebody who went, as long as its words can be read."""
    return alias_at(state, slot) or SOMEBODY


def mark(state: ChannelState, slot: int) -> str:
    """What is to be said beside the name, or nothing."""
    entry = _entry(state.roster, slot)
    if slot in (NOBODY, state.me):
        return ""
    if entry is None:
        return GONE
    if verified(state, Slot(slot)):
        return ""
    return NEW_KEYS if _stood_before(state, entry) else UNVERIFIED


def shown(state: ChannelState, slot: int) -> str:
    """`Heron`, `Heron (unverified)`, `Heron (new keys)`."""
    beside = mark(state, slot)
    return f"{alias(state, slot)} ({beside})" if beside else alias(state, slot)


def named(state: ChannelState, alias: str) -> Entry:
    """Who stands here under a name that somebody typed; `NotFound` where nobody does."""
    entry = state.current().named(alias)
    if entry is None:
        msg = f"Nobody called {alias} is here. Nothing was done."
        raise NotFound(msg, "backchannel members")
    return entry


def others(state: ChannelState) -> tuple[Entry, ...]:
    """Everybody but oneself."""
    return tuple(each for each in state.current().entries if each.slot != state.me)


def has_compared(state: ChannelState, slot: int) -> bool:
    """Whether that member says to have compared the words of exactly who is here now."""
    return state.compared.get(Slot(slot)) == identities(state.current())


def is_here(state: ChannelState, slot: int) -> bool:
    """Whether a member has shown to be in this epoch: by a post or an echo, or, where it did not
    come from the epoch before, by its line.
    """
    if slot == state.me:
        return True
    ended = [each.ending.roster for each in state.epochs if each.ending]
    before = max(ended, key=lambda roster: roster.version, default=None)
    if before is not None and _entry(before, slot) is not None:
        now = state.current()
        issued = now.issuer == slot and now.version > before.version
        return issued or state.come.get(Slot(slot), 0) > before.version
    peer = state.peers.get(Slot(slot))
    answered = peer is not None and peer.line is not None and peer.line.answered
    return answered or state.alive.get(Slot(slot), Hour(0)) >= state.epoch.began


def not_here(state: ChannelState) -> list[str]:
    """Who has not come along to this epoch."""
    return [each.alias for each in others(state) if not is_here(state, each.slot)]


def member(state: ChannelState, entry: Entry) -> dict[str, Any]:
    """What a document says of one member."""
    slot = Slot(entry.slot)
    return {
        "alias": entry.alias,
        "party": entry.party,
        "role": entry.role,
        "you": slot == state.me,
        "verified": verified(state, slot),
        "mark": mark(state, slot),
        "compared": has_compared(state, slot),
        "here": is_here(state, slot),
        "leaving": slot in state.leavers,
        "floor": state.floor == slot,
        "hand": slot in state.hands,
    }


def _entry(roster: Roster | None, slot: int) -> Entry | None:
    entries = roster.entries if roster else ()
    return next((each for each in entries if each.slot == slot), None)


def _stood_before(state: ChannelState, entry: Entry) -> bool:
    """Whether somebody with other keys had that name in an epoch that can still be read."""
    before = [each.ending.roster for each in state.epochs if each.ending]
    return any(
        alike(old.alias, entry.alias) and old.identity != entry.identity
        for roster in before
        for old in roster.entries
    )
