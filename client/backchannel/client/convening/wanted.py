"""What a facilitator's file wants of one channel (TOML): read strictly, mistakes named by line and
key.

Knows no channel, no vault and no network.
"""

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import click

from backchannel.client.convening import charter
from backchannel.client.convening.charter import Charter
from backchannel.client.convening.kinds import Kind, find
from backchannel.client.errors import UsageMistake
from backchannel.client.options import Duration
from backchannel.client.telling.terms import MAIN, ROLES
from backchannel.client.wire.address import Address
from backchannel.protocol.alias import alike, check_alias
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.roster import Role

T = TypeVar("T")
LIFETIME = Duration("1h", "90d", hours=True)
VALID = Duration("1h", "30d", hours=True)
_TOPIC = 120
_DAY = 24
_TOP = {
    "name", "kind", "alias", "party", "relay", "vouchers", "relays", "charter", "charter_file",
    "disclosure", "policy", "threads", "invites", "roles",
}  # fmt: skip
_DISCLOSURE = ("convened_by", "funded_by", "relay_run_by")


class Thread(NamedTuple):
    """A topic, with hours of its own or the channel's."""

    topic: str
    hours: int | None


class Guest(NamedTuple):
    """Somebody who is to be here."""

    alias: str
    party: str
    role: Role
    valid: int


class Site(NamedTuple):
    """A relay that the channel is to stand on, and where its vouchers are."""

    url: str
    vouchers: Path | None


class Wanted(NamedTuple):
    """What a file says; what it does not say is None or empty, and is left as it is."""

    name: str
    kind: Kind | None
    alias: str | None
    party: str | None
    relays: tuple[Site, ...]
    charter: Charter | None
    expires: int | None
    unattributed: int | None
    vouches: int | None
    threads: tuple[Thread, ...]
    invites: tuple[Guest, ...]
    roles: dict[str, Role]


class _File:
    """A file, and where in it each key stands."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines = dict(_places(text))

    def mistake(self, key: str, why: str) -> UsageMistake:
        """An error that names the line, or the key where it has none."""
        line = self._lines.get(key)
        where = f"{self.path}, line {line}" if line else f"{self.path}"
        return UsageMistake(f"{where}: {key} {why}. Nothing was done.", f"correct {self.path}")

    def text(self, key: str, value: object) -> str:
        """One line of text."""
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise self.mistake(key, "is one line of text")
        return value

    def name(self, key: str, value: object) -> str:
        """A name that somebody or a party may have."""
        try:
            return check_alias(self.text(key, value))
        except DecodeError as error:
            raise self.mistake(key, f"is no name: {error}") from None

    def number(self, key: str, value: object) -> int:
        """A whole number."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.mistake(key, "is a whole number")
        return value

    def hours(self, key: str, value: object, span: Duration) -> int:
        """A time such as 7d, in hours."""
        try:
            return span.convert(self.text(key, value), None, None)
        except click.UsageError as error:
            raise self.mistake(key, f"is no time: {error.message.rstrip('.')}") from None

    def one_of(self, key: str, value: object, known: tuple[str, ...]) -> str:
        """One of a few words."""
        if value not in known:
            raise self.mistake(key, f"is one of: {', '.join(known)}")
        return str(value)

    def table(self, key: str, value: object, known: set[str] | None) -> dict[str, Any]:
        """A table of known keys."""
        if not isinstance(value, dict):
            raise self.mistake(key, "is a table")
        for each in value:
            if known is not None and each not in known:
                raise self.mistake(f"{key}.{each}" if key else each, "is not known here")
        return value

    def tables(self, key: str, value: object, known: set[str]) -> list[tuple[str, dict[str, Any]]]:
        """An array of tables, each with the key that it stands under."""
        if not isinstance(value, list):
            raise self.mistake(key, f"is written as [[{key}]]")
        names = [f"{key}[{number}]" for number in range(1, len(value) + 1)]
        return [(n, self.table(n, each, known)) for n, each in zip(names, value, strict=True)]


_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"\s*\"?([^\s\"=\[#]+(?: [^\s\"=]+)*)\"?\s*=")


def _places(text: str) -> Iterator[tuple[str, int]]:
    """Full key and line, as far as lines can tell; a table of an array is counted from 1."""
    table, counts = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            name = header[2]
            counts[name] = counts.get(name, 0) + 1
            table = f"{name}[{counts[name]}]" if header[1] == "[[" else name
            yield table, number
        elif key:
            yield f"{table}.{key[1]}" if table else key[1], number


