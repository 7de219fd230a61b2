"""`channel apply`: a file read strictly, the steps that it takes, and none a second time."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from backchannel.client.convening import plan, wanted
from backchannel.client.convening.wanted import Guest, Site, Thread, Wanted
from backchannel.client.errors import Refused, UsageMistake
from backchannel.protocol import command as commands
from backchannel.protocol.content import policy_hash
from backchannel.protocol.drop import show_voucher
from backchannel.protocol.roster import Policy
from tests.support import relay as relays
from tests.support.member import Member
from tests.support.people import program
from tests.support.relay import RelayProcess
from tests.support.world import CHARTER, LIFETIME, RELAY, World

WHOLE = """\
name = "North"
kind = "bilateral"
alias = "Fox"
party = "Bridge"
relay = "https://relay.example"
vouchers = "vouchers.txt"
charter = "We speak for ourselves."

[disclosure]
convened_by = "The Bridge"
funded_by = "Nobody"
relay_run_by = "The Bridge"

[policy]
expires = "3d"
unattributed = 0
vouches = 1

[[threads]]
topic = "Ceasefire line"
expires = "24h"

[[threads]]
topic = "Principles"

[[invites]]
alias = "Heron"
party = "North"
valid = "48h"

[[invites]]
alias = "Wren"
party = "South"
role = "observer"

[roles]
Ibis = "note-taker"
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "north.toml"
    path.write_text(text, "utf-8")
    return path


def read(folder: Path, text: str) -> Wanted:
    return wanted.read(file(folder, text))


def test_a_whole_file(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    assert (found.name, found.alias, found.party) == ("North", "Fox", "Bridge")
    assert found.kind is not None
    assert found.kind.format == "bilateral"
    assert found.relays == (Site("https://relay.example", tmp_path / "vouchers.txt"),)
    assert (found.expires, found.unattributed, found.vouches) == (72, 0, 1)
    assert found.threads == (Thread("Ceasefire line", 24), Thread("Principles", None))
    assert found.invites == (
        Guest("Heron", "North", "participant", 48),
        Guest("Wren", "South", "observer", 24),
    )
    assert found.roles == {"Ibis": "note-taker"}
    assert found.charter is not None
    assert found.charter.disclosure.funded_by == "Nobody"


def test_the_file_of_the_handbook(tmp_path: Path) -> None:
    book = (Path(__file__).parents[3] / "docs" / "facilitators.md").read_text("utf-8")
    charter, example, *_ = re.findall(r"```toml\n(.*?)```", book, re.DOTALL)
    (tmp_path / "charter.toml").write_text(charter)
    found = read(tmp_path, example)
    assert (found.name, [each.alias for each in found.invites]) == ("North", ["Heron", "Wren"])
    assert next(each.line for each in plan.opening(found)) == "+ channel North: bilateral"


def test_a_name_is_enough(tmp_path: Path) -> None:
    found = read(tmp_path, 'name = "North"\n')
    assert found == Wanted("North", None, None, None, (), None, None, None, None, (), (), {})


def test_the_charter_may_stand_in_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "charter.toml").write_text(
        'charter = "We talk."\nconvened_by = "a"\nfunded_by = "b"\nrelay_run_by = "c"\n'
    )
    found = read(tmp_path, 'name = "North"\ncharter_file = "charter.toml"\n')
    assert found.charter is not None
    assert found.charter.text == "We talk."


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "North"', 'title = "North"', "line 1: title is not known"),
        ('kind = "bilateral"', 'kind = "mediation"', "line 2: kind is not known"),
        ('alias = "Fox"', "alias = 7", "line 3: alias is one line of text"),
        ('party = "Bridge"', 'party = "Br\\u202eidge"', "line 4: party is no name"),
        ('funded_by = "Nobody"\n', "", "disclosure.funded_by is missing"),
        ('funded_by = "Nobody"', 'funded_by = ""', "line 11: funded_by|funded_by is no text"),
        ('expires = "3d"', 'expires = "3 days"', "line 15: policy.expires is no time"),
        ('expires = "3d"', 'expires = "91d"', "line 15: policy.expires is no time"),
        ("vouches = 1", "vouches = -1", "line 17: policy.vouches is a whole number"),
        ("vouches = 1", "vouches = true", "line 17: policy.vouches is a whole number"),
        ("vouches = 1", "vouch = 1", "line 17: policy.vouch is not known"),
        ('topic = "Principles"', 'topic = "main"', r"line 24: threads\[2\].topic stands"),
        ('topic = "Principles"', 'topic = "ceasefire LINE"', r"threads\[2\].topic stands"),
        ('alias = "Wren"', 'alias = "heron"', r"line 32: invites\[2\].alias stands there twice"),
        ('role = "observer"', 'role = "spy"', r"line 34: invites\[2\].role is one of"),
        ('valid = "48h"', 'valid = "31d"', r"line 29: invites\[1\].valid is no time"),
        ('Ibis = "note-taker"', 'Ibis = "spy"', "line 37: roles.Ibis is one of"),
        ("[[threads]]", "[[threads]", "is not TOML"),
        ("[roles]", "[[roles]]", "roles is a table"),
        ("[policy]", "[policies]", "policies is not known"),
    ],
)
def test_a_mistake_is_named_by_line_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in WHOLE
    with pytest.raises(UsageMistake, match=said) as caught:
        read(tmp_path, WHOLE.replace(old, new, 1))
    assert "Nothing was done." in caught.value.message
    assert caught.value.next_step


