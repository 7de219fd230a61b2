"""The steps from a channel as it is to one as a facilitator's file wants it.

Nothing is forced: what the life of a channel fixes is refused, what would keep words longer is
proposed, and who is not in the file is named and stays. Knows no vault and no network.
"""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from backchannel.client.convening.kinds import find
from backchannel.client.convening.wanted import Guest, Site, Wanted
from backchannel.client.errors import Refused
from backchannel.client.telling import phrases
from backchannel.protocol.alias import alike
from backchannel.protocol.command import Begin, Command, Invite, SetPolicy, SetRole, Shorten
from backchannel.protocol.content import policy_hash
from backchannel.protocol.errors import RefusedError
from backchannel.protocol.format import Seat, check_format
from backchannel.protocol.roster import Format, Policy, charter_hash
from backchannel.protocol.state import ChannelState

_REMOVE = "backchannel relay remove"


class Shown(NamedTuple):
    """One thing to do, as people and programs are told."""

    mark: str
    """`+` for what comes, `~` for what changes, `?` for what is proposed."""
    what: str
    name: str
    detail: str = ""

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.mark} {self.what} {self.name}{': ' if self.detail else ''}{self.detail}"


class Step(NamedTuple):
    """One thing to do, and how: by a command, or by a relay that is asked first who it is."""

    shown: Shown
    command: Command | Site


class Note(NamedTuple):
    """Something that the file and the channel see differently, and that stays."""

    text: str
    next_step: str


class Plan(NamedTuple):
    """What is to be done, in order, and what is only said."""

    steps: tuple[Step, ...]
    notes: tuple[Note, ...]


def opening(wanted: Wanted) -> list[Shown]:
    """All that a channel begins with; `Refused` for people who cannot sit together in one."""
    kind = wanted.kind or find("plenary")
    host = Guest("", wanted.party or "Facilitation", "facilitator", 0)
    _refuse_crowd(kind.format, [host, *wanted.invites])
    threads = [*(topic for topic, _ in kind.threads), *(each.topic for each in wanted.threads)]
    return [
        Shown("+", "channel", wanted.name, kind.name),
        *(Shown("+", "relay", each.url) for each in wanted.relays[1:]),
        *(Shown("+", "thread", topic) for topic in dict.fromkeys(threads)),
        *(
            Shown("+", "invite", each.alias, f"{each.party}, {each.role}")
            for each in wanted.invites
        ),
    ]


def steps(wanted: Wanted, state: ChannelState, gone: Collection[str] = ()) -> Plan:
    """From a channel that is there, and from which these went; `Refused` where its life fixes what
    the file has otherwise.
    """
    _refuse_fixed(wanted, state)
    here = state.current()
    new = [each for each in wanted.invites if here.named(each.alias) is None]
    _refuse_crowd(state.policy.format, [*here.entries, *new])
    rules, said = _policy(wanted, state)
    threads, kept = _thread_steps(wanted, state)
    invites, absent = _invite_steps(wanted, state, gone)
    roles, missing = _role_steps(wanted, state)
    relays, more = _relay_steps(wanted, state)
    return Plan(
        (*rules, *threads, *relays, *invites, *roles),
        (*said, *kept, *absent, *missing, *more, *_strangers(wanted, state)),
    )


def _refuse_crowd(kind: Format, seats: Sequence[Seat]) -> None:
    try:
        check_format(Policy(1, kind), seats)
    except RefusedError as error:
        msg = f"{phrases.sentence(str(error))} Nothing was done."
        raise Refused(msg, "correct the parties of the file's invites") from None


def _refuse_fixed(wanted: Wanted, state: ChannelState) -> None:
    own = state.current().entry(state.me)
    differs = []
    if wanted.alias is not None and wanted.alias != own.alias:
        differs.append("alias")
    if wanted.party is not None and wanted.party != own.party:
        differs.append("party")
    if wanted.charter is not None:
        current = state.current()
        text, disclosure = wanted.charter
        if charter_hash(unicodedata.normalize("NFC", text)) != current.charter:
            differs.append("charter")
        if disclosure.hash != current.disclosure:
            differs.append("disclosure")
    if differs:
        msg = f"{state.name} has another {' and '.join(differs)}, for as long as it lives. "
        raise Refused(msg + "Nothing was done.", "give the file another name, to open a channel")


def _policy(wanted: Wanted, state: ChannelState) -> tuple[list[Step], list[Note]]:
    """What tightens, at once; then what loosens, as a proposal that waits for everybody."""
    now = state.policy
    goal = replace(
        now,
        lifetime=now.lifetime if wanted.expires is None else wanted.expires,
        format=now.format if wanted.kind is None else wanted.kind.format,
        unattributed=now.unattributed if wanted.unattributed is None else wanted.unattributed,
        vouches=now.vouches if wanted.vouches is None else wanted.vouches,
    )
    at_once = replace(goal, lifetime=min(goal.lifetime, now.lifetime), format=now.format)
    done = [] if at_once == now else [_rule("~", now, at_once)]
    if goal == at_once:
        return done, []
    proposed = state.proposals.get(policy_hash(goal))
    missing = [e.alias for e in state.current().entries if proposed and e.slot not in proposed.yes]
    if missing:
        text = f"Waits for {phrases.listed(missing)} to agree: {_difference(at_once, goal)}."
        return done, [Note(text, "they say: backchannel policy agree")]
    return [*done, _rule("~" if proposed else "?", at_once, goal)], []


