"""Vouchers as an operator hands them over: one a line. Knows nothing of where they are kept."""

from pathlib import Path

from backchannel.client.errors import UsageMistake
from backchannel.client.ui import Ui
from backchannel.protocol.drop import read_voucher
from backchannel.protocol.errors import DecodeError

_MOST = 1 << 20  # characters


def read(path: Path, ui: Ui) -> list[bytes]:
    """All vouchers of a file, or of standard input for `-`, for which a person is asked; the
    `UsageMistake` names the first bad line, never its text.
    """
    piped = str(path) == "-"
    try:
        said = ui.pasted("the vouchers, one a line", _MOST) if piped else path.read_text("utf-8")
    except (OSError, ValueError) as error:  # no text, or no name of a file
        why = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        msg = f"The vouchers in {path} cannot be read{why}."
        raise UsageMistake(msg, "give --vouchers FILE, one voucher a line") from None
    lines = [(number, line.strip()) for number, line in enumerate(said[:_MOST].splitlines(), 1)]
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
