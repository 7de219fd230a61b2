"""`lobby`, `admit`, `refuse`: who answered an invite, and whether they come in."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.choosing import channel_option
from backchannel.client.errors import Declined, NotFound
from backchannel.client.options import verb
from backchannel.client.verdict import queued

if TYPE_CHECKING:
    from backchannel.client.sync import Sync
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.command import Admit, Refuse
    from backchannel.protocol.lobby import Waiting


@verb("lobby")
@channel_option
def lobby(app: App, channel: str | None) -> None:
    """Show who waits to be admitted, with the six words to compare by voice."""
    from backchannel.client.session import allowed, look
    from backchannel.client.sync import Sync
    from backchannel.protocol.lobby import close_secret, waiting

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel)
        state = look(vault, row.name, app.now(), app.entropy).state
        with allowed():
            close_secret(state)
    guests = [_guest(each) for each in waiting(state)]
    burnt = [each.card.invited.alias for each in state.guests if each.state == "burnt"]
    open_ = [each.card.invited.alias for each in state.guests if each.state == "open"]
    app.ui.show(
        {"waiting": guests, "burnt": burnt, "invited": open_}, *_lines(guests, burnt, open_)
    )
    if problem is not None:
        raise problem


def _guest(each: "Waiting") -> dict[str, str]:
    from backchannel.protocol.words import spoken

    return {
        "alias": each.alias,
        "invited_as": each.invited_as,
        "party": each.party,
        "role": each.role,
        "check_words": " ".join(spoken(each.check, 6)),
    }


def _lines(guests: list[dict[str, str]], burnt: list[str], open_: list[str]) -> list[str]:
    lines = []
    for each in guests:
        lines += [
            f"{each['alias']} ({each['party']}, {each['role']}) waits.",
            f"    {each['check_words']}",
        ]
    if guests:
        lines += [
            "Compare the six words by voice before you admit anybody.",
            f"next: backchannel admit {_quoted(guests[0]['alias'])}",
        ]
    lines += [
        f"Two people answered the invite for {name}: nobody is admitted on it. Invite again."
        for name in burnt
    ]
    lines += [f"{name} has not answered yet." for name in open_]
    if open_ and not guests:
        lines.append("next: backchannel lobby     once they say that they have answered")
    return lines or ["Nobody waits, and nobody is invited.", "next: backchannel invite ALIAS"]


@verb("admit")
@click.argument("alias")
@click.option("--yes", is_flag=True, help="Do not ask: the words were compared.")
@channel_option
def admit(app: App, *, alias: str, yes: bool, channel: str | None) -> None:
    """Admit somebody who waits, once the six words agree."""
    from backchannel.client.sync import Sync
    from backchannel.protocol.command import Admit

    with app.vault() as vault, Sync(app, vault) as sync:
        name, guest = _find(app, vault, sync, alias, channel)
        about = {"alias": guest.alias, "channel": name}
        if app.ui.json or (app.ui.can_ask and not yes):
            about |= _guest(guest)
        if app.ui.can_ask and not yes:
            _compare(app, about)
        _decide(app, sync, name, Admit(guest.alias), about)


def _find(
    app: App, vault: "Vault", sync: "Sync", alias: str, channel: str | None
) -> "tuple[str, Waiting]":
    from backchannel.client.session import allowed, look
    from backchannel.protocol.alias import alike
    from backchannel.protocol.lobby import close_secret, waiting

    row, problem = sync.fresh(channel)
    state = look(vault, row.name, app.now(), app.entropy).state
    with allowed():
        close_secret(state)
    for each in waiting(state):
        if alike(each.alias, alias) or alike(each.invited_as, alias):
            return row.name, each
    if problem is not None:
        raise problem
    msg = f"Nobody called {alias} waits in {row.name}."
    raise NotFound(msg, "backchannel lobby")


def _compare(app: App, guest: dict[str, str]) -> None:
    app.ui.say(f"{guest['alias']} ({guest['party']}, {guest['role']}) should see these words:")
    app.ui.say()
    app.ui.title(f"    {guest['check_words']}")
    app.ui.say()
    if not app.ui.confirm("Did they read you the same words?"):
        msg = f"{guest['alias']} was not admitted, and still waits."
        raise Declined(msg, f"if the words differ: backchannel refuse {_quoted(guest['alias'])}")


def _decide(
    app: App,
    sync: "Sync",
    name: str,
    command: "Admit | Refuse",
    about: dict[str, str],
) -> None:
    from backchannel.protocol.command import Admit
    from backchannel.protocol.outcome import RosterAdopted

    admitted = isinstance(command, Admit)
    sync.act(name, command, RosterAdopted)
    problem = sync.send(name)
    state = "admitted" if admitted else "refused"
    said = (
        f"{about['alias']} is admitted to {name}."
        if admitted
        else f"{about['alias']} is not waited for any more."
    )
    app.ui.show(about | {"state": state if problem is None else "queued"}, said)
    if admitted and problem is None:
        app.ui.say("next: backchannel members   and compare its ten words, all together, once")
    if problem is not None:
        raise queued(problem, "It is decided, and takes effect with the next sync.")


@verb("refuse")
@click.argument("alias")
@channel_option
def refuse(app: App, *, alias: str, channel: str | None) -> None:
    """Refuse somebody who waits, or withdraw an invite that nobody has answered."""
    from backchannel.client.sync import Sync
    from backchannel.protocol.command import Refuse

    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel)
        about = {"alias": alias, "channel": row.name}
        _decide(app, sync, row.name, Refuse(alias), about)


def _quoted(alias: str) -> str:
    import shlex

    return shlex.quote(alias)
