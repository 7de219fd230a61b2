"""The part of a summary that follows from a channel's state, so that `status` need not open it."""

from typing import Any

import msgspec

from backchannel.client.telling import people
from backchannel.client.telling.documents import alias_at
from backchannel.client.vault.channels import Summary
from backchannel.protocol import limits, standing
from backchannel.protocol.proposal import Proposed, Vouched
from backchannel.protocol.record import agreement
from backchannel.protocol.roster import Entry
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Slot

Document = dict[str, Any]


def described(state: ChannelState) -> Summary:
    """All of it; bare of names while a newcomer waits for its roster."""
    return _standing(state) | (_people(state) if state.roster else _NOBODY)


def _standing(state: ChannelState) -> Summary:
    roster = state.roster
    return {
        "title": state.name,
        "alias": state.alias,
        "role": roster.entry(state.me).role if roster else "",
        "members": len(roster.entries) if roster else 0,
        "lifetime": state.lifetime,
        "policy": msgspec.structs.asdict(state.policy),
        "relays": [[relay.url, relay.key.hex()] for relay in state.relays],
        "waiting": [
            each.join.alias for each in state.guests if each.state == "waiting" and each.join
        ],
        "invites": sum(guest.state == "open" for guest in state.guests),
        "epoch": state.epoch.number,
        "began": state.epoch.began,
        "ended": state.ended,
        "rivals": len(state.rivals),
        "change_waits": state.draft is not None,
        "missing": len(state.transcript.missing),
        "pulse": standing.pulse(state.policy),
        "standing_since": state.standing_since,
    }


_NOBODY: Summary = {
    "not_here": [],
    "unverified": [],
    "leaving": [],
    "agreed": None,
    "differs": [],
    "candidates": [],
    "proposals": [],
    "floor": None,
    "hands": [],
    "heard": [],
    "facilitators": [],
}


def _people(state: ChannelState) -> Summary:
    accounts = agreement(state)
    hours = [each.upto for each in accounts.values()]
    return {
        "agreed": min((hour for hour in hours if hour), default=None) if all(hours) else None,
        "differs": _aliases(state, [slot for slot, each in accounts.items() if each.differs]),
        "not_here": people.not_here(state),
        "unverified": [e.alias for e in people.others(state) if people.mark(state, e.slot)],
        "leaving": _aliases(state, state.leavers),
        "candidates": [_candidate(state, each) for each in state.candidates.values()],
        "proposals": [_proposal(state, name, each) for name, each in state.proposals.items()],
        "floor": None if state.floor is None else alias_at(state, state.floor),
        "hands": _aliases(state, state.hands),
        "heard": [_heard(state, each) for each in people.others(state)],
        "facilitators": [e.alias for e in people.others(state) if e.role == "facilitator"],
    }


def _heard(state: ChannelState, entry: Entry) -> list[Any]:
    """Alias, party, the hour of the newest that came; of the list of members where nothing did."""
    hour = state.alive.get(Slot(entry.slot))
    return [entry.alias, entry.party, hour or state.current().hour, hour is not None]


def _candidate(state: ChannelState, each: Vouched) -> Document:
    return {
        "alias": each.alias,
        "party": each.party,
        "role": each.role,
        "by": alias_at(state, each.by),
        "vouched": _aliases(state, each.vouched),
        "objected": each.objected,
        "mine": state.me in (each.by, *each.vouched),
    }


def _proposal(state: ChannelState, name: bytes, each: Proposed) -> Document:
    closes = each.policy.standing == "closed"
    asked = standing.asked(state, each) if closes else state.current().entries
    return {
        "hash": name.hex(),
        "policy": msgspec.structs.asdict(each.policy),
        "by": alias_at(state, each.by),
        "yes": _aliases(state, each.yes),
        "missing": [entry.alias for entry in asked if entry.slot not in each.yes],
        "no": _aliases(state, each.no),
        "for_me": state.me not in (*each.yes, *each.no) and _has_voice(state, each),
        "closes": closes,
        "ends": each.hour + limits.CLOSING_HOURS + limits.CLOSING_LATE if closes else None,
    }


def _has_voice(state: ChannelState, each: Proposed) -> bool:
    asked = {entry.slot for entry in standing.asked(state, each)}
    return each.policy.standing != "closed" or state.me in asked


def _aliases(
    state: ChannelState, slots: "dict[Slot, Any] | list[Slot] | tuple[Slot, ...]"
) -> list[str]:
    return [alias_at(state, slot) for slot in slots]
