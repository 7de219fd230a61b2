"""`say` and `read`: a message to a relay, and what others said, until it expires."""

import time
from typing import TYPE_CHECKING, Any, NoReturn

import click

from backchannel.client.app import App
from backchannel.client.errors import RateLimited, RelayError, UsageMistake
from backchannel.client.options import channel_option, thread_option, verb
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import phrases
from backchannel.client.telling.summary import unread
from backchannel.client.telling.terms import AUTHORITY, RELEASE

if TYPE_CHECKING:
    from backchannel.client.keeping.reader import Reader
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.vault.vault import Vault

_MOST = 1 << 17  # characters taken from standard input: more than a message can have
_PATIENCE = 20  # seconds of one waiting request; then what time asks for has its turn
_PAUSES = (1, 2, 5, 10, 20)  # seconds before a relay that failed is tried again


@verb("say")
@click.argument("words", metavar="TEXT", nargs=-1, required=True)
@thread_option
@click.option("--to", "alias", metavar="ALIAS", help="To this member alone: a private note.")
@click.option("--reply", "number", metavar="N", help="Answer message N, as `read` numbers them.")
@click.option("--quote", default="", metavar="WORDS", help="Words you refer to; of no author.")
@click.option(
    "--authority", type=click.Choice(AUTHORITY), default="own",
    help="Your own view, a sounding, or checked with somebody.  [default: own]",
)  # fmt: skip
@click.option(
    "--release", type=click.Choice(RELEASE), default="no",
    help="Whether it may be carried to another channel, word by word or in words you approve.",
)  # fmt: skip
@click.option("--unattributed", is_flag=True, help="As nobody in particular, within some hours.")
@click.option("--yes", is_flag=True, help="With --unattributed: do not ask.")
@click.option("--queue", is_flag=True, help="Ask no relay now: it goes with the next `sync`.")
@channel_option
def say(app: App, *, words: tuple[str, ...], channel: str | None, **how: Any) -> None:
    """Send a message; - reads it from standard input.

    Returns when one relay has it; the others get it with what you do next. If none can be reached,
    the message waits in the outbox of your vault and goes with the next `sync`: do not say it
    again.

    \b
    Examples:
      backchannel say 'We can meet on Thursday.'
      backchannel say --to Heron 'May I say so to my side?'
      backchannel say --reply 12 'Yes, if it stays here.'
      backchannel say --authority sounding 'A longer truce might be accepted.'
      backchannel say --queue 'For when I am online again.'
    """
    from backchannel.client.saying import How, refuse_mixture, say_to_channel, say_unattributed

    if len(words) > 1:
        msg = "The text came in several pieces; put it between quotes. Nothing was sent."
        raise UsageMistake(msg, "backchannel say 'TEXT'")
    wanted = How(**how)
    refuse_mixture(wanted)
    (text,) = words
    text = _checked(_given(app) if text == "-" else text)
    deed = say_unattributed if wanted.unattributed else say_to_channel
    deed(app, channel, text, wanted)


def _given(app: App) -> str:
    try:
        return app.ui.pasted("the text", _MOST)
    except UnicodeDecodeError:
        raise _not_text() from None


def _not_text() -> UsageMistake:
    return UsageMistake("The text is not UTF-8. Nothing was sent.", "convert it, then say it again")


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _not_text() from None
    text = text.removesuffix("\n")
    if not text.strip():
        msg = "There is no text. Nothing was sent."
        raise UsageMistake(msg, "backchannel say TEXT")
    return text


@verb("read")
@click.option("--thread", metavar="TOPIC", help="Only this thread.  [default: all]")
@click.option("--unread", is_flag=True, help="Only what was not shown before.")
@click.option("--follow", is_flag=True, help="Stay, and show what comes; Ctrl-C ends.")
@click.option("--offline", is_flag=True, help="Do not ask the relay.")
@channel_option
def read(
    app: App, *, thread: str | None, unread: bool, follow: bool, offline: bool, channel: str | None
) -> None:
    """Show the messages that have not expired, with how long each is still there.

    \b
    Examples:
      backchannel read --unread
      backchannel read --follow
    """
    from backchannel.client.keeping.reader import Reader
    from backchannel.client.rounds.sync import Sync

    if follow and offline:
        msg = "To follow is to ask the relay."
        raise UsageMistake(msg, "leave out --follow or --offline")
    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        reader = Reader(app, vault, row.name, thread)
        if not reader.show(only_unread=unread) and not follow:
            app.ui.say("Nothing to read." if not unread else "Nothing new.")
        _warn(app, vault)
        if follow:
            _follow(app, sync, reader, row.name)
    if problem is not None:
        raise stale(problem)


def _warn(app: App, vault: "Vault") -> None:
    """Of what is unread elsewhere and about to expire."""
    for row in vault.channels.list():
        soon = unread(row.summary, vault.hour(app.now())).soon
        if soon:
            text, about = f"{row.name}: {phrases.soon(soon)}", {"channel": row.name, "count": soon}
            app.ui.note(text, reason="expires-soon", **about, next="backchannel status")


def _follow(app: App, sync: "Sync", reader: "Reader", name: str) -> NoReturn:
    """Until somebody interrupts; a relay that fails is tried again."""
    failures = 0
    while True:
        try:
            sync.channel(name, min(_PATIENCE, app.awake()))
            failures = 0
        except (RelayError, RateLimited) as error:
            if not failures:
                app.ui.note(f"{error.message} Trying again until it is there.")
            time.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
            failures += 1
        reader.show()