def test_no_name_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageMistake, match="name is missing"):
        read(tmp_path, 'alias = "Fox"\n')
    with pytest.raises(UsageMistake, match="cannot be read"):
        wanted.read(tmp_path / "nowhere.toml")


# --- The steps ----------------------------------------------------------------------------------


@pytest.fixture
def room() -> World:
    """`North`, with Heron in it, and the thread `Principles`."""
    world = World()
    world.admit("Heron")
    world.founder.act(commands.Begin("Principles", 48))
    world.founder.flush()
    world.settle()
    return world


def lines(tmp_path: Path, world: World, text: str, gone: tuple[str, ...] = ()) -> list[str]:
    found = plan.steps(read(tmp_path, f'name = "North"\n{text}'), world.founder.state, gone)
    return [step.shown.line for step in found.steps]


def notes(tmp_path: Path, world: World, text: str, gone: tuple[str, ...] = ()) -> list[str]:
    found = plan.steps(read(tmp_path, f'name = "North"\n{text}'), world.founder.state, gone)
    return [f"{each.text} {each.next_step}" for each in found.notes]


HERON = '[[invites]]\nalias = "Heron"\nparty = "North"\n'
SAME = f"""\
alias = "Founder"
party = "Bridge"
relay = "{RELAY.url}"
kind = "plenary"
charter = "{CHARTER}"
[disclosure]
convened_by = "The Bridge"
funded_by = "Nobody"
relay_run_by = "The Bridge"
[policy]
expires = "7d"
unattributed = 0
vouches = 0
[[threads]]
topic = "principles"
expires = "2d"
{HERON}
[roles]
Heron = "participant"
"""


def test_what_is_as_it_should_be_takes_no_step(tmp_path: Path, room: World) -> None:
    assert LIFETIME == 168
    assert (lines(tmp_path, room, SAME), notes(tmp_path, room, SAME)) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('alias = "Founder"', 'alias = "Fox"', "alias"),
        ('party = "Bridge"', 'party = "North"', "party"),
        (CHARTER, "We speak for governments.", "charter"),
        ('"Nobody"', '"A ministry"', "disclosure"),
    ],
)
def test_what_the_life_of_a_channel_fixes_is_refused(
    tmp_path: Path, room: World, old: str, new: str, named: str
) -> None:
    with pytest.raises(Refused, match=f"another {named}, for as long as it lives"):
        lines(tmp_path, room, SAME.replace(old, new))


def test_tighter_rules_hold_at_once_and_longer_lives_are_proposed(
    tmp_path: Path, room: World
) -> None:
    tighter = '[policy]\nexpires = "3d"\nvouches = 1\n'
    assert lines(tmp_path, room, tighter + HERON) == [
        "~ policy expires 7 days -> 3 days, vouches 0 -> 1"
    ]
    longer = '[policy]\nexpires = "14d"\nvouches = 1\n'
    assert lines(tmp_path, room, longer + HERON) == [
        "~ policy vouches 0 -> 1",
        "? proposal expires 7 days -> 14 days",
    ]


def test_another_kind_is_proposed(tmp_path: Path, room: World) -> None:
    assert lines(tmp_path, room, f'kind = "workshop"\n{HERON}') == [
        "? proposal kind plenary -> workshop"
    ]


def test_what_a_file_does_not_name_stays_as_it_is(tmp_path: Path, room: World) -> None:
    quiet = replace(room.founder.state.policy, pulse=12, standing="suspended")
    room.founder.act(commands.SetPolicy(quiet))
    assert lines(tmp_path, room, HERON) == []
    tighter = "[policy]\nvouches = 1\n"
    assert lines(tmp_path, room, tighter + HERON) == ["~ policy vouches 0 -> 1"]


