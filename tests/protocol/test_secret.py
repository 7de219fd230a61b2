"""Key material does not leak by accident: secret.py and attack 2."""

import copy
import inspect
import pickle

import pytest

from backchannel.protocol import secret
from backchannel.protocol.secret import ChainKey, KemSeed, MessageKey, Secret

EVERY = [
    found for _, found in inspect.getmembers(secret, inspect.isclass) if issubclass(found, Secret)
]
ROLES = [role for role in EVERY if role is not Secret]


def value_of(role: type[Secret]) -> bytes:
    return bytes(range(role.LENGTH))


@pytest.mark.parametrize("role", EVERY)
def test_exposes_what_it_was_given(role: type[Secret]) -> None:
    assert role(value_of(role)).expose() == value_of(role)


@pytest.mark.parametrize("role", EVERY)
@pytest.mark.parametrize("off", [-1, 1])
def test_has_one_length(role: type[Secret], off: int) -> None:
    with pytest.raises(ValueError, match=role.__name__):
        role(bytes(role.LENGTH + off))


def test_only_a_kem_seed_is_longer() -> None:
    assert {role for role in EVERY if role.LENGTH != 32} == {KemSeed}


@pytest.mark.parametrize("role", EVERY)
def test_shows_its_role_and_no_bytes(role: type[Secret]) -> None:
    key = role(b"\xa5" * role.LENGTH)
    for shown in (repr(key), str(key), f"{key}", f"{[key]}"):
        assert f"<{role.__name__}>" in shown
        assert "a5" not in shown


@pytest.mark.parametrize("role", EVERY)
def test_an_error_holds_no_bytes(role: type[Secret]) -> None:
    with pytest.raises(ValueError, match="bytes") as caught:
        role(b"\xa5" * (role.LENGTH - 1))
    assert "\\xa5" not in str(caught.value)


@pytest.mark.parametrize("role", EVERY)
def test_equal_by_value_within_a_role(role: type[Secret]) -> None:
    assert role(value_of(role)) == role(value_of(role))
    assert role(value_of(role)) != role(bytes(role.LENGTH))


@pytest.mark.parametrize("role", ROLES)
def test_attack_2_never_equal_across_roles(role: type[Secret]) -> None:
    same = [other for other in EVERY if other.LENGTH == role.LENGTH and other is not role]
    assert all(role(value_of(role)) != other(value_of(role)) for other in same)
    assert role(value_of(role)) != value_of(role)


@pytest.mark.parametrize("role", ROLES)
def test_attack_2_no_role_is_another(role: type[Secret]) -> None:
    assert role.__bases__ == (Secret,)
    assert getattr(role, "__final__", False)


@pytest.mark.parametrize("role", EVERY)
def test_is_not_hashed(role: type[Secret]) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(role(value_of(role)))


@pytest.mark.parametrize("role", EVERY)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_is_not_pickled(role: type[Secret], protocol: int) -> None:
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(role(value_of(role)), protocol)


def test_is_not_turned_into_bytes_by_accident() -> None:
    with pytest.raises(TypeError):
        bytes(ChainKey(bytes(32)))  # type: ignore[call-overload]


def test_a_copy_is_the_same_object() -> None:
    key = MessageKey(bytes(32))
    assert copy.copy(key) is key
    assert copy.deepcopy({"k": [key]})["k"][0] is key


def test_keeps_its_own_bytes() -> None:
    given = bytearray(range(32))
    key = ChainKey(given)  # type: ignore[arg-type]  # what a caller without types may do
    given[:] = bytes(32)
    assert key.expose() == bytes(range(32))
