"""A vault in use while its disk is recorded, and what it must still show on whatever was left.

After each change a look at the whole vault is marked in the recording. A vault that starts again
shows what it did after the last change that had ended, or what it did after the one that was going
on: never a third thing, and never a key that had been erased.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, final

import pytest
import sqlcipher3._sqlite3 as library

from backchannel.client.machine.profile import Profile
from backchannel.client.vault import expiry_file
from backchannel.client.vault.cursors import Cursor
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.outbox import Owed
from backchannel.client.vault.vault import Vault, expire
from backchannel.protocol.errors import BackchannelError
from backchannel.protocol.expiry import PLACE, Place, PlaceKind
from backchannel.protocol.outcome import Keep
from backchannel.protocol.secret import ClockValue, X25519Private
from backchannel.protocol.types import (
    MAIN_THREAD,
    Core,
    DropId,
    EpochId,
    Hour,
    ThreadId,
    Timestamp,
    hour_of,
)
from tests.support.people import ENTROPY, NOON, NORTH, add_channel, make_vault, message
from tests.support.powerloss.disk import Files, Mark
from tests.support.powerloss.recorder import Recording, files_of, put, quick_folder, recording

Rows = frozenset[tuple[object, ...]]
DROP = DropId(bytes(16))
MOST = 16  # messages that a keeper hears
SIDE = ThreadId(b"side".ljust(16, b"."))


class View(NamedTuple):
    """All that a vault shows, by table."""

    state: bytes
    cursor: Cursor
    outbox: Rows
    messages: Rows
    cores: Rows
    drafts: Rows
    clocks: Rows


class Asked(NamedTuple):
    """A change begins, at this time."""

    now: Timestamp
    moves: bool
    """Whether the change is that the clock goes on."""


class Done(NamedTuple):
    """It has ended: what the vault shows now, and every key that is erased by now."""

    view: View
    erased: frozenset[bytes]


def look(vault: Vault, now: Timestamp) -> View:
    """What it shows."""
    channel = vault.channels.get("north")
    drafts = vault.drafts.list(NORTH)
    texts = ((each.number, vault.drafts.open(each.number, now)) for each in drafts)
    contents = (message(number).content for number in range(1, MOST + 1))
    cores = vault.cores.many(NORTH, contents, now)
    return View(
        channel.state,
        vault.cursors.get("relay", DROP),
        frozenset((each.id, each.payload) for each in vault.outbox.pending()),
        frozenset(
            (each.order, each.plain, each.expires) for each in vault.messages.list(NORTH, now)
        ),
        frozenset(cores.items()),
        frozenset(each for each in texts if each[1] is not None),
        frozenset(
            (name, hour, value.expose())
            for name in vault.channels.every_epoch()
            for hour, value in (vault.clock(name),)
        ),
    )


@final
class Keeper:
    """Uses a vault, and marks what it did."""

    def __init__(self, profile: Profile, key: VaultKey, made: Recording) -> None:
        self._profile = profile
        self._key = key
        self._made = made
        self._now = NOON
        self._count = 0
        self._seen = set[bytes]()
        self.vault = Vault(profile, key, NOON)
        self._mark_done()

    def close(self) -> None:
        self.vault.close()

    def reopen(self) -> None:
        """As the next command does."""
        with self._change():
            self.vault.close()
            self.vault = Vault(self._profile, self._key, self._now)

    def hear(self, *lifetimes: int, thread: ThreadId = MAIN_THREAD) -> None:
        """A page of a relay: messages, the cores they came in, a new state, something to send."""
        with self._change() as now, self.vault.exclusive(now), self.vault.transaction():
            for lifetime in lifetimes:
                self._count += 1
                each = message(self._count, now, lifetime)._replace(thread=thread)
                core = Core((b"\1" + hour_of(now).to_bytes(4)).ljust(4056, b"\0"))
                self.vault.messages.add(each, now, ENTROPY)
                kept = Keep(each.content, core, hour_of(now), each.expires)
                self.vault.cores.add(NORTH, [kept], now, ENTROPY)
            self.vault.channels.put_state(NORTH, b"state %d" % self._count, {})
            self.vault.cursors.put("relay", DROP, Cursor(self._count, Hour(1)))
            self._owe(b"%d" % self._count)

    def _owe(self, payload: bytes) -> None:
        key = X25519Private(bytes(32))
        self.vault.outbox.add(Owed(NORTH, "relay", bytes(32), DROP, key, 2, payload, "", Hour(1)))

    def deliver(self) -> None:
        """The relay has the oldest request."""
        with self._change() as now, self.vault.exclusive(now), self.vault.transaction():
            self.vault.outbox.done(self.vault.outbox.pending()[0].id)

    def draft(self, text: bytes) -> None:
        with self._change() as now, self.vault.exclusive(now), self.vault.transaction():
            expires = Hour(hour_of(now) + 48)
            self.vault.drafts.add(NORTH, text, now, expires, now, ENTROPY)

    def drop_draft(self) -> None:
        """It was said: its own key goes."""
        with self._change() as now, self.vault.exclusive(now):
            with self.vault.transaction():
                (first, *_) = self.vault.drafts.list(NORTH)
                self.vault.drafts.remove(NORTH, first.number)
            self.vault.forget_keys()

    def purge(self, thread: ThreadId) -> None:
        """Nothing of a thread is wanted any more: its key goes."""
        with self._change() as now, self.vault.exclusive(now):
            with self.vault.transaction():
                self.vault.messages.purge(NORTH, thread)
            self.vault.forget_keys()

    def begin_epoch(self, *names: bytes) -> None:
        """Clocks of these epochs, and of no others."""
        with self._change() as now, self.vault.exclusive(now):
            known = self.vault.channels.every_epoch()
            with self.vault.transaction():
                for name in {name * 16 for name in names} - known:
                    value = ClockValue(ENTROPY.draw(32))
                    self.vault.set_clock(name, hour_of(now), value, 24)
                self.vault.channels.put_epochs(NORTH, [EpochId(name * 16) for name in names])
            self.vault.forget_keys()

    def shorten(self, lifetime: int) -> None:
        """All that is kept lives shorter: under other keys, and the old ones go."""
        with self._change() as now:
            with self.vault.exclusive(now), self.vault.transaction():
                self.vault.messages.shorten(NORTH, None, lifetime, now, ENTROPY)
                self.vault.cores.shorten(NORTH, None, lifetime, now, ENTROPY)
            self.vault.sweep(now, ENTROPY)

    def sweep(self) -> None:
        """Rows of the dead go; on another day, so does the database's key."""
        with self._change() as now:
            self.vault.sweep(now, ENTROPY)

    def wait(self, hours: int, *, timer: bool = False) -> None:
        """Time passes, and a command or the timer finds that it has."""
        self._now = Timestamp(self._now + hours * 3600)
        with self._change(moves=True) as now:
            if timer:
                expire(self._profile, now)
            with self.vault.exclusive(now):
                pass

    @contextmanager
    def _change(self, *, moves: bool = False) -> Iterator[Timestamp]:
        self._made.mark(Asked(self._now, moves))
        yield self._now
        self._mark_done()

    def _mark_done(self) -> None:
        there = keys_in((self._profile.vault / "expiry.keys").read_bytes())
        self._seen |= there
        self._made.mark(Done(look(self.vault, self._now), frozenset(self._seen - there)))


