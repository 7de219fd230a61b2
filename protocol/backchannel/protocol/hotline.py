"""What is said on a hotline: tests and echoes, the duty list, incidents, urgent calls: SPEC.md
section 15, "Hotline".

Owns the contents, each of one block, and what a member keeps of them. Times are hours; what is
shorter is a number of minutes, and never says when. Knows neither roles nor how an incident stands.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from backchannel.protocol import limits
from backchannel.protocol.codec import Record
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.roster import U32, Id, SlotNumber
from backchannel.protocol.types import ContentHash, Hour, IdentityHash, MessageId, Slot, Timestamp

Flag = Annotated[int, Meta(ge=0, le=1)]
Minutes = Annotated[int, Meta(ge=1, le=limits.MINUTES)]
Line = Annotated[str, Meta(min_length=1, max_length=limits.URGENT)]
"""Words in one line."""
Week = Annotated[bytes, Meta(min_length=limits.WEEK, max_length=limits.WEEK)]
"""168 bits, the first the highest of the first byte: an hour each, from Monday 00:00 UTC on."""

SEVERITY: Final = ("low", "medium", "high")
"""How grave an incident is; its number on the wire is its place here."""
REACHED: Final = ("open", "acknowledged", "answered")
"""How far an incident has come; likewise."""
_MONDAY: Final = 72
"""Hours from a Monday 00:00 to hour 0, a Thursday."""


class Named(Record, frozen=True):
    """A message, by author and id: an id alone anybody may use again."""

    slot: SlotNumber
    id: Id


class Signal(Record, frozen=True):
    """Base of what is said on a hotline."""


class Test(Signal, frozen=True, tag="test"):
    """Whether the line carries: a canned text by its number, so that it means nothing."""

    number: Annotated[int, Meta(ge=0, lt=limits.CANNED)]


class Heard(Signal, frozen=True, tag="heard"):
    """The program of one of a party has a test; nobody answers that."""

    test: Named


class Watch(Record, frozen=True):
    """When one member is on duty, every week."""

    slot: SlotNumber
    hours: Week


class Duty(Signal, frozen=True, tag="duty"):
    """The whole duty list, in place of the one before."""

    tests: Annotated[int, Meta(ge=0, le=limits.PULSE)]
    """Hours after which each party tests the line again; 0: nothing was agreed."""
    watches: Annotated[tuple[Watch, ...], Meta(max_length=limits.ENTRIES)]
    """Slots rising."""
    ladder: Annotated[tuple[SlotNumber, ...], Meta(max_length=limits.LADDER)]
    """Who is called next while nobody acknowledges, in order."""
    retold: Flag = 0
    """Whether it only tells who lacks one: it stands in place of none."""


class Incident(Signal, frozen=True, tag="incident"):
    """Something that happened, and what is asked of the other side; told again as it goes on."""

    of: Annotated[tuple[Named, ...], Meta(max_length=1)]
    """The incident that this goes on with; none: it begins one."""
    opened: U32
    """The hour of its beginning, where it goes on."""
    reached: Annotated[int, Meta(ge=0, lt=len(REACHED))]
    """How far it had come for the author, where it goes on."""
    severity: Annotated[int, Meta(ge=0, lt=len(SEVERITY))]
    place: Annotated[str, Meta(max_length=limits.PLACE)]
    """A code that was agreed, or empty."""
    when: U32
    """The hour in which it happened."""
    ack: Minutes
    """Within which somebody of another party is to acknowledge it."""
    respond: Minutes
    """Within which it is to be answered."""
    hold: Flag
    """Whether fire is to be held meanwhile."""
    text: Line


class Attend(Signal, frozen=True, tag="attend"):
    """The author acknowledges an incident, has done with it, or takes it for another."""

    of: Named
    act: Literal["ack", "close", "merge"]
    into: Annotated[tuple[Named, ...], Meta(max_length=1)]
    """The other, of a merge."""
    text: Annotated[str, Meta(max_length=limits.URGENT)]


class Convene(Signal, frozen=True, tag="convene"):
    """Come together at once."""

    when: U32
    """The hour."""
    where: Line
    about: Line


class Coming(Signal, frozen=True, tag="coming"):
    """Whether the author comes."""

    of: Named
    yes: Flag


class Watched(msgspec.Struct, frozen=True, array_like=True):
    """A place in the duty list, and whose it was: who gets the slot later has no duty by it."""

    slot: Slot
    identity: IdentityHash
    hours: bytes = b""


class Duties(msgspec.Struct, frozen=True, array_like=True):
    """The duty list that stands."""

    by: Slot
    told: tuple[Hour, int, ContentHash]
    """Where its post stands: the last one counts. Of one that was retold the earliest there is."""
    tests: int
    watches: tuple[Watched, ...]
    ladder: tuple[Watched, ...]


class Trial(msgspec.Struct, frozen=True, array_like=True):
    """A test that was lately heard, or sent."""

    slot: Slot
    id: MessageId
    hour: Hour
    due: Timestamp = Timestamp(0)
    """When this member echoes it, unless somebody of its party has; 0: still to be drawn."""
    over: bool = False
    """Whether it needs no echo from here."""


class Hotline(msgspec.Struct, array_like=True):
    """What a member's state has of it; the rest is messages, and dies with them."""

    duties: Duties | None = None
    trials: list[Trial] = msgspec.field(default_factory=list)


def hour_of_week(hour: Hour) -> int:
    """0-167, from Monday 00:00 UTC on."""
    return (hour + _MONDAY) % (8 * limits.WEEK)


def has(week: bytes, hour: int) -> bool:
    """Whether an hour of the week is in these 168 bits."""
    return bool(week[hour >> 3] & 0x80 >> (hour & 7))


def week_of(hours: set[int]) -> bytes:
    """These hours of a week, 0-167, as 168 bits."""
    return bytes(sum(0x80 >> bit for bit in range(8) if 8 * n + bit in hours) for n in range(21))


def check(signal: Signal, size: int, most: int) -> None:
    """`DecodeError` for one of more than `most` bytes, or that contradicts itself."""
    if size > most:
        msg = f"what is said on a hotline fits one block: {size - most} bytes fewer"
        raise DecodeError(msg)
    if not _consistent(signal):
        msg = "what is said on a hotline contradicts itself"
        raise DecodeError(msg)


def _consistent(signal: Signal) -> bool:
    match signal:
        case Duty():
            slots = [each.slot for each in signal.watches]
            rising = slots == sorted(set(slots))
            return rising and len(set(signal.ladder)) == len(signal.ladder)
        case Incident():
            return bool(signal.of) or not (signal.opened or signal.reached)
        case Attend():
            merges = signal.act == "merge"
            return len(signal.into) == merges and signal.into != (signal.of,)
        case _:
            return True


def lines(signal: Signal) -> list[str]:
    """The words in it, each of one line."""
    match signal:
        case Incident():
            return [signal.place, signal.text]
        case Attend():
            return [signal.text]
        case Convene():
            return [signal.where, signal.about]
        case _:
            return []
