"""Who is there, by rounds with a real relay: heartbeats, silences told once, and a long absence."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from backchannel.client.errors import AwayTooLong
from backchannel.client.exits import Exit
from backchannel.client.keeping.leaving import let_go
from backchannel.client.telling import check, overview, presence
from backchannel.client.telling import summary as summaries
from backchannel.client.telling.bulletin import lines
from backchannel.client.vault.channels import Summary
from backchannel.protocol import command
from backchannel.protocol.types import Hour, hour_of
from tests.support.clients import Client, Party, party

NOW = Hour(500_000)


def about(**more: object) -> Summary:
    """The summary of a channel with one other, whom nobody missed yet."""
    return summaries.fresh(NOW, founded=False) | {
        "lifetime": 168, "epoch": 3, "began": NOW, "ended": "", "members": 2, "pulse": 24,
        "relays": [["https://relay.example", ""]], "facilitators": ["Fox"], "not_here": [],
        "heard": [["Fox", "Bridge", NOW, True]],
    } | more  # fmt: skip


def test_a_silence_alarms_once_until_it_is_broken_and_again_then() -> None:
    found = about()
    for hours in (74, 75, 76):
        presence.noted(found, Hour(NOW + hours), sealed=False)
    assert [(each["kind"], each["alias"]) for each in found["alarms"]] == [("silent", "Bridge")]
    found["alarms"] = []
    presence.noted(found, Hour(NOW + 99), sealed=False)
    assert found["alarms"] == []
    found["heard"] = [["Fox", "Bridge", NOW + 100, True]]
    presence.noted(found, Hour(NOW + 100), sealed=False)
    presence.noted(found, Hour(NOW + 190), sealed=False)
    assert len(found["alarms"]) == 1


def test_who_did_not_read_calls_nobody_silent() -> None:
    found = about()
    presence.noted(found, Hour(NOW + 20), sealed=False)
    document = presence.document(found, Hour(NOW + 2000))
    assert document["parties"][0]["state"] == "alive"
    assert document["read_hours_ago"] == 1980


def test_an_absence_longer_than_what_is_said_lives_is_noted_until_somebody_is_heard() -> None:
    found = about()
    presence.noted(found, Hour(NOW + 168), sealed=False)
    assert presence.lost(found) is None
    presence.noted(found, Hour(NOW + 168 + 169), sealed=False)
    gone = presence.lost(found)
    assert gone is not None
    assert (gone["sure"], gone["away_hours"], gone["ask"]) == (False, 169, ["Fox"])
    assert [each["what"] for each in found["notices"]] == ["away"]
    found["heard"] = [["Fox", "Bridge", NOW + 168 + 169, True]]
    presence.noted(found, Hour(NOW + 168 + 170), sealed=False)
    assert presence.lost(found) is None


def test_a_sealed_drop_that_tells_of_no_other_means_that_one_is_lost() -> None:
    found = about()
    presence.noted(found, Hour(NOW + 1), sealed=True)
    gone = presence.lost(found)
    assert gone is not None
    assert (gone["sure"], gone["next"]) == (True, "backchannel join https://relay.example")
    assert presence.lost(found | {"epoch": 4}) is None, "the next epoch was found after all"
    assert presence.lost(found | {"ended": "left"}) is None


@pytest.mark.parametrize(("hours", "named"), [(168, []), (169, ["Ibis"])])
def test_who_lacks_keys_that_nobody_can_give_any_more_is_named(
    hours: int, named: list[str]
) -> None:
    found = about(not_here=["Ibis"])
    assert [each["alias"] for each in presence.behind(found, Hour(NOW + hours))] == named


# --- Over a relay ---------------------------------------------------------------------------------


@pytest.fixture
def made() -> Iterator[Party]:
    with party("Heron", "Ibis", lifetime=72) as made:
        yield made


def rules(made: Party, **changes: object) -> None:
    """Fox changes the rules; everybody hears of it."""
    fox = made.clients["Fox"]
    fox.act(command.SetPolicy(replace(fox.look().state.policy, **changes)))
    made.settle()


def status(client: Client) -> overview.Document:
    return overview.of_channel(client.row, hour_of(client.tools.now()))


def said_of(client: Client) -> str:
    return "\n".join(lines(status(client) | {"hotline": None}))


def state_of(client: Client, alias: str) -> str:
    others = status(client)["alive"]["others"]
    return str(next(each["state"] for each in others if each["alias"] == alias))


def found_by(client: Client) -> Exit:
    return check.verdict(check.findings({"channels": [status(client)], "queued": 0}))


def test_programs_tell_that_somebody_is_there_and_others_see_who_is_not(made: Party) -> None:
    rules(made, pulse=12)
    fox, heron, ibis = (made.clients[each] for each in ("Fox", "Heron", "Ibis"))
    for _ in range(4):
        made.pass_hours(12)
        fox.sync()
        heron.sync()
    fox.sync()
    assert (state_of(fox, "Heron"), state_of(fox, "Ibis")) == ("alive", "silent")
    assert "Party North: alive" in said_of(fox), "somebody of it is there"
    assert found_by(fox) == Exit.DONE
    for _ in range(4):
        made.pass_hours(12)
        fox.sync()
    assert "Party North: SILENT for " in said_of(fox)
    assert found_by(fox) == Exit.OVERDUE
    assert [each["kind"] for each in fox.row.summary["alarms"]] == ["silent"]
    comes_back(ibis)
    fox.sync()
    assert state_of(fox, "Ibis") == "alive"
    assert found_by(fox) == Exit.DONE


def comes_back(client: Client) -> None:
    """After days, with a clock that a relay has said is right."""
    client.vault.trust(client.tools.now())
    client.sync()


def test_who_was_away_too_long_is_told_so_and_whom_to_ask(made: Party) -> None:
    rules(made, pulse=24)
    fox, ibis = made.clients["Fox"], made.clients["Ibis"]
    ibis.say("I am off.")
    made.settle()
    made.pay("Fox", 4)
    fox.act(command.Turn())
    made.settle("Fox", "Heron")
    for _ in range(8):
        made.pass_hours(12)
        made.settle("Fox", "Heron")
    made.pass_hours(12)
    for _ in range(2):
        with pytest.raises(AwayTooLong, match="What you have here can be read"):
            comes_back(ibis)
    told = said_of(ibis)
    assert "You were away for 4 days; what is said here is kept for 3 days." in told
    assert "SILENT" not in told
    assert "Ask the facilitator (Fox) for a new invite. Next: backchannel join http" in told
    assert overview.next_step([status(ibis)], [], 0).startswith("backchannel join http")
    assert found_by(ibis) == Exit.GONE
    assert "Ibis has been silent for " in said_of(fox)
    assert "backchannel handover Ibis NEWNAME" in said_of(fox)


def test_what_expired_at_the_relay_before_it_was_fetched_is_counted(made: Party) -> None:
    heron, ibis = made.clients["Heron"], made.clients["Ibis"]
    for number in range(3):
        heron.say(f"{number}")
    heron.sync()
    made.pass_hours(96)
    heron.vault.trust(heron.tools.now())
    heron.say("still here")
    heron.sync()
    comes_back(ibis)
    assert status(ibis)["missed_blocks"] >= 3
    assert "expired at the relay before this machine fetched them" in said_of(ibis)


def test_a_closed_channel_is_read_until_it_expires_and_then_nothing_of_it_is_left(
    made: Party,
) -> None:
    fox, heron, ibis = (made.clients[each] for each in ("Fox", "Heron", "Ibis"))
    heron.say("a last word")
    made.settle()
    policy = replace(fox.look().state.policy, standing="closed")
    fox.act(command.SetPolicy(policy))
    made.settle()
    assert "Fox proposes to close this channel for good" in said_of(heron)
    (name,) = heron.look().state.proposals
    heron.act(command.Consent(name))
    made.settle()
    assert {each.look().state.ended for each in (fox, heron, ibis)} == {"closed"}
    assert any(b"a last word" in each for each in ibis.plain())
    assert let_go(ibis.app, ibis.vault) == []
    assert "closed for good" in said_of(ibis)
    made.pass_hours(72 + 2)
    ibis.vault.trust(ibis.tools.now())
    assert let_go(ibis.app, ibis.vault) == ["North"]
    assert ibis.vault.channels.list() == []


def test_how_a_channel_stands_is_said_to_everybody(made: Party) -> None:
    rules(made, standing="suspended")
    heron = made.clients["Heron"]
    assert "nobody speaks here until a facilitator resumes it" in said_of(heron)
    rules(made, standing="dormant")
    assert "Dormant: nothing is expected" in said_of(heron)
    assert status(heron)["alive"]["pulse_hours"] == 168
    rules(made, standing="open")
    assert "Dormant" not in said_of(heron)
