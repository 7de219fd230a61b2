"""`lobby`, `admit`, `refuse`: who answered an invite, and whether they come in."""

from typing import TYPE_CHECKING, Any

import click

from backchannel.client.aim import quoted
from backchannel.client.app import App
from backchannel.client.errors import Declined, NotFound, Refused
from backchannel.client.options import channel_option, verb
from backchannel.client.rounds.verdict import queued
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.client.deed import End
    from backchannel.client.rounds.sync import Sync
    from backchannel.protocol.lobby import Waiting
    from backchannel.protocol.state import ChannelState

Document = dict[str, Any]


@verb("lobby")
@channel_option
def lobby(app: App, channel: str | None) -> None:
    """Show who waits to be admitted, with the six words to compare by voice.

    \b
    Example:
      backchannel lobby
    """
    from backchannel.client.rounds.session import allowed
    from backchannel.client.rounds.sync import Sync
    from backchannel.protocol.issuing import office
    from backchannel.protocol.lobby import waiting

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel)
        state = sync.state(row.name)
        with allowed():
            office(state)
    guests = [_guest(each) | _said(state, each.alias) for each in waiting(state)]
    coming = [e.join.alias for e in state.guests if e.state == "admitting" and e.join]
    burnt = [each.card.invited.alias for each in state.guests if each.state == "burnt"]
    open_ = [each.card.invited.alias for each in state.guests if each.state == "open"]
    app.ui.show(
        {"waiting": guests, "admitting": coming, "burnt": burnt, "invited": open_},
        *_lines(guests, burnt, open_),
        *(f"{name} comes in once the relay has the new list of members." for name in coming),
    )
    if problem is not None:
        raise problem


def _guest(each: "Waiting") -> Document:
    from backchannel.protocol.words import spoken

    return {
        "alias": each.alias,
        "invited_as": each.invited_as,
        "party": each.party,
        "role": each.role,
        "check_words": " ".join(spoken(each.check, 6)),
    }


def _said(state: "ChannelState", alias: str) -> Document:
    """What members say of somebody who waits."""
    from backchannel.protocol.alias import alike

    found = next((each for each in state.candidates.values() if alike(each.alias, alias)), None)
    return {
        "vouches": state.policy.vouches,
        "presented": found is not None,
        "vouched": len(found.vouched) if found else 0,
        "objected": found.objected if found else False,
    }


def _step(each: Document) -> tuple[str, str]:
    """Why somebody who waits does not come in yet, if so; and what to do next."""
    name = quoted(each["alias"])
    if each["objected"]:
        return "Somebody objects, so the door stays shut.", f"backchannel refuse {name}"
    if each["vouched"] >= each["vouches"]:
        return "", f"backchannel admit {name}"
    if not each["presented"]:
        wanted = phrases.count(each["vouches"], "member")
        return f"Before you may admit, {wanted} must vouch.", f"backchannel present {name}"
    return f"{each['vouched']} vouched of {each['vouches']} that are needed.", "backchannel lobby"


def _lines(guests: list[Document], burnt: list[str], open_: list[str]) -> list[str]:
    lines = []
    for each in guests:
        lines += [
            f"{each['alias']} ({each['party']}, {each['role']}) waits.",
            f"    {each['check_words']}",
            *filter(None, [_step(each)[0]]),
        ]
    if guests:
        lines += [
            "Compare the six words by voice before you admit anybody.",
            f"next: {_step(guests[0])[1]}",
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
    """Admit somebody who waits, once the six words agree.

    At a terminal it asks whether they do, and marks who comes in as verified. A script says so with
    --yes; without, whoever comes in is shown as unverified.

    \b
    Example:
      backchannel admit Heron
    """
    from backchannel.client.deed import END, read_back
    from backchannel.client.rounds.sync import Sync
    from backchannel.protocol.command import Admit
    from backchannel.protocol.outcome import RosterAdopted

    with app.vault() as vault, Sync(app, vault) as sync:
        name, guest, state = _find(sync, alias, channel)
        about: Document = {"alias": guest.alias, "channel": name}
        _refuse_early(about | _said(state, guest.alias))
        if app.ui.json or (app.ui.can_ask and not yes):
            about |= _guest(guest)
        asked = app.ui.can_ask and not yes
        if asked:
            _compare(app, about)
        sync.act(name, Admit(guest.alias), RosterAdopted)
        state, problem = read_back(sync, name)
        if yes or asked:
            _mark(sync, name, state, guest.alias)
    end = _end(state, guest.alias, queued=problem is not None)
    app.ui.show(
        about | {"state": {"done": "admitted"}.get(end, end), "compared": yes or asked},
        *(END.get(end) or (f"{guest.alias} is admitted to {name}.",)),
    )
    if end == "done" and not (yes or asked):
        name = quoted(guest.alias)
        app.ui.say(f"Nobody said that the six words were compared: {guest.alias} is not verified.")
        app.ui.say(f"next: backchannel verify --check {name}     and compare them now, by voice")
    elif end == "done":
        app.ui.say("next: backchannel members   and compare its ten words, all together, once")
    if problem is not None:
        raise queued(problem, "It is decided, and takes effect with the next sync.")


def _refuse_early(each: Document) -> None:
    why, step = _step(each)
    if why:
        msg = f"{why} {each['alias']} was not admitted."
        raise Refused(msg, step)


def _mark(sync: "Sync", name: str, state: "ChannelState", alias: str) -> None:
    """The six words were compared: that settles who this is."""
    from backchannel.protocol.command import Compare
    from backchannel.protocol.outcome import RosterAdopted

    if state.current().named(alias) is not None:
        sync.act(name, Compare((alias,)), RosterAdopted)


def _end(state: "ChannelState", alias: str, *, queued: bool) -> "End":
    """How an admission ended: it is a change of the roster."""
    if queued:
        return "queued"
    if state.draft is not None:
        return "waits"
    return "done" if state.current().named(alias) else "lost"


def _find(sync: "Sync", alias: str, channel: str | None) -> "tuple[str, Waiting, ChannelState]":
    from backchannel.client.rounds.session import allowed
    from backchannel.protocol.alias import alike
    from backchannel.protocol.issuing import office
    from backchannel.protocol.lobby import waiting

    row, problem = sync.fresh(channel)
    state = sync.state(row.name)
    with allowed():
        office(state)
    for each in waiting(state):
        if alike(each.alias, alias) or alike(each.invited_as, alias):
            return row.name, each, state
    if problem is not None:
        raise problem
    msg = f"Nobody called {alias} waits in {row.name}."
    raise NotFound(msg, "backchannel lobby")


def _compare(app: App, guest: Document) -> None:
    app.ui.say(f"{guest['alias']} ({guest['party']}, {guest['role']}) should see these words:")
    app.ui.say()
    app.ui.title(f"    {guest['check_words']}")
    app.ui.say()
    if not app.ui.confirm("Did they read you the same words?"):
        msg = f"{guest['alias']} was not admitted, and still waits."
        raise Declined(msg, f"if the words differ: backchannel refuse {quoted(guest['alias'])}")


@verb("refuse")
@click.argument("alias")
@channel_option
def refuse(app: App, *, alias: str, channel: str | None) -> None:
    """Refuse somebody who waits, or withdraw an invite that nobody has answered.

    \b
    Example:
      backchannel refuse Heron
    """
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Refuse

    done = perform(app, channel, lambda _state: Refuse(alias))
    app.ui.show(
        {"alias": alias, "channel": done.name, "state": "queued" if done.problem else "refused"},
        f"{alias} is not waited for any more.",
    )
    done.owe("It is decided, and takes effect with the next sync.")
