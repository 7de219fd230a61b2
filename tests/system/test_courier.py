"""Row A018 and CL24: with no relay at all a channel is carried in files, by real programs."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.member import Channel, Member, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]
BLOCK = 4096


@pytest.fixture(scope="module")
def dark() -> Iterator[Channel]:
    """A channel whose only relay is gone."""
    with channel("Heron", "Ibis") as made:
        made.relay.kill()
        yield made


def pack(giver: Member, file: Path, *more: str) -> Path:
    giver.do("courier", "pack", "--force", *more, str(file))
    return file


def test_row_a018_with_every_relay_down_people_talk_by_files(dark: Channel, tmp_path: Path) -> None:
    fox, heron, ibis = (dark.people[each] for each in ("Fox", "Heron", "Ibis"))
    assert fox.run("say", "Can you hear me?").returncode == 3
    told = fox.json("courier", "pack", str(tmp_path / "file"))
    assert told["size"] == told["blocks"] * BLOCK == (tmp_path / "file").stat().st_size
    assert told["from"] <= told["until"] < told["opens_until"]
    taken = heron.json("courier", "take", str(tmp_path / "file"))
    assert (taken["messages"], taken["channels"], taken["next"]) == (
        1,
        ["North"],
        "backchannel read",
    )
    assert heron.texts("--offline") == ["Can you hear me?"]
    assert heron.run("say", "Loud and clear.").returncode == 3
    back = pack(heron, tmp_path / "back")
    for person in (fox, ibis, fox):
        person.do("courier", "take", str(back))
        assert person.texts("--offline") == ["Can you hear me?", "Loud and clear."]
    assert "Nothing is new." in fox.do("courier", "take", str(back), str(back))


def test_a_file_goes_through_a_pipe_and_comes_in_parts(dark: Channel, tmp_path: Path) -> None:
    fox, ibis = dark.people["Fox"], dark.people["Ibis"]
    done = subprocess.run(
        [*fox.command, "courier", "pack", "-"], capture_output=True, check=True, env=fox.env,
        start_new_session=True, timeout=60,
    )  # fmt: skip
    assert len(done.stdout) % BLOCK == 0
    assert b"Packed" in done.stderr
    parts = [tmp_path / f"part.{number}" for number in range(3)]
    for number, part in enumerate(parts):
        part.write_bytes(done.stdout[number * 9000 : (number + 1) * 9000 if number < 2 else None])
    (tmp_path / "whole").write_bytes(done.stdout)
    once = ibis.json("courier", "take", *map(str, parts))
    again = ibis.json("courier", "take", str(tmp_path / "whole"))
    assert once["new"] + once["known"] == again["known"] > 0
    assert once["passed_over"] == again["passed_over"]


def test_a_file_is_private_and_overwrites_nothing(dark: Channel, tmp_path: Path) -> None:
    fox, file = dark.people["Fox"], tmp_path / "file"
    file.write_text("mine")
    code, error = fox.fails("courier", "pack", str(file))
    assert (code, "--force" in error["next"], file.read_text()) == (2, True, "mine")
    pack(fox, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for each in ("folder", "pipe"):
        assert fox.fails("courier", "pack", "--force", str(tmp_path / each))[0] == 2
        assert fox.fails("courier", "take", str(tmp_path / each))[0] == 2
    assert fox.fails("courier", "take", str(tmp_path / "nothing"))[0] == 2
    assert fox.fails("courier", "pack", "-")[0] == 2


def test_what_is_no_courier_file_is_passed_over_and_said(dark: Channel, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(os.urandom(10 * BLOCK))
    said = dark.people["Heron"].do("courier", "take", str(tmp_path / "noise"))
    assert "Nothing is new." in said
    assert "10 blocks passed over" in said


def test_a_file_tells_no_name_and_no_word(dark: Channel, tmp_path: Path) -> None:
    fox = dark.people["Fox"]
    fox.run("say", "Meadowlark")
    data = pack(fox, tmp_path / "file").read_bytes()
    for word in (b"Meadowlark", b"Fox", b"North", dark.relay.url.encode()):
        assert word not in data


def test_what_was_carried_expires_there_and_in_the_vault(tmp_path: Path) -> None:
    """The file stays, and opens for nobody; nor does what was taken from it."""
    with channel("Heron", expires="2h") as north:
        north.relay.kill()
        fox, heron = north.facilitator, north.people["Heron"]
        fox.run("say", "not for long")
        file = pack(fox, tmp_path / "file")
        heron.do("courier", "take", str(file))
        assert heron.texts("--offline") == ["not for long"]
        heron.ahead = 5
        assert heron.texts("--offline") == []
        taken = heron.json("courier", "take", str(file))
        assert (taken["new"], taken["messages"]) == (0, 0)
        assert heron.texts("--offline") == []
