"""The plot: a relay opens, three people meet on it, talk, and are forgotten.

Every step is a command that anybody could type. Checks what it shows, and says so where it is not
as claimed.
"""

import time
from pathlib import Path
from typing import Any, final

from backchannel.client.demo.evidence import hexdump, search, words_of
from backchannel.client.demo.narrator import Narrator
from backchannel.client.demo.operator import Holdings, Operator
from backchannel.client.demo.person import Person, together
from backchannel.client.errors import ClientError
from backchannel.client.ui import Ui

_CHANNEL, _TOPIC = "Harbour talks", "Fishing limits"
_FACILITATOR = "Linden"
_GUESTS = {"Heron": "North", "Osprey": "South"}
_SAID = (
    ("Linden", "Welcome, both. Nobody here speaks for a ministry; let us begin with mackerel."),
    ("Heron", "Privately: our captains could live with a twelve mile line until autumn."),
    ("Osprey", "Understood. I will sound out ours about autumn, quietly, and name nobody."),
)
_HOURS = (12, 25)  # ahead: the relay does not believe a clock that leaps by more than a day at once
_CHECK = 6  # words
_LOOKS, _PAUSE = 50, 0.1  # seconds that the relay has to sweep


@final
class Play:
    """One performance in one folder."""

    def __init__(self, ui: Ui, folder: Path) -> None:
        self.narrator = Narrator(ui)
        self.operator = Operator(folder)
        names = (_FACILITATOR, *_GUESTS)
        self.people = {name: Person(name, folder / name.lower()) for name in names}
        self._facilitator = self.people[_FACILITATOR]
        self._claims: list[dict[str, Any]] = []
        self._found: dict[str, Any] = {}

    def perform(self) -> dict[str, Any]:
        """All of it; `ClientError` where something is not as this program claims."""
        vouchers = self._relay_opens()
        self._channel_opens(vouchers)
        for name, party in _GUESTS.items():
            self._joins(name, party)
        self._compare_rosters()
        self._talk()
        self._forget(self._look_at_relay())
        return {
            **self._found,
            "claims": self._claims,
            "scenes": self.narrator.scenes,
        }

    def end(self) -> None:
        """Lock every vault and end the relay."""
        together([each for each in self.people.values() if each.profile.has_vault], "lock")
        self.operator.end()

    def _claim(self, claim: str, *, holds: bool, but: str = "") -> None:
        self._claims.append({"claim": claim, "holds": holds})
        if not holds:
            msg = f"Not as claimed: {claim}. {but}".rstrip()
            raise ClientError(msg, "tell the developers, with this output")
        self.narrator.tell(f"Checked: {claim}.")

    def _relay_opens(self) -> list[str]:
        self.narrator.scene(
            "An operator opens a relay",
            "It will keep blocks of noise for some hours and know nobody. A voucher pays for one "
            "place on it and is not tied to any name.",
        )
        made, vouchers = self.operator.prepare(1 + len(_GUESTS))
        self.narrator.run(made)
        self.narrator.run(self.operator.serve())
        return vouchers

    def _channel_opens(self, vouchers: list[str]) -> None:
        self.narrator.scene(
            f"{_FACILITATOR} convenes a channel",
            "Each person has a home of their own, with an encrypted vault that the first command "
            "makes. Unlocking spares them the passphrase for a while.",
        )
        for person in self.people.values():
            person.enter()
        for done in together(self.people.values(), "unlock"):
            self.narrator.run(done)
        opened = self._facilitator.run(
            *("channel", "new", _CHANNEL, "--relay", self.operator.url, "--vouchers", "-"),
            *("--expires", "24h", "--alias", _FACILITATOR, "--party", "House"),
            give="\n".join(vouchers),
        )
        self.narrator.run(opened)

    def _joins(self, name: str, party: str) -> None:
        self.narrator.scene(
            f"{name} comes in",
            f"{_FACILITATOR} tells {name} an address and twelve words, by telephone or on paper. "
            "Each side then sees six words, made from the keys of both: if they read each other "
            "the same, nobody stands between them.",
        )
        invited = self._facilitator.run("invite", name, "--party", party, "--json")
        words = invited.document["words"]
        self.narrator.run(invited, hidden=True)
        split = words.split()
        self.narrator.show("", " ".join(split[:_CHECK]), " ".join(split[_CHECK:]))
        first = name == next(iter(_GUESTS))
        guest = self.people[name]
        joined = guest.run("join", self.operator.url, give=f"{words}\nyes\n")
        self.narrator.run(joined, lines=None if first else 8)
        self._compare_words(name)
        self.narrator.run(self._facilitator.run("admit", name))
        self.narrator.run(guest.run("sync"))

    def _compare_words(self, name: str) -> None:
        """What the facilitator sees, against what the newcomer saw."""
        seen = self.narrator.run(self._facilitator.run("lobby"))
        theirs = self.narrator.scenes[-1]["runs"][-2]["output"]
        words = seen.output.splitlines()[1].strip()
        same = len(words.split()) == _CHECK and words in theirs
        self._found.setdefault("check_words", {})[name] = words
        self._claim(f"both screens show the same six words: {words}", holds=same)

    def _compare_rosters(self) -> None:
        self.narrator.scene(
            "They compare ten words, once",
            "The ten words stand for everybody in the channel. Read aloud together, they make each "
            "pair of people sure of each other.",
        )
        seen = self.narrator.run(self._facilitator.run("members"))
        guests = [self.people[name] for name in _GUESTS]
        words = {run.document["roster_words"] for run in together(guests, "members", "--json")}
        self._found["roster_words"] = min(words)
        same = len(words) == 1 and min(words) in " ".join(seen.output.split())
        self._claim("all three see the same ten words", holds=same)

    def _talk(self) -> None:
        self.narrator.scene(
            "They talk",
            "A command returns only when the relay has the message. What is said in this thread is "
            "kept for a day.",
        )
        self.narrator.run(self._facilitator.run("thread", "new", _TOPIC, "--expires", "24h"))
        for name, text in _SAID:
            self.narrator.run(self.people[name].run("say", text, "--thread", "fishing"))
        for name in _GUESTS:
            seen = self.narrator.run(self.people[name].run("read"), hidden=name != "Heron")
            whole = all(text in " ".join(seen.output.split()) for _, text in _SAID)
            self._claim(f"{name} reads all that was said", holds=whole)

    def _look_at_relay(self) -> Holdings:
        self.narrator.scene(
            "What the relay holds",
            "This is everything that an operator, a thief or a court would find. Every block has "
            "the same size, whoever wrote it, whatever it says.",
        )
        held = self.operator.holdings()
        self.narrator.show(
            "", f"{held.drops} drops, {len(held.blocks)} blocks of 4,096 bytes; one begins:"
        )
        self.narrator.show(*hexdump(held.sample))
        people = (*_GUESTS, *_GUESTS.values(), _FACILITATOR, _CHANNEL, _TOPIC)
        looked = search(words_of(*people, *(text for _, text in _SAID)), self.operator.files())
        self._found["relay"] = {
            "drops": held.drops,
            "blocks": len(held.blocks),
            "search": looked._asdict(),
        }
        self._claim(
            f"of {looked.wanted} names, topics, sentences and words, none stands in any of "
            f"its {looked.files} files ({looked.size:,} bytes)",
            holds=not looked.found,
            but=", ".join(looked.found),
        )
        return held

    def _forget(self, before: Holdings) -> None:
        self.narrator.scene(
            "A day passes",
            "The clocks of this play go ahead by whole hours, for everybody and for the relay. "
            "Keys made for one hour are overwritten when it ends, and what they closed stays "
            "closed.",
        )
        for hours in _HOURS:
            self._move_clocks(hours)
            self.narrator.run(self.people["Heron"].run("read"))
        left = self.people["Heron"].run("read", "--json").documents
        kept = self._swept(before)
        self._found["after"] = {"messages": len(left), "blocks": kept}
        self._claim("nothing is left to read", holds=not left)
        told = f"of the {len(before.blocks)} blocks that the relay held it holds {kept}"
        self._claim(told, holds=kept == 0)
        self.narrator.tell(f"{_CHANNEL} itself goes on: the next message needs no new invitation.")
        self.narrator.run(self._facilitator.run("say", "Good morning. Shall we go on?"))
        self.narrator.run(self.people["Osprey"].run("read"))

    def _move_clocks(self, hours: int) -> None:
        self.narrator.tell(f"Now it is {hours} hours later.")
        for folder in (self.operator.data, *(each.profile.data for each in self.people.values())):
            fresh = folder / "demo-hours.new"
            fresh.write_text(str(hours), "ascii")
            fresh.replace(folder / "demo-hours")

    def _swept(self, before: Holdings) -> int:
        """How much it keeps of what it held, once it has noticed the hour: moments after a request.
        There is a heartbeat by then, too.
        """
        for _ in range(_LOOKS):
            kept = len(before.blocks & self.operator.holdings().blocks)
            if not kept:
                break
            time.sleep(_PAUSE)
        return kept
