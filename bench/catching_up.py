"""Catching up on queued posts: a real vault takes in what one member missed, in one change.

Beside it the same posts opened by the protocol alone: outer layer, slot, body.
"""

import shutil
import time
from pathlib import Path
from typing import Any
from unittest import mock

from backchannel.client.machine.profile import Profile
from backchannel.client.rounds import session
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.vault import Vault
from backchannel.protocol import block, sender_key
from backchannel.protocol.core import Clock, head_of
from backchannel.protocol.outcome import Arrival
from backchannel.protocol.secret import OuterSecret
from backchannel.protocol.sender_key import GroupHeader, PeerGeneration
from backchannel.protocol.types import Block, Core, Slot
from tests.support.people import ENTROPY, make_vault
from tests.support.world import Member, World

QUEUED = 1000
_TEXT = "a" * 1000
_OUTER = OuterSecret(bytes(32))


class _Opening:
    """One post as the protocol alone opens it."""

    def __init__(self, held: PeerGeneration, core: Core, reader: Slot, clock: Clock) -> None:
        self._held, self._reader, self._clock = held, reader, clock
        self._hour = head_of(core).hour
        self._block: Block = block.wrap(core, _OUTER, clock, ENTROPY)

    def run(self) -> None:
        """Outer layer, slot and body."""
        window = self._hour, self._hour
        core = block.unwrap(self._block, _OUTER, self._clock, self._hour, window)
        header = GroupHeader.read(core)
        head = head_of(core)
        sender_key.open_post(self._held, header, core, self._reader, self._clock, head)


class Absent:
    """Somebody who was away while another spoke."""

    def __init__(self, folder: Path) -> None:
        world = World.of(2)
        founder, reader = world
        self._folder, self._now = folder, world.now
        self._key, self._name = self._keep(reader)
        self._queued = _say(founder, QUEUED)
        self._openings = _rehearse(reader, self._queued)

    def _keep(self, reader: Member) -> tuple[VaultKey, str]:
        profile, key = make_vault(self._folder / "kept", self._now)
        vault = Vault(profile, key, self._now)
        with vault, vault.exclusive(self._now), vault.transaction():
            opened = session.begin(
                vault, reader.member, founded=False, now=self._now, entropy=ENTROPY
            )
        return key, opened.row.name

    def into_vault(self) -> float:
        """A round: microseconds of one post, until all are on the disk."""
        home = self._folder / "round"
        shutil.copytree(self._folder / "kept", home)
        with Vault(Profile.at(home), self._key, self._now) as vault:
            began = time.perf_counter()
            with session.change(vault, self._name, self._now, ENTROPY) as opened:
                for arrival in self._queued:
                    opened.receive(arrival)
            took = time.perf_counter() - began
            heard = len(vault.messages.list(opened.row.id, self._now))
        shutil.rmtree(home)
        if heard != QUEUED:
            msg = f"{heard} of {QUEUED} posts were heard"
            raise RuntimeError(msg)
        return took / QUEUED * 1e6

    def bare(self) -> float:
        """A round: microseconds of one post, opened and forgotten."""
        began = time.perf_counter()
        for each in self._openings:
            each.run()
        return (time.perf_counter() - began) / QUEUED * 1e6


def _say(founder: Member, count: int) -> list[Arrival]:
    """What the channel's drop has more, after so many posts."""
    (poll, *_) = founder.member.polls()
    rows = founder.drops.rows[poll.drop.id]
    before = len(rows)
    for _ in range(count):
        founder.say(_TEXT)
    founder.flush()
    return rows[before:]


def _rehearse(reader: Member, queued: list[Arrival]) -> list[_Opening]:
    """Every opening that reading them takes, by what the reader holds then."""
    openings: list[_Opening] = []
    real = sender_key.open_post

    def noting(
        held: PeerGeneration, header: GroupHeader, core: Core, me: Slot, clock: Clock, *rest: Any
    ) -> Any:
        openings.append(_Opening(held, core, me, clock))
        return real(held, header, core, me, clock, *rest)

    with mock.patch.object(sender_key, "open_post", noting):
        for arrival in queued:
            reader.receive(arrival)
    return openings
