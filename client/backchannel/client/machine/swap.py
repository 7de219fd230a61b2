"""Whether this system moves memory to a disk. Reads /proc; knows nothing of what is in memory."""

from pathlib import Path
from typing import Final

_SWAPS: Final = Path("/proc/swaps")
_COMPRESSED = "/dev/zram"  # a part of memory that poses as a disk


def on_disk(table: Path = _SWAPS) -> list[str] | None:
    """The places that memory may be moved to, memory itself left out; none where that cannot be
    seen. Whether they are encrypted, nobody can tell from here.
    """
    try:
        rows = table.read_text("utf-8").splitlines()[1:]
    except OSError:
        return None
    return [row.split()[0] for row in rows if row and not row.startswith(_COMPRESSED)]
