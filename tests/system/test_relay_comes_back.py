"""A relay is lost and comes back from its backup, or moves into PostgreSQL: people go on talking,
and are alarmed by nothing.
"""

import shutil
from collections.abc import Iterator

import pytest

from backchannel.server.home import Home
from backchannel.server.operate import backup, moving, restore
from tests.support.member import Channel, channel
from tests.support.postgres import missing, running_postgres

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def talking() -> Iterator[Channel]:
    with channel("Ibis") as found:
        yield found


def calm(found: Channel) -> None:
    for each in (found.facilitator, *found.people.values()):
        assert each.json("alarms")["alarms"] == []
        standing = each.json("status", "--offline")["channels"][0]
        assert (standing["refused_blocks"], standing["missed_blocks"]) == (0, 0), each.name


def test_after_a_loss_they_go_on_where_they_were(talking: Channel) -> None:
    relay, heron, ibis = talking.relay, talking.facilitator, talking.people["Ibis"]
    heron.do("say", "before the backup")
    ibis.do("sync")
    backup.take(Home(relay.data), talking.folder / "relay.backup")
    ibis.do("say", "after the backup")
    heron.do("sync")
    relay.kill()
    shutil.rmtree(relay.data)
    restore.restore(talking.folder / "relay.backup", Home(relay.data))
    talking.come_back()
    for number in range(3):
        heron.do("say", f"after the loss {number}")
    ibis.do("say", "we are here again")
    everything = {
        "before the backup", "after the backup", "we are here again",
        *(f"after the loss {number}" for number in range(3)),
    }  # fmt: skip
    for each in (heron, ibis):
        assert set(each.texts()) == everything
    calm(talking)


def test_a_move_into_postgresql_is_a_pause(talking: Channel) -> None:
    if why := missing():
        pytest.skip(why)
    relay, heron, ibis = talking.relay, talking.facilitator, talking.people["Ibis"]
    heron.do("say", "before the move")
    with running_postgres() as server:
        relay.stop()
        assert moving.move(Home(relay.data), server.fresh()).blocks > 0
        talking.come_back()
        ibis.do("say", "after the move")
        for each in (heron, ibis):
            assert set(each.texts()) == {"before the move", "after the move"}
        calm(talking)
        relay.stop()
