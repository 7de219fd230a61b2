"""Targets: the three doors of a channel, one at a time and in any order.

Whatever an insider hands in, whatever somebody asks for: only declared exceptions come, and what is
refused has changed nothing.
"""

import types
from functools import cache
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from backchannel.protocol.channel import Channel
from backchannel.protocol.codec import Record
from backchannel.protocol.command import Command
from backchannel.protocol.errors import DecodeError, LocalProtocolError, RemoteProtocolError
from backchannel.protocol.outcome import Arrival
from backchannel.protocol.roster import ROLES, Policy
from backchannel.protocol.types import MAIN_THREAD, Core, Timestamp
from tests.fuzz.stage import Stage, stage
from tests.fuzz.target import Bytes, Target, as_text
from tests.fuzz.vectors import recorded
from tests.support.entropy import ScriptedEntropy

_COMMANDS: Final = sorted(get_args(Command), key=lambda each: str(each.__name__))
_MOST_STEPS = 8
_HOURS = (0, 0, 1, 2, 23, 24, 25, 167, 168, 169, 200, 2000)


def _told(channel: Channel) -> tuple[bytes, object]:
    """All that a victim holds, apart from the list of refused posts."""
    record = channel.state.record
    refused, record.refused = record.refused, {}
    clocks = {name: (each.hour, each.value.expose()) for name, each in channel.clocks.items()}
    saved = channel.snapshot(), {bytes(name): each for name, each in clocks.items()}
    record.refused = refused
    return saved


def _receive(data: bytes) -> None:
    here, take = stage(), Bytes(data)
    channel = here.channel()
    arrival = here.arrival(take)
    _take_in(here, channel, arrival, here.victim.now)


def _take_in(here: Stage, channel: Channel, arrival: Arrival, now: Timestamp) -> None:
    before = _told(channel)
    try:
        channel.receive(arrival, now)
    except RemoteProtocolError:
        assert _told(channel) == before, "what was refused has changed something"
        if channel.state.record.refused:
            here.soil()
    else:
        here.soil()


def _act(data: bytes) -> None:
    here, take = stage(), Bytes(data)
    channel = here.channel()
    here.soil()
    _ask(channel, _command(here, take), here.victim.now)


def _ask(channel: Channel, command: Command, now: Timestamp) -> bool:
    try:
        channel.act(command, now, ScriptedEntropy("act"))
    except (LocalProtocolError, DecodeError):
        return False
    return True


def _in_any_order(data: bytes) -> None:
    """Steps through all doors, with time going on; what was refused at `act` is put back, as a
    shell does, and the state can be saved at any time.
    """
    here, take, now = stage(), Bytes(data), stage().victim.now
    channel = here.channel()
    here.soil()
    for _ in range(_MOST_STEPS):
        if take.over:
            return
        step, own = take.byte() % 4, Bytes(take.some())
        if step == 0:
            now = Timestamp(now + 3600 * own.choose(list(_HOURS)) + own.byte())
            channel.tick(now, ScriptedEntropy("tick"))
        elif step == 1:
            saved = _saved(channel)
            if not _ask(channel, _command(here, own), now):
                channel = here.reader = Channel.open(*saved)
        else:
            _take_in(here, channel, here.arrival(own), now)
    again = Channel.open(*_saved(channel))
    assert again.snapshot() == channel.snapshot()


def _saved(channel: Channel) -> tuple[bytes, Any]:
    clocks = {name: (each.hour, each.value) for name, each in channel.clocks.items()}
    return channel.snapshot(), clocks


# Any command.


def _command(here: Stage, take: Bytes) -> Command:
    kind = take.choose(_COMMANDS)
    fields = _fields(kind)
    made: Command = kind(**{name: _value(here, take, each) for name, each in fields.items()})
    return made


@cache
def _fields(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(here: Stage, take: Bytes, kind: Any) -> Any:
    """Of the type that a field has, and any value of it."""
    while hasattr(kind, "__supertype__"):
        if kind is Core:
            return take.choose(here.library)
        kind = kind.__supertype__
    origin, given = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return _one_of(here, take, given)
    if origin is Literal:
        return take.choose([*given, as_text(take.some())])
    if origin is tuple:
        return tuple(_value(here, take, given[0]) for _ in range(take.byte() % 4))
    if kind is Policy:
        numbers = [take.number() >> (8 * (take.byte() % 4)) for _ in range(3)]
        return Policy(numbers[0], take.choose(["plenary", "hotline"]), numbers[1], numbers[2])
    return _record(here, take, kind) if issubclass(kind, Record) else _plain(here, take, kind)


def _one_of(here: Stage, take: Bytes, given: tuple[Any, ...]) -> Any:
    if type(None) not in given:
        return _value(here, take, take.choose(list(given)))
    return _value(here, take, given[0]) if take.byte() % 2 else None


def _record(here: Stage, take: Bytes, kind: type[Record]) -> Record:
    return kind(**{name: _value(here, take, each) for name, each in _fields(kind).items()})


def _plain(here: Stage, take: Bytes, kind: Any) -> Any:
    if kind is str:
        return take.choose(["Owl", "Elk", "Founder", "", *ROLES]) if take.byte() % 2 else as_text(
            take.some()
        )  # fmt: skip
    if kind is bytes:
        ids = [MAIN_THREAD, *here.victim.state.threads, *here.victim.state.transcript.posts]
        return take.choose(ids) if take.byte() % 2 else take.some()
    if kind is int:
        return take.byte() if take.byte() % 2 else take.number()
    assert kind is bool, kind
    return bool(take.byte() % 2)


def _arrivals() -> list[bytes]:
    """Each way; posts of all contents that the vectors hold; each core of the library."""
    contents = recorded("content", "encoded", does="content")()
    posts = [bytes([3, 0, 0, 1, 1, 1, 7, 0, 0, 0, 1]) + each for each in contents]
    whispers = [bytes([4, 0]) + each for each in recorded("whisper", "encoded")()]
    spoiled = [bytes([2, place, 0, 0, 1]) for place in range(len(stage().library))]
    return [*posts, *whispers, *spoiled, *(bytes([way]) + bytes(30) for way in range(7))]


TARGETS = [
    Target("receive", _receive, _arrivals, 4200),
    Target("act", _act, lambda: [bytes([n]) + bytes(40) for n in range(len(_COMMANDS))], 600),
    Target("in any order", _in_any_order, lambda: [bytes([1, 9, 3]) * 20], 2000),
]
