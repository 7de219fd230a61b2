"""Labels separate uses: SPEC.md sections 2 and 20."""

import itertools
import re

import pytest

from backchannel.protocol.labels import Label
from tests.support import spec


def test_the_specification_lists_exactly_these_labels() -> None:
    listed = spec.labels()
    assert len(listed) == len(set(listed))
    assert set(listed) == set(Label)


def test_every_label_of_a_formula_is_listed() -> None:
    text = spec.SPEC.read_text("utf-8")
    used = re.findall(r'(?<![\w.])(?:kdf|mac|H)\((?:[^"`]*?, )?"([^"]+)"', text)
    assert len(used) > 25
    assert set(used) <= set(Label)


@pytest.mark.parametrize("label", Label)
def test_prefix_is_its_length_and_name(label: Label) -> None:
    full = b"backchannel/1 " + label.value.encode("ascii")
    assert label.prefix == bytes([len(full)]) + full


@pytest.mark.parametrize("label", Label)
def test_name_is_its_value(label: Label) -> None:
    assert label.name == label.value.upper().replace(" ", "_")


def test_attack_4_no_prefix_is_the_start_of_another() -> None:
    """Whatever data follows, two uses never feed a hash the same bytes."""
    clashes = [
        (one, other)
        for one, other in itertools.permutations(Label, 2)
        if other.prefix.startswith(one.prefix)
    ]
    assert clashes == []


def test_attack_3_every_label_names_protocol_and_version() -> None:
    assert {label.prefix[1:15] for label in Label} == {b"backchannel/1 "}
