"""A run's options: the command line, else the environment, else the settings file, else a default.

Owns that order and the names. Reads no passphrase, only the name of the file that holds one.
"""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, final

from backchannel.client.errors import UsageMistake
from backchannel.client.machine.profile import Profile, refuse_unless_private
from backchannel.client.wire.route import TOR

_PREFIX = "BACKCHANNEL_"
_IN_FILE = {"passphrase-file", "proxy", "tor", "unlock-for", "idle", "allow-http", "memory-only"}
_YES = {"1", "yes", "true"}


@final
class Settings:
    """The answer to "which value holds"."""

    def __init__(self, flags: Mapping[str, str]) -> None:
        """`flags`: what the command line said, by the names of options."""
        self._flags = flags
        self._file: dict[str, Any] | None = None
        home = flags.get("home") or os.environ.get(_PREFIX + "HOME")
        self._own = Profile.at(Path(home).expanduser()) if home else Profile.of_user()

    @cached_property
    def profile(self) -> Profile:
        """The folders to use."""
        if not self.memory_only:
            return self._own
        from backchannel.client.machine import memory_home

        return memory_home.profile(self._own)

    @property
    def memory_only(self) -> bool:
        """Whether nothing may be written to a disk."""
        return self._is_set("memory-only")

    @property
    def passphrase_file(self) -> Path | None:
        """Where a script keeps the passphrase."""
        found = self._find("passphrase-file")
        return Path(found).expanduser() if found else None

    @property
    def proxy(self) -> str | None:
        """What relays are reached through: `socks5h://host:port`, `tor`, or `none`; nothing where
        it was not said. Of the command line, the environment and the file the first that says
        anything decides.
        """
        for source in self._sources:
            proxy, tor = source("proxy"), (source("tor") or "").lower() in _YES
            if proxy and tor:
                msg = "Tor and a proxy are both asked for."
                raise UsageMistake(msg, "give one of them: --tor, or --proxy URL")
            if proxy or tor:
                return TOR if tor else proxy
        return None

    @property
    def way(self) -> list[str]:
        """The options that say to another run of the program what `proxy` says to this one."""
        return ["--proxy", self.proxy] if self.proxy else []

    @property
    def unlock_for(self) -> str:
        """How long an agent holds the key, unless `unlock` was told."""
        return self._find("unlock-for") or "15m"

    @property
    def idle(self) -> str | None:
        """How long an agent holds the key unused, unless `unlock` was told; none: as long as it
        holds it.
        """
        return self._find("idle")

    @property
    def allow_http(self) -> bool:
        """Whether a relay elsewhere may be reached without TLS."""
        return self._is_set("allow-http")

    def _is_set(self, name: str) -> bool:
        return (self._find(name) or "").lower() in _YES

    def _find(self, name: str) -> str | None:
        return next((found for source in self._sources if (found := source(name))), None)

    @property
    def _sources(self) -> tuple[Callable[[str], str | None], ...]:
        """Whoever may say what holds, in their order."""
        return self._flags.get, _from_environment, self._from_file

    def _from_file(self, name: str) -> str | None:
        if self._file is None:
            self._file = _read(self._own.settings_file)
        value = self._file.get(name)
        return None if value is None else str(value)


def _from_environment(name: str) -> str | None:
    return os.environ.get(_PREFIX + name.upper().replace("-", "_"))


def _read(path: Path) -> dict[str, Any]:
    for each in (path.parent, path):
        refuse_unless_private(each)  # whoever writes here chooses the proxy
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    import tomllib

    try:
        found = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all use, too
        msg = f"{path} is not TOML: {error}."
        raise UsageMistake(msg, f"correct {path}") from None
    unknown = sorted(set(found) - _IN_FILE)
    if unknown:
        msg = f"{path} sets what is not known: {', '.join(unknown)}."
        raise UsageMistake(msg, f"it may set: {', '.join(sorted(_IN_FILE))}")
    return found
