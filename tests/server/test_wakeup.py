"""Bells of waiting reads: none is missed, none rings for another drop or after the end."""

import asyncio
import os

import pytest

from backchannel.protocol.types import DropId
from backchannel.server.wakeup import Wakeup

pytestmark = pytest.mark.asyncio
DROP, OTHER = DropId(bytes(16)), DropId(os.urandom(16))


async def test_a_bell_rung_before_anybody_listens_still_rings() -> None:
    wakeup = Wakeup(10)
    with wakeup.listen(DROP) as bell:
        wakeup.ring(DROP)
        assert await bell.rung(5)
        assert not await bell.rung(0.01)


async def test_a_bell_rings_for_all_of_its_drop_and_nobody_else() -> None:
    wakeup = Wakeup(10)
    with wakeup.listen(DROP) as one, wakeup.listen(DROP) as two, wakeup.listen(OTHER) as other:
        wakeup.ring(DROP)
        rung = await asyncio.gather(one.rung(5), two.rung(5), other.rung(0.01))
        assert tuple(rung) == (True, True, False)


async def test_past_the_limit_nobody_waits() -> None:
    wakeup = Wakeup(1)
    with wakeup.listen(DROP), wakeup.listen(DROP) as second:
        assert not await second.rung(60)
    with wakeup.listen(DROP) as third:
        wakeup.ring(DROP)
        assert await third.rung(5)


async def test_the_end_lets_everybody_go_and_nobody_come() -> None:
    wakeup = Wakeup(10)
    with wakeup.listen(DROP) as bell:
        wakeup.close()
        assert not await bell.rung(60)
    with wakeup.listen(DROP) as late:
        assert not await late.rung(60)


async def test_whoever_left_is_forgotten() -> None:
    wakeup = Wakeup(10)
    with wakeup.listen(DROP):
        pass
    wakeup.ring(DROP)
    assert not wakeup._bells
