"""`backup`, `restore`, `db`: what a relay needs to come back, its coming back, its tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backchannel.server.options import CONTEXT, as_json, data, hint, maybe_data, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backchannel.server.home import Home
    from backchannel.server.operate.archive import Head
    from backchannel.server.operate.restore import Restored
    from backchannel.server.operate.upgrade import Plan

_VERIFY = "verify"


class _Backup(click.Group):
    """`backup FILE` beside `backup verify FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What is no verb is the first one's."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["make", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_Backup, context_settings=CONTEXT, subcommand_metavar="FILE --data DIR | verify FILE"
)
def backup() -> None:
    """Make a backup: `backup FILE`. Check one: `backup verify FILE`.

    \b
    A backup holds relay.toml, the relay's key, its drops and its vouchers; no
    block, and no key that opens one. Whoever has it can pass for this relay:
    encrypt it.
      backchannel-relay backup /media/stick/relay.backup --data DIR
      backchannel-relay backup - --data DIR | age -p > relay.backup.age
    """


@backup.command(context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@data
@as_json
def make(home: "Home", file: Path, *, as_json: bool) -> None:
    """Write a backup to a new FILE, or - for standard output.

    The relay may run meanwhile.
    """
    from backchannel.server.operate import backup as taking

    head = taking.take(home, file)
    if file == taking.STANDARD:
        return
    say([f"a backup is in {file}: {_counts(head)}"], _about(file, head), as_json=as_json)
    if not as_json:
        hint(f"backchannel-relay backup verify {file}; then encrypt it, and keep it elsewhere")


@backup.command(_VERIFY, context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@as_json
def verify(file: Path, *, as_json: bool) -> None:
    """Read a backup as `restore` would, and change nothing."""
    from backchannel.server.operate import backup as checking

    head = checking.verify(file)
    lines = [f"{file} is whole: {_counts(head)}, of {checking.when(head.hour)}"]
    say(lines, _about(file, head), as_json=as_json)


@click.command(context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--list",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="[DIR]",
    is_flag=False,
    flag_value=".",
    help="Only list the backups in DIR, or here.",
)
@click.option("--vouchers", is_flag=True, help="Vouchers too: one used since is good again.")
@maybe_data
@as_json
def restore(
    home: "Home | None", file: Path | None, folder: Path | None, *, vouchers: bool, as_json: bool
) -> None:
    """Make a relay in a new DIR (--data) out of the backup FILE (- for standard input).

    \b
    Without FILE it lists the backups that are here. No block comes back. What was
    deleted, sealed or taken back since the backup stands as it did then.
      backchannel-relay restore --list /media/stick
      backchannel-relay restore /media/stick/relay.backup --data DIR
    """
    if file is None or folder is not None:
        _list(folder or Path(), as_json=as_json)
        return
    if home is None:
        msg = "say where the relay is to be: --data DIR"
        raise click.UsageError(msg)
    from backchannel.server.operate import restore as restoring

    done = restoring.restore(file, home, vouchers=vouchers)
    document = {
        "data": str(home.path),
        "static_key": done.key.value.hex(),
        "drops": done.head.drops,
        "vouchers": done.vouchers,
    }
    say(list(_told(home, done)), document, as_json=as_json)
    if not as_json:
        hint(f"backchannel-relay check --data {home.path}")


@click.group(context_settings=CONTEXT)
def db() -> None:
    """The relay's tables."""


@db.command("upgrade", short_help="Bring its tables to this version.", context_settings=CONTEXT)
@click.option("--plan", "only", is_flag=True, help="Only say what it would do.")
@data
@as_json
def upgrade(home: "Home", *, only: bool, as_json: bool) -> None:
    """Bring the tables to this program's version, as `serve` does when it starts.

    Stop the relay first. Each step is done whole or not at all.
    """
    from backchannel.server.operate import upgrade as upgrading

    plan = upgrading.plan(home) if only else upgrading.upgrade(home)
    document = {
        **plan._asdict(),
        "steps": [step._asdict() for step in plan.steps],
        "done": not only,
    }
    say(list(_planned(plan, done=not only)), {**document, "fits": plan.fits}, as_json=as_json)
    if not as_json:
        hint(_after(home, plan, done=not only))


def _planned(plan: "Plan", *, done: bool) -> "Iterator[str]":
    if not plan.steps:
        yield f"the tables are of this version ({plan.target}): there is nothing to do"
        return
    yield f"the tables {'were' if done else 'are'} of version {plan.current}, now {plan.target}"
    for step in plan.steps:
        yield f"  {step.revision}: {step.what}"
    if not all(step.back for step in plan.steps):
        yield "no way back in place: the way back is a backup made before, and that version"
    if plan.free is None:
        yield "whether the database server's disk has room for it is not known here"
    elif not done:
        room = "enough" if plan.fits else "TOO LITTLE"
        yield f"it takes {plan.needed >> 20} MiB of disk meanwhile; free: {plan.free >> 20}, {room}"


def _after(home: "Home", plan: "Plan", *, done: bool) -> str:
    if done or not plan.steps:
        return f"backchannel-relay serve --data {home.path}"
    if not plan.fits:
        return "make room on the disk, then look again"
    return f"backchannel-relay backup FILE, with the old version; db upgrade --data {home.path}"


def _list(folder: Path, *, as_json: bool) -> None:
    from backchannel.server.operate import backup as looking

    found = looking.candidates(folder)
    lines = [f"{each.file}  {looking.when(each.head.hour)}, {_counts(each.head)}" for each in found]
    document = {"backups": [_about(each.file, each.head) for each in found]}
    say(lines or [f"no backup is in {folder.resolve()}"], document, as_json=as_json)
    if not as_json:
        wanted = found[0].file if found else "--list DIR"
        hint(f"backchannel-relay restore {wanted}{' --data DIR' if found else ''}")


def _told(home: "Home", done: "Restored") -> list[str]:
    from backchannel.server.operate.backup import when

    lines = [
        f"a relay is made in {home.path}, as it was on {when(done.head.hour)}",
        f"its key: {done.key.value.hex()}",
        f"{done.head.drops} drops came back, empty: no backup holds a block",
        "what was deleted, sealed or taken back since then stands as it did",
    ]
    if done.vouchers:
        lines.append(f"{done.vouchers} vouchers came back, also those that were used since then")
    elif done.head.vouchers:
        lines.append(f"{done.head.vouchers} vouchers did not come back: mint new ones")
    return [*lines, "never run it beside the relay that it was: two with one key divide a channel"]


def _counts(head: "Head") -> str:
    return f"{head.drops} drops, {head.vouchers} vouchers"


def _about(file: Path, head: "Head") -> dict[str, Any]:
    return {
        "file": str(file),
        "version": head.version,
        "hour": head.hour,
        "drops": head.drops,
        "vouchers": head.vouchers,
    }
