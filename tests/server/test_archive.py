"""The form of a backup: an old one is read for ever, and what is none leaves nothing behind."""

import base64
import gzip
import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from backchannel.protocol.limits import RESTORED
from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.models import SCHEMA
from backchannel.server.operate import archive, backup, restore, vouchers
from backchannel.server.settings import Settings
from tests.server.inside import Inside
from tests.server.test_cli import document, failed, invoke

VERSION_1 = Path(__file__).with_name("version-1.backup")
"""Made by the first version that made any: every later one restores it."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "relay.backup"


def test_u19_a_backup_of_the_first_version_comes_back(tmp_path: Path) -> None:
    home = Home(tmp_path / "back")
    done = restore.restore(VERSION_1, home, vouchers=True)
    assert (done.head.version, done.head.drops, done.vouchers) == (1, 2, 1)
    with sqlite3.connect(home.database) as connection:
        rows = connection.execute(
            "SELECT hex(id), keep, sealed, following FROM drops ORDER BY id"
        ).fetchall()
        (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    assert version == SCHEMA
    assert rows == [("00" * 15 + "01", 2, 0, 18 + RESTORED), ("FF" * 16, 5, 1, 1 + RESTORED)]
    assert vouchers.count(home) == 1
    with Inside(home, Settings()):
        assert document("check", "--data", home.path)["ok"]


LINES = VERSION_1.read_bytes().splitlines(keepends=True)


def summed(*lines: bytes) -> bytes:
    """As a forger would write it: with a sum that is right."""
    out = io.BytesIO()
    for line in lines:
        out.write(line.rstrip(b"\n") + b"\n")
    total = hashlib.sha256(out.getvalue()).digest()
    return (
        out.getvalue()
        + json.dumps({"line": "end", "sum": base64.b64encode(total).decode()}).encode()
        + b"\n"
    )


def changed(number: int, **fields: object) -> bytes:
    """Version 1 with some fields of one line changed, and the sum right."""
    lines = [*LINES[:-1]]
    lines[number] = json.dumps({**json.loads(lines[number]), **fields}).encode()
    return summed(*lines)


def a_tar(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    return out.getvalue()


def a_database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE drops (id)")
    data = connection.serialize()
    connection.close()
    return data


BAD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a text": lambda: b"hello\n",
    "a bomb": lambda: gzip.compress(bytes(1 << 20)),
    "a path that leads out": lambda: a_tar("../../relay.key"),
    "a link": lambda: a_tar("relay.key", tarfile.SYMTYPE),
    "a foreign schema": a_database,
    "an endless line": lambda: b"{" + b" " * (1 << 21),
    "deep nesting": lambda: b'{"line":' + b"[" * 200_000 + b"\n",
    "another program's": lambda: changed(0, form="another"),
    "version zero": lambda: changed(0, version=0),
    "a version that is a text": lambda: changed(0, version="1"),
    "a short key": lambda: changed(0, key=base64.b64encode(bytes(31)).decode()),
    "a long key": lambda: changed(0, key=base64.b64encode(bytes(33)).decode()),
    "settings without end": lambda: changed(0, settings="#" * 70_000),
    "an unknown field": lambda: changed(0, path="/etc/passwd"),
    "fewer rows than said": lambda: changed(0, drops=3),
    "more rows than said": lambda: changed(0, drops=1),
    "more rows than there can be": lambda: changed(0, drops=2**63),
    "less than none": lambda: changed(0, drops=-1),
    "a huge row": lambda: changed(1, id=base64.b64encode(bytes(400_000)).decode()),
    "a short id": lambda: changed(1, id="AAAA"),
    "a class that there is not": lambda: changed(1, keep=6),
    "a position too high": lambda: changed(1, following=2**32 - 2**25),
    "a position too low": lambda: changed(1, following=0),
    "a number for a truth": lambda: changed(1, sealed=0),
    "a key that is none": lambda: changed(1, access=base64.b64encode(b"\xff" * 32).decode()),
    "an hour of no calendar": lambda: changed(0, hour=2**32 - 1),
    "a drop twice": lambda: summed(LINES[0], LINES[1], LINES[1], LINES[3]),
    "rows out of order": lambda: summed(LINES[0], LINES[2], LINES[1], LINES[3]),
    "a voucher among drops": lambda: summed(LINES[0], LINES[1], LINES[3], LINES[2]),
    "a head among drops": lambda: summed(LINES[0], LINES[1], LINES[0], LINES[3]),
    "no end": lambda: b"".join(LINES[:-1]),
    "half of its end": lambda: b"".join(LINES)[:-10],
    "something behind its end": lambda: b"".join(LINES) + b"\n",
    "twice": lambda: b"".join(LINES) * 2,
    "a null for a row": lambda: summed(LINES[0], b"null", *LINES[2:4]),
}


@pytest.mark.parametrize("name", BAD)
def test_attack_what_is_no_whole_backup_is_refused_and_leaves_nothing(
    file: Path, name: str
) -> None:
    file.write_bytes(BAD[name]())
    data = file.with_name("back")
    commands: list[list[str | Path]] = [
        ["restore", file, "--data", data],
        ["backup", "verify", file],
    ]
    for command in commands:
        code, said = failed(*command)
        assert code == exits.REFUSED
        assert "no backup of a relay, or not a whole one" in said
    assert not data.exists()


def test_the_control_of_these_is_whole(file: Path) -> None:
    file.write_bytes(summed(*LINES[:-1]))
    assert backup.verify(file).drops == 2
    assert changed(0) == summed(*(json.dumps(json.loads(LINES[0])).encode(), *LINES[1:-1]))


def test_attack_a_backup_that_is_damaged_anywhere_is_refused(file: Path) -> None:
    whole = b"".join(LINES)
    for at in range(0, len(whole), 7):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(OperatorError):
            backup.verify(file)
        file.write_bytes(whole[:at])
        with pytest.raises(OperatorError):
            backup.verify(file)


def test_a_backup_of_a_newer_version_says_what_to_do(file: Path) -> None:
    file.write_bytes(changed(0, version=archive.VERSION + 1, more="of it"))
    code, said = failed("restore", file, "--data", file.with_name("back"))
    assert code == exits.REFUSED
    assert "newer version" in said
    assert "next: install" in said


def test_attack_a_pipe_or_a_folder_is_not_waited_for(file: Path, tmp_path: Path) -> None:
    os.mkfifo(file)
    for each in (file, tmp_path):
        assert failed("backup", "verify", each)[0] in {exits.USAGE, exits.NOT_FOUND}
    assert failed("backup", "verify", tmp_path / "none")[0] == exits.NOT_FOUND
    assert backup.candidates(tmp_path) == []


def test_attack_a_secret_of_a_broken_backup_is_not_quoted(file: Path) -> None:
    for number in range(len(LINES) - 1):
        file.write_bytes(b"".join(LINES).replace(LINES[number], LINES[number][:-3] + b"\n"))
        said = failed("backup", "verify", file)[1]
        assert not any(
            str(value)[:12] in said
            for value in json.loads(LINES[number]).values()
            if len(str(value)) > 12
        )


def test_attack_110_a_name_in_a_folder_of_backups_is_nothing_for_a_terminal_to_obey(
    file: Path,
) -> None:
    """The folder is perhaps on a stick that others had."""
    for name in ("\x1b]0;title\x07", "one\nnext: type this", "\u202eright to left"):
        file.with_name(name).write_bytes(b"".join(LINES))
    code, said, errors = invoke("restore", "--list", file.parent)
    assert code == 0
    assert not {"\x1b", "\x07", "\u202e"} & set(said + errors)
    assert said.count("\n") == 3
    missing = file.with_name("\x1b[2Jnone")
    assert "\x1b" not in failed("restore", missing, "--data", file.with_name("back"))[1]


def test_attack_110_a_backup_with_an_hour_of_no_calendar_does_not_hide_the_others(
    file: Path,
) -> None:
    file.write_bytes(b"".join(LINES))
    file.with_name("false").write_bytes(changed(0, hour=2**32 - 1))
    assert [each.file for each in backup.candidates(file.parent)] == [file]
    assert invoke("restore", "--list", file.parent)[0] == 0
