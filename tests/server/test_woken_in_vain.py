"""Attack class 52: what one member can make many waiting reads do."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backchannel.protocol.drop import Page
from backchannel.protocol.types import DropId, Hour
from backchannel.server.authorize import Door
from backchannel.server.newest import Newest, Written
from backchannel.server.relay import Relay
from tests.server.inside import Inside
from tests.server.test_newest import asked, door
from tests.support.relay import noise, until

pytestmark = pytest.mark.stores


def test_attack_52_what_stands_already_wakes_nobody(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each append of an old block had all who waited look into the store again, and a hundred may
    wait at one drop: that is no change, and no look.
    """
    client = inside.drop()
    old = noise()
    client.append(*old)
    looks: list[DropId] = []
    page = Relay._page

    async def counted(self: Relay, door: Door, asked: Any) -> Page:
        looks.append(door.drop)
        return await page(self, door, asked)

    monkeypatch.setattr(Relay, "_page", counted)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(client.read, position=2, wait=60)
        for _ in until(60):
            bells = [bell for bells in inside.relay.wakeup._bells.values() for bell in bells]
            if bells and bells[0].following == 2:
                break
        for _ in range(10):
            client.append(*old)
        client.append(*noise())
        assert [row.position for row in waiting.result(60).rows] == [2]
    assert len(looks) == 2


def test_attack_52_drops_of_which_nothing_is_kept_are_not_remembered_without_end() -> None:
    newest = Newest(10)
    for number in range(100):
        newest.put(door(number), Written((), 5, 0))
    assert len(newest._tails) <= 10
    assert newest.page(door(99), asked(5), Hour(1000)) == Page(5, False, ())
