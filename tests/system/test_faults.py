"""What goes wrong between two machines: a relay that is down, killed, exchanged or lying; a client
that is killed at any moment; noise in a drop; two processes in one vault.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from backchannel.protocol.channel import Channel as Protocol
from backchannel.protocol.drop import Drop, show_voucher
from backchannel.protocol.secret import X25519Private
from tests.support.liar import Liar, http
from tests.support.member import Channel, Member, channel
from tests.support.relay import DropClient, running_relay

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    with channel("Heron", "Osprey") as made:
        yield made


def drop_of(north: Channel, http_client: httpx.Client) -> DropClient:
    """The channel's drop, by the credentials that every member has."""
    with north.people["Heron"].vault() as vault:
        row = vault.channels.get("North")
        names = vault.channels.epochs(row.id)
        state = Protocol.open(row.state, {name: vault.clock(name) for name in names}).state
    drop = Drop.of_epoch(state.epoch.secret, state.relays[0].public)
    unknown = X25519Private(os.urandom(32))
    return DropClient(
        http_client, drop.relay, north.relay.url, drop=drop.id, access=drop.access, close=unknown
    )


def test_a_message_waits_for_a_relay_that_is_down_and_comes_once(north: Channel) -> None:
    heron, osprey = north.people["Heron"], north.people["Osprey"]
    north.relay.kill()
    try:
        done = heron.run("say", "Patience.", "--json")
        assert done.returncode == 3
        assert json.loads(done.stdout)["state"] == "queued"
        error = json.loads(done.stderr)["error"]
        assert error["next"] == "backchannel sync"
        assert "safe in the outbox" in error["message"]
        assert heron.json("status", "--offline")["outbox"] == 1
        assert heron.fails("sync")[0] == 3
    finally:
        north.come_back()
    heron.do("sync")
    heron.do("sync")
    assert osprey.texts().count("Patience.") == 1
    assert heron.json("status", "--offline")["outbox"] == 0


def test_what_was_reported_outlives_a_relay_that_is_killed(north: Channel) -> None:
    said = [f"Durable {number}." for number in range(3)]
    for text in said:
        assert north.people["Heron"].json("say", text)["state"] == "at-relay"
        north.relay.kill()
        north.come_back()
    assert [text for text in north.people["Osprey"].texts() if text in said] == said


@pytest.mark.parametrize("seed", range(3))
def test_a_client_killed_at_any_moment_loses_and_doubles_nothing(north: Channel, seed: int) -> None:
    moments = (0.2 + (7 * seed + 3 * number) % 11 / 20 for number in itertools.count())
    heron, osprey = north.people["Heron"], north.people["Osprey"]
    told = {}
    for number in range(6):
        text = f"Moment {seed}.{number}"
        code, out = heron.killed(next(moments), "say", text, "--json")
        told[text] = code == 0 and json.loads(out)["state"] == "at-relay"
        osprey.killed(next(moments), "sync")
    heron.do("sync")
    osprey.do("sync")
    for reader in (heron, osprey):
        seen = Counter(reader.texts())
        assert all(seen[text] == 1 for text, at_relay in told.items() if at_relay)
        assert max(seen[text] for text in told) <= 1
    both = [{text for text in told if text in reader.texts()} for reader in (heron, osprey)]
    assert both[0] == both[1]
    assert heron.json("status", "--offline")["outbox"] == 0


FATAL = """
import os, signal, sys
from backchannel.client.vault import database, expiry_file
from backchannel.client.wire import transport
left = int(sys.argv.pop(1))

def fatal(kind, name, is_a_write=lambda *_: True):
    method = getattr(kind, name)
    def step():
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def wrapped(self, *arguments):
        if not is_a_write(*arguments):
            return method(self, *arguments)
        step()
        answer = method(self, *arguments)
        step()
        return answer
    setattr(kind, name, wrapped)

fatal(transport.Transport, "exchange")
fatal(database.Database, "_run", lambda text, _: text.startswith(("BEGIN", "COMMIT", "DELETE")))
fatal(expiry_file.ExpiryFile, "apply")
from backchannel.client.cli import main
main()
"""
"""Dies by kill -9 before or after the n-th request, or change of the disk, that it makes."""


def test_a_client_killed_at_each_write_loses_and_doubles_nothing(north: Channel) -> None:
    heron, osprey = north.people["Heron"], north.people["Osprey"]
    told: dict[str, bool] = {}
    codes: dict[str, list[int]] = {"say": [], "sync": []}
    for number in itertools.count(1):
        text = f"Write {number}"
        done = fatally(heron, number, "say", text, "--json")
        told[text] = done.returncode == 0
        codes["say"].append(done.returncode)
        codes["sync"].append(fatally(osprey, number, "sync").returncode)
        assert {codes["say"][-1], codes["sync"][-1]} <= {0, -signal.SIGKILL}, done.stderr
        if codes["say"][-1] == codes["sync"][-1] == 0:
            break
    assert min(codes["say"].count(-9), codes["sync"].count(-9)) >= 10
    heron.do("sync")
    osprey.do("sync")
    seen = [Counter(text for text in reader.texts() if text in told) for reader in (heron, osprey)]
    assert seen[0] == seen[1]
    assert set(seen[0].values()) == {1}
    assert all(text in seen[0] for text, at_relay in told.items() if at_relay)


