"""Begins to serve: as one process, as a worker among several, or as the supervisor of these.

Loads only what that role needs, so that a supervisor stays small.
"""

import os
import signal
from contextlib import closing

from backchannel.server import logs
from backchannel.server.errors import OperatorError
from backchannel.server.process import tls
from backchannel.server.process.memory import harden
from backchannel.server.process.sockets import Listeners
from backchannel.server.process.start import Start
from backchannel.server.process.tether import Tether
from backchannel.server.settings import Settings


def serve(start: Start, settings: Settings, *, accept_clock: bool = False) -> None:
    """Until a signal ends it; `OperatorError` where it cannot begin."""
    harden()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # it waits until somebody listens
    logs.configure(settings.log_level, settings.log_format)
    tls.check_certificate(settings)
    tether = Tether.of_supervisor()
    listeners = tether.listeners if tether else _listeners(start, settings)
    with closing(listeners):
        if tether or settings.workers == 1:
            from backchannel.server.process import server  # noqa: PLC0415 - heavy, and one of two roles

            server.run(start, settings, listeners, tether, accept_clock=accept_clock)
        else:
            from backchannel.server.process import supervisor  # noqa: PLC0415 - the other

            supervisor.run(start, settings, listeners, accept_clock=accept_clock)


def _listeners(start: Start, settings: Settings) -> Listeners:
    """Where the address cannot be had because this very relay runs already, that is said."""
    try:
        return Listeners.of(settings)
    except OperatorError:
        os.close(start.home.take_lock())
        raise
