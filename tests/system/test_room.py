"""Every verb of a room, played end to end by real programs over a real relay."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.protocol.drop import show_voucher
from tests.support.member import Channel, Member, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    """Fox facilitates; nobody leaves in the tests that share it."""
    with channel("Heron", "Ibis", "Wren") as made:
        give_vouchers(made, made.facilitator, 12)
        yield made


@pytest.fixture
def room() -> Iterator[Channel]:
    """One for each test that takes it apart."""
    with channel("Heron", "Ibis") as made:
        give_vouchers(made, made.facilitator, 12)
        yield made


def give_vouchers(north: Channel, member: Member, count: int) -> None:
    given = "\n".join(map(show_voucher, north.relay.mint(count)))
    member.do("channel", "vouchers", "-", give=given)


def number_of(member: Member, text: str) -> str:
    return str(
        next(e["number"] for e in member.lines("read") if text in (e["text"], e.get("name")))
    )


def mark_of(member: Member, alias: str) -> str:
    found = member.json("members")["members"]
    return next(str(each["mark"]) for each in found if each["alias"] == alias)


# Saying.


def test_a_reply_a_quote_and_a_label_stand_beside_the_words(north: Channel) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    heron.do("say", "--authority", "sounding", "A longer truce might be accepted.")
    answered = number_of(fox, "A longer truce might be accepted.")
    fox.do("say", "--reply", answered, "--quote", "might be accepted", "By whom?")
    shown = heron.do("read")
    assert "[sounding, seen]" in shown
    assert "Heron: “A longer truce might be accepted.”" in shown
    assert "quotes: “might be accepted”" in shown
    (found,) = (each for each in heron.lines("read") if each["text"] == "By whom?")
    assert found["authority"] == "own"
    assert found["quote"] == "might be accepted"
    assert "author" not in found


def test_a_private_note_is_read_by_one_alone(north: Channel) -> None:
    fox, heron, ibis = north.facilitator, north.people["Heron"], north.people["Ibis"]
    fox.do("say", "--to", "Heron", "Only for you.")
    assert "to you alone" in heron.do("read")
    assert "to Heron alone" in fox.do("read")
    assert "Only for you." not in ibis.texts()


def test_an_answer_to_a_note_does_not_go_to_everybody(north: Channel) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    fox.do("say", "--to", "Heron", "Between us?")
    answered = number_of(heron, "Between us?")
    code, error = heron.fails("say", "--reply", answered, "Yes.")
    assert (code, error["code"]) == (2, "usage")
    heron.do("say", "--to", "Fox", "--reply", answered, "Yes, between us.")
    assert "Yes, between us." in fox.texts()


@pytest.mark.parametrize(
    "more",
    [
        ["--to", "Fox", "--thread", "main"],
        ["--to", "Fox", "--release", "exact"],
        ["--unattributed", "--to", "Fox"],
        ["--unattributed", "--authority", "checked"],
    ],
)
def test_what_cannot_be_together_is_refused_before_anything_is_sent(
    north: Channel, more: list[str]
) -> None:
    code, error = north.people["Heron"].fails("say", *more, "text")
    assert code == 2
    assert "Nothing was sent" in error["message"]


def test_a_thread_is_shortened_for_all(north: Channel) -> None:
    fox, heron, ibis = north.facilitator, north.people["Heron"], north.people["Ibis"]
    heron.do("thread", "new", "Ceasefire line", "--expire", "24h")
    code, _ = ibis.fails("thread", "shorten", "Ceasefire", "6h")
    assert code == 6
    fox.do("thread", "shorten", "Ceasefire", "6h")
    found = {each["topic"]: each for each in ibis.json("thread", "list")["threads"]}
    assert found["Ceasefire line"]["expires_hours"] == 6
    code, _ = fox.fails("thread", "shorten", "main", "6h")
    assert code == 2


# Files.


def test_a_file_comes_whole_and_nothing_is_overwritten(north: Channel, tmp_path: Path) -> None:
    heron, ibis = north.people["Heron"], north.people["Ibis"]
    data = bytes(range(256)) * 1200
    (tmp_path / "report.pdf").write_bytes(data)
    sent = heron.json("file", "send", str(tmp_path / "report.pdf"))
    assert (sent["name"], sent["size"], sent["state"]) == ("report.pdf", len(data), "at-relay")
    assert "next: backchannel file save" in ibis.do("read")
    number, target = number_of(ibis, "report.pdf"), tmp_path / "saved"
    ibis.do("file", "save", number, str(target))
    assert target.read_bytes() == data
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    code, error = ibis.fails("file", "save", number, str(target))
    assert code == 2
    assert "already" in error["message"]
    code, _ = ibis.fails("file", "save", number, str(tmp_path))
    assert code == 2
    assert (tmp_path / "report.pdf").read_bytes() == data
    (listed,) = (e for e in ibis.json("file", "list")["files"] if e["name"] == "report.pdf")
    assert listed["blocks"] == listed["blocks_here"] > 70


def test_a_link_is_not_followed_when_a_file_is_saved(north: Channel, tmp_path: Path) -> None:
    heron = north.people["Heron"]
    (tmp_path / "note.txt").write_text("a note")
    heron.do("file", "send", str(tmp_path / "note.txt"))
    (tmp_path / "link").symlink_to(tmp_path / "target")
    number = number_of(heron, "note.txt")
    code, _ = heron.fails("file", "save", number, str(tmp_path / "link"))
    assert code == 2
    assert not (tmp_path / "target").exists()


def test_what_is_no_file_is_not_saved(north: Channel) -> None:
    fox = north.facilitator
    fox.do("say", "no file")
    assert fox.fails("file", "save", number_of(fox, "no file"))[0] == 9
    assert fox.fails("file", "save", "99999")[0] == 9
    assert fox.fails("file", "send", "/nowhere/at/all")[0] == 2


# Knowing the room.


def test_words_are_the_same_on_every_screen_and_settle_the_marks(north: Channel) -> None:
    fox, heron, ibis = north.facilitator, north.people["Heron"], north.people["Ibis"]
    words = {each.json("verify")["roster_words"] for each in (fox, heron, ibis)}
    assert len(words) == 1
    assert mark_of(heron, "Ibis") == "unverified"
    heron.do("verify", "--compared")
    assert mark_of(heron, "Ibis") == ""
    said = {each["alias"]: each["compared"] for each in ibis.json("verify")["members"]}
    assert said["Heron"]
    assert not said["Wren"]


def test_two_members_see_the_same_six_words_again(north: Channel) -> None:
    fox, heron, ibis = north.facilitator, north.people["Heron"], north.people["Ibis"]
    for one, other, names in ((fox, ibis, "Ibis Fox"), (heron, ibis, "Ibis Heron")):
        first, second = names.split()
        mine = one.json("verify", "--check", first)["check_words"]
        assert mine == other.json("verify", "--check", second)["check_words"]
    ibis.do("verify", "fox")
    assert mark_of(ibis, "Fox") == ""
    assert mark_of(ibis, "Wren") == "unverified"


def test_everybody_who_can_read_is_listed(north: Channel) -> None:
    shown = north.people["Ibis"].do("members")
    said = "These 4 can read what is said here, Fox who facilitates included."
    assert said in " ".join(shown.split())


def test_observers_read_and_do_not_speak(north: Channel) -> None:
    fox, wren = north.facilitator, north.people["Wren"]
    fox.do("role", "Wren", "observer")
    wren.do("sync")
    code, error = wren.fails("say", "May I?")
    assert (code, error["code"]) == (6, "refused")
    assert "does not speak" in error["message"]
    assert "speak, send notes and files" not in wren.json("whoami")["may"]
    assert fox.fails("role", "Wren", "observer")[0] == 2
    fox.do("role", "Wren", "participant")
    wren.do("say", "I may.")


def test_what_only_facilitators_may_is_refused_to_others(north: Channel) -> None:
    heron = north.people["Heron"]
    for verb in (
        ("remove", "Ibis", "--yes"), ("compromised", "Ibis", "--yes"), ("role", "Ibis", "observer"),
        ("epoch", "turn"), ("policy", "set", "--expires", "1d"), ("floor", "give", "Heron"),
        ("handover", "Ibis", "Lark"), ("present", "Ibis"), ("lobby",),
    ):  # fmt: skip
        code, error = heron.fails(*verb)
        assert (code, error["code"]) == (6, "refused"), verb
    assert len(heron.json("members")["members"]) == 4


def test_the_floor_goes_round(north: Channel) -> None:
    fox, heron, ibis = north.facilitator, north.people["Heron"], north.people["Ibis"]
    fox.do("floor", "give", "Heron")
    ibis.do("hand", "raise")
    assert ibis.fails("say", "Out of turn.")[0] == 6
    assert "For the floor ask: Ibis." in fox.do("status")
    heron.do("say", "In turn.")
    ibis.do("hand", "lower")
    fox.do("floor", "give", "--open")
    ibis.do("say", "All may speak.")
    assert fox.fails("floor", "give")[0] == 2
    assert fox.fails("floor", "give", "Nobody")[0] == 9


def test_shorter_rules_hold_at_once_and_longer_ones_wait_for_everybody(north: Channel) -> None:
    fox, others = north.facilitator, [north.people[name] for name in ("Heron", "Ibis", "Wren")]
    assert fox.json("policy", "set", "--expires", "3d")["expires_hours"] == 72
    assert others[0].json("policy")["expires_hours"] == 72
    proposed = fox.json("policy", "set", "--expires", "5d")
    assert proposed["state"] == "proposed"
    assert proposed["waits_for"] == ["Heron", "Ibis", "Wren"]
    for number, each in enumerate(others):
        assert "waits for your yes" in each.do("status")
        assert fox.json("policy")["expires_hours"] == 72
        assert len(each.json("policy", "agree")["waits_for"]) == 2 - number
    assert others[0].fails("policy", "agree")[0] == 9
    fox.do("sync")
    assert fox.json("policy")["expires_hours"] == 120
    assert {each.json("policy")["expires_hours"] for each in others} == {120}
    assert any("content is kept 3 days -> 5 days" in e["said"] for e in log(others[0]))


def log(member: Member) -> list[dict[str, str]]:
    found: list[dict[str, str]] = member.json("log")["acts"]
    return found


def test_what_facilitators_did_is_the_same_for_all(north: Channel) -> None:
    north.facilitator.do("epoch", "turn")
    fox, ibis = (log(north.people[name]) for name in ("Fox", "Ibis"))
    assert [each["changes"] for each in ibis] == [each["changes"] for each in fox][-len(ibis) :]
    assert ibis[-1]["by"] == "Fox"
    assert "with new keys" in ibis[-1]["said"]


def test_who_has_not_come_along_is_named_until_they_do(north: Channel) -> None:
    fox = north.facilitator
    began = fox.json("epoch", "turn")["epoch"]
    assert "Heron" in fox.json("epoch")["not_here"]
    for name in ("Heron", "Ibis", "Wren"):
        north.people[name].do("sync")
    about = fox.json("epoch")
    assert (about["epoch"], about["not_here"], about["old"]) == (began, [], False)


def test_records_are_compared_on_request(north: Channel) -> None:
    fox = north.facilitator
    assert fox.json("record", "compare")["state"] == "at-relay"
    found = fox.json("record")
    assert found["missing"] == 0
    assert {each["alias"] for each in found["members"]} == {"Heron", "Ibis", "Wren"}
    assert not any(each["differs_from"] for each in found["members"])


def test_nobody_in_particular_speaks_within_hours_and_can_take_it_back(north: Channel) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    refused = heron.run("say", "--unattributed", "--yes", "I doubt it.")
    assert refused.returncode == 6
    assert "allow no unattributed" in refused.stderr
    assert "how you write" not in refused.stderr  # nobody is warned of what cannot be done
    fox.do("policy", "set", "--unattributed", "4")
    for each in north.people.values():
        each.do("say", "I am here.")
    heron.do("sync")
    waits = heron.json("say", "--unattributed", "--yes", "I doubt it.")
    assert (waits["state"], waits["from"] < waits["until"]) == ("waits", True)
    assert "An unattributed message goes by" in heron.do("status")
    assert "I doubt it." not in heron.texts()
    (draft,) = heron.json("drafts")["drafts"]
    assert draft["text"] == "I doubt it."
    assert "    “I doubt it.”" in heron.do("drafts").splitlines()
    assert heron.json("drafts", "--drop", str(draft["number"]))["drafts"] == []
    assert heron.fails("drafts", "--drop", "7")[0] == 9
    done = heron.run("say", "--unattributed", "And again.", give="n\n")
    assert done.returncode == 6


def test_no_is_the_default_where_somebody_would_go(north: Channel) -> None:
    for verb in (("remove", "Heron"), ("compromised", "Heron"), ("role", "Heron", "facilitator")):
        assert north.facilitator.run(*verb, give="\n").returncode == 6
    assert north.people["Heron"].run("channel", "leave", give="n\n").returncode == 6
    found = north.people["Ibis"].json("members", "--offline")["members"]
    assert [each["role"] for each in found] == ["facilitator", *["participant"] * 3]


# Coming and going.


def test_who_is_removed_reads_nothing_new_and_everybody_else_goes_on(room: Channel) -> None:
    fox, heron, ibis = room.facilitator, room.people["Heron"], room.people["Ibis"]
    ibis.do("say", "While all are here.")
    heron.do("sync")
    fox.do("remove", "Heron", "--yes")
    room.settle()
    fox.do("say", "Without Heron.")
    assert "Without Heron." in ibis.texts()
    assert "Without Heron." not in heron.texts()
    assert "While all are here." in heron.texts()
    assert "You are a member no more: a facilitator has removed you." in heron.do("status")
    assert heron.fails("say", "Am I there?")[0] == 6
    assert fox.fails("remove", "Heron", "--yes")[0] == 9
    assert "removed Heron" in log(ibis)[-1]["said"]


def test_a_taken_device_is_shut_out_and_everybody_is_warned(room: Channel) -> None:
    fox, heron, ibis = room.facilitator, room.people["Heron"], room.people["Ibis"]
    done = fox.run("compromised", "Heron", "--yes")
    assert "what it had received and what has not expired" in " ".join(done.stderr.split())
    assert "new keys hold from now on" in done.stdout
    ibis.do("sync")
    fox.do("say", "After the theft.")
    assert "After the theft." in ibis.texts()
    assert "After the theft." not in heron.texts()
    shown = ibis.do("status")
    assert "ALARM: The device of Heron was reported as lost or taken." in shown
    assert "next: backchannel alarms" in shown
    (alarm,) = ibis.json("alarms")["alarms"]
    assert (alarm["kind"], alarm["alias"]) == ("compromised", "Heron")
    ibis.do("alarms", "--seen")
    assert ibis.json("alarms")["alarms"] == []


def test_whoever_comes_back_has_new_keys_until_words_are_compared(room: Channel) -> None:
    fox, ibis = room.facilitator, room.people["Ibis"]
    fox.do("verify", "--compared")
    fox.do("compromised", "Heron", "--yes")
    room.people.pop("Heron").home.rename(room.folder / "stolen")
    again = room.admit("Heron")
    again.do("say", "It is me.")
    assert mark_of(ibis, "Heron") == "new keys"
    assert "Heron (new keys) in main" in ibis.do("read")
    ibis.do("verify", "Heron")
    assert "Heron in main" in ibis.do("read")


def test_a_successor_takes_the_place_and_reads_nothing_from_before(room: Channel) -> None:
    fox, heron, ibis = room.facilitator, room.people["Heron"], room.people["Ibis"]
    heron.do("say", "Before the handover.")
    words = fox.json("handover", "Heron", "Crane")["words"]
    crane = Member.make("Crane", room.folder)
    crane.do("join", room.relay.url, "--yes", give=words)
    fox.do("admit", "Crane")
    fox.do("sync")
    for each in (ibis, crane, heron, ibis, crane, fox):
        each.do("sync")
    people = {e["alias"]: (e["party"], e["role"]) for e in crane.json("members")["members"]}
    assert set(people) == {"Fox", "Ibis", "Crane"}
    assert people["Crane"] == ("North", "participant")
    assert "Before the handover." not in crane.texts()
    crane.do("say", "I am the successor.")
    assert "I am the successor." in ibis.texts()
    assert "I am the successor." not in heron.texts()
    assert "somebody has taken your place" in heron.do("status")
    assert fox.fails("handover", "Heron", "Wren")[0] == 9


def test_who_leaves_is_gone_for_everybody(room: Channel) -> None:
    fox, heron, ibis = room.facilitator, room.people["Heron"], room.people["Ibis"]
    fox.do("say", "Before you go.")
    heron.do("sync")
    assert heron.json("channel", "leave", "--yes")["state"] == "at-relay"
    for each in (fox, ibis, fox):
        each.do("sync")
    assert {e["alias"] for e in ibis.json("members")["members"]} == {"Fox", "Ibis"}
    assert heron.texts("--offline") == ["Before you go."]
    code, error = fox.fails("channel", "leave", "--yes")
    assert code == 6
    assert "alone facilitate" in error["message"]


def test_two_facilitators_act_at_once_and_the_channel_outlives_its_founder(room: Channel) -> None:
    fox, heron, ibis = room.facilitator, room.people["Heron"], room.people["Ibis"]
    fox.do("role", "Ibis", "facilitator", "--yes")
    room.settle()
    give_vouchers(room, ibis, 4)
    assert fox.json("role", "Heron", "observer")["state"] == "done"
    both = [each.start("epoch", "turn", "--json") for each in (fox, ibis)]
    ends = [each.communicate(timeout=60)[0] for each in both]
    assert sum('"state": "done"' in end for end in ends) >= 1, ends
    room.settle()
    versions = {each.json("epoch")["roster_version"] for each in (fox, heron, ibis)}
    assert len(versions) == 1
    fox.do("say", "We are together.")
    assert "We are together." in heron.texts()
    assert "We are together." in ibis.texts()
    ibis.do("remove", "Fox", "--yes")
    ibis.do("sync")
    room.settle()
    ibis.do("say", "Fox is gone.")
    assert "Fox is gone." in heron.texts()
    assert "Fox is gone." not in fox.texts()
    assert "removed Fox" in log(heron)[-1]["said"]
    assert fox.fails("epoch", "turn")[0] == 6


def test_nobody_comes_in_before_the_members_have_spoken(room: Channel) -> None:
    fox, heron, ibis = room.facilitator, room.people["Heron"], room.people["Ibis"]
    fox.do("policy", "set", "--vouches", "1")
    lark = Member.make("Lark", room.folder)
    lark.do("join", room.relay.url, "--yes", give=room.invite("Lark")["words"])
    code, error = fox.fails("admit", "Lark")
    assert (code, error["next"]) == (6, "backchannel present Lark")
    fox.do("present", "Lark")
    assert "next: backchannel vouch Lark" in heron.do("status")
    assert heron.json("vouch", "lark")["vouched"] == 1
    ibis.do("object", "Lark")
    assert heron.json("status")["channels"][0]["candidates"][0]["objected"] is False
    assert "Somebody objects" in fox.do("lobby")
    code, error = fox.fails("admit", "Lark")
    assert (code, error["next"]) == (6, "backchannel refuse Lark")
    fox.do("refuse", "Lark")
    assert heron.fails("vouch", "Nobody")[0] == 9
    wren = Member.make("Wren", room.folder)
    wren.do("join", room.relay.url, "--yes", give=room.invite("Wren")["words"])
    fox.do("present", "Wren")
    heron.do("vouch", "Wren")
    fox.do("admit", "Wren", "--yes")
    for each in (wren, heron, fox, wren):
        each.do("sync")
    assert mark_of(fox, "Wren") == ""
    assert mark_of(heron, "Wren") == "unverified"


def test_without_vouchers_nobody_is_removed_and_the_reason_is_told() -> None:
    with channel("Heron") as poor:
        fox = poor.facilitator
        for _ in range(12):
            done = fox.run("epoch", "turn", "--json")
            if done.returncode:
                break
        code, error = fox.fails("remove", "Heron", "--yes")
        assert (code, error["code"]) == (6, "no-voucher")
        assert "Nothing was done" in error["message"]
        assert {e["alias"] for e in fox.json("members")["members"]} == {"Fox", "Heron"}
