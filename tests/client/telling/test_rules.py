"""Rules, roles, acts and alarms in plain sentences: each has one, and none is forgotten."""

from typing import get_args

import pytest

from backchannel.client.telling import chronicle, rules
from backchannel.client.telling.terms import AUTHORITY, FORMATS, RELEASE, ROLES
from backchannel.protocol import content, roster
from backchannel.protocol.content import Gone
from backchannel.protocol.outcome import AlarmKind, Change
from backchannel.protocol.permission import MAY, Act
from backchannel.protocol.roster import Format, Policy

UNSPOKEN: set[Act] = {"echo", "ask", "prekey", "digest", "heard"}
"""What programs do, and no person."""


def test_the_table_of_roles_forgets_no_act() -> None:
    assert {act for _, acts in rules.DEEDS for act in acts} | UNSPOKEN == set(get_args(Act))


def test_the_acts_of_one_row_are_allowed_together_or_not_at_all() -> None:
    for words, acts in rules.DEEDS:
        for role, allowed in MAY.items():
            assert len(set(acts) & allowed) in (0, len(acts)), (words, role)


def test_what_is_typed_is_what_the_protocol_has() -> None:
    assert ROLES == roster.ROLES
    assert get_args(Format) == FORMATS
    assert (AUTHORITY, RELEASE) == (content.AUTHORITY, content.RELEASE)


@pytest.mark.parametrize("kind", get_args(Format))
def test_every_kind_has_a_sentence(kind: Format) -> None:
    first, *_ = rules.sentences(Policy(24, kind))
    assert first.startswith(f"A {kind}: ")


def test_only_what_differs_is_told() -> None:
    old, new = Policy(168), Policy(72, vouches=2)
    assert rules.difference(old, new) == [
        "What is said is kept for 3 days.",
        "A facilitator admits only for whom 2 members have vouched, and nobody objected.",
    ]
    assert rules.difference(old, old) == []


@pytest.mark.parametrize("kind", get_args(AlarmKind))
def test_every_alarm_says_what_happened_and_about_whom(kind: AlarmKind) -> None:
    said = chronicle.alarm({"kind": kind, "alias": "Heron", "name": "", "at": 0})
    assert "Heron" in said
    assert said.endswith((".", "turn"))
    assert not said.startswith(kind)


REASONS = get_args(Gone.__annotations__["reason"])


@pytest.mark.parametrize("what", [*REASONS, "came", "role", "policy", "epoch", "relays", "merged"])
def test_every_act_of_a_facilitator_is_a_sentence(what: str) -> None:
    said = chronicle.done(Change(what, "Heron", "observer")._asdict())
    assert what == "removed" or not said.startswith(what)
    assert "{" not in said


def test_where_a_channel_is_now_is_told_by_its_addresses() -> None:
    said = chronicle.done(Change("relays", detail="https://a.example, https://b.example")._asdict())
    assert said == "moved the channel: it is at https://a.example, https://b.example now"


def test_a_change_of_rules_is_told_in_words() -> None:
    detail = "lifetime 168 -> 72, vouches 0 -> 2"
    said = chronicle.done(Change("policy", "", detail)._asdict())
    assert said == "changed the rules: content is kept 7 days -> 3 days, vouches 0 -> 2"