def read(path: Path) -> Wanted:
    """`UsageMistake` for anything that this program would not understand, by line and key."""
    try:
        text = path.read_text("utf-8")
        found = tomllib.loads(text)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. Nothing was done."
        raise UsageMistake(msg, "backchannel channel apply FILE") from None
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all use, too
        raise UsageMistake(f"{path} is not TOML: {error}. Nothing was done.") from None
    file = _File(path, text)
    file.table("", found, _TOP)
    if "name" not in found:
        raise file.mistake("name", "is missing: which channel is meant")
    rules = file.table("policy", found.get("policy", {}), {"expires", "unattributed", "vouches"})
    return Wanted(
        file.name("name", found["name"]),
        _kind(file, found),
        _maybe(found, "alias", file.name),
        _maybe(found, "party", file.name),
        _relays(file, found),
        _charter(file, found),
        _maybe(rules, "expires", lambda _, value: file.hours("policy.expires", value, LIFETIME)),
        _maybe(rules, "unattributed", lambda _, value: file.number("policy.unattributed", value)),
        _maybe(rules, "vouches", lambda _, value: file.number("policy.vouches", value)),
        _threads(file, found.get("threads", [])),
        _invites(file, found.get("invites", [])),
        _roles(file, found.get("roles", {})),
    )


def _maybe(found: dict[str, Any], key: str, take: Callable[[str, object], T]) -> T | None:
    return take(key, found[key]) if key in found else None


def _beside(file: _File, found: dict[str, Any], key: str) -> Path | None:
    """A file whose name is meant from where this one is."""
    return file.path.parent / file.text(key, found[key]) if key in found else None


def _relays(file: _File, found: dict[str, Any]) -> tuple[Site, ...]:
    """One of them stands at the top, several as tables."""
    if "relays" not in found:
        if "vouchers" in found and "relay" not in found:
            raise file.mistake("vouchers", "is of which relay? add: relay")
        return (_site(file, found, "relay", "vouchers"),) if "relay" in found else ()
    if "relay" in found or "vouchers" in found:
        raise file.mistake("relays", "says it already: leave out relay and vouchers")
    sites = []
    for key, each in file.tables("relays", found["relays"], {"url", "vouchers"}):
        table = {f"{key}.{name}": value for name, value in each.items()}
        sites.append(_site(file, table, f"{key}.url", f"{key}.vouchers"))
        if [site.url for site in sites].count(sites[-1].url) > 1:
            raise file.mistake(f"{key}.url", "stands there twice")
    return tuple(sites)


def _site(file: _File, table: dict[str, Any], url: str, vouchers: str) -> Site:
    try:
        address = str(Address.parse(file.text(url, table.get(url)), allow_http=True))
    except UsageMistake as error:
        raise file.mistake(url, f"is no relay's address: {error.message}") from None
    return Site(address, _beside(file, table, vouchers))


def _kind(file: _File, found: dict[str, Any]) -> Kind | None:
    if "kind" not in found:
        return None
    try:
        return find(file.text("kind", found["kind"]))
    except UsageMistake as error:
        raise file.mistake("kind", f"is not known: {error.next_step}") from None


def _charter(file: _File, found: dict[str, Any]) -> Charter | None:
    other = _beside(file, found, "charter_file")
    if other is not None:
        if "charter" in found or "disclosure" in found:
            raise file.mistake("charter_file", "says it already: leave out charter and disclosure")
        return charter.read(other)
    if "charter" not in found and "disclosure" not in found:
        return None
    told = file.table("disclosure", found.get("disclosure", {}), set(_DISCLOSURE))
    for key in _DISCLOSURE:
        if key not in told:
            raise file.mistake(f"disclosure.{key}", "is missing")
    if "charter" not in found:
        raise file.mistake("charter", "is missing")
    return charter.checked({"charter": found["charter"], **told}, file.mistake)


def _threads(file: _File, value: object) -> tuple[Thread, ...]:
    threads: list[Thread] = []
    for key, each in file.tables("threads", value, {"topic", "expires"}):
        topic = file.text(f"{key}.topic", each.get("topic"))
        hours = f"{key}.expires"
        if len(topic) > _TOPIC:
            raise file.mistake(f"{key}.topic", f"has at most {_TOPIC} characters")
        if topic.casefold() in {MAIN, *(other.topic.casefold() for other in threads)}:
            raise file.mistake(f"{key}.topic", "stands there twice")
        span = file.hours(hours, each["expires"], LIFETIME) if "expires" in each else None
        threads.append(Thread(topic, span))
    return tuple(threads)


def _invites(file: _File, value: object) -> tuple[Guest, ...]:
    guests: list[Guest] = []
    for key, each in file.tables("invites", value, {"alias", "party", "role", "valid"}):
        alias = file.name(f"{key}.alias", each.get("alias"))
        if any(alike(alias, other.alias) for other in guests):
            raise file.mistake(f"{key}.alias", "stands there twice, or too like another")
        party = file.name(f"{key}.party", each.get("party", "Participants"))
        role = file.one_of(f"{key}.role", each.get("role", "participant"), ROLES)
        valid = file.hours(f"{key}.valid", each["valid"], VALID) if "valid" in each else _DAY
        guests.append(Guest(alias, party, cast(Role, role), valid))
    return tuple(guests)


def _roles(file: _File, value: object) -> dict[str, Role]:
    table = file.table("roles", value, None)
    return {
        file.name(f"roles.{alias}", alias): cast(Role, file.one_of(f"roles.{alias}", role, ROLES))
        for alias, role in table.items()
    }
