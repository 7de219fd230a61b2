"""What a verb is given: settings, screen, time, chance, vault, relays; each made when asked for.

Owns how a vault comes open: the agent, else a passphrase file, else a question; of what is in
memory only, the agent alone.
"""

from functools import cached_property
from typing import TYPE_CHECKING, final

from backchannel.client.errors import Locked, NoVault, Refused
from backchannel.client.machine import clock
from backchannel.client.machine.profile import Profile
from backchannel.client.settings import Settings
from backchannel.client.ui import Ui
from backchannel.client.unlocking import memory_only, unlocked
from backchannel.client.unlocking.passphrases import Passphrases
from backchannel.protocol.types import Timestamp

if TYPE_CHECKING:
    from backchannel.client.machine.entropy import SystemEntropy
    from backchannel.client.vault.head import VaultKey
    from backchannel.client.vault.vault import Vault
    from backchannel.client.vault.volatile import Volatile
    from backchannel.client.wire.budget import Budget
    from backchannel.client.wire.pace import Paces
    from backchannel.client.wire.relay import Description, Relay, Way
    from backchannel.protocol.primitives import X25519Public

_LONG = 24 * 3600  # seconds


@final
class App:
    """One run of the program."""

    def __init__(self) -> None:
        self.flags: dict[str, str] = {}
        """Options seen on the command line, before or after the verb."""
        self.json = False
        self.channel: str | None = None
        """Named on the command line."""
        self._lent = False
        """Whether the key came from an agent."""

    @cached_property
    def settings(self) -> Settings:
        """Asked for once all options have been read."""
        return Settings(self.flags)

    @cached_property
    def profile(self) -> Profile:
        """The person's folders, found private."""
        profile = self.settings.profile
        if self.settings.memory_only:
            memory_only.tidy(profile)
        profile.refuse_unless_private()
        return profile

    @cached_property
    def ui(self) -> Ui:
        """Screen and questions."""
        return Ui(json_output=self.json, channel=self.channel)

    @cached_property
    def passphrases(self) -> Passphrases:
        """Asks for them."""
        return Passphrases(self.settings, self.ui)

    @cached_property
    def entropy(self) -> "SystemEntropy":
        """Randomness. Loads the cryptographic libraries."""
        from backchannel.client.machine.entropy import SystemEntropy

        return SystemEntropy()

    @cached_property
    def budget(self) -> "Budget":
        """What this run may move; without end, unless a verb says otherwise."""
        from backchannel.client.wire.budget import Budget

        return Budget()

    @cached_property
    def paces(self) -> "Paces":
        """How much the links to relays carry."""
        from backchannel.client.wire.pace import Paces

        return Paces()

    @property
    def at_once(self) -> bool:
        """Whether cover is broken for what a person does now."""
        return "now" in self.flags

    def now(self) -> Timestamp:
        """The time; ask again in whatever runs on."""
        return clock.now(self.profile)

    def vault(self, *, create: bool = False) -> "Vault":
        """The open vault, for a `with`; `NoVault` where none was made, unless it is to be made."""
        made = self.profile.has_vault or not create
        return self.opened(self.key() if made else self.make_vault())

    def opened(self, key: "VaultKey") -> "Vault":
        """The vault that `key` opens, for a `with`; a clock that leapt is settled first."""
        from backchannel.client.vault.vault import Vault

        vault = Vault(self.profile, key, self.now(), volatile=self._volatile)
        if vault.leapt(self.now()):
            self._settle_clock(vault)
        return vault

    def _settle_clock(self, vault: "Vault") -> None:
        from backchannel.client.rounds.doubt import settle

        try:
            settle(self, vault)
        except BaseException:
            vault.close()
            raise

    @cached_property
    def _volatile(self) -> "Volatile":
        from backchannel.client.vault.volatile import Volatile

        return Volatile(lambda: unlocked.volatile(self.profile))

    def key(self) -> "VaultKey":
        """The vault's key: from the agent, else by the passphrase."""
        if self.settings.memory_only:
            return memory_only.key(self.profile)
        self.refuse_without_vault()
        held = unlocked.ask(self.profile)
        self._lent = held is not None
        return held or self.typed_key()

    def unlocked_vault(self) -> "Vault | None":
        """The vault for a timer, if an agent holds its key; asks nobody, and keeps no agent."""
        held = unlocked.ask(self.profile, aside=True) if self.profile.has_vault else None
        self._lent = held is not None
        return None if held is None else self.opened(held)

    def awake(self) -> int:
        """For how many seconds whoever runs on may do so; `Locked` once the agent that lent the
        key has ended.
        """
        if not self._lent and not self.settings.memory_only:
            return _LONG
        left = unlocked.seconds_left(self.profile)
        if left is None and unlocked.gone(self.profile):  # else one takes over from another
            msg = "The vault was locked meanwhile, so this ends."
            raise Locked(msg)
        return max(1, left or 0)

    @property
    def outlives(self) -> bool:
        """Whether what is off the record can be shown by a later command, too."""
        return unlocked.seconds_left(self.profile) is not None

    def refuse_without_vault(self) -> None:
        """`NoVault` where none was made."""
        if not self.profile.has_vault:
            msg = "There is no vault here yet."
            raise NoVault(msg)

    def refuse_in_memory(self, why: str) -> None:
        """`Refused` where nothing is written to a disk."""
        if self.settings.memory_only:
            raise Refused(why, "nothing; all of it ends with: backchannel --memory-only lock")

    def typed_key(self) -> "VaultKey":
        """The vault's key by the passphrase, whether or not an agent holds it."""
        return self.key_of(self.passphrases.known())

    def key_of(self, passphrase: str) -> "VaultKey":
        """The key that a passphrase gives. An agent that holds another ends: it opens nothing any
        more, and would show that it did.
        """
        from backchannel.client.vault.vault import Vault

        key = Vault.key(self.profile, passphrase, self.now(), self.entropy)
        if unlocked.ask(self.profile) not in (None, key):
            unlocked.end(self.profile)
        return key

    def make_vault(self, passphrase: str | None = None) -> "VaultKey":
        """Make the vault under this or a new passphrase, or in memory under nobody's."""
        if self.settings.memory_only:
            return self._begin_in_memory()
        from backchannel.client.vault.vault import Vault

        chosen = self.passphrases.new() if passphrase is None else passphrase
        key = Vault.create(self.profile, chosen, self.now(), self.entropy)
        self.ui.note(f"Made an encrypted vault in {self.profile.vault}.")
        return key

    def _begin_in_memory(self) -> "VaultKey":
        key = memory_only.begin(self.profile, self.now(), self.entropy)
        for line in memory_only.told():
            self.ui.note(line)
        return key

    def relay(self, url: str, key: "X25519Public") -> "Relay":
        """A pinned relay, for a `with`."""
        from backchannel.client.wire.relay import Relay

        shared = (self.budget, self.paces)
        return Relay(url, key, self.now, self.entropy, *shared, **self._way(url))

    def describe(self, url: str) -> "Description":
        """Who answers at an address that is not pinned yet."""
        from backchannel.client.wire.relay import describe

        return describe(url, **self._way(url))

    def _way(self, url: str) -> "Way":
        from backchannel.client.wire.address import Address
        from backchannel.client.wire.route import chosen

        loopback = Address.parse(url, allow_http=True).loopback
        proxy = chosen(self.profile, self.settings.proxy, loopback=loopback)
        way: Way = {"proxy": proxy, "allow_http": self.settings.allow_http}
        return way
