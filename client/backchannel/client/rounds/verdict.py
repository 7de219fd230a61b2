"""What a person is told of what went wrong: of one relay, while others of the channel will do, next
to nothing. And what a verb says when all was saved and not all was sent, or what it shows is old.
"""

from collections.abc import Collection, Mapping

from backchannel.client.errors import (
    ClientError,
    ClockApart,
    Covered,
    DropFull,
    DropSealed,
    ProxyDown,
    RateLimited,
    RelayError,
    UnknownDrop,
    UsageMistake,
)

_PASSING = (RelayError, RateLimited, UnknownDrop, DropFull, DropSealed, UsageMistake)
"""The last: a facilitator named an address that this program does not go to."""


def grave(error: ClientError) -> bool:
    """Whether another relay does not make up for it: another key, a clock, a voucher."""
    return isinstance(error, ClockApart) or not isinstance(error, _PASSING)


def worth_telling(errors: Mapping[str, ClientError], relays: Collection[str]) -> ClientError | None:
    """Of what went wrong, by relay, what a person should know: what is grave; all else only where
    it went wrong at each of these `relays`. What happens at others concerns nobody.
    """
    ours = {url: error for url, error in errors.items() if url in relays}
    worst = next((error for error in ours.values() if grave(error)), None)
    if worst is not None or any(url not in ours for url in relays):
        return worst
    return next(iter(ours.values()), None)


def queued(problem: ClientError, safe: str) -> ClientError:
    """The same problem, with the same exit code, that says what is safe and what comes next."""
    if isinstance(problem, Covered):
        return problem  # which says so itself
    problem.message = f"{problem.message} {safe}"
    if isinstance(problem, RelayError) and not isinstance(problem, ProxyDown):
        problem.next_step = "backchannel sync"
    elif isinstance(problem, RateLimited):
        problem.next_step = f"in {problem.span}: backchannel sync"
    return problem


def stale(problem: ClientError) -> ClientError:
    """The same problem, where what was fetched before has been shown."""
    problem.message = f"{problem.message} What is shown was fetched before."
    return problem
