"""The table of kinds: what each suggests, what may be decided otherwise, what may not."""

import pytest

from backchannel.client.convening import kinds
from backchannel.client.errors import UsageMistake
from backchannel.protocol import limits
from backchannel.protocol.roster import Policy


def find(name: str) -> kinds.Kind:
    return kinds.find(name)


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.name)
def test_each_kind_keeps_its_own_rules(kind: kinds.Kind) -> None:
    policy = kinds.policy(kind, None, None, None)
    assert policy == Policy(kind.lifetime, kind.format, kind.unattributed, kind.vouches, kind.pulse)
    assert all(1 <= len(topic) <= limits.TOPIC for topic, _ in kind.threads)
    assert all(hours is None or hours <= kind.lifetime for _, hours in kind.threads)
    assert max(map(len, kinds.described(kind))) <= 80


def test_every_format_of_the_protocol_is_a_kind() -> None:
    assert {"plenary", "bilateral", "shuttle", "hotline", "workshop"} == {
        kind.format for kind in kinds.KINDS
    }


def test_what_a_kind_suggests_may_be_decided_otherwise() -> None:
    policy = kinds.policy(find("workshop"), 24, 0, 2)
    assert policy == Policy(24, "workshop", 0, 2, 24)


@pytest.mark.parametrize(
    ("decided", "why"),
    [((73, None, None), "at most 72 hours"), ((None, 4, None), "no unattributed posts")],
)
def test_what_a_kind_holds_may_not(decided: tuple[int | None, int | None, None], why: str) -> None:
    with pytest.raises(UsageMistake, match=why) as refused:
        kinds.policy(find("hotline"), *decided)
    assert refused.value.next_step == "backchannel channel kinds"


def test_too_few_people_for_an_unattributed_post() -> None:
    with pytest.raises(UsageMistake, match="at least 4 people"):
        kinds.policy(find("plenary"), None, 3, None)


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(UsageMistake, match="no kind 'mediation'"):
        find("mediation")
