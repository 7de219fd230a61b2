"""A symmetric chain: SPEC.md section 13, "chain".

Each step gives a message key and forgets the step before. Knows neither headers nor ciphertexts.
"""

import msgspec

from backchannel.protocol.errors import GapTooLargeError, ReplayError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import mac
from backchannel.protocol.secret import ChainKey, MessageKey


def step(key: ChainKey) -> tuple[ChainKey, MessageKey]:
    """The next chain key, and the message key of this step."""
    return ChainKey(mac(key, Label.CHAIN_NEXT)), MessageKey(mac(key, Label.CHAIN_MESSAGE))


class Chain(msgspec.Struct, frozen=True, array_like=True):
    """The reading side: where the chain stands, and the keys of numbers that it jumped over.

    `key` is None once the chain is closed: then only skipped numbers can come.
    """

    key: ChainKey | None
    number: int = 0
    skipped: dict[int, MessageKey] = msgspec.field(default_factory=dict)

    def take(self, number: int, most: int) -> tuple["Chain", MessageKey]:
        """The chain after reading `number`, and its key.

        `ReplayError` for a number that was used or is beyond a closed chain's end,
        `GapTooLargeError` for a jump over more than `most`.
        """
        if number in self.skipped:
            rest = {n: key for n, key in self.skipped.items() if n != number}
            return msgspec.structs.replace(self, skipped=rest), self.skipped[number]
        key, skipped = self._skip_to(number, most)
        key, message = step(key)
        return Chain(key, number + 1, skipped), message

    def close(self, length: int, most: int) -> "Chain":
        """The chain after its sender said that it has `length` numbers and no more.

        `ReplayError` for a chain that is closed, or shorter than what was read of it.
        """
        _, skipped = self._skip_to(length, most)
        return Chain(None, length, skipped)

    def _skip_to(self, number: int, most: int) -> tuple[ChainKey, dict[int, MessageKey]]:
        """The chain key at `number`, and the keys put aside on the way there."""
        if self.key is None or number < self.number:
            msg = "that number was used"
            raise ReplayError(msg)
        if number - self.number > most:
            msg = "a jump over too many keys"
            raise GapTooLargeError(msg)
        if number == self.number:
            return self.key, self.skipped
        key, skipped = self.key, dict(self.skipped)
        for passed in range(self.number, number):
            key, skipped[passed] = step(key)
        return key, skipped
