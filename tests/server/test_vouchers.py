"""Vouchers are minted, counted and taken back, while the relay runs."""

import errno
import os
import stat
from pathlib import Path

import pytest

from backchannel.protocol.drop import read_voucher, show_voucher, voucher_hash
from backchannel.server import exits
from backchannel.server.home import Home
from backchannel.server.operate import vouchers
from tests.server.inside import Inside
from tests.server.test_cli import document, failed, invoke
from tests.support.relay import RefusedError, noise

pytestmark = pytest.mark.stores


def test_count_says_how_many_are_out(inside: Inside) -> None:
    assert vouchers.count(inside.home) == 0
    _, _, said = invoke("vouchers", "count", "--data", inside.home.path)
    assert "next: backchannel-relay vouchers mint" in said
    vouchers.mint(inside.home, 3)
    inside.drop()
    assert document("vouchers", "count", "--data", inside.home.path)["unused"] == 3


def test_none_is_minted_where_none_is_wanted(home: Home) -> None:
    assert vouchers.mint(home, 0) == []
    assert vouchers.count(home) == 0


def test_a_voucher_that_is_taken_back_makes_no_drop_and_the_others_do(
    inside: Inside, tmp_path: Path
) -> None:
    lost, kept = vouchers.mint(inside.home, 2)
    (tmp_path / "lost").write_text(f"  {lost.upper()}\n\n{lost}\n")
    said = document("vouchers", "revoke", tmp_path / "lost", "--data", inside.home.path)
    assert (said["gone"], said["unknown"], said["left"]) == (1, 0, 1)
    client = inside.stranger()
    with pytest.raises(RefusedError, match="voucher-refused"):
        client.create(read_voucher(lost))
    client.create(read_voucher(kept))


def test_taking_back_all_leaves_drops_that_were_made(inside: Inside) -> None:
    client = inside.drop()
    out = vouchers.mint(inside.home, 3)
    said = document("vouchers", "revoke", "--all", "--data", inside.home.path)
    assert (said["gone"], said["left"]) == (3, 0)
    assert client.append(*noise())
    with pytest.raises(RefusedError, match="voucher-refused"):
        inside.stranger().create(read_voucher(out[0]))


def test_one_that_was_used_is_told_and_takes_nothing(inside: Inside) -> None:
    voucher = inside.voucher()
    client = inside.stranger()
    client.create(voucher)
    revoked = vouchers.revoke(inside.home, [show_voucher(voucher)])
    assert (revoked.gone, revoked.unknown) == (0, 1)
    client.append(*noise())


def test_attack_a_list_with_one_wrong_line_takes_nothing_back_and_is_not_repeated(
    inside: Inside, tmp_path: Path
) -> None:
    (good,) = vouchers.mint(inside.home, 1)
    (tmp_path / "list").write_text(f"{good}\nhunter2\n")
    code, said = failed("vouchers", "revoke", tmp_path / "list", "--data", inside.home.path)
    assert code == exits.USAGE
    assert "line 2" in said
    assert "hunter2" not in said
    assert good not in said
    assert vouchers.count(inside.home) == 1


@pytest.mark.sqlite
def test_what_is_taken_back_is_in_no_file(home: Home) -> None:
    (text,) = vouchers.mint(home, 1)
    digest = voucher_hash(read_voucher(text))
    assert any(digest in file.read_bytes() for file in home.path.iterdir()), "a control"
    vouchers.revoke(home, [text])
    assert not any(digest in file.read_bytes() for file in home.path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["--all", "-"]])
def test_revoke_asks_which(home: Home, arguments: list[str]) -> None:
    vouchers.mint(home, 1)
    assert failed("vouchers", "revoke", *arguments, "--data", home.path)[0] == exits.USAGE
    assert vouchers.count(home) == 1


def test_minted_into_a_file_only_its_owner_reads_them(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "vouchers"
    code, said, _ = invoke("vouchers", "mint", "3", "--data", home.path, "--file", file)
    assert (code, stat.S_IMODE(file.stat().st_mode)) == (0, 0o600)
    minted = file.read_text().splitlines()
    assert len({read_voucher(line) for line in minted}) == 3
    assert not any(voucher in said for voucher in minted)


def test_attack_a_file_that_is_there_or_a_link_is_not_written_and_nothing_is_minted(
    home: Home, tmp_path: Path
) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for file in (victim, link):
        command = ("vouchers", "mint", "3", "--data", home.path, "--file", file)
        assert failed(*command)[0] == exits.REFUSED
    assert victim.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()
    assert vouchers.count(home) == 0


def full(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_where_the_file_cannot_be_written_none_is_good(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", full)
    command = ("vouchers", "mint", "3", "--data", home.path, "--file", tmp_path / "vouchers")
    assert "No space left" in failed(*command)[1]
    assert not (tmp_path / "vouchers").exists()
    assert vouchers.count(home) == 0
