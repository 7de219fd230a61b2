"""Every label that keeps one use of a hash, MAC or derivation from another: SPEC.md section 20."""

from enum import StrEnum


class Label(StrEnum):
    """One member per use; two uses never share one."""

    ANSWERED = "answered"
    BUNDLE = "bundle"
    CARRY = "carry"
    CHAIN_MESSAGE = "chain message"
    CHAIN_NEXT = "chain next"
    CHARTER = "charter"
    CONTENT = "content"
    CORE_KEY = "core key"
    DIGEST = "digest"
    DISCLOSURE = "disclosure"
    DROP = "drop"
    DROP_ACCESS = "drop access"
    DROP_CLOSE = "drop close"
    DROP_ID = "drop id"
    DROP_OUTER = "drop outer"
    EPOCH_CLOCK = "epoch clock"
    EPOCH_COMMITMENT = "epoch commitment"
    EPOCH_ID = "epoch id"
    EPOCH_SECRET = "epoch secret"  # noqa: S105 - a label
    EPOCH_SEED = "epoch seed"
    GENERATION = "generation"
    IDENTITY = "identity"
    INTRO = "intro"
    INTRO_KEY = "intro key"
    INTRO_KEYS = "intro keys"
    INTRO_TRANSCRIPT = "intro transcript"
    INVITE = "invite"
    ITEM_KEY = "item key"
    JOIN = "join"
    LINE_BODY = "line body"
    LOBBY_CARD = "lobby card"
    LOBBY_CLOCK = "lobby clock"
    LOBBY_DROP = "lobby drop"
    LOBBY_INTRO = "lobby intro"
    MAC_SEED = "mac seed"
    NEXT_HOUR = "next hour"
    OUTER_KEY = "outer key"
    PARTIAL = "partial"
    PLACE = "place"
    POLICY = "policy"
    PREKEY = "prekey"
    RATCHET_ROOT = "ratchet root"
    RELAY_ANSWER = "relay answer"
    RELAY_KEYS = "relay keys"
    RELAY_REQUEST = "relay request"
    ROSTER = "roster"
    ROSTER_BODY = "roster body"
    SENDER_CHAIN = "sender chain"
    SLOT = "slot"
    STEP_MASK = "step mask"
    UNATTRIBUTED = "unattributed"
    VOUCHER = "voucher"
    WORDS = "words"
    WORDS_SALT = "words salt"

    @property
    def prefix(self) -> bytes:
        """`u8 length | "backchannel/1 " | label`: no prefix is the start of another."""
        return _PREFIXES[self]


_PREFIXES = {
    label: bytes([len(full)]) + full
    for label in Label
    for full in (b"backchannel/1 " + label.value.encode("ascii"),)
}
