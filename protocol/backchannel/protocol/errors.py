"""What can go wrong in the protocol, by whose fault it is.

Owns the exception tree below `BackchannelError`; knows nothing of sockets, files or screens.
No message ever holds key material or text that somebody wrote.
"""

from typing import Literal

Charge = Literal["forbidden", "fork", "epoch"]
"""What an authentic core is refused for with an alarm: see `outcome.AlarmKind`."""


class BackchannelError(Exception):
    """The root of every error that the project raises on purpose."""


class ProtocolError(BackchannelError):
    """Something in the protocol did not hold."""


class LocalProtocolError(ProtocolError):
    """Our caller asked for what the protocol does not allow: a bug or a refused wish."""


class RemoteProtocolError(ProtocolError):
    """Bytes from elsewhere are not what the protocol says; they changed nothing."""


class DecodeError(RemoteProtocolError):
    """Not a canonical encoding of anything we know."""


class AuthenticationError(RemoteProtocolError):
    """A MAC, a commitment or a ciphertext does not verify."""


class ReplayError(RemoteProtocolError):
    """A number or core that was used already."""


class GapTooLargeError(RemoteProtocolError):
    """A jump over more message keys than a reader is ready to derive."""


class StaleError(RemoteProtocolError):
    """Of an hour whose keys are gone, or of an hour that has not come."""


class RefusedError(RemoteProtocolError):
    """Well-formed and authentic, yet against the rules: the sender may not do this."""


class ForbiddenError(RefusedError):
    """Authentic beyond doubt, and not for its author to do: an alarm of this kind."""

    def __init__(self, message: str, slot: int, kind: Charge = "forbidden") -> None:
        super().__init__(message)
        self.slot = slot
        self.kind: Charge = kind


class UnknownError(RemoteProtocolError):
    """Names a roster, generation or step that this reader does not have yet; it may come."""


class StateError(BackchannelError):
    """Saved state cannot be read back, or is of a version that this program does not know."""
