"""What one command reaches relays with: the vault and its lanes; which relays will do for each
other, which are left alone for now, and who is waited for.

Knows nothing of what is read or sent.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from typing import Final, final

from backchannel.client.app import App
from backchannel.client.errors import ClientError
from backchannel.client.machine.clock import elapsed
from backchannel.client.rounds import doubt
from backchannel.client.rounds.health import PATIENT, grace, left_alone
from backchannel.client.rounds.relays import Relays
from backchannel.client.rounds.session import Session, change, look
from backchannel.client.vault.vault import Vault
from backchannel.client.wire.lanes import GRACE, Lanes

_LONG: Final = 120.0
"""Seconds of a round for which nobody asked: then it goes on with the next one. A relay may answer
as slowly as is allowed, page after page; erasing, and other channels, do not wait for it.
"""

_SPARE: Final = 5.0
"""Seconds for the pieces of files, over a quick link, where somebody waits for something else."""


@final
class Network:
    """For all rounds of the command, over the same connections."""

    def __init__(self, app: App, vault: Vault, *, patient: bool = False) -> None:
        """`patient`: nobody sits and waits, so slow relays have their time."""
        self.app = app
        self.vault = vault
        self.relays = Relays(app)
        self._patient = patient
        self._stays = False
        self._began = elapsed()
        self.thorough = False
        """Whether a person asked for this: then every relay is tried, and waited for."""
        self._listen()

    def begin(self, *, stays: bool = False) -> None:
        """A new round: every relay may be tried again. Who `stays` waits for nothing else."""
        self._stays = stays
        self.relays.forgive()
        self._began = elapsed()
        self._listen()

    def _listen(self) -> None:
        """From now on nobody sits and waits while nothing comes, unless they asked for that."""
        silence = self.app.paces.silence
        silence.begin()
        self.relays.silence = None if self.thorough or self._patient else silence

    def spare(self) -> Callable[[], bool]:
        """Whether there is time, from now on, for what fills a line for long."""
        silence, began = self.relays.silence, elapsed()
        if silence is None or self._stays:
            return lambda: True
        return lambda: silence.quick and elapsed() - began < _SPARE

    @property
    def late(self) -> bool:
        """Whether a round for which nobody asked takes too long."""
        return not self.thorough and elapsed() - self._began > _LONG

    def change(self, name: str) -> AbstractContextManager[Session]:
        """`session.change`, now."""
        return change(self.vault, name, self.app.now(), self.app.entropy)

    def look(self, name: str) -> Session:
        """`session.look`, now."""
        return look(self.vault, name, self.app.now(), self.app.entropy)

    def urls(self, owner: bytes | None) -> list[str]:
        """A channel's relays, which will do for each other; of anything else none."""
        rows = [row for row in self.vault.channels.list() if row.id == owner]
        return [str(url) for row in rows for url, _ in row.summary["relays"]]

    def free(self, lanes: Lanes, urls: Collection[str]) -> bool:
        """Whether slow relays need not be waited for, since one of these is done."""
        return self.late or (not self.thorough and self.relays.free(lanes, urls))

    def rest(self, urls: Collection[str]) -> None:
        """Leave those alone that failed lately, if others of `urls` did not; none for whom a person
        asked.
        """
        known, now = {} if self.thorough or not urls else self.vault.health.all(), self.app.now()
        given = grace(known, urls, now, usual=PATIENT if self._patient else GRACE)
        self.relays.rest(left_alone(known, urls, now), given)
        if self.relays.silence is not None:
            self.relays.silence.others = self.relays.resting

    def remember(self) -> None:
        """Note who failed, where that can be noted now."""
        with suppress(ClientError):  # another command has the vault, or the clock leapt
            self.relays.remember(self.vault)

    def trust_clock(self) -> None:
        """Where it leapt while this ran, as after a weekend's sleep: `RelayDown` until a relay has
        said that it is right.
        """
        if self.vault.leapt(self.app.now()):
            doubt.confirm(self.app, self.vault, self.relays)
