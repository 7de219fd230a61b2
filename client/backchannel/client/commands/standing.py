"""`channel suspend`, `resume`, `dormant`, `close`, `object`: how a channel stands."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.errors import NotFound, Refused
from backchannel.client.options import channel_option, verb
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.client.deed import Done
    from backchannel.protocol.command import Consent, SetPolicy
    from backchannel.protocol.proposal import Proposed
    from backchannel.protocol.roster import Standing
    from backchannel.protocol.state import ChannelState


@verb("suspend")
@click.option("--note", metavar="TEXT", help="Say why, before nobody speaks any more.")
@channel_option
def suspend(app: App, note: str | None, channel: str | None) -> None:
    """Suspend talk: nobody speaks until a facilitator resumes it.

    Keys, members and heartbeats go on, for months if need be: when talk resumes nobody has to be
    invited anew. What was said before is read until it expires, and so is your note.

    \b
    Example:
      backchannel channel suspend --note 'Until 3 May. I stay in reach.'
    """
    if note is not None:
        _say(app, note, channel)
    _stand(app, channel, "suspended", "Talk is suspended: nobody speaks here now.")


def _say(app: App, note: str, channel: str | None) -> None:
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Say
    from backchannel.protocol.types import MAIN_THREAD

    perform(app, channel, lambda _state: Say(MAIN_THREAD, note)).owe("Nothing was suspended.")


@verb("resume")
@channel_option
def resume(app: App, channel: str | None) -> None:
    """Open a channel again that was suspended or dormant. Nobody needs a new invite.

    \b
    Example:
      backchannel channel resume
    """
    _stand(app, channel, "open", "Talk is open again.")


@verb("dormant")
@channel_option
def dormant(app: App, channel: str | None) -> None:
    """Let a channel sleep, when talks stop and the line should stay.

    Nothing is expected: heartbeats come weekly, and nobody is called silent for some weeks.
    Everybody may still speak, and it is open again at once: backchannel channel resume.
    This is the usual way to end talks: a channel that is closed cannot be opened again.

    \b
    Example:
      backchannel channel dormant
    """
    _stand(app, channel, "dormant", "The channel is dormant. Everybody may still speak.")


def _stand(app: App, channel: str | None, how: "Standing", said: str) -> None:
    from backchannel.client.deed import change, conclude

    changed = change(app, channel, lambda state: _put(state, how))
    conclude(app, changed, {"standing": how}, said, "Everybody sees the change.")


def _put(state: "ChannelState", how: "Standing") -> "SetPolicy":
    from msgspec.structs import replace

    from backchannel.protocol.command import SetPolicy

    return SetPolicy(replace(state.policy, standing=how))


@verb("close")
@channel_option
def close(app: App, channel: str | None) -> None:
    """Propose to close a channel for good, or agree to that.

    Nobody closes a channel alone. It closes once somebody of each party has agreed, or eight days
    after it was proposed, if nobody objects: backchannel channel object. What was said is read
    until it expires; then the keys are erased, and nothing opens the channel again.

    When talks only stop, let it sleep instead: backchannel channel dormant.

    \b
    Example:
      backchannel channel close
    """
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Consent

    def make(state: "ChannelState") -> "Consent | SetPolicy":
        found = _closing(state)
        if found is not None and (found.by != state.me or state.me in found.no):
            return Consent(_name(found), yes=True)
        if found is not None:
            _refuse_while_objected(state, found)
        return _put(state, "closed")

    done = perform(app, channel, make)
    found = _closing(done.state)
    if done.state.ended == "closed":
        _tell(app, done, "closed", "The channel is closed.")
    elif done.state.draft is not None:
        _tell(app, done, "waits", "It closes once that comes back from the relay.")
    elif found is not None and found.by == done.state.me:
        _proposed(app, done, found)
    else:
        _agreed(app, done, found)


def _closing(state: "ChannelState") -> "Proposed | None":
    """What is proposed, if that is to close it."""
    found = [each for each in state.proposals.values() if each.policy.standing == "closed"]
    return found[-1] if found else None


def _against(state: "ChannelState", found: "Proposed") -> str:
    """Who said no, as far as that counts."""
    from backchannel.protocol.standing import voice

    entries = state.current().entries
    return phrases.listed([e.alias for e in entries if e.slot in found.no and voice(e)])


def _refuse_while_objected(state: "ChannelState", found: "Proposed") -> None:
    """`Refused` for who proposed it and asks again, where somebody said no."""
    who = _against(state, found)
    if who:
        msg = f"{who} said no, so this channel stays, as long as that is not taken back."
        step = f"talk with {who}, who takes it back with `channel close`; or let it sleep: "
        raise Refused(f"{msg} Nothing was done.", f"{step}backchannel channel dormant")


def _agreed(app: App, done: "Done", found: "Proposed | None") -> None:
    from backchannel.protocol.standing import ripe

    who = _against(done.state, found) if found is not None else ""
    if who:
        more = [f"{who} said no, so it stays, as long as that is not taken back."]
    elif found is not None and ripe(done.state, found, found.hour):
        more = ["All have agreed: it closes with the proposer's next sync."]
    else:
        more = ["next: backchannel policy     shows who has agreed"]
    _tell(app, done, "agreed", "You agree that it is closed for good.", *more)


def _name(proposed: "Proposed") -> bytes:
    from backchannel.protocol.content import policy_hash

    return policy_hash(proposed.policy)


def _proposed(app: App, done: "Done", found: "Proposed") -> None:
    from backchannel.protocol import limits
    from backchannel.protocol.standing import asked
    from backchannel.protocol.types import Hour

    ends = Hour(found.hour + limits.CLOSING_HOURS + limits.CLOSING_LATE)
    waits = [entry.alias for entry in asked(done.state, found)]
    _tell(
        app,
        done,
        "proposed",
        f"Proposed. It closes on {phrases.date(ends)}, or once each party has agreed.",
        *([f"Asked: {', '.join(waits)}."] if waits else []),
        "They type: backchannel channel close, or: backchannel channel object",
    )


@verb("object")
@channel_option
def object_(app: App, channel: str | None) -> None:
    """Say no to closing a channel: then it stays.

    It stays until you take that back: backchannel channel close.

    \b
    Example:
      backchannel channel object
    """
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Consent

    def make(state: "ChannelState") -> "Consent":
        found = _closing(state)
        if found is None:
            msg = "Nobody proposes to close this channel. Nothing was done."
            raise NotFound(msg, "backchannel policy")
        if state.current().entry(state.me).role not in {"facilitator", "participant"}:
            msg = "Whoever takes part decides about that. Nothing was done."
            raise Refused(msg, "tell somebody of your party")
        return Consent(_name(found), yes=False)

    done = perform(app, channel, make)
    _tell(
        app,
        done,
        "objected",
        "You object: the channel is not closed, and all goes on as before. Everybody sees that.",
        "next: backchannel channel close     only if you change your mind: it takes your no back",
    )


def _tell(app: App, done: "Done", how: str, *said: str) -> None:
    app.ui.show({"channel": done.name, "state": how, "sent": done.sent}, *said)
    done.owe("It goes with the next sync: do not do it again.")


COMMANDS = (suspend, resume, dormant, close, object_)
