"""What a relay refuses, and the one table that turns an exception into a status and a stable code.

Owns the exceptions below `Refusal` (a client's request) and `OperatorError` (a command's failure).
Knows no HTTP beyond the number of a status: SPEC.md section 18.
"""

from typing import Final, NamedTuple

from backchannel.protocol.errors import AuthenticationError, BackchannelError, DecodeError


class Refusal(BackchannelError):
    """A request that is not done, for a reason that the client may know."""

    retry_after: int | None = None
    """Seconds after which it may be different, where that is known."""


class UnknownDropError(Refusal):
    """No such drop, or the wrong key for it: nobody can tell which."""


class TooLargeError(Refusal):
    """More than the operation takes."""


class NotABlockError(Refusal):
    """Something else than whole blocks to append or to seal with."""


class MalformedError(Refusal):
    """Any other body of the wrong size or value, or one that did not come in time."""


class BusyError(Refusal):
    """No room to take it now: later it may be different."""

    def __init__(self, retry_after: int | None = None) -> None:
        super().__init__()
        self.retry_after = retry_after


class VoucherRefusedError(Refusal):
    """A voucher that is not there, or an id that stands with other keys."""


class WrongHourError(Refusal):
    """The two clocks are more than an hour apart."""


class SealedError(Refusal):
    """A new block for a drop that is only read by now."""


class QuotaError(Refusal):
    """The drop holds as many blocks as it may, until an hour turns: blocks end by the hour."""


class TooFastError(Refusal):
    """More than this drop may take in a while."""

    retry_after: int

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.retry_after = seconds


class ClockLeapError(BusyError):
    """The clock went so far ahead that a person should look before anything is destroyed."""


class StoreFailedError(BusyError):
    """A key could not be put on the disk, so nothing may be sealed under it."""


class HourTurnedError(BackchannelError):
    """Another process turned the hour since this transaction began: it begins again."""


class Answer(NamedTuple):
    """What a client is told; with `mac`, under the drop's answer key."""

    status: int
    code: str
    mac: bool = False


DONE: Final = Answer(200, "done", mac=True)
UNKNOWN_DROP: Final = Answer(404, "unknown-drop")
VOUCHER_REFUSED: Final = Answer(403, "voucher-refused", mac=True)
BUSY: Final = Answer(503, "busy")
TOO_FAST: Final = Answer(429, "too-fast", mac=True)

_ANSWERS: Final[dict[type[Exception], Answer]] = {
    UnknownDropError: UNKNOWN_DROP,
    AuthenticationError: UNKNOWN_DROP,
    TooLargeError: Answer(413, "too-large"),
    NotABlockError: Answer(422, "not-a-block"),
    MalformedError: Answer(422, "malformed"),
    DecodeError: Answer(422, "malformed"),
    BusyError: BUSY,
    VoucherRefusedError: VOUCHER_REFUSED,
    WrongHourError: Answer(409, "wrong-hour", mac=True),
    SealedError: Answer(409, "sealed", mac=True),
    QuotaError: Answer(507, "quota", mac=True),
    TooFastError: TOO_FAST,
}

OUTCOMES: Final = tuple(sorted({answer.code for answer in (DONE, *_ANSWERS.values())}))
"""The code of every answer to a request."""


def answer_to(error: Exception) -> Answer | None:
    """The table's answer, by the nearest class; `None` for what nobody foresaw: a bug."""
    return next((_ANSWERS[kind] for kind in type(error).__mro__ if kind in _ANSWERS), None)


class OperatorError(BackchannelError):
    """A command that could not be done: what happened, what to do next, and the exit code."""

    def __init__(self, message: str, *, next_: str, code: int = 1) -> None:
        super().__init__(message)
        self.next = next_
        self.code = code


class Doubt(OperatorError):
    """A finding of doctor: the relay works, and something about it should be otherwise."""
