"""Names of files: one component, harmless wherever it is written or shown: SPEC.md section 15.

Knows no file system; refuses what any of the usual ones takes for more than a name.
"""

import unicodedata
from typing import Final

from backchannel.protocol import limits
from backchannel.protocol.errors import DecodeError

_UNSHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control, formatting (bidi among them), halves of characters, line ends."""
_MARKS: Final = frozenset('/\\:*?"<>|')
"""They part paths or streams, or stand for other names, on one system or another."""
_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)


def check_file_name(name: str) -> str:
    """The name itself; `DecodeError` for one that is more than a name, or misleads."""
    if any(unicodedata.category(sign) in _UNSHOWN or sign in _MARKS for sign in name):
        msg = "a file's name holds no separators, and no character that cannot be seen"
        raise DecodeError(msg)
    size = len(name.encode())
    if not 1 <= len(name) <= limits.FILE_NAME or size > limits.FILE_NAME_BYTES:
        msg = f"a file's name has 1 to {limits.FILE_NAME} characters"
        raise DecodeError(msg)
    if name[0] in ". " or name[-1] in ". ":
        msg = "a file's name begins and ends with neither a full stop nor a space"
        raise DecodeError(msg)
    if _device(name) in _DEVICES:
        msg = "a file's name is not that of a device"
        raise DecodeError(msg)
    return name


def _device(name: str) -> str:
    """What a system would take it for: it does not look beyond the first full stop."""
    return unicodedata.normalize("NFKC", name.partition(".")[0]).strip().casefold()
