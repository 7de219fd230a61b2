"""How somebody asked for a relay, and what another one begins with in its place: the command line,
the settings as they stand now, the sockets.

Knows no HTTP and no store, so that a supervisor stays small.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.logs import LOG
from backchannel.server.process import notify, tls
from backchannel.server.process.sockets import Listeners
from backchannel.server.settings import Settings, load

_PYTHON = (sys.executable, "-P")  # no folder that happens to be the current one


@final
@dataclass(frozen=True)
class Start:
    """How somebody asked for this relay, so that it can begin anew the same way."""

    home: Home
    chosen: Mapping[str, str | int]
    """Settings on the command line, which come before the file's."""
    terminal: bool = field(default_factory=lambda: os.isatty(0))
    """Whether it was begun on one, which hangs up when it is closed."""

    def settings(self) -> Settings:
        """The file as it stands now; `OperatorError` unless a relay could begin with it."""
        settings, unknown = load(self.home.config, self.chosen)
        for key in unknown:
            LOG.warning("unknown key in relay.toml: %s", key)
        tls.check_certificate(settings)
        return settings

    def command(self, *more: str) -> list[str]:
        """What starts it again, whatever started it first; a leap of the clock is to be confirmed
        anew.
        """
        told = [f"--{key.replace('_', '-')}={value}" for key, value in self.chosen.items()]
        folder = str(self.home.path.absolute())
        return [*_PYTHON, "-m", "backchannel.server", "serve", "--data", folder, *told, *more]

    def abandoned(self) -> bool:
        """Whether a HUP means that the terminal on which somebody began this is gone."""
        return self.terminal and not os.isatty(0)

    def again(self, before: Settings, listeners: Listeners) -> tuple[Settings, Listeners] | None:
        """What the next relay begins with; none, and the reason in the log, where it could not."""
        notify.reloading()
        try:
            settings = self.settings()
            return settings, listeners.after(before, settings)
        except OperatorError as error:
            self.stay(f"{error}; next: {error.next}, then HUP again")
            return None

    async def loads(self) -> bool:
        """Whether the program that is to follow can be had: it may have been replaced meanwhile."""
        command = (*_PYTHON, "-c", "import backchannel.server.process.server")
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stderr=DEVNULL)
        except OSError:
            return False
        return await process.wait() == 0

    def stay(self, why: str) -> None:
        """The relay goes on as it is."""
        LOG.warning("relay.toml is not taken over: %s", why)
        notify.ready("serves as before: relay.toml as it is now is not taken over")

    def announce(self, urls: list[str]) -> None:
        """This relay serves."""
        self.home.address.write_text(urls[0] + "\n", "utf-8")
        sys.stdout.write("".join(f"listening on {url}\n" for url in urls))
        sys.stdout.flush()
        notify.ready("serves")