def test_relays_are_added_and_none_is_left_by_what_a_file_does_not_say(
    tmp_path: Path, room: World
) -> None:
    other = "https://other.example"
    both = f'[[relays]]\nurl = "{RELAY.url}"\n[[relays]]\nurl = "{other}/"\nvouchers = "v"\n'
    assert lines(tmp_path, room, both + HERON) == [f"+ relay {other}"]
    (step,) = plan.steps(read(tmp_path, f'name = "North"\n{both}'), room.founder.state).steps
    assert step.command == Site(other, tmp_path / "v")
    only = f'[[relays]]\nurl = "{other}"\n{HERON}'
    assert lines(tmp_path, room, only) == [f"+ relay {other}"]
    assert f"backchannel relay remove {RELAY.url}" in notes(tmp_path, room, only)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('relay = "https://a.example"\n[[relays]]\nurl = "https://b.example"\n', "says it already"),
        ('vouchers = "v"\n', "of which relay"),
        ('[[relays]]\nvouchers = "v"\n', r"relays\[1\].url is one line of text"),
        ('[[relays]]\nurl = "ftp://a.example"\n', r"line 3: relays\[1\].url is no relay's"),
        ('[[relays]]\nurl = "https://a.example"\nkey = "x"\n', r"relays\[1\].key is not known"),
        (2 * '[[relays]]\nurl = "https://a.example"\n', r"line 5: relays\[2\].url stands there"),
    ],
)
def test_a_mistake_about_relays_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageMistake, match=said):
        read(tmp_path, f'name = "North"\n{text}')


def test_a_proposal_is_made_once_then_waits_then_holds(tmp_path: Path, room: World) -> None:
    text, policy = f'[policy]\nexpires = "14d"\n{HERON}', Policy(336)
    (step,) = plan.steps(read(tmp_path, f'name = "North"\n{text}'), room.founder.state).steps
    assert not isinstance(step.command, Site)
    room.founder.act(step.command)
    room.settle()
    assert lines(tmp_path, room, text) == []
    (waits,) = notes(tmp_path, room, text)
    assert "Waits for Heron to agree: expires 7 days -> 14 days" in waits
    room[1].act(commands.Consent(policy_hash(policy)))
    room.settle()
    (step,) = plan.steps(read(tmp_path, f'name = "North"\n{text}'), room.founder.state).steps
    assert step.shown.mark == "~"
    assert not isinstance(step.command, Site)
    room.founder.act(step.command)
    assert room.founder.state.policy == policy
    assert (lines(tmp_path, room, text), notes(tmp_path, room, text)) == ([], [])


def test_threads_begin_and_are_shortened_and_never_lengthened(tmp_path: Path, room: World) -> None:
    def thread(expires: str, topic: str = "Principles") -> str:
        return f'[[threads]]\ntopic = "{topic}"\nexpires = "{expires}"\n{HERON}'

    assert lines(tmp_path, room, thread("24h", "Ceasefire")) == [
        "+ thread Ceasefire: kept 24 hours"
    ]
    assert lines(tmp_path, room, thread("24h")) == ["~ thread Principles: 2 days -> 24 hours"]
    assert lines(tmp_path, room, thread("3d")) == []
    assert "is not made longer" in notes(tmp_path, room, thread("3d"))[0]


def test_nobody_is_invited_who_is_here_or_invited(tmp_path: Path, room: World) -> None:
    text = HERON + '[[invites]]\nalias = "Wren"\nrole = "observer"\n'
    assert lines(tmp_path, room, text) == ["+ invite Wren: Participants, observer"]
    room.invite("Wren")
    assert lines(tmp_path, room, text) == []


def test_who_answered_under_another_name_is_invited_already(tmp_path: Path, room: World) -> None:
    guest = room.invite("Wren")
    guest.sync()
    guest.accept("Lark")
    guest.flush()
    room.founder.sync()
    for name in ("Wren", "Lark"):
        assert lines(tmp_path, room, f'{HERON}[[invites]]\nalias = "{name}"\n') == []


def test_who_was_removed_is_not_asked_back_by_a_file(tmp_path: Path, room: World) -> None:
    text = HERON + '[[invites]]\nalias = "Wren"\n'
    assert lines(tmp_path, room, text, ("Wren",)) == []
    assert "not invited again" in notes(tmp_path, room, text, ("Wren",))[0]


