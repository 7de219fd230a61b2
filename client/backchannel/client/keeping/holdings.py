"""Every place in which this side keeps anything, what stands there now, and for how long.

Owns the list; figures come from the rules of the channels, from the constants that do it and from
the vault as it is. Changes nothing. Tests hold the list to what is measured, and each table and
file to the list.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from backchannel.client.machine.profile import Profile
from backchannel.client.rounds import joining
from backchannel.client.rounds.drafts import longest
from backchannel.client.rounds.session import look
from backchannel.client.telling import phrases
from backchannel.client.unlocking import unlocked
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.vault import Vault
from backchannel.protocol import limits
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import KEPT_BEHIND
from backchannel.protocol.issuing import class_for
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import MAIN_THREAD, ThreadId, Timestamp

Ends = Literal["hour", "deed", "always", "elsewhere"]
"""By the hour alone; by something that you or your program do; never; where this program is not."""

DATABASE, KEYS = "vault/vault.db", "vault/expiry.keys"
OUTBOX_HOURS: Final = 1
"""Beyond the lifetime: what was written in an hour is let go when all of that hour is over."""
BASE_HOURS: Final = 24
"""After which the vault has another key, and its older copies open for nobody."""


class Holding(NamedTuple):
    """One place, for people and programs."""

    name: str
    where: str
    """A file below the folder that `paths` shows, or what else holds it."""
    what: str
    kept: str
    ends: Ends
    hours: int | None = None
    """The most that anything stays there, where the hour ends it."""
    now: str = ""
    channel: str = ""
    """Where a channel's rules decide."""
    table: str = ""
    """Of the database, where it is one."""


def holdings(vault: Vault, profile: Profile, now: Timestamp, entropy: Entropy) -> list[Holding]:
    """The whole list: what was said first, then what leads to it, then this machine."""
    rows = vault.channels.list()
    said = [each for row in rows for each in _channel(vault, row, now, entropy)]
    return [*said, *_vault(vault), *_files(), *_lasting(), *_machine(profile), *_elsewhere()]


def _channel(vault: Vault, row: ChannelRow, now: Timestamp, entropy: Entropy) -> Iterator[Holding]:
    state = look(vault, row.name, now, entropy).state
    here = *_said(vault, row, state, now), *_owed(vault, row, state), *_known(row, state)
    for each in (*here, *_reading(), *_copies(state)):
        yield each._replace(channel=row.name)


def _said(vault: Vault, row: ChannelRow, state: ChannelState, now: Timestamp) -> Iterator[Holding]:
    for thread in (MAIN_THREAD, *state.threads):
        yield _messages(vault, row, state, thread, now)
    hours = state.lifetime
    yield Holding(
        "blocks for others",
        DATABASE,
        "the encrypted form of what was said, to be posted again for whoever missed it",
        f"{_hours(hours)} after it was said; then its key is overwritten",
        "hour",
        hours,
        phrases.count(vault.cores.count(row.id), "block"),
        table="cores",
    )


def _messages(
    vault: Vault, row: ChannelRow, state: ChannelState, thread: ThreadId, now: Timestamp
) -> Holding:
    """Of one thread, or of the channel outside any."""
    hours, burn = min(state.thread_lifetime(thread), state.lifetime), state.thread_burn(thread)
    sooner = f", or {_hours(burn)} after you read it" if burn else ""
    sooner += ", or as soon as the vault is locked" if state.off_the_record(thread) else ""
    known = state.threads.get(thread)
    return Holding(
        f"messages in {known.topic!r}" if known else "messages",
        DATABASE,
        "what was said, by whom, and files that were offered; what facilitators did; of an "
        "incident when it came",
        f"{_hours(hours)} after it was said{sooner}; then its key is overwritten",
        "hour",
        hours,
        phrases.count(len(vault.messages.list(row.id, now, thread)), "message"),
        table="messages",
    )


def _owed(vault: Vault, row: ChannelRow, state: ChannelState) -> Iterator[Holding]:
    late = state.lifetime + OUTBOX_HOURS
    yield Holding(
        "outbox",
        DATABASE,
        "what a relay is to get, encrypted, with the key to its place there",
        f"until a relay has it; blocks at most {_hours(late)}",
        "hour",
        late,
        phrases.count(vault.outbox.count(row.id), "request"),
        table="outbox",
    )
    waits = longest(state.lifetime)
    yield Holding(
        "drafts",
        DATABASE,
        "what you said unattributed and what was not sent yet",
        f"until it is sent, or you take it back; at most {_hours(waits)}",
        "hour",
        waits,
        phrases.count(len(vault.drafts.list(row.id)), "draft"),
        table="drafts",
    )


def _known(row: ChannelRow, state: ChannelState) -> Iterator[Holding]:
    """What leads to what was said, and says nothing of it."""
    clock = state.lifetime + KEPT_BEHIND
    yield Holding(
        "clocks",
        KEYS,
        "without them nothing that came from the relay opens; their names stand in the database",
        f"turned on every hour: they open {_hours(clock)} back, and nothing before",
        "hour",
        clock,
        phrases.count(len(state.epochs), "epoch"),
        table="epochs",
    )
    yield Holding(
        "names of threads' keys",
        DATABASE,
        "random numbers, one for each thread with something in it",
        f"as long as something is in the thread: at most {_hours(state.lifetime)} after the last",
        "hour",
        state.lifetime,
        table="threads",
    )
    yield Holding(
        "channel",
        DATABASE,
        "who is in it and was lately, its rules, topics of threads, your keys to it, news not "
        "shown yet, counts; of a hotline who is on duty, and when the last tests went and came",
        "until you erase it: backchannel channel leave --purge; a topic goes when its thread was "
        f"not used for {_hours(state.lifetime)}",
        "deed",
        now=phrases.count(row.summary["members"], "member"),
        table="channels",
    )


