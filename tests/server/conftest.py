"""A relay in this process for edge cases, and one as a program for the main path."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from backchannel.server import setup
from backchannel.server.home import Home
from backchannel.server.settings import Settings
from tests.server.inside import Inside, Opener
from tests.support.relay import DropClient, RelayProcess, running_relay


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One relay's data directory; tests take copies."""
    home = Home(tmp_path_factory.mktemp("made") / "relay")
    setup.make(home)
    return home.path


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Home:
    """A relay's directory of one's own, not served."""
    return Home(Path(shutil.copytree(made, tmp_path / "relay")))


@pytest.fixture
def open_inside(home: Home) -> Iterator[Opener]:
    """Opens the relay in `home`, with settings of the test's choice; closes the last one first."""
    with ExitStack() as last:

        def open_(*, accept_clock: bool = False, **chosen: object) -> Inside:
            last.close()
            settings = Settings.model_validate(chosen)
            return last.enter_context(Inside(home, settings, accept_clock=accept_clock))

        yield open_


@pytest.fixture
def inside(open_inside: Opener) -> Inside:
    """The relay in `home` with its defaults."""
    return open_inside()


@pytest.fixture(scope="module")
def process() -> Iterator[RelayProcess]:
    """A relay as a program, shared by a module's tests."""
    with running_relay() as relay:
        yield relay


@pytest.fixture
def client(process: RelayProcess) -> DropClient:
    """Speaks to it over real sockets, and has a drop there."""
    client = DropClient.connect(process.url)
    client.create(process.voucher())
    return client
