"""`channel`: found one, list them, show what one stands for, keep more vouchers for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backchannel.client import phrases, standing
from backchannel.client.address import Address
from backchannel.client.app import App
from backchannel.client.choosing import channel_option, pick_channel
from backchannel.client.commands.apply import apply
from backchannel.client.commands.leave import leave
from backchannel.client.options import Duration, verb, verbs
from backchannel.client.verdict import queued

if TYPE_CHECKING:
    from backchannel.protocol.roster import Policy, Relay
    from backchannel.protocol.state import ChannelState

_USUAL = "plenary"
_FILE = click.Path(path_type=Path, dir_okay=False)


@verbs("channel")
def channel(_app: App) -> None:
    """Open a channel, list them, show what one stands for."""


@verb("new")
@click.argument("name")
@click.option("--relay", "url", metavar="URL", required=True, help="Where its drop is to be.")
@click.option(
    "--vouchers", "paid", metavar="FILE", type=_FILE,
    help="Vouchers of that relay, one a line; - reads standard input.  [default: those left]",
)  # fmt: skip
@click.option(
    "--kind", default=_USUAL, metavar="KIND",
    help="What it is for: see `channel kinds`.  [default: plenary]",
)  # fmt: skip
@click.option(
    "--expires", type=Duration("1h", "90d", hours=True), metavar="TIME",
    help="How long what is said is kept: 24h, 7d.  [default: as the kind has it]",
)  # fmt: skip
@click.option(
    "--unattributed", type=click.IntRange(0, 64), metavar="N",
    help="People who must be about for an unattributed post; 0: none.  [default: the kind's]",
)  # fmt: skip
@click.option(
    "--vouches", type=click.IntRange(0, 8), metavar="N",
    help="Members who vouch before anybody is admitted.  [default: the kind's]",
)  # fmt: skip
@click.option("--charter", "file", metavar="FILE", type=_FILE, help="Charter, disclosure (TOML).")
@click.option("--alias", default="Facilitator", metavar="NAME", help="Your name in it.")
@click.option("--party", default="Facilitation", metavar="NAME", help="The side you stand for.")
def new(app: App, *, url: str, paid: Path | None, file: Path | None, **decided: Any) -> None:
    """Open a channel of your own, as its facilitator.

    Asks the relay for its key and trusts that key from then on. Costs one voucher; what is left
    over stays in your vault and pays for invites and for your next channels: give each FILE once.
    """
    from backchannel.client import charter, founding, kinds, vouchers
    from backchannel.client.sync import Sync
    from backchannel.protocol.roster import Relay

    kind = kinds.find(decided.pop("kind"))
    rules = (decided.pop(each) for each in ("expires", "unattributed", "vouches"))
    policy = kinds.policy(kind, *rules)
    address = Address.parse(url, allow_http=app.settings.allow_http)
    stands_for = charter.read(file) if file else charter.usual(decided["alias"], address.host)
    bought, found = vouchers.read(paid) if paid else [], app.describe(str(address))
    relay = Relay(str(address), found.key.value)
    plan = founding.Plan(**decided, relay=relay, policy=policy, charter=stands_for)
    drawn = founding.draw_up(app, plan)
    with app.vault(create=True) as vault, Sync(app, vault) as sync:
        owner = founding.keep(app, vault, drawn, bought, kind.threads)
        problem = sync.deliver(owner).problem
        left = vault.vouchers.count(relay.url)
    if problem is not None:
        raise queued(problem, "The channel stands in your vault, and opens with the next sync.")
    _opened(app, plan.name, relay, policy, left)


def _opened(app: App, name: str, relay: "Relay", policy: "Policy", left: int) -> None:
    document = {
        "channel": name,
        "relay": relay.url,
        "relay_key": relay.key.hex(),
        "kind": policy.format,
        "expires_hours": policy.lifetime,
        "vouchers_left": left,
    }
    app.ui.show(
        document,
        f"{name} is open on {relay.url}.",
        f"What is said there is kept for {phrases.lifetime(policy.lifetime)}.",
        f"Left for invites: {phrases.count(left, 'voucher')}.",
    )
    if not app.ui.json:
        app.ui.field("no proof", phrases.DENIABLE)
    app.ui.say("next: backchannel invite ALIAS")


@verb("kinds")
def kinds(app: App) -> None:
    """List the kinds of channels: what each is for, begins with, and always holds."""
    from backchannel.client.kinds import KINDS, described, document

    lines = [line for kind in KINDS for line in described(kind)]
    app.ui.show({"kinds": [document(kind) for kind in KINDS]}, *lines)


@verb("list")
def list_(app: App) -> None:
    """List the channels of this vault, and the joins that wait."""
    with app.vault() as vault:
        rows, joins = vault.channels.list(), vault.joins.list()
        lost = [standing.of_lost(row) for row in vault.lost.list()]
    document, lines = [], []
    for row in rows:
        about = {key: row.summary[key] for key in ("alias", "role", "members", "ended")}
        expires = row.summary["lifetime"]
        document.append({"channel": row.name, **about, "expires_hours": expires})
        members = phrases.count(about["members"], "member")
        kept = phrases.lifetime(expires)
        here = f"you are {about['alias']}; {members}; content kept {kept}"
        lines.append(f"{row.name}: {phrases.over(about['ended']) if about['ended'] else here}")
    waiting = []
    for join in joins:
        ended = join.summary["over"]
        waiting.append({"channel": join.summary["channel"], "alias": join.alias, "ended": ended})
        said = phrases.ended(ended) or "you wait to be admitted."
        lines.append(f"{join.summary['channel']}: {said}")
    lines += map(standing.lost_line, lost)
    lines = lines or ["There is no channel here yet."]
    app.ui.show({"channels": document, "waiting": waiting, "lost": lost}, *lines)


@verb("show")
@channel_option
def show(app: App, channel: str | None) -> None:
    """Show a channel's charter, who stands behind it, and how long content is kept."""
    from backchannel.client.session import look

    with app.vault() as vault:
        row = pick_channel(vault, channel)
        state = look(vault, row.name, app.now(), app.entropy).state
        left = vault.vouchers.count(state.relays[0].url) if state.epoch.close else None
    since, founded = row.summary["since"], row.summary["founded"]
    app.ui.show(
        _standing_for(row.name, state) | {"since": phrases.stamp(since), "vouchers_left": left}
    )
    if app.ui.json:
        return
    app.ui.title(row.name)
    began = f"{'channel' if founded else 'member'} since {phrases.date(since)}"
    app.ui.say(f"{began}; content kept {phrases.lifetime(state.lifetime)}")
    app.ui.say()
    app.ui.quote(state.charter)
    app.ui.say()
    _tell(app, state, left)


