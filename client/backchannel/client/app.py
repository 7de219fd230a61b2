"""What a verb is given: settings, screen, time, chance, vault, relays; each made when asked for.

Owns how a vault comes open: the agent, else a passphrase file, else a question; of what is in
memory only, the agent alone.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, final

from backchannel.client import clock, memory_only, unlocked
from backchannel.client.errors import Locked, NoVault, UnsafeFile, WrongPassphrase
from backchannel.client.profile import Profile, refuse_unless_private
from backchannel.client.settings import Settings
from backchannel.client.ui import Ui
from backchannel.protocol.types import Timestamp

if TYPE_CHECKING:
    from backchannel.client.entropy import SystemEntropy
    from backchannel.client.relay import Description, Relay, Way
    from backchannel.client.vault.head import VaultKey
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.primitives import X25519Public

_SHORTEST = 8  # characters; Argon2id makes each guess cost most of a second
_TRIES = 3


@final
class App:
    """One run of the program."""

    def __init__(self) -> None:
        self.flags: dict[str, str] = {}
        """Options seen on the command line, before or after the verb."""
        self.json = False

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
        return Ui(json_output=self.json)

    @cached_property
    def entropy(self) -> "SystemEntropy":
        """Randomness. Loads the cryptographic libraries."""
        from backchannel.client.entropy import SystemEntropy

        return SystemEntropy()

    def now(self) -> Timestamp:
        """The time; ask again in whatever runs on."""
        return clock.now(self.profile)

    def vault(self, *, create: bool = False) -> "Vault":
        """The open vault, for a `with`; `NoVault` where none was made, unless it is to be made."""
        from backchannel.client.vault.vault import Vault

        if self.profile.has_vault or not create:
            return Vault(self.profile, self.key(), self.now())
        return Vault(self.profile, self.make_vault(), self.now())

    def key(self) -> "VaultKey":
        """The vault's key: from the agent, else by the passphrase."""
        if self.settings.memory_only:
            return memory_only.key(self.profile)
        if not self.profile.has_vault:
            msg = "There is no vault here yet."
            raise NoVault(msg)
        return unlocked.ask(self.profile) or self.typed_key()

    def typed_key(self) -> "VaultKey":
        """The vault's key by the passphrase, whether or not an agent holds it."""
        from backchannel.client.vault.vault import Vault

        return Vault.key(self.profile, self._passphrase(), self.now(), self.entropy)

    def make_vault(self) -> "VaultKey":
        """Make the vault under a new passphrase, or in memory under nobody's."""
        if self.settings.memory_only:
            return self._begin_in_memory()
        from backchannel.client.vault.vault import Vault

        passphrase = self._new_passphrase()
        key = Vault.create(self.profile, passphrase, self.now(), self.entropy)
        self.ui.note(f"Made an encrypted vault in {self.profile.vault}.")
        return key

    def _begin_in_memory(self) -> "VaultKey":
        key = memory_only.begin(self.profile, self.now(), self.entropy)
        for line in memory_only.told():
            self.ui.note(line)
        return key

    def relay(self, url: str, key: "X25519Public") -> "Relay":
        """A pinned relay, for a `with`."""
        from backchannel.client.relay import Relay

        return Relay(url, key, self.now, self.entropy, **self._way())

    def describe(self, url: str) -> "Description":
        """Who answers at an address that is not pinned yet."""
        from backchannel.client.relay import describe

        return describe(url, **self._way())

    def _way(self) -> "Way":
        way: Way = {"proxy": self.settings.proxy, "allow_http": self.settings.allow_http}
        return way

    def _passphrase(self) -> str:
        return self._passphrase_of_file() or self._typed("Passphrase of the vault:")

    def _new_passphrase(self) -> str:
        given = self._passphrase_of_file()
        if given is not None:
            return given
        for _ in range(_TRIES - 1):
            try:
                return self._chosen_passphrase()
            except Locked as error:  # nobody should have to begin anew, with twelve words, for this
                if not self.ui.can_ask:
                    raise
                self.ui.note(f"{error.message} Once more.")
        return self._chosen_passphrase()

    def _chosen_passphrase(self) -> str:
        passphrase = self._typed("Choose a passphrase for a new vault:")
        if len(passphrase) < _SHORTEST:
            msg = f"A passphrase has at least {_SHORTEST} characters."
            raise Locked(msg, "take four or five words that nobody can guess")
        if self._typed("The same once more:") != passphrase:
            msg = "The two did not match."
            raise WrongPassphrase(msg)
        return passphrase

    def _typed(self, question: str) -> str:
        try:
            passphrase = self.ui.ask_secret(question)
            passphrase.encode()
        except UnicodeError:  # its text would quote the passphrase
            msg = "What was typed is not text in UTF-8."
            raise Locked(msg, "set the terminal to UTF-8, then try again") from None
        return passphrase

    def _warn_if_open(self, path: Path) -> None:
        """Only a warning: it may be a pipe, or a secret that an orchestrator mounted."""
        try:
            refuse_unless_private(path)
        except UnsafeFile as error:
            self.ui.note(f"{error.message} It holds the passphrase.")

    def _passphrase_of_file(self) -> str | None:
        path = self.settings.passphrase_file
        if path is None:
            return None
        self._warn_if_open(path)
        try:
            text = path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError):
            msg = f"The passphrase file {path} cannot be read."
            raise Locked(msg, "give --passphrase-file FILE") from None
        if not text:
            msg = f"The passphrase file {path} is empty."
            raise Locked(msg, "write the passphrase into it, in one line")
        return text
