"""The vault's header: strictly read, bounded, and the gate of the passphrase."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.client.errors import VaultDamaged, VaultTooNew, WrongPassphrase
from backchannel.client.vault import head as heads
from backchannel.client.vault.head import Cost, Head, Way
from backchannel.protocol.errors import BackchannelError
from tests.support.people import CHEAP, ENTROPY

HEAD, KEY = Head.new("passphrase", CHEAP, ENTROPY)


def with_number(at: int, number: int) -> bytes:
    data = bytearray(HEAD.pack())
    data[at : at + 4] = number.to_bytes(4)
    return bytes(data)


def test_the_passphrase_gives_the_same_key_again() -> None:
    assert Head.read(HEAD.pack()).key("passphrase") == (KEY, Way.OWN)


def test_another_passphrase_is_said_to_be_wrong() -> None:
    with pytest.raises(WrongPassphrase):
        HEAD.key("Passphrase")


def test_an_accent_is_the_same_however_a_keyboard_spells_it() -> None:
    head, key = Head.new("caf\u00e9 cr\u00e8me", CHEAP, ENTROPY)
    assert head.key("cafe\u0301 cre\u0300me") == (key, Way.OWN)


def test_a_new_vault_costs_a_guess_256_mebibytes_and_three_passes() -> None:
    assert Cost(256, 3) == heads.USUAL


@given(
    st.integers(64, 1024), st.integers(1, 10), st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32),
)  # fmt: skip
def test_one_encoding(memory: int, passes: int, salt: bytes, check: bytes, duress: bytes) -> None:
    head = Head(Cost(memory, passes), salt, check, duress)
    assert len(head.pack()) == heads.SIZE
    assert Head.read(head.pack()) == head


@given(st.binary(max_size=200))
def test_nothing_else_is_taken_for_a_header(data: bytes) -> None:
    with pytest.raises(BackchannelError):
        Head.read(data)


@pytest.mark.parametrize("memory", [0, 63, 1025, 102_400, 2**32 - 1])
def test_a_hostile_header_cannot_ask_for_a_hundred_gibibytes(memory: int) -> None:
    with pytest.raises(VaultDamaged):
        Head.read(with_number(28, memory))


@pytest.mark.parametrize("passes", [0, 11, 2**32 - 1])
def test_nor_for_a_year_of_passes(passes: int) -> None:
    with pytest.raises(VaultDamaged):
        Head.read(with_number(32, passes))


def test_a_later_version_is_said_to_be_later() -> None:
    with pytest.raises(VaultTooNew, match="version 3"):
        Head.read(with_number(24, 3))


@pytest.mark.parametrize(
    "data",
    [HEAD.pack()[:-1], HEAD.pack() + b"\0", with_number(24, 0)],
    ids=["short", "long", "version 0"],
)
def test_a_wrong_size_or_version_nought_is_damage(data: bytes) -> None:
    with pytest.raises(VaultDamaged):
        Head.read(data)
