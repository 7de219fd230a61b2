"""A database that goes away and comes back, answers that are lost, and what it is told and not."""

import re
import threading
from collections.abc import Iterator

import psycopg
import pytest

from backchannel.protocol.types import Hour
from backchannel.server import logs
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.postgres.sessions import Remote
from backchannel.server.repository import Repository, Wanted
from backchannel.server.settings import load
from tests.server.conftest import use
from tests.server.inside import Inside, Opener
from tests.support.postgres import Postgres, Way, running_postgres
from tests.support.relay import DropClient, RefusedError, noise, until

pytestmark = pytest.mark.stores("postgres")


def url_of(home: Home) -> str:
    return load(home.config)[0].database


@pytest.fixture
def way(postgres: Postgres, home: Home) -> Iterator[Way]:
    """Between the relay in `home` and its database."""
    made = Way(postgres, url_of(home))
    home.config.write_text("")
    use(home.path, made.url)
    yield made
    made.close()


@pytest.fixture
def far(way: Way, open_inside: Opener) -> Inside:
    """A relay that reaches its database by that way."""
    return open_inside()


def read(client: DropClient) -> list[bytes]:
    return [row.block for row in client.read().rows]


def test_attack_56_a_commit_is_on_the_disk_before_its_answer(inside: Inside) -> None:
    def settings(store: Repository, _hour: Hour) -> list[str]:
        names = ("synchronous_commit", "statement_timeout", "lock_timeout", "application_name")
        return [store._connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]

    assert inside.write(settings) == ["on", "30s", "10s", "backchannel-relay"]


def test_sessions_that_were_ended_are_begun_again(inside: Inside, postgres: Postgres) -> None:
    client, blocks = inside.drop(), noise(3)
    for block in blocks:
        client.append(block)
        assert postgres.cut(url_of(inside.home))
    assert read(client) == blocks


def test_a_cable_that_was_pulled_is_noticed_and_no_block_is_lost(far: Inside, way: Way) -> None:
    client, blocks = far.drop(), noise(3)
    for block in blocks:
        client.append(block)
        way.cut()
    assert read(client) == blocks


def test_attack_57_a_commit_whose_answer_is_lost_is_found_and_not_repeated(
    far: Inside, way: Way
) -> None:
    client, blocks = far.drop(), noise(4)
    for number, block in enumerate(blocks, 1):
        way.losing = True
        (stored,) = client.append(block)
        assert stored.position == number
        assert way.lost >= number
    assert read(client) == blocks


def test_making_and_sealing_a_drop_survive_a_lost_answer(far: Inside, way: Way) -> None:
    client, voucher = far.stranger(), far.voucher()
    way.losing = True
    client.create(voucher)
    client.append(*noise())
    way.losing = True
    client.seal()
    with pytest.raises(RefusedError, match="409 sealed"):
        client.append(*noise())


def test_while_the_database_is_away_a_relay_is_busy_and_then_goes_on(far: Inside, way: Way) -> None:
    client, (block,) = far.drop(), noise()
    way.block()
    for attempt in (client.read, lambda: client.append(block)):
        with pytest.raises(RefusedError, match="503 busy"):
            attempt()
    way.open()
    client.append(block)
    assert read(client) == [block]


def test_a_server_that_is_restarted_or_killed_is_used_again(
    home: Home, open_inside: Opener
) -> None:
    with running_postgres() as server:
        home.config.write_text("")
        use(home.path, server.fresh())
        inside = open_inside()
        client, blocks = inside.drop(), noise(2)
        for block, end in zip(blocks, (server.stop, server.kill), strict=True):
            client.append(block)
            end()
            with pytest.raises(RefusedError, match="503 busy"):
                client.append(*noise())
            server.start()
            assert block in read(client)
        assert read(client) == blocks
        inside.close()


