"""Two people talk over a real relay, and one writes down what the other never said: the files are
alike, and nobody who checks them is told which is which.
"""

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.client.machine import clock
from backchannel.client.machine.entropy import SystemEntropy
from backchannel.client.machine.profile import Profile
from backchannel.client.rounds.session import change
from backchannel.protocol import exhibit
from backchannel.protocol.block import wrap
from backchannel.protocol.drop import Drop
from backchannel.protocol.exhibit import Exhibit
from backchannel.protocol.outcome import Arrival
from backchannel.protocol.types import Core
from tests.support.member import Channel, Member, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]
LONG = "We would have to ask at home first. " * 200


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    """Fox and Heron have talked, in the open, alone and off the record."""
    with channel("Heron") as made:
        fox, heron = made.facilitator, made.people["Heron"]
        fox.do("thread", "new", "Ceasefire")
        fox.do("thread", "new", "Corridor", "--off-record")
        heron.do("sync")
        fox.do("unlock")
        heron.do("say", "--thread", "Corridor", "Off the record.")
        fox.do("say", "Could you stop on Friday?")
        heron.do("say", "Not before Sunday.")
        heron.do("say", "--thread", "Ceasefire", "-", give=LONG)
        heron.do("say", "--to", "Fox", "Between us: perhaps.")
        assert "Off the record." in fox.texts()
        yield made
        fox.do("lock")


@pytest.fixture
def outsider(tmp_path: Path) -> Member:
    """Somebody who has the program, and neither a vault nor a passphrase."""
    (tmp_path / "outside").mkdir()
    return Member("Outsider", tmp_path / "outside")


def shape(document: object) -> object:
    """What a file or document is made of, whatever stands in it."""
    if isinstance(document, dict):
        return {key: shape(held) for key, held in document.items()}
    if isinstance(document, list | tuple):
        return [shape(held) for held in document[:1]]
    return type(document).__name__


def read(path: Path) -> Exhibit:
    return exhibit.read(path.read_bytes())


def twin(member: Member, folder: Path) -> Member:
    """The same person with a copy of everything, but for who holds the key unlocked."""
    shutil.copytree(member.home, folder / "copy", ignore=shutil.ignore_patterns("run"))
    return Member(member.name, folder / "copy")


def exported(member: Member, path: Path, *more: str) -> Path:
    member.do("transcript", "export", *more, str(path))
    return path


def test_what_was_said_and_what_was_not_are_accepted_alike(
    north: Channel, outsider: Member, tmp_path: Path
) -> None:
    fox, real, forged = north.facilitator, tmp_path / "real", tmp_path / "forged"
    exported(fox, real)
    fox.do("forge", "--as", "Heron", "--text", "We stop today.", "--out", str(forged))
    shown = [outsider.do("transcript", "check", str(each)) for each in (real, forged)]
    assert all("is whole" in each for each in shown)
    assert all("shows nothing about who wrote it" in each for each in shown)
    found = [outsider.json("transcript", "check", str(each)) for each in (real, forged)]
    assert shape(found[0]) == shape(found[1])
    assert [each["whole"] for each in found] == [True, True]
    assert [each["proves_author"] for each in found] == [False, False]
    assert [(m["from"], m["text"]) for m in found[1]["messages"]] == [("Heron", "We stop today.")]
    assert list(outsider.home.iterdir()) == []


def test_a_whole_forged_conversation_has_every_field_of_the_real_one(
    north: Channel, outsider: Member, tmp_path: Path
) -> None:
    """The same words, forged: the files differ in noise alone, and in the numbers of the posts."""
    fox = north.facilitator
    real = read(exported(fox, tmp_path / "real", "--thread", "main"))
    script = tmp_path / "script"
    script.write_text("Fox: Could you stop on Friday?\nHeron: Not before Sunday.\n")
    fox.do("forge", "--script", str(script), "--out", str(tmp_path / "forged"))
    forged = read(tmp_path / "forged")
    assert (tmp_path / "real").stat().st_size == (tmp_path / "forged").stat().st_size
    assert (forged.channel, forged.members) == (real.channel, real.members)
    for one, other in zip(real.statements, forged.statements, strict=True):
        assert (one.author, one.topic, one.text) == (other.author, other.topic, other.text)
        assert [len(p.core) for p in one.pieces] == [len(p.core) for p in other.pieces]
        assert {p.core for p in one.pieces}.isdisjoint(p.core for p in other.pieces)
    outsider.do("transcript", "check", str(tmp_path / "forged"))


