"""`policy`: the rules of a channel, shown, changed, agreed to."""

from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.errors import Declined, NotFound, UsageMistake
from backchannel.client.options import Duration, channel_option, verb, verbs
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import phrases
from backchannel.client.telling.terms import FORMATS

if TYPE_CHECKING:
    from backchannel.protocol.command import Consent, SetPolicy
    from backchannel.protocol.proposal import Proposed
    from backchannel.protocol.roster import Policy
    from backchannel.protocol.state import ChannelState

_LIFETIME = Duration("1h", "90d", hours=True)
_PULSE = Duration("0h", "7d", hours=True)
_COVER = Duration("0s", "1d")
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
    from backchannel.client.rounds.session import allowed
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.telling.rules import document, sentences

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        state = sync.state(row.name)
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
    from backchannel.client.telling.people import alias
    from backchannel.client.telling.rules import difference, document

    entries = state.current().entries
    return {
        **document(proposed.policy),
        "by": alias(state, proposed.by),
        "brings": difference(state.policy, proposed.policy),
        "agreed": [each.alias for each in entries if each.slot in proposed.yes],
        "waits_for": [each.alias for each in entries if each.slot not in proposed.yes],
        "you_agreed": state.me in proposed.yes,
        "object": [each.alias for each in entries if each.slot in proposed.no],
        "you_object": state.me in proposed.no,
        "closes": proposed.policy.standing == "closed",
    }


def _proposed(each: dict[str, Any]) -> list[str]:
    if each["closes"]:
        return _closing(each)
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


def _closing(each: dict[str, Any]) -> list[str]:
    lines = [f"{each['by']} proposes to close this channel for good."]
    lines.append(f"Agreed: {', '.join(each['agreed'])}.")
    if each["object"]:
        lines.append(f"Against it: {', '.join(each['object'])}. So it stays.")
    if each["you_object"]:
        return [*lines, "next: backchannel channel close     only to take your no back"]
    if each["you_agreed"]:
        return [*lines, "next: backchannel channel object     only to take your yes back"]
    return [*lines, "next: backchannel channel close, or: backchannel channel object"]


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
@click.option(
    "--pulse", type=_PULSE, metavar="TIME",
    help="How often programs tell that somebody is there: 1h, 24h; 0h: never.",
)  # fmt: skip
@click.option(
    "--cover", type=_COVER, metavar="TIME",
    help="Post one block so often, whether or not anybody speaks: 60s; 0s: never.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="With --cover: do not ask whether it may cost that.")
@click.option("--kind", "format", type=click.Choice(FORMATS), help="What kind of talk it is.")
@channel_option
def set_(app: App, *, channel: str | None, yes: bool, **wanted: Any) -> None:
    """Change the rules; what you do not name stays.

    A shorter life holds at once, for what was said before too. A longer one is proposed, and holds
    when everybody has agreed, for what is said from then on: what was said before keeps its end,
    and threads that there are keep their time. Everybody sees who changed what.

    With cover, all that the channel posts waits for turns, so that a relay sees the same whether or
    not anybody speaks. What it costs a day is shown first.

    \b
    Examples:
      backchannel policy set --expires 3d
      backchannel policy set --unattributed 5 --vouches 2
      backchannel policy set --pulse 1h
    """
    from backchannel.client.deed import change, conclude
    from backchannel.client.telling.rules import difference, document
    from backchannel.protocol.command import SetPolicy

    asked = {name: value for name, value in wanted.items() if value is not None}
    if not asked:
        msg = "No rule was named. Nothing was done."
        raise UsageMistake(msg, "backchannel policy set --help")

    def make(state: "ChannelState") -> "SetPolicy":
        new = _changed(state.policy, asked)
        if asked.get("cover"):
            _show_cost(app, state, new, yes=yes)
        return SetPolicy(new)

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


def _show_cost(app: App, state: "ChannelState", policy: "Policy", *, yes: bool) -> None:
    """`Declined` where somebody does not want to pay that."""
    from backchannel.client.telling.traffic import of_cover

    for line in of_cover(policy, len(state.current().entries), len(state.relays)).lines:
        app.ui.note(line)
    if not yes and not app.ui.confirm("Switch it on?"):
        msg = "The rules stay as they are."
        raise Declined(msg)


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

    \b
    Examples:
      backchannel policy
      backchannel policy agree
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
