"""What the client tells a person when something fails: what happened, what next, the exit code.

Owns the tree below `ClientError`, and the table that gives the protocol's errors a next step.
Prints nothing.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, Self

from backchannel.client.exits import Exit
from backchannel.protocol.errors import (
    AuthenticationError,
    BackchannelError,
    LocalProtocolError,
    ProtocolError,
    RefusedError,
    StaleError,
    StateError,
    UnknownError,
)


class ClientError(BackchannelError):
    """A failure with a next step. `code` is stable, for scripts; the sentences may change."""

    code: ClassVar[str] = "failed"
    status: ClassVar[Exit] = Exit.UNEXPECTED
    usual_next: ClassVar[str] = "backchannel doctor"
    retry_after: int | None = None
    """Seconds before which the relay need not be asked again, where it said so."""

    def __init__(self, message: str, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = self.usual_next if next_step is None else next_step


class UsageMistake(ClientError):
    """Asked for in a way that makes no sense."""

    code = "usage"
    status = Exit.USAGE
    usual_next = "backchannel --help"


class WordsMistyped(UsageMistake):
    """Not the twelve words of any invite."""

    code = "words-mistyped"
    usual_next = "read the words again; if they are as you were told, ask for a new invite"


class RelayError(ClientError):
    """Nothing reached the relay, or nothing trustworthy came back; nothing may be assumed done."""

    code = "relay"
    status = Exit.RELAY


class RelayDown(RelayError):
    """No connection."""

    code = "relay-down"


class ProxyDown(RelayDown):
    """No proxy, or none that can do what is needed: it says nothing about any relay."""

    code = "proxy-down"
    usual_next = "start Tor (systemctl start tor, or the Tor Browser) or your proxy, then try again"


class RelaySlow(RelayError):
    """A connection, and no whole answer in time."""

    code = "relay-slow"


class RelayGarbage(RelayError):
    """An answer that is not this protocol, or is not authentic."""

    code = "relay-garbage"


class RelayBroke(RelayGarbage):
    """A connection that ended in the middle: by the link, or by what speaks otherwise."""

    code = "relay-broke"


class ClockApart(RelayError):
    """This machine and the relay disagree about the hour."""

    code = "clock-apart"
    usual_next = "set this machine's clock, then: backchannel doctor"


class ClockAbsurd(ClientError):
    """This machine's clock cannot be right."""

    code = "clock-absurd"
    usual_next = "set this machine's clock, then try again; nothing was changed"


class ClockLeapt(ClientError):
    """More than a day ahead of when the vault was last used, and nobody said that it is right."""

    code = "clock-leapt"
    status = Exit.LOCKED
    usual_next = "set the clock right; or, if it is: backchannel tick --accept"

    @classmethod
    def by(cls, hours: int) -> Self:
        """So far ahead."""
        ahead = f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
        return cls(f"This machine's clock is {ahead} ahead of when the vault was last used.")


class RelayKeyChanged(ClientError):
    """The relay at this address is not the one that was pinned."""

    code = "relay-key-changed"
    status = Exit.KEY_CHANGED
    usual_next = (
        "ask the facilitator, by voice, whether the relay was replaced; who facilitates asks its "
        "operator, and if it was: backchannel relay move URL --vouchers FILE; or, where the "
        "channel stands on others, too: relay remove URL, then relay add URL --vouchers FILE"
    )


class RateLimited(ClientError):
    """The relay has no room now and says when to come back."""

    code = "rate-limited"
    status = Exit.RATE_LIMITED
    retry_after: int

    def __init__(self, why: str, retry_after: int) -> None:
        """`why` is a sentence without its end."""
        self.retry_after, self.span = retry_after, span(retry_after)
        super().__init__(f"{why} asks to wait {self.span}.", f"try again in {self.span}")


class TooFast(RateLimited):
    """More, in a while, than the relay takes for one drop: it proves that it says so."""


class NotYet(RateLimited):
    """It said so before, and was not asked again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("The relay was asked a moment ago, and still", retry_after)


def span(seconds: int) -> str:
    """`1 second`, `90 seconds`, `15 minutes`."""
    if seconds < 120:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    return f"{-(-seconds // 60)} minutes"


class Enough(ClientError):
    """What this run may move is used up. Nobody's fault, and no failure of any relay."""

    code = "budget-spent"
    status = Exit.RATE_LIMITED
    usual_next = "backchannel sync"


class Covered(ClientError):
    """It waits in the outbox for a turn of cover. Nobody's fault, and what was asked for."""

    code = "waits-for-turn"
    status = Exit.DONE
    usual_next = "backchannel watch"


class Refused(ClientError):
    """Against a rule, of the channel or of the relay."""

    code = "refused"
    status = Exit.REFUSED


class ProxyWanted(Refused):
    """No proxy is set, where there was one before."""

    code = "proxy-wanted"


class VoucherRefused(Refused):
    """The relay takes no such voucher, or the drop stands with other keys."""

    code = "voucher-refused"
    usual_next = "ask the relay's operator for vouchers, then: backchannel channel vouchers FILE"


