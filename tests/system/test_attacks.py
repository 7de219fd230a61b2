"""What may happen between two machines while somebody joins."""

import json
import sqlite3
import subprocess
from contextlib import closing

import pytest

from backchannel.server.home import Home
from tests.support.member import Channel, Member, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_attack_an_answer_to_a_lobby_that_is_gone_is_not_called_sent() -> None:
    """Anybody on the way can say "no such drop": the answer stays owed, and nobody is told that it
    is at the relay.
    """
    with channel() as north:
        guest = Member.make("Heron", north.folder)
        words = north.invite("Heron")["words"]
        with subprocess.Popen(
            [*guest.command, "join", north.relay.url],
            env=guest.env, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as joining:  # fmt: skip
            assert joining.stdin is not None
            assert joining.stdout is not None
            joining.stdin.write(words + "\n")
            joining.stdin.flush()
            assert "Heron" in joining.stdout.readline()  # it has read the lobby, and asks
            forget(north)
            _, told = joining.communicate("y\n", timeout=60)
        assert joining.returncode == 7, told
        assert "has no such drop" in told
        assert "in the outbox" in told
        assert guest.json("status", "--offline")["outbox"] == 1
        assert guest.fails("sync")[0] == 7
        assert guest.json("status", "--offline")["outbox"] == 1


def forget(north: Channel) -> None:
    """Let the relay have no drop at all."""
    north.relay.kill()
    with closing(sqlite3.connect(Home(north.relay.data).database)) as database, database:
        database.execute("DELETE FROM drops")
    north.come_back()


def test_attack_check_words_outlive_the_process_that_said_them() -> None:
    with channel() as north:
        guest = Member.make("Heron", north.folder)
        words = north.invite("Heron")["words"]
        said = json.loads(
            guest.do("join", north.relay.url, "--yes", "--json", give=words + "\n").splitlines()[-1]
        )["check_words"]
        for more in ((), ("--offline",)):
            (join,) = guest.json("status", *more)["joins"]
            assert join["check_words"] == said
        assert said in guest.do("status")
        north.facilitator.do("admit", "Heron")
        guest.do("sync")
        assert guest.json("status", "--offline")["joins"] == []
