"""What `say` does with a text: to everybody, to one alone, or as nobody in particular."""

from typing import TYPE_CHECKING, NamedTuple

from backchannel.client.app import App
from backchannel.client.errors import Covered, Declined, Refused, UsageMistake
from backchannel.client.rounds import drafts
from backchannel.client.rounds.sync import Sync
from backchannel.client.rounds.verdict import queued
from backchannel.client.telling import phrases
from backchannel.client.telling.choosing import Chosen, pick_message, pick_thread
from backchannel.client.telling.terms import AUTHORITY, RELEASE, topic_of
from backchannel.client.ui import iso
from backchannel.protocol.command import Say, Whisper
from backchannel.protocol.outcome import Said
from backchannel.protocol.types import MAIN_THREAD

if TYPE_CHECKING:
    from backchannel.client.telling.shown import Opened
    from backchannel.client.vault.channels import ChannelRow
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.state import ChannelState

_SAFE = "The message is safe in the outbox and goes with the next sync; do not say it again."


class How(NamedTuple):
    """The options of `say`."""

    thread: str | None = None
    alias: str | None = None
    """Of the only one who is to read it."""
    number: str | None = None
    """Of the message that it answers."""
    quote: str = ""
    authority: str = "own"
    release: str = "no"
    unattributed: bool = False
    yes: bool = False
    queue: bool = False
    """Whether it waits for the next `sync`."""


def refuse_mixture(how: How) -> None:
    """`UsageMistake` for what cannot be together."""
    private = how.alias is not None and (how.thread or how.quote or how.release != "no")
    answers = how.number or how.quote
    nobody = how.unattributed and (
        how.alias or answers or how.release != "no" or how.authority != "own"
    )
    if private:
        msg = "A private note has no thread, no quote and is never carried. Nothing was sent."
        raise UsageMistake(msg, "leave out --thread, --quote and --release, or --to")
    if nobody:
        msg = "What nobody said has a text and a thread, and nothing else. Nothing was sent."
        raise UsageMistake(msg, "leave out the other options, or --unattributed")


def say_to_channel(app: App, channel: str | None, text: str, how: How) -> None:
    """To everybody, or to one member alone."""
    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel, offline=how.queue)
        state = sync.state(row.name)
        command, chosen = _command(app, vault, row, state, text, how)
        try:
            said = sync.act(row.name, command, Said)
        except UsageMistake as error:
            raise UsageMistake(error.message, "say it in several messages") from None
        assert said is not None  # noqa: S101 - what was said comes back as an event
        problem = sync.waits(row.name) if how.queue else sync.send(row.name)
        if isinstance(problem, Covered) and not how.queue:
            problem = sync.turns.linger(row.name)
    at_relay = not (how.queue or problem)
    document = {
        "id": said.id.hex(),
        "channel": row.name,
        "thread": chosen.topic,
        "to": how.alias,
        "state": "at-relay" if at_relay else "queued",
        "expires_at": phrases.stamp(said.expires),
        "off_record": said.off,
        "burns_hours": said.burn or None,
    }
    alone = f" for {how.alias} alone" if how.alias else ""
    alone += ", off the record" if said.off else ""
    burns = f", and {phrases.lifetime(said.burn)} after reading" if said.burn else ""
    where = "At the relay" if at_relay else "Queued; it goes with the next sync"
    done = f"{where}{alone}; expires {phrases.hour_of_day(said.expires)}{burns}."
    app.ui.show(document, *([] if problem else [done]))
    if said.off and not app.outlives:
        app.ui.note(
            "The vault is not unlocked: no later command shows this again, or what is answered.",
            next="backchannel unlock",
        )
    if problem is not None:
        raise queued(problem, _SAFE)


def _command(
    app: App, vault: "Vault", row: "ChannelRow", state: "ChannelState", text: str, how: How
) -> tuple[Say | Whisper, Chosen]:
    answered = pick_message(vault, row, how.number, app.now()) if how.number else None
    about, authority = answered.message.id if answered else b"", AUTHORITY.index(how.authority)
    if how.alias is not None:
        if answered is not None:
            _refuse_elsewhere(answered, None, how)
        return Whisper(how.alias, text, authority, about), Chosen(MAIN_THREAD, "")
    if how.thread is None and answered is not None:  # an answer stands beside its question
        if answered.plain["kind"] == "note":
            msg = "That was said to few; an answer to everybody would show it. Nothing was sent."
            raise UsageMistake(msg, "add --to and the name of who is to read it")
        thread = answered.message.thread
        chosen = Chosen(thread, topic_of(state, thread))
    else:
        chosen = pick_thread(state, how.thread)
    if answered is not None:
        _refuse_elsewhere(answered, chosen, how)
    release = RELEASE.index(how.release)
    return Say(chosen.id, text, authority, release, about, how.quote), chosen


def _refuse_elsewhere(answered: "Opened", chosen: Chosen | None, how: How) -> None:
    """What is off the record is answered where it was said, and not quoted even there."""
    same = chosen is not None and chosen.id == answered.message.thread
    if answered.message.off and (how.quote or not same):
        msg = f"Message {answered.number} is off the record: it is answered in its own thread, and "
        raise Refused(f"{msg}not quoted. Nothing was sent.", "leave out --quote, --thread and --to")


def say_unattributed(app: App, channel: str | None, text: str, how: How) -> None:
    """As nobody in particular: it waits in the vault, and goes at the turn of an hour."""
    from backchannel.protocol.unattributed import NOT_PROTECTED

    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel, offline=how.queue)
        state = sync.state(row.name)
        if not state.policy.unattributed:  # before anybody is frightened and asked
            msg = f"The rules of {row.name} allow no unattributed messages. It was not said."
            raise Refused(msg, "backchannel policy")
        chosen = pick_thread(state, how.thread)
        if not app.ui.json:
            for line in NOT_PROTECTED:
                app.ui.note(f"- {line}")
        if not how.yes and not app.ui.confirm("Say it all the same?"):
            msg = "It was not said, and not kept."
            raise Declined(msg)
        window = drafts.wait(vault, row.name, chosen.id, text, app.now(), app.entropy)
    start, end = phrases.clock_time(window.start), phrases.clock_time(window.end)
    app.ui.show(
        {
            "channel": row.name,
            "thread": chosen.topic,
            "state": "waits",
            "from": iso(window.start),
            "until": iso(window.end),
        },
        f"It goes between {start} and {end} UTC, with a `sync` that runs then.",
        "next: backchannel sync     then; leave it running with: backchannel read --follow",
        "To take it back until then: backchannel drafts",
    )
