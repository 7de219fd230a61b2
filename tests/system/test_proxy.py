"""Whole programs through a SOCKS server that sees every connection: two relays, three channels, an
invite, a lobby and what nobody in particular said. And below Python, that nothing else connects.
"""

import contextlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backchannel.protocol.drop import show_voucher
from tests.support.member import Member
from tests.support.relay import RelayProcess, running_relay
from tests.support.socks import Seen, Socks

pytestmark = [pytest.mark.system, pytest.mark.slow]

HERE, THERE = (f"{letter * 56}.onion" for letter in "ab")
AUDIT = """
import sys
told = open(sys.argv.pop(1), "a", buffering=1)
def hook(event, arguments):
    if event.startswith("socket.get") or event in {"socket.connect", "socket.sendto"}:
        told.write(f"{event} {arguments[1:] if 'get' not in event else arguments}\\n")
sys.addaudithook(hook)
"""
"""Before a program's own lines: whatever Python is about to look up or to connect to, by whatever
library, is written down.
"""


@dataclass
class Careful(Member):
    """Somebody whose every command goes through a proxy, and is watched below it."""

    proxy: str = ""

    @property
    def command(self) -> list[str]:
        found = super().command
        at = found.index("-c") + 1
        return [*found[:at], AUDIT + found[at], str(self.audit), *found[at + 1 :]]

    @property
    def audit(self) -> Path:
        return self.home.with_name(f"{self.home.name}.audit")

    @property
    def env(self) -> dict[str, str]:
        """With proxies of the system, too, which are none of ours."""
        others = dict.fromkeys(("http_proxy", "https_proxy", "ALL_PROXY"), "http://192.0.2.1:3128")
        return super().env | others | {"BACKCHANNEL_PROXY": self.proxy}

    @property
    def strange(self) -> list[str]:
        """What was looked up or reached beside the proxy and the vault's own agent."""
        port = self.proxy.rpartition(":")[2]
        own = re.compile(rf"socket\.connect \(\('127\.0\.0\.1', {port}\),\)|socket\.connect \('/")
        asked = re.compile(rf"socket\.getaddrinfo \('127\.0\.0\.1', {port},")
        lines = self.audit.read_text().splitlines()
        assert any(own.match(line) for line in lines)
        return [line for line in lines if not own.match(line) and not asked.match(line)]


@dataclass
class Place:
    """Two relays behind one proxy, and who talks there."""

    socks: Socks
    here: RelayProcess
    there: RelayProcess
    people: dict[str, Careful]
    commands: list[list[Seen]] = field(default_factory=list)
    """What the proxy saw, command by command."""
    nobodys: int = 0
    """In which of them what nobody said went."""

    @property
    def fox(self) -> Careful:
        return self.people["Fox"]

    @property
    def heron(self) -> Careful:
        return self.people["Heron"]

    def do(self, who: Careful, *arguments: str, give: str = "") -> str:
        done = who.do(*arguments, give=give)
        self.commands.append(self.socks.fresh())
        return done

    def open(self, name: str, relay: RelayProcess, host: str) -> None:
        vouchers = "\n".join(map(show_voucher, relay.mint(6)))
        more = ("--relay", f"http://{host}", "--vouchers", "-", "--alias", "Fox")
        self.do(self.fox, "channel", "new", name, *more, give=vouchers)

    def admit(self, guest: Careful) -> None:
        asked = ("invite", guest.name, "--channel", "North", "--json")
        words = json.loads(self.do(self.fox, *asked))["words"]
        self.do(guest, "join", f"http://{HERE}", "--yes", give=words + "\n")
        self.do(self.fox, "admit", guest.name, "--channel", "North")

    def move_clock(self, hours: int) -> None:
        for relay in (self.here, self.there):
            relay.move_clock(hours)
        for each in self.people.values():
            each.ahead = hours

    @property
    def seen(self) -> list[Seen]:
        return [each for command in self.commands for each in command]


@contextlib.contextmanager
def careful(*names: str) -> Iterator[Place]:
    with (
        tempfile.TemporaryDirectory(prefix="proxied-") as name,
        running_relay() as here,
        running_relay() as there,
        Socks({HERE: here.url[7:], THERE: there.url[7:]}) as socks,
    ):
        made = [Careful.make(who, Path(name)) for who in names]
        people = {each.name: Careful(each.name, each.home, proxy=socks.url) for each in made}
        yield Place(socks, here, there, people)