def test_roles_change_for_who_is_here(tmp_path: Path, room: World) -> None:
    text = '[roles]\nHeron = "observer"\nWren = "observer"\n'
    assert lines(tmp_path, room, text) == ["~ role Heron: participant -> observer"]
    assert notes(tmp_path, room, text) == [
        "Wren is not here to be observer. backchannel invite Wren"
    ]


def test_who_is_not_in_the_file_stays_and_is_named(tmp_path: Path, room: World) -> None:
    room.invite("Wren")
    assert lines(tmp_path, room, "") == []
    assert notes(tmp_path, room, "") == [
        "Heron is here and not in the file. backchannel remove Heron",
        "Wren is invited and not in the file. backchannel refuse Wren",
    ]


# --- Over a relay -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def relay() -> Iterator[RelayProcess]:
    with relays.running_relay() as running:
        yield running


def vouchers(folder: Path, relay: RelayProcess, count: int) -> None:
    lines = map(show_voucher, relay.mint(count))
    (folder / "vouchers.txt").write_text("\n".join(lines) + "\n")


def small(relay: RelayProcess, *more: str) -> str:
    head = (
        'name = "North"', 'kind = "bilateral"', 'alias = "Fox"', 'party = "Bridge"',
        f'relay = "{relay.url}"', 'vouchers = "vouchers.txt"',
    )  # fmt: skip
    return "\n".join((*head, *more)) + "\n"


def invite(alias: str, party: str) -> str:
    return f'[[invites]]\nalias = "{alias}"\nparty = "{party}"'


THREAD = '[[threads]]\ntopic = "Dates"\nexpires = "24h"'
BOTH = (THREAD, invite("Heron", "North"), invite("Wren", "South"))


def test_a_rehearsal_makes_nothing_and_asks_nobody(tmp_path: Path) -> None:
    text = 'name = "North"\nkind = "hard"\nrelay = "https://nowhere.example"\n' + "\n".join(BOTH)
    done = program("channel", "apply", str(file(tmp_path, text)), "--dry-run", home=tmp_path / "h")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "+ channel North: hard",
        "+ thread Options",
        "+ thread Joint text",
        "+ thread Dates",
        "+ invite Heron: North, participant",
        "+ invite Wren: South, participant",
    ]
    assert not (tmp_path / "h").exists()


def test_twice_is_as_good_as_once(tmp_path: Path, relay: RelayProcess) -> None:
    fox, heron = Member.make("Fox", tmp_path), Member.make("Heron", tmp_path)
    vouchers(tmp_path, relay, 6)
    path = str(file(tmp_path, small(relay, *BOTH)))
    would = fox.json("channel", "apply", path, "--dry-run")
    assert [each["what"] for each in would["steps"]] == ["channel", "thread", "invite", "invite"]
    *words, done = fox.lines("channel", "apply", path)
    assert done["steps"] == [
        would["steps"][0],
        {"mark": "+", "what": "thread", "name": "Dates", "detail": "kept 24 hours"},
        *would["steps"][2:],
    ]
    assert [each["alias"] for each in words] == ["Heron", "Wren"]
    for more in ([], ["--dry-run"]):
        again = fox.json("channel", "apply", path, *more)
        assert (again["steps"], again["notes"]) == ([], [])
    assert "Nothing to change." in fox.do("channel", "apply", path)
    heron.do("join", relay.url, "--yes", give=words[0]["words"] + "\n")
    fox.do("admit", "Heron")
    assert fox.json("channel", "apply", path)["steps"] == []
    shown = fox.json("policy", "--offline")
    assert (shown["kind"], shown["expires_hours"]) == ("bilateral", 72)


def test_a_file_that_names_another_relay_adds_it_once(tmp_path: Path, relay: RelayProcess) -> None:
    def table(each: RelayProcess) -> str:
        paid = tmp_path / f"paid-{each.url.rpartition(':')[2]}"
        if not paid.exists():
            paid.write_text("\n".join(map(show_voucher, each.mint(3))))
        return f'[[relays]]\nurl = "{each.url}"\nvouchers = "{paid.name}"'

    fox, head = Member.make("Fox", tmp_path), 'name = "North"\nalias = "Fox"\n'
    with relays.running_relay() as second, relays.running_relay() as third:
        path = str(file(tmp_path, head + table(relay) + "\n" + table(second)))
        begun = fox.json("channel", "apply", path)["steps"]
        assert [(each["what"], each["name"]) for each in begun[:2]] == [
            ("channel", "North"),
            ("relay", second.url),
        ]
        file(tmp_path, "\n".join((head, table(relay), table(second), table(third))))
        (would,) = fox.json("channel", "apply", path, "--dry-run")["steps"]
        (done,) = fox.json("channel", "apply", path)["steps"]
        assert would == done == {"mark": "+", "what": "relay", "name": third.url, "detail": ""}
        again = fox.json("channel", "apply", path)
        assert (again["steps"], again["notes"]) == ([], [])
        shown = fox.json("relay", "list", "--offline")["relays"]
        assert [each["url"] for each in shown] == [relay.url, second.url, third.url]
        assert [each["vouchers_left"] for each in shown] == [2, 2, 2]


