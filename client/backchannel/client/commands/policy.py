"""`policy`: the rules of a channel, shown, changed, agreed to."""

from typing import TYPE_CHECKING, Any

import click

from backchannel.client import phrases
from backchannel.client.app import App
from backchannel.client.choosing import FORMATS, channel_option
from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.options import Duration, verb, verbs
from backchannel.client.verdict import stale

if TYPE_CHECKING:
    from backchannel.protocol.command import Consent, SetPolicy
    from backchannel.protocol.roster import Policy
    from backchannel.protocol.state import ChannelState, Proposed

_LIFETIME = Duration("1h", "90d", hours=True)
_AGREED = "Everybody has agreed: it holds with the next sync of a facilitator."


@verbs("policy", invoke_without_command=True)
@click.option("--offline", is_flag=True, help="Show what was fetched before.")
@channel_option
@click.pass_context
def policy(context: click.Context, app: App, *, offline: bool, channel: str | None) -> None:
    """Show the rules of a channel, and what is proposed.

    \b
    Examples:
      backchannel policy
      backchannel policy set --expires 3d
      backchannel policy agree
    """
    if context.invoked_subcommand is None:
        _show(app, offline=offline, channel=channel)


def _show(app: App, *, offline: bool, channel: str | None) -> None:
    from backchannel.client.rules import document, sentences
    from backchannel.client.session import allowed, look
    from backchannel.client.sync import Sync

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        state = look(vault, row.name, app.now(), app.entropy).state
    with allowed():
        state.current()
    proposed = [proposal(state, each) for each in state.proposals.values()]
    lines = sentences(state.policy)
    for each in proposed:
        lines += ["", *_proposed(each)]
    app.ui.show({"channel": row.name, **document(state.policy), "proposed": proposed}, *lines)
    if problem is not None:
        raise stale(problem)


def proposal(state: "ChannelState", proposed: "Proposed") -> dict[str, Any]:
    """What is proposed, by whom, and who has agreed."""
    from backchannel.client.people import alias
    from backchannel.client.rules import difference, document

    entries = state.current().entries
    return {
        **document(proposed.policy),
        "by": alias(state, proposed.by),
        "brings": difference(state.policy, proposed.policy),
        "agreed": [each.alias for each in entries if each.slot in proposed.yes],
        "waits_for": [each.alias for each in entries if each.slot not in proposed.yes],
        "you_agreed": state.me in proposed.yes,
    }


def _proposed(each: dict[str, Any]) -> list[str]:
    lines = [f"{each['by']} proposes; it waits for everybody:"]
    lines += [f"    {sentence}" for sentence in each["brings"]]
    lines.append(f"Agreed: {', '.join(each['agreed']) or 'nobody yet'}.")
    if each["waits_for"]:
        lines.append(f"Waits for: {', '.join(each['waits_for'])}.")
    if not each["you_agreed"]:
        lines.append("next: backchannel policy agree")
    elif not each["waits_for"]:
        lines.append(_AGREED)
    return lines


@verb("set")
@click.option(
    "--expires", "--expire", "lifetime", type=_LIFETIME, metavar="TIME",
    help="How long what is said is kept, at most: 24h, 7d.",
)  # fmt: skip
@click.option(
    "--unattributed", type=click.IntRange(0, 64), metavar="NUMBER",
    help="How many people must be there for one to speak as nobody; 0: never.",
)  # fmt: skip
@click.option(
    "--vouches", type=click.IntRange(0, 8), metavar="NUMBER",
    help="How many members vouch for somebody before you may admit.",
)  # fmt: skip
@click.option("--kind", "format", type=click.Choice(FORMATS), help="What kind of talk it is.")
@channel_option
def set_(app: App, *, channel: str | None, **wanted: Any) -> None:
    """Change the rules; what you do not name stays.

    A shorter life holds at once, for what was said before too. A longer one is proposed, and holds
    when everybody has agreed, for what is said from then on: what was said before keeps its end,
    and threads that there are keep their time. Everybody sees who changed what.

    \b
    Examples:
      backchannel policy set --expires 3d
      backchannel policy set --unattributed 5 --vouches 2
    """
    from backchannel.client.deed import change, conclude
    from backchannel.client.rules import difference, document
    from backchannel.protocol.command import SetPolicy

    asked = {name: value for name, value in wanted.items() if value is not None}
    if not asked:
        msg = "No rule was named. Nothing was done."
        raise UsageMistake(msg, "backchannel policy set --help")

    def make(state: "ChannelState") -> "SetPolicy":
        return SetPolicy(_changed(state.policy, asked))

    changed = change(app, channel, make)
    state = changed.done.state
    new = _changed(changed.before.policy, asked)
    if changed.end == "lost" and _is_proposed(state, new):
        _tell_proposed(app, changed.done.name, state, new)
        changed.done.owe("The proposal goes with the next sync.")
        return
    brings = difference(changed.before.policy, new)
    if new.lifetime < changed.before.policy.lifetime:
        brings.append("That holds at once, for what was said before too.")
    conclude(app, changed, document(new), *brings, "Everybody sees the change.")


def _changed(policy: "Policy", asked: dict[str, Any]) -> "Policy":
    from msgspec.structs import replace

    return replace(policy, **asked)


def _is_proposed(state: "ChannelState", policy: "Policy") -> bool:
    return any(each.policy == policy for each in state.proposals.values())


def _tell_proposed(app: App, name: str, state: "ChannelState", policy: "Policy") -> None:
    (found,) = (each for each in state.proposals.values() if each.policy == policy)
    about = proposal(state, found)
    kept = phrases.lifetime(policy.lifetime)
    app.ui.show(
        {"channel": name, "state": "proposed", **about},
        f"Proposed: what is said is kept for {kept}. It waits for everybody.",
        "What was said before keeps its end, and threads that there are keep their time.",
        f"Waits for: {', '.join(about['waits_for'])}.",
        "They type: backchannel policy agree",
        "next: backchannel policy     shows who has agreed",
    )


@verb("agree")
@channel_option
def agree(app: App, channel: str | None) -> None:
    """Agree to the rules that are proposed.

    What was said before lives no longer by it: only what is said from then on does.
    """
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Consent
    from backchannel.protocol.content import policy_hash

    chosen: list[Proposed] = []

    def make(state: "ChannelState") -> "Consent":
        waiting = [each for each in state.proposals.values() if state.me not in each.yes]
        if not waiting:
            msg = "Nothing waits for your yes. Nothing was done."
            raise NotFound(msg, "backchannel policy")
        chosen.append(waiting[-1])
        return Consent(policy_hash(waiting[-1].policy))

    done = perform(app, channel, make)
    about = proposal(done.state, done.state.proposals[policy_hash(chosen[0].policy)])
    brings, left = about["brings"], about["waits_for"]
    app.ui.show(
        {"channel": done.name, "state": done.sent, "brings": brings, "waits_for": left},
        "You agree to this:",
        *(f"    {each}" for each in brings),
        f"Waits for: {', '.join(left)}." if left else _AGREED,
    )
    done.owe("Your yes goes with the next sync.")


for command in (set_, agree):
    policy.add_command(command)
