"""A conversation written down to be forged: who says what, and at which hour. Text in, lines out.

```
# a line that begins so says nothing
[2026-11-22 08] Heron: We could stop on Friday.
Fox: Then say so.
  A line that begins with a space goes on with what was said before.
```
The hour, in UTC, may be left out: then it is that of the line before, and at first the present one.
Knows no keys; whether somebody of that name could have said it is the forger's matter.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from backchannel.client.errors import UsageMistake
from backchannel.protocol.types import Hour, Timestamp, hour_of

MOST: Final = 1 << 20
"""Bytes of a script: a long book."""
_HOUR = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d)(?::00)?(?: ?UTC)?\]\s*")
_SHAPE = "ALIAS: TEXT, or [2026-11-22 08] ALIAS: TEXT"


class Line(NamedTuple):
    """Something to be said."""

    number: int
    """Of the line in the script, from 1; 0 where there is none."""
    alias: str
    text: str
    hour: Hour


def read(path: Path, known: Callable[[str], bool], otherwise: str | None, now: Hour) -> list[Line]:
    """The lines of a script; `otherwise` says what names no member. `UsageMistake` tells the
    number of the first line that is wrong.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(MOST + 1)
        text = data.decode()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. Nothing was written."
        raise UsageMistake(msg, "backchannel forge --help") from None
    except UnicodeDecodeError:
        msg = f"{path} is not UTF-8. Nothing was written."
        raise UsageMistake(msg, "convert it, then forge again") from None
    if len(data) > MOST:
        msg = f"{path} is longer than a script may be. Nothing was written."
        raise UsageMistake(msg, "make two of it")
    lines = parse(text, known, otherwise, now)
    if not lines:
        msg = f"{path} says nothing. Nothing was written."
        raise UsageMistake(msg, f"write lines such as: {_SHAPE}")
    return lines


def parse(text: str, known: Callable[[str], bool], otherwise: str | None, now: Hour) -> list[Line]:
    """The same of its text."""
    lines, hour = list[Line](), None
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            lines[-1:] = [_longer(lines, line.strip(), number)]
            continue
        hour, rest = _timed(line, hour, now, number)
        alias, said = _named(rest, known, otherwise, number)
        lines.append(Line(number, alias, said, hour))
    return lines


def mistake(
    number: int, what: str, instead: str = f"write lines such as: {_SHAPE}"
) -> UsageMistake:
    """What is wrong with a line."""
    return UsageMistake(f"Line {number} of the script: {what} Nothing was written.", instead)


def _longer(lines: list[Line], text: str, number: int) -> Line:
    if not lines:
        raise mistake(number, "it begins with a space, and there is nothing before it to go on.")
    return lines[-1]._replace(text=f"{lines[-1].text}\n{text}")


def _timed(line: str, before: Hour | None, now: Hour, number: int) -> tuple[Hour, str]:
    found = _HOUR.match(line)
    if found is None:
        return now if before is None else before, line
    try:
        moment = datetime.strptime(found[1], "%Y-%m-%d %H").replace(tzinfo=UTC)
    except ValueError:
        raise mistake(number, f"{found[1]} is no hour of any day.") from None
    hour = hour_of(Timestamp(int(moment.timestamp())))
    if hour > now:
        raise mistake(number, "its hour has not come.", "give an hour that is over, in UTC")
    if before is not None and hour < before:
        raise mistake(number, "its hour is before that of the line above.", "put them in order")
    return hour, line[found.end() :]


def _named(
    line: str, known: Callable[[str], bool], otherwise: str | None, number: int
) -> tuple[str, str]:
    alias, colon, text = line.partition(":")
    if colon and known(alias.strip()):
        line = text
    elif otherwise is not None:
        alias = otherwise
    else:
        if line.startswith("["):
            raise mistake(number, "what stands in brackets is no whole hour.")
        what = "it does not begin with the name of a member and a colon."
        raise mistake(number, what, "backchannel members, for the names; or add --as ALIAS")
    if not line.strip():
        raise mistake(number, "it says nothing.")
    return alias.strip(), line.strip()
