"""What is said of wiping: never more than it does."""

from typing import get_args

import pytest

from backchannel.client import reach

WHATS: tuple[reach.What, ...] = get_args(reach.What)


@pytest.mark.parametrize("what", WHATS)
def test_t10_whoever_wipes_is_told_what_that_cannot_reach(what: reach.What) -> None:
    told = "\n".join(reach.beyond(what, 168))
    for wanted in ("this machine alone", "others", "7 days", "relay", "photographed", "snapshot"):
        assert wanted in told
    for claimed in ("everywhere", "forever", "for all", "securely"):
        assert claimed not in told


@pytest.mark.parametrize("what", WHATS)
def test_a_lifetime_that_is_not_known_is_not_guessed(what: reach.What) -> None:
    assert "until it expires" in "\n".join(reach.beyond(what))
    assert reach.document(what)["others_keep_hours"] is None
    assert reach.document(what, 24)["others_keep_hours"] == 24


def test_a_backup_is_named_where_it_holds_something_of_what_was_wiped() -> None:
    named = [what for what in WHATS if "backchannel backup" in "\n".join(reach.beyond(what))]
    assert named == ["channel", "everything"]
    assert named == [what for what in WHATS if "backups" in reach.document(what)["not_reached"]]


def test_t10_the_law_and_the_better_way_stand_before_the_deed() -> None:
    assert "lawyer" in reach.BEFORE
    assert "erasing may be an offence" in reach.BEFORE
    assert "short lifetime" in reach.BEFORE
