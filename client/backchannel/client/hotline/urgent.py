"""How a hotline's board is told: documents for programs, lines for people, what is urgent first.

Pure. What people wrote stands in one line and between quotes, so that it poses as no line of ours.
"""

from typing import Any

from backchannel.client.filter import one_line
from backchannel.client.hotline import duty
from backchannel.client.hotline.board import Board
from backchannel.client.hotline.convenes import Call
from backchannel.client.hotline.deadlines import asked_by
from backchannel.client.hotline.incidents import Case, Spoken, Ticket
from backchannel.client.hotline.testing import Line
from backchannel.client.telling import people, phrases
from backchannel.client.ui import iso
from backchannel.protocol.alias import alike
from backchannel.protocol.hotline import SEVERITY
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour

Document = dict[str, Any]
_MOST = 4  # names of merged incidents in a line

# For programs.


def document(board: Board) -> Document:
    """All of it."""
    return {
        "incidents": [of_ticket(board, each) for each in board.live],
        "calls": [of_call(board, each) for each in board.calls],
        "lines": [of_line(each) for each in board.lines],
        "duty_set": board.state.hotline.duties is not None,
        "gaps": {side: duty.said(when) for side, when in duty.gaps(board.state).items()},
        "test_due": board.test_due,
        "wrong": wrong(board),
    }


def of_ticket(board: Board, ticket: Ticket) -> Document:
    """One incident."""
    first, asked, due = ticket.cases[0], ticket.gravest.asked, board.due(ticket)
    return {
        "kind": "incident",
        "channel": board.channel,
        "id": board.id(ticket),
        "state": ticket.state,
        "severity": SEVERITY[asked.severity],
        "place": asked.place,
        "happened_at": phrases.stamp(Hour(asked.when)),
        "opened_at": phrases.stamp(first.opened),
        "from": first.alias,
        "party": first.party,
        "text": ticket.newest,
        "hold_fire": any(each.asked.hold for each in ticket.cases),
        "ack_minutes": asked.ack,
        "respond_minutes": asked.respond,
        "minutes_open": max(0, board.now - min(each.since for each in ticket.cases)) // 60,
        "late": due.late,
        "level": due.level,
        "called": [people.alias(board.state, slot) for slot in due.called],
        "you_are_called": board.state.me in due.called,
        "closed_by_opener": all(each.closed_here for each in ticket.cases),
        "closed_by_others": all(each.closed_there for each in ticket.cases),
        "merged": [each.name.id.hex()[:8] for each in ticket.cases[1:]],
        "expires_at": phrases.stamp(max(each.expires for each in ticket.said)),
    }


def of_call(board: Board, call: Call) -> Document:
    """One call to convene."""
    return {
        "kind": "convene",
        "channel": board.channel,
        "id": call.by.id.hex()[:8],
        "from": call.by.alias,
        "party": call.by.party,
        "at": phrases.stamp(Hour(call.asked.when)),
        "where": call.asked.where,
        "text": call.asked.about,
        "coming": list(call.coming),
        "not_coming": list(call.not_coming),
        "your_answer": call.mine,
    }


def of_line(line: Line) -> Document:
    """The line to one side."""
    return {
        "party": line.party,
        "echo_seconds": line.echo,
        "tested_at": iso(line.at) if line.at else None,
        "not_echoed_since": iso(line.silent) if line.silent else None,
        "last_test_heard_at": iso(line.heard) if line.heard else None,
        "tests_stopped": line.overdue,
        "alarm": line.alarm,
    }


# For people.


def first(board: Board) -> list[list[str]]:
    """What comes first on a screen: each call and incident in a few lines, then the line itself."""
    return [
        *(call_lines(each) for each in board.calls if each.mine is None),
        *(ticket_lines(board, each) for each in board.live),
        *([each] for each in line_alarms(board)),
    ]


def call_lines(call: Call) -> list[str]:
    """Who calls whom together, when and where."""
    by, when = call.by, phrases.both_clocks(Hour(call.asked.when))
    lines = [
        f"CONVENE: {one_line(by.alias)} ({one_line(by.party)}) calls everybody together: {when}",
        f"  where: {one_line(call.asked.where)}",
        f"  about: {one_line(call.asked.about)}",
    ]
    if call.coming or call.not_coming:
        comes = phrases.listed(list(call.coming)) or "nobody yet"
        lines.append(f"  coming: {comes}; not coming: {len(call.not_coming)}")
    if call.mine is None:
        lines.append("  next: backchannel convene yes, or: backchannel convene no")
    return lines


