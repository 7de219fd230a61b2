"""The rules of a drop, over one transaction of the store and an hour: SPEC.md section 18.

Each rule decides before it writes, so that a refusal changes nothing. Knows no HTTP, no keys of
clients, no clock.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from backchannel.protocol.drop import Create, Page, Read, Stored, show_voucher, voucher_hash
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError, StaleError
from backchannel.protocol.types import Block, DropId, Hour
from backchannel.server.errors import (
    QuotaError,
    SealedError,
    UnknownDropError,
    VoucherRefusedError,
)
from backchannel.server.limits import MOST_POSITION
from backchannel.server.logs import warn_seldom
from backchannel.server.repository import BlockRow, DropRow, Repository
from backchannel.server.retention import Retention, expires_at


def mint(repository: Repository, count: int, entropy: Entropy) -> list[str]:
    """`count` fresh vouchers as people copy them; only their hashes are kept."""
    vouchers = [entropy.draw(16) for _ in range(count)]
    repository.add_vouchers(sorted(map(voucher_hash, vouchers)))
    return [show_voucher(voucher) for voucher in vouchers]


def create(repository: Repository, drop: DropId, asked: Create) -> None:
    """Make a drop for a voucher. Asked again with the same keys and class, the answer is the same
    and free.
    """
    row = DropRow(asked.access.value, asked.close.value, asked.keep, sealed=False, following=1)
    found = repository.drop(drop)
    if found is not None:
        if found[:3] != row[:3]:
            raise VoucherRefusedError
        return
    if not repository.take_voucher(voucher_hash(asked.voucher)):
        raise VoucherRefusedError
    repository.add_drop(drop, row)


def append(
    repository: Repository,
    retention: Retention,
    drop: DropId,
    blocks: Sequence[Block],
    quota: int,
    hour: Hour,
) -> list[Stored]:
    """Where each block stands: those that the drop holds already, where they were."""
    row = _existing(repository, drop)
    if row.sealed:
        raise SealedError
    offer = _offer(repository, retention, drop, blocks, hour)
    room = quota + len(offer.dead) - repository.count(drop, row.following)
    if offer.fresh and len(offer.fresh) > room:
        raise QuotaError
    return _taken(repository, retention, drop, row, offer, hour)


def page(
    repository: Repository, retention: Retention, drop: DropId, asked: Read, hour: Hour
) -> Page:
    """What stands in the drop from a position and an hour on, and is not expired."""
    row = _existing(repository, drop)
    first = min(asked.position, MOST_POSITION)
    first = repository.skip(drop, first, row.following, asked.hour)
    found = repository.page(drop, first, asked.hour, hour, asked.most + 1)
    rows, more = found[: asked.most], len(found) > asked.most
    opened = tuple(_opened(retention, drop, rows, hour))
    return Page(rows[-1].position + 1 if more else row.following, more, opened)


def seal(
    repository: Repository,
    retention: Retention,
    drop: DropId,
    blocks: Sequence[Block],
    hour: Hour,
) -> list[Stored]:
    """Where each of the drop's last blocks stands; from now on it is read only.

    They go beyond the quota: who filled it cannot prevent that its own removal is announced. That
    happens once in the life of a drop, so it never holds more than one request beyond its quota.
    """
    row = _existing(repository, drop)
    offer = _offer(repository, retention, drop, blocks, hour)
    if row.sealed and offer.fresh:
        raise SealedError
    stored = _taken(repository, retention, drop, row, offer, hour)
    repository.seal_drop(drop)
    return stored


def delete(repository: Repository, drop: DropId) -> None:
    """The drop and its blocks are gone."""
    _existing(repository, drop)
    repository.delete_drop(drop)


def _opened(
    retention: Retention, drop: DropId, rows: Sequence[BlockRow], hour: Hour
) -> Iterator[Stored]:
    for row in rows:
        try:
            block = retention.open(drop, row.position, row.sealed, row.hour, row.expires, hour)
        except StaleError:
            continue  # the hour turned while we were reading
        except AuthenticationError:
            warn_seldom("a stored block is damaged; next: backchannel-relay doctor")
            continue
        yield Stored(row.position, row.hour, block)


def _existing(repository: Repository, drop: DropId) -> DropRow:
    row = repository.drop(drop)
    if row is None:  # deleted since its key was checked
        raise UnknownDropError
    return row


class _Offer(NamedTuple):
    """Blocks against what a drop holds, by digest."""

    digests: Sequence[bytes]
    """Of all, in their order."""
    known: dict[bytes, Stored]
    fresh: dict[bytes, Block]
    dead: Sequence[int]
    """Positions of what is expired and not yet swept: it makes room for its return."""


def _offer(
    repository: Repository, retention: Retention, drop: DropId, blocks: Sequence[Block], hour: Hour
) -> _Offer:
    digests = [retention.digest(drop, block) for block in blocks]
    held = list(filter(None, (repository.held(drop, digest) for digest in dict.fromkeys(digests))))
    known = {row.digest: Stored(row.position, row.hour) for row in held if row.expires > hour}
    fresh = {d: b for d, b in zip(digests, blocks, strict=True) if d not in known}
    return _Offer(digests, known, fresh, [row.position for row in held if row.expires <= hour])


def _taken(
    repository: Repository,
    retention: Retention,
    drop: DropId,
    row: DropRow,
    offer: _Offer,
    hour: Hour,
) -> list[Stored]:
    """Where each block stands, now that all of them do."""
    stored = dict(offer.known)
    if offer.fresh:
        rows = _sealed(retention, drop, row, offer.fresh, hour)
        for position in offer.dead:
            repository.delete_block(drop, position)
        repository.add_blocks(drop, rows)
        stored.update((new.digest, Stored(new.position, new.hour)) for new in rows)
    return [stored[digest] for digest in offer.digests]


def _sealed(
    retention: Retention, drop: DropId, row: DropRow, fresh: dict[bytes, Block], hour: Hour
) -> list[BlockRow]:
    expires = expires_at(hour, row.keep)
    return [
        BlockRow(
            position, hour, expires, digest, retention.seal(drop, position, block, hour, row.keep)
        )
        for position, (digest, block) in enumerate(fresh.items(), row.following)
    ]
