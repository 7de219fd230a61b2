"""Who waits at one worker is woken by what comes to another: by a notice, or by a look."""

import base64
import threading
from collections.abc import Iterator

import psycopg
import pytest

from backchannel.protocol.drop import Page
from backchannel.server.home import Home
from backchannel.server.postgres import lookout
from backchannel.server.postgres import notices as sending
from backchannel.server.postgres.notices import Notices
from backchannel.server.settings import load
from tests.server.conftest import use
from tests.server.inside import Inside
from tests.server.postgres.brothers import at, brothers
from tests.support.postgres import Postgres, database
from tests.support.relay import DropClient, RefusedError, noise, until

pytestmark = pytest.mark.stores("postgres")
Pair = tuple[Inside, Inside]


@pytest.fixture
def by_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks."""
    monkeypatch.setattr(lookout, "OFTEN", 3600)
    monkeypatch.setattr(lookout, "SELDOM", 3600)


@pytest.fixture
def pair(home: Home) -> Iterator[Pair]:
    with brothers(home) as both:
        yield both


class Waiting:
    """A read that waits at a worker, in a thread."""

    def __init__(self, client: DropClient, inside: Inside, position: int = 1) -> None:
        self.page: Page | None = None
        self._position = position
        self.refused = ""
        self._inside = inside
        self._client = at(client, inside)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        for _ in until(60):
            bells = self._inside.relay.wakeup._bells.values()
            if any(bell.following for each in bells for bell in each):
                return

    def _read(self) -> None:
        try:
            self.page = self._client.read(position=self._position, wait=60)
        except RefusedError as error:
            self.refused = str(error)

    def ends(self) -> bool:
        """Long before it would by itself."""
        self._thread.join(60)
        return not self._thread.is_alive()


def hears(inside: Inside) -> None:
    for _ in until(60):
        if notices(inside).hears:
            return


def know_each_other(pair: Pair) -> None:
    for _ in until(60):
        if not any(notices(each).alone for each in pair):
            return


def notices(inside: Inside) -> Notices:
    return inside.relay._watch._notices  # type: ignore[union-attr,no-any-return]


def url_of(home: Home) -> str:
    return load(home.config)[0].database


@pytest.mark.usefixtures("by_notice")
def test_an_append_wakes_who_waits_at_another_worker(pair: Pair) -> None:
    one, other = pair
    hears(other)
    client, (block,) = one.drop(), noise()
    waiting = Waiting(client, other)
    client.append(block)
    assert waiting.ends()
    assert waiting.page is not None
    assert [row.block for row in waiting.page.rows] == [block]


@pytest.mark.usefixtures("by_notice")
def test_a_deletion_does_so_too(pair: Pair) -> None:
    one, other = pair
    hears(other)
    client = one.drop()
    waiting = Waiting(client, other)
    client.delete()
    assert waiting.ends()
    assert waiting.refused == "404 unknown-drop"


@pytest.mark.usefixtures("by_notice")
def test_after_a_gap_all_who_wait_look_again(pair: Pair, postgres: Postgres) -> None:
    """The notice went while nobody heard it."""
    one, other = pair
    hears(other)
    client, (block,) = one.drop(), noise()
    waiting = Waiting(client, other)
    one.relay.wakeup._tell = lambda _name: None
    client.append(block)
    postgres.cut(url_of(one.home))
    assert waiting.ends()
    assert waiting.page is not None
    assert [row.block for row in waiting.page.rows] == [block]


@pytest.mark.usefixtures("by_notice")
def test_what_a_worker_did_last_is_told_before_it_ends(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its notices have space between them, and it ends within one."""
    one, other = pair
    know_each_other(pair)
    client, (first, last) = one.drop(), noise(2)
    waiting = Waiting(client, other)
    monkeypatch.setattr(sending, "_SPACE", 3600)
    client.append(first)
    assert waiting.ends()
    waiting = Waiting(client, other, position=2)
    client.append(last)
    one.loop.run(notices(one).stop())
    assert waiting.ends()
    assert waiting.page is not None
    assert [row.block for row in waiting.page.rows] == [last]


@pytest.mark.usefixtures("by_notice")
def test_who_could_not_send_a_notice_wakes_all_when_it_can(pair: Pair, postgres: Postgres) -> None:
    one, other = pair
    hears(other)
    rung: list[str] = []
    other.relay.wakeup.ring_all = lambda: rung.append("all")  # type: ignore[method-assign]
    one.loop.call(lambda: notices(one).__setattr__("_missed", True))
    one.drop().append(*noise())
    for _ in until(60):
        if rung:
            break


