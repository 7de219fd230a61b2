"""How a channel stands, and who is there, as people type it: over a real relay."""

import json
from collections.abc import Iterator

import pytest

from backchannel.client.exits import Exit
from tests.support.member import Channel, Member, channel

pytestmark = [pytest.mark.slow, pytest.mark.system]


@pytest.fixture(scope="module")
def room() -> Iterator[Channel]:
    with channel() as made:
        made.admit("Heron", "North")
        made.admit("Ibis", "South")
        yield made


def people(room: Channel) -> tuple[Member, Member, Member]:
    return room.people["Fox"], room.people["Heron"], room.people["Ibis"]


def parties(member: Member, *more: str) -> dict[str, str]:
    """What `status` says of each party."""
    (north,) = member.json("status", *more)["channels"]
    return {each["party"]: each["state"] for each in north["alive"]["parties"]}


def test_status_says_of_each_party_that_it_is_alive(room: Channel) -> None:
    fox, heron, _ = people(room)
    room.settle()
    assert parties(fox) == {"North": "alive", "South": "alive"}
    assert "Party South: alive, within the hour." in heron.do("status")
    assert "Ibis: alive, within the hour." in heron.do("status", "--members")
    assert "every 24 hours that it is there" in heron.do("policy")


def test_a_check_is_quiet_while_all_is_well_and_has_a_code_when_it_is_not(room: Channel) -> None:
    _, heron, ibis = people(room)
    ibis.do("status", "--check")
    assert ibis.do("status", "--check", "--offline") == ""
    assert ibis.json("status", "--check")["findings"] == []
    heron.do("say", "Is anybody there?")
    room.relay.stop()
    try:
        assert ibis.run("status", "--check").returncode == Exit.RELAY
        assert ibis.do("status", "--check", "--offline") == ""
        ibis.run("say", "I am here")
        worse = ibis.run("status", "--check", "--json")
        assert worse.returncode == Exit.UNSENT
        found = json.loads(worse.stdout)["findings"]
        assert [each["exit"] for each in found] == [Exit.UNSENT, Exit.RELAY]
    finally:
        room.come_back()
    ibis.do("sync")


def test_talk_is_suspended_with_a_note_and_resumed(room: Channel) -> None:
    fox, heron, ibis = people(room)
    fox.do("channel", "suspend", "--note", "Until 3 May. I stay in reach.")
    code, error = heron.fails("say", "But")
    assert (code, error["next"]) == (Exit.REFUSED, "backchannel status")
    assert "the channel is suspended" in error["message"].lower()
    assert "Until 3 May. I stay in reach." in heron.texts()
    assert "nobody speaks here until a facilitator resumes it" in ibis.do("status")
    assert "nobody speaks until a facilitator resumes the channel" in ibis.do("log")
    code, _ = heron.fails("channel", "resume")
    assert code == Exit.REFUSED
    fox.do("channel", "resume")
    heron.do("say", "Good.")
    assert "Good." in ibis.texts()
    assert "Talk is open." in ibis.do("policy")


def test_a_dormant_channel_expects_nothing_and_can_be_spoken_in(room: Channel) -> None:
    fox, heron, ibis = people(room)
    fox.do("channel", "dormant")
    heron.do("say", "Sleeping lightly.")
    assert "Dormant: nothing is expected" in ibis.do("status")
    assert "every 7 days that it is there" in ibis.do("policy")
    fox.do("channel", "resume")
    room.settle()


def test_heartbeats_are_more_or_less_often_as_the_rules_say(room: Channel) -> None:
    fox, heron, _ = people(room)
    assert "every hour that it is there" in fox.do("policy", "set", "--pulse", "1h")
    assert heron.json("policy")["pulse_hours"] == 1
    fox.do("policy", "set", "--pulse", "24h")
    room.settle()


def test_a_timer_syncs_while_the_vault_is_unlocked_and_says_so_while_it_is_not(
    room: Channel,
) -> None:
    _, heron, ibis = people(room)
    heron.do("say", "By the timer.")
    done = ibis.run("tick", "--sync")
    assert done.returncode == 0
    assert "The vault is locked" in done.stderr
    ibis.do("unlock", "--for", "5m")
    try:
        assert "locked" not in ibis.run("tick", "--sync").stderr
        assert "By the timer." in ibis.texts("--offline")
    finally:
        ibis.do("lock")


def test_a_channel_is_closed_by_more_than_one_hand(room: Channel) -> None:
    fox, heron, ibis = people(room)
    assert "Asked: Heron, Ibis." in fox.do("channel", "close")
    assert "Yes: backchannel channel close" in heron.do("status")
    heron.do("channel", "close")
    said = ibis.do("channel", "object", "--channel", "North")
    assert "the channel is not closed" in said
    assert "next: backchannel channel close --channel North     only if you change" in said
    code, error = fox.fails("channel", "close")
    assert (code, error["message"].split(",")[0]) == (Exit.REFUSED, "Ibis said no")
    assert error["next"].endswith("or let it sleep: backchannel channel dormant")
    assert "Against it: Ibis. So it stays." in fox.do("policy")
    assert "only to take your no back" in ibis.do("policy")
    assert "Ibis said no, so it stays" in heron.do("channel", "close")
    assert "All have agreed" in ibis.do("channel", "close")
    room.settle()
    for each in (fox, heron, ibis):
        assert "closed for good" in each.do("status")
        code, _ = each.fails("say", "One more")
        assert code == Exit.REFUSED
    assert "By the timer." in ibis.texts(), "what was said is still read"
    assert "closed for good" in ibis.do("channel", "list")
