"""The rules of a drop, over one transaction of the store and an hour: SPEC.md section 18.

Each rule decides before it writes, so that a refusal changes nothing. Knows no HTTP, no keys of
clients, no clock.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from backchannel.protocol.drop import Create, Page, Read, Stored, voucher_hash
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError, StaleError
from backchannel.protocol.types import Block, DropId, Hour
from backchannel.server.authorize import Door
from backchannel.server.errors import (
    BusyError,
    QuotaError,
    SealedError,
    UnknownDropError,
    VoucherRefusedError,
)
from backchannel.server.limits import MOST_POSITION
from backchannel.server.logs import warn_seldom
from backchannel.server.repository import BlockRow, DropRow, Repository
from backchannel.server.retention import Retention, expires_at


class Brought(NamedTuple):
    """A block, and the digest by which the store knows it."""

    digest: bytes
    block: Block


def create(
    repository: Repository, drop: DropId, asked: Create, entropy: Entropy, *, new: bool = True
) -> None:
    """Make a drop for a voucher. Asked again with the same keys and class, the answer is the same
    and free. Where there are to be no `new` ones, a voucher that is good stays so: `BusyError`.
    """
    found = repository.drop(drop)
    keys = (asked.access.value, asked.close.value, asked.keep)
    if found is not None:
        if (found.access, found.close, found.keep) != keys:
            raise VoucherRefusedError
        return
    voucher = voucher_hash(asked.voucher)
    if not new and repository.has_voucher(voucher):
        raise BusyError
    if not repository.take_voucher(voucher):
        raise VoucherRefusedError
    repository.add_drop(drop, DropRow(_number(repository, entropy), *keys, False, 1))


def _number(repository: Repository, entropy: Entropy) -> int:
    """31 random bits that no drop has."""
    while repository.is_taken(number := int.from_bytes(entropy.draw(4)) >> 1):
        pass
    return number


def append(
    repository: Repository,
    retention: Retention,
    door: Door,
    brought: Sequence[Brought],
    quota: int,
    hour: Hour,
) -> list[Stored]:
    """Where each block stands: those that the drop holds already, where they were."""
    row = _existing(repository, door)
    if row.sealed:
        raise SealedError
    offer = _offer(repository, brought, hour)
    _check_quota(repository, row, offer, quota)
    return _taken(repository, retention, door.drop, row, offer, hour)


def _check_quota(repository: Repository, row: DropRow, offer: "_Offer", quota: int) -> None:
    """A drop that never took as many blocks need not be counted."""
    fresh = len(offer.fresh)
    if fresh and row.following - 1 + fresh > quota:
        room = quota + len(offer.dead) - repository.count(row)
        if fresh > room:
            raise QuotaError


def page(repository: Repository, retention: Retention, door: Door, asked: Read, hour: Hour) -> Page:
    """What stands in the drop from a position and an hour on, and is not expired."""
    drop, row = door.drop, _existing(repository, door)
    asked = asked.of(row.following)
    first = min(asked.position, MOST_POSITION)
    first = repository.skip(row, first, asked.hour)
    found = repository.page(row.number, first, asked.hour, hour, asked.most + 1)
    rows, more = found[: asked.most], len(found) > asked.most
    opened = tuple(_opened(retention, drop, rows, hour))
    return Page(rows[-1].position + 1 if more else row.following, more, opened)


def seal(
    repository: Repository,
    retention: Retention,
    door: Door,
    brought: Sequence[Brought],
    hour: Hour,
) -> list[Stored]:
    """Where each of the drop's last blocks stands; from now on it is read only.

    They go beyond the quota: who filled it cannot prevent that its own removal is announced. That
    happens once in the life of a drop, so it never holds more than one request beyond its quota.
    """
    row = _existing(repository, door)
    offer = _offer(repository, brought, hour)
    if row.sealed and offer.fresh:
        raise SealedError
    stored = _taken(repository, retention, door.drop, row, offer, hour)
    repository.seal_drop(door.drop)
    return stored


def delete(repository: Repository, door: Door, most: int) -> bool:
    """Whether the drop and its blocks are gone. Where it holds more than `most`, the first of them
    go, it takes none any more, and the rest waits to be asked again.
    """
    row = _existing(repository, door)
    if repository.thin(row, most):
        repository.seal_drop(door.drop)
        return False
    repository.delete_drop(door.drop)
    return True


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


def _existing(repository: Repository, door: Door) -> DropRow:
    """What stands behind a door, which was found a moment ago: since then the drop may have been
    deleted, or made anew by somebody else.
    """
    row = repository.drop(door.drop)
    if row is None or door.public.value != (row.close if door.closing else row.access):
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


def _offer(repository: Repository, brought: Sequence[Brought], hour: Hour) -> _Offer:
    known, fresh, dead = {}, {}, []
    for digest, block in dict(brought).items():
        place = repository.held(digest)
        if place and place.expires > hour:
            known[digest] = Stored(place.position, place.hour)
        else:
            fresh[digest] = block
            dead += [place.position] if place else []
    return _Offer([each.digest for each in brought], known, fresh, dead)


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
            repository.delete_block(row.number, position)
        repository.add_blocks(drop, row, rows)
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
