"""`thread`: open one with a topic and a lifetime of its own, shorten its life, list them."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.commands.purge import purge_thread
from backchannel.client.errors import UsageMistake
from backchannel.client.filter import one_line
from backchannel.client.options import Duration, channel_option, verb, verbs
from backchannel.client.rounds.verdict import queued, stale
from backchannel.client.telling import phrases
from backchannel.client.telling.terms import MAIN

if TYPE_CHECKING:
    from backchannel.protocol.state import ChannelState, ThreadState

_TOPIC = 120  # characters, as the protocol has it
_HOURS = Duration("1h", "90d", hours=True)
_OFF = (
    "Off the record: no program keeps what is said there where it could be read later. It is gone "
    "when you lock, or this machine stops, and is not quoted, carried or written to a file. The "
    "topic is on the record, and what people remember or photograph nobody takes back."
)


@verbs("thread")
def thread(_app: App) -> None:
    """Open a thread, let one live shorter, or list them."""


@verb("new")
@click.argument("topic")
@click.option(
    "--expires", "--expire", type=_HOURS, metavar="TIME",
    help="How long what is said in it is kept.  [default: as the channel]",
)  # fmt: skip
@click.option("--burn", type=_HOURS, metavar="TIME", help="How long, once it was read.")
@click.option("--off-record", is_flag=True, help="Keep nothing of it that could be read later.")
@channel_option
def new(
    app: App,
    *,
    topic: str,
    expires: int | None,
    burn: int | None,
    off_record: bool,
    channel: str | None,
) -> None:
    """Open a thread: say its topic in a few words.

    With --burn, what is said is gone so long after it was read, on each machine by itself; what is
    your own, after it was sent; what nobody reads, when it expires.

    Off the record what is said is kept in memory alone, until you lock. Unlock before, or you see
    only what comes while you follow. No files, and at most one block of text in each message.

    \b
    Examples:
      backchannel thread new 'Ceasefire line' --expires 12h --burn 1h
      backchannel thread new 'Corridor' --off-record
    """
    from backchannel.client.rounds.sync import Sync
    from backchannel.protocol.command import Begin
    from backchannel.protocol.outcome import ThreadBegan

    topic = _checked(topic)
    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel)
        known = sync.state(row.name).threads.values()
        if topic.casefold() in {MAIN, *(each.topic.casefold() for each in known)}:
            msg = f"There is a thread {topic!r} already. Nothing was done."
            raise UsageMistake(msg, "backchannel thread list")
        began = sync.act(row.name, Begin(topic, expires, burn or 0, off_record), ThreadBegan)
        assert began is not None  # noqa: S101 - a thread that is opened says so
        problem = sync.send(row.name)
    document = {
        "id": began.thread.hex(),
        "topic": began.topic,
        "expires_hours": began.lifetime,
        "burns_hours": began.burn or None,
        "off_record": began.off,
        "channel": row.name,
        "state": "queued" if problem else "at-relay",
    }
    kept = phrases.life(began.lifetime, began.burn)
    app.ui.show(
        document,
        f"Opened. What is said in {topic!r} is kept for {kept}.",
        *([_OFF] if began.off else []),
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
@click.argument("time", type=_HOURS, required=False)
@click.option("--burn", type=_HOURS, metavar="TIME", help="How long, once it was read.")
@click.option("--off-record", is_flag=True, help="From now on, keep nothing of it.")
@channel_option
def shorten(
    app: App,
    *,
    topic: str,
    time: int | None,
    burn: int | None,
    off_record: bool,
    channel: str | None,
) -> None:
    """Let what is said in a thread live shorter. That holds for what was said before, too.

    Only who began it, or a facilitator, can. Everybody sees it, and nobody can lengthen it again.
    What was read before --burn was set lives so long from then on. What was said before a thread
    went off the record stays as it was.

    \b
    Examples:
      backchannel thread shorten 'Ceasefire line' 6h
      backchannel thread shorten 'Ceasefire line' --burn 2h --off-record
    """
    from backchannel.client.deed import perform
    from backchannel.client.telling.choosing import pick_thread
    from backchannel.protocol.command import Shorten
    from backchannel.protocol.outcome import Shortened
    from backchannel.protocol.types import MAIN_THREAD

    if not (time or burn or off_record):
        msg = "Nothing was named that should be shorter. Nothing was done."
        raise UsageMistake(msg, "backchannel thread shorten --help")

    def make(state: "ChannelState") -> Shorten:
        nonlocal topic
        chosen = pick_thread(state, topic)
        topic = one_line(chosen.topic)
        if chosen.id == MAIN_THREAD:
            msg = "The channel's own thread goes by the channel's rules. Nothing was done."
            raise UsageMistake(msg, "backchannel policy set --expires TIME")
        return Shorten(chosen.id, time, burn or 0, off_record)

    done = perform(app, channel, make, Shortened)
    rules: Shortened = done.event
    about = {"channel": done.name, "topic": topic, "state": done.sent}
    life = {"expires_hours": rules.lifetime, "burns_hours": rules.burn or None}
    lines = [f"What is said in {topic!r} is kept for {phrases.lifetime(rules.lifetime)}"]
    lines[0] += ", what was said before too." if time else "."
    if burn:
        lines.append(
            f"Once it was read, for {phrases.lifetime(burn)}; what was read before, from now."
        )
    if off_record:
        lines += [_OFF, "What was said before stays as it was."]
    app.ui.show({**about, **life, "off_record": rules.off}, *lines)
    done.owe("It holds here, and for the others with the next sync.")


@verb("list")
@click.option("--offline", is_flag=True, help="Show what was fetched before.")
@channel_option
def list_(app: App, *, offline: bool, channel: str | None) -> None:
    """List the threads, with how much of each is still there.

    \b
    Example:
      backchannel thread list
    """
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.telling.shown import opened
    from backchannel.protocol.types import MAIN_THREAD

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        state = sync.state(row.name)
        said = [each.message.thread for each in opened(vault.messages.list(row.id, app.now()))]
    threads = [(MAIN_THREAD, MAIN, state.lifetime, 0, False)]
    threads += [(name, *_rules(each)) for name, each in state.threads.items()]
    rows, lines = [], []
    for name, topic, hours, burn, off in threads:
        count = said.count(name)
        about = {"id": name.hex(), "topic": topic, "expires_hours": hours, "messages": count}
        rows.append(about | {"burns_hours": burn or None, "off_record": off})
        kept = phrases.life(hours, burn) + (", off the record" if off else "")
        lines.append(f"{one_line(topic)}: {phrases.count(count, 'message')}; kept {kept}")
    app.ui.show({"channel": row.name, "threads": rows}, *lines)
    if problem is not None:
        raise stale(problem)


def _rules(thread: "ThreadState") -> tuple[str, int, int, bool]:
    return thread.topic, thread.lifetime, thread.burn, thread.off


thread.add_command(new)
thread.add_command(shorten)
thread.add_command(list_)
thread.add_command(purge_thread)
