"""`carry`, `paraphrase`, `release`: from one channel to another, what its author let go."""

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from backchannel.client.aim import quoted
from backchannel.client.app import App
from backchannel.client.errors import Declined, NotFound, UsageMistake
from backchannel.client.options import channel_option, remember_channel, thread_option, verb
from backchannel.client.rounds.verdict import queued
from backchannel.client.telling.choosing import pick_channel, pick_message, pick_thread
from backchannel.client.telling.terms import AUTHORITY

if TYPE_CHECKING:
    from backchannel.client.convening.carrying import About
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.telling.shown import Opened
    from backchannel.client.vault.channels import ChannelRow
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.command import Say


class _Wish(NamedTuple):
    """The options of `carry`."""

    number: str
    thread: str | None
    paraphrase: bool
    names: bool


@verb("carry")
@click.argument("number", metavar="N")
@click.option("--to", "target", metavar="CHANNEL", required=True, help="Where it is to be said.")
@click.option(
    "--from", "source", metavar="CHANNEL", callback=remember_channel, help="Where it was said."
)
@click.option("--paraphrase", is_flag=True, help="In the other words that its author approved.")
@click.option("--names", is_flag=True, help="Even where the words name somebody of that channel.")
@thread_option
def carry(app: App, *, target: str, source: str | None, **wish: Any) -> None:
    """Carry a message to another channel of yours, in words that its author released.

    The label (own, sounding, checked) goes with it. Its author, its channel and its number do not.

    \b
    Examples:
      backchannel carry 7 --from 'Leg North' --to 'Leg South'
      backchannel carry 7 --from 'Leg North' --to 'Leg South' --paraphrase
    """
    from backchannel.client.rounds.sync import Sync
    from backchannel.protocol.outcome import Said

    with app.vault() as vault:
        with Sync(app, vault) as sync:  # hangs up before the next: no relay sees both in one
            row, _ = sync.fresh(source or _other(vault, target))
        with Sync(app, vault) as sync:
            to, _ = sync.fresh(target)
            say = _released(app, vault, row, to, _Wish(**wish))
            said = sync.act(to.name, say, Said)
            assert said is not None  # noqa: S101 - what was said comes back as an event
            problem = sync.send(to.name)
    document = {"id": said.id.hex(), "from": row.name, "to": to.name, "text": said.text}
    labels = {"authority": AUTHORITY[said.authority], "paraphrase": wish["paraphrase"]}
    state = "queued" if problem else "at-relay"
    app.ui.show(document | labels | {"state": state}, f"Carried to {to.name}:")
    if not app.ui.json:
        app.ui.quote(said.text)
    if problem is not None:
        raise queued(problem, "It is in the outbox and goes with the next sync; do not repeat it.")


def _other(vault: "Vault", target: str) -> str:
    """The only other channel."""
    there = pick_channel(vault, target)
    others = [row.name for row in vault.channels.list() if row.name != there.name]
    if len(others) == 1:
        return others[0]
    msg = "From which channel is it to be carried? Nothing was carried."
    raise UsageMistake(msg, f"add --from and one of: {', '.join(others) or 'your channels'}")


def _released(app: App, vault: "Vault", row: "ChannelRow", to: "ChannelRow", wish: _Wish) -> "Say":
    from backchannel.client.convening import carrying
    from backchannel.client.rounds.session import look

    carrying.refuse_same(row.name, to.name)
    now = app.now()
    here, there = (look(vault, each.name, now, app.entropy).state for each in (row, to))
    found, said = _found(app, vault, row, wish.number)
    carrying.refuse_unless_anothers(found, here.me)
    text = carrying.words(found, said, paraphrase=wish.paraphrase)
    if not wish.names:
        carrying.refuse_names(text, here, there)
    carrying.refuse_again(text, there.me, vault.messages.list(to.id, now))
    say = carrying.elsewhere(found, text, pick_thread(there, wish.thread).id)
    carrying.check(say, found, said, vault.hour(now))
    return say


def _found(app: App, vault: "Vault", row: "ChannelRow", number: str) -> tuple["Opened", "About"]:
    from backchannel.client.convening.carrying import about

    found = pick_message(vault, row, number, app.now())
    return found, about(found, vault.messages.list(row.id, app.now()))


