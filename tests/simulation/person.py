"""A member with a shell that does all that a real one does by itself: says again what a sealed drop
did not take, turns epochs that are due, tells once a day what it holds.
"""

import hashlib
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace

from backchannel.protocol import command as commands
from backchannel.protocol import courier, limits
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.outcome import Append, Arrival, Event, Outcome, Said
from backchannel.protocol.types import ContentHash, DropId, EpochId, Hour, hour_of
from tests.support.world import CALM, Disk, Member, Request, Weather

DIGEST_HOURS = 24


@dataclass
class Gale(Weather):
    """Bad weather of honest relays: each row comes now or with a later batch; none is lost."""

    held: int = 0
    """Of 8 rows, how many come later."""
    ordered: bool = False
    """Whether a drop is read in its order, as it is where relays are honest and no courier comes:
    who was first among several facilitators is decided by that.
    """

    def blow(self, rows: list[Arrival]) -> tuple[list[Arrival], list[Arrival]]:
        if self.ordered:
            return self._in_order(rows)
        now, later = super().blow(rows)
        lots = [self._lot(row.block) % 8 for row in now]
        held = [row for row, lot in zip(now, lots, strict=True) if lot < self.held]
        return [row for row, lot in zip(now, lots, strict=True) if lot >= self.held], held + later

    def _in_order(self, rows: list[Arrival]) -> tuple[list[Arrival], list[Arrival]]:
        """Of each drop its first rows, drops one after another in any order."""
        by_drop: dict[DropId, list[Arrival]] = {}
        for row in rows:
            by_drop.setdefault(row.drop, []).append(row)
        now, later = list[Arrival](), list[Arrival]()
        for drop in sorted(by_drop, key=self._lot) if self.shuffle else by_drop:
            here = by_drop[drop]
            cut = len(here) - len(here) * min(self.held, self._lot(drop) % 8) // 8
            now += here[:cut] * (1 + self.twice)
            later += here[cut:]
        return now, later

    def _lot(self, data: bytes) -> int:
        return hashlib.sha256(data + bytes([self.shuffle])).digest()[0]


@dataclass(frozen=True)
class Saved:
    """All that a crash leaves: what the last transaction wrote."""

    disk: Disk
    read: dict[DropId, int]
    late: list[Arrival]


