"""The record that nobody bends: SPEC.md section 16. What was accepted, refused and cited, and who
showed to be where.

A second post under one number is a fork; a post that others cite and that was refused here is an
alarm. Software ejects nobody: people compare by voice.
"""

from collections.abc import Iterable

from backchannel.protocol import command as commands
from backchannel.protocol import limits, sender_key
from backchannel.protocol.content import Digest, DigestRow
from backchannel.protocol.errors import StaleError
from backchannel.protocol.labels import Label
from backchannel.protocol.outcome import Event
from backchannel.protocol.posting import Posting
from backchannel.protocol.primitives import hash_
from backchannel.protocol.reception import Reception
from backchannel.protocol.sender_key import GroupHeader, PeerGeneration
from backchannel.protocol.state import ChannelState
from backchannel.protocol.transcript import Post
from backchannel.protocol.types import ContentHash, Hour, RosterHash, Slot


def open_post(
    reception: Reception, held: PeerGeneration, header: GroupHeader
) -> tuple[PeerGeneration, bytes]:
    """The generation after a post, and its part; as `sender_key.open_post`."""
    state = reception.state
    if header.number < held.first:
        msg = "a post from before its key was given to me"
        raise StaleError(msg)
    return sender_key.open_post(
        held, header, reception.core, state.me, reception.clock, reception.head
    )


def accept(reception: Reception, header: GroupHeader, order: int, version: int) -> list[Event]:
    """Put a post that verified into the record."""
    state, ending = reception.state, reception.epoch.ending
    parents = tuple(parent.hash for parent in header.parents)
    if ending is not None and reception.hash in ending.past:
        known = state.transcript
        ending.past |= {parent for parent in parents if parent not in known}
    slots = sender_key.slots_name(reception.core)
    post = Post(reception.head.hour, order, version, header.sender, parents, slots)
    for lost in state.transcript.add(reception.hash, post, header.parents):
        state.want("core", header.sender, lost, reception.now)
    state.got("core", header.sender, reception.hash)
    state.alive[header.sender] = Hour(max(state.alive.get(header.sender, 0), reception.head.hour))
    if header.roster in state.versions:
        come(state, header.sender, header.roster)
    return []


def come(state: ChannelState, slot: Slot, roster: RosterHash) -> None:
    """A member has shown to be at a roster that is known; so it stands behind no rival of it."""
    version = state.versions[roster]
    state.come[slot] = max(state.come.get(slot, 0), version)
    if state.roster is not None and version >= state.roster.version:
        state.rivals = {name: each for name, each in state.rivals.items() if each.by != slot}


def compare(reception: Reception, sender: Slot, digest: Digest) -> list[Event]:
    """Note what somebody else holds."""
    state = reception.state
    state.record.digests[sender] = {Hour(row.hour): row.digest for row in digest.rows}
    state.record.asked = state.record.asked or bool(digest.asks)
    return []


def tell(posting: Posting, command: commands.Digest) -> None:
    """Tell others what one holds of the closed hours."""
    state = posting.state
    state.record.told, state.record.asked = posting.hour, False
    posting.post(digest(state, posting.hour, asks=command.asks))


def digest(state: ChannelState, now: Hour, *, asks: bool = False) -> Digest:
    """The newest closed hours in which anything was said."""
    rows: dict[Hour, list[ContentHash]] = {}
    for core, post in state.transcript.posts.items():
        if post.hour < now - limits.CLOCK_SKEW:
            rows.setdefault(post.hour, []).append(core)
    newest = sorted(rows)[-limits.DIGEST_ROWS :]
    refused = sorted(state.record.refused)[: limits.DIGEST_REFUSED]
    return Digest(
        int(asks),
        tuple(DigestRow(hour, len(rows[hour]), row_digest(hour, rows[hour])) for hour in newest),
        tuple(refused),
    )


def row_digest(hour: Hour, cores: Iterable[ContentHash]) -> bytes:
    """32 bytes over what was accepted of one hour."""
    return hash_(Label.DIGEST, hour.to_bytes(4) + b"".join(sorted(cores)))
