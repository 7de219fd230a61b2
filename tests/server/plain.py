"""Speaks to a relay over a bare socket, for what no HTTP library would send."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.support.relay import RelayProcess


@contextmanager
def connection(relay: RelayProcess) -> Iterator[socket.socket]:
    address = urlsplit(relay.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port), timeout=60) as plain:
        yield plain


def received(plain: socket.socket) -> bytes:
    """Everything until the relay closes; nothing where it resets."""
    pieces = []
    try:
        while piece := plain.recv(65_536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)