def keys_in(data: bytes) -> set[bytes]:
    """Every key that stands in a file of expiry keys, whatever it opens."""
    places = [Place.read(data[at : at + PLACE]) for at in range(0, len(data), PLACE)]
    passing = {PlaceKind.EMPTY, PlaceKind.HEADER}
    return {place.value for place in places if place.kind not in passing}


def busy_days(keeper: Keeper) -> None:
    """Words come and go, epochs follow one another, days pass."""
    keeper.begin_epoch(b"a")
    for day in range(3):
        keeper.hear(24, 72)
        keeper.hear(24, 48, thread=SIDE)
        keeper.draft(b"until it is due")
        keeper.deliver()
        keeper.wait(10)
        keeper.hear(24)
        keeper.begin_epoch(b"a", b"%d" % day)
        keeper.draft(b"and another")
        keeper.drop_draft()
        keeper.wait(10, timer=True)
        keeper.sweep()
        keeper.reopen()
        keeper.begin_epoch(b"%d" % day)
        keeper.shorten(36 - day)
        keeper.purge(SIDE)
        keeper.wait(7)
        keeper.sweep()
    keeper.close()


class Made(NamedTuple):
    """A recording, and what opens the vault that it is of."""

    recording: Recording
    marks: list[object]
    """All of it."""
    found: Profile
    key: VaultKey


