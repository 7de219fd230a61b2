"""Which step of a line a core rests on that gives a seed to everybody: SPEC.md section 14.

A member sees the step that is for it, and of others noise. Knows how a step is missed; not what the
seed is for.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple, TypeVar

from backchannel.protocol import limits, line
from backchannel.protocol.core import head_of
from backchannel.protocol.errors import AuthenticationError, UnknownError
from backchannel.protocol.missing import Pending
from backchannel.protocol.reception import Reception
from backchannel.protocol.secret import MessageKey
from backchannel.protocol.sender_key import wrapped
from backchannel.protocol.types import Core, EpochId, Slot, Step

T = TypeVar("T")


class Named(NamedTuple):
    """A line, and the step and use of it that a core names."""

    line: line.Line
    step: Step
    use: int


def named(reception: Reception, sender: Slot, *, wants: bool) -> Named:
    """What the core being read names for me. `UnknownError` where that has not come; where one
    `wants` it, it is asked for if it may have been lost.
    """
    held = reception.peer(sender).line
    found = list(_named(reception, sender, reception.core, reception.epoch.id))
    for step, use in found:
        if held is not None and line.knows(held, step):
            return Named(held, step, use)
    for step, _ in found:
        if wants and held is not None and _plausible(held, step):
            reception.state.want("step", sender, step.to_bytes(4), reception.now)
    msg = "a core under a step that has not come"
    raise UnknownError(msg)


def opened(found: Named, opens: Callable[[MessageKey], T], what: str) -> tuple[line.Line, T]:
    """What a core gives under the use that it names, and the line without that use;
    `AuthenticationError` where `opens` takes no key of it.
    """
    for following, key in line.redeem(*found):
        with suppress(AuthenticationError):
            return following, opens(key)
    msg = f"{what} does not open"
    raise AuthenticationError(msg)


def _named(
    reception: Reception, sender: Slot, core: Core, epoch: EpochId
) -> Iterator[tuple[Step, int]]:
    """Under each mask of the line: noise but for one of them, if any."""
    held = reception.peer(sender).line
    clock, head = reception.clocks[epoch], head_of(core)
    for mask in held.masks if held is not None else ():
        yield wrapped(core, sender, reception.state.me, mask, clock, head)


def _plausible(held: line.Line, step: Step) -> bool:
    """Whether a step may be one that was lost: where nothing is for me, it is random."""
    newest = max(export.step for export in held.exports_in)
    return held.answered and step <= newest + limits.SKIPPED


def needless(reception: Reception, sender: Slot, waiting: Pending) -> None:
    """What a core that waits gives is here: so the step it rests on is not wanted for its sake."""
    held = reception.peer(sender).line
    for step, _ in _named(reception, sender, waiting.core, waiting.epoch):
        if held is None or step not in line.lacking(held):
            reception.state.got("step", sender, step.to_bytes(4))
