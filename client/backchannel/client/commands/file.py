"""`file`: send one, save one, list what was offered."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.options import channel_option, thread_option, verb, verbs
from backchannel.client.rounds.verdict import queued, stale
from backchannel.client.telling import phrases
from backchannel.client.telling.choosing import pick_message

if TYPE_CHECKING:
    from backchannel.client.telling.shown import Opened

_MOST = 10 * 1024 * 1024  # bytes, as the protocol has it
_METADATA = (
    "The folder's name is not sent, and nobody outside sees the file's name or size. What is "
    "written inside a document stays there: authors, places, earlier versions. Look before you "
    "send."
)


@verbs("file")
def file(_app: App) -> None:
    """Send a file of up to 10 MB, save one, list them. They expire like messages."""


@verb("send")
@click.argument("path", type=click.Path(path_type=Path))
@thread_option
@channel_option
def send(app: App, *, path: Path, thread: str | None, channel: str | None) -> None:
    """Send a file to everybody in a thread.

    It goes in many blocks, which takes a while on a slow line. If that is interrupted, nothing is
    lost: the next `sync` sends the rest.

    \b
    Example:
      backchannel file send report.pdf
    """
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.telling.choosing import pick_thread
    from backchannel.protocol.command import SendFile
    from backchannel.protocol.outcome import Offered

    data = _read(path)
    app.ui.note(_METADATA)
    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel)
        chosen = pick_thread(sync.state(row.name), thread)
        with app.ui.progress("encrypting") as bar:
            bar(0, 1)
            offered = sync.act(row.name, SendFile(chosen.id, path.name, data), Offered)
            bar(1, 1)
        assert offered is not None  # noqa: S101 - what was offered comes back as an event
        with app.ui.progress("delivering") as bar:
            problem = sync.send(row.name, bar)
    said = f"At the relay: {offered.name}, {phrases.size(offered.size)}"
    app.ui.show(
        {
            "id": offered.id.hex(),
            "channel": row.name,
            "thread": chosen.topic,
            "name": offered.name,
            "size": offered.size,
            "state": "queued" if problem else "at-relay",
            "expires_at": phrases.stamp(offered.expires),
        },
        *([] if problem else [f"{said}; expires {phrases.hour_of_day(offered.expires)}."]),
    )
    if problem is not None:
        raise queued(problem, "The file is safe in the outbox; what is missing goes with `sync`.")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            data = opened.read(_MOST + 1)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. Nothing was sent."
        raise UsageMistake(msg, "backchannel file send PATH") from None
    if not data or len(data) > _MOST:
        why = "is empty" if not data else f"has more than {phrases.size(_MOST)}"
        msg = f"{path.name} {why}. Nothing was sent."
        raise UsageMistake(msg, "send another, or this one in parts")
    return data


@verb("save")
@click.argument("number", metavar="N")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@channel_option
def save(app: App, *, number: str, path: Path | None, channel: str | None) -> None:
    """Save the file of message N, for you alone to read.

    N is the number that `read` shows. The file goes into this folder under its own name, or to
    PATH; nothing is ever overwritten. A saved copy does not expire: delete it yourself.

    \b
    Examples:
      backchannel file save 7
      backchannel file save 7 Documents/
    """
    from backchannel.client.keeping import files
    from backchannel.client.keeping.seen import mark_taken
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.telling import shown

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel)
        found = _file(pick_message(vault, row, number, app.now()))
        name = str(found.plain["name"])
        target = files.place(path, name)
        data = files.whole(app, vault, row, found, problem)
        state = sync.state(row.name)
        timers = {found.message.content: shown.timer(found, state)}
        mark_taken(vault, row.name, timers, app.now(), app.entropy)
    files.write(target, data)
    app.ui.show(
        {"channel": row.name, "name": name, "path": str(target), "size": len(data)},
        f"Saved {target}, {phrases.size(len(data))}. This copy does not expire.",
    )


def _file(found: "Opened") -> "Opened":
    if found.plain["kind"] != "file":
        msg = f"Message {found.number} is no file."
        raise NotFound(msg, "backchannel file list")
    return found


@verb("list")
@click.option("--offline", is_flag=True, help="Show what was fetched before.")
@channel_option
def list_(app: App, *, offline: bool, channel: str | None) -> None:
    """List the files that have not expired, and how much of each is here.

    \b
    Example:
      backchannel file list
    """
    from backchannel.client.keeping import files
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.telling.people import shown
    from backchannel.client.telling.shown import opened

    rows: list[dict[str, Any]] = []
    lines = []
    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        state = sync.state(row.name)
        now = vault.hour(app.now())
        for each in opened(vault.messages.list(row.id, app.now())):
            if each.plain["kind"] != "file":
                continue
            here, total = files.progress(app, vault, row, each)
            name, size = each.plain["name"], each.plain["size"]
            rows.append(
                {
                    "number": each.number,
                    "name": name,
                    "size": size,
                    "from": each.plain["from"],
                    "blocks": total,
                    "blocks_here": here,
                    "expires_at": phrases.stamp(each.message.expires),
                }
            )
            whole = "" if here == total else f"; {here} of {total} blocks are here"
            left = phrases.left(each.message.expires, now)
            author = shown(state, each.message.author)
            lines.append(f"{each.number:>3}  {name}, {phrases.size(size)}, {author}{whole}; {left}")
    lines = lines or ["No file has been offered that has not expired."]
    if rows:
        lines.append(f"next: backchannel file save {rows[-1]['number']}")
    app.ui.show({"channel": row.name, "files": rows}, *lines)
    if problem is not None:
        raise stale(problem)


for command in (send, save, list_):
    file.add_command(command)
