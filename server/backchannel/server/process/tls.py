"""The certificate that a relay shows, if it shows one: looked at before anything starts, and by
doctor with a client's eyes.
"""

import ssl
from contextlib import suppress
from os import R_OK, access

from backchannel.protocol.types import Timestamp
from backchannel.server import exits
from backchannel.server.errors import Doubt, OperatorError
from backchannel.server.limits import CERTIFICATE_DAYS
from backchannel.server.settings import Settings

_RENEW = "renew the certificate, put the new one in place, and restart the relay"


def check_certificate(settings: Settings) -> None:
    """`OperatorError` for a certificate and key that cannot be read or do not belong together."""
    if settings.tls_cert:
        _server(settings)


def days_left(settings: Settings, now: Timestamp) -> str:
    """How long the certificate is good; `OperatorError` when it is not, `Doubt` when not for long.

    Whether others believe who made it is not asked here.
    """
    end = ends(settings)
    if end is None:
        return "none here: a proxy has it, or nobody"
    days = (end - now) // 86_400
    if days < CERTIFICATE_DAYS:
        raise Doubt(f"the TLS certificate ends in {days} days", next_=_RENEW)
    return f"good for {days} days"


def ends(settings: Settings) -> Timestamp | None:
    """When the certificate is no longer good; none where there is none. `OperatorError` where it is
    not good now.
    """
    if not settings.tls_cert:
        return None
    check_certificate(settings)
    return Timestamp(int(ssl.cert_time_to_seconds(str(_shown(settings)["notAfter"]))))


def _server(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
    except (OSError, ValueError) as error:
        unread = [file for file in (settings.tls_cert, settings.tls_key) if not access(file, R_OK)]
        why = f"{unread[0]} cannot be read" if unread else str(error)
        message = f"the TLS certificate does not work: {why}"
        next_ = "give tls_cert a readable PEM chain and tls_key its unencrypted private key"
        raise OperatorError(message, next_=next_, code=exits.USAGE) from None
    return context


def _shown(settings: Settings) -> dict[str, object]:
    """What a client that believes this very chain is shown: a handshake in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(settings.tls_cert)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(back, there)
    server = _server(settings).wrap_bio(there, back, server_side=True)
    try:
        for side in (client, server, client):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        message = f"clients refuse the TLS certificate: {error.verify_message}"
        raise OperatorError(message, next_=_RENEW) from None
    return dict(client.getpeercert() or {})
