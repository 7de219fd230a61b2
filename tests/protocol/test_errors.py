"""Every error says whose fault it is."""

import inspect

import pytest

from backchannel.protocol import errors
from backchannel.protocol.errors import (
    BackchannelError,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    StateError,
)

EVERY = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if found.__module__ == errors.__name__
]
ROOTS = {BackchannelError, ProtocolError}


@pytest.mark.parametrize("error", EVERY)
def test_has_one_root_and_a_docstring(error: type[Exception]) -> None:
    assert issubclass(error, BackchannelError)
    assert error.__doc__


@pytest.mark.parametrize("error", [error for error in EVERY if error not in ROOTS])
def test_is_of_exactly_one_fault(error: type[Exception]) -> None:
    faults = (LocalProtocolError, RemoteProtocolError, StateError)
    assert sum(issubclass(error, fault) for fault in faults) == 1


def test_their_bytes_are_never_taken_for_a_broken_store() -> None:
    assert not issubclass(RemoteProtocolError, StateError)
    assert not issubclass(StateError, ProtocolError)
