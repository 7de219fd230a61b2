"""Keeps a relay's keys out of core dumps, as far as the system allows.

Swap is the operator's affair: doctor says so.
"""

import ctypes
import gc
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE = 4
_COLLECT: Final = (20_000, 20, 20)
"""Objects made, and younger collections, after which it looks. What a relay makes has few cycles.
"""
_SWITCH: Final = 0.0002
"""Seconds after which a thread that waits for the interpreter gets it, instead of 0.005: the writer
waits for it before and after each statement, and all who write wait for the writer. A fifth more.
"""


def settle() -> None:
    """What stands now stays until the process ends: the collector of cycles need not look through
    all of it time and again, which took an eighth of a busy relay's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    sys.setswitchinterval(_SWITCH)


def harden() -> None:
    """No core dump of this process, and no other process of the same user may look into it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
