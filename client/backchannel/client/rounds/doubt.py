"""A clock that leapt while nobody used the vault, and who says whether it is right.

A relay does, without anybody being asked: it answers only who names its own hour. Where none can be
reached, a person does. Until then nothing is sealed, sent or erased, and nothing opens whose hour
has passed by either clock.
"""

from collections.abc import Iterator
from contextlib import closing

from backchannel.client.app import App
from backchannel.client.errors import ClockApart, ClockLeapt, RelayDown
from backchannel.client.rounds import joining
from backchannel.client.rounds.relays import Relays
from backchannel.client.rounds.session import look
from backchannel.client.vault.vault import Vault
from backchannel.client.wire.lanes import Reading
from backchannel.protocol.drop import Page
from backchannel.protocol.outcome import Poll


def settle(app: App, vault: Vault) -> None:
    """Go by the clock if a relay or a person says so; `ClockLeapt` otherwise, `ClockApart` where a
    relay has another hour.
    """
    refusal = ClockLeapt.by(vault.leapt(app.now()))
    if not (vault.channels.list() or vault.joins.list()):
        vault.trust(app.now())  # there is nothing to lose
    elif _is_offline() or not _relay_says_so(app, vault):
        if not (app.ui.can_ask and app.ui.confirm(f"{refusal.message} Is it right?")):
            raise refusal
        vault.trust(app.now())


def _relay_says_so(app: App, vault: Vault) -> bool:
    """False where none can be reached."""
    with closing(Relays(app)) as relays:
        try:
            confirm(app, vault, relays)
        except RelayDown:
            return False
    return True


def confirm(app: App, vault: Vault, relays: Relays) -> None:
    """Go by the clock if a relay answers, whichever does first; `RelayDown` where none does."""
    for owner, polls in _polls(app, vault):
        relays.speak_for(owner)
        for poll in polls:
            position = vault.cursors.get(poll.relay, poll.drop.id).position
            relays.reads.ask(Reading(poll.relay, poll.drop.relay, poll.drop, position))
        for heard in relays.reads.answers(lambda: False, silence=app.paces.silence):
            if isinstance(heard.said, ClockApart):
                raise heard.said
            if isinstance(heard.said, Page):
                vault.trust(app.now())
                return
    msg = "This machine's clock leapt, and no relay can be asked whether it is right."
    raise RelayDown(msg, ClockLeapt.usual_next)


def _polls(app: App, vault: Vault) -> Iterator[tuple[bytes, list[Poll]]]:
    """What anybody in a channel, or in front of one, asks for anyway."""
    for row in vault.channels.list():
        epoch = look(vault, row.name, app.now(), app.entropy).state.epoch
        yield row.id, [Poll(relay.url, drop) for relay, drop in epoch.drops()]
    for join in vault.joins.list():
        yield join.id, [joining.poll(join)]


def _is_offline() -> bool:
    """Whether the verb was told to ask no relay."""
    import click

    context = click.get_current_context(silent=True)
    return context is not None and any(context.params.get(name) for name in ("offline", "queue"))
