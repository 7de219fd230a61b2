"""`courier`: what relays cannot carry, carried by hand in a file of blocks."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backchannel.client.aim import aimed
from backchannel.client.app import App
from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.options import Duration, channel_option, verb, verbs
from backchannel.client.telling import phrases
from backchannel.client.telling.choosing import pick_channel
from backchannel.protocol.types import Hour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backchannel.client.keeping.courier import Load, Taken
    from backchannel.client.vault.vault import Vault

_FILE = click.Path(path_type=Path)
_STDOUT = Path("-")
_BETRAYS = (
    "To others the file is noise. Its size, its date and its name tell that something was carried, "
    "and when: delete it once it has arrived."
)


@verbs("courier")
def courier(_app: App) -> None:
    """Carry a channel by hand, in a file, where no relay can be reached."""


@verb("pack")
@click.argument("file", type=_FILE)
@click.option(
    "--since", type=Duration("1h", "90d", hours=True), metavar="TIME",
    help="Only what is younger, such as 24h.  [default: all]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@channel_option
def pack(app: App, *, file: Path, since: int | None, force: bool, channel: str | None) -> None:
    """Pack what this vault holds of a channel into FILE, to be carried.

    In it are blocks as a relay has them: who is a member opens them, and to all others every byte
    is noise. What they hold expires there as it does here; FILE itself you delete. - is standard
    output. Members take it in with `courier take`. Asks no relay.

    \b
    Examples:
      backchannel courier pack /media/stick/photos.bin
      backchannel courier pack --since 24h - | split -b 1M - part.
    """
    from backchannel.client.keeping.courier import load

    if file == _STDOUT:
        _refuse_screen(app)
    with app.vault() as vault:
        row, now = pick_channel(vault, channel), vault.hour(app.now())
        what = load(app, vault, row.name, Hour(0 if since is None else now - since))
        if not what.size:
            msg = f"There is nothing of {row.name} to carry. Nothing was written."
            raise NotFound(msg, "backchannel courier pack FILE, with a longer --since")
        count = _write(app, vault, what, file, force=force)
    _packed(app, what, file, count)


def _refuse_screen(app: App) -> None:
    if sys.stdout.isatty() or app.json:
        msg = "Blocks are for a file or a program, and not to be shown. Nothing was written."
        raise UsageMistake(msg, "backchannel courier pack FILE, or: ... pack - | PROGRAM")


def _write(app: App, vault: "Vault", what: "Load", file: Path, *, force: bool) -> int:
    """How many blocks were written."""
    from backchannel.client.keeping.courier import blocks
    from backchannel.client.keeping.files import write_parts
    from backchannel.protocol.limits import BLOCK

    with app.ui.progress("packing") as tell:

        def told() -> "Iterator[bytes]":
            for number, block in enumerate(blocks(app, vault, what), 1):
                yield block
                tell(number, what.size)

        if file == _STDOUT:
            count = sum(map(sys.stdout.buffer.write, told())) // BLOCK
            sys.stdout.buffer.flush()
            return count
        step = "backchannel courier pack FILE, with another name, or --force"
        return write_parts(file, told(), step, force=force) // BLOCK


def _packed(app: App, what: "Load", file: Path, count: int) -> None:
    from backchannel.protocol.limits import BLOCK

    first, last = min(what.hours), max(what.hours)
    ends = Hour(last + what.lifetime)
    document = {
        "channel": what.channel,
        "path": str(file),
        "blocks": count,
        "size": count * BLOCK,
        "from": phrases.stamp(first),
        "until": phrases.stamp(last),
        "opens_until": phrases.stamp(ends),
    }
    size, span = phrases.size(count * BLOCK), phrases.lifetime(last - first + 1)
    lines = (
        f"Packed {phrases.count(count, 'block')} of {span}, {size}, for members of {what.channel}.",
        f"The newest opens until {phrases.hour_of_day(ends)}, older ones end sooner.",
        _BETRAYS,
        "next: they type: backchannel courier take FILE",
    )
    if file == _STDOUT:
        for line in lines:
            app.ui.note(line)
    else:
        app.ui.show(document, *lines)


@verb("take")
@click.argument("files", metavar="FILE...", type=_FILE, nargs=-1, required=True)
def take(app: App, files: tuple[Path, ...]) -> None:
    """Take in what a courier brought: FILE, or its parts in their order.

    Whatever opens for a channel of yours is taken once, from whomever it comes and however often;
    the rest is passed over. Asks no relay; with the next sync you bring to your relays what they
    lack. Delete the files afterwards: they do not expire, though what is in them does.

    \b
    Examples:
      backchannel courier take /media/stick/photos.bin
      backchannel courier take part.aa part.ab part.ac
    """
    from backchannel.client.keeping import courier as couriers
    from backchannel.client.keeping.tape import Tape

    with Tape(files) as tape, app.vault() as vault:
        with app.ui.progress("taking") as tell:
            taken = couriers.take(app, vault, tape, tell)
        rows = vault.channels.list()
    unread = {row.name: len(row.summary["unread"]) for row in rows if row.summary["unread"]}
    first = next(iter(unread), None) if len(rows) > 1 else None
    step = aimed("backchannel read", first) if unread else "backchannel status"
    _took(app, taken, sum(unread.values()), step)


def _took(app: App, taken: "Taken", unread: int, step: str) -> None:
    document = {
        "new": taken.new,
        "known": taken.known,
        "passed_over": taken.over,
        "messages": taken.messages,
        "channels": list(taken.channels),
        "unread": unread,
        "next": step,
    }
    lines = [_new(taken)]
    if taken.known:
        lines.append(f"{phrases.count(taken.known, 'block')} known already.")
    if taken.over:
        lines.append(
            f"{phrases.count(taken.over, 'block')} passed over: of no channel of yours, from "
            "before your time, too old, or damaged."
        )
    app.ui.show(document, *lines, f"next: {step}")


def _new(taken: "Taken") -> str:
    if not taken.new:
        return "Nothing is new."
    messages = phrases.count(taken.messages, "new message") if taken.messages else "No new message"
    blocks = phrases.count(taken.new, "new block")
    return f"{messages}; {blocks} of {phrases.listed(list(taken.channels))}."


for command in (pack, take):
    courier.add_command(command)