class NoVoucher(Refused):
    """A drop is needed, and nothing is left to pay for it."""

    code = "no-voucher"
    usual_next = "ask the relay's operator for vouchers, then: backchannel channel vouchers FILE"


class Declined(Refused):
    """A person said no, or nothing."""

    code = "declined"
    usual_next = "nothing; or start again when you are ready"


class DropFull(Refused):
    """The drop holds as many blocks as it may."""

    code = "drop-full"
    usual_next = "wait until older blocks expire, then: backchannel sync"

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        """`retry_after`: none of them expires before."""
        self.retry_after = retry_after or None
        soonest = f"in {span(retry_after)}, not sooner: backchannel sync" if retry_after else None
        super().__init__(message, soonest)


class Gone(ClientError):
    """It was there, or may have been, and is not any more."""

    code = "gone"
    status = Exit.GONE


class InviteOver(Gone):
    """The lobby says that nobody is waited for."""

    code = "invite-over"
    usual_next = "ask for a new invite"


class UnknownDrop(Gone):
    """The relay has no such drop, or takes our key for a wrong one: it says the same for both."""

    code = "unknown-drop"


class DropSealed(Gone):
    """The drop is closed to writers."""

    code = "drop-sealed"
    usual_next = "backchannel sync"


class Locked(ClientError):
    """The vault stays shut."""

    code = "locked"
    status = Exit.LOCKED
    usual_next = "backchannel unlock"


class WrongPassphrase(Locked):
    """It does not open this vault."""

    code = "wrong-passphrase"
    usual_next = "try again; nothing was changed"


class UnsafeFile(Locked):
    """Somebody else could read, or owns, what must be private."""

    code = "unsafe-file"


class AwayTooLong(Gone):
    """The keys of a channel were renewed while one was away, and what tells of that has expired."""

    code = "away-too-long"
    usual_next = "ask a facilitator for a new invite"

    @classmethod
    def of(cls, channel: str, facilitators: Sequence[str], join: str) -> Self:
        """For one channel; who can let one in again."""
        who = f"a facilitator ({', '.join(facilitators)})" if facilitators else "a facilitator"
        message = (
            f"{channel}: you were away too long. There are new keys by now, and what would give "
            f"them to this machine has expired. What you have here can be read until it expires."
        )
        return cls(message, f"ask {who} for a new invite, then: {join}")


class VaultBusy(Locked):
    """Another process is using the vault."""

    code = "vault-busy"
    usual_next = "let the other backchannel command end, then try again"


class VaultTooNew(ClientError):
    """A later version of this program has written the vault."""

    code = "vault-too-new"
    usual_next = "upgrade backchannel, then try again; the vault was not touched"


class VaultDamaged(ClientError):
    """The vault's files cannot be read as a vault."""

    code = "vault-damaged"


class NotFound(ClientError):
    """There is none, or this vault is no member of it."""

    code = "not-found"
    status = Exit.NOT_FOUND
    usual_next = "backchannel status"


class InviteUnknown(NotFound):
    """No lobby where the words lead: expired, mistyped with luck, or another relay."""

    code = "invite-unknown"
    usual_next = "compare the relay's address; if it is right, ask for a new invite"


class NoVault(NotFound):
    """Nothing was ever kept here."""

    code = "no-vault"
    usual_next = "backchannel join URL, or: backchannel channel new NAME"


class Interrupted(ClientError):
    """A person did not wait; what was saved before is safe."""

    code = "interrupted"
    status = Exit.INTERRUPTED
    usual_next = "backchannel sync"


class PartlySent(ClientError):
    """Some relays have it and some do not; the outbox keeps what is owed."""

    code = "partly-sent"
    status = Exit.PARTLY_SENT
    usual_next = "backchannel sync"


def caught(work: Callable[[], object]) -> ClientError | None:
    """What went wrong, for whoever goes on all the same."""
    try:
        work()
    except ClientError as error:
        return error
    return None


class Problem(NamedTuple):
    """How an error is shown."""

    code: str
    message: str
    next_step: str
    status: Exit
    retry_after: int | None = None


_PROTOCOL: tuple[tuple[type[BackchannelError], str, Exit, str], ...] = (
    (LocalProtocolError, "refused", Exit.REFUSED, "backchannel --help"),
    (RefusedError, "refused", Exit.REFUSED, "backchannel sync"),
    (StaleError, "gone", Exit.GONE, "backchannel sync"),
    (UnknownError, "not-found", Exit.NOT_FOUND, "backchannel sync"),
    (AuthenticationError, "not-authentic", Exit.UNEXPECTED, "backchannel doctor"),
    (ProtocolError, "not-understood", Exit.UNEXPECTED, "backchannel doctor"),
    (StateError, "state", Exit.UNEXPECTED, "backchannel doctor"),
    (BackchannelError, "failed", Exit.UNEXPECTED, "backchannel doctor"),
)


def explain(error: BackchannelError) -> Problem:
    """Code, sentence, next step and exit code for anything that the project raises on purpose."""
    if isinstance(error, ClientError):
        return Problem(error.code, error.message, error.next_step, error.status, error.retry_after)
    code, status, next_step = next(row[1:] for row in _PROTOCOL if isinstance(error, row[0]))
    return Problem(code, str(error), next_step, status)
