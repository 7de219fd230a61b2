"""Backups, the passphrase, retention and lost channels as people type them."""

import json
import stat
from pathlib import Path

import pytest

from backchannel.client.errors import Declined, NotFound, Refused, UsageMistake, WrongPassphrase
from backchannel.client.machine import memory_home
from backchannel.client.machine.profile import Profile
from backchannel.client.vault.folder import Folder
from backchannel.client.vault.lost import LostRow
from backchannel.client.vault.vault import Vault
from backchannel.protocol.types import hour_of
from tests.support.people import (
    ENTROPY,
    NOON,
    NORTH,
    PASSPHRASE,
    make_vault,
    passphrase_file,
    program,
)

RELAY = "https://relay.example"
LOST = LostRow(
    NORTH,
    {
        "name": "North", "alias": "Heron", "role": "participant", "facilitators": ["Fox"],
        "relays": [[RELAY, "ab" * 32]], "compared": [],
    },
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A vault that lists a channel and holds two vouchers."""
    profile, key = make_vault(tmp_path / "home")
    with Vault(profile, key, NOON) as vault, vault.exclusive(NOON), vault.transaction():
        vault.lost.put(LOST)
        vault.vouchers.add_many(RELAY, [bytes(16), bytes(range(16))])
    passphrase_file(tmp_path)
    return profile.data


def run(*arguments: str, home: Path, give: str = "") -> tuple[int, dict[str, object], str]:
    """Exit code, document and standard error."""
    secret = home.parent / "passphrase"
    done = program("--passphrase-file", str(secret), *arguments, "--json", home=home, give=give)
    document = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    return done.returncode, document, done.stderr


def test_there_and_back(home: Path, tmp_path: Path) -> None:
    (home / "config.toml").touch(0o600)
    (home / "config.toml").write_text('unlock-for = "5m"\n')
    file = tmp_path / "backup"
    code, said, _ = run("backup", str(file), home=home)
    assert (code, said["channels"], said["vouchers"]) == (0, ["North"], 2)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = tmp_path / "again"
    code, said, _ = run("restore", str(file), home=again)
    assert (code, said["vouchers"], said["settings_written"]) == (0, 2, True)
    assert (again / "config.toml").read_text() == 'unlock-for = "5m"\n'
    code, said, _ = run("status", "--offline", home=again)
    assert said["next"] == f"backchannel join {RELAY}"
    assert said["lost"] == [
        {
            "channel": "North", "alias": "Heron", "facilitators": ["Fox"], "relay": RELAY,
            "next": f"backchannel join {RELAY}",
        }
    ]  # fmt: skip
    text = program(
        "--passphrase-file", str(tmp_path / "passphrase"), "status", "--offline", home=again
    ).stdout
    assert "North: ask the facilitator (Fox) for a new invite." in text
    code, said, _ = run("restore", str(file), home=again)
    assert (code, said["vouchers"], said["settings_written"]) == (0, 0, False)


def test_who_went_through_a_proxy_does_so_on_the_next_machine(home: Path, tmp_path: Path) -> None:
    Profile.at(home).proxied.touch(0o600)
    assert run("backup", str(tmp_path / "backup"), home=home)[0] == 0
    assert run("restore", str(tmp_path / "backup"), home=tmp_path / "again")[0] == 0
    code, _, error = run("channel", "new", "East", "--relay", RELAY, home=tmp_path / "again")
    assert (code, "--proxy none" in error) == (6, True)


def test_what_stands_there_is_not_written_over(home: Path, tmp_path: Path) -> None:
    (tmp_path / "photo").write_text("precious")
    code, _, error = run("backup", str(tmp_path / "photo"), home=home)
    assert code == UsageMistake.status
    assert "cannot be written" in error
    assert (tmp_path / "photo").read_text() == "precious"


def test_another_passphrase_restores_nothing(home: Path, tmp_path: Path) -> None:
    run("backup", str(tmp_path / "backup"), home=home)
    (tmp_path / "passphrase").write_text("something else entirely\n")
    code, _, error = run("restore", str(tmp_path / "backup"), home=tmp_path / "again")
    assert code == WrongPassphrase.status
    assert "of the day it was made" in error
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("content", [None, b"no backup"])
def test_what_is_no_backup_makes_no_vault(tmp_path: Path, content: bytes | None) -> None:
    passphrase_file(tmp_path)
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    code, _, error = run("restore", str(tmp_path / "file"), home=tmp_path / "home")
    assert code == UsageMistake.status
    assert "give the FILE that `backup` wrote" in error
    assert not (tmp_path / "home").exists()


def test_a_file_that_is_not_there_is_told_before_a_passphrase_is_asked_for(tmp_path: Path) -> None:
    done = program("restore", str(tmp_path / "nowhere"), home=tmp_path / "new")
    assert (done.returncode, "cannot be read" in done.stderr) == (2, True)


@pytest.mark.skipif(not memory_home.in_memory(Path("/dev/shm")), reason="needs memory files")  # noqa: S108
def test_what_is_in_memory_only_is_not_backed_up_to_a_disk(home: Path, tmp_path: Path) -> None:
    code, _, _ = run("--memory-only", "backup", str(tmp_path / "backup"), home=home)
    assert code == Refused.status
    assert not (tmp_path / "backup").exists()


def test_practising_says_whether_it_is_right(home: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (home / "vault").iterdir()}
    assert run("passphrase", "practise", home=home)[:2] == (0, {"schema_version": 1, "right": True})
    (tmp_path / "passphrase").write_text(PASSPHRASE + "x\n")
    assert run("passphrase", "practise", home=home)[0] == WrongPassphrase.status
    assert {path: path.read_bytes() for path in (home / "vault").iterdir()} == before


def test_attack_practising_a_duress_passphrase_erases_nothing_and_says_the_same(
    home: Path, tmp_path: Path
) -> None:
    folder, duress = Folder(home / "vault"), "an innocent sentence of words"
    head, key = folder.head().with_duress(duress)
    folder.plant(key, hour_of(NOON), ENTROPY)
    folder.put_head(head)
    before = {path: path.read_bytes() for path in (home / "vault").iterdir()}
    practise = ("--passphrase-file", str(tmp_path / "passphrase"), "passphrase", "practise")
    real = program(*practise, home=home)
    (tmp_path / "passphrase").write_text(duress + "\n")
    other = program(*practise, home=home)
    assert (other.returncode, other.stdout, other.stderr) == (0, real.stdout, real.stderr)
    assert {path: path.read_bytes() for path in (home / "vault").iterdir()} == before


def test_without_a_vault_there_is_nothing_to_practise_or_keep(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    for arguments in (("passphrase", "practise"), ("backup", str(tmp_path / "backup"))):
        assert run(*arguments, home=tmp_path / "home")[0] == NotFound.status
    assert not (tmp_path / "home").exists()


def test_a_lost_channel_can_be_given_up(home: Path) -> None:
    leave = ("channel", "leave", "--purge", "--channel", "North")
    assert run(*leave, home=home, give="n\n")[0] == Declined.status
    assert run(*leave, "--yes", home=home)[1]["state"] == "erased"
    assert run("channel", "list", home=home)[1]["lost"] == []
    assert run(*leave, "--yes", home=home)[0] == NotFound.status


def test_a115_retention_is_said_to_programs_and_people(home: Path) -> None:
    code, said, _ = run("retention", home=home)
    assert code == 0
    held = said["holdings"]
    assert isinstance(held, list)
    assert all(each["kept"] and each["where"] and each["ends"] for each in held)
    (lost,) = [each for each in held if each["table"] == "lost"]
    assert lost["now"] == "1 channel"
    text = program(
        "--passphrase-file", str(home.parent / "passphrase"), "retention", home=home
    ).stdout
    assert all(each["name"] in text for each in held)
    assert max(map(len, text.splitlines())) <= 80
