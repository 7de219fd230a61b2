"""A long dialogue through real vaults and a real relay, with nothing of it on the relay's side.

A thousand messages in an ordinary run; `MESSAGES=10000` makes it ten thousand, some minutes.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from backchannel.client.rounds.session import change
from backchannel.protocol import command
from backchannel.protocol.drop import Operation
from backchannel.protocol.types import MAIN_THREAD
from tests.support.canaries import Hunt, told
from tests.support.clients import NAME, Client, Party, party
from tests.support.memory import core_of
from tests.support.noise import doubts
from tests.support.people import ENTROPY
from tests.support.wire import Tap

pytestmark = [pytest.mark.system, pytest.mark.slow]

COUNT = int(os.environ.get("MESSAGES", "1000"))
ALIASES = ("Marshlantern Heronsbill", "Thornhollow Ibiswater")
_BATCH = 50
_ASKED_FOR = 3000  # blocks: beyond that noise is noise


@dataclass
class Talk:
    """What was said, and where it can be looked for."""

    party: Party
    tap: Tap
    said: dict[str, str]


@pytest.fixture(scope="module")
def talk() -> Iterator[Talk]:
    taps: list[Tap] = []

    def through(url: str) -> str:
        taps.append(Tap(url))
        return taps[0].url

    with party(*ALIASES, through=through) as made, taps[0] as tap:
        made.settle()
        said = {f"message {n}": f"{word()} said {word()}" for n in range(COUNT)}
        texts = list(said.values())
        speakers = list(made.clients.values())
        for at in range(0, COUNT, _BATCH):
            say(speakers[at // _BATCH % len(speakers)], texts[at : at + _BATCH])
        made.settle()
        yield Talk(made, tap, said)


def word() -> str:
    return os.urandom(8).hex()


def say(client: Client, texts: list[str]) -> None:
    """Many at once, as one who comes back from a journey."""
    with change(client.vault, NAME, client.tools.now(), ENTROPY) as session:
        for text in texts:
            session.act(command.Say(MAIN_THREAD, text))
    client.sync()


@pytest.fixture(scope="module")
def hunt(talk: Talk) -> Hunt:
    return Hunt({**talk.said, **{alias: alias for alias in ALIASES}})


def test_everybody_has_read_everything(talk: Talk) -> None:
    for client in talk.party.clients.values():
        read = [json.loads(plain).get("text") for plain in client.plain()]
        assert sorted(filter({*talk.said.values()}.__contains__, read)) == sorted(
            talk.said.values()
        )


def test_no_byte_of_many_messages_stands_in_the_relays_files(talk: Talk, hunt: Hunt) -> None:
    files = {path.name: path.read_bytes() for path in talk.party.relay.data.iterdir()}
    files["log"] = talk.party.relay.log.read_bytes()
    assert measured("relay's files", files.values()) > 4096 * COUNT
    assert told(hunt.search(files)) == []


def measured(what: str, parts: Iterable[bytes]) -> int:
    """Bytes searched, shown with -s."""
    size = sum(map(len, parts))
    print(f"{what}: {size:,} bytes")  # noqa: T201 - measured
    return size


def test_nor_in_its_memory(talk: Talk, hunt: Hunt) -> None:
    assert talk.party.relay.process is not None
    try:
        core = core_of(talk.party.relay.process.pid)
    except PermissionError:
        pytest.skip("this machine lets nobody look")
    measured("relay's memory", [each.data for each in core])
    assert told(hunt.search({f"{n} {each.name}": each.data for n, each in enumerate(core)})) == []


def test_nor_on_the_wire(talk: Talk, hunt: Hunt) -> None:
    wire = talk.tap.everything()
    assert measured("wire", wire.values()) > 3 * 4096 * COUNT
    assert told(hunt.search(wire)) == []


def test_every_block_of_them_is_noise(talk: Talk) -> None:
    assert doubts(appended(talk)[:_ASKED_FOR]) == []


def test_none_of_them_is_sent_twice_alike(talk: Talk) -> None:
    blocks = appended(talk)
    assert measured("blocks", blocks) > 4096 * COUNT
    assert len({block[:16] for block in blocks}) == len(blocks)


def appended(talk: Talk) -> list[bytes]:
    path = f"/v1/{Operation.APPEND.name.lower()}"
    sent = [each.request.body[68:] for each in talk.tap.exchanges() if each.path == path]
    return [body[at : at + 4096] for body in sent for at in range(0, len(body), 4096)]
