"""What a courier carries, between the vault and files: blocks of one channel packed, and blocks of
any channel of the vault taken in, each once. Asks no relay, and prints nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, final

from backchannel.client.app import App
from backchannel.client.keeping.tape import Hit, Search, Tape
from backchannel.client.rounds import refusals
from backchannel.client.rounds.session import Session, change, look, steady
from backchannel.protocol.courier import Finder
from backchannel.protocol.courier import pack as wrapped
from backchannel.protocol.limits import BLOCK, MOST_BLOCKS
from backchannel.protocol.outcome import Offered, Said
from backchannel.protocol.types import Block, ContentHash, EpochId, Hour

if TYPE_CHECKING:
    from backchannel.client.vault.vault import Vault

_RUNS: Final = 9  # over one stream: what comes late in it may open what stood before
Tell = Callable[[int, int], object]


class Load(NamedTuple):
    """What is to be packed of one channel."""

    channel: str
    hours: dict[Hour, list[ContentHash]]
    """What is kept, by the hour it was made in, the oldest first."""
    lifetime: int
    """Hours."""

    @property
    def size(self) -> int:
        """How many blocks."""
        return sum(map(len, self.hours.values()))


def load(app: App, vault: "Vault", name: str, since: Hour) -> Load:
    """All that is kept of a channel and was made in the hour `since` or later."""
    session = look(vault, name, app.now(), app.entropy)
    hours: dict[Hour, list[ContentHash]] = {}
    for over in session.state.epochs:
        for core, hour in over.seen.items():
            if hour >= since and vault.cores.has(session.row.id, core):
                hours.setdefault(hour, []).append(core)
    return Load(name, dict(sorted(hours.items())), session.state.lifetime)


def blocks(app: App, vault: "Vault", what: Load) -> Iterator[Block]:
    """One after another; those of an hour are in memory at a time."""
    session = look(vault, what.channel, app.now(), app.entropy)
    for names in what.hours.values():
        held = vault.cores.many(session.row.id, names, session.now)
        yield from wrapped(session.channel, held.values(), app.entropy)


class Taken(NamedTuple):
    """What came of files."""

    new: int
    """Blocks that were not known."""
    known: int
    over: int
    """Blocks that were passed over: of nobody here, too old, or damaged."""
    messages: int
    """Of others."""
    channels: tuple[str, ...]
    """Whose blocks were new."""


def take(app: App, vault: "Vault", tape: Tape, tell: Tell) -> Taken:
    """Take in what opens for any channel of this vault, then do what time asks for."""
    return _Taking(app, vault, tape).run(tell)


@final
class _Taking:
    """One run over a stream; again while it gave something new that may open the rest."""

    def __init__(self, app: App, vault: "Vault", tape: Tape) -> None:
        self._app = app
        self._vault = vault
        self._size = tape.size
        self._epochs: dict[str, set[EpochId]] = {}
        finders = {row.name: self._finder(row.name) for row in vault.channels.list()}
        self._search = Search(tape, finders)
        self._page: list[Hit] = []
        self._new: set[int] = set()
        self._known: set[int] = set()
        """Places in the stream."""
        self._messages = 0
        self._channels: dict[str, None] = {}

    def _finder(self, name: str) -> Finder:
        now = self._app.now()
        session = look(self._vault, name, now, self._app.entropy)
        self._epochs[name] = _epochs(session)
        return Finder(session.channel, steady(self._vault, now))

    def run(self, tell: Tell) -> Taken:
        for _ in range(_RUNS):
            before = len(self._new)
            self._search.begin()
            self._once(tell)
            if before == len(self._new) or not self._over:
                break
        for name in self._channels:
            with change(self._vault, name, self._app.now(), self._app.entropy) as session:
                refusals.follow(self._vault, session)
                session.tick()
        self._vault.sweep(self._app.now(), self._app.entropy)
        counts = (len(self._new), len(self._known), self._over)
        return Taken(*counts, self._messages, tuple(self._channels))

    @property
    def _over(self) -> int:
        known = (len(self._new) + len(self._known)) * BLOCK
        return -(-(self._size - known) // BLOCK)

    def _once(self, tell: Tell) -> None:
        while not self._search.over:
            hit = self._search.here()
            if hit is None and self._flush():  # what was before it may have brought its key
                hit = self._search.here()
            if hit is None:
                self._search.pass_over()
            else:
                self._page.append(hit)
                self._search.go_on()
            if len(self._page) == MOST_BLOCKS:
                self._flush()
            tell(min(self._search.at, self._size), self._size)
        self._flush()

    def _flush(self) -> bool:
        """Take in what was found; whether there are other keys now."""
        page, self._page = self._page, []
        changed = set()
        for name, hits in groupby(page, lambda hit: hit.channel):
            with change(self._vault, name, self._app.now(), self._app.entropy) as session:
                self._receive(session, hits)
                if _epochs(session) != self._epochs[name]:
                    changed.add(name)
        for name in changed:
            self._search.know(name, self._finder(name))
        return bool(changed)

    def _receive(self, session: Session, hits: Iterable[Hit]) -> None:
        for hit in hits:
            if hit.at in self._new or hit.at in self._known:
                continue
            if _is_known(session, hit):
                self._known.add(hit.at)
                if session.state.draft is not None:  # which holds once it is read back
                    session.receive(hit.found.arrival, again=True)
                continue
            events = session.receive(hit.found.arrival, again=True)
            me = session.state.me
            self._messages += sum(
                isinstance(event, Said | Offered) and event.author != me for event in events
            )
            if _is_known(session, hit):
                self._new.add(hit.at)
                self._channels[session.row.name] = None


def _epochs(session: Session) -> set[EpochId]:
    return {each.id for each in session.state.epochs}


def _is_known(session: Session, hit: Hit) -> bool:
    """Whether it was read, or waits for what opens it."""
    core = hit.found.core
    waits = any(each.hash == core for each in session.state.pending)
    return waits or session.state.epoch_of(core) is not None