@pytest.fixture(scope="module")
def talked() -> Iterator[Place]:
    """Fox has two channels here and one there; the others are in one; one spoke as nobody."""
    with careful("Fox", "Heron", "Ibis", "Wren") as place:
        fox, heron, *_ = place.people.values()
        place.open("North", place.here, HERE)
        place.open("South", place.here, HERE)
        place.open("East", place.there, THERE)
        for guest in list(place.people.values())[1:]:
            place.admit(guest)
        place.do(fox, "policy", "set", "--unattributed", "4", "--channel", "North")
        for who in place.people.values():
            place.do(who, "sync")
        for who in place.people.values():
            place.do(who, "say", "I am here.", "--channel", "North")
        place.do(heron, "say", "--unattributed", "--yes", "I doubt it.")
        place.move_clock(6)
        place.do(heron, "sync")
        place.nobodys = len(place.commands) - 1
        for channel in ("North", "South", "East"):
            place.do(fox, "say", "Good evening.", "--channel", channel)
        place.do(fox, "sync")
        assert "I doubt it." in fox.texts("--offline", "--channel", "North")
        yield place


def test_attack_nobody_joins_drops_or_directions_by_what_they_come_over(talked: Place) -> None:
    """Every connection has a name; a name is of one relay, one drop and one direction, and of one
    command: also of two channels at one relay, of a lobby, of the question who a relay is.
    """
    lines: dict[str, set[tuple[str, bytes, bool]]] = {}
    for each in talked.seen:
        for asked in each.asked:
            lines.setdefault(each.name, set()).add((each.host, *asked.line))
    assert {len(line) for line in lines.values()} == {1}
    commands = Counter(name for one in talked.commands for name in {each.name for each in one})
    assert set(commands.values()) == {1}
    drops = {(host, drop) for line in lines.values() for host, drop, _ in line if drop}
    assert {host for host, _ in drops} == {HERE, THERE}
    assert len(drops) >= 4  # three channels and a lobby


def test_one_command_asks_for_several_drops_under_as_many_names(talked: Place) -> None:
    found = {asked.drop: each.name for each in talked.commands[-1] for asked in each.asked}
    assert len(found) == len(set(found.values())) >= 3


def test_attack_what_nobody_said_goes_alone_under_a_name_of_its_own(talked: Place) -> None:
    (posted,) = [
        each
        for each in talked.commands[talked.nobodys]
        if any(asked.path == b"/v1/append" for asked in each.asked)
    ]
    assert len(posted.asked) == 1
    assert not [each for each in talked.seen if each is not posted and each.name == posted.name]


def test_all_that_the_proxy_is_told_are_the_relays_names(talked: Place) -> None:
    assert {(each.kind, each.host, each.port) for each in talked.seen} == {
        (3, HERE, 80),
        (3, THERE, 80),
    }


def test_every_request_of_everybody_has_the_same_head(talked: Place) -> None:
    kinds = {
        re.sub(rb"/v1/[a-z]+|[ab]{56}|Length: [0-9]+", b"*", head)
        for each in talked.seen
        for head in each.heads
    }
    host = b" * HTTP/1.1\r\nHost: *.onion"
    kind = b"\r\nContent-*"
    assert kinds == {b"GET" + host, b"POST" + host + kind}


def test_attack_92_no_name_is_looked_up_and_nothing_else_is_connected_to(talked: Place) -> None:
    for each in (talked.fox, talked.heron):
        assert each.strange == []


def test_attack_no_command_goes_around_a_proxy_that_fails(talked: Place) -> None:
    """Down, or with no way on: what was said waits, and the relays are not reached otherwise."""
    heron = talked.heron
    heron.audit.unlink()
    with Socks({}) as socks:
        heron.proxy = socks.url
        code, error = heron.fails("say", "Is anybody there?")
        assert (code, "proxy" in error["message"]) == (3, True)
    code, error = heron.fails("sync")
    assert (code, "start Tor" in error["next"]) == (3, True)
    assert heron.strange == []
    heron.proxy = talked.socks.url
    heron.do("sync")
    assert "Is anybody there?" in talked.fox.texts("--channel", "North")


def test_attack_a_command_without_the_proxy_sends_nothing(talked: Place) -> None:
    heron = Member("Heron", talked.heron.home, talked.heron.ahead)
    code, error = heron.fails("sync")
    assert (code, "--proxy none" in error["next"]) == (6, True)
    code, error = heron.fails("sync", "--proxy", "none")
    assert (code, "only through Tor" in error["message"]) == (2, True)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_below_python_too_nothing_else_is_connected_to(talked: Place, tmp_path: Path) -> None:
    fox, said = talked.fox, tmp_path / "said"
    traced = ["strace", "-f", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(said)]
    import subprocess

    command = [*traced, *Member.command.fget(fox), "sync"]  # type: ignore[attr-defined]
    subprocess.run(command, env=fox.env, check=True, timeout=120, capture_output=True)
    reached = [line for line in said.read_text().splitlines() if "AF_INET" in line]
    assert reached
    assert all(f"htons({talked.socks.port})" in line for line in reached)
