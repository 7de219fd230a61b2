"""Cover: a relay sees the same whether or not anybody speaks. Real clients over real HTTP; only
time is the test's.
"""

from collections.abc import Iterator
from io import StringIO

import pytest

from backchannel.client.errors import Covered
from backchannel.client.rounds import cover
from backchannel.client.rounds.sync import Sync
from backchannel.protocol import command, limits
from backchannel.protocol.outcome import Invited
from backchannel.protocol.roster import Policy
from backchannel.protocol.types import MAIN_THREAD, Timestamp
from tests.support.clients import NAME, Client, party
from tests.support.turns import Turns, covered, put_turn, turn_of
from tests.support.wire import Tap
from tests.system.test_shapes import HEAD, appends, blocks_of, deeds

pytestmark = [pytest.mark.system, pytest.mark.slow]

LONG = 240  # seconds of a watch: 120 blocks at one in 2 seconds


@pytest.fixture(scope="module")
def turns() -> Iterator[Turns]:
    with covered("Heron", "Ibis", "Wren") as made:
        yield made


def test_attack_47_a_relay_sees_the_same_times_and_sizes_whether_or_not_anybody_speaks(
    turns: Turns,
) -> None:
    turns.begin("same")
    turns.go_on(LONG)
    silent = list(turns.came)
    assert len(silent) == pytest.approx(LONG / 2, rel=0.4)
    turns.begin("same")
    for minute, client in enumerate(turns.clients):
        turns.ask(client, command.Say(MAIN_THREAD, f"a word in minute {minute}"))
        turns.ask(client, command.Whisper("Fox" if minute else "Wren", "n" * 900))
        turns.ask(client, command.Say(MAIN_THREAD, "l" * 9_000))
        turns.go_on(LONG // 4)
    assert turns.came == silent
    assert {(each.path, each.there, each.back, each.alone) for each in silent} == {
        ("/v1/append", silent[0].there, silent[0].back, True)
    }
    turns.drain()
    turns.read()
    assert any(b"a word in minute 1" in plain for plain in turns.clients[0].plain())
    assert any(b"a word in minute 0" in plain for plain in turns.clients[3].plain())


def test_control_without_cover_the_same_talk_is_seen(turns: Turns) -> None:
    """What is sent at once comes when it is said, and in requests of several blocks."""
    fox = turns.clients[0]
    before = turns.taps[0].connections
    fox.say("l" * 9_000)
    with Sync(fox.app, fox.vault) as rounds:
        rounds._errand._at_once = True
        rounds.deliver(fox.row.id)
    sizes = {each.request.size for each in turns.taps[0].exchanges(before)}
    assert sizes
    assert not sizes & {each.there for each in turns.came}


def test_two_programs_over_one_vault_take_one_turn(turns: Turns) -> None:
    turns.begin("twice")
    moment, client = turns.next()
    turns.party.hours.still = moment
    turns.came.clear()
    with Sync(client.app, client.vault) as one, Sync(client.app, client.vault) as other:
        before = turns.taps[0].connections
        one.turns.take(NAME)
        other.turns.take(NAME)
    assert len(turns.taps[0].exchanges(before)) == 1


def test_a_turn_that_went_by_while_nothing_ran_is_drawn_anew(turns: Turns) -> None:
    turns.begin("late")
    client = turns.clients[1]
    client.say("said before the machine slept")
    turns.party.hours.still = turn_of(client) + 61
    turns.came.clear()
    turns.take(client)
    assert turns.came == []
    assert turn_of(client) > turns.party.hours.still
    turns.drain()


def test_who_does_not_stay_is_not_taken_for_a_program_that_does(turns: Turns) -> None:
    turns.begin("stays")
    client, now = turns.clients[1], turns.clients[1].tools.now()
    assert not cover.runs(client.row.summary, now)
    cover.stays(client.vault, NAME, now)
    assert cover.runs(client.row.summary, now)
    assert not cover.runs(client.row.summary, Timestamp(now + 60))


def test_a_member_who_is_away_leaves_its_turns_empty_and_no_others(turns: Turns) -> None:
    turns.begin("away")
    turns.go_on(LONG)
    all_there = list(turns.came)
    turns.begin("away")
    turns.running = [each for each in turns.clients if each.alias != "Wren"]
    turns.go_on(LONG)
    assert set(turns.came) < set(all_there)
    assert len(turns.came) == pytest.approx(len(all_there) * 3 / 4, rel=0.25)


def test_whoever_breaks_it_is_told_and_all_goes_at_once(turns: Turns) -> None:
    turns.begin("now")
    client, before = turns.clients[2], turns.taps[0].connections
    client.say("waits")
    client.tools.at_once = True
    try:
        with Sync(client.app, client.vault) as rounds:
            rounds.act(NAME, command.Say(MAIN_THREAD, "cannot wait"), Invited)
            assert rounds.send(NAME) is None
    finally:
        client.tools.at_once = False
    assert len(blocks_of(turns.taps[0].exchanges(before))) >= 2
    assert "Cover is broken" in shown(client)


def test_it_is_said_when_something_goes(turns: Turns) -> None:
    turns.begin("when")
    client = turns.clients[0]
    with Sync(client.app, client.vault) as rounds:
        rounds.act(NAME, command.Say(MAIN_THREAD, "later"), Invited)
        problem = rounds.send(NAME)
    assert problem is not None
    assert "goes at a turn of cover: 1 block of about 8 seconds each" in problem.message
    assert "No program takes turns here" in problem.message
    cover.stays(client.vault, NAME, client.tools.now())
    with Sync(client.app, client.vault) as rounds:
        problem = rounds.waits(NAME)
    assert problem is not None
    assert "goes at a turn of cover, about" in problem.message
    turns.drain()


def test_who_has_nothing_running_takes_turns_until_it_is_said(turns: Turns) -> None:
    turns.begin("linger")
    turns.party.hours.still = None
    client, before = turns.clients[3], turns.taps[0].connections
    with Sync(client.app, client.vault) as rounds:
        rounds.act(NAME, command.Say(MAIN_THREAD, "and again"), Invited)
        assert isinstance(rounds.send(NAME), Covered)
        put_turn(client, 0)
        assert rounds.turns.linger(NAME) is None
    sent = turns.taps[0].exchanges(before)
    assert {len(each.request.body) for each in sent} == {HEAD + limits.BLOCK}


def test_attack_151_who_stays_takes_its_turns_while_it_waits_for_others(turns: Turns) -> None:
    """And asks the relay to wait as long as ever: that does not tell when the turn is."""
    turns.begin("stays")
    turns.party.hours.still = None
    client, before = turns.clients[1], turns.taps[0].connections
    put_turn(client, 0)
    with Sync(client.app, client.vault) as rounds:
        for _ in range(8):
            rounds.channel(NAME, 5)
    seen = turns.taps[0].exchanges(before)
    assert [len(each.request.body) for each in appends(seen)] == [HEAD + limits.BLOCK] * len(
        appends(seen)
    )
    assert appends(seen)


def test_whatever_is_done_nothing_goes_into_a_drop_but_at_turns(turns: Turns) -> None:
    """Every deed of `test_shapes`, and what programs do by themselves in three rounds after it."""
    turns.begin("deeds")
    for what, who, asked in deeds():
        rules = isinstance(asked, command.SetPolicy)
        deed = command.SetPolicy(Policy(100, unattributed=4, cover=2)) if rules else asked
        client, before = turns.party.clients[who], turns.taps[0].connections
        with Sync(client.app, client.vault) as rounds:
            rounds.act(NAME, deed, Invited)
            problem = rounds.send(NAME)
        turns.read()
        assert isinstance(problem, Covered), what
        assert client.vault.outbox.ahead(client.row.id) > 0, what
        assert appends(turns.taps[0].exchanges(before)) == [], what
        turns.came.clear()
        turns.drain()
        assert {(each.path, each.alone) for each in turns.came} == {("/v1/append", True)}, what
        assert {each.there for each in turns.came} == {turns.came[0].there}, what
        for _ in range(3):
            turns.read()
            turns.drain()


def test_whoever_turns_it_off_is_at_once_without(turns: Turns) -> None:
    turns.begin("off")
    fox, *others = turns.clients[:3]  # the last one was removed
    with Sync(fox.app, fox.vault) as rounds:
        rounds.act(NAME, command.SetPolicy(Policy(100, unattributed=4)), Invited)
        assert rounds.send(NAME) is None
    for each in others:
        each.sync()
        assert cover.rate(each.row.summary) == 0
    before = turns.taps[0].connections
    fox.say("at once")
    fox.sync()
    assert appends(turns.taps[0].exchanges(before))


def shown(client: Client) -> str:
    told = client.tools.ui._err
    assert isinstance(told, StringIO)
    return told.getvalue()


def test_who_asks_for_whole_pages_asks_and_is_answered_alike_whatever_is_said() -> None:
    taps: list[Tap] = []

    def through(url: str) -> str:
        taps.append(Tap(url))
        return taps[-1].url

    with party("Heron", through=through) as made, taps[0] as tap:
        fox, heron = made.clients["Fox"], made.clients["Heron"]

        def read() -> tuple[set[tuple[int, int]], int]:
            before = tap.connections
            with Sync(heron.app, heron.vault, whole=True) as rounds:
                new = rounds.channel(NAME).new
            seen = [each for each in tap.exchanges(before) if each.path == "/v1/read"]
            return {(each.request.size, each.answer.size) for each in seen}, new

        for number in range(70):
            fox.say(f"{number}")
        fox.sync()
        assert read()[1] == 70  # more than a page: by positions, once
        idle, _ = read()
        assert len(idle) == 1
        for count in (0, 1, 3, 40, 0):
            for number in range(count):
                fox.say(f"{count} {number}")
            fox.sync()
            assert read() == (idle, count)
        assert len(heron.plain()) == 114
