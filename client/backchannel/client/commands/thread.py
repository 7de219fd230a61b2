"""`thread`: open one with a topic and a lifetime of its own, shorten its life, list them."""

from typing import TYPE_CHECKING

import click

from backchannel.client import phrases
from backchannel.client.app import App
from backchannel.client.choosing import MAIN, channel_option
from backchannel.client.commands.purge import purge_thread
from backchannel.client.errors import UsageMistake
from backchannel.client.filter import one_line
from backchannel.client.options import Duration, verb, verbs
from backchannel.client.verdict import queued, stale

if TYPE_CHECKING:
    from backchannel.protocol.state import ChannelState

_TOPIC = 120  # characters, as the protocol has it


@verbs("thread")
def thread(_app: App) -> None:
    """Open a thread, let one live shorter, or list them."""


@verb("new")
@click.argument("topic")
@click.option(
    "--expires", "--expire", type=Duration("1h", "90d", hours=True), metavar="TIME",
    help="How long what is said in it is kept.  [default: as the channel]",
)  # fmt: skip
@channel_option
def new(app: App, *, topic: str, expires: int | None, channel: str | None) -> None:
    """Open a thread: say its topic in a few words."""
    from backchannel.client.session import look
    from backchannel.client.sync import Sync
    from backchannel.protocol.command import Begin
    from backchannel.protocol.outcome import ThreadBegan

    topic = _checked(topic)
    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel)
        known = look(vault, row.name, app.now(), app.entropy).state.threads.values()
        if topic.casefold() in {MAIN, *(each.topic.casefold() for each in known)}:
            msg = f"There is a thread {topic!r} already. Nothing was done."
            raise UsageMistake(msg, "backchannel thread list")
        began = sync.act(row.name, Begin(topic, expires), ThreadBegan)
        assert began is not None  # noqa: S101 - a thread that is opened says so
        problem = sync.send(row.name)
    document = {
        "id": began.thread.hex(),
        "topic": began.topic,
        "expires_hours": began.lifetime,
        "channel": row.name,
        "state": "queued" if problem else "at-relay",
    }
    kept = phrases.lifetime(began.lifetime)
    app.ui.show(
        document,
        f"Opened. What is said in {topic!r} is kept for {kept}.",
        f"next: backchannel say TEXT --thread {topic.split()[0]}",
    )
    if problem is not None:
        raise queued(problem, "The thread is in the outbox and goes with the next sync.")


def _checked(topic: str) -> str:
    topic = " ".join(topic.split())
    if not 1 <= len(topic) <= _TOPIC or one_line(topic) != topic:
        msg = f"A topic is one line of 1 to {_TOPIC} characters."
        raise UsageMistake(msg, "backchannel thread new --help")
    return topic


@verb("shorten")
@click.argument("topic")
@click.argument("time", type=Duration("1h", "90d", hours=True))
@channel_option
def shorten(app: App, *, topic: str, time: int, channel: str | None) -> None:
    """Let what is said in a thread live shorter, what was said before too.

    Only who began it, or a facilitator, can. Everybody sees it, and nobody can lengthen it again.

    \b
    Example:
      backchannel thread shorten 'Ceasefire line' 6h
    """
    from backchannel.client.choosing import pick_thread
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Shorten
    from backchannel.protocol.types import MAIN_THREAD

    def make(state: "ChannelState") -> Shorten:
        chosen = pick_thread(state, topic)
        if chosen.id == MAIN_THREAD:
            msg = "The channel's own thread goes by the channel's rules. Nothing was done."
            raise UsageMistake(msg, "backchannel policy set --expires TIME")
        return Shorten(chosen.id, time)

    done = perform(app, channel, make)
    kept = phrases.lifetime(time)
    app.ui.show(
        {"channel": done.name, "topic": topic, "expires_hours": time, "state": done.sent},
        f"What is said in {topic!r} is kept for {kept}, what was said before too.",
    )
    done.owe("It holds here, and for the others with the next sync.")


@verb("list")
@click.option("--offline", is_flag=True, help="Show what was fetched before.")
@channel_option
def list_(app: App, *, offline: bool, channel: str | None) -> None:
    """List the threads, with how much of each is still there."""
    from backchannel.client.session import look
    from backchannel.client.shown import opened
    from backchannel.client.sync import Sync
    from backchannel.protocol.types import MAIN_THREAD

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        state = look(vault, row.name, app.now(), app.entropy).state
        said = [each.message.thread for each in opened(vault.messages.list(row.id, app.now()))]
    threads = [(MAIN_THREAD, MAIN, state.lifetime)]
    threads += [(name, each.topic, each.lifetime) for name, each in state.threads.items()]
    rows, lines = [], []
    for name, topic, hours in threads:
        count = said.count(name)
        rows.append({"id": name.hex(), "topic": topic, "expires_hours": hours, "messages": count})
        kept = phrases.lifetime(hours)
        lines.append(f"{one_line(topic)}: {phrases.count(count, 'message')}; kept {kept}")
    app.ui.show({"channel": row.name, "threads": rows}, *lines)
    if problem is not None:
        raise stale(problem)


thread.add_command(new)
thread.add_command(shorten)
thread.add_command(list_)
thread.add_command(purge_thread)
