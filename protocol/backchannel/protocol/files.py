"""Files: offered in a post, and carried in chunk cores: SPEC.md section 15. Kind 3.

```
chunk core = head 21 | commitment 32 | AEAD 4003 of pad(piece, 3987)
```
The post names the index cores, they name the data cores, each by its content hash: so every core is
verified alone, and whoever knows the file's key can put nothing in another's place.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from backchannel.protocol import limits
from backchannel.protocol.command import SendFile
from backchannel.protocol.content import CHUNK, NAMES, File, chunk_cores
from backchannel.protocol.core import Kind, content_hash, head_of
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import (
    AuthenticationError,
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
    StaleError,
    UnknownError,
)
from backchannel.protocol.filename import check_file_name
from backchannel.protocol.missing import Incoming
from backchannel.protocol.outcome import Event, Offered
from backchannel.protocol.posting import Posting, tidy
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import open_piece, seal_piece
from backchannel.protocol.secret import CoreSecret, FileKey
from backchannel.protocol.state import ChannelState
from backchannel.protocol.threads import heard
from backchannel.protocol.types import ContentHash, Core, EpochId, Hour, Timestamp, hour_of


def _secret(key: FileKey) -> CoreSecret:
    """The file's key as what enters the key rule."""
    return CoreSecret(key.expose())


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# Sending.


def send(posting: Posting, command: SendFile) -> None:
    """The post, then its index, then the data: who reads in order knows each core when it comes."""
    state, size = posting.state, len(command.data)
    name = check_file_name(tidy(command.name))
    if not 1 <= size <= limits.FILE_BYTES:
        msg = f"a file has 1 to {limits.FILE_BYTES:,} bytes, and this one has {size:,}"
        raise LocalProtocolError(msg)
    if state.off_the_record(command.thread):
        msg = "off the record no files are sent: they would stand on every reader's disk"
        raise LocalProtocolError(msg)
    key = FileKey(posting.entropy.draw(limits.HASH))
    data = _seal(posting, key, _cut(command.data, CHUNK))
    names = [content_hash(core) for core in data]
    listed = [b"".join(names[at : at + NAMES]) for at in range(0, len(names), NAMES)]
    index = _seal(posting, key, listed)
    content = File(
        command.thread,
        state.thread_lifetime(command.thread),
        name,
        size,
        key.expose(),
        tuple(content_hash(core) for core in index),
        state.thread_burn(command.thread),
    )
    posted = posting.post(content)
    posting.events.append(heard(state, state.me, posted.id, posted.whole, content))
    for core in (*index, *data):
        posting.put(core)


def _seal(posting: Posting, key: FileKey, pieces: list[bytes]) -> list[Core]:
    secret, clock = _secret(key), posting.clock
    return [seal_piece(piece, secret, clock, posting.head(Kind.CHUNK)) for piece in pieces]


# Reading.


def offered(reception: Reception, offer: Offered) -> None:
    """Wait for the cores of a file that was offered just now; of one member for a few files."""
    state, index = reception.state, offer.names
    incoming = Incoming(
        offer.author,
        reception.epoch.id,
        offer.size,
        offer.key,
        index,
        set(index),
        offer.expires,
    )
    state.files[offer.hash] = incoming
    own = [name for name, each in state.files.items() if each.author == offer.author]
    for name in own[: -limits.FILES_OF_ONE]:
        del state.files[name]


def take_chunk(reception: Reception) -> list[Event]:
    """Keep a core that a file waits for. Of any other nobody vouches: it is left where it is."""
    state, name = reception.state, reception.hash
    waiting = [each for each in state.files.values() if name in each.awaited]
    if not waiting:
        msg = "a core of a file that was not offered yet"
        raise UnknownError(msg)
    taken = _taken(reception, waiting)
    for each, more in taken:
        each.awaited.discard(name)
        each.awaited.update(more)
    state.files = {post: each for post, each in state.files.items() if each.awaited}
    return [reception.keep()]


_Taken = list[tuple[Incoming, tuple[ContentHash, ...]]]


