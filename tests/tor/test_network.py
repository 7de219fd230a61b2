"""A channel over an onion address, through a Tor network that is all on this machine: real tor, a
real relay, whole programs. `make tor-network`: a minute or two, and no part of `make test`.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backchannel.client.errors import RelayError
from backchannel.client.machine.clock import elapsed
from backchannel.client.wire.relay import Relay, describe
from backchannel.protocol.drop import Drop, show_voucher
from backchannel.protocol.errors import BackchannelError
from backchannel.protocol.secret import DropSecret
from backchannel.protocol.types import Hour
from tests.support.member import Member
from tests.support.people import ENTROPY
from tests.support.person import now
from tests.support.relay import running_relay, until
from tests.tor.network import PATIENCE, Network, network

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "BACKCHANNEL_TOR_NETWORK" not in os.environ, reason="asked for by: make tor-network"
    ),
    pytest.mark.skipif(
        shutil.which("tor", path=f"{os.environ['PATH']}:/usr/sbin") is None
        or shutil.which("tor-gencert", path=f"{os.environ['PATH']}:/usr/sbin") is None,
        reason="tor is not installed; on Debian: apt install tor",
    ),
]
_STREAM = re.compile(r"^(?:250.stream-status=)?(\d+) SUCCEEDED (\d+) (\S+)", re.MULTILINE)
_JOINED = re.compile(
    r"^(?:250.circuit-status=)?(\d+) BUILT .*SOCKS_USERNAME=\"(\w+)\"", re.MULTILINE
)


@dataclass
class Careful(Member):
    """Somebody whose every command goes through Tor."""

    proxy: str = ""

    @property
    def env(self) -> dict[str, str]:
        return super().env | {"BACKCHANNEL_PROXY": self.proxy}

    def timed(self, *arguments: str) -> float:
        """One command; its seconds."""
        before = elapsed()
        self.do(*arguments)
        return elapsed() - before


@dataclass
class Place:
    """A channel at an onion address."""

    tor: Network
    url: str
    fox: Careful
    heron: Careful


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    began = elapsed()
    with (
        tempfile.TemporaryDirectory(prefix="onions-") as name,
        network() as tor,
        running_relay() as relay,
    ):
        print(f"\nThe network stands after {elapsed() - began:.0f} s.")  # noqa: T201 - measured
        url = tor.onion(relay.url.removeprefix("http://"))
        _wait_for(tor, url)
        print(f"The relay answers at its onion address after {elapsed() - began:.0f} s.")  # noqa: T201 - measured
        made = [Careful.make(who, Path(name)) for who in ("Fox", "Heron")]
        fox, heron = (Careful(each.name, each.home, proxy=tor.proxy) for each in made)
        vouchers = "\n".join(map(show_voucher, relay.mint(8)))
        fox.do("channel", "new", "North", "--relay", url, "--vouchers", "-", give=vouchers)
        yield Place(tor, url, fox, heron)


def _wait_for(tor: Network, url: str) -> None:
    """Until the service's entry is where clients look for it."""
    for _ in until(PATIENCE):
        with contextlib.suppress(RelayError):
            describe(url, proxy=tor.proxy)
            return


def test_people_join_and_talk_over_an_onion_address(place: Place) -> None:
    fox, heron = place.fox, place.heron
    words = fox.json("invite", "Heron")["words"]
    heron.do("join", place.url, "--yes", give=words + "\n")
    fox.do("admit", "Heron")
    for _ in range(2):
        heron.do("sync")
        fox.do("sync")
    took = [fox.timed("say", f"Good evening, {n}.") for n in range(3)]
    took += [heron.timed("say", f"And to you, {n}.") for n in range(3)]
    print(f"\n`say` takes {min(took):.1f} to {max(took):.1f} s.")  # noqa: T201 - measured
    assert {"Good evening, 2.", "And to you, 2."} <= set(fox.texts()) & set(heron.texts())


def test_drops_and_directions_come_over_different_circuits(place: Place) -> None:
    """By what tor itself says of its streams, while all of them are open."""
    key = describe(place.url, proxy=place.tor.proxy).key
    drops = [Drop(DropSecret(os.urandom(32)), key) for _ in range(2)]
    with Relay(place.url, key, now, ENTROPY, proxy=place.tor.proxy) as relay:
        for drop in drops:
            for deed in (
                lambda d=drop: relay.read(d, 1, Hour(0)),
                lambda d=drop: relay.append(d, []),
            ):
                with contextlib.suppress(BackchannelError):
                    deed()
        relay.describe()
        streams = _STREAM.findall(place.tor.client.ask("GETINFO stream-status"))
        names = dict(_JOINED.findall(place.tor.client.ask("GETINFO circuit-status")))
    circuits = [circuit for _, circuit, _ in streams]
    assert len(circuits) == len(set(circuits)) == 5
    assert len({names[each] for each in circuits}) == 5


def test_a_tor_that_stops_is_told_and_what_was_said_waits(place: Place) -> None:
    fox, tor = place.fox, place.tor
    tor.client.stop()
    code, error = fox.fails("say", "Into the dark.")
    assert (code, "start Tor" in error["next"]) == (3, True)
    tor.client.start(tor.directory)
    tor.wait(lambda: tor.client.ready)
    _wait_for(tor, place.url)
    fox.do("sync")
    assert "Into the dark." in place.heron.texts()


def test_an_onion_service_that_is_not_there_is_said_so(place: Place) -> None:
    with pytest.raises(RelayError, match="The proxy does not get to"):
        describe(f"http://{'a' * 56}.onion", proxy=place.tor.proxy)
