"""Whether a hotline carries: tests sent and heard, their echoes, and what is late. Pure.

A summary keeps of it when tests were sent and came, by party, and how fast the echoes were: nothing
that anybody said. Times are this machine's own, in seconds, and never leave it.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from backchannel.client.hotline.sides import others
from backchannel.protocol import limits
from backchannel.protocol.roster import Entry
from backchannel.protocol.types import Timestamp

Document = dict[str, Any]
CANNED: Final = (
    "The quick brown fox jumps over the lazy dog 1234567890.",
    "A kettle of water boils at one hundred degrees at the level of the sea.",
    "To prove bread, cover the dough with a damp cloth and leave it in a warm place.",
    "The heron stands in the shallows and waits for the fish to come to it.",
    "A triangle with sides of three, four and five has one right angle.",
    "Cranes fly south in October and come back when the ice has gone.",
    "Salt dissolves faster in warm water than in cold.",
    "The moon shows the same face to the earth all the time.",
    "An apple tree that is pruned in winter bears more in autumn.",
    "Seven days are a week, and fifty-two weeks are one day short of a year.",
    "The longest river of a country is seldom its deepest.",
    "A knot that is tied in wet rope is hard to undo when it is dry.",
    "Owls turn their heads because they cannot turn their eyes.",
    "Copper goes green in the rain; gold does not.",
    "Tea was carried by camel before it was carried by ship.",
    "The shadow of a stick is shortest at noon.",
)
"""What a test says, by its number: in turn, so that no choice means anything."""
assert len(CANNED) == limits.CANNED  # noqa: S101 - as many as the protocol numbers
WITHIN: Final = 15 * 60
"""Seconds in which a test is to be echoed, unless decided otherwise."""
GRACE: Final = 3600  # seconds that a test may be late: nobody is as punctual as a machine
_KEPT: Final = 16  # tests of one's own: more than anybody compares


def fresh(now: Timestamp) -> Document:
    """Of a hotline that is new here."""
    return {"since": now, "turn": 0, "sent": [], "heard": {}}


def sent(about: Document, test: str, within: int, now: Timestamp) -> Document:
    """Note a test of one's own, by its id in hex."""
    new = {"id": test, "at": now, "within": within, "echoes": {}}
    turn = (about["turn"] + 1) % limits.CANNED
    return about | {"turn": turn, "sent": [*about["sent"], new][-_KEPT:]}


def echoed(about: Document, test: str, party: str, now: Timestamp) -> Document:
    """Note an echo of a test of one's own; of a party the first."""
    return about | {
        "sent": [
            each | {"echoes": {party: max(0, now - each["at"]), **each["echoes"]}}
            if each["id"] == test
            else each
            for each in about["sent"]
        ]
    }


def heard(about: Document, party: str, when: Timestamp) -> Document:
    """Note a test that was sent by somebody of a party, of one's own too."""
    last = max(when, about["heard"].get(party, 0))
    return about | {"heard": about["heard"] | {party: last}}


class Line(NamedTuple):
    """How the line to one side is."""

    party: str
    echo: int | None
    """Seconds that the last echo took; None: there was none yet."""
    at: Timestamp
    """When the test was sent that it echoed; 0: never."""
    silent: Timestamp
    """When the test was sent that this side should have echoed and has not; 0: none."""
    heard: Timestamp
    """When its last test came; 0: never."""
    overdue: bool
    """Whether its tests have stopped coming, as far as they were agreed."""

    @property
    def alarm(self) -> bool:
        """Whether the line may be dead."""
        return bool(self.silent) or self.overdue


def lines(
    about: Document, seats: Sequence[Entry], party: str, tests: int, since: int, now: Timestamp
) -> list[Line]:
    """The line to every other side. `tests` hours between a party's tests were agreed, 0 for none,
    at `since`.
    """
    first = max(since, about["since"])
    return [_line(about, side, tests, first, now) for side in others(seats, party)]


def _line(about: Document, side: str, tests: int, first: int, now: Timestamp) -> Line:
    answered = [each for each in about["sent"] if side in each["echoes"]]
    last: Document = answered[-1] if answered else {"at": 0, "echoes": {side: None}}
    late = [e for e in about["sent"] if e["at"] > last["at"] and now > e["at"] + e["within"]]
    came = about["heard"].get(side, 0)
    overdue = bool(tests) and now > max(came, first) + tests * 3600 + GRACE
    silent = Timestamp(late[0]["at"] if late else 0)
    return Line(side, last["echoes"][side], last["at"], silent, came, overdue)


def owed(about: Document, party: str, tests: int, since: int, now: Timestamp) -> bool:
    """Whether a test of one's own party is due."""
    last = max(about["heard"].get(party, 0), since, about["since"])
    return bool(tests) and now >= last + tests * 3600


def within(about: Document, test: str, seconds: int) -> Document:
    """Let a test of one's own be echoed within so many seconds."""
    decided = [e | {"within": seconds} if e["id"] == test else e for e in about["sent"]]
    return about | {"sent": decided}


def echoes(about: Document, test: str) -> dict[str, int]:
    """Seconds that each party took to echo a test."""
    return next((dict(each["echoes"]) for each in about["sent"] if each["id"] == test), {})
