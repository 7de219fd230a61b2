"""`channel apply`: make a channel what a file says, and say what that takes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.errors import ClientError, Refused
from backchannel.client.options import verb
from backchannel.client.rounds.verdict import queued

if TYPE_CHECKING:
    from backchannel.client.convening.plan import Note, Shown, Step
    from backchannel.client.convening.wanted import Wanted
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.command import Command
    from backchannel.protocol.state import ChannelState

_BEGUN = ("channel", "relay")
_WENT = frozenset({"removed", "compromised", "left", "replaced"})


@verb("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only show what it would do; ask no relay.")
def apply(app: App, *, file: Path, dry_run: bool) -> None:
    """Make a channel what a FILE says: open it, or change it.

    The FILE is in TOML. A second time it finds nothing to do. What would keep words longer is
    proposed and waits for everybody. Who is not in the file is named and stays. Words of invites
    are shown once.

    \b
    Examples:
      backchannel channel apply north.toml --dry-run
      backchannel channel apply north.toml
    """
    from backchannel.client.convening.wanted import read

    wanted = read(file)
    if dry_run:
        return _preview(app, wanted)
    with app.vault(create=True) as vault:
        problem = _bring(app, vault, wanted)
    if problem is not None:
        raise queued(problem, "What was done is safe, and goes with the next sync.")
    return None


def _preview(app: App, wanted: "Wanted") -> None:
    from backchannel.client.convening.plan import opening, steps

    if not app.profile.has_vault:
        return _tell(app, wanted.name, opening(wanted), [], dry=True)
    with app.vault() as vault:
        if not _stands(vault, wanted.name):
            return _tell(app, wanted.name, opening(wanted), [], dry=True)
        plan = steps(wanted, _state(app, vault, wanted.name), _gone(app, vault, wanted.name))
    return _tell(app, wanted.name, [each.shown for each in plan.steps], plan.notes, dry=True)


def _bring(app: App, vault: "Vault", wanted: "Wanted") -> ClientError | None:
    """Do it, a step after the other; why something is still to be sent."""
    from backchannel.client.convening.plan import opening, steps
    from backchannel.client.rounds.sync import Sync

    begun = [each for each in opening(wanted) if each.what in _BEGUN]
    done = [] if _stands(vault, wanted.name) else begun
    with Sync(app, vault) as sync:
        if done:
            problem = _open(app, vault, sync, wanted)
        else:
            _, problem = sync.fresh(wanted.name)
            _pay(app, vault, wanted)
        plan = steps(wanted, _state(app, vault, wanted.name), _gone(app, vault, wanted.name))
        for step in plan.steps:
            problem = _do(app, vault, sync, wanted.name, step) or problem
            done.append(step.shown)
    _tell(app, wanted.name, done, plan.notes)
    return problem


def _stands(vault: "Vault", name: str) -> bool:
    return any(row.name == name for row in vault.channels.list())


def _state(app: App, vault: "Vault", name: str) -> "ChannelState":
    from backchannel.client.rounds.session import allowed, look

    state = look(vault, name, app.now(), app.entropy).state
    with allowed():
        role = state.current().entry(state.me).role
    if role != "facilitator":
        msg = f"You do not facilitate {name}. Nothing was done."
        raise Refused(msg, "backchannel members")
    return state


def _gone(app: App, vault: "Vault", name: str) -> set[str]:
    """Who went, as far as the log of the channel still tells."""
    owner = vault.channels.get(name).id
    kept = (json.loads(each.plain) for each in vault.messages.list(owner, app.now()))
    acts = [change for each in kept if each["kind"] == "act" for change in each["changes"]]
    return {each["alias"] for each in acts if each["what"] in _WENT}


def _open(app: App, vault: "Vault", sync: "Sync", wanted: "Wanted") -> ClientError | None:
    from backchannel.client.convening import charter, founding, kinds, places
    from backchannel.client.wire.address import Address

    if not wanted.relays:
        msg = f"There is no channel named {wanted.name} yet, and the file names no relay for it."
        raise Refused(f"{msg} Nothing was done.", 'add to the file: relay = "https://..."')
    host = Address.parse(wanted.relays[0].url, allow_http=app.settings.allow_http).host
    kind = wanted.kind or kinds.find("plenary")
    policy = kinds.policy(kind, wanted.expires, wanted.unattributed, wanted.vouches)
    alias, party = wanted.alias or "Facilitator", wanted.party or "Facilitation"
    stands_for = wanted.charter or charter.usual(alias, host)
    met = [places.meet(app, *site) for site in wanted.relays]
    bought = {each.relay.url: each.vouchers for each in met}
    relays = tuple(each.relay for each in met)
    plan = founding.Plan(wanted.name, alias, party, relays, policy, stands_for)
    owner = founding.keep(app, vault, founding.draw_up(app, plan), bought, kind.threads)
    return sync.deliver(owner).problem


def _pay(app: App, vault: "Vault", wanted: "Wanted") -> None:
    """Keep vouchers that are new; those that were given before stay what they are."""
    from backchannel.client.convening.vouchers import read

    bought = {site.url: read(site.vouchers, app.ui) for site in wanted.relays if site.vouchers}
    here, now = [url for url, _ in vault.channels.get(wanted.name).summary["relays"]], app.now()
    with vault.exclusive(now), vault.transaction():
        for url in here:
            vault.vouchers.add_many(url, bought.get(url, []))


def _do(app: App, vault: "Vault", sync: "Sync", name: str, step: "Step") -> ClientError | None:
    """One step; a change of the roster is read back where several facilitate."""
    from backchannel.client.commands import invite
    from backchannel.protocol.outcome import Invited

    invited = sync.act(name, _command(app, vault, name, step), Invited)
    problem = sync.send(name)
    if invited is not None:
        invite.show(app, step.shown.name, invited, "queued" if problem else "at-relay")
    if problem is None and sync.state(name).draft is not None:
        sync.channel(name)
    return problem


def _command(app: App, vault: "Vault", name: str, step: "Step") -> "Command":
    """What is asked of the channel; a relay is asked first."""
    from backchannel.client.convening import places
    from backchannel.client.convening.wanted import Site
    from backchannel.client.rounds.session import look
    from backchannel.protocol.command import Invite, SetRelays

    state = look(vault, name, app.now(), app.entropy).state
    if isinstance(step.command, Invite):
        return step.command._replace(relay=places.for_invite(vault, state, None))
    if not isinstance(step.command, Site):
        return step.command
    new = places.meet(app, *step.command)
    command = SetRelays(places.beside(state, new.relay))
    places.prepare(app, vault, name, command, new)
    return command


def _tell(
    app: App, name: str, shown: "list[Shown]", notes: "Sequence[Note]", *, dry: bool = False
) -> None:
    document: dict[str, Any] = {
        "channel": name,
        "dry_run": dry,
        "steps": [each._asdict() for each in shown],
        "notes": [each._asdict() for each in notes],
    }
    would = "Nothing would change." if dry else "Nothing to change."
    lines = [each.line for each in shown] or [would]
    for each in notes:
        lines += [each.text, f"next: {each.next_step}"]
    app.ui.show(document, *lines)