def _reading() -> Iterator[Holding]:
    """What is noted of the relays."""
    yield Holding(
        "where reading goes on",
        DATABASE,
        "for each place at the relay how far it was read",
        "as long as that place is read",
        "deed",
        table="cursors",
    )
    yield Holding(
        "relays that failed",
        DATABASE,
        "since when each does not answer, and until when it is left alone",
        "until it answers, or you leave its last channel",
        "deed",
        table="health",
    )


def _copies(state: ChannelState) -> Iterator[Holding]:
    """What is kept elsewhere because it was said here."""
    relay = limits.CLASSES[class_for(state.lifetime)]
    yield Holding(
        "the relay's copy",
        "the relay",
        "noise of 4,096 bytes for each part of what was said; it cannot open it",
        f"{_hours(relay)}, as its own `retention` says; it opens for nobody after "
        f"{_hours(state.lifetime)}",
        "elsewhere",
        relay,
    )
    yield Holding(
        "the others' copies",
        "their machines",
        "what you see, too",
        f"{_hours(state.lifetime)} by their programs; for ever if somebody copied it out",
        "elsewhere",
        state.lifetime,
    )


def _vault(vault: Vault) -> Iterator[Holding]:
    shown = joining.SHOWN + 1
    yield Holding(
        "joins that wait",
        DATABASE,
        "the invitation that you answered, and the keys you answered with",
        f"until you are let in, or take it back; else {_hours(shown)} beyond the invite's own time",
        "hour",
        shown,
        phrases.count(len(vault.joins.list()), "join"),
        table="joins",
    )
    yield Holding(
        "channels of a backup",
        DATABASE,
        "their names and relays, your name there, whom to ask",
        "until you are let in again, or give one up: backchannel channel leave --purge",
        "deed",
        now=phrases.count(len(vault.lost.list()), "channel"),
        table="lost",
    )
    left = sum(map(len, vault.vouchers.unspent().values()))
    yield Holding(
        "vouchers",
        DATABASE,
        "numbers that pay for a place at a relay",
        "as long as the vault, so that none is spent twice",
        "always",
        now=f"{left} unspent",
        table="vouchers",
    )
    yield Holding(
        "store key",
        DATABASE,
        "one of three that open a message, and useless alone",
        "as long as the vault",
        "always",
        table="store",
    )


def _files() -> Iterator[Holding]:
    yield Holding(
        "expiry keys",
        KEYS,
        "a key for each day of coming and hour of ending, one for each thread, and the latest hour "
        "that was seen",
        "until that hour, then overwritten where it stands; while nothing runs, at the next "
        "command or tick",
        "hour",
        max(limits.CLASSES),
    )
    yield Holding(
        "base key",
        KEYS,
        "half of what opens the database; your passphrase is the other",
        f"{_hours(BASE_HOURS)}: with the next sync of another day, older copies of the database "
        "open for nobody",
        "hour",
        BASE_HOURS,
    )
    yield Holding(
        "write-ahead log",
        f"{DATABASE}-wal",
        "the latest changes of the database, encrypted as it is",
        "until the command ends",
        "deed",
    )
    yield Holding("index of that log", f"{DATABASE}-shm", "numbers", "as the log", "deed")


def _lasting() -> Iterator[Holding]:
    """Files that are as old as the vault."""
    yield Holding(
        "spare half",
        "vault/spare.db, vault/spare.keys",
        "an empty vault that is there for everybody, so that nobody sees who set a duress "
        "passphrase",
        "as long as the vault",
        "always",
    )
    yield Holding(
        "header",
        "vault/vault.head",
        "how the key comes from the passphrase; no secret",
        "as long as the vault",
        "always",
    )
    yield Holding(
        "mark of a proxy",
        "vault/proxied",
        "if it is there: that the vault was used through a proxy, so that no command goes without",
        "as long as the vault",
        "always",
    )
    yield Holding("lock", "lock", "nothing", "for good: it is empty", "always")


def _machine(profile: Profile) -> Iterator[Holding]:
    left = unlocked.seconds_left(profile)
    yield Holding(
        "agent",
        "memory; run/agent-….sock is its door",
        "the vault's key, while you are unlocked, and that of what is off the record",
        "until `lock`, until its time is over, or the machine stops",
        "deed",
        now="none runs" if left is None else f"{left} s left",
    )
    yield Holding(
        "a command's memory",
        "memory",
        "what it shows or sends, and keys; Python makes copies",
        "until the command ends; it writes no core. Swap is the system's: see doctor",
        "deed",
    )
    yield Holding(
        "timer",
        "your system's timers",
        "that `tick` runs each hour, if you installed it; nothing of what is in the vault",
        "until you take it back: backchannel tick --remove",
        "deed",
    )
    yield Holding(
        "settings", "config.toml", "what you wrote there", "until you remove it", "always"
    )


def _elsewhere() -> Iterator[Holding]:
    yield Holding(
        "files you wrote",
        "where you chose",
        "saved files, transcripts, backups",
        "until you remove them: no hour ends them",
        "elsewhere",
    )
    yield Holding(
        "courier files",
        "where you chose",
        "noise of 4,096 bytes for each part of what was said, as a relay has it",
        "until you remove them; they open for nobody after the channel's own time",
        "elsewhere",
    )
    yield Holding(
        "your terminal",
        "its scrollback, your shell's history",
        "what was shown; what stood in a command line",
        "as they are set: `say -` keeps words out of the history",
        "elsewhere",
    )


def _hours(hours: int) -> str:
    return phrases.lifetime(hours)
