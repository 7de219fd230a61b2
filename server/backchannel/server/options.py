"""What all verbs share: `--data`, `--json`, and how an outcome is shown."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from backchannel.server.home import Home
    from backchannel.server.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
SCHEMA_VERSION = 1
_WIDTH: Final = 80
_PAGE: Final = 78
_HEAD: Final = re.compile(r"(?:ok  |warn|FAIL|  -|\d+\.)? *")
"""What the rest of a long line is put below of."""

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}


def data(command: F) -> F:
    """Which relay: the `Home` as `home`."""
    return _data(required=True)(command)


def maybe_data(command: F) -> F:
    """The same, or `None`."""
    return _data(required=False)(command)


def as_json(command: F) -> F:
    """For programs: a flag as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def say(lines: Sequence[str], document: dict[str, Any], *, as_json: bool) -> None:
    """An outcome, on standard output."""
    whole = {"schema_version": SCHEMA_VERSION, **document}
    if as_json:
        click.echo(json.dumps(whole, indent=2))
        return
    for line in lines:
        tell(line)


def tell(line: str, *, err: bool = False) -> None:
    """A line for people; on a screen that is too narrow for it, broken between words."""
    click.echo(_flowed(plain(line), screen=(sys.stderr if err else sys.stdout).isatty()), err=err)


def paragraph(text: str, first: str, rest: str) -> list[str]:
    """Prose in lines that fit a page and a narrow screen, after `first` and then `rest`."""
    import shutil
    import textwrap

    columns = min(_PAGE, shutil.get_terminal_size((_WIDTH, 24)).columns)
    return textwrap.wrap(text, columns, initial_indent=first, subsequent_indent=rest)


def hint(what: str) -> None:
    """The next command, where it disturbs no document."""
    tell(f"next: {what}", err=True)


def plain(text: str) -> str:
    """One line, with nothing for a terminal to obey: a file's name may be somebody else's."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def settings_of(home: "Home", chosen: dict[str, Any] | None = None) -> "Settings":
    """Of a relay that there is; what its file says beyond what is known, is warned about."""
    from backchannel.server import settings

    home.check()
    loaded, unknown = settings.load(home.config, chosen)
    for key in settings.meant(unknown):
        tell(f"warning: unknown key in relay.toml: {key}", err=True)
    return loaded


def _flowed(line: str, *, screen: bool) -> str:
    import shutil
    import textwrap

    columns = shutil.get_terminal_size((_WIDTH, 24)).columns
    if not screen or len(line) <= columns:
        return line
    head = _HEAD.match(line)
    indent = " " * head.end() if head else ""
    return textwrap.fill(
        line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _data(*, required: bool) -> Callable[[F], F]:
    return click.option(
        "--data",
        "home",
        required=required,
        envvar="BACKCHANNEL_RELAY_DATA",
        show_envvar=True,  # also where it is missing
        type=click.Path(file_okay=False, readable=False, path_type=Path),
        metavar="DIR",
        callback=_home,
        help="The relay's data directory.",
    )


def _home(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> "Home | None":
    from backchannel.server.home import Home

    return None if path is None else Home(path)
