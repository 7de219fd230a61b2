"""`channel`: found one, list them, show what one stands for, keep more vouchers for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.commands.apply import apply
from backchannel.client.commands.leave import leave
from backchannel.client.commands.standing import COMMANDS
from backchannel.client.errors import UsageMistake
from backchannel.client.options import Duration, channel_option, verb, verbs
from backchannel.client.rounds.verdict import queued
from backchannel.client.telling import overview, phrases
from backchannel.client.telling.choosing import pick_channel
from backchannel.client.wire.address import Address

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
@click.option(
    "--relay", "urls", metavar="URL", required=True, multiple=True,
    help="Where it is to be; may be given several times: any one of them is enough.",
)  # fmt: skip
@click.option(
    "--vouchers", "paid", metavar="FILE", type=_FILE, multiple=True,
    help="Vouchers of that relay, one a line; - reads standard input. Of several relays in the same"
    " order.  [default: those left]",
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
def new(
    app: App, *, urls: tuple[str, ...], paid: tuple[Path, ...], file: Path | None, **decided: Any
) -> None:
    """Open a channel of your own, as its facilitator.

    Asks each relay for its key and trusts that key from then on. Costs one voucher of each; what is
    left over stays in your vault and pays for invites and for your next channels: give each FILE
    once.

    \b
    Examples:
      backchannel channel new North --relay https://relay.example --vouchers FILE
      backchannel channel new North --relay https://a.example --vouchers a.txt \\
        --relay https://b.example --vouchers b.txt
    """
    from backchannel.client.convening import charter, founding, kinds, places
    from backchannel.client.rounds.sync import Sync

    kind = kinds.find(decided.pop("kind"))
    rules = (decided.pop(each) for each in ("expires", "unattributed", "vouches"))
    policy = kinds.policy(kind, *rules)
    address = Address.parse(urls[0], allow_http=app.settings.allow_http)
    stands_for = charter.read(file) if file else charter.usual(decided["alias"], address.host)
    met = [places.meet(app, url, file) for url, file in _paired(urls, paid)]
    relays = tuple(each.relay for each in met)
    plan = founding.Plan(**decided, relays=relays, policy=policy, charter=stands_for)
    drawn = founding.draw_up(app, plan)
    with app.vault(create=True) as vault, Sync(app, vault) as sync:
        bought = {each.relay.url: each.vouchers for each in met}
        owner = founding.keep(app, vault, drawn, bought, kind.threads)
        problem = sync.deliver(owner).problem
        left = {url: vault.vouchers.count(url) for url in bought}
    if problem is not None:
        raise queued(problem, "The channel stands in your vault, and opens with the next sync.")
    _opened(app, plan.name, relays, policy, left)


def _paired(urls: tuple[str, ...], paid: tuple[Path, ...]) -> list[tuple[str, Path | None]]:
    if not paid:
        return [(url, None) for url in urls]
    if len(paid) != len(urls):
        msg = "Give --vouchers for each --relay, in the same order, or for none. Nothing was done."
        raise UsageMistake(msg, "backchannel channel new --help")
    return list(zip(urls, paid, strict=True))


def _opened(
    app: App, name: str, relays: "tuple[Relay, ...]", policy: "Policy", left: dict[str, int]
) -> None:
    first, fewest = relays[0], min(left.values())
    document = {
        "channel": name,
        "relay": first.url,
        "relay_key": first.key.hex(),
        "relays": [{"url": each.url, "key": each.key.hex()} for each in relays],
        "kind": policy.format,
        "expires_hours": policy.lifetime,
        "vouchers_left": fewest,
    }
    each = "" if len(relays) == 1 else ", at least, on each relay"
    app.ui.show(
        document,
        f"{name} is open on {phrases.listed([each.url for each in relays])}.",
        f"What is said there is kept for {phrases.lifetime(policy.lifetime)}.",
        f"Left for invites: {phrases.count(fewest, 'voucher')}{each}.",
    )
    if not app.ui.json:
        app.ui.field("no proof", phrases.DENIABLE)
    app.ui.say("next: backchannel invite ALIAS")
    if policy.format == "hotline":
        app.ui.say("and when both sides are here: backchannel duty set --help")


@verb("kinds")
def kinds(app: App) -> None:
    """List the kinds of channels, what each is for and holds you to.

    \b
    Example:
      backchannel channel kinds
    """
    from backchannel.client.convening.kinds import KINDS, described, document

    lines = [line for kind in KINDS for line in described(kind)]
    app.ui.show({"kinds": [document(kind) for kind in KINDS]}, *lines)


@verb("list")
def list_(app: App) -> None:
    """List the channels of this vault, and the joins that wait.

    \b
    Example:
      backchannel channel list
    """
    with app.vault() as vault:
        rows, joins = vault.channels.list(), vault.joins.list()
        lost = [overview.of_lost(row) for row in vault.lost.list()]
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
    lines += map(overview.lost_line, lost)
    lines = lines or ["There is no channel here yet."]
    app.ui.show({"channels": document, "waiting": waiting, "lost": lost}, *lines)


@verb("show")
@channel_option
def show(app: App, channel: str | None) -> None:
    """Show its charter, who pays, and how long things are kept.

    \b
    Example:
      backchannel channel show --channel North
    """
    from backchannel.client.rounds.session import look

    with app.vault() as vault:
        row = pick_channel(vault, channel)
        state = look(vault, row.name, app.now(), app.entropy).state
        left = {relay.url: vault.vouchers.count(relay.url) for relay in state.relays}
        fewest = min(left.values()) if state.epoch.close else None
    since, founded = row.summary["since"], row.summary["founded"]
    app.ui.show(
        _standing_for(row.name, state) | {"since": phrases.stamp(since), "vouchers_left": fewest}
    )
    if app.ui.json:
        return
    app.ui.title(row.name)
    began = f"{'channel' if founded else 'member'} since {phrases.date(since)}"
    app.ui.say(f"{began}; content kept {phrases.lifetime(state.lifetime)}")
    app.ui.say()
    app.ui.quote(state.charter)
    app.ui.say()
    _tell(app, state, left if state.epoch.close else {})


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


def _tell(app: App, state: "ChannelState", left: dict[str, int]) -> None:
    for label, text in (
        ("convened by", state.disclosure.convened_by),
        ("funded by", state.disclosure.funded_by),
        ("relay run by", state.disclosure.relay_run_by),
        ("relay", ", ".join(relay.url for relay in state.relays)),
        ("you are", state.alias),
    ):
        app.ui.field(label, text)
    if len(left) == 1:
        app.ui.field("vouchers", f"{sum(left.values())} left")
    elif left:
        told = [f"{count} for {url}" for url, count in left.items()]
        app.ui.field("vouchers", f"left: {', '.join(told)}")


@verb("vouchers")
@click.argument("file", type=_FILE)
@click.option("--relay", "wanted", metavar="URL", help="Whose; needed where there are several.")
@channel_option
def vouchers(app: App, file: Path, wanted: str | None, channel: str | None) -> None:
    """Keep more vouchers of a relay; - reads standard input.

    \b
    Example:
      backchannel channel vouchers vouchers.txt
    """
    from backchannel.client.convening.places import of_summary
    from backchannel.client.convening.vouchers import read
    from backchannel.client.rounds.sync import Sync

    bought, now = read(file, app.ui), app.now()
    with app.vault() as vault, Sync(app, vault) as sync:
        row = pick_channel(vault, channel)
        url = of_summary(row.summary, wanted)
        with vault.exclusive(now), vault.transaction():
            added = vault.vouchers.add_many(url, bought)
        problem = sync.deliver(row.id).problem
        left = vault.vouchers.count(url)
    document = {"channel": row.name, "added": added, "vouchers_left": left}
    app.ui.show(document, f"Kept; {left} left for {url}.")
    if problem is not None:
        raise problem


for command in (new, apply, kinds, list_, show, vouchers, *COMMANDS, leave):
    channel.add_command(command)
