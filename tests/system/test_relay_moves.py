"""Row A126: a channel moves to other relays, by real programs, and nobody is invited again."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.protocol.drop import show_voucher
from tests.support.member import LATER, Channel, Member, channel
from tests.support.relay import HTTP, PROGRAM, RelayProcess, running_relay

pytestmark = [pytest.mark.system, pytest.mark.slow]


def paper(relay: RelayProcess, count: int = 4) -> str:
    """Vouchers as an operator hands them over."""
    return "\n".join(map(show_voucher, relay.mint(count)))


@contextlib.contextmanager
def north(*guests: str) -> Iterator[tuple[Channel, RelayProcess]]:
    """A channel, and a relay that it is not on."""
    with channel(*guests) as made, running_relay() as other:
        yield made, other


@contextlib.contextmanager
def reborn(made: Channel) -> Iterator[RelayProcess]:
    """The channel's relay has lost everything, its key too, and begins anew at its address."""
    made.relay.kill()
    with running_relay(start=False) as other:
        other.start("--port", made.relay.url.rpartition(":")[2])
        yield other


def a_day_later(made: Channel, relay: RelayProcess) -> None:
    """By everybody's system clock, the relay's included."""
    later = (sys.executable, "-c", LATER + PROGRAM[2], "25")
    relay.stop()
    relay.start("--port", relay.url.rpartition(":")[2], "--accept-clock", program=later)
    for person in made.people.values():
        person.ahead = 25


def key_of(relay: RelayProcess) -> str:
    """As its operator has it from `init`."""
    return str(HTTP.get(f"{relay.url}/v1/relay").json()["static_key"])


def everybody_hears(made: Channel, text: str, speaker: Member) -> None:
    speaker.do("say", text)
    made.settle()
    for person in made.people.values():
        assert person.texts().count(text) == 1, person.name


def carry(giver: Member, taker: Member) -> dict[str, object]:
    file = str(giver.home.parent / f"from-{giver.name}")
    giver.do("courier", "pack", "--force", file)
    return taker.json("courier", "take", file)


def test_row_a126_a_move_while_the_old_relay_is_there_asks_nothing_of_anybody() -> None:
    with north("Heron", "Ibis") as (made, new):
        fox, heron = made.facilitator, made.people["Heron"]
        heron.do("say", "before the move")
        done = fox.json("relay", "move", new.url, "--vouchers", "-", give=paper(new))
        assert (done["state"], done["told"], done["relays"]) == ("done", True, [new.url])
        assert done["vouchers_left"] == {new.url: 3}
        made.settle()
        made.relay.kill()
        everybody_hears(made, "after the move", heron)
        assert heron.texts().count("before the move") == 1
        (act,) = heron.json("log", "--offline")["acts"][-1:]
        assert act["said"] == f"moved the channel: it is at {new.url} now"
        assert f"The channel is at {new.url} now" in heron.do("status", "--offline")


def test_row_a126_a_move_from_a_dead_relay_needs_one_file_and_no_invite() -> None:
    with north("Heron", "Ibis") as (made, new):
        fox, heron, ibis = (made.people[each] for each in ("Fox", "Heron", "Ibis"))
        made.relay.kill()
        heron.run("say", "said into the dark")
        code, error = fox.fails("relay", "move", new.url, "--vouchers", "-", give=paper(new))
        assert (code, error["code"]) == (10, "partly-sent")
        assert error["next"] == "backchannel courier pack FILE"
        for each in (heron, ibis):
            assert carry(fox, each)["new"]
        everybody_hears(made, "we are elsewhere", heron)
        assert ibis.texts().count("said into the dark") == 1
        shown = ibis.json("relay", "list")["relays"]
        assert [(each["url"], each["former"]) for each in shown] == [
            (new.url, False),
            (made.relay.url, True),
        ]


def test_a_move_needs_no_file_as_long_as_one_relay_is_left() -> None:
    with north("Heron") as (made, second), running_relay() as third:
        fox, heron = made.facilitator, made.people["Heron"]
        fox.do("relay", "add", second.url, "--vouchers", "-", give=paper(second))
        made.settle()
        made.relay.kill()
        done = fox.json("relay", "move", third.url, "--vouchers", "-", give=paper(third))
        assert done["told"]
        made.settle()
        second.kill()
        everybody_hears(made, "at the third", heron)


