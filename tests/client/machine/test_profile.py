"""A person's folders: where they are, and that nobody else looks into them."""

import os
from pathlib import Path

import pytest

from backchannel.client.errors import UnsafeFile
from backchannel.client.exits import Exit
from backchannel.client.machine.profile import Profile
from backchannel.client.vault.folder import DATABASE, HEAD, KEYS, SPARE_DATABASE, SPARE_KEYS
from tests.support.people import make_vault

NOBODY = 65_534


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_one_home_holds_everything(tmp_path: Path) -> None:
    profile = Profile.at(tmp_path / "home")
    assert all(path.is_relative_to(tmp_path / "home") for path in (*profile, profile.vault))


def test_a_relative_home_means_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Profile.at(Path("here")).data == tmp_path / "here"


def test_without_a_home_the_xdg_folders_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "RUN"))
    folders = [tmp_path / name for name in ("CONFIG", "DATA", "STATE", "CACHE", "RUN")]
    assert list(Profile.of_user()) == [folder / "backchannel" for folder in folders]


def test_without_a_runtime_folder_none_in_tmp_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert Profile.of_user().runtime == tmp_path / "backchannel" / "run"


def test_what_is_made_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        profile, _ = make_vault(tmp_path / "home")
    finally:
        os.umask(before)
    assert mode(profile.data) == mode(profile.vault) == 0o700
    files = [profile.lock, *profile.vault.iterdir()]
    assert {path.name for path in files} == {
        *("lock", HEAD, DATABASE, KEYS, SPARE_DATABASE, SPARE_KEYS)
    }
    assert {mode(path) for path in files} == {0o600}


@pytest.mark.parametrize("name", ["", "vault", "vault/vault.db", "vault/expiry.keys", "lock"])
@pytest.mark.parametrize("others", [0o004, 0o040, 0o020])
def test_what_others_may_read_or_write_is_refused_with_the_remedy(
    tmp_path: Path, name: str, others: int
) -> None:
    profile, _ = make_vault(tmp_path / "a home")
    path = profile.data / name
    path.chmod(path.stat().st_mode | others)
    with pytest.raises(UnsafeFile) as caught:
        profile.refuse_unless_private()
    assert caught.value.status is Exit.LOCKED
    assert caught.value.next_step == f"chmod go-rwx '{path}'"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    profile = Profile.at(tmp_path / "home")
    profile.make(profile.data)
    os.chown(profile.data, NOBODY, NOBODY)
    with pytest.raises(UnsafeFile, match="belongs to another user"):
        profile.refuse_unless_private()


def test_a_folder_that_is_open_already_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home").chmod(0o755)
    profile = Profile.at(tmp_path / "home")
    with pytest.raises(UnsafeFile):
        profile.make(profile.data)
