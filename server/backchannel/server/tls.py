"""The certificate that a relay shows, if it shows one: looked at before anything starts."""

import ssl

from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.settings import Settings


def check_certificate(settings: Settings) -> None:
    """`OperatorError` for a certificate and key that cannot be read or do not belong together."""
    if not settings.tls_cert:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_cert, settings.tls_key, password=lambda: ""
        )
    except (OSError, ValueError) as error:
        message = f"the TLS certificate does not work: {error}"
        next_ = "give tls_cert a readable PEM chain and tls_key its unencrypted private key"
        raise OperatorError(message, next_=next_, code=exits.USAGE) from None