def _taken(reception: Reception, waiting: list[Incoming]) -> _Taken:
    """The files that a core is good for, and what it names. A second post may name the cores of
    another's file, under a wrong key or size: that spoils nothing but itself.
    """
    taken: _Taken = []
    refusal: RemoteProtocolError | None = None
    for each in waiting:
        try:
            taken.append((each, _named(reception, each)))
        except RemoteProtocolError as error:
            refusal = error
    if not taken and refusal is not None:
        raise refusal
    return taken


def _named(reception: Reception, incoming: Incoming) -> tuple[ContentHash, ...]:
    """What a core names, if it is of the index."""
    if reception.epoch.id != incoming.epoch:
        msg = "a core of a file, from another epoch than its post"
        raise RefusedError(msg)
    if reception.hash not in incoming.index:
        return ()
    secret = _secret(incoming.key)
    plain = open_piece(reception.core, secret, reception.clock, reception.head)
    return _listed(plain, incoming.size, incoming.index.index(reception.hash))


def _listed(plain: bytes, size: int, place: int) -> tuple[ContentHash, ...]:
    """The names in one index core; `RefusedError` unless as many as the file's size asks for."""
    count = min(NAMES, chunk_cores(size) - place * NAMES)
    if len(plain) != count * limits.HASH:
        msg = "a file is not of the size that its post says: ask for it again"
        raise RefusedError(msg)
    return tuple(ContentHash(name) for name in _cut(plain, limits.HASH))


def forget(state: ChannelState, now: Hour) -> None:
    """Wait no longer for what nobody may see any more."""
    state.files = {name: each for name, each in state.files.items() if each.expires > now}


# Putting it together.


class Shelf(NamedTuple):
    """Where a file's cores are kept, and what opens them; made for one look."""

    state: ChannelState
    clocks: dict[EpochId, EpochClock]
    get: Callable[[ContentHash], Core | None]
    """A kept core by its content hash."""
    now: Timestamp

    def open(self, name: ContentHash, key: FileKey) -> bytes | None:
        """The piece in a core; None where it is not here."""
        core, epoch = self.get(name), self.state.epoch_of(name)
        if core is None or epoch is None:
            return None
        if content_hash(core) != name:
            msg = "a core is not the one that a file names: ask for the file again"
            raise AuthenticationError(msg)
        return open_piece(core, _secret(key), self.clocks[epoch.id], head_of(core))

    def has(self, name: ContentHash) -> bool:
        """Whether a core is here."""
        return self.get(name) is not None and self.state.epoch_of(name) is not None


class Progress(NamedTuple):
    """How many of a file's cores are here, of how many."""

    here: int
    total: int


def read_index(shelf: Shelf, offer: Offered) -> tuple[ContentHash | None, ...]:
    """The names of the data cores in order; None where the index core that has it is not here."""
    if offer.expires <= hour_of(shelf.now):
        msg = "this file has expired"
        raise StaleError(msg)
    return tuple(_names(shelf, offer))


def _names(shelf: Shelf, offer: Offered) -> Iterator[ContentHash | None]:
    for place, name in enumerate(offer.names):
        plain = shelf.open(name, offer.key)
        if plain is None:
            yield from [None] * min(NAMES, chunk_cores(offer.size) - place * NAMES)
        else:
            yield from _listed(plain, offer.size, place)


def progress(shelf: Shelf, offer: Offered) -> Progress:
    """How far a file has come."""
    data = read_index(shelf, offer)
    names = (*offer.names, *data)
    return Progress(sum(name is not None and shelf.has(name) for name in names), len(names))


def assemble(shelf: Shelf, offer: Offered) -> bytes:
    """The whole file. `UnknownError` while cores are missing, `StaleError` after its hour,
    `RefusedError` or `AuthenticationError` for one that its author spoiled.
    """
    names = read_index(shelf, offer)
    pieces = [shelf.open(name, offer.key) if name is not None else None for name in names]
    missing = pieces.count(None) + sum(not shelf.has(name) for name in offer.names)
    if missing:
        total = len(names) + len(offer.names)
        msg = (
            f"{missing:,} of the {total:,} blocks of this file are not here yet: read again, "
            "or ask for the file again"
        )
        raise UnknownError(msg)
    data = b"".join(filter(None, pieces))
    if len(data) != offer.size:
        msg = "a file is not of the size that its post says: ask for it again"
        raise RefusedError(msg)
    return data
