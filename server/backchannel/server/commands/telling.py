"""`retention`, `legal`: what a relay keeps, for its operator and for whoever asks."""

from typing import TYPE_CHECKING

import click

from backchannel.server.options import CONTEXT, as_json, data, paragraph, say

if TYPE_CHECKING:
    from backchannel.server.home import Home
    from backchannel.server.operate.holdings import Holding


@click.command(context_settings=CONTEXT)
@data
@as_json
def retention(home: "Home", *, as_json: bool) -> None:
    """List every place where this relay keeps anything, and for how long."""
    from backchannel.server.operate.holdings import holdings

    held = holdings(home)
    pairs = zip(held, [None, *held], strict=False)
    lines = [line for each, before in pairs for line in _held(each, before)]
    say(lines, {"holdings": [each._asdict() for each in held]}, as_json=as_json)


@click.command(context_settings=CONTEXT)
@data
@as_json
def legal(home: "Home", *, as_json: bool) -> None:
    """Print what this server holds and what it does not, for answering a request."""
    from backchannel.server.operate.holdings import survey
    from backchannel.server.operate.legal import absent, letter

    store = survey(home)
    tables = {
        name: {"rows": store.rows[name], "columns": columns}
        for name, columns in store.columns.items()
    }
    document = {"hour": store.now, "tables": tables, "absent": absent(store)}
    say(letter(store), document, as_json=as_json)


def _held(holding: "Holding", before: "Holding | None") -> list[str]:
    now = f" ({holding.now})" if holding.now else ""
    known = before is not None and before.what == holding.what
    said = [] if known else [f"what: {holding.what}"]
    lines = [f"{holding.name}, in {holding.where}{now}"]
    for each in (*said, f"kept: {holding.kept}"):
        lines += paragraph(each, "  ", "    ")
    return lines