def test_a_forged_block_opens_for_a_copy_of_the_client_as_the_others_words(
    north: Channel, tmp_path: Path
) -> None:
    fox, out = north.facilitator, tmp_path / "forged"
    fox.do("forge", "--as", "Heron", "--text", LONG, "--out", str(out))
    (statement,) = read(out).statements
    assert len(statement.pieces) == 3
    copy, entropy = twin(fox, tmp_path), SystemEntropy()
    with (
        copy.vault() as vault,
        change(vault, "North", clock.now(Profile.at(copy.home)), entropy) as session,
    ):
        epoch = session.state.epoch
        drop = Drop.of_epoch(epoch.secret, epoch.relays[0].public)
        for piece in statement.pieces:
            block = wrap(Core(piece.core), drop.outer, session.channel.clock, entropy)
            assert len(block) == 4096
            session.receive(Arrival(drop.id, session.hour, block))
    shown = copy.lines("read", "--offline")  # a note of the same hour may stand behind it
    both = ["Heron", "Heron"]  # who said it once, and did not say it again
    assert [each["from"] for each in shown if each["text"] == LONG] == both
    assert copy.json("alarms", "--offline")["alarms"] == []


def test_forging_changes_nothing_and_sends_nothing(north: Channel, tmp_path: Path) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    before = fox.texts()
    fox.do("forge", "--as", "Heron", "--text", "Never.", "--out", str(tmp_path / "forged"))
    assert fox.texts() == before
    assert "Never." not in heron.texts()


def test_what_was_said_to_few_or_off_the_record_is_in_no_file(
    north: Channel, tmp_path: Path
) -> None:
    for member in (north.facilitator, north.people["Heron"]):
        texts = {each.text for each in read(exported(member, tmp_path / member.name)).statements}
        assert "Not before Sunday." in texts
        assert texts.isdisjoint({"Between us: perhaps.", "Off the record."})
    code, error = north.facilitator.fails(
        *("forge", "--as", "Heron", "--thread", "Corridor", "--text", "x"),
        *("--out", str(tmp_path / "forged")),
    )
    assert (code, error["code"]) == (6, "refused")


def test_a_file_is_for_its_owner_alone_and_never_overwritten(
    north: Channel, tmp_path: Path
) -> None:
    fox, path = north.facilitator, tmp_path / "talk"
    exported(fox, path)
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for verb in (
        ["transcript", "export", str(path)],
        ["forge", "--as", "Heron", "--text", "x", "--out", str(path)],
    ):
        code, error = fox.fails(*verb)
        assert code == 2
        assert "already" in error["message"]
    assert path.read_bytes() == before


def test_what_was_purged_is_in_no_file_any_more(north: Channel, tmp_path: Path) -> None:
    """The leaf keys go with the text."""
    copy = twin(north.facilitator, tmp_path)
    copy.do("thread", "purge", "Ceasefire", "--yes")
    found = read(exported(copy, tmp_path / "talk"))
    assert {each.topic for each in found.statements} == {""}


def test_a_damaged_file_is_refused_and_the_message_named(
    north: Channel, outsider: Member, tmp_path: Path
) -> None:
    path = exported(north.facilitator, tmp_path / "talk")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # of the last leaf key
    path.write_bytes(data)
    code, error = outsider.fails("transcript", "check", str(path))
    assert (code, error["code"]) == (2, "usage")
    assert "Message 3" in error["message"]
    path.write_bytes(json.dumps({"text": "I said so"}).encode())
    code, error = outsider.fails("transcript", "check", str(path))
    assert code == 2
    assert "no whole transcript" in error["message"]


def test_a_script_that_is_wrong_is_refused_by_the_line(north: Channel, tmp_path: Path) -> None:
    fox, script = north.facilitator, tmp_path / "script"
    script.write_text("Heron: Yes.\nNobody: No.\n")
    code, error = fox.fails("forge", "--script", str(script), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "Line 2" in error["message"]
    assert not (tmp_path / "out").exists()


def test_who_joins_is_told_what_deniability_is_and_how_to_try_it(
    north: Channel, tmp_path: Path
) -> None:
    ibis, words = Member.make("Ibis", tmp_path), north.invite("Ibis")["words"]
    shown = " ".join(ibis.do("join", north.relay.url, "--yes", give=words + "\n").split())
    assert "nobody can prove it to an outsider" in shown
    assert "`backchannel forge` does it, try it." in shown


def test_both_verbs_stand_in_the_help(north: Channel) -> None:
    shown = north.facilitator.do("--help")
    assert "forge" in shown
    assert "transcript" in shown
    for verb in (["forge"], ["transcript", "export"], ["transcript", "check"]):
        assert "Example" in north.facilitator.do(*verb, "--help")
