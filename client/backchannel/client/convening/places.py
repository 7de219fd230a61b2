"""Where a channel stands: which relays there are, how each is, which may come and what that costs,
which one holds an invite. Knows no screen.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from backchannel.client.app import App
from backchannel.client.convening import vouchers
from backchannel.client.errors import ClientError, NotFound, NoVoucher, Refused, UsageMistake
from backchannel.client.rounds.relays import refuse_other_key
from backchannel.client.rounds.session import Session, allowed, look
from backchannel.client.telling import phrases
from backchannel.client.telling.summary import pins
from backchannel.client.ui import iso
from backchannel.client.wire.address import Address
from backchannel.protocol.command import SetRelays
from backchannel.protocol.outcome import OpenDrop
from backchannel.protocol.roster import Relay
from backchannel.protocol.state import ChannelState

if TYPE_CHECKING:
    from backchannel.client.vault.channels import Summary
    from backchannel.client.vault.vault import Vault


class Newcomer(NamedTuple):
    """A relay that answers, and what its operator sold."""

    relay: Relay
    vouchers: list[bytes]


def meet(app: App, url: str, paid: Path | None) -> Newcomer:
    """Ask who is at an address; what cannot be an address or a voucher is refused before."""
    address = str(Address.parse(url, allow_http=app.settings.allow_http))
    bought = vouchers.read(paid, app.ui) if paid else []
    return Newcomer(Relay(address, app.describe(address).key.value), bought)


def _spelled(url: str) -> str:
    """As all know it."""
    return str(Address.parse(url, allow_http=True))


def beside(state: ChannelState, new: Relay) -> tuple[Relay, ...]:
    """The relays of a channel and one more; `Refused` where it stands on that one already, under
    this or another address.
    """
    for each in state.relays:
        if each == new:
            msg = f"{state.name} is at {new.url} already. Nothing was done."
            raise Refused(msg, "backchannel relay list")
        if each.key == new.key:
            msg = f"{new.url} is the relay at {each.url}: {state.name} is there already."
            step = f"if its address has changed: backchannel relay move {new.url}"
            raise Refused(f"{msg} Nothing was done.", step)
    return (*state.relays, new)


def without(state: ChannelState, url: str) -> tuple[Relay, ...]:
    """The others; `NotFound` where it is none of them, `Refused` for the last."""
    gone = _spelled(url)
    left = tuple(each for each in state.relays if each.url != gone)
    if left == state.relays:
        msg = f"{state.name} is not at {url}. Nothing was done."
        raise NotFound(msg, "backchannel relay list")
    if not left:
        msg = f"{url} is the only relay of {state.name}. Nothing was done."
        raise Refused(msg, "backchannel relay move URL --vouchers FILE, to another one")
    return left


def prepare(
    app: App,
    vault: "Vault",
    name: str,
    command: SetRelays,
    new: Newcomer | None = None,
    *,
    replaced: bool = False,
) -> None:
    """Pin a relay that comes, and keep its vouchers. Before anything else is done: `Refused` where
    the change cannot be, `NoVoucher` where it cannot be paid, `RelayKeyChanged`. `replaced`: a
    person said that it took the place of one with another key; what is left for that is void,
    unless another channel stands on the new one already.
    """
    if new is not None and not replaced:
        refuse_other_key(vault, new.relay.url, new.relay.key)
    session, now = look(vault, name, app.now(), app.entropy), app.now()
    with allowed():
        outcome = session.channel.act(command, session.now, app.entropy)  # and nothing is saved
    needed = Counter(each.relay for each in outcome.effects if isinstance(each, OpenDrop))
    with vault.exclusive(now), vault.transaction():
        if new is not None:
            if replaced and not _known(vault, new.relay):
                vault.vouchers.forget(new.relay.url)
            vault.vouchers.add_many(new.relay.url, new.vouchers)
        for url, count in needed.items():
            if vault.vouchers.count(url) < count:
                msg = f"A drop on {url} costs {phrases.count(count, 'voucher')}, and none is left."
                step = f"ask its operator, then the same again with --vouchers FILE, one for {url}"
                raise NoVoucher(f"{msg} Nothing was done.", step)


def _known(vault: "Vault", relay: Relay) -> bool:
    """Whether some channel stands on it, by its key."""
    key = relay.key.hex()
    return any(pins([row.summary]).get(relay.url) == key for row in vault.channels.list())


def of_summary(about: "Summary", wanted: str | None) -> str:
    """The relay of a channel that is `wanted`, or its only one."""
    urls = [str(url) for url, _ in about["relays"]]
    if wanted is not None and _spelled(wanted) in urls:
        return _spelled(wanted)
    if wanted is not None:
        msg = f"{about['title']} is not at {wanted}. Nothing was done."
        raise NotFound(msg, "backchannel relay list")
    if len(urls) > 1:
        msg = f"{about['title']} is on several relays: whose vouchers are they?"
        raise UsageMistake(msg, f"add --relay and one of: {', '.join(urls)}")
    return urls[0]


def for_invite(vault: "Vault", state: ChannelState, wanted: str | None) -> str:
    """The relay that is to hold an invite: the one that is `wanted`, else one that answers and can
    be paid.
    """
    urls = [each.url for each in state.relays]
    if wanted is not None:
        return of_summary({"title": state.name, "relays": [(url, "") for url in urls]}, wanted)
    failing = vault.health.all()
    return min(urls, key=lambda url: (not vault.vouchers.count(url), url in failing))


def told(app: App, vault: "Vault", before: ChannelState, after: tuple[Relay, ...]) -> bool:
    """Whether some relay on which a channel stood has all that is for it, at the address that the
    others know: who reads there learns where the channel is now.
    """
    owed = vault.outbox.relays(before.id)
    now = {relay.key: relay.url for relay in after}
    here = {relay.url: relay.key for relay in after}
    return any(
        each.url not in owed
        and here.get(each.url, each.key) == each.key
        and (now.get(each.key, each.url) == each.url or _answers(app, each))
        for each in before.relays
    )


def _answers(app: App, relay: Relay) -> bool:
    try:
        return app.describe(relay.url).key.value == relay.key
    except ClientError:
        return False


def each_of(vault: "Vault", session: Session) -> list[dict[str, Any]]:
    """Every relay that is written to or still read, and how it is, as a document."""
    state = session.state
    here = {relay.url: relay for relay in state.relays}
    read = [relay for over in state.epochs for relay in (*over.relays, *over.former)]
    former = {relay.url: relay for relay in read if relay.url not in here}
    owed = vault.outbox.relays(session.row.id)
    return [
        {
            "url": url,
            "key": relay.key.hex(),
            "former": url in former,
            "owed": owed.get(url, 0),
            "vouchers_left": vault.vouchers.count(url),
            **_health(vault, url),
        }
        for url, relay in (here | former).items()
    ]


def _health(vault: "Vault", url: str) -> dict[str, Any]:
    failing = vault.health.all().get(url)
    if failing is None:
        return {"answers": True, "failing_since": None, "why": ""}
    return {"answers": False, "failing_since": iso(failing.first), "why": failing.why}
