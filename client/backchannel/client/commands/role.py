"""`role` and `roles`: what somebody may do here, and the table of it."""

from typing import TYPE_CHECKING, cast

import click

from backchannel.client.app import App
from backchannel.client.errors import Declined, UsageMistake
from backchannel.client.options import channel_option, verb
from backchannel.client.telling.terms import ROLES
from backchannel.client.ui import width

_WIDE, _EACH = 30, 13  # columns

if TYPE_CHECKING:
    from backchannel.protocol.command import SetRole
    from backchannel.protocol.state import ChannelState


@verb("role")
@click.argument("alias")
@click.argument("role", type=click.Choice(ROLES))
@click.option("--yes", is_flag=True, help="Do not ask.")
@channel_option
def role(app: App, *, alias: str, role: str, yes: bool, channel: str | None) -> None:
    """Give somebody another role. Everybody sees it.

    A second facilitator makes sure that the channel outlives your device. Whoever may do less from
    now on does so under new keys, which costs a voucher.

    \b
    Examples:
      backchannel role Heron observer
      backchannel role Ibis facilitator
    """
    from backchannel.client.deed import change, conclude
    from backchannel.client.telling.people import named
    from backchannel.protocol.command import SetRole
    from backchannel.protocol.roster import Role

    def make(state: "ChannelState") -> "SetRole":
        entry = named(state, alias)
        if entry.role == role:
            msg = f"{entry.alias} is {_a(role)} already. Nothing was done."
            raise UsageMistake(msg, "backchannel members")
        question = f"May {entry.alias} invite, admit and remove people, as you may?"
        if role == "facilitator" and not yes and not app.ui.confirm(question):
            msg = f"{entry.alias} stays {_a(entry.role)}. Nothing was done."
            raise Declined(msg)
        return SetRole(entry.alias, cast(Role, role))

    changed = change(app, channel, make)
    conclude(app, changed, {"alias": alias, "role": role}, f"{alias} is {_a(role)} now.")


def _a(role: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}"


@verb("roles")
def roles(app: App) -> None:
    """Show what each role may do.

    \b
    Example:
      backchannel roles
    """
    from backchannel.client.telling.rules import table

    rows = table()
    app.ui.show({"roles": [{"deed": deed, **allowed} for deed, allowed in rows]})
    if app.ui.json:
        return
    if width() < _WIDE + _EACH * len(ROLES) - 3:
        for role in ROLES:
            app.ui.field(role, "; ".join(deed for deed, allowed in rows if allowed[role]))
    else:
        app.ui.title(f"{'':<{_WIDE}}" + "".join(f"{each:<{_EACH}}" for each in ROLES).rstrip())
        for deed, allowed in rows:
            marks = "".join(f"{'yes' if allowed[each] else '-':<{_EACH}}" for each in ROLES)
            app.ui.say(f"{deed:<{_WIDE}}{marks}".rstrip())
    app.ui.say()
    app.ui.say("Every member's program holds everybody to this table, the facilitators too.")
