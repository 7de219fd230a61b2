"""Keeps a relay's keys out of core dumps, as far as the system allows.

Swap is the operator's affair: doctor says so.
"""

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def harden() -> None:
    """No core dump of this process, and no other process of the same user may look into it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
