"""What is refused as disk, bound and memory run short: the new before those who are here."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.server.errors import BusyError
from backchannel.server.limits import (
    FREE_DISK,
    FREE_MEMORY,
    LOG_ROOM,
    LOOK_EVERY,
    NO_BLOCKS_AFTER,
    NO_DROPS_AFTER,
    RESERVED,
)
from backchannel.server.room import Room, Short, Space, free_disk, free_memory, judge

PLENTY = Space(disk=FREE_DISK, spare=0, used=0, memory=FREE_MEMORY)
amounts = st.integers(0, 2 * FREE_DISK)
spaces = st.builds(Space, amounts, amounts, amounts, amounts)


def refused(space: Space, most: int = 0) -> tuple[bool, bool]:
    """Whether drops are, and whether blocks are."""
    drops, blocks = judge(space, most)
    return bool(drops), bool(blocks)


def test_with_plenty_nothing_is_refused() -> None:
    assert judge(PLENTY, 0) == Short()


def test_the_new_are_refused_first_on_the_disk() -> None:
    assert refused(PLENTY._replace(disk=FREE_DISK - 1)) == (True, False)
    assert refused(PLENTY._replace(disk=RESERVED)) == (True, False)
    assert refused(PLENTY._replace(disk=RESERVED - 1)) == (True, True)


def test_the_new_are_refused_first_under_the_operators_bound() -> None:
    assert refused(PLENTY._replace(used=899), 1000) == (False, False)
    assert refused(PLENTY._replace(used=900), 1000) == (True, False)
    assert refused(PLENTY._replace(used=999), 1000) == (True, False)
    assert refused(PLENTY._replace(used=1000), 1000) == (True, True)


def test_low_memory_is_only_against_the_new() -> None:
    assert refused(PLENTY._replace(memory=FREE_MEMORY)) == (False, False)
    assert refused(PLENTY._replace(memory=FREE_MEMORY - 1)) == (True, False)
    assert refused(PLENTY._replace(memory=0)) == (True, False)


def test_what_left_the_store_makes_room_though_its_file_stays_large() -> None:
    full = PLENTY._replace(disk=RESERVED - 1)
    assert refused(full._replace(spare=1)) == (True, False)
    assert refused(full._replace(disk=LOG_ROOM, spare=RESERVED)) == (True, False)
    assert refused(full._replace(disk=LOG_ROOM - 1, spare=FREE_DISK)) == (False, True), (
        "the log has no room of its own"
    )


@given(spaces, st.integers(0, FREE_DISK))
def test_less_of_anything_never_lets_more_in(space: Space, most: int) -> None:
    before = refused(space, most)
    for fewer in (
        space._replace(disk=space.disk // 2),
        space._replace(spare=space.spare // 2),
        space._replace(used=2 * space.used),
        space._replace(memory=space.memory // 2),
    ):
        now = refused(fewer, most)
        assert all(not was or still for was, still in zip(before, now, strict=True))


class Machine:
    """Disk and memory of the test's choice, and a clock."""

    def __init__(self) -> None:
        self.space = PLENTY
        self.looks = 0
        self.now = 0.0

    async def look(self) -> Space:
        self.looks += 1
        await asyncio.sleep(0)
        return self.space

    def room(self, most: int = 0) -> Room:
        return Room(most, self.look, lambda: self.now)


@pytest.mark.asyncio
async def test_it_is_looked_at_once_in_a_while_however_many_ask() -> None:
    machine = Machine()
    room = machine.room()
    await asyncio.gather(*(room.for_blocks() for _ in range(100)))
    assert machine.looks == 1
    machine.now += LOOK_EVERY
    await asyncio.gather(*(room.for_drop() for _ in range(100)))
    assert machine.looks == 2


@pytest.mark.asyncio
async def test_attack_53_refusals_end_by_themselves_when_room_is_made() -> None:
    machine = Machine()
    machine.space = PLENTY._replace(disk=0)
    room = machine.room()
    for ask, seconds in ((room.for_drop, NO_DROPS_AFTER), (room.for_blocks, NO_BLOCKS_AFTER)):
        with pytest.raises(BusyError) as busy:
            await ask()
        assert busy.value.retry_after == seconds
    machine.space = PLENTY
    machine.now += LOOK_EVERY
    await room.for_blocks()
    await room.for_drop()


@pytest.mark.asyncio
async def test_a_look_that_fails_is_not_made_again_by_everybody() -> None:
    machine = Machine()

    async def fails() -> Space:
        machine.looks += 1
        raise BusyError

    room = Room(0, fails, lambda: machine.now)
    with pytest.raises(BusyError):
        await room.for_blocks()
    await room.for_blocks()
    assert machine.looks == 1


def test_this_machine_has_a_disk_and_memory(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert free_disk(tmp_path, log) > 0
    log.touch()
    os.truncate(log, 1 << 40)
    assert free_disk(tmp_path, log) > 1 << 40, "what it holds is written over"
    assert free_memory() > 0


def test_the_narrowest_bound_on_memory_counts(tmp_path: Path) -> None:
    machine, ours, group = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "a.slice"
    assert free_memory(machine, ours, tmp_path) > 1 << 62, "nothing is known"
    machine.write_text("MemTotal: 9000 kB\nMemAvailable: 4000 kB\n")
    assert free_memory(machine, ours, tmp_path) == 4_096_000
    ours.write_text("4:memory:/else\n0::/a.slice\n")
    group.mkdir()
    (group / "memory.max").write_text("max\n")
    assert free_memory(machine, ours, tmp_path) == 4_096_000
    (group / "memory.max").write_text("100000\n")
    (group / "memory.current").write_text("90000\n")
    (group / "memory.stat").write_text("anon 5000\ninactive_file 30000\n")
    assert free_memory(machine, ours, tmp_path) == 40_000
    (group / "memory.current").write_text("190000\n")
    assert free_memory(machine, ours, tmp_path) == 0
