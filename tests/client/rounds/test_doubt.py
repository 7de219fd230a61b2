"""A clock that leapt: nothing is erased, sealed or sent until somebody says that it is right."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.client.errors import ClockApart, ClockLeapt, RelayDown
from backchannel.client.machine.profile import Profile
from backchannel.client.rounds.session import change
from backchannel.client.rounds.sync import Sync
from backchannel.client.vault.expiry_file import LEAP, ExpiryFile
from backchannel.client.vault.vault import Vault, expire
from backchannel.protocol import command
from backchannel.protocol.types import MAIN_THREAD, Hour, Timestamp, hour_of
from tests.support.clients import NAME, Party, party
from tests.support.people import (
    ENTROPY,
    NOON,
    NORTH,
    PROGRAM,
    add_channel,
    make_vault,
    message,
    passphrase_file,
    program,
    put_ahead,
)

WEEKEND = 63
KEYS = ("expiry.keys", "spare.keys")


def later(hours: int) -> Timestamp:
    return Timestamp(NOON + 3600 * hours)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A vault with a message that lives two days, and one that lives a week."""
    profile, key = make_vault(tmp_path / "home")
    passphrase_file(profile.data)
    with Vault(profile, key, NOON) as vault:
        add_channel(vault)
        with vault.exclusive(NOON), vault.transaction():
            vault.messages.add(message(1, lifetime=48, text="two days"), NOON, ENTROPY)
            vault.messages.add(message(2, lifetime=168, text="a week"), NOON, ENTROPY)
    return profile


def opened(profile: Profile, now: Timestamp) -> Vault:
    from tests.support.people import PASSPHRASE

    return Vault(profile, Vault.key(profile, PASSPHRASE, now, ENTROPY), now)


def keys(profile: Profile) -> list[bytes]:
    return [(profile.vault / name).read_bytes() for name in KEYS]


def kept(vault: Vault, now: Timestamp) -> list[bytes]:
    return [each.plain for each in vault.messages.list(NORTH, now)]


# --- The vault ------------------------------------------------------------------------------------


def test_control_a_clock_that_goes_ahead_by_a_day_at_a_time_erases_and_nobody_asks(
    profile: Profile,
) -> None:
    """THREATS.md says so: whoever sets the clock, and has patience, needs no relay for it."""
    for days in range(1, 8):
        expire(profile, later(24 * days))
    with opened(profile, NOON) as vault:
        assert kept(vault, NOON) == []


@pytest.mark.parametrize(("hours", "leaps"), [(LEAP, False), (LEAP + 1, True)])
def test_a_day_is_no_leap_and_an_hour_more_is(profile: Profile, hours: int, leaps: bool) -> None:
    with ExpiryFile(profile.vault / KEYS[0]) as file:
        hour = Hour(hour_of(NOON) + hours)
        assert file.keys.leaps(hour) == bool(file.leapt(hour)) == leaps
    with opened(profile, later(hours)) as vault:
        assert bool(vault.leapt(later(hours))) == leaps


def test_nothing_opens_whose_hour_has_passed_by_either_clock_and_nothing_is_erased(
    profile: Profile,
) -> None:
    before = keys(profile)
    with opened(profile, later(WEEKEND)) as vault:
        assert kept(vault, later(WEEKEND)) == [b"a week"]
    assert keys(profile) == before
    with opened(profile, NOON) as vault:  # it was wrong, and is set right
        assert kept(vault, NOON) == [b"two days", b"a week"]


def test_nothing_is_changed_under_a_doubtful_hour(profile: Profile) -> None:
    now = later(WEEKEND)
    with opened(profile, now) as vault:
        with pytest.raises(ClockLeapt, match="2 days ahead"), vault.exclusive(now):
            raise AssertionError
        with pytest.raises(ClockLeapt):
            vault.sweep(now, ENTROPY)


def test_once_somebody_says_that_it_is_right_both_halves_go_by_it(profile: Profile) -> None:
    now, before = later(WEEKEND), keys(profile)
    with opened(profile, now) as vault:
        vault.trust(now)
        assert not vault.leapt(now)
        assert kept(vault, now) == [b"a week"]
        with vault.exclusive(now), vault.transaction():
            vault.messages.add(message(3, now), now, ENTROPY)
    assert all(each != old for each, old in zip(keys(profile), before, strict=True))
    for name in KEYS:
        with ExpiryFile(profile.vault / name) as file:
            assert file.highest == hour_of(now)
    with opened(profile, NOON) as vault:
        assert kept(vault, NOON) == [b"a week", b"hello"]


def test_attack_a_clock_that_is_set_back_after_that_opens_nothing(profile: Profile) -> None:
    expire(profile, later(WEEKEND), sure=True)
    for hours in (0, 1, 47, WEEKEND):
        with opened(profile, later(hours)) as vault:
            assert kept(vault, later(hours)) == [b"a week"]


