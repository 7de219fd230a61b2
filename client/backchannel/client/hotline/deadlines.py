"""What time makes of an incident: what is late, and who is called, one more of the ladder for each
time that passes in vain. Pure.
"""

from collections.abc import Sequence
from typing import NamedTuple

from backchannel.client.hotline.incidents import ACKNOWLEDGED, ANSWERED, Case, Ticket
from backchannel.client.hotline.sides import has, others, speaks
from backchannel.protocol.roster import Entry
from backchannel.protocol.types import Slot, Timestamp


class Due(NamedTuple):
    """What is late of a ticket, and who is called."""

    late: str
    """`ack`, `answer`, or nothing."""
    level: int
    """How many of the ladder are called."""
    called: tuple[Slot, ...]


def due(
    ticket: Ticket,
    now: Timestamp,
    seats: Sequence[Entry],
    on_duty: Sequence[Slot],
    ladder: Sequence[Slot],
) -> Due:
    """As it is now, for all cases of a ticket together."""
    there = {party: _there(party, seats) for party in {each.party for each in ticket.cases}}
    found = [_due(each, now, there[each.party], on_duty, ladder) for each in ticket.cases]
    late = {each.late for each in found}
    called = dict.fromkeys(slot for each in found for slot in each.called)
    first = next((each for each in ("ack", "answer") if each in late), "")
    return Due(first, max(each.level for each in found), tuple(called))


def asked_by(ticket: Ticket) -> Timestamp | None:
    """The moment by which the other side is to say something next, unless it has said all."""
    return min(
        (
            Timestamp(each.since + 60 * wait)
            for each in ticket.cases
            if not each.closed and each.reached < ANSWERED
            for wait in (each.asked.respond if each.reached else each.asked.ack,)
        ),
        default=None,
    )


class _There(NamedTuple):
    """Of the parties' members, for something that one party opened."""

    facing: list[Slot]
    """Who stands for the other side."""
    own: set[int]


def _there(party: str, seats: Sequence[Entry]) -> _There:
    facing = others(seats, party)
    return _There(
        [Slot(each.slot) for each in seats if speaks(each.party, each.role, facing)],
        {each.slot for each in seats if has([party], each.party)},
    )


def _due(
    case: Case,
    now: Timestamp,
    there: _There,
    on_duty: Sequence[Slot],
    ladder: Sequence[Slot],
) -> Due:
    if case.closed:
        return Due("", 0, ())
    waited = max(0, now - case.since) // 60
    first = [slot for slot in there.facing if slot in on_duty] or there.facing
    if case.reached >= ACKNOWLEDGED:
        late = case.reached < ANSWERED and waited >= case.asked.respond
        return Due("answer", 0, tuple(first)) if late else Due("", 0, ())
    level = min(waited // case.asked.ack, len(ladder))
    rungs = [slot for slot in ladder[:level] if slot not in there.own]
    late_ack = "ack" if waited >= case.asked.ack else ""
    return Due(late_ack, level, tuple(dict.fromkeys([*first, *rungs])))