@verb("paraphrase")
@click.argument("number", metavar="N")
@click.argument("text")
@channel_option
def paraphrase(app: App, *, number: str, text: str, channel: str | None) -> None:
    """Ask the author of a message whether these other words may be carried. A facilitator does.

    Everybody in the channel sees what you ask. The author answers with `release`.

    \b
    Example:
      backchannel paraphrase 7 'A later date is not excluded.'
    """
    from backchannel.client.convening import carrying
    from backchannel.client.rounds.sync import Sync
    from backchannel.protocol.command import Rephrase
    from backchannel.protocol.outcome import Rephrased

    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel)
        found, _ = _found(app, vault, row, number)
        me = sync.state(row.name).me
        carrying.refuse_unless_anothers(found, me)
        asked = sync.act(row.name, Rephrase(found.message.id, text), Rephrased)
        assert asked is not None  # noqa: S101 - what is asked comes back as an event
        problem = sync.send(row.name)
    author = found.plain["from"]
    source = f" --from {quoted(row.name)}" if app.channel else ""
    app.ui.show(
        {
            "channel": row.name,
            "number": found.number,
            "author": author,
            "text": asked.text,
            "state": "queued" if problem else "at-relay",
        },
        f"Asked. Once {author} has released these words:",
        f"next: backchannel carry {found.number}{source} --to CHANNEL --paraphrase",
    )
    if problem is not None:
        raise queued(problem, "The question goes with the next sync.")


@verb("release")
@click.argument("number", metavar="[N]", required=False)
@click.option(
    "--as", "how", type=click.Choice(["exact", "paraphrase"]),
    help="In your own words, or in the other words that you were asked about.  [exact]",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@channel_option
def release(
    app: App, *, number: str | None, how: str | None, yes: bool, channel: str | None
) -> None:
    """Let a message of yours be carried to another channel, in these words and no others.

    A facilitator can then say them elsewhere, without your name. Without a number: show which
    other words you were asked about.

    \b
    Examples:
      backchannel release 7
      backchannel release 7 --as paraphrase
    """
    from backchannel.client.rounds.sync import Sync

    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel)
        if number is None:
            return _waiting(app, vault, row)
        found, text = _mine(app, vault, row, number, how)
        if text is None:
            shown = {"channel": row.name, "number": found.number, "state": "released"}
            app.ui.show(shown, "Released already; nothing was done.")
            return None
        if not yes:
            _refuse_unless_agreed(app, text)
        _let_go(app, sync, row.name, found, text)
    return None


def _mine(
    app: App, vault: "Vault", row: "ChannelRow", number: str, how: str | None
) -> tuple["Opened", str | None]:
    """The words that are to be released; none where they are already."""
    from backchannel.client.convening import carrying
    from backchannel.client.rounds.session import look

    found, said = _found(app, vault, row, number)
    carrying.refuse_unless_own(found, look(vault, row.name, app.now(), app.entropy).state.me)
    if how is None and said.waiting is not None:
        msg = f"You were asked about other words for message {found.number}. Nothing was released."
        raise UsageMistake(
            msg, f"backchannel release {found.number} --as paraphrase, or --as exact"
        )
    if how == "paraphrase":
        if not said.asked:
            msg = f"Nobody has asked about other words for message {found.number}."
            raise NotFound(msg, f"backchannel release {found.number} --as exact")
        return found, said.waiting
    text = str(found.plain["text"])
    return found, None if said.lets(text) or found.plain["release"] == "exact" else text


def _refuse_unless_agreed(app: App, text: str) -> None:
    if not app.ui.json:
        app.ui.say("These words, and no others:")
        app.ui.quote(text)
    if not app.ui.confirm("May a facilitator say them elsewhere, without your name?"):
        msg = "They were not released."
        raise Declined(msg)


def _let_go(app: App, sync: "Sync", name: str, found: "Opened", text: str) -> None:
    from backchannel.protocol.command import Release
    from backchannel.protocol.outcome import Released

    sync.act(name, Release(found.message.id, text), Released)
    problem = sync.send(name)
    state = "queued" if problem else "at-relay"
    document = {"channel": name, "number": found.number, "text": text, "state": state}
    app.ui.show(document, "Released. A facilitator may say these words elsewhere, and no others.")
    if problem is not None:
        raise queued(problem, "The release goes with the next sync.")


def _waiting(app: App, vault: "Vault", row: "ChannelRow") -> None:
    from backchannel.client.convening.carrying import about
    from backchannel.client.rounds.session import look
    from backchannel.client.telling.shown import opened

    me = look(vault, row.name, app.now(), app.entropy).state.me
    every = vault.messages.list(row.id, app.now())
    mine = [each for each in opened(every) if each.message.author == me]
    asked = [(each, about(each, every).waiting) for each in mine]
    rows = [(each, text) for each, text in asked if text is not None]
    numbered = [{"number": each.number, "text": text} for each, text in rows]
    app.ui.show({"channel": row.name, "asked": numbered})
    if app.ui.json:
        return
    for each, text in rows:
        app.ui.say(f"For your message {each.number}, may this be carried instead?")
        app.ui.quote(text)
    if rows:
        app.ui.say(f"next: backchannel release {rows[0][0].number} --as paraphrase")
    else:
        app.ui.say("Nobody asks you about other words.")
