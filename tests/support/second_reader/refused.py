"""Owns the one exception of the second reader: a structure that SPEC.md does not allow."""

from typing import Literal

Reason = Literal["size", "encoding", "commitment", "ciphertext", "mac", "stale", "rules"]


class Refused(Exception):
    """SPEC 1: the whole structure is refused; `reason` says which kind of check failed.

    size: a wrong length. encoding: MessagePack, UTF-8, padding, words, or a public key that is
    none. commitment, ciphertext, mac: that comparison failed. stale: an hour or a number that is
    no longer, or not yet, accepted. rules: any other value outside what is written.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason


def need(holds: bool, reason: Reason, detail: str = "") -> None:
    """Refuse unless the condition holds."""
    if not holds:
        raise Refused(reason, detail)
