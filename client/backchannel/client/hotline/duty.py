"""Who is on duty and when, as people write it, and whether each hour of a week is covered.

Pure: hours of a week are numbers from 0, Monday 00:00 UTC, to 167.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from backchannel.client.errors import UsageMistake
from backchannel.client.hotline.sides import has, sides
from backchannel.protocol.hotline import Watched
from backchannel.protocol.hotline import has as covers
from backchannel.protocol.roster import Entry
from backchannel.protocol.state import ChannelState
from backchannel.protocol.watch import still_here

WEEK: Final = 168
_DAY: Final = 24
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PART: Final = re.compile(
    rf"(?:(?P<first>{'|'.join(_DAYS)})(?:-(?P<last>{'|'.join(_DAYS)}))?)?\s*"
    r"(?:(?P<start>\d\d?)-(?P<end>\d\d?))?"
)
_SUCH: Final = "always, or such as: mon-fri 06-18, sat-sun, 22-06"


def hours(text: str) -> set[int]:
    """`always`, `mon-fri 06-18, sat-sun`, `22-06`: hours of the week, in UTC; `UsageMistake`. The
    hour at the end is not in it; one that is not after the beginning is on the next day.
    """
    if text.strip().casefold() == "always":
        return set(range(WEEK))
    found = set[int]()
    for part in text.casefold().split(","):
        match = _PART.fullmatch(part.strip())
        if match is None or not part.strip():
            raise _mistake(part)
        first = _DAYS.index(match["first"] or "mon")
        last = _DAYS.index(match["last"] or match["first"] or "sun")
        start, end = int(match["start"] or 0), int(match["end"] or _DAY)
        if start >= _DAY or end > _DAY:
            raise _mistake(part)
        length = (end - start - 1) % _DAY + 1
        for day in range((last - first) % 7 + 1):
            begin = (first + day) * _DAY + start
            found |= {hour % WEEK for hour in range(begin, begin + length)}
    return found


def _mistake(part: str) -> UsageMistake:
    return UsageMistake(f"{part.strip()!r} are no hours of a week. Nothing was done.", _SUCH)


def spans(found: Iterable[int]) -> list[tuple[int, int]]:
    """Runs of hours, each from its first to the one after its last; over the end of the week."""
    left = set(found)
    if len(left) == WEEK:
        return [(0, WEEK)]
    starts = sorted(hour for hour in left if (hour - 1) % WEEK not in left)
    runs = []
    for start in starts:
        end = start
        while end % WEEK in left:
            end += 1
        runs.append((start, end))
    return runs


def said(found: Iterable[int]) -> str:
    """`Mon 06:00 to Mon 18:00, Sat 00:00 to Mon 00:00`, `always`, `never`."""
    runs = spans(found)
    if runs == [(0, WEEK)]:
        return "always"
    return ", ".join(f"{_moment(start)} to {_moment(end)}" for start, end in runs) or "never"


def _moment(hour: int) -> str:
    day, clock = divmod(hour % WEEK, _DAY)
    return f"{_DAYS[day].capitalize()} {clock:02}:00"


def watches(state: ChannelState) -> list[tuple[Entry, set[int]]]:
    """Who stands in the list and is still here, with the hours."""
    duties, roster = state.hotline.duties, state.current()
    found = still_here(state, duties.watches) if duties is not None else []
    return [(roster.entry(each.slot), _hours(each)) for each in found]


def _hours(watched: Watched) -> set[int]:
    return {hour for hour in range(WEEK) if covers(watched.hours, hour)}


def ladder(state: ChannelState) -> list[Entry]:
    """Who is called one after another, of those who are still here."""
    duties, roster = state.hotline.duties, state.current()
    found = still_here(state, duties.ladder) if duties is not None else []
    return [roster.entry(each.slot) for each in found]


def gaps(state: ChannelState) -> dict[str, set[int]]:
    """For each side the hours of a week in which nobody is on duty for it, where there are any."""
    found = {}
    for side in sides(state.current().entries):
        covered = [when for entry, when in watches(state) if has([side], entry.party)]
        open_ = set(range(WEEK)).difference(*covered)
        if open_:
            found[side] = open_
    return found


def document(state: ChannelState) -> dict[str, Any]:
    """The list as it stands, for programs."""
    duties = state.hotline.duties
    return {
        "set": duties is not None,
        "tests_hours": duties.tests if duties else 0,
        "watches": [
            {"alias": entry.alias, "party": entry.party, "hours": said(when)}
            for entry, when in watches(state)
        ],
        "ladder": [entry.alias for entry in ladder(state)],
        "gaps": {side: said(when) for side, when in gaps(state).items()},
    }