def test_who_was_away_while_it_moved_twice_finds_it() -> None:
    with north("Heron", "Ibis") as (made, second), running_relay() as third:
        fox, ibis = made.facilitator, made.people.pop("Ibis")
        for new in (second, third):
            fox.do("relay", "move", new.url, "--vouchers", "-", give=paper(new))
            made.settle()
            fox.do("say", f"at {new.url}")
        made.people["Ibis"] = ibis
        everybody_hears(made, "all here?", ibis)
        assert {f"at {second.url}", f"at {third.url}"} <= set(ibis.texts())


def test_who_waits_in_the_lobby_while_it_moves_is_let_in_by_a_new_invite() -> None:
    """The invitation named the old relay, and nobody is there to be read any more."""
    with north("Heron") as (made, new):
        fox = made.facilitator
        late = Member.make("Late", made.folder)
        words = made.invite("Late")["words"]
        late.do("join", made.relay.url, "--yes", give=words + "\n")
        fox.do("relay", "move", new.url, "--vouchers", "-", give=paper(new))
        code, error = fox.fails("admit", "Late")
        assert code == 6
        assert "invite anew" in error["message"]
        fox.do("refuse", "Late")
        late = Member.make("Later", made.folder)
        invited = made.invite("Later")
        assert invited["relay"] == new.url
        late.do("join", new.url, "--yes", give=invited["words"] + "\n")
        fox.do("admit", "Later")
        made.people["Later"] = late
        made.settle()
        everybody_hears(made, "welcome", fox)


def test_who_waits_in_the_lobby_while_a_relay_is_added_is_let_in() -> None:
    with north("Heron") as (made, new):
        fox = made.facilitator
        late = Member.make("Late", made.folder)
        words = made.invite("Late")["words"]
        late.do("join", made.relay.url, "--yes", give=words + "\n")
        fox.do("relay", "add", new.url, "--vouchers", "-", give=paper(new))
        fox.do("admit", "Late")
        made.people["Late"] = late
        made.settle()
        made.relay.kill()
        everybody_hears(made, "welcome", late)


def test_attack_nothing_is_done_where_a_change_cannot_be_paid_or_is_not_ones_own() -> None:
    with north("Heron") as (made, new):
        fox, heron = made.facilitator, made.people["Heron"]
        before = fox.json("relay", "list")
        code, error = fox.fails("relay", "add", new.url)
        assert (code, error["code"]) == (6, "no-voucher")
        assert "--vouchers FILE" in error["next"]
        code, error = heron.fails("relay", "add", new.url, "--vouchers", "-", give=paper(new))
        assert (code, error["code"]) == (6, "refused")
        assert fox.fails("relay", "remove", made.relay.url)[0] == 6
        assert fox.fails("relay", "remove", new.url)[0] == 9
        assert fox.fails("relay", "move", "http://127.0.0.1:9", "--vouchers", "-",
                         give=paper(new))[0] == 3  # fmt: skip
        assert fox.json("relay", "list") == before
        assert heron.json("relay", "list")["relays"][0]["url"] == made.relay.url


def test_attack_one_relay_under_two_names_counts_as_one() -> None:
    with north() as (made, _):
        fox = made.facilitator
        alias = made.relay.url.replace("127.0.0.1", "localhost")
        given = paper(made.relay)
        code, error = fox.fails("relay", "add", alias, "--vouchers", "-", give=given)
        assert (code, error["code"]) == (6, "refused")
        assert f"is the relay at {made.relay.url}" in error["message"]
        moved = fox.json("relay", "move", alias)
        assert (moved["relays"], moved["told"]) == ([alias], True)
        fox.do("say", "the same drop")
        assert fox.json("status")["outbox"] == 0


def test_who_is_not_the_only_facilitator_takes_its_own_file_in(tmp_path: Path) -> None:
    """No relay is left to say whose change was first: the move holds once it came back."""
    with north("Heron") as (made, new):
        fox, heron = made.facilitator, made.people["Heron"]
        fox.do("role", "Heron", "facilitator", "--yes")
        made.settle()
        made.relay.kill()
        code, error = fox.fails("relay", "move", new.url, "--vouchers", "-", give=paper(new))
        assert (code, "take the FILE in yourself" in error["message"]) == (10, True)
        file = str(tmp_path / "file")
        fox.do("courier", "pack", file)
        for each in (fox, heron):
            each.do("courier", "take", file)
        made.settle()
        everybody_hears(made, "both are here", heron)
        assert next(iter(fox.json("relay", "list")["relays"]))["url"] == new.url


