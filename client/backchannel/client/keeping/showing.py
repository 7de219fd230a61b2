"""A conversation as a file for somebody outside: from the vault, from a forger's copy, and back.

Both ways lead through one function, so that what is real and what is forged look alike. Opens no
relay; looks at a file without any vault.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.keeping import files
from backchannel.client.telling.documents import alias_at
from backchannel.client.telling.phrases import sentence
from backchannel.client.telling.terms import topic_of
from backchannel.protocol import exhibit, limits
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.exhibit import Exhibit, Person, Statement
from backchannel.protocol.outcome import Leaf, Said
from backchannel.protocol.secret import LeafKey
from backchannel.protocol.types import MAIN_THREAD, ContentHash, Core, Timestamp

if TYPE_CHECKING:
    from backchannel.client.telling.shown import Opened
    from backchannel.client.vault.channels import ChannelRow
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.state import ChannelState

NO_PROOF = (
    "This shows nothing about who wrote it: every member of that channel can make the same file "
    "alone, with `backchannel forge`."
)


class Drawn(NamedTuple):
    """A file that was drawn up, and not written yet."""

    exhibit: Exhibit
    data: bytes
    left_out: int
    """Messages that it could not take."""


def may_leave(found: "Opened") -> bool:
    """Whether a message may stand in such a file: said in a thread, by somebody, on the record.
    Nothing else is kept with its leaf keys.
    """
    return found.plain["kind"] == "text" and bool(found.plain.get("leaves"))


def of_vault(
    vault: "Vault", row: "ChannelRow", state: "ChannelState", found: "list[Opened]", now: Timestamp
) -> Drawn:
    """What was said, as this vault has it; `NotFound` where there is nothing that may leave."""
    texts = [each for each in found if may_leave(each)]
    made = [
        _statement(vault, row, state, each, now)
        for each in texts
        if each.plain["from"] == alias_at(state, each.message.author)  # nobody else has the place
    ]
    return draw_up(state, made, len(texts))


def _statement(
    vault: "Vault", row: "ChannelRow", state: "ChannelState", found: "Opened", now: Timestamp
) -> Statement | None:
    message, plain = found
    leaves = tuple(
        Leaf(ContentHash(bytes.fromhex(core)), LeafKey(bytes.fromhex(key)))
        for core, key in plain["leaves"]
    )
    said = Said(
        *(message.id, message.thread, message.author, plain["text"], message.hour, message.order),
        *(message.content, message.expires),
        leaves=leaves,
    )
    cores = vault.cores.many(row.id, [leaf.core for leaf in leaves], now)
    return of_said(state, said, cores)


def of_said(state: "ChannelState", said: Said, cores: dict[ContentHash, Core]) -> Statement | None:
    """What stands in a file of one text; none where it may not leave, or a block of it is gone."""
    topic = "" if said.thread == MAIN_THREAD else topic_of(state, said.thread)
    return exhibit.statement(said, topic, cores)


def draw_up(state: "ChannelState", made: Iterable[Statement | None], wanted: int) -> Drawn:
    """A file of these; `NotFound` where there are none."""
    statements = [each for each in made if each is not None]
    if not statements:
        msg = "There is nothing to write: no message of a thread is here that may leave."
        raise NotFound(msg, "backchannel read")
    drawn = exhibit.draw_up(state.name, _people(state, statements), statements)
    return Drawn(drawn, exhibit.write(drawn), wanted - len(drawn.statements))


def _people(state: "ChannelState", statements: list[Statement]) -> list[Person]:
    """Those who are here, and those who spoke and went."""
    entries = {each.slot: Person.of(each) for each in state.current().entries}
    spoke = {each.author for each in statements}
    for over in state.epochs[::-1]:
        for each in over.ending.roster.entries if over.ending else ():
            if each.slot in spoke:
                entries.setdefault(each.slot, Person.of(each))
    return list(entries.values())


def write(target: Path, drawn: Drawn, instead: str) -> None:
    """A new file for nobody else; what stands there is never overwritten."""
    if os.path.lexists(target):
        msg = f"{target} is there already. Nothing was written."
        raise UsageMistake(msg, instead)
    files.write(target, drawn.data, instead)


def read(path: Path) -> Exhibit:
    """A file that is whole, and in which everything opens; `UsageMistake` says what is wrong."""
    instead = "backchannel transcript check FILE, with a file that `export` or `forge` wrote"
    try:
        with path.open("rb") as opened:
            data = opened.read(limits.EXHIBIT_BYTES + 1)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise UsageMistake(msg, instead) from None
    try:
        return exhibit.read(data)
    except DecodeError as error:
        msg = f"{path} is no whole transcript. {sentence(str(error))}"
        raise UsageMistake(msg, instead) from None
