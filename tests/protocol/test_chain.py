"""A symmetric chain: SPEC.md section 13, "chain"."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol.chain import Chain, step
from backchannel.protocol.errors import GapTooLargeError, ReplayError
from backchannel.protocol.secret import ChainKey, MessageKey

START = ChainKey(bytes(range(32)))
MOST = 20


def key_of(number: int) -> MessageKey:
    chain = START
    for _ in range(number):
        chain, _ = step(chain)
    return step(chain)[1]


def test_a_step_as_written() -> None:
    chain, message = step(START)
    named = b"\x1bbackchannel/1 chain message"
    assert message.expose() == hmac.digest(START.expose(), named, "sha256")
    assert chain.expose() == hmac.digest(START.expose(), b"\x18backchannel/1 chain next", "sha256")


@given(st.permutations(range(12)), st.integers(0, 12))
def test_any_order_gives_each_key_once(order: list[int], first: int) -> None:
    chain = Chain(START)
    for number in order:
        chain, message = chain.take(number, MOST)
        assert message == key_of(number)
    assert (chain.number, chain.skipped) == (12, {})
    with pytest.raises(ReplayError):
        chain.take(min(first, 11), MOST)


@given(st.lists(st.integers(0, 60), max_size=20))
def test_attack_09_numbers_reordered_dropped_and_duplicated(numbers: list[int]) -> None:
    chain, used = Chain(START), set[int]()
    for number in numbers:
        if number in used:
            with pytest.raises(ReplayError):
                chain.take(number, MOST)
        elif number - chain.number > MOST:
            with pytest.raises(GapTooLargeError):
                chain.take(number, MOST)
        else:
            before = chain
            chain, message = before.take(number, MOST)
            assert message == key_of(number)
            assert before.take(number, MOST) == (chain, message)
            used.add(number)
    assert set(chain.skipped) == set(range(chain.number)) - used


@pytest.mark.parametrize("number", [MOST, MOST + 1])
def test_attack_16_the_longest_jump(number: int) -> None:
    chain = Chain(START)
    if number > MOST:
        with pytest.raises(GapTooLargeError):
            chain.take(number, MOST)
        with pytest.raises(GapTooLargeError):
            chain.close(number, MOST)
        assert chain == Chain(START)
        return
    assert chain.take(number, MOST)[1] == key_of(number)
    assert set(chain.close(number, MOST).skipped) == set(range(number))


def test_a_used_key_is_in_no_field() -> None:
    """Forward secrecy: what was read cannot be read again by whoever takes the state."""
    chain, used = Chain(START).take(3, MOST)
    held = [chain.key, *chain.skipped.values()]
    assert used not in held
    assert START not in held
    assert chain.take(1, MOST)[0].skipped.keys() == {0, 2}


def test_a_closed_chain_gives_what_it_skipped_and_no_more() -> None:
    chain = Chain(START).take(1, MOST)[0].close(4, MOST)
    assert chain.key is None
    assert set(chain.skipped) == {0, 2, 3}
    assert chain.take(3, MOST)[1] == key_of(3)
    for number in (1, 4, 5):
        with pytest.raises(ReplayError):
            chain.take(number, MOST)
    with pytest.raises(ReplayError):
        chain.close(6, MOST)


def test_a_chain_is_not_closed_below_what_was_read() -> None:
    chain, _ = Chain(START).take(2, MOST)
    with pytest.raises(ReplayError):
        chain.close(2, MOST)
    assert chain.close(3, MOST).skipped.keys() == {0, 1}


def test_a_chain_may_begin_later() -> None:
    chain, message = Chain(START, 7).take(7, MOST)
    assert message == key_of(0)
    with pytest.raises(ReplayError):
        chain.take(6, MOST)
