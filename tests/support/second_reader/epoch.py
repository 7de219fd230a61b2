"""Owns SPEC 3 to 5: the key rule, which hours are accepted, and the epoch's secret and clock.

A *clock* is E at one hour, 32 bytes; in a lobby it is the lobby clock at every hour.
"""

from tests.support.second_reader.primitives import aead_open, kdf, label_hash, number, same, u32
from tests.support.second_reader.refused import need

CORE = 4056


def check_core(core: bytes, kind: int) -> None:
    """SPEC 7: the size and the kind of a core."""
    need(len(core) == CORE, "size", "core")
    need(core[0] == kind, "rules", "another kind of core")


def core_hour(core: bytes) -> int:
    """SPEC 7: the hour that stands in a core."""
    return number(core[1:5])


def core_key(core: bytes, secret: bytes, clock: bytes, context: bytes = b"") -> tuple[bytes, bytes]:
    """SPEC 3: (key 32, commitment 32) of a core with the clock of the core's own hour."""
    info = core[1:5] + core[0:1] + context
    both = kdf(secret + clock, core[5:21], "core key", info, 64)
    return both[:32], both[32:]


def open_part(
    core: bytes, secret: bytes, clock: bytes, places: tuple[int, int, int], context: bytes = b""
) -> bytes:
    """SPEC 3: compare the commitment, then decrypt; gives the plaintext, still padded.

    places: where the commitment starts, where the ciphertext starts, where it ends.
    """
    commitment_at, start, end = places
    key, commitment = core_key(core, secret, clock, context)
    need(same(commitment, core[commitment_at : commitment_at + 32]), "commitment")
    return aead_open(key, core[:start], core[start:end])


def check_hour(hour: int, now: int, lifetime: int) -> None:
    """SPEC 4: refuse an hour below now - lifetime or above now + 1 (all in hours)."""
    need(now - lifetime <= hour <= now + 1, "stale", "hour")


def check_newcomers_hour(hour: int, now: int) -> None:
    """SPEC 4: in a lobby a newcomer has only the upper bound."""
    need(hour <= now + 1, "stale", "hour")


def epoch_start(seed: bytes) -> dict[str, bytes]:
    """SPEC 5: a seed 32 -> `secret` S, `clock` E(first hour) and `seed_id` 16."""
    return {
        "secret": kdf(seed, b"", "epoch secret", b"", 32),
        "clock": kdf(seed, b"", "epoch clock", b"", 32),
        "seed_id": label_hash("epoch seed", seed)[:16],
    }


def epoch_keys(secret: bytes) -> dict[str, bytes]:
    """SPEC 5: S -> `intro_key`, `roster_secret`, `unattributed_secret` and `epoch_id` 16."""
    return {
        "intro_key": kdf(secret, b"", "intro key", b"", 32),
        "roster_secret": kdf(secret, b"", "roster body", b"", 32),
        "unattributed_secret": kdf(secret, b"", "unattributed", b"", 32),
        "epoch_id": kdf(secret, b"", "epoch id", b"", 16),
    }


def clock_at(clock: bytes, hour: int, wanted: int) -> bytes:
    """SPEC 5: E(wanted) from E(hour); there is no way back."""
    need(hour <= wanted, "stale", "the clock does not run back")
    for _ in range(wanted - hour):
        clock = kdf(clock, b"", "next hour", b"", 32)
    return clock


def epoch_commitment(secret: bytes, hour: int, clock: bytes) -> bytes:
    """SPEC 5: commitment(h) from S, h and E(h)."""
    return label_hash("epoch commitment", secret + u32(hour) + clock)
