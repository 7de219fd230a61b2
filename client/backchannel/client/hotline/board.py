"""A hotline at one moment: incidents and whom they call, calls to convene, whether it carries.

Read from the vault, since what was said stands nowhere else. How it is told stands in `urgent`.
"""

from typing import Any, Final, NamedTuple

from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.hotline import convenes, deadlines, duty, incidents, ringing, testing
from backchannel.client.hotline.convenes import Call
from backchannel.client.hotline.deadlines import Due
from backchannel.client.hotline.incidents import Spoken, Ticket
from backchannel.client.hotline.sides import sides, speaks
from backchannel.client.hotline.testing import Line
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.vault import Vault
from backchannel.protocol.hotline import hour_of_week
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour, Slot, Timestamp, hour_of, start_of
from backchannel.protocol.watch import on_duty

Document = dict[str, Any]
_SHORTEST = 4  # digits of an incident's id

KIND: Final = "hotline"


class Board(NamedTuple):
    """One hotline at one moment."""

    channel: str
    state: ChannelState
    now: Timestamp
    tickets: list[Ticket]
    calls: list[Call]
    about: Document
    """Of tests."""

    def due(self, ticket: Ticket) -> Due:
        """What is late of it, and who is called."""
        entries = self.state.current().entries
        now = on_duty(self.state, hour_of_week(hour_of(self.now)))
        rungs = [Slot(each.slot) for each in duty.ladder(self.state)]
        return deadlines.due(ticket, self.now, entries, now, rungs)

    @property
    def party(self) -> str:
        """One's own."""
        return self.state.current().entry(self.state.me).party

    @property
    def speaks(self) -> bool:
        """Whether one stands for a side."""
        entries = self.state.current().entries
        role = self.state.current().entry(self.state.me).role
        return speaks(self.party, role, sides(entries))

    @property
    def lines(self) -> list[Line]:
        """To the other sides."""
        entries = self.state.current().entries
        return testing.lines(self.about, entries, self.party, *self._agreed, self.now)

    @property
    def test_due(self) -> bool:
        """Whether one's own party owes a test."""
        entry = self.state.current().entry(self.state.me)
        sends = entry.role in ("participant", "facilitator")
        return sends and testing.owed(self.about, self.party, *self._agreed, self.now)

    @property
    def _agreed(self) -> tuple[int, int]:
        duties = self.state.hotline.duties
        if duties is None:
            return 0, 0
        return duties.tests, max(start_of(duties.told[0]), self.about["since"])

    @property
    def live(self) -> list[Ticket]:
        """What is not closed."""
        return [each for each in self.tickets if not each.closed]

    def id(self, ticket: Ticket) -> str:
        """As few digits as tell it from the others; the place of its author where even all do
        not.
        """
        full = ticket.name.id.hex()
        every = [each.name.id.hex() for each in self.tickets]
        for size in range(_SHORTEST, len(full) + 1):
            if sum(each.startswith(full[:size]) for each in every) == 1:
                return full[:size]
        return f"{full}-{ticket.name.slot}"

    def pick(self, text: str | None) -> Ticket:
        """The incident of an id or its start; without one, the only one that is not closed."""
        wanted = (text or "").casefold()
        if text is None:
            found = self.live
        elif len(wanted) < _SHORTEST:
            found = []
        else:
            found = [each for each in self.tickets if self._fits(each, wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(self.id(each) for each in found)
            raise UsageMistake(f"Several could be meant: {names}. Nothing was done.", _LIST)
        such = f"no incident {text}" if text else "no incident that is not closed"
        raise NotFound(f"There is {such} here. Nothing was done.", _LIST)

    def _fits(self, ticket: Ticket, wanted: str) -> bool:
        names = [f"{each.name.id.hex()}-{each.name.slot}" for each in ticket.cases]
        return any(each.startswith(wanted) for each in names)


_LIST = "backchannel incident list"


def is_hotline(about: dict[str, object]) -> bool:
    """Whether a channel is one, by its summary, and one is in it."""
    policy, here = about["policy"], about["members"] and not about["ended"]
    return bool(isinstance(policy, dict) and policy["format"] == KIND and here)


def read(vault: Vault, row: ChannelRow, state: ChannelState, now: Timestamp) -> Board:
    """As it is at `now`."""
    kept = (ringing.spoken(each) for each in vault.messages.list(row.id, now) if not each.off)
    said: list[Spoken] = [each for each in kept if each is not None]
    entries = state.current().entries
    about = row.summary.get("hotline") or testing.fresh(start_of(Hour(row.summary["since"])))
    return Board(
        row.name,
        state,
        now,
        incidents.fold(said, entries),
        convenes.fold(said, state.me, hour_of(now)),
        about,
    )
