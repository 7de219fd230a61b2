"""Which channel and thread is meant by what was typed."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.telling.choosing import pick_channel, pick_thread
from backchannel.client.telling.terms import MAIN, topic_of
from backchannel.client.vault.vault import Vault
from backchannel.protocol.types import MAIN_THREAD, ChannelId, ThreadId
from tests.support.people import NOON

if TYPE_CHECKING:
    from backchannel.protocol.state import ChannelState

FISH, FERRY, TWIN = (ThreadId(bytes([n] * 16)) for n in (0xA1, 0xB2, 0xB3))
STATE = cast(
    "ChannelState",
    SimpleNamespace(
        threads={
            FISH: SimpleNamespace(topic="Fishing limits"),
            FERRY: SimpleNamespace(topic="Ferry"),
            TWIN: SimpleNamespace(topic="Ferry routes"),
        }
    ),
)


def add(vault: Vault, name: str, ended: str = "") -> None:
    with vault.exclusive(NOON), vault.transaction():
        vault.channels.add(ChannelId(name.encode().ljust(16)), name, b"", {"ended": ended})


def test_the_only_channel_needs_no_name(vault: Vault) -> None:
    assert pick_channel(vault, None).name == "north"
    assert pick_channel(vault, "NOR").name == "north"
    with pytest.raises(NotFound):
        pick_channel(vault, "south")


def test_several_channels_need_one(vault: Vault) -> None:
    add(vault, "north sea")
    assert pick_channel(vault, "north").name == "north"
    assert pick_channel(vault, "north s").name == "north sea"
    for name in (None, "no"):
        with pytest.raises(UsageMistake, match="north, north sea"):
            pick_channel(vault, name)


def test_a_channel_that_is_over_is_meant_only_by_its_name(vault: Vault) -> None:
    add(vault, "south", "left")
    assert pick_channel(vault, None).name == "north"
    assert pick_channel(vault, "south").name == "south"
    add(vault, "east")
    with pytest.raises(UsageMistake, match="north, south, east"):
        pick_channel(vault, None)


def test_the_only_channel_is_meant_even_where_it_is_over(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        row = pick_channel(vault, None)
        vault.channels.put_state(row.id, row.state, {"ended": "closed"})
    assert pick_channel(vault, None).name == "north"


@pytest.mark.parametrize(
    ("typed", "thread"),
    [
        (None, MAIN_THREAD),
        ("Main", MAIN_THREAD),
        ("fish", FISH),
        ("FERRY", FERRY),
        ("ferry r", TWIN),
        ("a1a1", FISH),
    ],
)
def test_a_thread_by_topic_start_or_id(typed: str | None, thread: ThreadId) -> None:
    assert pick_thread(STATE, typed).id == thread


@pytest.mark.parametrize("typed", ["coal", "a1", ""])
def test_no_thread(typed: str) -> None:
    with pytest.raises((NotFound, UsageMistake)):
        pick_thread(STATE, typed)


def test_two_threads_are_told_with_their_ids() -> None:
    with pytest.raises(UsageMistake, match=r"Ferry \(b2b2b2b2\), Ferry routes"):
        pick_thread(STATE, "ferr")


def test_what_a_thread_is_called() -> None:
    assert topic_of(STATE, MAIN_THREAD) == MAIN
    assert topic_of(STATE, FISH) == "Fishing limits"
    assert topic_of(STATE, ThreadId(bytes([9] * 16))) == "09090909"
