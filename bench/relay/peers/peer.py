"""What a peer is to the load."""

from collections.abc import Callable
from typing import NamedTuple

from bench.relay.load import Address


class Peer(NamedTuple):
    """Somebody else's server, which runs."""

    address: Address
    requests: Callable[[int], list[bytes]]
    """So many fresh ones, each of which stores 4 KiB (`redis`: 32 times 4 KiB)."""
    per_round: int
    """How many take it one or two seconds."""
