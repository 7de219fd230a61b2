"""`join`: from twelve words to an answer in the lobby, everything shown before anything is sent."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.errors import Declined, InviteOver
from backchannel.client.options import verb
from backchannel.client.rounds.verdict import queued
from backchannel.client.telling import overview, phrases
from backchannel.client.wire.address import Address

if TYPE_CHECKING:
    from backchannel.client.rounds.joining import Read
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.vault.channels import JoinRow
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.invite import Card

_LEGAL = (
    "Contact with the people here may be unlawful where you are. Nobody here can judge that for "
    "you; if in doubt, ask first."
)
_PATIENCE = 20  # seconds of one waiting request
_TRIES = 3
_WORDS = 12


@verb("join")
@click.argument("url")
@click.option("--alias", metavar="NAME", help="Your name in this channel.  [default: as invited]")
@click.option("--yes", is_flag=True, help="Accept the charter unseen: for scripts that showed it.")
@click.option("--wait", is_flag=True, help="Stay until you are admitted.")
def join(app: App, *, url: str, alias: str | None, yes: bool, wait: bool) -> None:
    """Join a channel with the relay's address and the twelve words you were given.

    The words are asked for, or read from standard input. Nothing is sent before you have seen what
    the channel stands for and said yes.

    \b
    Examples:
      backchannel join https://relay.example
      backchannel join https://relay.example --alias Heron --wait
    """
    from backchannel.client.rounds import joining
    from backchannel.client.rounds.relays import refuse_other_key
    from backchannel.client.rounds.sync import Sync

    found = _read(app, url)
    card = found.candidate.card
    if not yes or not app.ui.json:
        _show(app, card)
    _agree(app, yes=yes)
    with app.vault(create=True) as vault, Sync(app, vault) as sync:
        for relay in (found.candidate.state.relay, *card.relays):
            refuse_other_key(vault, relay.url, relay.key)
        row = joining.answer(app, vault, found, alias or card.invited.alias)
        problem = sync.deliver(row.id).problem
        words = joining.check_spoken(found.candidate)
        state = "queued" if problem else _wait(app, vault, sync, row, words) if wait else "waiting"
        rows = vault.channels.list()
    document = _document(card) | {"alias": row.alias, "check_words": words, "state": state}
    if state == "admitted":
        app.ui.show(document, *overview.arrived(rows[-1], several=len(rows) > 1))
        return
    app.ui.show(document)
    _compare(app, words, "waits in the outbox" if problem else "is at the relay")
    app.ui.say("If they differ, do not go on: somebody stands between you.")
    app.ui.say("next: backchannel sync      once the facilitator has admitted you")
    if problem is not None:
        raise queued(problem, "Your answer is in the outbox and goes with the next sync.")


def _read(app: App, url: str) -> "Read":
    from backchannel.client.rounds import joining

    address = str(Address.parse(url, allow_http=app.settings.allow_http))
    words = _words(app)
    found = app.describe(address)
    return joining.read(words, address, found, lambda: app.relay(address, found.key), app.now())


def _words(app: App) -> str:
    """The twelve words; at a terminal a slip may be mended."""
    from backchannel.client.errors import WordsMistyped
    from backchannel.client.rounds import joining

    for tries_left in reversed(range(_TRIES if app.ui.can_ask else 1)):
        words = _all_lines(app)
        try:
            joining.check_words(words)
        except WordsMistyped as error:
            if not tries_left:
                raise
            app.ui.note(error.message)
        else:
            return words
    raise AssertionError


def _all_lines(app: App) -> str:
    """An invite shows its words in two lines; they may be typed so. An empty line ends them."""
    words = app.ui.ask("The twelve words:").split()
    while (missing := _WORDS - len(words)) > 0 and app.ui.can_ask:
        more = app.ui.ask(f"{phrases.count(missing, 'word')} more:").split()
        if not more:
            break
        words += more
    return " ".join(words)


def _show(app: App, card: "Card") -> None:
    """One screen: who, what for, for how long, and what it may mean."""
    app.ui.show(_document(card) | {"state": "invited"})
    if app.ui.json:
        return
    person = card.facilitator
    app.ui.title(f"{card.name}: an invitation for {card.invited.alias} ({card.invited.party})")
    app.ui.say()
    app.ui.quote(card.charter)
    app.ui.say()
    for label, text in (
        ("convened by", card.disclosure.convened_by),
        ("funded by", card.disclosure.funded_by),
        ("relay run by", card.disclosure.relay_run_by),
        ("facilitator", f"{person.alias} ({person.party})"),
        (
            "your part",
            f"{card.invited.role}, in a personal capacity, under a name used only here",
        ),
        (
            "kept for",
            f"{phrases.lifetime(card.lifetime)}; then nobody can open it, here or at the relay",
        ),
        ("the law", _LEGAL),
        ("no proof", phrases.DENIABLE),
    ):
        app.ui.field(label, text)
    app.ui.say()


def _agree(app: App, *, yes: bool) -> None:
    if not yes and not app.ui.confirm("Join on these terms?"):
        msg = "You did not join. Nothing was sent, and nothing was kept."
        raise Declined(msg)


def _wait(app: App, vault: "Vault", sync: "Sync", row: "JoinRow", words: str) -> str:
    """Until the lobby answers."""
    _compare(app, words, "is at the relay")
    app.ui.say("Waiting until the facilitator admits you. Ctrl-C ends that, and loses nothing.")
    while True:
        sync.lobbies.ask(row, min(_PATIENCE, app.awake()))
        left = next((each for each in vault.joins.list() if each.id == row.id), None)
        if left is None:
            sync.channel(vault.channels.list()[-1].name)
            return "admitted"
        if left.summary["over"]:
            raise InviteOver(phrases.ended(left.summary["over"]))


def _compare(app: App, words: str, where: str) -> None:
    app.ui.say(f"Your answer {where}.")
    app.ui.say("Compare these six words with the facilitator, by voice:")
    app.ui.say()
    app.ui.title(f"    {words}")
    app.ui.say()


def _document(card: "Card") -> dict[str, object]:
    return {
        "channel": card.name,
        "charter": card.charter,
        "convened_by": card.disclosure.convened_by,
        "funded_by": card.disclosure.funded_by,
        "relay_run_by": card.disclosure.relay_run_by,
        "facilitator": card.facilitator.alias,
        "alias": card.invited.alias,
        "party": card.invited.party,
        "role": card.invited.role,
        "expires_hours": card.lifetime,
        "relay": card.relays[0].url,
    }