@dataclass
class Person(Member):
    """One device, and the program on it."""

    until: dict[str, int] = field(default_factory=dict)
    """Until when it does not reach a relay."""
    mine: dict[ContentHash, Said] = field(default_factory=dict)
    """What it said, by the core of it."""
    unsent: set[tuple[int, bytes]] = field(default_factory=set)
    """Notes that were said again, with new ids."""
    unsaid: list[Said] = field(default_factory=list)
    """What it says again once it may."""
    news: int = 0

    # What is on its disk.

    def snapshot(self) -> bytes:
        """Nothing: a state is put into bytes once somebody asks what is saved."""
        return b""

    def saved(self) -> Saved:
        disk = replace(self.disk, state=super().snapshot())
        return Saved(disk, dict(self.read), list(self.late))

    def restart(self, disk: Disk | None = None) -> None:
        super().restart(disk or self.saved().disk)

    def crash(self, saved: Saved) -> None:
        """Begin again from there."""
        self.restart(saved.disk)
        self.read, self.late = dict(saved.read), list(saved.late)

    # What it does by itself.

    @property
    def speaks(self) -> bool:
        """Whether it is a member who can do something."""
        return (
            self.channel is not None
            and self.state.roster is not None
            and not self.state.ended
            and self.online
        )

    def sync(self, weather: Weather = CALM) -> None:
        """A round as a program makes it: what is learned of on the way is read, too."""
        super().sync(weather)
        if self.speaks:
            self._chores()
            self.flush()

    def listen(self, weather: Weather = CALM) -> None:
        """Until no drop is learned of on the way."""
        known = set[DropId]()
        while known != self._polled():
            known = self._polled()
            super().listen(weather)

    def level(self) -> None:
        """Where a drop lacks anything."""
        lacking = {d.id for over in self.state.epochs if over.lacking for _, d in over.drops()}
        for poll in self.member.polls() if lacking else ():
            if poll.relay not in self.cut and poll.drop.id in lacking:
                self.act(commands.Level(poll.drop.id))

    def _chores(self) -> None:
        """What nobody should have to think of."""
        state, now = self.state, hour_of(self.now)
        again, self.unsaid = self.unsaid, []
        for said in again:
            self._say_again(said)
        if self.member.due(self.now):
            self.ask(commands.Turn())
        fresh = self.news > max(state.record.told, state.oldest(now))
        since = max(state.record.told, state.since)
        if fresh and now - since >= DIGEST_HOURS and state.peers:
            self.ask(commands.Digest())

    def ask(self, command: commands.Command) -> bool:
        """Whether it could be done."""
        with suppress(LocalProtocolError):
            self.act(command)
            return True
        return False

    def _save(self, outcome: Outcome) -> list[Event]:
        events = super()._save(outcome)
        for each in events:
            if isinstance(each, Said):
                self.news = hour_of(self.now)
                if self.channel is not None and each.author == self.state.me:
                    cores = [leaf.core for leaf in each.leaves] or [each.hash]
                    self.mine |= dict.fromkeys(cores, each)
        return events

    # What it sends.

    def flush(self, most: int | None = None) -> None:
        """Send what is owed; what a drop takes no more is settled. `most`: of so many it heard, and
        knows of none.
        """
        if not self.online:
            return
        hour, left, refused = hour_of(self.time()), list[Request](), set[DropId]()
        for effect in self.disk.outbox[:most]:
            taken = effect.relay not in self.cut and self._put(effect, hour)
            if not taken:
                left.append(effect)
            if effect.relay not in self.cut and effect.drop.id in self.drops.sealed and not taken:
                refused.add(effect.drop.id)
        if most is None:
            self.disk = replace(self.disk, outbox=tuple(left))
            self._settle(refused)
            self._say_anew()

    def _put(self, effect: Request, hour: Hour) -> bool:
        """Whether the relay has it now, or never will."""
        drops, drop = self.drops, effect.drop.id
        if isinstance(effect, Append) and drop not in drops.rows:
            return self._epoch(drop) is None  # of a lobby that is over
        if isinstance(effect, Append) and drop in drops.sealed:
            return any(row.block == effect.block for row in drops.rows[drop])
        drops.take(effect, hour)
        return True

    def _epoch(self, drop: DropId) -> Epoch | None:
        epochs = self.state.epochs if self.channel is not None else []
        return next((e for e in epochs if any(d.id == drop for _, d in e.drops())), None)

    def _settle(self, refused: Collection[DropId]) -> None:
        """As `rounds/refusals.py`: what an epoch that is over takes no more is said again in the
        one that stands.
        """
        again = dict[ContentHash, Said]()
        gone = set[DropId]()
        for drop in refused:
            over = self._epoch(drop)
            if over is not self.state.epoch or self.state.ended:
                gone.add(drop)
                self.act(commands.Sealed(drop))
        for effect in self.disk.outbox:
            if isinstance(effect, Append) and effect.drop.id in gone and effect.hash in self.mine:
                said = self.mine[effect.hash]
                again[said.hash] = said
        left = [each for each in self.disk.outbox if each.drop.id not in gone]
        self.disk = replace(self.disk, outbox=tuple(left))
        for said in again.values():
            self.mine = {core: each for core, each in self.mine.items() if each is not said}
            self._say_again(said)
        if again:
            self.flush()

    def stranded(self) -> list[tuple[Hour, Said]]:
        """What it said in an epoch that is over, where no relay has taken it; when that ended."""
        owed = {(e.hash, e.drop.id) for e in self.disk.outbox if isinstance(e, Append)}
        found = []
        for over in self.state.epochs if self.speaks and owed else ():
            if over.ending is not None and not self.state.untold(over):
                drops, ended = [drop.id for _, drop in over.drops()], over.ending.hour
                own = [core for core in self.mine if all((core, drop) in owed for drop in drops)]
                found += [(ended, self.mine[core]) for core in own]
        return found

    def _say_anew(self) -> None:
        """As `refusals.py` does: drops of an epoch that ended so long ago are sealed, and take it
        no more.
        """
        last = hour_of(self.now) - limits.SEAL_HOURS
        for said in {each.hash: each for ended, each in self.stranded() if ended <= last}.values():
            cores = {core for core, each in self.mine.items() if each is said}
            left = [e for e in self.disk.outbox if getattr(e, "hash", None) not in cores]
            self.disk = replace(self.disk, outbox=tuple(left))
            self.mine = {core: each for core, each in self.mine.items() if core not in cores}
            self._say_again(said)

    def _say_again(self, said: Said) -> None:
        if self.state.rivals:  # nobody speaks while they stand
            self.unsaid.append(said)
            return
        if min(said.expires, said.hour + self.state.lifetime) <= hour_of(self.now):
            return
        if said.to is None:
            self.ask(commands.Say(said.thread, said.text, id=said.id))
            return
        entries = self.state.current().entries
        alias = next((each.alias for each in entries if each.slot == said.to), None)
        if alias is not None:
            self.unsent.add((said.author, said.id))
            self.ask(commands.Whisper(alias, said.text))

    # What a courier carries.

    def pack(self, most: int = 0) -> bytes:
        """A file of what it holds; of the newest `most`, where that is not 0."""
        now = hour_of(self.now)
        cores = [core for core, expires in self.disk.cores.values() if expires > now]
        return b"".join(courier.pack(self.member, cores[-most:], self.entropy))

    def take(self, file: bytes) -> int:
        """How many blocks opened."""
        before, opened, finder, known = None, 0, None, list[EpochId]()
        for at in range(0, len(file), limits.BLOCK):
            if finder is None or known != [each.id for each in self.state.epochs]:
                known = [each.id for each in self.state.epochs]
                finder = courier.Finder(self.member, self.now)
            found = finder.find(file[at : at + limits.BLOCK], before)
            if found is not None:
                before, opened = found.arrival, opened + 1
                self.receive(before)
        return opened