def test_a_timer_does_not_decide_it(profile: Profile) -> None:
    before = keys(profile)
    with pytest.raises(ClockLeapt):
        expire(profile, later(WEEKEND))
    assert keys(profile) == before
    expire(profile, later(WEEKEND), sure=True)
    assert keys(profile) != before
    expire(profile, later(WEEKEND + LEAP))


# --- The program ----------------------------------------------------------------------------------


def run(profile: Profile, *arguments: str) -> subprocess.CompletedProcess[str]:
    secret = profile.data / "passphrase"
    return program(*arguments, "--passphrase-file", str(secret), home=profile.data)


def at_a_terminal(profile: Profile, answer: str, *arguments: str) -> tuple[int, str]:
    """A command whose question somebody answers; its exit code, and what stood on the screen."""
    terminal, end = pty.openpty()
    secret = ("--passphrase-file", str(profile.data / "passphrase"))
    env = {k: v for k, v in os.environ.items() if not k.startswith("BACKCHANNEL_")}
    process = subprocess.Popen(
        [*PROGRAM, "--home", str(profile.data), *arguments, *secret],
        stdin=end, stdout=end, stderr=end, env=env, start_new_session=True,
    )  # fmt: skip
    os.close(end)
    os.write(terminal, answer.encode() + b"\n")
    screen = b""
    while True:
        try:
            screen += os.read(terminal, 4096)
        except OSError:  # the last one to write has gone
            break
    os.close(terminal)
    return process.wait(60), screen.decode()


def test_without_a_terminal_it_is_refused_with_the_next_command(profile: Profile) -> None:
    put_ahead(profile, WEEKEND)
    before = keys(profile)
    done = run(profile, "thread", "list", "--offline", "--json")
    assert done.returncode == 8
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "clock-leapt"
    assert error["next"] == "set the clock right; or, if it is: backchannel tick --accept"
    assert keys(profile) == before
    assert run(profile, "tick").returncode == 8
    assert keys(profile) == before
    done = run(profile, "tick", "--accept")
    assert (done.returncode, done.stderr) == (0, "")
    assert keys(profile) != before
    assert run(profile, "tick").returncode == 0


@pytest.mark.parametrize(("answer", "right"), [("y", True), ("", False), ("n", False)])
def test_who_sits_there_is_asked(profile: Profile, answer: str, right: bool) -> None:
    put_ahead(profile, WEEKEND)
    before = keys(profile)
    _, screen = at_a_terminal(profile, answer, "status", "--offline")
    question = "This machine's clock is 2 days ahead of when the vault was last used. Is it right?"
    assert question in " ".join(screen.split())
    assert ("backchannel tick --accept" in screen) is not right
    assert (keys(profile) != before) is right


def test_a_vault_with_nothing_in_it_asks_nobody(tmp_path: Path) -> None:
    profile, _ = make_vault(tmp_path / "home")
    passphrase_file(profile.data)
    put_ahead(profile, WEEKEND)
    done = run(profile, "status")
    assert (done.returncode, done.stderr) == (0, "")


# --- Relays ---------------------------------------------------------------------------------------


@pytest.fixture
def north() -> Iterator[Party]:
    with party("Heron") as made:
        yield made


def away(north: Party, alias: str) -> None:
    """Everybody's clock goes on over a weekend, and this one has done nothing."""
    north.settle()
    north.pass_hours(WEEKEND)
    client = north.clients[alias]
    assert client.vault.leapt(client.tools.now())


@pytest.mark.slow
def test_a_relay_confirms_a_weekend_and_nobody_is_asked(north: Party) -> None:
    away(north, "Heron")
    heron = north.clients["Heron"]
    with pytest.raises(ClockLeapt):
        heron.say("Before any relay was asked.")
    heron.sync()
    assert not heron.vault.leapt(heron.tools.now())
    heron.say("After it.")
    heron.sync()
    assert heron.vault.outbox.count() == 0


@pytest.mark.slow
def test_attack_a_clock_alone_erases_nothing_while_a_relay_has_another_hour(north: Party) -> None:
    north.settle()
    heron = north.clients["Heron"]
    with change(heron.vault, NAME, heron.tools.now(), ENTROPY) as session:
        session.act(command.Say(MAIN_THREAD, "kept"))
    before = len(heron.plain())
    north.hours.ahead += 24 * 30  # the relay's does not
    with pytest.raises(ClockApart), Sync(heron.app, heron.vault) as rounds:
        rounds.channel(NAME)
    assert heron.plain() == []
    north.hours.ahead -= 24 * 30
    assert len(heron.plain()) == before


@pytest.mark.slow
def test_while_no_relay_answers_a_round_is_tried_again_later(north: Party) -> None:
    away(north, "Heron")
    heron = north.clients["Heron"]
    north.relay.stop()
    with pytest.raises(RelayDown, match="clock leapt"), Sync(heron.app, heron.vault) as rounds:
        rounds.channel(NAME)
    assert heron.vault.leapt(heron.tools.now())
