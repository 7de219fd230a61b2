"""Asks the relay that runs in a data directory whether it works, the way a client would."""

import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.types import Hour
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home

_SECONDS = 5
_MOST = 4096


def ask(home: Home) -> Hour:
    """The relay's hour; `OperatorError` unless a relay with this directory's key answers."""
    said = _get(_address(home.address))
    if said.get("static_key") != x25519_public(home.static_key()).value.hex():
        message = "something else answers at this relay's address"
        raise OperatorError(message, next_=f"backchannel-relay doctor --data {home.path}")
    return Hour(said["hour"])


def _address(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except OSError:
        message = f"no relay runs in {file.parent}"
        raise OperatorError(
            message, next_=f"backchannel-relay serve --data {file.parent}"
        ) from None


def _get(url: str) -> dict[str, Any]:
    """Its key tells who answers, so the certificate need not."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(f"{url}/v1/relay", timeout=_SECONDS) as answer:
            said = json.loads(answer.read(_MOST))
    except (OSError, ValueError) as error:
        message = (
            f"the relay does not answer: {getattr(error, 'reason', None) or type(error).__name__}"
        )
        raise OperatorError(
            message, next_="look at what serve wrote, then start it again"
        ) from None
    return said if isinstance(said, dict) else {}
