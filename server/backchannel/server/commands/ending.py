"""`move`, `decommission`, `guide`: a relay goes elsewhere, or away."""

from typing import TYPE_CHECKING

import click

from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.operate.guides import GUIDES
from backchannel.server.options import CONTEXT, as_json, data, hint, paragraph, say, tell

if TYPE_CHECKING:
    from backchannel.server.home import Home


@click.command(context_settings=CONTEXT)
@click.option("--to", "url", required=True, metavar="URL", help="postgresql://ROLE@HOST/DATABASE")
@data
@as_json
def move(home: "Home", url: str, *, as_json: bool) -> None:
    """Move the relay's store into an empty PostgreSQL database, and go on there.

    Stop the relay first. Drops, vouchers and living blocks go over; then the setting is
    written and the old file overwritten. Clients see no difference. For another machine:
    backchannel-relay guide machine.
    """
    from backchannel.server.operate import moving

    moved = moving.move(home, url)
    lines = [
        f"{moved.drops} drops, {moved.vouchers} vouchers and {moved.blocks} blocks stand there now",
        "relay.toml names the database; the old store is overwritten",
    ]
    say(lines, moved._asdict(), as_json=as_json)
    if not as_json:
        hint(f"backchannel-relay serve --data {home.path}")


@click.command(context_settings=CONTEXT)
@click.option("--yes", is_flag=True, help="Do it.")
@data
@as_json
def decommission(home: "Home", *, yes: bool, as_json: bool) -> None:
    """End the relay for good: its keys are overwritten first, then all else.

    Stop it first. Nothing brings it back but a backup, and no block even then. What to do
    before and after: backchannel-relay guide end.
    """
    from backchannel.server.operate import ending

    if not yes:
        raise _asking(home)
    steps = []
    for step in ending.decommission(home):
        steps.append(step)
        if not as_json:
            tell(step)
    end = [f"nothing of the relay is left in {home.path}"]
    say(end, {"data": str(home.path), "steps": steps}, as_json=as_json)
    if not as_json:
        hint("erase its backups, wherever they are: backchannel-relay guide end")


@click.command(context_settings=CONTEXT)
@click.argument("topic", metavar="[TOPIC]", type=click.Choice(list(GUIDES)), required=False)
@as_json
def guide(topic: str | None, *, as_json: bool) -> None:
    """Print what to do, step by step: to move, to replace a key, when somebody leaves, to end."""
    if topic is None:
        lines = [f"{name:<12}{each.title}" for name, each in GUIDES.items()]
        titles = {name: each.title for name, each in GUIDES.items()}
        say(lines, {"guides": titles}, as_json=as_json)
        if not as_json:
            hint("backchannel-relay guide TOPIC")
        return
    chosen = GUIDES[topic]
    lines = [chosen.title, ""]
    for number, step in enumerate(chosen.steps, 1):
        lines += paragraph(step, f"{number}. ", "   ")
    say(lines, chosen._asdict(), as_json=as_json)


def _asking(home: "Home") -> OperatorError:
    """What would go, for who has not said yes."""
    from backchannel.server.operate.holdings import survey

    rows = survey(home).rows
    message = (
        f"this takes away {rows['drops']} drops, {rows['vouchers']} vouchers and "
        f"{rows['blocks']} blocks for good, and the key by which clients know the relay"
    )
    next_ = f"backchannel-relay decommission --yes --data {home.path}"
    return OperatorError(message, next_=next_, code=exits.REFUSED)
