"""uvicorn, on whichever port, without all that it would say or believe of its own accord: no log
of requests, no name of a program, no time, no word of a proxy. Knows no application.
"""

from collections.abc import Callable
from typing import Any

import uvicorn

from backchannel.server.limits import KEEP_ALIVE


def quiet(app: Callable[..., Any], **more: Any) -> uvicorn.Config:
    """How to serve `app`; `more` is uvicorn's."""
    return uvicorn.Config(
        app,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        **more,
    )