def ticket_lines(board: Board, ticket: Ticket) -> list[str]:
    """One incident as it stands."""
    first, asked, name = ticket.cases[0], ticket.gravest.asked, board.id(ticket)
    where = f" at {one_line(asked.place)}" if asked.place else ""
    who = f"{one_line(first.alias)} ({one_line(first.party)})"
    when = phrases.both_clocks(Hour(asked.when))
    heading = f"INCIDENT {name}, {SEVERITY[asked.severity]}{where}, {ticket.state}: {who}, {when}"
    lines = [f"{heading}: {_by(ticket.last, first)}“{one_line(ticket.newest)}”"]
    if not ticket.closed and any(each.asked.hold for each in ticket.cases):
        lines.append(f"  {name}: fire is to be held meanwhile.")
    if ticket.cases[1:]:
        others = [each.name.id.hex()[:8] for each in ticket.cases[1:]]
        more = [f"{len(others) - _MOST} others"] if len(others) > _MOST else []
        lines.append(f"  {name}: the same as {phrases.listed([*others[:_MOST], *more])}.")
    return [*lines, *(f"  {name}: {line}" for line in _standing(board, ticket))]


def _by(spoken: Spoken, first: Case) -> str:
    """Whose words they are, where not of who stands before them."""
    who = (spoken.alias, spoken.party)
    same = who == (first.alias, first.party)
    return "" if same else f"{one_line(spoken.alias)} ({one_line(spoken.party)}) says "


def _half_closed(board: Board, ticket: Ticket) -> list[str]:
    half = [each for each in ticket.cases if each.closed_here != each.closed_there]
    if not half:
        return []
    if not board.speaks:
        return ["one side has closed it; it is closed when the other has, too."]
    if any(alike(each.party, board.party) != each.closed_here for each in half):
        step = f"backchannel incident close {board.id(ticket)}"
        return [f"the other side has closed it; yours has not. next: {step}"]
    return ["your side has closed it; it is closed when the other has, too."]


def _standing(board: Board, ticket: Ticket) -> list[str]:
    due, asked = board.due(ticket), ticket.gravest.asked
    late = {
        "ack": f"not acknowledged within {phrases.minutes(asked.ack)}.",
        "answer": f"not answered within {phrases.minutes(asked.respond)}.",
    }
    by, what = asked_by(ticket), "answered" if ticket.reached else "acknowledged"
    waits = [f"to be {what} by {phrases.clock_time(by)} UTC."] if by is not None else []
    lines = [late[due.late]] if due.late else waits
    lines += _half_closed(board, ticket)
    if board.state.me in due.called:
        step = "ack" if not ticket.reached else "update"
        lines.append(f"YOU ARE CALLED. next: backchannel incident {step} {board.id(ticket)}")
    elif due.called:
        called = [one_line(people.alias(board.state, slot)) for slot in due.called]
        lines.append(f"called: {phrases.listed(called)}.")
    return lines


def wrong(board: Board) -> list[str]:
    """What is to be looked at: incidents that call their reader or are late, the line itself."""
    found = []
    for ticket in board.live:
        due = board.due(ticket)
        if due.late or board.state.me in due.called:
            found.append(" ".join(line.strip() for line in ticket_lines(board, ticket)))
    return [*found, *(line for line in line_alarms(board) if line.startswith("ALARM"))]


def line_alarms(board: Board) -> list[str]:
    """What is wrong with the line, and with who should be there."""
    found = []
    for each in board.lines:
        if each.silent:
            sent = phrases.clock_time(each.silent)
            found.append(
                f"ALARM: {one_line(each.party)} has not echoed the test of {sent} UTC. "
                "Use another way: telephone."
            )
        if each.overdue:
            found.append(f"ALARM: The agreed tests of {one_line(each.party)} have stopped coming.")
    found += [f"ALARM: {line}" for line in gap_lines(board.state)]
    if board.test_due:
        found.append("Your side owes a test of the line. next: backchannel hotline test")
    return found


def gap_lines(state: ChannelState) -> list[str]:
    """Hours of a week in which nobody of a side is on duty, where there is a list at all."""
    if state.hotline.duties is None:
        return []
    return [
        f"Nobody of {one_line(side)} is on duty {_hours(when)}. See: backchannel duty check"
        for side, when in duty.gaps(state).items()
    ]


def _hours(when: set[int]) -> str:
    return "at all" if len(when) == duty.WEEK else f"for {len(when)} hours of the week"
