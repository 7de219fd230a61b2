"""Where nothing comes from any relay, a person has the prompt back soon; where something moves, it
is waited for.
"""

import contextlib
import json
from collections.abc import Iterator
from threading import Timer

import pytest

from backchannel.client.errors import ClientError, RelaySlow, caught
from backchannel.client.rounds.sync import Sync
from backchannel.client.telling.reached import Ways
from backchannel.client.wire import silence as module
from backchannel.client.wire.lanes import Lanes
from backchannel.client.wire.pace import Paces
from backchannel.client.wire.silence import DETOUR, PROMPT, Silence
from backchannel.protocol import command
from backchannel.protocol.outcome import Said
from backchannel.protocol.types import MAIN_THREAD
from tests.client.wire.test_lanes import HELD, Network, sending
from tests.client.wire.test_stream import Time
from tests.support.clients import NAME, Client, party
from tests.support.poor_link import Link, PoorLink
from tests.support.several import Several, frozen, several, swallowed

SOON = 0.5


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(module, "elapsed", made.elapsed)
    return made


def wait(time: Time, silence: Silence, seconds: float) -> float:
    time.now += seconds
    silence.waited(seconds)
    return silence.left


def test_it_is_enough_after_ten_seconds_of_waiting(time: Time) -> None:
    silence = Silence()
    assert wait(time, silence, 4) == PROMPT - 4
    time.now += 100  # in which something else was done
    assert wait(time, silence, 5) == PROMPT - 9
    assert wait(time, silence, 5) == 0
    silence.begin()
    assert silence.left == PROMPT


def test_what_comes_ends_it_from_that_moment_on(time: Time) -> None:
    silence = Silence()
    wait(time, silence, 9)
    time.now += 1
    silence.sign(1)
    time.now += 3
    silence.waited(4)
    assert silence.left == PROMPT - 3


def test_a_link_that_is_slow_to_answer_has_that_long_again_several_times(time: Time) -> None:
    silence = Silence()
    silence.sign(4)
    assert silence.left == 40
    silence.sign(0)
    assert silence.left == 40
    assert wait(time, silence, 39) == 1


def test_through_a_proxy_there_is_time_to_find_the_way() -> None:
    silence = Silence()
    silence.detour()
    assert silence.left == DETOUR


def test_where_there_are_others_to_ask_each_half_has_half_of_it(time: Time) -> None:
    silence = Silence()
    silence.others = True
    assert wait(time, silence, PROMPT / 2) == 0
    silence.others = False
    assert silence.left == PROMPT / 2


def test_lanes_are_left_once_it_is_enough_and_heard_another_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PROMPT", 0.05)
    network, silence = Network(), Silence()
    lanes = Lanes(network.connect)
    lanes.ask(sending(HELD, b"late"))
    assert list(lanes.answers(lambda: False, silence=silence)) == []
    assert lanes.slow == {HELD}
    network.let.set()
    assert [each.said for each in lanes.answers(lambda: False)] == [b"late"]
    lanes.close()


# Over real sockets.


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROMPT", SOON)


def say(client: Client, text: str) -> ClientError | None:
    """As the verb does, in a run of its own; why no relay has it, if so."""
    client.tools.paces = Paces()
    with Sync(client.app, client.vault) as sync:
        sync.fresh(NAME)
        sync.act(NAME, command.Say(MAIN_THREAD, text), Said)
        return sync.send(NAME)


def texts(client: Client) -> list[str]:
    found = [json.loads(plain) for plain in client.plain()]
    return [each["text"] for each in found if each["kind"] == "text"]


@pytest.fixture(scope="module")
def north() -> Iterator[Several]:
    with several("Heron", count=2) as made:
        yield made


@pytest.mark.usefixtures("soon")
def test_where_no_relay_answers_what_is_said_is_queued_and_goes_on_later(north: Several) -> None:
    """One takes connections and is silent, the other lets nobody in."""
    fox, heron = north.fox, north.heron
    with frozen(north.relays[0]) as silent, swallowed(north.relays[1]):
        for text in ("Is anybody there?", "Still nobody?"):
            problem = say(fox, text)
            assert isinstance(problem, RelaySlow)
            assert problem.message == "No relay answers."
        ways = Ways(fox.vault, fox.look().state)
        rows = fox.vault.messages.list(fox.row.id, fox.tools.now())
        assert [ways.of(each) for each in rows if each.author == 0] == ["queued", "queued"]
        assert not silent.waited
    assert say(fox, "Here you are.") is None
    heron.sync()
    assert texts(heron) == ["Is anybody there?", "Still nobody?", "Here you are."]


@pytest.mark.usefixtures("soon")
def test_a_round_that_a_person_asks_for_waits_for_who_comes_late(north: Several) -> None:
    with contextlib.ExitStack() as stack:
        for relay in north.relays:
            stack.enter_context(frozen(relay))
        north.fox.say("In the end.")
        assert isinstance(caught(north.fox.sync), RelaySlow), "another is given up"
        thaw = Timer(4 * SOON, stack.close)
        thaw.start()
        with Sync(north.fox.app, north.fox.vault) as rounds:
            rounds.whole(NAME)
        thaw.join()
    assert north.fox.vault.outbox.count() == 0


@pytest.mark.usefixtures("soon")
def test_a_slow_link_on_which_something_moves_is_waited_for() -> None:
    """It takes several times as long as silence is borne."""
    with party("Heron") as made:
        fox, heron = made.clients["Fox"], made.clients["Heron"]
        for number in range(4):
            heron.say(f"{number}")
        heron.sync()
        port = int(made.relay.url.rpartition(":")[2])
        made.relay.restart()
        link = Link(delay=0.02, rate=8000.0, loss=0.0)
        with PoorLink(made.relay.url, link, seed=1, port=port) as between:
            began = between.now()
            assert say(fox, "Slowly.") is None
            assert between.now() - began > 3 * SOON
        assert texts(fox) == ["0", "1", "2", "3", "Slowly."]
