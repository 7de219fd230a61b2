"""What goes into a channel's doors and comes out of them: plain values."""

from collections.abc import Iterator
from types import ModuleType
from typing import get_args

import pytest

from backchannel.protocol import command, outcome
from backchannel.protocol.drop import Drop
from backchannel.protocol.invite import invite_secret
from backchannel.protocol.outcome import Append, DeleteDrop
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import Block, ContentHash
from tests.support import cast


def values(module: ModuleType) -> Iterator[type]:
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield value


@pytest.mark.parametrize("kind", [*values(command), *values(outcome)])
def test_each_is_a_tuple_of_named_values_and_no_more(kind: type) -> None:
    """Nothing that a shell could change behind a channel's back."""
    assert issubclass(kind, tuple)
    assert kind.__doc__
    own = {name for name in vars(kind) if not name.startswith("_")}
    assert own == set(kind._fields)  # type: ignore[attr-defined]


def test_the_unions_name_every_value_once() -> None:
    assert set(get_args(command.Command)) == set(values(command))
    others = {
        outcome.Arrival, outcome.Change, outcome.Leaf, outcome.Outcome, outcome.Poll
    }  # fmt: skip
    named = [*get_args(outcome.Event), *get_args(outcome.Effect)]
    assert set(named) | others == set(values(outcome))
    assert len(named) == len(set(named))


def test_secrets_of_effects_do_not_print() -> None:
    drop = Drop.of_lobby(invite_secret(bytes(16)), cast.relay().public)
    private = X25519Private(b"p" * 32)
    shown = repr((DeleteDrop("relay", drop, private), drop.outer))
    appended = repr(Append("relay", drop, Block(b""), ContentHash(b"")))
    for secret in (private, drop.outer):
        for text in (shown, appended):
            assert secret.expose().hex() not in text
            assert repr(secret.expose())[2:-1] not in text