def test_a_file_that_changed_is_followed_and_nobody_is_removed(
    tmp_path: Path, relay: RelayProcess
) -> None:
    fox = Member.make("Fox", tmp_path)
    vouchers(tmp_path, relay, 6)
    fox.do("channel", "apply", str(file(tmp_path, small(relay, *BOTH))))
    text = small(relay, '[policy]\nexpires = "2d"', THREAD, invite("Heron", "North"))
    done = fox.json("channel", "apply", str(file(tmp_path, text)))
    assert [each["what"] for each in done["steps"]] == ["policy"]
    (note,) = done["notes"]
    assert note == {
        "text": "Wren is invited and not in the file.", "next_step": "backchannel refuse Wren",
    }  # fmt: skip
    fox.do("refuse", "Wren")
    assert fox.json("channel", "apply", str(tmp_path / "north.toml"))["notes"] == []


def test_longer_lives_are_proposed_once_and_hold_when_all_agree(
    tmp_path: Path, relay: RelayProcess
) -> None:
    fox, heron = Member.make("Fox", tmp_path), Member.make("Heron", tmp_path)
    vouchers(tmp_path, relay, 6)
    path = str(file(tmp_path, small(relay, invite("Heron", "North"))))
    words = fox.lines("channel", "apply", path)[0]["words"]
    heron.do("join", relay.url, "--yes", give=words + "\n")
    fox.do("admit", "Heron")
    for _ in range(2):
        heron.do("sync")
        fox.do("sync")
    file(tmp_path, small(relay, '[policy]\nexpires = "7d"', invite("Heron", "North")))
    (step,) = fox.json("channel", "apply", path)["steps"]
    assert (step["mark"], step["what"]) == ("?", "proposal")
    waits = fox.json("channel", "apply", path)
    assert (waits["steps"], "Waits for Heron" in waits["notes"][0]["text"]) == ([], True)
    assert fox.json("policy", "--offline")["expires_hours"] == 72
    heron.do("policy", "agree")
    done = fox.json("channel", "apply", path)  # the round before it has made it hold
    assert (done["steps"], done["notes"]) == ([], [])
    assert fox.json("policy", "--offline")["expires_hours"] == 168


def test_what_stops_half_way_goes_on_from_there(tmp_path: Path, relay: RelayProcess) -> None:
    fox = Member.make("Fox", tmp_path)
    vouchers(tmp_path, relay, 2)
    path = str(file(tmp_path, small(relay, *BOTH)))
    done = fox.run("channel", "apply", path, "--json")
    assert (done.returncode, "no-voucher" in done.stderr) == (6, True)
    assert '"alias": "Heron"' in done.stdout
    vouchers(tmp_path, relay, 1)
    (words, rest) = fox.lines("channel", "apply", path)
    assert words["alias"] == "Wren"
    assert [each["name"] for each in rest["steps"]] == ["Wren"]


def test_a_new_channel_wants_a_relay(tmp_path: Path) -> None:
    fox = Member.make("Fox", tmp_path)
    code, error = fox.fails("channel", "apply", str(file(tmp_path, 'name = "North"\n')))
    assert (code, "names no relay" in error["message"]) == (6, True)


def test_a_third_party_in_a_bilateral_file_is_refused(tmp_path: Path, relay: RelayProcess) -> None:
    fox = Member.make("Fox", tmp_path)
    vouchers(tmp_path, relay, 6)
    path = str(file(tmp_path, small(relay, *BOTH, invite("Ibis", "East"))))
    code, error = fox.fails("channel", "apply", path)
    assert (code, "at most 2 parties" in error["message"]) == (6, True)
    assert fox.json("channel", "list")["channels"] == []
    fox.do("channel", "apply", str(file(tmp_path, small(relay, *BOTH))))
    file(tmp_path, small(relay, *BOTH, invite("Ibis", "East")))
    code, _ = fox.fails("channel", "apply", path)
    assert code == 6
