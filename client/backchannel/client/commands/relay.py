"""`relay`: on which relays a channel stands, one more, one less, or all of it elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.errors import Declined, PartlySent, RelayKeyChanged, caught
from backchannel.client.options import channel_option, verb, verbs
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from collections.abc import Callable

    from backchannel.client.convening.places import Newcomer
    from backchannel.client.deed import Changed
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.roster import Relay
    from backchannel.protocol.state import ChannelState

    Choose = Callable[[ChannelState], tuple[Relay, ...]]

_FILE = click.Path(path_type=Path, dir_okay=False)
_paid = click.option(
    "--vouchers", "paid", metavar="FILE", type=_FILE,
    help="Vouchers of that relay, one a line; - reads standard input.  [default: those left]",
)  # fmt: skip


@verbs("relay")
def relay(_app: App) -> None:
    """Show on which relays a channel stands, and change that."""


@verb("add")
@click.argument("url")
@_paid
@channel_option
def add(app: App, *, url: str, paid: Path | None, channel: str | None) -> None:
    """Let the channel stand on one more relay. Only a facilitator can.

    Everything is brought to each relay, and each is enough: if one dies, nobody has to do anything.
    Asks the relay for its key and trusts that key from then on. Costs one of its vouchers now and
    one for each new epoch: one a week.

    \b
    Example:
      backchannel relay add https://second.example --vouchers vouchers.txt
    """
    from backchannel.client.convening import places

    new = places.meet(app, url, paid)
    _change(app, channel, lambda state: places.beside(state, new.relay), new)


@verb("remove")
@click.argument("url")
@channel_option
def remove(app: App, *, url: str, channel: str | None) -> None:
    """Let the channel stand on one relay less. Only a facilitator can; the last one stays.

    It is read for a while still, for who does not know yet, and not written to any more.

    \b
    Example:
      backchannel relay remove https://second.example
    """
    from backchannel.client.convening import places

    _change(app, channel, lambda state: places.without(state, url))


@verb("move")
@click.argument("url")
@_paid
@click.option(
    "--key",
    "told",
    metavar="KEY",
    help="The key that its operator told you, in place of a question.",
)
@channel_option
def move(app: App, *, url: str, paid: Path | None, told: str | None, channel: str | None) -> None:
    """Move the whole channel to another relay, and leave all others. Only a facilitator can.

    Nobody is invited again. As long as one relay of before answers, nobody has to do anything. If
    none does, carry the news by hand, once: see `courier pack`. Costs one voucher, then one a week.

    URL may be the address of a relay that has lost its key and began anew. You are asked whether
    its operator told you the new key, which `backchannel-relay init` printed; a script says it
    with --key.

    \b
    Examples:
      backchannel relay move https://new.example --vouchers vouchers.txt
      backchannel relay move https://relay.example --vouchers FILE
    """
    from backchannel.client.convening import places

    new = places.meet(app, url, paid)
    _change(
        app, channel, lambda _state: (new.relay,), new, lambda vault: _sure(app, vault, new, told)
    )


def _sure(app: App, vault: "Vault", new: "Newcomer", told: str | None) -> bool:
    """Whether the relay is another one than was trusted at its address, and is to be trusted: by
    the key that its operator told. `RelayKeyChanged` where nobody is sure.
    """
    from backchannel.client.rounds.relays import refuse_other_key

    url, key = new.relay.url, new.relay.key.hex()
    changed = caught(lambda: refuse_other_key(vault, url, new.relay.key))
    if told is not None and "".join(told.split()).lower() != key:
        msg = f"{url} has the key {key}, which is not the one that you were told. Nothing was done."
        raise RelayKeyChanged(msg, "ask its operator, by voice, for its key")
    if changed is None or told is not None:
        return changed is not None
    if not app.ui.can_ask:
        step = "ask its operator, by voice, for its key; if it is this one, the same with --key KEY"
        raise RelayKeyChanged(f"{changed} Its key is {key} now.", step)
    app.ui.say(f"{url} has another key than the one that you trusted:")
    app.ui.title(f"    {key}")
    app.ui.say("Whoever took its address over would look the same: ask its operator, by voice.")
    if not app.ui.confirm("Did its operator tell you this key?"):
        msg = f"{url} is not trusted. Nothing was done."
        raise Declined(msg, "backchannel relay move URL --vouchers FILE, to another relay")
    return True


def _change(
    app: App,
    channel: str | None,
    choose: "Choose",
    new: "Newcomer | None" = None,
    sure: "Callable[[Vault], bool]" = lambda _vault: False,
) -> None:
    from backchannel.client import deed
    from backchannel.client.convening import places
    from backchannel.client.rounds.session import allowed
    from backchannel.client.rounds.sync import Sync
    from backchannel.protocol.command import SetRelays

    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel)
        before = sync.state(row.name)
        with allowed():
            before.current()
        command = SetRelays(choose(before))
        places.prepare(app, vault, row.name, command, new, replaced=sure(vault))
        changed = deed.change_in(sync, row.name, lambda _state: command)
        caught(lambda: sync.whole(row.name))  # each relay is asked: so it is known who was told
        if not vault.outbox.count(row.id):
            changed = changed._replace(done=changed.done._replace(problem=None))
        told = places.told(app, vault, before, command.relays)
        state = sync.state(row.name)
        left = {each.url: vault.vouchers.count(each.url) for each in command.relays}
    changed = deed.again(changed, state)
    _show(app, changed, new, left, told=told)
    if not told:
        raise _nobody_knows(changed, command.relays)


def _show(
    app: App, changed: "Changed", new: "Newcomer | None", left: dict[str, int], *, told: bool
) -> None:
    from backchannel.client.deed import END

    name, urls = changed.done.name, list(left)
    document: dict[str, Any] = {
        "channel": name,
        "relays": urls,
        "relay_key": new.relay.key.hex() if new else None,
        "vouchers_left": left,
        "state": changed.end,
        "told": told,
    }
    lines = [f"{name} is at {phrases.listed(urls)} now."]
    if new is not None:
        lines.append(f"The key of {new.relay.url} is {new.relay.key.hex()}; it is trusted now.")
    lines += [f"Left for {url}: {phrases.count(count, 'voucher')}." for url, count in left.items()]
    if told:
        lines.append("Nobody has to do anything: all follow with their next sync.")
    app.ui.show(document, *(END.get(changed.end) or lines))


def _nobody_knows(changed: "Changed", relays: "tuple[Relay, ...]") -> PartlySent:
    where = phrases.listed([each.url for each in relays])
    msg = (
        "No relay of before answers, so the others cannot read there where the channel is now. "
        "Pack a FILE and hand it to them, by any way. Each types: backchannel courier take FILE, "
        f"then: backchannel sync. From then on all goes on at {where}; nobody is invited again."
    )
    if changed.done.state.draft is not None:
        msg += " You are not the only facilitator: take the FILE in yourself, too."
    return PartlySent(msg, "backchannel courier pack FILE")


@verb("list")
@click.option("--offline", is_flag=True, help="Show what was found before, at once.")
@channel_option
def list_(app: App, *, offline: bool, channel: str | None) -> None:
    """List its relays: which answer, what each is owed, vouchers left.

    \b
    Example:
      backchannel relay list
    """
    from backchannel.client.convening import places
    from backchannel.client.rounds.session import look
    from backchannel.client.rounds.sync import Sync

    with app.vault() as vault:
        with Sync(app, vault) as sync:
            row, problem = sync.fresh(channel, offline=offline)
        found = places.each_of(vault, look(vault, row.name, app.now(), app.entropy))
    app.ui.show({"channel": row.name, "relays": found})
    for each in found:
        app.ui.say(each["url"])
        for line in _lines(each):
            app.ui.say(f"  {line}")
    if problem is not None:
        raise stale(problem)


def _lines(each: dict[str, Any]) -> "list[str]":
    lines = [_state(each)]
    if each["owed"]:
        lines.append(f"{phrases.count(each['owed'], 'request')} still to be sent there.")
    if each["vouchers_left"]:
        lines.append(f"{phrases.count(each['vouchers_left'], 'voucher')} left.")
    return lines


def _state(each: dict[str, Any]) -> str:
    said = "The channel has left it; read on for a while. " if each["former"] else ""
    if each["answers"]:
        return f"{said}It answers."
    if each["why"] == RelayKeyChanged.code:
        return f"{said}Since {each['failing_since']} it has another key: nothing is sent there."
    return f"{said}No answer since {each['failing_since']}."


for command in (add, remove, move, list_):
    relay.add_command(command)
