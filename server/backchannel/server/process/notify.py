"""Tells whoever manages this service how it stands: sd_notify(3), in the few lines that it takes.

Says nothing where nobody asked. Owns no state but what the environment says.
"""

import asyncio
import os
import socket
import time

from backchannel.server.logs import warn_seldom

_SECONDS = 1.0  # a manager that does not listen does not hold up the relay


def ready(status: str) -> None:
    """It serves, or serves again; `status` is a line for `systemctl status`."""
    _tell("READY=1", f"STATUS={status}")


def reloading() -> None:
    """It begins to read its configuration anew; `ready` ends that, however it went."""
    _tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """It ends."""
    _tell("STOPPING=1")


def keep_awake(loop: asyncio.AbstractEventLoop) -> None:
    """As often as the manager's watchdog asks, for as long as the loop turns."""
    seconds = _watchdog()
    if seconds:
        _tell("WATCHDOG=1")
        loop.call_later(seconds / 2, keep_awake, loop)


def _watchdog() -> float:
    """How many seconds of silence the manager takes for the end; 0 where it does not watch us."""
    said, whose = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not said.isdecimal() or whose not in {"", str(os.getpid())}:
        return 0.0
    return int(said) / 1e6


def _tell(*said: str) -> None:
    where = os.environ.get("NOTIFY_SOCKET", "")
    if where[:1] not in {"/", "@"}:
        return
    address = "\0" + where[1:] if where.startswith("@") else where
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(_SECONDS)
            manager.sendto("\n".join(said).encode(), address)
    except OSError as error:
        warn_seldom(f"NOTIFY_SOCKET takes nothing: {error.strerror or 'no answer'}")
