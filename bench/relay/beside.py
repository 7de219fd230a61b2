"""The peers, each by turns with a relay: single blocks by 32 writers, with Redis batches of 32."""

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import NamedTuple

from bench.libsignal import Missing
from bench.relay.findings import Findings
from bench.relay.load import Refused
from bench.relay.ours import Ours, ours
from bench.relay.parts import APPENDS, BULK, BULK_ROWS, WRITERS, drives
from bench.relay.peers.jetstream import jetstream
from bench.relay.peers.nostr import nostr
from bench.relay.peers.peer import Peer
from bench.relay.peers.redis import BATCH, redis
from bench.relay.peers.synapse import synapse
from bench.side_by_side import SideBySide

_TROUBLE = (Missing, Refused, RuntimeError, OSError, TimeoutError, subprocess.SubprocessError)
"""Why a peer may not be had; none of it means that it was beaten."""
_Start = Callable[[], AbstractContextManager[Peer]]
_ONE_BY_ONE: dict[str, _Start] = {
    "append_vs_synapse": synapse,
    "append_vs_jetstream_sync": jetstream,
    "append_vs_nostr_relay": nostr,
}


def part(found: Findings, rounds: int) -> None:
    """Whoever can be had."""
    with ours(WRITERS) as relay:
        single = Way(partial(relay.appends, APPENDS), WRITERS, 1)
        for name, start in _ONE_BY_ONE.items():
            compare(found, rounds, name, start, relay, single)
        batches = Way(partial(relay.appends, BULK_ROWS // BATCH, BATCH), BULK, BATCH)
        compare(found, rounds, "bulk_append_vs_redis", redis, relay, batches)


class Way(NamedTuple):
    """How a relay is asked, and its peer alike."""

    requests: Callable[[], list[bytes]]
    writers: int
    blocks: int


def compare(found: Findings, rounds: int, name: str, start: _Start, relay: Ours, way: Way) -> None:
    """One ratio, or null and the reason why there is none."""
    one, _, other = name.partition("_vs_")
    beside = f"{one}_beside_{other}"
    with ExitStack() as running:
        try:
            peer = running.enter_context(start())
            made = partial(peer.requests, peer.per_round)
            drives(peer.address, made, way.writers)
        except _TROUBLE as problem:
            found.missing[other], found.ratios[name] = str(problem), None
            return
        ours_too = partial(drives, relay.address, way.requests, way.writers)
        theirs = partial(drives, peer.address, made, way.writers)
        measured = SideBySide(
            rounds,
            {
                beside: found.round(beside, ours_too, way.blocks),
                other: found.round(other, theirs, way.blocks),
            },
        )
    found.compare(name, measured, beside, other)
    found.keep(measured, "per_s")