@contextmanager
def recorded(work: Callable[[Keeper], None]) -> Iterator[Made]:
    """What a real vault writes while it is used; and an empty home beside its own."""
    with quick_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(expiry_file, "PLACES", 8)  # so few that the file grows, too
        profile, key = make_vault(folder / "home")
        with Vault(profile, key, NOON) as vault:
            add_channel(vault)
        with recording(profile.data, library) as made:
            work(Keeper(profile, key, made))
        marks = [each.said for each in made.events if isinstance(each, Mark)]
        yield Made(made, marks, Profile.at(folder / "found"), key)


@final
class Ledger:
    """What a vault had shown before power was lost, and what it was about to."""

    def __init__(self, said: Sequence[object], all_: Sequence[object]) -> None:
        done = [each for each in said if isinstance(each, Done)]
        asked = [each for each in said if isinstance(each, Asked)]
        self.now = asked[-1].now if asked else NOON
        self.before = done[-1].view if done else None
        self.erased = done[-1].erased if done else frozenset[bytes]()
        following = (each for each in all_[len(said) :] if isinstance(each, Done))
        going = len(asked) >= len(done) and done
        self.after = next(following).view if going else self.before
        self.moves = bool(going) and asked[-1].moves

    def broken(self, view: View, files: Files, now: Timestamp) -> list[str]:
        """Every promise that what was found does not keep; it was looked at by a clock at `now`."""
        return [*self._shown(view, now), *self.leftover(files)]

    def leftover(self, files: Files) -> list[str]:
        """Erased keys that stand in a file."""
        return [
            f"an erased key is in {name}"
            for name, data in files.items()
            for key in self.erased
            if key in data
        ]

    def _shown(self, view: View, now: Timestamp) -> list[str]:
        if self.before is None or self.after is None:
            return []
        if not self.moves:
            whole = view in {self.before, self.after}
            return [] if whole else ["a change is lost, or is there in part"]
        if now >= self.now:
            return [] if view == self.after else ["what was dead is shown, or what was not is lost"]
        return [] if _between(self.before, self.after, view) else ["a clock that went back"]


def _between(before: View, after: View, found: View) -> bool:
    """Whether each row is one of before or after, and those of both are there."""
    for one, other, third in zip(before, after, found, strict=True):
        if isinstance(third, frozenset):
            assert isinstance(one, frozenset)
            assert isinstance(other, frozenset)
            if not one & other <= third <= one | other:
                return False
        elif third not in {one, other}:
            return False
    return True


def start(made: Made, files: Files, ledger: Ledger, now: Timestamp | None = None) -> list[str]:
    """Let a vault start on `files`, and say which promises are broken; by a clock at `now`, or one
    that is right.
    """
    when = ledger.now if now is None else now
    put(files, made.found.data)
    try:
        with Vault(made.found, made.key, when) as vault:
            view = look(vault, when)
    except BackchannelError:
        return ["the vault does not open"]
    left = files_of(made.found.data)
    return [*ledger.leftover(files), *ledger.broken(view, left, when)]
