"""Off the record: items under a key that is in memory alone, within all that seals others.

Owns the mark that tells such an item, and that one whose key is gone is closed for good. Asks for
the key when it is first needed: of the agent; where none runs it is this process's own, and ends
with it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from backchannel.client.vault.head import VolatileKey
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.secret import ItemKey

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy

CLOSED: Final = b'{"kind":"closed"}'
"""What is left of one whose key is gone."""
_MARK = b"\0"  # no document begins so
_ABOUT = b"volatile"


def _nobody() -> VolatileKey | None:
    return None


@final
class Volatile:
    """The key of one session, which `held` gives where something outlives this process."""

    def __init__(self, held: Callable[[], VolatileKey | None] = _nobody) -> None:
        self._held = held
        self._key: VolatileKey | None = None

    def seal(self, plain: bytes, about: bytes, entropy: "Entropy") -> bytes:
        """What the vault may keep of it."""
        from backchannel.protocol.expiry import seal_item

        self._key = self._key or self._held() or VolatileKey(entropy.draw(VolatileKey.LENGTH))
        return _MARK + seal_item(ItemKey(self._key.expose()), plain, _ABOUT + about, entropy)

    def open(self, kept: bytes, about: bytes) -> bytes:
        """What `seal` was given, or `CLOSED`; what is not off the record is given back as it is."""
        from backchannel.protocol.expiry import open_item

        if not kept.startswith(_MARK):
            return kept
        self._key = self._key or self._held()
        if self._key is None:
            return CLOSED
        try:
            key = ItemKey(self._key.expose())
            return open_item(key, kept.removeprefix(_MARK), _ABOUT + about)
        except AuthenticationError:
            return CLOSED