def test_two_who_wait_for_each_other_are_both_done(inside: Inside, postgres: Postgres) -> None:
    """PostgreSQL ends one of them; that one begins again."""
    one, other = inside.drop(), inside.drop()
    lock = "SELECT FROM drops WHERE id = %s FOR UPDATE"
    done = threading.Event()

    def wants_both(store: Repository, _hour: Hour) -> None:
        store.drop(one.drop)
        store.drop(other.drop)
        done.set()

    with psycopg.connect(url_of(inside.home)) as stranger:
        stranger.execute(lock, [other.drop])
        asked = threading.Thread(target=inside.write, args=(wants_both,))
        asked.start()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
        with postgres.admin() as admin:
            for _ in until(60):
                if admin.execute(waiting, [stranger.info.dbname]).fetchone():
                    break
        try:
            stranger.execute(lock, [one.drop])
        except psycopg.errors.DeadlockDetected:
            stranger.rollback()
    asked.join(60)
    assert done.is_set()


def test_drops_are_locked_in_one_order_whoever_asks(inside: Inside) -> None:
    """A group locks all that it wants at once, sorted: what was given in any order."""
    drops = [inside.drop().drop for _ in range(6)]
    wanted = Wanted(sorted(drops, reverse=True))
    plans: list[str] = []

    def job(store: Repository, _hour: Hour) -> None:
        store.fetch(*wanted)
        statement = store._driver.execute(  # type: ignore[attr-defined]
            "SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%FOR NO KEY UPDATE'"
        )
        plans.extend(row[0] for row in statement.fetchall())

    for _ in range(8):
        inside.write(job)
    assert plans
    assert all("ORDER BY id FOR NO KEY UPDATE" in plan for plan in plans)


def shown(value: bytes) -> bytes:
    return value.hex().encode()


def traces(client: DropClient, postgres: Postgres) -> int:
    """How many lines of the server's log have the id of its drop."""
    lines = postgres.log().splitlines()
    return sum(shown(client.drop) in line for line in lines)


@pytest.mark.parametrize("may", [True, False])
def test_attack_55_a_role_that_may_keeps_values_out_of_the_servers_log(
    inside: Inside, postgres: Postgres, may: bool
) -> None:
    """The tests' server logs all that it can; the control is a role that may not."""
    home = inside.home
    url = url_of(home)
    inside.close()
    if may:
        home.config.write_text("")
        use(home.path, url.replace("relay@", "postgres@"))
    with Inside(home, load(home.config)[0]) as quiet:
        client = quiet.drop()
        client.append(*noise(2))
        client.read()
        client.delete()
    assert (traces(client, postgres) == 0) is may


def test_attack_55_errors_of_the_server_are_told_without_its_words(
    inside: Inside, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its DETAIL has the key that stands there already."""
    monkeypatch.setattr(logs._seldom, "_last", {})
    client = inside.drop()
    with psycopg.connect(url_of(inside.home), autocommit=True) as connection:
        connection.execute("ALTER TABLE drops ADD CHECK (following < 2)")
    with pytest.raises(RefusedError):
        client.append(*noise())
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert shown(client.drop).decode() not in said
    assert "following" not in said


SECRET = "hunter2"


@pytest.mark.parametrize(
    "wrong",
    [
        "nonsense",
        f"postgresql://a:{SECRET}@[::1/x",
        f"mysql://a:{SECRET}@localhost/x",
        f"postgresql://a:{SECRET}@localhost/x?nonsense=1",
    ],
)
def test_what_is_no_url_is_told_and_never_shown(wrong: str) -> None:
    with pytest.raises(OperatorError) as error:
        Remote(wrong)
    assert "postgresql://ROLE@HOST/DATABASE" in error.value.next
    assert SECRET not in str(error.value) + error.value.next


def test_a_password_is_never_shown() -> None:
    remote = Remote(f"postgresql://a:{SECRET}@localhost:1/x")
    assert SECRET not in f"{remote} {remote!r} {remote.writer()!r} {remote.writer().url}"
    with pytest.raises(OperatorError) as error, remote.usable():
        remote.connect()
    assert SECRET not in str(error.value) + error.value.next
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("@/relay", "@/nowhere"), "there is no such database"),
        (("relay@", "stranger@"), "it refuses the role"),
        (("host=/", "host=/nowhere/"), "it does not answer"),
    ],
)
def test_what_is_wrong_with_a_database_is_told_with_what_to_do(
    home: Home, change: tuple[str, str], said: str
) -> None:
    url = re.sub("^(.*?)" + change[0], lambda found: found[1] + change[1], url_of(home))
    with pytest.raises(OperatorError, match=said) as error, Remote(url).usable():
        Remote(url).connect()
    assert error.value.next
