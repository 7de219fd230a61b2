"""kill -9 at any point between a word and three relays that have it: all that was saved is there in
the end, once, and at each relay once.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack

import pytest

from backchannel.client.rounds.sync import Sync
from backchannel.client.vault.vault import Vault
from backchannel.protocol.block import unwrap
from backchannel.protocol.core import content_hash
from backchannel.protocol.drop import Stored
from backchannel.protocol.outcome import EVERY_HOUR
from backchannel.protocol.types import ContentHash, Hour, hour_of
from tests.client.rounds.test_several_relays import texts
from tests.support.clients import NAME, Client
from tests.support.several import Several, frozen, several

ROUNDS = int(os.environ.get("BACKCHANNEL_CLIENT_KILLS", "50"))
STEPS = 130  # changes of the vault, requests and answers: before and behind each, of two messages
_LONGEST = 0.5  # seconds until it is killed: enough to say two or three things
SPEAKER = """
import os, signal, sys
from itertools import count
from pathlib import Path
from typing import cast
from backchannel.client.app import App
from backchannel.client.machine.profile import Profile
from backchannel.client.wire.lanes import Lanes
from backchannel.client.rounds.sync import Sync
from backchannel.client.wire.transport import Transport
from backchannel.client.vault.database import Database
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.vault import Vault
from backchannel.protocol.command import Say
from backchannel.protocol.outcome import Said
from backchannel.protocol.types import MAIN_THREAD
from tests.support.clients import NAME, Hours, Tools

steps = count(1)

def die():
    if next(steps) == last:
        os.kill(os.getpid(), signal.SIGKILL)

def dies(kind, name, within=None):
    inner = getattr(kind, name)
    def step(self, *given, **named):
        counts = within is None or given[0] in within
        try:
            counts and die()
            return inner(self, *given, **named)
        finally:
            counts and die()
    setattr(kind, name, step)

home, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
dies(Database, "_run", {"BEGIN IMMEDIATE", "COMMIT"})
dies(Transport, "exchange")
dies(Lanes, "ask")
dies(Lanes, "_next")
key = VaultKey(bytes.fromhex(sys.stdin.readline()))
tools = Tools(Hours())
app = cast("App", tools)
print("ready", flush=True)
for number in range(first, first + 1000):
    with Vault(Profile.at(home), key, tools.now()) as vault, Sync(app, vault) as sync:
        sync.fresh(NAME)
        sync.act(NAME, Say(MAIN_THREAD, str(number)), Said)
        print(number, flush=True)
        sync.send(NAME)
"""


def speak(vault: Vault, number: int) -> list[str]:
    """Somebody speaks, and is killed, by itself at some step or from outside at some moment; what
    had been saved by then, at least.
    """
    home, key = vault._folder.path.parent, vault._key
    step = 0 if number % 2 else int.from_bytes(os.urandom(4)) % STEPS
    process = subprocess.Popen(
        [sys.executable, "-c", SPEAKER, str(home), str(number * 1000), str(step)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        process.stdin.write(key.expose().hex() + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        if not step:
            time.sleep(_LONGEST * int.from_bytes(os.urandom(2)) / 2**16)
            process.send_signal(signal.SIGKILL)
        said = process.stdout.read().split()
    assert process.wait(60) == -signal.SIGKILL
    return said


def cores(client: Client) -> list[Counter[ContentHash]]:
    """For each relay, how often it has each core of the channel."""
    session, now = client.look(), hour_of(client.tools.now())
    epoch = session.state.epoch
    clock, found = session.channel.clocks[epoch.id], []
    for named, drop in epoch.drops():
        with client.tools.relay(named.url, named.public) as relay:
            position, more, blocks = 0, True, list[Stored]()
            while more:
                page = relay.read(drop, position, EVERY_HOUR)
                position, more = page.following, page.more
                blocks += page.rows
        window = (clock.hour, Hour(now + 1))
        opened = [unwrap(row.block, drop.outer, clock, row.hour, window) for row in blocks]
        found.append(Counter(content_hash(core) for core in opened))
    return found


@pytest.mark.slow
def test_attack_kill_9_at_any_point_loses_nothing_and_doubles_nothing() -> None:
    with several("Heron") as north:
        saved = [text for each in range(ROUNDS) for text in speak(north.fox.vault, each)]
        check(north, saved)


def check(north: Several, saved: list[str]) -> None:
    fox, heron = north.fox, north.heron
    with Sync(fox.app, fox.vault) as sync:
        sync.whole(NAME)
    assert fox.vault.outbox.count() == 0
    heron.sync()
    heard = texts(heron)
    assert len(heard) == len(set(heard))
    assert set(saved) <= set(heard)
    assert set(heard) == set(texts(fox))
    assert saved, "some were killed later than they began"
    now = heron.tools.now()
    said = {each.content for each in heron.vault.messages.list(heron.row.id, now)}
    said &= {each.content for each in fox.vault.messages.list(fox.row.id, now) if each.author == 0}
    for relay in cores(heron):
        assert {relay[name] for name in said} == {1}


WAITER = (
    SPEAKER[: SPEAKER.index("print(")]
    + """
inner = Lanes.ask
Lanes.ask = lambda *given: (inner(*given), print("asked", flush=True))
with Vault(Profile.at(home), key, tools.now()) as vault, Sync(app, vault) as sync:
    sync.act(NAME, Say(MAIN_THREAD, "Not waited for."), Said)
    problem = sync.send(NAME)
print(type(problem).__name__)
"""
)


def test_whoever_does_not_wait_for_silent_relays_loses_nothing() -> None:
    with several("Heron") as north, ExitStack() as silent:
        for relay in north.relays:
            silent.enter_context(frozen(relay))
        home, key = north.fox.vault._folder.path.parent, north.fox.vault._key
        process = subprocess.Popen(
            [sys.executable, "-c", WAITER, str(home), "0", "0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            process.stdin.write(key.expose().hex() + "\n")
            process.stdin.flush()
            assert [process.stdout.readline() for _ in range(3)] == ["asked\n"] * 3
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == "Interrupted\n"
        assert process.wait(60) == 0, "nor does it wait for its lanes"
        silent.close()
        check(north, ["Not waited for."])