def test_a_relay_that_lost_its_key_is_moved_to_at_its_own_address() -> None:
    with channel("Heron", "Ibis") as made:
        fox, heron, ibis = (made.people[each] for each in ("Fox", "Heron", "Ibis"))
        heron.do("say", "before the loss")
        made.settle()
        with reborn(made) as again:
            heron.run("say", "said into the dark")
            move = ("relay", "move", made.relay.url, "--vouchers", "-", "--key")
            key = key_of(again).upper()
            code, error = fox.fails(*move, key, give=paper(again))
            assert (code, error["code"], error["next"].split()[1]) == (10, "partly-sent", "courier")
            shown = fox.json("relay", "list")["relays"]
            assert [(each["key"], each["answers"]) for each in shown] == [(key.lower(), True)]
            assert shown[0]["vouchers_left"] == 3, "those of the relay that is no more are void"
            for each in (heron, ibis):
                assert carry(fox, each)["new"]
                each.do("sync")  # and nothing is said of the relay that is no more
            everybody_hears(made, "at the same address", ibis)
            assert fox.texts().count("said into the dark") == 1
            assert [each.json("status")["outbox"] for each in made.people.values()] == [0, 0, 0]


def test_what_was_said_in_an_epoch_before_the_loss_is_said_again_after_it() -> None:
    with channel("Heron") as made:
        fox, heron = made.facilitator, made.people["Heron"]
        fox.do("epoch", "turn")  # and Heron does not know of it
        with reborn(made) as again:
            assert heron.run("say", "in the old epoch").returncode == 4
            move = ("relay", "move", made.relay.url, "--vouchers", "-", "--key", key_of(again))
            assert fox.fails(*move, give=paper(again))[0] == 10
            carry(fox, heron)
            made.settle()
            assert fox.texts() == heron.texts() == ["in the old epoch"]


def test_what_no_relay_of_an_epoch_took_for_a_day_is_said_again_in_the_next() -> None:
    """Its relay may come back until then."""
    with north("Heron") as (made, new):
        fox, heron = made.facilitator, made.people["Heron"]
        fox.do("epoch", "turn")  # and Heron does not know of it
        made.relay.kill()
        assert heron.run("say", "in the old epoch").returncode == 3
        assert fox.fails("relay", "move", new.url, "--vouchers", "-", give=paper(new))[0] == 10
        carry(fox, heron)
        made.settle()
        assert fox.texts() == []
        a_day_later(made, new)
        made.settle()
        assert fox.texts() == heron.texts() == ["in the old epoch"]


def test_of_two_channels_there_the_second_moves_with_the_vouchers_of_the_first() -> None:
    with channel() as made:
        fox = made.facilitator
        fox.do("channel", "new", "South", "--relay", made.relay.url)
        with reborn(made) as again:
            move = ("relay", "move", made.relay.url, "--key", key_of(again), "--channel")
            fox.fails(*move, "North", "--vouchers", "-", give=paper(again))
            code, _ = fox.fails(*move, "South")
            (moved,) = fox.json("relay", "list", "--channel", "South")["relays"]
            assert (code, moved["key"], moved["vouchers_left"]) == (10, key_of(again), 2)


def test_attack_166_nobody_moves_unasked_to_who_took_over_an_address() -> None:
    with channel("Heron") as made:
        fox = made.facilitator
        before = fox.json("relay", "list")["relays"][0]["key"]
        with reborn(made) as other:
            move = ("relay", "move", made.relay.url, "--vouchers", "-")
            code, error = fox.fails(*move, give=paper(other))
            assert (code, error["code"]) == (4, "relay-key-changed")
            assert key_of(other) in error["message"]
            assert "--key KEY" in error["next"]
            code, error = fox.fails(*move, "--key", before, give=paper(other))
            assert (code, error["code"]) == (4, "relay-key-changed")
            assert "not the one that you were told" in error["message"]
            (kept,) = fox.json("relay", "list", "--offline")["relays"]
            assert kept["key"] == before


def test_two_facilitators_move_to_a_relay_that_lost_its_key() -> None:
    """The change waits until it came back: what it needs there is not taken for the old relay's."""
    with channel("Heron") as made:
        fox, heron = made.facilitator, made.people["Heron"]
        fox.do("role", "Heron", "facilitator", "--yes")
        made.settle()
        with reborn(made) as again:
            move = ("relay", "move", made.relay.url, "--vouchers", "-")
            assert fox.fails(*move, "--key", key_of(again), give=paper(again))[0] == 10
            fox.run("sync")  # while it waits
            file = str(made.folder / "file")
            fox.do("courier", "pack", file)
            for each in (fox, heron):
                each.do("courier", "take", file)
            made.settle()
            everybody_hears(made, "both are here", heron)
