"""What a facilitator may pass from one channel to another: words that their author released there,
and no others.

Looks at what the vault keeps of a message and of what was said about it. What is to be said
elsewhere is held against that once more, right before it goes. Knows no network and no screen.
"""

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from backchannel.client.errors import Refused, UsageMistake
from backchannel.client.telling.shown import Opened, confined
from backchannel.client.telling.terms import AUTHORITY
from backchannel.client.vault.messages import Message
from backchannel.protocol.alias import alike
from backchannel.protocol.command import Say
from backchannel.protocol.content import carried_words
from backchannel.protocol.outcome import NOBODY
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour, Slot, ThreadId


class About(NamedTuple):
    """What was said about one message by those who may."""

    asked: tuple[str, ...]
    """Other words that facilitators asked for, the newest last."""
    released: frozenset[bytes]
    """Hashes of words that its author let be carried."""

    @property
    def waiting(self) -> str | None:
        """Other words that its author has not answered yet: the newest."""
        newest = self.asked[-1] if self.asked else None
        return newest if newest and not self.lets(newest) else None

    @property
    def approved(self) -> str | None:
        """The newest other words that its author approved."""
        return next((each for each in reversed(self.asked) if self.lets(each)), None)

    def lets(self, words: str) -> bool:
        """Whether its author released these very words."""
        return carried_words(words) in self.released


def about(found: Opened, every: Iterable[Message]) -> About:
    """What was said of a message: by its author, a release; two people's messages may share an id,
    so it is the author who counts.
    """
    name, author = found.message.id.hex(), (found.message.author, found.plain["from"])
    asked, released = [], set()
    for each in every:
        plain = json.loads(each.plain)
        if plain.get("about") != name:
            continue
        if plain["kind"] == "paraphrase":
            asked.append(plain["text"])
        elif plain["kind"] == "release" and (each.author, plain["from"]) == author:
            released.add(bytes.fromhex(plain["words"]))
    return About(tuple(asked), frozenset(released))


def refuse_unless_own(found: Opened, me: Slot) -> None:
    """`Refused` for a message that is not one's own to release."""
    if found.message.author != me or found.plain.get("carried"):
        msg = f"Message {found.number} is not yours: only its author releases it. Nothing was done."
        raise Refused(msg, "backchannel read")
    _refuse_unless_text(found)


def refuse_unless_anothers(found: Opened, me: Slot) -> None:
    """`Refused` for what has no author who could release it to a facilitator."""
    _refuse_unless_text(found)
    if found.plain.get("carried"):
        why = "was carried here: its author is elsewhere, and did not release it for a third place"
    elif found.message.author == NOBODY:
        why = "was said by nobody in particular, so nobody can release it"
    elif found.message.author == me:
        why = "is your own: say it there in your own name"
    else:
        return
    raise Refused(f"Message {found.number} {why}. Nothing was done.", "backchannel read")


def _refuse_unless_text(found: Opened) -> None:
    why = confined(found)
    if why:
        msg = f"Message {found.number} {why}, and such are not carried. Nothing was done."
        raise Refused(msg, "backchannel read")


def words(found: Opened, said: About, *, paraphrase: bool) -> str:
    """What its author released: its own words, or the other ones it approved; else `Refused`."""
    number, author = found.number, found.plain["from"]
    if paraphrase:
        if said.approved is None:
            msg = f"{author} has not approved other words for message {number}."
            step = f"backchannel paraphrase {number} 'OTHER WORDS', then {author} releases them"
            raise Refused(f"{msg} Nothing was carried.", step)
        return said.approved
    text = str(found.plain["text"])
    if found.plain["release"] != "exact" and not said.lets(text):
        msg = f"{author} has not released message {number}. Nothing was carried."
        step = f"ask {author} for: backchannel release {number}"
        raise Refused(msg, f"{step}   (there it may have another number)")
    return text


def elsewhere(found: Opened, text: str, thread: ThreadId) -> Say:
    """The words for another channel: the label as it was, and nothing that leads back."""
    authority = AUTHORITY.index(found.plain["authority"])
    return Say(thread, text, authority, carried=True)


def check(say: Say, found: Opened, said: About, hour: Hour) -> None:
    """`Refused` for anything but released words of a message that still lives, under its label."""
    whole = found.plain["release"] == "exact" and say.text == found.plain["text"]
    if found.message.expires <= hour:
        why = "has expired"
    elif not (whole or said.lets(say.text)):
        why = "was not released in these words"
    elif AUTHORITY[say.authority] != found.plain["authority"]:
        why = "stands under another label"
    elif not say.carried or say.about or say.quote or say.release or say.id:
        why = "would show where it comes from, or not that it was carried"
    else:
        return
    raise Refused(f"Message {found.number} {why}. Nothing was carried.", "backchannel read")


def refuse_names(text: str, here: ChannelState, there: ChannelState) -> None:
    """`Refused` for words that name somebody of this channel to the other."""
    known = [entry.alias for entry in there.current().entries]
    names = [here.name, *(entry.alias for entry in here.current().entries)]
    strange = [
        name for name in names if not any(alike(name, each) for each in (*known, there.name))
    ]
    told = [name for name in strange if _names(text, name)]
    if told:
        msg = (
            f"The words name {told[0]}, whom the other channel does not know. Nothing was carried."
        )
        raise Refused(msg, "ask for other words: backchannel paraphrase, or add --names")


def _names(text: str, name: str) -> bool:
    pattern = rf"(?<!\w){re.escape(name.casefold())}(?!\w)"
    return re.search(pattern, text.casefold()) is not None


def refuse_again(text: str, me: Slot, there: Iterable[Message]) -> None:
    """`Refused` where the other channel has these words from here already."""
    for each in there:
        plain = json.loads(each.plain)
        if each.author == me and plain.get("carried") and plain.get("text") == text:
            msg = "These words are there already. Nothing was carried."
            raise Refused(msg, "backchannel read --channel and its name")


def refuse_same(one: str, other: str) -> None:
    """`UsageMistake` for a message that is to go where it is."""
    if one == other:
        msg = f"It stands in {one} already."
        raise UsageMistake(msg, "give --from and --to two channels")
