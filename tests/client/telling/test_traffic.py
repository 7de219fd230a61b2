"""What is said of cover and whole pages before they are switched on, and by which verbs."""

import pytest

from backchannel.client.telling.traffic import of_cover, of_pages
from backchannel.protocol import cover, limits
from backchannel.protocol.roster import Policy
from backchannel.server.settings import Settings


def text(policy: Policy, members: int = 5, relays: int = 1) -> str:
    return "\n".join(of_cover(policy, members, relays).lines)


def test_five_members_at_a_block_a_minute() -> None:
    said = text(Policy(168, cover=60))
    assert "1,440 blocks a day, of which each of 5 members posts 288" in said
    assert "5 minutes in the mean; one block in twenty longer than 15 minutes" in said
    assert "quota" not in said
    assert "incidents" not in said


def test_every_relay_costs_as_much_again() -> None:
    one, three = (of_cover(Policy(168, cover=60), 5, count).document for count in (1, 3))
    assert three["up"] == 3 * one["up"]
    assert three["down"] == 3 * one["down"]


def test_what_a_telephone_pays_follows_from_the_bytes() -> None:
    assert "not for a telephone that pays by size" in text(Policy(168, cover=10))
    assert "a telephone's gigabyte lasts" in text(Policy(168, cover=60))


def test_it_costs_at_least_what_the_blocks_take() -> None:
    found, blocks = of_cover(Policy(168, cover=60), 5, 1).document, cover.budget(5, 60)
    assert found["up"] > blocks.up > 288 * limits.BLOCK
    assert found["down"] > blocks.down > 1440 * limits.BLOCK


def test_where_a_relay_holds_too_little_it_says_which_setting_must_be_raised() -> None:
    held = Settings.model_fields["quota"].default
    fits = next(each for each in range(1, 99) if cover.standing(168, each) <= held)
    assert "quota" not in text(Policy(168, cover=fits))
    assert f"quota = {cover.standing(168, fits - 1)}" in text(Policy(168, cover=fits - 1))


def test_a_block_a_second_is_below_what_a_relay_takes_in_a_minute() -> None:
    assert Settings.model_fields["rate_blocks"].default > 60


def test_a_hotline_is_told_that_incidents_wait() -> None:
    assert "incidents wait" in text(Policy(72, "hotline", cover=60))


@pytest.mark.parametrize(("every", "size"), [(60, "379"), (600, "38.0")])
def test_whole_pages_cost_the_same_whatever_is_said(every: int, size: str) -> None:
    cost = of_pages(every, 1)
    assert f"{size}" in cost.lines[0]
    assert of_pages(every, 2).document["down"] == 2 * cost.document["down"]
