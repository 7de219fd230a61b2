"""Every failure says what happened, what to do next, and ends with a documented exit code."""

import itertools

import pytest

from backchannel.client import errors
from backchannel.client.errors import ClientError, RateLimited, explain
from backchannel.client.exits import Exit
from backchannel.protocol import errors as protocol
from backchannel.protocol.errors import BackchannelError


def below(kind: type[BackchannelError]) -> list[type[BackchannelError]]:
    return [kind, *itertools.chain.from_iterable(map(below, kind.__subclasses__()))]


OURS = [
    kind
    for kind in below(ClientError)
    if kind.__module__ == errors.__name__ and not issubclass(kind, RateLimited)
]
THEIRS = [kind for kind in below(BackchannelError) if kind.__module__ == protocol.__name__]


@pytest.mark.parametrize("kind", [*OURS, *THEIRS])
def test_every_error_names_the_next_step(kind: type[BackchannelError]) -> None:
    more = [5] if issubclass(kind, protocol.ForbiddenError) else []  # whose fault it is
    problem = explain(kind("What happened.", *more))
    assert problem.message == "What happened."
    assert problem.next_step
    assert problem.status not in {Exit.NOTHING_NEW, Exit.OVERDUE}
    assert (problem.status == Exit.DONE) == (kind is errors.Covered)  # what was asked for waits


def test_codes_are_stable_and_tell_errors_apart() -> None:
    codes = {kind: explain(kind("")).code for kind in OURS}
    assert len(set(codes.values())) == len(codes)
    assert all(code.replace("-", "").isalpha() and code.islower() for code in codes.values())


def test_exit_codes_are_the_documented_ones() -> None:
    documented = {
        "DONE": 0, "UNEXPECTED": 1, "USAGE": 2, "RELAY": 3, "KEY_CHANGED": 4, "RATE_LIMITED": 5,
        "REFUSED": 6, "GONE": 7, "LOCKED": 8, "NOT_FOUND": 9, "PARTLY_SENT": 10,
        "NOTHING_NEW": 11, "OVERDUE": 12, "ALARM": 13, "EXPIRED_UNREAD": 14, "UNSENT": 15,
        "INTERRUPTED": 130,
    }  # fmt: skip
    assert {code.name: code.value for code in Exit} == documented


def test_a_rate_limit_says_when_to_come_back() -> None:
    problem = explain(RateLimited("It", 7))
    assert problem.message == "It asks to wait 7 seconds."
    assert (problem.next_step, problem.status) == ("try again in 7 seconds", Exit.RATE_LIMITED)
