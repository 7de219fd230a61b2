"""`purge` and `thread purge`: let go of what is kept here, now."""

import click

from backchannel.client.app import App
from backchannel.client.errors import Declined, UsageMistake
from backchannel.client.options import channel_option, verb
from backchannel.client.telling import wiping

_UNDONE = "Nothing was erased."


@verb("purge")
@click.option("--all", "everything", is_flag=True, help="The whole vault, locked or not.")
@click.option("--thread", "topic", metavar="TOPIC", help="One thread.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@channel_option
def purge(app: App, *, everything: bool, topic: str | None, yes: bool, channel: str | None) -> None:
    """Erase what this machine keeps, at once and for good.

    Needs no network. With --all it needs no passphrase either, and takes less than a second.

    \b
    Examples:
      backchannel purge --all
      backchannel purge --thread 'Ceasefire line'
    """
    if everything == bool(topic):
        msg = "Say what: everything, or one thread. Nothing was erased."
        raise UsageMistake(msg, "backchannel purge --all, or: backchannel purge --thread TOPIC")
    if topic:
        _purge_thread(app, topic, channel, yes=yes)
    else:
        _purge_all(app, yes=yes)


@verb("purge")
@click.argument("topic")
@click.option("--yes", is_flag=True, help="Do not ask.")
@channel_option
def purge_thread(app: App, *, topic: str, yes: bool, channel: str | None) -> None:
    """Erase what this machine keeps of a thread, at once and for good.

    The thread goes on: what is said in it later is kept again.

    \b
    Example:
      backchannel thread purge 'Ceasefire line'
    """
    _purge_thread(app, topic, channel, yes=yes)


def _purge_all(app: App, *, yes: bool) -> None:
    from backchannel.client.keeping.purging import purge_all

    ask_before(
        app, "Erase the whole vault: every channel, every key, everything said?", _UNDONE, yes=yes
    )
    purge_all(app.profile)
    app.ui.show(
        {"state": "erased", **wiping.document("everything")},
        "Everything is erased: no passphrase opens it any more.",
        *wiping.beyond("everything"),
    )


def _purge_thread(app: App, topic: str, channel: str | None, *, yes: bool) -> None:
    from backchannel.client.keeping.purging import purge_thread as erase
    from backchannel.client.rounds.session import look
    from backchannel.client.telling import phrases
    from backchannel.client.telling.choosing import pick_channel, pick_thread

    with app.vault() as vault:
        row = pick_channel(vault, channel)
        chosen = pick_thread(look(vault, row.name, app.now(), app.entropy).state, topic)
        ask_before(app, f"Erase what is kept here of {chosen.topic!r}?", _UNDONE, yes=yes)
        gone = erase(vault, row.name, chosen.id, app.now(), app.entropy)
    app.ui.show(
        {
            "channel": row.name,
            "thread": chosen.topic,
            "messages": gone.messages,
            **wiping.document("thread", gone.lifetime),
        },
        f"Erased {phrases.count(gone.messages, 'message')} of {chosen.topic!r}.",
        *wiping.beyond("thread", gone.lifetime),
    )


def ask_before(app: App, question: str, undone: str, *, yes: bool) -> None:
    """Before anything is erased; `Declined`, which says what was not done."""
    if yes:
        return
    app.ui.note(wiping.BEFORE)
    if not app.ui.confirm(question):
        raise Declined(undone)
