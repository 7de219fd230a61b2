"""A relay that asks to wait is sent nothing meanwhile; how long a command waits, and shows it."""

import json
from io import StringIO
from typing import Any, cast

import pytest

from backchannel.client.app import App
from backchannel.client.errors import DropFull, NotYet, RateLimited, TooFast, explain
from backchannel.client.rounds.patience import Patience
from backchannel.client.ui import Ui
from backchannel.client.vault.cursors import Cursor
from backchannel.client.vault.vault import Vault
from backchannel.protocol.drop import Operation
from backchannel.protocol.outcome import OpenDrop
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.types import Hour, Timestamp
from tests.client.rounds.test_outbox import CLOSE, URL, FakeRelay, block, deliver, drop, give, put
from tests.support.people import NOON


def slow(seconds: int) -> FakeRelay:
    """Takes no block for now."""
    return FakeRelay(
        fail=lambda operation, *_: TooFast("It", seconds) if operation is Operation.APPEND else None
    )


def test_nothing_is_sent_before_the_time_that_the_relay_named(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By no later command either: the vault remembers."""
    put(vault, block(1, drop(1)))
    relay = slow(40)
    assert isinstance(deliver(vault, relay).problem, TooFast)
    for later, asked in ((0, 1), (39, 1), (40, 2)):
        monkeypatch.setattr("tests.client.rounds.test_outbox.NOON", Timestamp(NOON + later))
        problem = deliver(vault, relay).problem
        assert len(relay.asked) == asked
        assert isinstance(problem, RateLimited)
        assert problem.retry_after == (40 - later or 40)
    assert vault.outbox.pending()[0].attempts == 2, "what was not tried does not count"


def test_who_must_wait_for_one_drop_goes_on_with_the_others(vault: Vault) -> None:
    """New drops are refused before existing ones suffer: so a wait is of one drop."""
    give(vault, b"v" * 16)

    def full(operation: Operation, *_: object) -> RateLimited | None:
        return RateLimited("It", 60) if operation is Operation.CREATE else None

    other = drop(2)
    put(vault, OpenDrop(URL, drop(1), x25519_public(CLOSE), 2), label="lobby")
    put(vault, block(1, other))
    relay = FakeRelay(fail=full)
    sent, problem, *_ = deliver(vault, relay)
    assert (sent, type(problem)) == (1, RateLimited)
    assert [each[0] for each in relay.asked] == [Operation.CREATE, Operation.APPEND]


def test_a_sent_request_leaves_no_wait_behind(vault: Vault) -> None:
    put(vault, block(1, drop(1)))
    deliver(vault, slow(0))
    assert deliver(vault, FakeRelay())[:2] == (1, None)
    put(vault, block(2, drop(1)))
    assert deliver(vault, FakeRelay())[:2] == (1, None)


def test_a_wait_before_reading_on_is_kept_and_ends_with_the_reading(vault: Vault) -> None:
    one = drop(1).id
    with vault.exclusive(NOON), vault.transaction():
        assert vault.cursors.after(URL, one) == 0
        vault.cursors.wait(URL, one, NOON + 5)
        assert vault.cursors.after(URL, one) == NOON + 5
        assert vault.cursors.get(URL, one) == Cursor(0, Hour(0))
        vault.cursors.put(URL, one, Cursor(7, Hour(0)))
        assert (vault.cursors.get(URL, one).position, vault.cursors.after(URL, one)) == (7, 0)
        vault.cursors.wait(URL, one, NOON + 9)
        assert vault.cursors.get(URL, one).position == 7
        vault.cursors.remove(URL, one)
        assert vault.cursors.after(URL, one) == 0


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class Tools:
    """As much of an `App` as waiting takes, and a sleep that takes no time."""

    def __init__(self, *, json_output: bool = False) -> None:
        self.err = Terminal()
        self.ui = Ui(json_output=json_output, out=StringIO(), err=self.err)
        self.slept = 0

    def awake(self) -> int:
        return 3600

    def sleep(self, seconds: float) -> None:
        self.slept += int(seconds)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = Tools()
    monkeypatch.setattr("backchannel.client.rounds.patience.time.sleep", made.sleep)
    return made


def patient(tools: Tools) -> Patience:
    return Patience(cast("App", tools))


def test_a_short_wait_is_shown_and_counted_down(tools: Tools) -> None:
    assert patient(tools).again(RateLimited("It", 40), moved=True)
    shown = tools.err.getvalue()
    assert "The relay asks to wait 40 seconds; it goes on by itself then." in shown
    assert [f"{left:>4} s" in shown for left in (41, 40, 39, 1, 0)] == [
        False, True, True, True, False,
    ]  # fmt: skip
    assert tools.slept == 40


def test_a_script_is_told_the_seconds_and_sees_no_countdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools = Tools(json_output=True)
    monkeypatch.setattr("backchannel.client.rounds.patience.time.sleep", tools.sleep)
    assert patient(tools).again(RateLimited("It", 40), moved=True)
    (line,) = tools.err.getvalue().splitlines()
    assert json.loads(line)["retry_after"] == 40


def test_a_long_wait_is_not_waited_for(tools: Tools) -> None:
    assert not patient(tools).again(RateLimited("It", 76), moved=True)
    assert tools.slept == 0


def test_attack_113_a_relay_that_asks_again_and_again_holds_no_command_for_ever(
    tools: Tools,
) -> None:
    """In vain for two waits; and while it gets on for ten minutes."""
    vain, creeping = patient(tools), patient(tools)
    assert [vain.again(RateLimited("It", 30), moved=False) for _ in range(4)] == [
        True, True, False, False,
    ]  # fmt: skip
    waits = [creeping.again(RateLimited("It", 60), moved=True) for _ in range(20)]
    assert waits == [True] * 10 + [False] * 10


@pytest.mark.parametrize(
    ("error", "seconds", "next_step"),
    [
        (RateLimited("It", 1), 1, "try again in 1 second"),
        (TooFast("It", 119), 119, "try again in 119 seconds"),
        (NotYet(121), 121, "try again in 3 minutes"),
        (DropFull("Full.", 3600), 3600, "in 60 minutes, not sooner: backchannel sync"),
        (DropFull("Full."), None, DropFull.usual_next),
    ],
)
def test_a_script_learns_the_seconds_of_every_refusal(
    error: RateLimited | DropFull, seconds: int | None, next_step: str
) -> None:
    tools = Tools(json_output=True)
    tools.ui.fail(explain(error))
    said: dict[str, Any] = json.loads(tools.err.getvalue())["error"]
    assert (said.get("retry_after"), said["next"]) == (seconds, next_step)
