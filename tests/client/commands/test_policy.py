"""What a change of expiry holds for: said where it is made, and so."""

import json

import pytest

from backchannel.client.commands.policy import set_
from backchannel.client.commands.thread import new, shorten
from backchannel.client.rounds.session import change
from backchannel.protocol import command
from backchannel.protocol.content import policy_hash
from backchannel.protocol.outcome import ThreadBegan
from backchannel.protocol.roster import Policy
from tests.support.clients import NAME, Client, party
from tests.support.people import ENTROPY


def ends(client: Client) -> dict[str, int]:
    """Each text, and in how many hours from its own it ends."""
    rows = client.vault.messages.list(client.row.id, client.tools.now())
    plains = [(json.loads(row.plain), row) for row in rows]
    return {
        plain["text"]: row.expires - row.hour for plain, row in plains if plain["kind"] == "text"
    }


def test_the_words_say_for_what_a_change_holds() -> None:
    told = " ".join((set_.help or "").split())
    assert "A shorter life holds at once, for what was said before too." in told
    assert "what was said before keeps its end, and threads that there are keep their time" in told
    told = " ".join((shorten.help or "").split())
    assert "live shorter. That holds for what was said before, too." in told
    assert "What was read before --burn was set lives so long from then on." in told
    assert "What was said before a thread went off the record stays as it was." in told
    assert "what nobody reads, when it expires" in " ".join((new.help or "").split())


@pytest.mark.slow
def test_a_longer_life_holds_for_what_is_said_from_then_on_and_a_shorter_one_for_all() -> None:
    with party("Heron", lifetime=24) as north:
        fox, heron = north.clients.values()
        began = begin(fox)
        fox.say("before")
        north.settle()
        longer = Policy(48)
        fox.act(command.SetPolicy(longer))
        north.settle()
        heron.act(command.Consent(policy_hash(longer)))
        north.settle()
        assert heron.look().state.lifetime == 48
        assert heron.look().state.threads[began.thread].lifetime == 24
        fox.say("after")
        north.settle()
        for client in (fox, heron):
            assert ends(client) == {"before": 24, "after": 48}
        fox.act(command.SetPolicy(Policy(12)))
        north.settle()
        for client in (fox, heron):
            assert ends(client) == {"before": 12, "after": 12}


def begin(client: Client) -> ThreadBegan:
    """A thread that lives as long as the channel does now."""
    with change(client.vault, NAME, client.tools.now(), ENTROPY) as session:
        events = session.act(command.Begin("Water"))
    return next(each for each in events if isinstance(each, ThreadBegan))
