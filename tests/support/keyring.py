"""Every key that people's vaults ever held, by name: what a hunt looks for. Opens what its owners
could, and decides nothing.
"""

from contextlib import suppress
from dataclasses import dataclass, field

from backchannel.client.machine.entropy import SystemEntropy
from backchannel.client.rounds.session import Session, look
from backchannel.client.vault.vault import Vault
from backchannel.protocol.block import outer_key
from backchannel.protocol.candidate import Candidate
from backchannel.protocol.errors import StaleError
from backchannel.protocol.expiry import PLACE, Place, PlaceKind
from backchannel.protocol.types import Hour, hour_of
from tests.support.filled import secrets_of
from tests.support.person import now

_BARE = {PlaceKind.EMPTY, PlaceKind.HEADER}


@dataclass
class Keyring:
    """Filled by and by: what was renewed or used up since is there, too."""

    keys: dict[str, bytes] = field(default_factory=dict)
    """All that stood in saved state, and what follows from it."""
    on_disk: dict[str, bytes] = field(default_factory=dict)
    """What stands outside the vault by design: in the file of expiry keys."""

    def note(self, name: str, vault: Vault) -> None:
        """All that somebody's vault holds now."""
        self._keep(f"{name}: vault key", vault._key.expose())
        self._keep(f"{name}: database key", vault._database.key.expose())
        self._keep(f"{name}: store key", vault._store_key().expose())
        file = vault._folder.first.keys.read_bytes()
        for place in (Place.read(file[at : at + PLACE]) for at in range(0, len(file), PLACE)):
            if place.kind not in _BARE:
                self.on_disk[f"{name}: {place.kind.name} {place.value[:4].hex()}"] = place.value
        for join in vault.joins.list():
            for secret in secrets_of(Candidate.open(join.state).state):
                self._keep(f"{name} outside: {type(secret).__name__}", secret.expose())
        for row in vault.channels.list():
            self._note_channel(name, look(vault, row.name, now(), SystemEntropy()))

    def _note_channel(self, name: str, session: Session) -> None:
        for secret in secrets_of(session.state):
            self._keep(f"{name}: {type(secret).__name__}", secret.expose())
        for epoch in session.state.epochs:
            for _, drop in epoch.drops():
                self._keep(f"{name}: access key", drop.access.expose())
                self._keep(f"{name}: outer secret", drop.outer.expose())
                for hour in range(hour_of(now()) - 1, hour_of(now()) + 2):
                    with suppress(StaleError):
                        key = outer_key(drop.outer, session.channel.clocks[epoch.id], Hour(hour))
                        self._keep(f"{name}: outer key", key.expose())

    def _keep(self, what: str, value: bytes) -> None:
        self.keys[f"{what} {value[:4].hex()}"] = value