def _rule(mark: str, old: Policy, new: Policy) -> Step:
    what = "proposal" if mark == "?" else "policy"
    return Step(Shown(mark, what, _difference(old, new)), SetPolicy(new))


def _difference(old: Policy, new: Policy) -> str:
    names = {"lifetime": "expires", "format": "kind"}
    changed = [f for f in Policy.__struct_fields__ if getattr(old, f) != getattr(new, f)]
    shown = (
        f"{names.get(each, each)} {_value(each, old)} -> {_value(each, new)}" for each in changed
    )
    return ", ".join(shown)


def _value(field: str, policy: Policy) -> str:
    value = getattr(policy, field)
    return phrases.lifetime(value) if field == "lifetime" else str(value)


def _thread_steps(wanted: Wanted, state: ChannelState) -> tuple[list[Step], list[Note]]:
    known = {each.topic.casefold(): (name, each) for name, each in state.threads.items()}
    lifetime = min(state.lifetime, wanted.expires or state.lifetime)
    made: list[Step] = []
    notes: list[Note] = []
    for topic, hours in wanted.threads:
        life = min(hours or lifetime, lifetime)
        if topic.casefold() not in known:
            shown = Shown("+", "thread", topic, f"kept {phrases.lifetime(life)}")
            made.append(Step(shown, Begin(topic, life)))
            continue
        name, there = known[topic.casefold()]
        if hours is not None and hours < there.lifetime:
            now, then = phrases.lifetime(there.lifetime), phrases.lifetime(hours)
            shown = Shown("~", "thread", topic, f"{now} -> {then}")
            made.append(Step(shown, Shorten(name, hours)))
        elif hours is not None and hours > there.lifetime:
            kept = phrases.lifetime(there.lifetime)
            text = f"The thread {topic} is kept for {kept}, and is not made longer."
            notes.append(Note(text, "backchannel thread new, with another topic"))
    return made, notes


def _expected(state: ChannelState) -> list[str]:
    """Whom an invite waits for, by any name."""
    waits = {"open", "waiting", "admitting"}
    return [guest.card.invited.alias for guest in state.guests if guest.state in waits]


def _invite_steps(
    wanted: Wanted, state: ChannelState, gone: Collection[str]
) -> tuple[list[Step], list[Note]]:
    """For those who are neither here nor invited; who went is not asked back by a file."""
    answered = [guest.join.alias for guest in state.guests if guest.join is not None]
    known = [*(e.alias for e in state.current().entries), *_expected(state), *answered]
    made, notes = [], []
    for alias, party, role, valid in wanted.invites:
        if _has(known, alias):
            continue
        if _has(gone, alias):
            step = f"take {alias} out of the file, or: backchannel invite {alias}"
            notes.append(Note(f"{alias} went and is still in the file: not invited again.", step))
            continue
        shown = Shown("+", "invite", alias, f"{party}, {role}")
        made.append(Step(shown, Invite(alias, party, role, valid)))
    return made, notes


def _has(names: Iterable[str], name: str) -> bool:
    return any(alike(name, each) for each in names)


def _role_steps(wanted: Wanted, state: ChannelState) -> tuple[list[Step], list[Note]]:
    made, notes = [], []
    for alias, role in wanted.roles.items():
        entry = state.current().named(alias)
        if entry is None:
            notes.append(Note(f"{alias} is not here to be {role}.", f"backchannel invite {alias}"))
        elif entry.role != role:
            shown = Shown("~", "role", entry.alias, f"{entry.role} -> {role}")
            made.append(Step(shown, SetRole(entry.alias, role)))
    return made, notes


def _relay_steps(wanted: Wanted, state: ChannelState) -> tuple[list[Step], list[Note]]:
    """None is left by what a file does not say: what stands there may be all that some reach."""
    here, asked = [each.url for each in state.relays], [each.url for each in wanted.relays]
    made = [Step(Shown("+", "relay", e.url), e) for e in wanted.relays if e.url not in here]
    more = [url for url in here if asked and url not in asked]
    notes = [
        Note(f"{state.name} is at {url} too, which is not in the file.", f"{_REMOVE} {url}")
        for url in more
    ]
    return made, notes


def _strangers(wanted: Wanted, state: ChannelState) -> list[Note]:
    """Who is here, or invited, and not in the file: whoever left it out may have forgotten."""
    own, entries = state.current().entry(state.me).alias, state.current().entries
    known = [own, *(each.alias for each in wanted.invites), *wanted.roles]
    here = [each.alias for each in entries if not _has(known, each.alias)]
    asked = [alias for alias in _expected(state) if not _has(known, alias)]
    return [
        *(Note(f"{a} is here and not in the file.", f"backchannel remove {a}") for a in here),
        *(Note(f"{a} is invited and not in the file.", f"backchannel refuse {a}") for a in asked),
    ]
