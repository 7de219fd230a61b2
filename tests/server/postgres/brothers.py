"""Two workers of one relay in this process: on one folder, and one database."""

from collections.abc import Iterator
from contextlib import contextmanager

from backchannel.server.home import Home
from backchannel.server.settings import load
from tests.server.inside import Inside
from tests.support.relay import DropClient


@contextmanager
def brothers(home: Home) -> Iterator[tuple[Inside, Inside]]:
    """Both at work."""
    settings, _ = load(home.config)
    with Inside(home, settings) as one, Inside(home, settings) as other:
        yield one, other


def at(client: DropClient, inside: Inside) -> DropClient:
    """The same client, at that worker."""
    return DropClient(
        inside.http, client.relay, client.url, client.drop, client.access, client.close
    )
