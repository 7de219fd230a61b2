"""What a channel stands for and who stands behind it: a facilitator's TOML file, or an honest
default.

```
charter = "..."          what all agree to by joining
convened_by = "..."      the three lines of the disclosure
funded_by = "..."
relay_run_by = "..."
```
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from backchannel.client.errors import UsageMistake
from backchannel.client.filter import clean
from backchannel.protocol import limits
from backchannel.protocol.roster import Disclosure

_FIELDS = ("charter", "convened_by", "funded_by", "relay_run_by")
_MOST_LINE = 500  # characters of a line of the disclosure
_DEFAULT = """\
This is an unofficial conversation. Everybody here speaks in a personal capacity;
nobody speaks for a government, a party or an employer, and nothing said here
commits anybody. What is said may be used, but not attributed: who said it, and
who was here, stays here.
"""

Mistake = Callable[[str, str], UsageMistake]
"""Makes an error of a field and what is wrong with it."""


class Charter(NamedTuple):
    """Text, and who stands behind it."""

    text: str
    disclosure: Disclosure


def usual(alias: str, host: str) -> Charter:
    """Where no file was given: personal capacity, and nothing that is not known."""
    disclosure = Disclosure(f"the facilitator ({alias})", "not declared", f"whoever runs {host}")
    return Charter(_DEFAULT.replace("\n", " ").strip(), disclosure)


def read(path: Path) -> Charter:
    """`UsageMistake` for anything but the four fields, within their sizes."""
    import tomllib

    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise _mistake(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all use, too
        raise _mistake(path, f"is not TOML: {error}") from None
    unknown, missing = sorted(set(found) - {*_FIELDS}), [f for f in _FIELDS if f not in found]
    if unknown or missing:
        named = ", ".join(unknown or missing)
        raise _mistake(path, f"{'sets what is not known' if unknown else 'does not say'}: {named}")
    return checked(found, lambda field, why: _mistake(path, f"is not good: {field} {why}"))


def checked(found: dict[str, object], mistake: Mistake) -> Charter:
    """The four fields, within their sizes; what `mistake` makes of the first that is not."""
    text, *lines = (_text(field, found[field], mistake) for field in _FIELDS)
    return Charter(text, Disclosure(*lines))


def _text(field: str, value: object, mistake: Mistake) -> str:
    if not isinstance(value, str) or not value.strip():
        raise mistake(field, "is no text")
    text = value.strip()
    if clean(text) != text:
        raise mistake(field, "has characters that no screen should obey")
    if field == "charter" and len(text.encode()) > limits.CHARTER_BYTES:
        raise mistake(field, f"has more than {limits.CHARTER_BYTES:,} bytes")
    if field != "charter" and (len(text) > _MOST_LINE or "\n" in text):
        raise mistake(field, f"has more than one line of {_MOST_LINE} characters")
    return text


def _mistake(path: Path, why: str) -> UsageMistake:
    return UsageMistake(f"The charter {path} {why}. Nothing was done.", f"correct {path}")
