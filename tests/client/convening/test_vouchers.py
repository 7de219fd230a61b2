"""Vouchers as a file or on standard input."""

import io
import os
import pty
from pathlib import Path

import pytest

from backchannel.client.convening import vouchers
from backchannel.client.errors import UsageMistake
from backchannel.client.ui import Ui
from backchannel.protocol.drop import show_voucher

ONE, TWO = bytes(range(16)), bytes(16)


def test_one_a_line_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "vouchers"
    path.write_text(f"\n {show_voucher(ONE).upper()} \r\n\n{show_voucher(TWO)}", "utf-8")
    assert vouchers.read(path, Ui()) == [ONE, TWO]


def test_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(show_voucher(ONE)))
    assert vouchers.read(Path("-"), Ui()) == [ONE]


def test_who_sits_at_a_terminal_is_told_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"{show_voucher(ONE)}\n\x04".encode())
    told = io.StringIO()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        assert vouchers.read(Path("-"), Ui(err=told)) == [ONE]
    os.close(ours)
    assert "Ctrl-D" in told.getvalue()


def test_the_first_bad_line_is_named_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "vouchers"
    path.write_text(f"{show_voucher(ONE)}\nbc-almostavoucher\n", "utf-8")
    with pytest.raises(UsageMistake, match="Line 2") as caught:
        vouchers.read(path, Ui())
    assert "almost" not in caught.value.message


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe"])
def test_nothing_is_no_voucher(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vouchers"
    path.write_bytes(content)
    with pytest.raises(UsageMistake):
        vouchers.read(path, Ui())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageMistake, match="cannot be read: No such file"):
        vouchers.read(tmp_path / "none", Ui())
