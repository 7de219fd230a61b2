"""What a relay, a facilitator, a proxy, a file or a clock may do to a client."""

import io
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import cast

import pytest
import time_machine

from backchannel.client.app import App
from backchannel.client.cli import run
from backchannel.client.errors import (
    ClockAbsurd,
    ClockApart,
    ClockLeapt,
    DropFull,
    Interrupted,
    Refused,
    RelayDown,
    RelayGarbage,
    UnsafeFile,
    UsageMistake,
    VaultBusy,
    VoucherRefused,
    explain,
)
from backchannel.client.exits import Exit
from backchannel.client.machine import clock
from backchannel.client.machine.profile import Profile
from backchannel.client.rounds import joining
from backchannel.client.rounds.outbox import Delivery
from backchannel.client.rounds.sync import Sync
from backchannel.client.settings import Settings
from backchannel.client.ui import Ui
from backchannel.client.vault.cursors import Cursor
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.vault import Vault, expire
from backchannel.client.wire.address import Address
from backchannel.client.wire.relay import Relay, describe
from backchannel.client.wire.transport import Transport
from backchannel.protocol.candidate import Candidate
from backchannel.protocol.command import Say
from backchannel.protocol.drop import Drop, Operation, Page, Stored
from backchannel.protocol.outcome import EVERY_HOUR, OpenDrop, Poll, Said
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.types import MAIN_THREAD, Block, DropId, Hour, Timestamp
from tests.client.rounds import test_outbox as outboxes
from tests.client.rounds import test_session as sessions
from tests.client.wire.test_relay import DROP, honest, relay
from tests.support.liar import KEY, Liar, description, http
from tests.support.people import NOON, make_vault

DAY = 24 * 3600
BLOCK = Block(bytes(4096))
VICTIM = Poll("https://relay.example", DROP)


# A relay that holds the key of the drop, and lies.


def read(page: Page, position: int) -> Page:
    with Liar(honest(200, page.pack())) as liar, relay(liar.url) as asked:
        return asked.read(DROP, position, EVERY_HOUR)


@pytest.mark.parametrize(
    "page",
    [
        Page(9, more=False, rows=(Stored(3, Hour(1), BLOCK),)),
        Page(2**63, more=False, rows=()),
        Page(2**64 - 1, more=True, rows=(Stored(2**64 - 2, Hour(1), BLOCK),)),
    ],
)
def test_attack_a_page_of_positions_that_cannot_be_is_garbage(page: Page) -> None:
    with pytest.raises(RelayGarbage):
        read(page, 5)


def test_attack_a_relay_back_from_a_backup_has_another_end_and_is_believed() -> None:
    assert read(Page(3, more=False, rows=()), 5).following == 3


def syncing(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Sync:
    app = App()
    monkeypatch.setattr(app, "now", lambda: NOON)
    return Sync(app, vault)


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Vault]:
    """A vault with one channel, founded and not delivered."""
    with Vault(*make_vault(tmp_path / "home"), NOON) as opened:
        sessions.found(opened)
        yield opened


