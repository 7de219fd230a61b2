"""`channel`: found one, list them, show what one stands for, keep more vouchers for it."""

from pathlib import Path

import click

from backchannel.client import charter as charters
from backchannel.client import phrases, session, vouchers
from backchannel.client.address import Address
from backchannel.client.app import App
from backchannel.client.choosing import channel_option, pick_channel
from backchannel.client.errors import UsageMistake
from backchannel.client.options import Duration, verb, verbs
from backchannel.client.relays import refuse_other_key
from backchannel.client.sync import Sync
from backchannel.client.vault.vault import Vault
from backchannel.protocol.channel import Channel
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.roster import Entry, Relay
from backchannel.protocol.types import Hour

_WEEK = 168
_FILE = click.Path(path_type=Path, dir_okay=False)


@verbs("channel")
def channel(_app: App) -> None:
    """Open a channel, list them, show what one stands for."""


@verb("new")
@click.argument("name")
@click.option("--relay", "url", metavar="URL", required=True, help="Where its drop is to be.")
@click.option(
    "--vouchers", "paid", metavar="FILE", required=True, type=_FILE,
    help="Vouchers of that relay, one a line; - reads them from standard input.",
)  # fmt: skip
@click.option(
    "--expires", type=Duration("1h", "90d", hours=True), default=_WEEK, metavar="TIME",
    help="How long what is said is kept: 24h, 7d.  [default: 7d]",
)  # fmt: skip
@click.option(
    "--charter", "file", metavar="FILE", type=_FILE, help="Charter and disclosure (TOML)."
)
@click.option("--alias", default="Facilitator", metavar="NAME", help="Your name in it.")
@click.option("--party", default="Facilitation", metavar="NAME", help="The side you stand for.")
def new(
    app: App, *, name: str, url: str, paid: Path, expires: int, file: Path | None, **me: str
) -> None:
    """Open a channel of your own, as its facilitator.

    Asks the relay for its key and trusts it from then on. Costs one voucher; what is left over stays in your vault and pays for invites.
    """
    address = Address.parse(url, allow_http=app.settings.allow_http)
    stands_for = charters.read(file) if file else charters.usual(me["alias"], address.host)
    bought, found = vouchers.read(paid), app.describe(str(address))
    relay, now = Relay(str(address), found.key.value), app.now()
    with app.vault(create=True) as vault, Sync(app, vault) as sync:
        refuse_other_key(vault, relay.url, relay.key)
        _refuse_taken(vault, name)
        try:
            founder = Entry(0, me["alias"], me["party"], "facilitator", bytes(32))
            founded, outcome = Channel.create(
                founder,
                name,
                (relay,),
                expires,
                stands_for.text,
                stands_for.disclosure,
                now,
                app.entropy,
            )
        except DecodeError as error:
            raise UsageMistake(phrases.sentence(str(error))) from None
        with vault.exclusive(now), vault.transaction():
            vault.vouchers.add_many(relay.url, bought)
            opened = session.begin(
                vault, founded, app.entropy.draw(16), founded=True, now=now, entropy=app.entropy
            )
            opened.carry(outcome)
            opened.save()
        problem = sync.deliver(founded.state.id).problem
        if problem is not None:
            problem.message += " The channel stands in your vault and opens with the next sync."
            raise problem
        left = vault.vouchers.count(relay.url)
    app.ui.show(
        {"channel": name, "relay": relay.url, "relay_key": relay.key.hex(), "expires_hours": expires, "vouchers_left": left},
        f"{name} is open on {relay.url}. What is said there is kept for {phrases.lifetime(expires)}.",
        f"Left for invites: {phrases.count(left, 'voucher')}.",
        "next: backchannel invite ALIAS",
    )  # fmt: skip


def _refuse_taken(vault: Vault, name: str) -> None:
    if any(row.name.casefold() == name.casefold() for row in vault.channels.list()):
        msg = f"There is a channel named {name} already. Nothing was done."
        raise UsageMistake(msg, "choose another name")


@verb("list")
def list_(app: App) -> None:
    """List the channels of this vault, and the joins that wait."""
    with app.vault() as vault:
        rows, joins = vault.channels.list(), vault.joins.list()
    document = [
        {
            "channel": row.name,
            "alias": row.summary["alias"],
            "role": row.summary["role"],
            "members": row.summary["members"],
            "expires_hours": row.summary["lifetime"],
        }
        for row in rows
    ]
    waiting = [{"channel": row.summary["channel"], "alias": row.alias} for row in joins]
    lines = [
        f"{each['channel']}: you are {each['alias']}; "
        f"{phrases.count(each['members'], 'member')}; content kept {phrases.lifetime(each['expires_hours'])}"
        for each in document
    ]
    lines += [
        f"{row.summary['channel']}: {phrases.ended(row.summary['over']) or 'waiting to be admitted'}"
        for row in joins
    ]
    app.ui.show(
        {"channels": document, "waiting": waiting}, *(lines or ["There is no channel here yet."])
    )


@verb("show")
@channel_option
def show(app: App, channel: str | None) -> None:
    """Show a channel's charter, who stands behind it, and how long content is kept."""
    with app.vault() as vault:
        row = pick_channel(vault, channel)
        state = session.look(vault, row.name, app.now(), app.entropy).state
        left = vault.vouchers.count(state.relays[0].url)
    since, facilitates = Hour(row.summary["since"]), state.close is not None
    founded = "channel since" if row.summary["founded"] else "member since"
    disclosure = state.disclosure
    document = {
        "channel": row.name,
        "charter": state.charter,
        "convened_by": disclosure.convened_by,
        "funded_by": disclosure.funded_by,
        "relay_run_by": disclosure.relay_run_by,
        "since": phrases.stamp(since),
        "expires_hours": state.lifetime,
        "relays": [{"url": relay.url, "key": relay.key.hex()} for relay in state.relays],
        "alias": state.alias,
        "vouchers_left": left if facilitates else None,
    }
    app.ui.show(document)
    if app.ui.json:
        return
    app.ui.title(row.name)
    app.ui.say(f"{founded} {phrases.date(since)}; content kept {phrases.lifetime(state.lifetime)}")
    app.ui.say()
    app.ui.quote(state.charter)
    app.ui.say()
    for label, text in (
        ("convened by", disclosure.convened_by),
        ("funded by", disclosure.funded_by),
        ("relay run by", disclosure.relay_run_by),
        ("relay", ", ".join(relay.url for relay in state.relays)),
        ("you are", state.alias),
    ):
        app.ui.field(label, text)
    if facilitates:
        app.ui.field("vouchers", f"{left} left")


@verb("vouchers")
@click.argument("file", type=_FILE)
@channel_option
def vouchers_(app: App, file: Path, channel: str | None) -> None:
    """Keep more vouchers for a channel's relay; - reads standard input."""
    bought, now = vouchers.read(file), app.now()
    with app.vault() as vault, Sync(app, vault) as sync:
        row = pick_channel(vault, channel)
        url = str(row.summary["relays"][0][0])
        with vault.exclusive(now), vault.transaction():
            added = vault.vouchers.add_many(url, bought)
        problem = sync.deliver(row.id).problem
        left = vault.vouchers.count(url)
    app.ui.show(
        {"channel": row.name, "added": added, "vouchers_left": left},
        f"Kept; {left} left for {url}.",
    )
    if problem is not None:
        raise problem


for command in (new, list_, show, vouchers_):
    channel.add_command(command)
