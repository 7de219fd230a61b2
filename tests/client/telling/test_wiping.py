"""What is said of wiping: never more than it does."""

from typing import get_args

import pytest

from backchannel.client.telling import wiping

WHATS: tuple[wiping.What, ...] = get_args(wiping.What)


@pytest.mark.parametrize("what", WHATS)
def test_t10_whoever_wipes_is_told_what_that_cannot_reach(what: wiping.What) -> None:
    told = "\n".join(wiping.beyond(what, 168))
    for wanted in ("this machine alone", "others", "7 days", "relay", "photographed", "snapshot"):
        assert wanted in told
    for claimed in ("everywhere", "forever", "for all", "securely"):
        assert claimed not in told


@pytest.mark.parametrize("what", WHATS)
def test_a_lifetime_that_is_not_known_is_not_guessed(what: wiping.What) -> None:
    assert "until it expires" in "\n".join(wiping.beyond(what))
    assert wiping.document(what)["others_keep_hours"] is None
    assert wiping.document(what, 24)["others_keep_hours"] == 24


def test_a_backup_is_named_where_it_holds_something_of_what_was_wiped() -> None:
    named = [what for what in WHATS if "backchannel backup" in "\n".join(wiping.beyond(what))]
    assert named == ["channel", "everything"]
    assert named == [what for what in WHATS if "backups" in wiping.document(what)["not_reached"]]


def test_t10_the_law_and_the_better_way_stand_before_the_deed() -> None:
    assert "lawyer" in wiping.BEFORE
    assert "erasing may be an offence" in wiping.BEFORE
    assert "short lifetime" in wiping.BEFORE
