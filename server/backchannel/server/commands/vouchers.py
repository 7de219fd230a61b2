"""`vouchers`: what pays for drops is made, counted and taken back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backchannel.server.options import CONTEXT, as_json, data, hint, say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backchannel.server.home import Home
    from backchannel.server.operate.vouchers import Revoked


@click.group(context_settings=CONTEXT)
def vouchers() -> None:
    """Vouchers: each pays for one drop. Give them to facilitators over a way you trust."""


@vouchers.command(context_settings=CONTEXT)
@click.argument("count", metavar="N", type=click.IntRange(1, 10_000))
@data
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write them to this new file, which only you can read.",
)
@as_json
def mint(home: "Home", count: int, file: Path | None, *, as_json: bool) -> None:
    """Make N vouchers and print them, one a line. Nobody can print them again."""
    from backchannel.server.operate import vouchers as making

    if file is None:
        minted = making.mint(home, count)
        say(minted, {"vouchers": minted}, as_json=as_json)
        return
    making.mint_into(home, count, file)
    lines = [f"in {file}: {count}; erase it once they are given out"]
    say(lines, {"file": str(file), "minted": count}, as_json=as_json)


@vouchers.command("count", context_settings=CONTEXT)
@data
@as_json
def count_(home: "Home", *, as_json: bool) -> None:
    """Say how many vouchers are out and not used."""
    from backchannel.server.operate import vouchers as counting

    number = counting.count(home)
    say([f"out and not used: {number}"], {"unused": number}, as_json=as_json)
    if not number and not as_json:
        hint(f"backchannel-relay vouchers mint 10 --data {home.path}")


@vouchers.command(context_settings=CONTEXT, short_help="Take back vouchers that were not used.")
@click.argument("file", type=click.File("r", lazy=False), required=False)
@click.option("--all", "every", is_flag=True, help="All that were not used.")
@data
@as_json
def revoke(home: "Home", file: "Iterable[str] | None", *, every: bool, as_json: bool) -> None:
    """Take back vouchers that were not used: those in FILE (- for standard input), or all.

    \b
    Drops that were made with one stay. Examples:
      backchannel-relay vouchers revoke lost-vouchers --data DIR
      backchannel-relay vouchers revoke --all --data DIR
    """
    from backchannel.server.operate import vouchers as taking

    if every == (file is not None):
        msg = "say which: a FILE of vouchers, or --all"
        raise click.UsageError(msg)
    revoked = taking.revoke(home, file) if file is not None else taking.revoke_all(home)
    say(list(_told(revoked)), revoked._asdict(), as_json=as_json)


def _told(revoked: "Revoked") -> "Iterable[str]":
    yield f"taken back: {revoked.gone}; out and not used: {revoked.left}"
    if revoked.unknown:
        yield f"not there, since used, taken back before or another relay's: {revoked.unknown}"