def test_a_notice_that_was_lost_is_made_up_for_by_a_look(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a worker is killed between its commit and its notice."""
    one, other = pair
    hears(other)
    client = one.drop()
    waiting = Waiting(client, other)
    one.relay.wakeup._tell = lambda _name: None
    client.append(*noise())
    assert other.relay._watch is not None
    other.loop.run(other.relay._watch._lookout.look())  # type: ignore[attr-defined]
    assert waiting.ends()
    assert waiting.page is not None
    assert len(waiting.page.rows) == 1


def test_attack_55_a_notice_names_no_drop(pair: Pair, postgres: Postgres) -> None:
    """What anybody who has the database can listen to."""
    one, _ = pair
    know_each_other(pair)
    client = one.drop()
    with psycopg.connect(url_of(one.home), autocommit=True) as spy:
        spy.execute("LISTEN backchannel")
        client.append(*noise())
        said = ""
        while len(said) < 2:  # others say that they are there, and name none
            (notice,) = spy.notifies(timeout=60, stop_after=1)
            said = notice.payload.partition(" ")[2]
    name = base64.b64decode(said)
    assert len(name) == 8
    for id_ in (client.drop, client.drop[:8], client.drop[8:]):
        assert name not in id_
        assert id_.hex() not in said
    lines = [line for line in postgres.log().splitlines() if b"pg_notify" in line]
    assert lines
    assert not any(client.drop.hex().encode() in line for line in lines)


@pytest.mark.usefixtures("by_notice")
def test_one_that_is_alone_tells_nothing_and_all_who_come_look(
    home: Home, postgres: Postgres
) -> None:
    settings, _ = load(home.config)
    with Inside(home, settings) as one:
        hears(one)
        client = one.drop()
        before = len(postgres.log())
        for _ in range(5):
            client.append(*noise())
        assert b"pg_notify" not in postgres.log()[before:]
        with Inside(home, settings) as other:
            hears(other)
            waiting = Waiting(one.drop(), other)
            client = waiting._client
            at(client, one).append(*noise())
            assert waiting.ends()
            know_each_other((one, other))


def test_two_relays_call_one_drop_by_other_names() -> None:
    from backchannel.protocol.secret import StoreKey
    from backchannel.protocol.types import DropId
    from backchannel.server.postgres.notices import naming

    drop = DropId(b"d" * 16)
    names = {naming(StoreKey(bytes([key]) * 32))(drop) for key in range(3)}
    assert len(names) == 3


@pytest.mark.usefixtures("by_notice")
def test_what_is_no_notice_of_ours_wakes_nobody_and_ends_nothing(pair: Pair) -> None:
    """Another program may use the channel; and more than one relay may be in one database."""
    one, other = pair
    hears(other)
    client = one.drop()
    with psycopg.connect(url_of(one.home), autocommit=True) as stranger:
        for payload in ("", "x", "x y", "x ***", "x " + "A" * 7000, "\u00e4 \u00f6"):
            stranger.execute("SELECT pg_notify('backchannel', %s)", [payload])
    waiting = Waiting(client, other)
    client.append(*noise())
    assert waiting.ends()


@pytest.mark.parametrize("listen", ["LISTEN to; nobody", "SELECT 1", ""])
def test_without_notices_readers_are_woken_by_looks(
    home: Home, monkeypatch: pytest.MonkeyPatch, listen: str
) -> None:
    """The server refuses them, a pooler swallows them, or the operator said that it has none."""
    if listen:
        monkeypatch.setattr("backchannel.server.postgres.notices._LISTEN", listen)
    else:
        url = url_of(home)
        home.config.write_text("")
        use(home.path, url, database_plain=True)
    with brothers(home) as (one, other):
        client, (block,) = one.drop(), noise()
        waiting = Waiting(client, other)
        client.append(block)
        assert waiting.ends()
        assert waiting.page is not None
        assert [row.block for row in waiting.page.rows] == [block]
        assert not notices(other).hears


def test_a_worker_that_ends_leaves_no_session(pair: Pair, postgres: Postgres) -> None:
    one, other = pair
    url = url_of(one.home)
    open_ = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = %s"
    with postgres.admin() as admin:

        def until_there_are(count: int) -> None:
            for _ in until(60):
                if admin.execute(open_, [database(url), "client backend"]).fetchone() == (count,):
                    break

        until_there_are(6)  # of each one that writes, one that hears and one that tells
        one.close()
        other.close()
        until_there_are(0)
