"""One command's work on a hotline: which channel it is, what its board says, what is rung on it.
Prints nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from backchannel.client.app import App
from backchannel.client.errors import ClientError, Refused
from backchannel.client.hotline import board, testing
from backchannel.client.hotline.board import KIND, Board, is_hotline
from backchannel.client.rounds.session import allowed, change, look
from backchannel.client.rounds.sync import Sync
from backchannel.client.rounds.verdict import queued
from backchannel.client.telling.choosing import pick_channel
from backchannel.client.vault.vault import Vault
from backchannel.protocol.command import Ring
from backchannel.protocol.outcome import Rang

_SAFE = "It is safe in the outbox and goes with the next sync; do not do it again."
_WAIT = 25  # seconds of one waiting read


@final
class Desk:
    """One hotline, after a round with it."""

    def __init__(self, app: App, vault: Vault, sync: Sync, name: str) -> None:
        self.name = name
        self.problem: ClientError | None = None
        """Why what was rung last is still to be sent."""
        self._app = app
        self._vault = vault
        self._sync = sync

    def board(self) -> Board:
        """What is known now."""
        app, vault = self._app, self._vault
        with allowed():
            session = look(vault, self.name, app.now(), app.entropy)
            return board.read(vault, vault.channels.get(self.name), session.state, session.now)

    def ring(self, command: Ring) -> Rang:
        """Say it, and deliver it."""
        rang = self._sync.act(self.name, command, Rang)
        assert rang is not None  # noqa: S101 - what was rung comes back as an event
        self.problem = self._sync.send(self.name)
        return rang

    @property
    def sent(self) -> str:
        """For a document."""
        return "queued" if self.problem else "at-relay"

    def owe(self) -> None:
        """Raise the problem, if there is one."""
        if self.problem is not None:
            raise queued(self.problem, _SAFE)

    def within(self, test: str, seconds: int) -> None:
        """Let a test of one's own be echoed within another time than usual."""
        with change(self._vault, self.name, self._app.now(), self._app.entropy) as session:
            about = session.summary["hotline"]
            session.summary["hotline"] = testing.within(about, test, seconds)

    def await_echoes(self, test: str, seconds: int) -> dict[str, int]:
        """Read on for so long, or until every side has echoed a test: how fast each did."""
        end = self._app.now() + seconds
        while True:
            echoes = testing.echoes(self.board().about, test)
            left = end - self._app.now()
            if left <= 0 or all(line.party in echoes for line in self.board().lines):
                return echoes
            try:
                self._sync.channel(self.name, min(left, _WAIT))
            except ClientError:
                return echoes


@contextmanager
def desk(
    app: App, channel: str | None, *, offline: bool = False
) -> Iterator[tuple[Desk, ClientError | None]]:
    """The hotline that is meant: without a name the only one there is, beside whatever channels;
    and why what it shows may be old. `Refused` where the channel is of another kind.
    """
    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel or _only(vault), offline=offline)
        if row.summary["policy"]["format"] != KIND:
            msg = f"{row.name} is no hotline. Nothing was done."
            raise Refused(msg, "backchannel channel new NAME --kind hotline")
        yield Desk(app, vault, sync, row.name), problem


def _only(vault: Vault) -> str | None:
    rows = [row for row in vault.channels.list() if is_hotline(row.summary)]
    return pick_channel(vault, rows[0].name).name if len(rows) == 1 else None
