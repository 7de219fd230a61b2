"""Row A018: any relay of a channel is enough, by real programs; where none is, a file is."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.protocol.drop import show_voucher
from tests.support.member import Channel, Member
from tests.support.relay import RelayProcess, running_relay

pytestmark = [pytest.mark.system, pytest.mark.slow]


def paper(relay: RelayProcess, folder: Path, count: int = 8) -> str:
    file = folder / f"vouchers-{relay.url.rpartition(':')[2]}"
    file.write_text("\n".join(map(show_voucher, relay.mint(count))))
    return str(file)


@contextlib.contextmanager
def on_two() -> Iterator[tuple[Channel, RelayProcess]]:
    """A channel that stands on two relays from its first hour."""
    with (
        tempfile.TemporaryDirectory(prefix="several-") as name,
        running_relay() as first,
        running_relay() as second,
    ):
        folder = Path(name)
        vixen = Member.make("Vixen", folder)
        each = [("--relay", r.url, "--vouchers", paper(r, folder)) for r in (first, second)]
        vixen.do("channel", "new", "North", *each[0], *each[1], "--alias", "Vixen")
        yield Channel(first, folder, vixen, {"Vixen": vixen}), second


def test_row_a018_messages_flow_by_the_second_relay_and_then_by_hand(tmp_path: Path) -> None:
    with on_two() as (north, second):
        vixen = north.facilitator
        heron = north.admit("Heron")
        north.relay.kill()
        vixen.do("say", "one is gone")
        assert heron.texts() == ["one is gone"]
        heron.do("say", "and nobody did anything")
        assert vixen.texts() == ["one is gone", "and nobody did anything"]
        shown = {each["url"]: each for each in heron.json("relay", "list")["relays"]}
        assert shown[north.relay.url]["answers"] is False
        assert shown[north.relay.url]["owed"] > 0
        assert shown[second.url]["answers"] is True
        for each in (heron, vixen):
            found = each.json("status")
            assert found["outbox"] == found["outbox_unanswered"] > 0
            assert found["next"] == "backchannel say TEXT"
        second.kill()
        assert vixen.run("say", "both are gone").returncode == 3
        vixen.do("courier", "pack", str(tmp_path / "file"))
        for new in (1, 0):
            assert heron.json("courier", "take", str(tmp_path / "file"))["messages"] == new
        assert heron.texts("--offline").count("both are gone") == 1


def test_an_invite_is_held_by_a_relay_that_answers() -> None:
    with on_two() as (north, second):
        vixen = north.facilitator
        assert north.invite("Ibis")["relay"] == north.relay.url
        assert vixen.json("invite", "Wren", "--relay", second.url)["relay"] == second.url
        code, error = vixen.fails("invite", "Owl", "--relay", "https://elsewhere.example")
        assert (code, error["code"]) == (9, "not-found")
        north.relay.kill()
        vixen.do("sync")
        words = north.invite("Heron")
        assert words["relay"] == second.url
        heron = Member.make("Heron", north.folder)
        heron.do("join", second.url, "--yes", give=words["words"] + "\n")
        vixen.do("admit", "Heron")
        north.people["Heron"] = heron
        north.settle()
        heron.do("say", "in by the other door")
        assert "in by the other door" in vixen.texts()


def test_vouchers_are_given_to_each_relay_in_order_or_refused(tmp_path: Path) -> None:
    with on_two() as (north, second):
        vixen, given = north.facilitator, paper(second, tmp_path)
        shown = vixen.json("channel", "show")
        assert [each["url"] for each in shown["relays"]] == [north.relay.url, second.url]
        code, error = vixen.fails("channel", "vouchers", given)
        assert (code, "--relay" in error["next"]) == (2, True)
        kept = vixen.json("channel", "vouchers", given, "--relay", second.url)
        assert kept["added"] == 8
        both = ("--relay", north.relay.url, "--relay", second.url)
        assert vixen.fails("channel", "new", "South", *both, "--vouchers", given)[0] == 2
        assert vixen.json("channel", "new", "South", *both)["vouchers_left"] >= 0


def test_attack_two_relays_with_one_key_are_no_two() -> None:
    """A relay that was copied, or answers under two names: a channel on it would divide."""
    with on_two() as (north, _):
        vixen = north.facilitator
        again = north.relay.url.replace("127.0.0.1", "localhost")
        code, error = vixen.fails(
            "channel", "new", "South", "--relay", north.relay.url, "--relay", again
        )
        assert (code, error["code"]) == (2, "usage")
        assert "Nothing was done" in error["message"]


def test_a_relay_that_was_replaced_at_its_address_is_removed_and_added_anew() -> None:
    with on_two() as (north, second):
        vixen, heron = north.facilitator, north.admit("Heron")
        second.kill()
        with running_relay(start=False) as other:
            other.start("--port", second.url.rpartition(":")[2])
            assert heron.run("say", "told, and said").returncode == 0
            done = heron.run("sync")
            assert (done.returncode, "no channel" in done.stdout) == (4, False)
            assert "another key: nothing is sent there" in vixen.run("relay", "list").stdout
            vixen.do("relay", "remove", second.url)
            vixen.do("relay", "add", second.url, "--vouchers", paper(other, north.folder))
            for each in (heron, vixen, heron):  # the first learns of it, and all is well
                each.do("sync")
            assert [each.json("status")["outbox"] for each in (heron, vixen)] == [0, 0]
            north.relay.kill()
            heron.do("say", "by the new one")
            assert vixen.texts() == ["told, and said", "by the new one"]


def test_attack_an_address_that_answers_with_another_key_than_was_pinned_is_refused() -> None:
    with on_two() as (north, second):
        vixen, port = north.facilitator, second.url.rpartition(":")[2]
        vixen.do("relay", "remove", second.url)
        vixen.do("channel", "new", "South", "--relay", second.url)
        second.kill()
        with running_relay(start=False) as other:
            other.start("--port", port)
            code, error = vixen.fails(
                "relay", "add", second.url, "--vouchers", paper(other, north.folder),
                "--channel", "North",
            )  # fmt: skip
        assert (code, error["code"]) == (4, "relay-key-changed")
        assert len(vixen.json("relay", "list", "--channel", "North")["relays"]) == 2