def test_attack_15_positions_that_a_restored_relay_gives_again_are_read(
    north: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = syncing(north, monkeypatch)
    with north.exclusive(NOON), north.transaction():
        north.cursors.put(VICTIM.relay, DROP.id, Cursor(100, EVERY_HOUR))
    pages = {100: Page(95, more=False, rows=()), 0: Page(95, more=False, rows=())}
    places = []
    for _ in range(3):
        fetch(sync, monkeypatch, pages.__getitem__)
        places.append(north.cursors.get(VICTIM.relay, DROP.id).position)
        pages[95] = Page(95, more=False, rows=())
    assert places == [0, 95, 95]


def fetch(sync: Sync, monkeypatch: pytest.MonkeyPatch, page: Callable[[int], Page]) -> None:
    """The drop, from a relay that answers with `page` for each position."""

    class Answers:
        @staticmethod
        def read(_drop: Drop, position: int, _hour: Hour, wait: int) -> Page:
            return page(position)

    monkeypatch.setattr(sync._app, "relay", lambda *_: nullcontext(Answers))
    sync._net.relays.speak_for(bytes(16))
    sync._net.relays.speak_for(b"another".ljust(16))
    sync._drops._reader("North").run([VICTIM], lambda: False)


def test_attack_a_relay_that_always_has_more_does_not_keep_a_round_for_ever(
    north: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backchannel.client.rounds.fetching.MOST_PAGES", 5)
    asked = []

    def more(position: int) -> Page:
        asked.append(position)
        return Page(position + 1, more=True, rows=())

    fetch(syncing(north, monkeypatch), monkeypatch, more)
    assert asked == [0, 1, 2, 3, 4]


def test_attack_nor_does_a_lobby_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        def read(self, _drop: Drop, position: int, _hour: Hour) -> Page:
            return Page(position + 1, more=True, rows=())

    class Reader:
        def polls(self) -> tuple[Poll]:
            return (VICTIM,)

    monkeypatch.setattr(joining, "MOST_PAGES", 5)
    with pytest.raises(RelayGarbage, match="more than any"):
        joining._read_lobby(cast("Candidate", Reader()), cast("Relay", Endless()), NOON)


@pytest.mark.parametrize(
    "answer",
    [
        http(200, json.dumps({"static_key": KEY.value.hex(), "hour": 1, "classes": [],
                              "max_blocks": 1}).encode()),
        description(hour=10**4000),
        description(hour=-1),
    ],
)  # fmt: skip
def test_attack_a_description_with_a_part_missing_or_absurd_is_no_relay(answer: bytes) -> None:
    with Liar(lambda _: [answer]) as liar, pytest.raises(RelayGarbage):
        describe(liar.url)


# Addresses and proxies.


@pytest.mark.parametrize("host", ["127.999.1.1", "127.0.0.256", "127.08.0.1", "127.0.0.1.evil"])
def test_attack_what_a_name_server_would_be_asked_for_is_not_this_machine(host: str) -> None:
    with pytest.raises(UsageMistake, match="Over http"):
        Address.parse(f"http://{host}")
    assert not Address.parse(f"https://{host}").loopback


@pytest.mark.parametrize("host", ["a" * 64 + ".example", ".".join(["a" * 60] * 5)])
def test_attack_a_name_that_no_name_can_be_is_a_mistake(host: str) -> None:
    with pytest.raises(UsageMistake):
        Address.parse(f"https://{host}")


@pytest.mark.parametrize(
    "url",
    ["https://RELAY.example", "https://relay.example:443", "https://relay.example/", "http://a\nb"],
)
def test_attack_a_second_spelling_does_not_escape_the_pinned_key(url: str) -> None:
    joining._refuse_unless_address("https://relay.example")
    with pytest.raises(Refused, match="no relay's address"):
        joining._refuse_unless_address(url)


@contextmanager
def proxy(*answers: bytes) -> Iterator[str]:
    """Answers each thing it is told with the next of `answers`, and hangs up."""

    def serve() -> None:
        with listener.accept()[0] as connection:
            for each in answers:
                connection.recv(1000)
                connection.sendall(each)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"socks5h://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(60)


@pytest.mark.parametrize(
    "answers",
    [
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        [b"\x05"],
        [b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x09abc"],
        [b"\x05\x02", b"\x01\x00", b"\x05\x99\x00\x01" + bytes(6)],
    ],
)
def test_attack_a_proxy_that_answers_garbage_is_told_in_a_sentence(answers: list[bytes]) -> None:
    with proxy(*answers) as url:
        transport = Transport(Address.parse("https://relay.example"), url)
        with closing(transport), pytest.raises(RelayDown, match="proxy"):
            transport.exchange("GET", "/v1/relay", b"", 1000, 5)


# The outbox.


def test_attack_two_processes_do_not_pay_twice_for_one_drop(
    made: tuple[Profile, VaultKey], vault: Vault
) -> None:
    """While this one is told that its voucher is not taken, another has paid anew."""
    lobby = outboxes.drop(1)
    with vault.exclusive(NOON), vault.transaction():
        vault.vouchers.add_many(outboxes.URL, [bytes([n] * 16) for n in (1, 2, 3)])
    outboxes.put(vault, OpenDrop(outboxes.URL, lobby, x25519_public(outboxes.CLOSE), 0))
    told = []

    def fail(_operation: Operation, _drop: DropId, payload: bytes) -> VoucherRefused | None:
        told.append(payload[:16])
        if len(told) > 1:
            return None
        with Vault(*made, NOON) as other, other.exclusive(NOON), other.transaction():
            (row,) = other.outbox.pending()
            voucher = other.vouchers.take(outboxes.URL)
            assert voucher is not None
            other.outbox.replace(row.id, voucher + row.payload[16:])
        return VoucherRefused("no")

    assert outboxes.deliver(vault, outboxes.FakeRelay(fail=fail))[:2] == (1, None)
    assert told == [bytes([1] * 16), bytes([2] * 16)]
    assert vault.vouchers.count(outboxes.URL) == 1


def test_attack_71_a_drop_that_is_full_of_what_is_owed_holds_up_no_other(vault: Vault) -> None:
    full, free = outboxes.drop(1), outboxes.drop(2)
    outboxes.put(vault, *(outboxes.block(number, full) for number in range(300)))
    outboxes.put(vault, outboxes.block(1, free))

    def fail(_operation: Operation, drop: DropId, _payload: bytes) -> DropFull | None:
        return DropFull("full") if drop == full.id else None

    sent, problem, *_ = outboxes.deliver(vault, outboxes.FakeRelay(fail=fail))
    assert sent == 1
    assert isinstance(problem, DropFull)
    assert {row.drop for row in vault.outbox.pending()} == {full.id}


@pytest.mark.parametrize(
    ("raised", "kind"), [(KeyboardInterrupt(), Interrupted), (VaultBusy("Busy."), VaultBusy)]
)
def test_attack_words_that_are_said_once_are_said_though_nobody_waits_for_the_relay(
    raised: BaseException,
    kind: type[Exception],
    north: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`invite` prints its words after `send`: whatever ends that must come back to it."""

    def stop(*_: object) -> None:
        raise raised

    sync = syncing(north, monkeypatch)
    assert sync.act("North", Say(MAIN_THREAD, "Once."), Said) is not None
    monkeypatch.setattr(Delivery, "run", stop)
    assert isinstance(sync.send("North"), kind)


# Clocks.


def test_attack_28_what_is_said_by_a_clock_set_back_is_not_called_sent(
    north: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hour would be the highest seen: others refuse a message from the future."""
    sync = syncing(north, monkeypatch)
    north.trust(Timestamp(NOON + 3 * DAY))
    with pytest.raises(ClockApart, match="72 hours behind"):
        sync.act("North", Say(MAIN_THREAD, "From the future."), Said)
    assert north.outbox.count() == 1


def test_attack_28_a_clock_decades_ahead_destroys_nothing_and_is_told(tmp_path: Path) -> None:
    profile, key = make_vault(tmp_path / "home")
    absurd = Timestamp(NOON + 40 * 366 * DAY)
    with Vault(profile, key, absurd) as vault, pytest.raises(ClockAbsurd, match="decades ahead"):
        vault.trust(absurd)
    with Vault(profile, key, NOON) as vault:
        assert vault.hour(NOON) == NOON // 3600


def test_attack_28_a_timer_stops_at_a_leap_and_destroys_nothing(tmp_path: Path) -> None:
    profile, key = make_vault(tmp_path / "home")
    with pytest.raises(ClockLeapt, match="25 hours ahead"):
        expire(profile, Timestamp(NOON + 25 * 3600))
    with Vault(profile, key, NOON) as vault:
        assert vault.hour(NOON) == NOON // 3600
    expire(profile, Timestamp(NOON + DAY))


def test_attack_28_a_vault_is_not_made_by_a_clock_that_was_never_set(tmp_path: Path) -> None:
    with pytest.raises(ClockAbsurd):
        make_vault(tmp_path / "home", Timestamp(3600))
    assert not Profile.at(tmp_path / "home").has_vault


def test_attack_a_clock_before_1970_is_1970(tmp_path: Path) -> None:
    with time_machine.travel(-DAY, tick=False):
        assert clock.now(Profile.at(tmp_path)) == 0


# Files and text.


def test_attack_whoever_writes_the_settings_of_another_is_not_obeyed(tmp_path: Path) -> None:
    """`join` reads the proxy before anything asks for the vault."""
    home = tmp_path / "home"
    home.mkdir(0o700)
    (home / "config.toml").write_text('proxy = "socks5h://evil.example:1"')
    (home / "config.toml").chmod(0o622)
    with pytest.raises(UnsafeFile):
        _ = Settings({"home": str(home)}).proxy
    (home / "config.toml").chmod(0o600)
    home.chmod(0o770)
    with pytest.raises(UnsafeFile):
        _ = Settings({"home": str(home)}).proxy


def test_attack_38_a_traceback_lets_nothing_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BACKCHANNEL_DEBUG", "1")
    assert run(["status", "--home", str(tmp_path / "a\x1b]52;c;aGk=\x07")], App()) != Exit.DONE
    assert "\x1b" not in capsys.readouterr().err


def test_attack_38_an_error_that_quotes_a_topic_stays_one_line() -> None:
    err = io.StringIO()
    Ui(err=err).fail(explain(UsageMistake("Several: a\nerror: your vault is gone.", "b\nnext: c")))
    assert len(err.getvalue().splitlines()) == 2


@pytest.mark.parametrize("arguments", [["say", "-"], ["join", "http://127.0.0.1:9"]])
def test_attack_54_what_is_piped_in_and_no_text_is_a_mistake(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), "utf-8")
    monkeypatch.setattr(sys, "stdin", given)
    assert run([*arguments, "--home", str(tmp_path / "home")], App()) == Exit.USAGE
    assert "UTF-8" in capsys.readouterr().err


def test_attack_43_a_passphrase_that_is_no_text_is_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BACKCHANNEL_DEBUG", "1")
    monkeypatch.setattr(Ui, "ask_secret", lambda *_: "secret word \udcff")
    assert run(["unlock", "--home", str(tmp_path / "home")], App()) == Exit.LOCKED
    shown = capsys.readouterr().err
    assert "UTF-8" in shown
    assert "secret" not in shown
