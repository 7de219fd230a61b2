"""A channel founded: drawn up, and put in the vault with what it owes. Knows no network and no
screen.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from backchannel.client.app import App
from backchannel.client.convening.charter import Charter
from backchannel.client.errors import UsageMistake
from backchannel.client.rounds import session
from backchannel.client.rounds.relays import refuse_other_key
from backchannel.client.telling import phrases
from backchannel.client.vault.vault import Vault
from backchannel.protocol.channel import Channel
from backchannel.protocol.command import Begin
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.outcome import Outcome
from backchannel.protocol.roster import Entry, Policy, Relay
from backchannel.protocol.types import ChannelId

Threads = Sequence[tuple[str, int | None]]
"""Topics, with hours of their own or the channel's."""


class Plan(NamedTuple):
    """What a facilitator decided."""

    name: str
    alias: str
    party: str
    relays: tuple[Relay, ...]
    policy: Policy
    charter: Charter


def draw_up(app: App, plan: Plan) -> tuple[Channel, Outcome]:
    """The channel, not kept anywhere yet; `UsageMistake` for a name that cannot be one."""
    founder = Entry(0, plan.alias, plan.party, "facilitator", bytes(32))
    text, disclosure = plan.charter
    try:
        return Channel.create(
            founder,
            plan.name,
            plan.relays,
            plan.policy,
            text,
            disclosure,
            app.now(),
            app.entropy,
        )
    except DecodeError as error:
        msg = f"{phrases.sentence(str(error))} Nothing was done."
        raise UsageMistake(msg, "backchannel channel new --help") from None


def keep(
    app: App,
    vault: Vault,
    drawn: tuple[Channel, Outcome],
    vouchers: Mapping[str, list[bytes]],
    threads: Threads = (),
) -> ChannelId:
    """Put it in the vault, with its vouchers by relay, its first threads and what it owes."""
    (channel, outcome), now = drawn, app.now()
    for relay in channel.state.relays:
        refuse_other_key(vault, relay.url, relay.key)
    _refuse_taken(vault, channel.state.name)
    with vault.exclusive(now), vault.transaction():
        for url, bought in vouchers.items():
            vault.vouchers.add_many(url, bought)
        opened = session.begin(vault, channel, founded=True, now=now, entropy=app.entropy)
        opened.carry(outcome)
        for topic, hours in threads:
            opened.act(Begin(topic, min(hours, channel.state.lifetime) if hours else None))
        opened.save()
    return channel.state.id


def _refuse_taken(vault: Vault, name: str) -> None:
    if any(row.name.casefold() == name.casefold() for row in vault.channels.list()):
        msg = f"There is a channel named {name} already. Nothing was done."
        raise UsageMistake(msg, "choose another name")