def _standing_for(name: str, state: "ChannelState") -> dict[str, object]:
    disclosure = state.disclosure
    return {
        "channel": name,
        "charter": state.charter,
        "convened_by": disclosure.convened_by,
        "funded_by": disclosure.funded_by,
        "relay_run_by": disclosure.relay_run_by,
        "expires_hours": state.lifetime,
        "relays": [{"url": relay.url, "key": relay.key.hex()} for relay in state.relays],
        "alias": state.alias,
    }


def _tell(app: App, state: "ChannelState", left: int | None) -> None:
    for label, text in (
        ("convened by", state.disclosure.convened_by),
        ("funded by", state.disclosure.funded_by),
        ("relay run by", state.disclosure.relay_run_by),
        ("relay", ", ".join(relay.url for relay in state.relays)),
        ("you are", state.alias),
    ):
        app.ui.field(label, text)
    if left is not None:
        app.ui.field("vouchers", f"{left} left")


@verb("vouchers")
@click.argument("file", type=_FILE)
@channel_option
def vouchers(app: App, file: Path, channel: str | None) -> None:
    """Keep more vouchers for a channel's relay; - reads standard input."""
    from backchannel.client.sync import Sync
    from backchannel.client.vouchers import read

    bought, now = read(file), app.now()
    with app.vault() as vault, Sync(app, vault) as sync:
        row = pick_channel(vault, channel)
        url = str(row.summary["relays"][0][0])
        with vault.exclusive(now), vault.transaction():
            added = vault.vouchers.add_many(url, bought)
        problem = sync.deliver(row.id).problem
        left = vault.vouchers.count(url)
    document = {"channel": row.name, "added": added, "vouchers_left": left}
    app.ui.show(document, f"Kept; {left} left for {url}.")
    if problem is not None:
        raise problem


for command in (new, apply, kinds, list_, show, vouchers, leave):
    channel.add_command(command)
