"""Vouchers as an operator hands them over: one a line. Knows nothing of where they are kept."""

import sys
from pathlib import Path

from backchannel.client.errors import UsageMistake
from backchannel.protocol.drop import read_voucher
from backchannel.protocol.errors import DecodeError

_MOST = 1 << 20  # characters


def read(path: Path) -> list[bytes]:
    """All vouchers of a file, or of standard input for `-`; `UsageMistake` names the first bad
    line, never its text.
    """
    try:
        text = sys.stdin.read(_MOST) if str(path) == "-" else path.read_text("utf-8")[:_MOST]
    except (OSError, ValueError):  # no text, or no name of a file
        msg = f"The vouchers in {path} cannot be read."
        raise UsageMistake(msg, "give --vouchers FILE, one voucher a line") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    found = [_voucher(path, number, line) for number, line in lines if line]
    if not found:
        msg = f"There is no voucher in {path}."
        raise UsageMistake(msg, "ask the relay's operator for vouchers")
    return found


def _voucher(path: Path, number: int, line: str) -> bytes:
    try:
        return read_voucher(line)
    except DecodeError:
        msg = f"Line {number} of {path} is no voucher. Nothing was done."
        raise UsageMistake(msg, "copy the vouchers again, one a line") from None
