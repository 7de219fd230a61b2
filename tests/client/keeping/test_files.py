"""Where a file may be written: nothing is overwritten, no name of others leads elsewhere."""

import os
import stat
from pathlib import Path

import pytest

from backchannel.client.errors import UsageMistake
from backchannel.client.keeping import files


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "..", ".bashrc", "a/b", "a\\b", "con", "a\u202egpj.exe", ""]
)
def test_attack_44_a_name_of_others_stays_in_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageMistake) as told:
        files.place(tmp_path, name)
    assert "Nothing was written" in told.value.message


def test_a_path_of_ones_own_is_taken_whatever_the_file_is_called(tmp_path: Path) -> None:
    assert files.place(tmp_path / "mine", "../up") == tmp_path / "mine"
    assert files.place(tmp_path, "report.pdf") == tmp_path / "report.pdf"


def test_what_is_there_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "report.pdf", tmp_path / "link"):
        with pytest.raises(UsageMistake):
            files.place(path, "x")
        with pytest.raises(UsageMistake):
            files.write(path, b"theirs")
    assert (tmp_path / "report.pdf").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_saved_file_is_for_nobody_else_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.write(tmp_path / "new", b"data")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_half_a_file_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(UsageMistake):
        files.write(tmp_path / "new", b"data")
    assert not (tmp_path / "new").exists()
