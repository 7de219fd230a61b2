"""`verify`: compare words by voice, mark who was compared, see who else has done so."""

from typing import TYPE_CHECKING, Any

import click

from backchannel.client.aim import quoted
from backchannel.client.app import App
from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.options import channel_option, verb
from backchannel.client.rounds.verdict import stale

if TYPE_CHECKING:
    from backchannel.protocol.roster import Entry
    from backchannel.protocol.state import ChannelState


@verb("verify")
@click.argument("alias", required=False)
@click.option("--compared", is_flag=True, help="All heard the same ten words: mark everybody.")
@click.option("--check", is_flag=True, help="Show the six words that you and ALIAS share.")
@channel_option
def verify(
    app: App, *, alias: str | None, compared: bool, check: bool, channel: str | None
) -> None:
    """Make sure that everybody here is who you think, by comparing words by voice.

    Without more, it shows ten words. Let one of you read them aloud, all together; if everybody has
    the same, each types `verify --compared`. With one member alone, compare six words instead.

    \b
    Examples:
      backchannel verify
      backchannel verify --compared
      backchannel verify --check Heron
      backchannel verify Heron
    """
    if (check and not alias) or (compared and (alias or check)):
        msg = "Either everybody or one member is compared. Nothing was done."
        raise UsageMistake(msg, "backchannel verify --help")
    if check:
        _check(app, alias or "", channel)
    elif alias or compared:
        _mark(app, alias, channel)
    else:
        _show(app, channel)


def _show(app: App, channel: str | None) -> None:
    from backchannel.client.rounds.session import allowed
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.telling.people import member
    from backchannel.protocol.words import ROSTER, spoken

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel)
        state = sync.state(row.name)
    with allowed():
        roster = state.current()
    words = spoken(roster.spoken(), ROSTER)
    found = [member(state, each) for each in roster.entries]
    app.ui.show({"channel": row.name, "roster_words": " ".join(words), "members": found})
    app.ui.say(f"The ten words of everybody in {row.name}:")
    app.ui.say()
    for part in (words[:5], words[5:]):
        app.ui.title(f"    {' '.join(part)}")
    app.ui.say()
    for each in found:
        if not each["you"]:
            app.ui.say(_standing(each))
    app.ui.say()
    app.ui.say("Let one of you read the words aloud on a call where you know the voices.")
    app.ui.say("next: backchannel verify --compared     if everybody has the same ten")
    app.ui.say("If somebody has others, stop talking here: two lists of members are about.")
    if problem is not None:
        raise stale(problem)


def _standing(each: dict[str, Any]) -> str:
    from backchannel.client.telling.people import NEW_KEYS

    own = "you have compared words" if each["verified"] else "you have not compared words"
    new = "came back with new keys, and " if each["mark"] == NEW_KEYS else ""
    said = "; says that the ten agreed" if each["compared"] else ""
    return f"{each['alias']}: {new}{own}{said}"


def _mark(app: App, alias: str | None, channel: str | None) -> None:
    from backchannel.client.deed import perform
    from backchannel.client.telling.people import mark, others
    from backchannel.protocol.command import Compare

    def make(state: "ChannelState") -> Compare:
        return Compare((_other(state, alias).alias,) if alias else ())

    done = perform(app, channel, make)
    marked = [_other(done.state, alias)] if alias else list(others(done.state))
    unsettled = [each.alias for each in marked if mark(done.state, each.slot)]
    names = [each.alias for each in marked]
    lines = [f"Marked as compared: {', '.join(names) or 'nobody else is here'}."]
    if not alias:
        lines.append("Everybody here sees that you compared the words.")
    if unsettled:
        lines.append(
            f"Not settled yet: {', '.join(unsettled)}. Their programs have not answered yours "
            "since they came; the mark goes when they do."
        )
    app.ui.show(
        {"channel": done.name, "marked": names, "unsettled": unsettled, "state": done.sent}, *lines
    )
    done.owe("The marks are kept; the others are told with the next sync.")


def _other(state: "ChannelState", alias: str) -> "Entry":
    entry = state.current().named(alias)
    if entry is None or entry.slot == state.me:
        msg = f"Nobody else called {alias} is here. Nothing was done."
        raise NotFound(msg, "backchannel members")
    return entry


def _check(app: App, alias: str, channel: str | None) -> None:
    from backchannel.client.rounds.session import allowed, look
    from backchannel.client.telling.choosing import pick_channel
    from backchannel.protocol.words import CHECK, spoken

    with app.vault() as vault:
        row = pick_channel(vault, channel)
        state = look(vault, row.name, app.now(), app.entropy).state
    with allowed():
        entry = _other(state, alias)
        words = " ".join(spoken(_shared(state, entry), CHECK))
    app.ui.show(
        {"channel": row.name, "alias": entry.alias, "check_words": words},
        f"{entry.alias} sees the same six words with: backchannel verify --check "
        f"{quoted(state.alias)}",
        "",
        f"    {words}",
        "",
        f"next: backchannel verify {quoted(entry.alias)}     if they are the same, by voice",
    )


def _shared(state: "ChannelState", other: "Entry") -> bytes:
    """The words of joining, where one of the two facilitates; otherwise the lower place counts as
    the facilitator's, so that both get the same.
    """
    from backchannel.protocol.roster import check_data
    from backchannel.protocol.types import IdentityHash

    mine = state.current().entry(state.me)
    first, second = sorted((mine, other), key=lambda each: (each.role != "facilitator", each.slot))
    return check_data(state.id, first, second.alias, IdentityHash(second.identity))
