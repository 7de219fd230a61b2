"""Owns SPEC 13, chains and uses: an export of a line is a chain, and each of its keys is used once.

An *export* is a dict of step, chain_key, n (the next number) and skipped {use: secret}.
"""

from typing import Any

from tests.support.second_reader.primitives import mac
from tests.support.second_reader.refused import Refused, need

Export = dict[str, Any]
USES = 256
MOST_JUMP = 64
MOST_SKIPPED = 64
MOST_EXPORTS = 64


def chain_step(chain_key: bytes) -> tuple[bytes, bytes]:
    """SPEC 13: (message key, the next chain key)."""
    return mac(chain_key, "chain message", b""), mac(chain_key, "chain next", b"")


def new_export(step: int, export: bytes) -> Export:
    """SPEC 13: the export of a step, of which nothing was used."""
    return {"step": step, "chain_key": export, "n": 0, "skipped": {}}


def kept(exports: list[Export], another: Export) -> list[Export]:
    """SPEC 21: with one more, steps rising; the newest 64."""
    return sorted([*exports, another], key=lambda each: int(each["step"]))[-MOST_EXPORTS:]


def spend(export: Export) -> tuple[Export, int, bytes]:
    """SPEC 13: the export after its next use, the use, and its secret."""
    use = export["n"]
    after, secret = take(export, use)
    return after, use, secret


def take(export: Export, use: int) -> tuple[Export, bytes]:
    """SPEC 13: the export after one use of it, and the secret of that use.

    Skipped uses stand in rising order: the newest come last.
    """
    need(use < USES, "stale", "an export that is used up")
    skipped = dict(export["skipped"])
    if use < export["n"]:
        need(use in skipped, "stale", "a use that was taken")
        return export | {"skipped": skipped}, skipped.pop(use)
    need(use - export["n"] <= MOST_JUMP, "stale", "a jump over uses")
    chain_key = export["chain_key"]
    for number in range(export["n"], use):
        skipped[number], chain_key = chain_step(chain_key)
    secret, chain_key = chain_step(chain_key)
    skipped = dict(list(skipped.items())[-MOST_SKIPPED:])
    return export | {"chain_key": chain_key, "n": use + 1, "skipped": skipped}, secret


def redeem(exports: list[Export], step: int, use: int) -> list[tuple[list[Export], bytes]]:
    """SPEC 13: each way to take a use of a step: step 0 may have two exports (SPEC 12)."""
    found = []
    for at, export in enumerate(exports):
        if export["step"] == step:
            try:
                after, secret = take(export, use)
            except Refused:
                continue
            found.append(([*exports[:at], after, *exports[at + 1 :]], secret))
    return found
