"""When this member takes its turn, where a channel has cover, and what goes then: SPEC.md 17.

The next turn stands in the channel's summary, so that all programs over one vault keep one pace.
Knows no network; `sync` waits and sends.
"""

from typing import TYPE_CHECKING, Final

from backchannel.client.errors import Covered, span
from backchannel.client.rounds.session import allowed
from backchannel.client.telling import phrases
from backchannel.client.vault.channels import Summary
from backchannel.client.vault.outbox import Owed
from backchannel.protocol import command as commands
from backchannel.protocol.cover import pause
from backchannel.protocol.drop import Operation
from backchannel.protocol.outcome import Alone
from backchannel.protocol.types import Timestamp

if TYPE_CHECKING:
    from backchannel.client.rounds.session import Session
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.entropy import Entropy

_LATE: Final = 60  # seconds after which a turn went by while nothing ran
_STAYS: Final = 60  # seconds for which a program speaks that stays: longer than its rounds are
_FRACTION: Final = 1 << 32
_FILLS: Final = "cover"  # the label of a block that says nothing


def rate(about: Summary) -> int:
    """Seconds in which the channel posts one block; 0: there is no cover."""
    policy: dict[str, int] = about.get("policy", {})
    return policy.get("cover", 0)


def runs(about: Summary, now: Timestamp) -> bool:
    """Whether some program takes this member's turns."""
    return bool(rate(about)) and bool(about.get("stays", 0) > now)


def stays(vault: "Vault", name: str, now: Timestamp) -> None:
    """Note that a program is here that takes turns, for others that would otherwise."""
    row = vault.channels.get(name)
    if rate(row.summary) and row.summary.get("stays", 0) < now + _STAYS // 2:
        with vault.exclusive(now), vault.transaction():
            row = vault.channels.get(name)
            until = row.summary | {"stays": now + _STAYS}
            vault.channels.put_state(row.id, row.state, until)


def left(about: Summary, now: Timestamp, entropy: "Entropy") -> float | None:
    """Seconds until the next turn, 0 once it is due; none without cover. With a fraction by chance,
    or all blocks of one machine would come at one place within the second.
    """
    if not rate(about):
        return None
    whole = int(about.get("turn", 0)) - now
    return whole + int.from_bytes(entropy.draw(4)) / _FRACTION if whole > 0 else 0.0


def claim(vault: "Vault", session: "Session", entropy: "Entropy") -> dict[str, Owed]:
    """What goes to each relay now, in the caller's transaction: the oldest that waits for a turn,
    else a block that says nothing. Empty where it is nobody's turn, another program took it, or it
    went by while nothing ran: then a new one is drawn.
    """
    about, now = session.summary, session.now
    late = now - about.get("turn", 0)
    if not rate(about) or late < 0:
        return {}
    wait = pause(max(1, about["members"]), rate(about), entropy)
    about["turn"] = now + wait
    waiting = vault.outbox.waiting(session.row.id)
    if late > _LATE or (about["ended"] and not waiting):
        return {}
    for filler in _fillers(session, entropy):
        if filler.relay not in waiting:
            vault.outbox.add(_owed(session, filler))
    return vault.outbox.waiting(session.row.id)


def _fillers(session: "Session", entropy: "Entropy") -> list[Alone]:
    """Owed until they come through, as a post is: else a relay would learn which is one by refusing
    it once, and waiting whether the same block comes again.
    """
    with allowed():
        effects = session.channel.act(commands.Cover(), session.now, entropy).effects
    return [each for each in effects if isinstance(each, Alone)]


def _owed(session: "Session", filler: Alone) -> Owed:
    drop, append = filler.drop, Operation.APPEND
    where = (session.row.id, filler.relay, drop.relay.value, drop.id, drop.access)
    return Owed(*where, append, bytes(filler.block), _FILLS, session.hour)


def waits(vault: "Vault", about: Summary, owner: bytes, now: Timestamp) -> Covered:
    """What a person is told of something that goes at a turn."""
    ahead, mean = vault.outbox.ahead(owner), about["members"] * rate(about)
    each = f"{phrases.count(ahead, 'block')} of about {span(mean)} each"
    if runs(about, now):
        at = phrases.clock_time(Timestamp(max(now, about["turn"]) + mean * max(0, ahead - 1)))
        msg = f"It is safe, and goes at a turn of cover, about {at} UTC: {each}. Do not repeat it."
        return Covered(msg, "nothing; or at once, for the relay to see: the same with --now")
    msg = f"It is safe, and goes at a turn of cover: {each}. No program takes turns here."
    return Covered(msg, "backchannel watch     and leave it running")
