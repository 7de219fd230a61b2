"""`transcript`: what was said, as a file for somebody outside, and whether such a file is whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.filter import one_line
from backchannel.client.options import channel_option, verb, verbs
from backchannel.client.telling import phrases
from backchannel.protocol.types import Hour

if TYPE_CHECKING:
    from backchannel.protocol.exhibit import Exhibit


@verbs("transcript")
def transcript(_app: App) -> None:
    """Write what was said to a file, or check such a file. It proves nothing to anybody."""


@verb("export")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--thread", metavar="TOPIC", help="Only this thread.  [default: all]")
@channel_option
def export(app: App, *, path: Path, thread: str | None, channel: str | None) -> None:
    """Write what was said, with all that shows who said it, to a FILE.

    Whoever gets the file can check it with `transcript check`, and cannot know whether you wrote
    it all yourself: see `forge`. Private notes, files, what nobody in particular said and what is
    off the record are never in it. What has a read timer is, and stays there: the file does not
    expire, so delete it yourself.

    \b
    Examples:
      backchannel transcript export talk.transcript
      backchannel transcript export --thread Ceasefire ceasefire.transcript
    """
    from backchannel.client.keeping import showing
    from backchannel.client.keeping.seen import mark_taken
    from backchannel.client.rounds.session import look
    from backchannel.client.telling.choosing import pick_channel, pick_thread
    from backchannel.client.telling.shown import opened, timer

    with app.vault() as vault:
        row, now = pick_channel(vault, channel), app.now()
        state = look(vault, row.name, now, app.entropy).state
        only = pick_thread(state, thread).id if thread else None
        found = opened(vault.messages.list(row.id, now, only))
        drawn = showing.of_vault(vault, row, state, found, now)
        leaving = filter(showing.may_leave, found)
        timers = {each.message.content: timer(each, state) for each in leaving}
        mark_taken(vault, row.name, timers, now, app.entropy)
    showing.write(path, drawn, "backchannel transcript export FILE, with another name")
    count = len(drawn.exhibit.statements)
    left = f" {phrases.count(drawn.left_out, 'message')} left out." if drawn.left_out else ""
    app.ui.show(
        {
            "channel": row.name,
            "path": str(path),
            "messages": count,
            "left_out": drawn.left_out,
            "size": len(drawn.data),
        },
        f"Wrote {phrases.count(count, 'message')} to {path}.{left} This file does not expire.",
        showing.NO_PROOF,
    )


@verb("check")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--show", is_flag=True, help="Show what is said in it, too.")
def check(app: App, *, path: Path, show: bool) -> None:
    """Check that a transcript is whole: all in it opens and fits.

    Asks for no vault and no passphrase. A file that was exported and one that was forged are
    accepted alike.

    \b
    Examples:
      backchannel transcript check talk.transcript
      backchannel transcript check --show talk.transcript
    """
    from backchannel.client.keeping import showing

    found = showing.read(path)
    messages = _messages(found)
    speakers = len({each.author for each in found.statements})
    first, last = (phrases.hour_of_day(Hour(found.statements[at].hour)) for at in (0, -1))
    said = f"{phrases.count(len(messages), 'message')} of {phrases.count(speakers, 'member')}"
    app.ui.show(
        {
            "channel": found.channel,
            "members": [
                {"alias": each.alias, "party": each.party, "role": each.role}
                for each in found.members
            ],
            "messages": messages,
            "whole": True,
            "proves_author": False,
        },
        f"{path} is whole: {said} of {found.channel}, from {first} to {last}.",
        showing.NO_PROOF,
    )
    if show and not app.ui.json:
        _show(app, messages)


def _messages(found: "Exhibit") -> list[dict[str, Any]]:
    names = {each.slot: each.alias for each in found.members}
    return [
        {
            "from": names[each.author],
            "thread": each.topic or "main",
            "sent_at": phrases.stamp(Hour(each.hour)),
            "text": each.text,
        }
        for each in found.statements
    ]


def _show(app: App, messages: list[dict[str, Any]]) -> None:
    for each in messages:
        where = one_line(each["thread"])
        app.ui.say()
        app.ui.say(f"{each['sent_at']}  {one_line(each['from'])} in {where}")
        app.ui.quote(each["text"])


for command in (export, check):
    transcript.add_command(command)
