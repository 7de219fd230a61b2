"""A relay in this process for edge cases, and one as a program for the main path; with either store
where a module is marked `stores`.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from backchannel.protocol.types import Hour, hour_of
from backchannel.server.clock import Clock
from backchannel.server.home import Home
from backchannel.server.migrate import migrate
from backchannel.server.operate import setup
from backchannel.server.postgres.sessions import Remote
from backchannel.server.settings import load
from tests.server.inside import Inside, Opener
from tests.support import postgres as server
from tests.support.postgres import Postgres, running_postgres
from tests.support.relay import DropClient, RelayProcess, running_relay

Furnish = Callable[[Path], None]
"""Gives the relay in a folder the store that it is to have, empty."""
Made = Callable[[], Path]
"""The folder to copy."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The same test on each store, or on those that are named; but for what is of SQLite alone."""
    marked = metafunc.definition.get_closest_marker
    stores = marked("stores")
    if "store" in metafunc.fixturenames and stores and not marked("sqlite"):
        kinds = stores.args or ("sqlite", "postgres")
        metafunc.parametrize("store", kinds, indirect=True, scope="module")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m postgres` is whatever asks for a server."""
    for item in items:
        chosen = getattr(item, "callspec", None)
        on_it = chosen is not None and chosen.params.get("store") == "postgres"
        if on_it or {"postgres", "server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of this process."""
    if why := server.missing():
        pytest.skip(why)
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """A database in this program's schema; tests take copies."""
    url = postgres.fresh()
    engine = Remote(url).writer()
    migrate(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> Iterator[Furnish]:
    """Which store relays of this test have: a file, unless said otherwise."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield lambda _data: None
        return
    running: Postgres = request.getfixturevalue("postgres")
    copied: str = request.getfixturevalue("template")
    made: list[str] = []

    def furnish(data: Path) -> None:
        made.append(running.fresh(copied))
        use(data, made[-1])

    yield furnish
    for url in made:
        running.drop(url)


def use(data: Path, url: str, **more: object) -> None:
    """Let the relay in a folder stand on that database."""
    chosen = {"database": url, **more}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in chosen.items())
    with (data / "relay.toml").open("a") as file:
        file.write(lines)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One relay's data directory; tests take copies. Made anew in each hour, which stands in it."""

    @cache
    def in_hour(_: Hour) -> Path:
        home = Home(tmp_path_factory.mktemp("made") / "relay")
        setup.make(home)
        return home.path

    clock = Clock(tmp_path_factory.mktemp("now") / "demo-hours")
    return lambda: in_hour(hour_of(clock.now()))


@pytest.fixture
def home(made: Made, tmp_path: Path, store: Furnish) -> Home:
    """A relay's directory of one's own, not served."""
    data = Path(shutil.copytree(made(), tmp_path / "relay"))
    store(data)
    return Home(data)


@pytest.fixture
def open_inside(home: Home) -> Iterator[Opener]:
    """Opens the relay in `home`, with settings of the test's choice; closes the last one first."""
    with ExitStack() as last:

        def open_(*, accept_clock: bool = False, **chosen: object) -> Inside:
            last.close()
            settings, _ = load(home.config, chosen)
            return last.enter_context(Inside(home, settings, accept_clock=accept_clock))

        yield open_


@pytest.fixture
def inside(open_inside: Opener) -> Inside:
    """The relay in `home` with its defaults."""
    return open_inside()


@pytest.fixture(scope="module")
def process(store: Furnish) -> Iterator[RelayProcess]:
    """A relay as a program, shared by a module's tests."""
    with running_relay(start=False) as relay:
        store(relay.data)
        yield relay.start()


@pytest.fixture
def client(process: RelayProcess) -> DropClient:
    """Speaks to it over real sockets, and has a drop there."""
    client = DropClient.connect(process.url)
    client.create(process.voucher())
    return client
