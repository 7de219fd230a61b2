"""What a hotline shows first: to whom, in which words, and that nothing of it outlives its hour."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.exits import Exit
from backchannel.client.hotline import convenes, incidents, ringing, testing, urgent
from backchannel.client.hotline.board import Board
from backchannel.client.telling import check, phrases
from backchannel.client.vault.messages import Message
from backchannel.protocol import command as commands
from backchannel.protocol.codec import encode
from backchannel.protocol.hotline import (
    Attend,
    Coming,
    Convene,
    Duty,
    Heard,
    Incident,
    Named,
    Signal,
    Watch,
)
from backchannel.protocol.hotline import Test as Trial
from backchannel.protocol.outcome import Rang
from backchannel.protocol.types import ContentHash, Hour, MessageId, Slot, Timestamp, hour_of
from tests.support.crowd import crowd
from tests.support.world import START, Member, World

HOUR = hour_of(START)
OPEN = Incident((), 0, 0, 2, "P7", HOUR, 30, 360, 1, "Shots at the bridge.")
ALWAYS = b"\xff" * 21


class Line:
    """A hotline of a facilitator, two of the North (1, 3) and two of the South (2, 4), and what one
    of them, the reader, keeps of it.
    """

    def __init__(self, reader: int) -> None:
        self.world: World = crowd(5, ("North", "South"), "hotline")
        self.reader = self.world[reader]
        self.kept: list[Message] = []
        self.about = testing.fresh(START)

    @property
    def now(self) -> Timestamp:
        return self.world.now

    def ring(self, slot: int, signal: Signal) -> Named:
        """Somebody says it, and the reader hears it."""
        member = self.world[slot]
        own = member.act(commands.Ring(signal))  # type: ignore[arg-type]  # any, for tests
        member.flush()
        before = len(self.reader.told)
        self.reader.listen()
        heard = own if member is self.reader else self.reader.told[before:]
        for rang in [each for each in heard if isinstance(each, Rang)]:
            self.about = ringing.noted(self.about, self.reader.state, rang, self.now)
            message = ringing.message(self.reader.state, rang, self.now)
            self.kept += [message] if message is not None else []
        (mine,) = [each for each in own if isinstance(each, Rang)]
        return Named(mine.author, mine.id)

    @property
    def board(self) -> Board:
        state = self.reader.state
        said = [each for each in map(ringing.spoken, self.kept) if each is not None]
        tickets = incidents.fold(said, state.current().entries)
        calls = convenes.fold(said, state.me, hour_of(self.now))
        return Board("North", state, self.now, tickets, calls, self.about)

    def text(self) -> str:
        return "\n".join(line for each in urgent.first(self.board) for line in each)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wherever this runs."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def south() -> Line:
    """Read by Guest 2, of the South, who is on duty for it."""
    made = Line(2)
    made.ring(0, Duty(0, tuple(Watch(slot, ALWAYS) for slot in (1, 2)), (4, 0)))
    return made


# --- What becomes of a signal ---------------------------------------------------------------------


def test_what_is_kept_of_a_signal_dies_with_its_hour_and_knows_who_it_was(south: Line) -> None:
    south.ring(1, OPEN)
    (kept,) = south.kept
    assert kept.expires == HOUR + 24
    plain = json.loads(kept.plain)
    assert (plain["from"], plain["party"], plain["role"]) == ("Guest 1", "North", "participant")
    (spoken,) = [ringing.spoken(kept)]
    assert spoken is not None
    assert (spoken.signal, spoken.came) == (OPEN, START)


def test_no_word_of_an_incident_stands_in_what_a_summary_says_of_tests(south: Line) -> None:
    south.ring(1, OPEN)
    south.ring(1, Trial(3))
    assert "bridge" not in json.dumps(south.about)
    assert south.about["heard"] == {"North": START}


def test_a_message_of_another_kind_is_no_signal(south: Line) -> None:
    south.ring(1, OPEN)
    text = south.kept[0]._replace(plain=json.dumps({"kind": "text"}).encode())
    assert ringing.spoken(text) is None


def test_an_echo_counts_for_its_party_and_for_ones_own_test_alone() -> None:
    north = Line(1)
    test = north.ring(1, Trial(0))
    north.world.pass_time(seconds=7)
    north.ring(2, OPEN)
    rang = Rang(MessageId(b"e" * 16), Slot(4), Heard(test), HOUR, 9, ContentHash(b"h" * 32), HOUR)
    other = rang._replace(signal=Heard(Named(3, test.id)))
    state = north.reader.state
    assert ringing.noted(north.about, state, other, north.now) == north.about
    about = ringing.noted(north.about, state, rang, north.now)
    assert testing.echoes(about, test.id.hex()) == {"South": 7}
    gone = rang._replace(author=Slot(40))
    assert ringing.noted(north.about, state, gone, north.now) == north.about
    assert ringing.message(state, gone._replace(signal=OPEN), north.now) is not None


# --- Who is called --------------------------------------------------------------------------------


def test_whoever_is_on_duty_on_the_other_side_is_told_that_it_is_called(south: Line) -> None:
    name = south.ring(1, OPEN)
    shown = name.id.hex()[:4]
    when = "Friday 15 January, 08:00 UTC"
    assert south.text().splitlines()[:4] == [
        f"INCIDENT {shown}, high at P7, open: Guest 1 (North), {when}: “Shots at the bridge.”",
        f"  {shown}: fire is to be held meanwhile.",
        f"  {shown}: to be acknowledged by 08:31 UTC.",
        f"  {shown}: YOU ARE CALLED. next: backchannel incident ack {shown}",
    ]
    assert urgent.of_ticket(south.board, south.board.live[0])["you_are_called"] is True


def test_the_others_see_who_is_called(south: Line) -> None:
    south.reader = south.world[3]
    south.reader.listen()
    south.ring(1, OPEN)
    assert "called: Guest 2." in south.text()
    assert "YOU ARE CALLED" not in south.text()


def test_an_incident_that_nobody_acknowledges_climbs_the_ladder(south: Line) -> None:
    south.reader = south.world[4]
    south.reader.listen()
    south.ring(1, OPEN)
    assert "YOU ARE CALLED" not in south.text()
    south.world.pass_time(seconds=30 * 60)
    assert "not acknowledged within 30 min." in south.text()
    assert "YOU ARE CALLED" in south.text()


def test_after_an_acknowledgement_the_answer_is_awaited(south: Line) -> None:
    name = south.ring(1, OPEN)
    south.ring(2, Attend(name, "ack", (), ""))
    assert "YOU ARE CALLED" not in south.text()
    south.world.pass_time(seconds=360 * 60)
    assert "not answered within 6 h." in south.text()
    assert f"incident update {name.id.hex()[:4]}" in south.text()


def test_what_one_side_has_closed_says_so_and_what_both_have_is_gone(south: Line) -> None:
    name = south.ring(1, OPEN)
    south.ring(1, Attend(name, "close", (), ""))
    close = f"backchannel incident close {name.id.hex()[:4]}"
    assert f"the other side has closed it; yours has not. next: {close}" in south.text()
    south.ring(2, Attend(name, "close", (), ""))
    assert south.text() == ""


def test_what_ones_own_side_has_closed_asks_nothing_more_of_it(south: Line) -> None:
    name = south.ring(1, OPEN)
    south.ring(2, Attend(name, "close", (), ""))
    assert "your side has closed it; it is closed when the other has, too." in south.text()
    assert "incident close" not in south.text()


def test_who_stands_between_the_sides_is_told_of_one() -> None:
    between = Line(0)
    between.ring(1, Attend(between.ring(1, OPEN), "close", (), ""))
    assert "one side has closed it; it is closed when the other has, too." in between.text()


def test_what_is_merged_names_a_few_of_the_others(south: Line) -> None:
    names = [south.ring(1, replace(OPEN, text=f"Shot {n}.")) for n in range(7)]
    for each in names[1:]:
        south.ring(1, Attend(names[0], "merge", (each,), ""))
    assert "the same as" in south.text()
    assert "and 2 others." in south.text()


def test_a_call_is_shown_until_it_is_answered(south: Line) -> None:
    name = south.ring(1, Convene(HOUR + 1, "The bridge", "P7"))
    assert south.text().splitlines() == [
        "CONVENE: Guest 1 (North) calls everybody together: Friday 15 January, 09:00 UTC",
        "  where: The bridge",
        "  about: P7",
        "  coming: Guest 1; not coming: 0",
        "  next: backchannel convene yes, or: backchannel convene no",
    ]
    south.ring(2, Coming(name, 0))
    assert south.text() == ""
    assert urgent.of_call(south.board, south.board.calls[0])["your_answer"] is False


def test_hours_are_told_by_the_clock_on_the_wall_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    assert phrases.both_clocks(HOUR) == "Friday 15 January, 08:00 UTC (13:30 here)"


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 min"), (45, "45 min"), (60, "1 h"), (390, "6 h 30 min")]
)
def test_how_minutes_are_said(count: int, said: str) -> None:
    assert phrases.minutes(count) == said


# --- Ids ------------------------------------------------------------------------------------------


def test_an_incident_is_picked_by_the_start_of_its_id_or_as_the_only_one(south: Line) -> None:
    with pytest.raises(NotFound, match="no incident that is not closed"):
        south.board.pick(None)
    name = south.ring(1, OPEN)
    for text in (None, name.id.hex()[:4], name.id.hex().upper()):
        assert south.board.pick(text).name == name
    for text in ("", name.id.hex()[:3], "ffff0000"):
        with pytest.raises(NotFound):
            south.board.pick(text)
    south.ring(1, OPEN)
    with pytest.raises(UsageMistake, match="Several could be meant"):
        south.board.pick(None)


def test_two_authors_of_one_id_are_told_apart_by_their_places(south: Line) -> None:
    south.ring(1, OPEN)
    copy = south.kept[0]._replace(author=Slot(3), content=ContentHash(b"c" * 32))
    south.kept.append(copy)
    first, second = south.board.tickets
    names = {south.board.id(first), south.board.id(second)}
    assert names == {f"{copy.id.hex()}-1", f"{copy.id.hex()}-3"}
    assert south.board.pick(f"{copy.id.hex()}-3").name.slot == 3


# --- The line itself, and scripts -----------------------------------------------------------------


def test_a_test_without_an_echo_a_gap_and_a_test_that_is_due_are_told() -> None:
    north = Line(1)
    north.ring(0, Duty(24, (Watch(1, ALWAYS),), ()))
    north.ring(1, Trial(0))
    assert north.text() == "ALARM: Nobody of South is on duty at all. See: backchannel duty check"
    north.world.pass_time(seconds=testing.WITHIN + 1)
    assert "South has not echoed the test of 08:01 UTC" in north.text()
    north.world.pass_time(hours=26)
    assert "The agreed tests of South have stopped coming." in north.text()
    assert "Your side owes a test" in north.text()


def test_who_takes_no_part_owes_no_test() -> None:
    north = Line(1)
    north.ring(0, Duty(24, (), ()))
    state = north.reader.state
    roster = state.current()
    entries = tuple(replace(e, role="observer") if e.slot == 1 else e for e in roster.entries)
    state.roster = replace(roster, entries=entries)
    north.world.pass_time(hours=26)
    assert not north.board.test_due


def test_a_timer_is_told_of_what_is_late_and_of_nothing_else(south: Line) -> None:
    def findings() -> list[tuple[Exit, str]]:
        each: dict[str, Any] = {
            "channel": "North", "alarms": [], "ended": "", "rivals": 0, "expired_unread": 0,
            "expired_unsent": 0, "alive": {"lost": None, "parties": []},
        }  # fmt: skip
        each["hotline"] = urgent.document(south.board)
        found = check.findings({"channels": [each], "queued": 0})
        return [(one.exit, one.text) for one in found]

    assert findings() == []
    name = south.ring(1, OPEN)
    ((code, text),) = findings()
    assert code == Exit.OVERDUE
    assert "YOU ARE CALLED" in text
    south.ring(2, Attend(name, "ack", (), ""))
    assert findings() == []


def test_what_somebody_wrote_poses_as_no_line_of_ours(south: Line) -> None:
    """The protocol refuses it; a screen does not rely on that."""
    south.ring(1, OPEN)
    plain = json.loads(south.kept[0].plain)
    plain["from"] = "Heron\nALARM"
    south.kept[0] = south.kept[0]._replace(plain=json.dumps(plain).encode())
    assert "\nALARM" not in south.text()
    assert encode(OPEN).hex() == plain["signal"]


def test_people_of_a_hotline_are_who_they_were_when_they_spoke(south: Line) -> None:
    member: Member = south.world[1]
    south.ring(1, OPEN)
    state = south.reader.state
    roster = state.current()
    state.roster = replace(roster, entries=tuple(e for e in roster.entries if e.slot != 1))
    assert f"{member.state.alias} (North)" in south.text()
    assert hour_of(south.now) == Hour(HOUR)