def fatally(person: Member, moment: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that kills itself."""
    return subprocess.run(
        [sys.executable, "-c", FATAL, str(moment), "--home", str(person.home), *arguments],
        capture_output=True, text=True, timeout=60, check=False, env=person.env,
    )  # fmt: skip


def test_two_processes_share_a_vault(north: Channel) -> None:
    heron, osprey = north.people["Heron"], north.people["Osprey"]
    said = [f"Together {number}." for number in range(4)]
    running = [heron.start("say", text, "--json") for text in said]
    ended = [process.communicate(timeout=60) for process in running]
    assert all(process.returncode == 0 for process in running), ended
    assert sorted(t for t in osprey.texts() if t in said) == said
    assert sorted(t for t in heron.texts() if t in said) == said


def test_noise_in_the_drop_is_counted_and_stops_nothing(north: Channel) -> None:
    heron, osprey = north.people["Heron"], north.people["Osprey"]
    osprey.do("sync")
    before = osprey.json("status", "--offline")["channels"][0]["refused_blocks"]
    heron.json("say", "Before the noise.")
    with closing(httpx.Client(base_url=north.relay.url, trust_env=False)) as client:
        drop = drop_of(north, client)
        good = drop.read(1).rows[-1].block
        flipped = bytearray(good)
        flipped[2000] ^= 1
        drop.append(os.urandom(4096), bytes(flipped), good)
    heron.json("say", "After the noise.")
    assert osprey.texts()[-2:] == ["Before the noise.", "After the noise."]
    (standing,) = osprey.json("status", "--offline")["channels"]
    assert standing["refused_blocks"] == before + 2
    assert "2 blocks refused" in osprey.do("status", "--offline") or before


def test_another_relay_at_the_address_is_refused_with_code_4(north: Channel) -> None:
    heron = north.people["Heron"]
    port = north.relay.url.rpartition(":")[2]
    north.relay.stop()
    try:
        with running_relay(start=False) as impostor:
            impostor.start("--port", port)
            for verb in (["sync"], ["say", "To whom?"], ["read"]):
                code, error = heron.fails(*verb)
                assert (code, error["code"]) == (4, "relay-key-changed")
                assert "facilitator" in error["next"]
            words = "legal winner thank year wave sausage worth useful legal winner thank yellow"
            code, _ = heron.fails("join", impostor.url, "--yes", give=words)
            assert code in {4, 9}
    finally:
        north.come_back()
    heron.do("sync")
    assert north.people["Osprey"].texts().count("To whom?") == 1


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"\x00\xff not HTTP\r\n\r\n", b""]
)
def test_a_relay_that_answers_garbage_is_told_and_nothing_is_lost(answer: bytes) -> None:
    with channel() as made:
        port = int(made.relay.url.rpartition(":")[2])
        made.relay.stop()
        with Liar(lambda _: [answer], port=port):
            code, error = made.facilitator.fails("say", "Anybody there?")
        assert code == 3
        assert "outbox" in error["message"]
        made.come_back()
        made.facilitator.do("sync")
        assert made.facilitator.json("status", "--offline")["outbox"] == 0


def test_a_voucher_that_was_used_is_replaced_or_asked_for(north: Channel) -> None:
    (used, fresh) = ("\n".join(map(show_voucher, north.relay.mint(1))) for _ in range(2))
    wren = Member.make("Wrenfounder", north.folder)
    new = ("channel", "new", "--relay", north.relay.url, "--vouchers", "-")
    wren.do(*new, "First", give=used)
    robin = Member.make("Robinfounder", north.folder)
    code, error = robin.fails(*new, "Second", give=used)
    assert (code, error["code"]) == (6, "voucher-refused")
    assert "channel vouchers FILE" in error["next"]
    robin.do("channel", "vouchers", "-", "--channel", "Second", give=fresh)
    assert robin.json("say", "Open now.", "--channel", "Second")["state"] == "at-relay"
    code, error = robin.fails("invite", "Nobody", "--channel", "Second")
    assert (code, error["code"]) == (6, "no-voucher")
    assert robin.json("status", "--offline")["channels"][0]["invited"] == 0


def test_following_shows_what_comes_and_ends_when_interrupted(north: Channel) -> None:
    osprey = north.people["Osprey"]
    osprey.do("read")
    following = osprey.start("read", "--follow", "--unread", "--json")
    try:
        north.people["Heron"].json("say", "Live.")
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["text"] == "Live."
        north.relay.kill()
        north.come_back()
        north.people["Heron"].json("say", "Still live.")
        assert json.loads(following.stdout.readline())["text"] == "Still live."
        assert osprey.json("say", "And I can talk meanwhile.")["state"] == "at-relay"
    finally:
        following.send_signal(signal.SIGINT)
        _, err = following.communicate(timeout=60)
    assert following.returncode == 130
    assert "Traceback" not in err


def test_a_garbage_answer_reads_as_http(north: Channel) -> None:
    with Liar(lambda _: [http(200, b'{"protocol": "other"}')]) as liar:
        code, error = north.facilitator.fails("join", liar.url, "--yes", give="zoo " * 11 + "wrong")
    assert (code, error["code"]) == (3, "relay-garbage")
