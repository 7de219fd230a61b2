"""Who is called together when and where, and who comes: a pure fold of what was said of it."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from backchannel.client.hotline.incidents import Spoken
from backchannel.protocol import limits
from backchannel.protocol.hotline import Coming, Convene, Named
from backchannel.protocol.types import Hour

_STANDS: Final = 2  # hours after its own that a call is still shown: who is late is called too


class Call(NamedTuple):
    """One call, and the newest answer of each who answered."""

    by: Spoken
    asked: Convene
    coming: tuple[str, ...]
    not_coming: tuple[str, ...]
    mine: bool | None
    """One's own answer, if there is one."""

    @property
    def name(self) -> Named:
        """Of the call."""
        return self.by.name


def fold(spoken: Iterable[Spoken], me: int, now: Hour) -> list[Call]:
    """The calls that live and are not over, the first to meet first; of one member the newest."""
    every = sorted(each for each in spoken if isinstance(each.signal, Convene | Coming))
    counts: dict[int, int] = {}
    found = []
    for each in reversed(every):
        asked = each.signal
        if not isinstance(asked, Convene):
            continue
        counts[each.author] = counts.get(each.author, 0) + 1
        if asked.when + _STANDS > now and counts[each.author] <= limits.CONVENES_OF_ONE:
            found.append(_call(each, asked, every, me))
    return sorted(found, key=lambda call: (call.asked.when, call.by.hash))


def _call(by: Spoken, asked: Convene, every: Iterable[Spoken], me: int) -> Call:
    answers = {int(by.author): (by.alias, True)}  # who calls comes, unless it says otherwise
    for each in every:
        if isinstance(each.signal, Coming) and each.signal.of == by.name:
            answers[each.author] = each.alias, bool(each.signal.yes)
    yes = tuple(alias for alias, comes in answers.values() if comes)
    no = tuple(alias for alias, comes in answers.values() if not comes)
    return Call(by, asked, yes, no, answers[me][1] if me in answers else None)
