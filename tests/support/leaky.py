"""A dialogue in which every name, word and key is a canary: played by the real programs over a real
relay, while everything that anybody could look at is written down. Searches nothing.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backchannel.client.unlocking import unlocked
from backchannel.protocol.drop import show_voucher
from tests.support import relay as relays
from tests.support.keyring import Keyring
from tests.support.memory import Region, core_of, may_look
from tests.support.person import SOFT, Person
from tests.support.relay import RelayProcess
from tests.support.watched import Watch
from tests.support.wire import Tap, packets

NAMES = {
    "Fox's alias": "Quillfeather Foxglove",
    "Heron's alias": "Marshlantern Heronsbill",
    "Ibis's alias": "Thornhollow Ibiswater",
    "Wren's alias": "Wrenfield Äpfelgarten",
    "one party": "Northern Delegation of Saltmarsh",
    "other party": "Southern Delegation of Greywick",
    "channel": "Saltmarsh Accord Channel",
    "topic": "Herring Boundary Question",
    "other topic": "Corridor behind the harbour",
    "file name": "Draft-Boundary-Map-of-Saltmarsh.txt",
}
SAID = {
    "text": "Our captains could live with the twelve mile line until autumn.",
    "note": "Privately: my minister has not been told of this yet — naïvely.",
    "answer": "Then let us both keep the minister out of it for a week.",
    "followed": "Somebody who follows sees this on their screen at once.",
    "after": "Now that one of us has left, let us speak more openly.",
    "third": "I only repeat what I was told on the quay.",
    "fourth": "Nobody on our side has seen any such map.",
    "off the record": "Never on any record: he has agreed already.",
    "off, followed": "Off the record to who follows: the date is fixed.",
    "draft": "As nobody in particular I say that this is unwise.",
    "long text": "A long proposal about mackerel quotas. " * 200,
    "charter": "We meet as private persons and nobody here decides anything.",
    "convener": "The Saltmarsh Quaker Meeting convenes this dialogue",
    "funder": "The Greywick Peace Endowment pays for all of it",
    "operator": "The Greywick Co-operative runs this very relay",
}
PLANTED = "planted-so-that-the-search-can-fail"


@dataclass
class Play:
    """The dialogue, and what was written down of it."""

    folder: Path
    relay: RelayProcess
    watch: Watch
    tap: Tap
    looks: bool
    """Whether this machine shows the memory of what hardened itself."""
    people: dict[str, Person] = field(default_factory=dict)
    vouchers: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    """Of invites."""
    keyring: Keyring = field(default_factory=Keyring)
    file: bytes = b""
    cores: dict[str, list[Region]] = field(default_factory=dict)
    """Of running processes; empty where this machine forbids it."""
    relay_files: dict[str, bytes] = field(default_factory=dict)
    packets: dict[str, bytes] | None = None
    left: set[int] = field(default_factory=set)
    """Processes that outlived `lock`."""

    def alias(self, name: str) -> str:
        return NAMES[f"{name}'s alias"]

    def act(self) -> None:
        """From the first voucher to the last word."""
        fox, heron, ibis, wren = (self._enter(name) for name in ("Fox", "Heron", "Ibis", "Wren"))
        self._open(fox)
        for guest, party in ((heron, "one party"), (ibis, "other party"), (wren, "other party")):
            self._admit(fox, guest, NAMES[party])
        self._settle()
        self._note_keys()
        self._talk(fox, heron)
        self._talk_on(fox, heron, ibis, wren)
        self._follow(heron, wren)
        fox.do("remove", self.alias("Ibis"), "--yes")
        for each in (heron, wren, fox, heron):
            each.do("sync")
        fox.do("say", "-", give=SAID["after"])
        assert SAID["after"] in heron.texts()
        self._note_keys()
        self._plant()
        self.relay_files = self.of_relay()
        assert self.relay.process is not None
        self._look("relay", self.relay.process.pid)

    def _enter(self, name: str) -> Person:
        home = self.folder / f"home-{len(self.people)}"
        person = Person(name, home, 0, self.watch, name == "Wren", not self.looks)
        person.enter()
        self.people[name] = person
        return person

    def _open(self, fox: Person) -> None:
        given = [show_voucher(each) for each in self.relay.mint(12)]
        self.vouchers = {f"voucher {number}": text for number, text in enumerate(given)}
        charter = self.folder / "charter.toml"
        fields = {"charter": "charter", "convened_by": "convener", "funded_by": "funder"}
        lines = [f'{key} = "{SAID[name]}"' for key, name in fields.items()]
        charter.write_text("\n".join([*lines, f'relay_run_by = "{SAID["operator"]}"', ""]))
        fox.do(
            *("channel", "new", NAMES["channel"], "--relay", self.tap.url, "--vouchers", "-"),
            *("--charter", str(charter), "--alias", self.alias("Fox"), "--expires", "48h"),
            *("--party", NAMES["one party"]),
            give="\n".join(given),
        )

    def _admit(self, fox: Person, guest: Person, party: str) -> None:
        alias = self.alias(guest.name)
        words = str(fox.json("invite", alias, "--party", party)["words"])
        self.words[f"words for {guest.name}"] = words
        guest.do("join", self.tap.url, "--yes", give=words + "\n")
        self._note_keys()
        fox.do("admit", alias, "--yes")
        guest.do("sync")

    def _settle(self) -> None:
        for _ in range(2):
            for person in self.people.values():
                person.do("sync")

    def _talk(self, fox: Person, heron: Person) -> None:
        fox.do("thread", "new", NAMES["topic"], "--expires", "24h")
        fox.do("say", "-", "--thread", "herring", give=SAID["text"])
        fox.do("say", "-", "--to", self.alias("Heron"), give=SAID["note"])
        (number,) = [e["number"] for e in heron.lines("read") if e.get("text") == SAID["note"]]
        answer = ("--to", self.alias("Fox"), "--reply", str(number))
        heron.do("say", "-", *answer, "--authority", "sounding", give=SAID["answer"])
        heron.do("say", "-", give=SAID["long text"])
        self._send(fox, heron)

    def _send(self, fox: Person, heron: Person) -> None:
        self.file = os.urandom(20_000)
        path = self.folder / NAMES["file name"]
        path.write_bytes(self.file)
        heron.do("file", "send", str(path))
        (number,) = [e["number"] for e in fox.lines("read") if e.get("name") == NAMES["file name"]]
        fox.do("file", "save", str(number), str(self.folder / "saved"))
        assert (self.folder / "saved").read_bytes() == self.file

    def _talk_on(self, fox: Person, heron: Person, ibis: Person, wren: Person) -> None:
        """What touches the disk in other ways, or should not."""
        fox.do("policy", "set", "--expires", "36h", "--unattributed", "4")
        fox.do("role", self.alias("Heron"), "facilitator", "--yes")
        heron.do("thread", "new", NAMES["other topic"], "--off-record")
        heron.do("say", "-", "--thread", "corridor", give=SAID["off the record"])
        ibis.do("say", "-", give=SAID["third"])
        wren.do("say", "-", give=SAID["fourth"])
        heron.do("hand", "raise")
        heron.do("say", "--unattributed", "-", "--yes", give=SAID["draft"])
        fox.do("backup", str(self.folder / "backup"))
        fox.do("thread", "purge", "herring", "--yes")
        for verb in ("status", "members", "verify", "doctor", "retention", "log", "tick", "drafts"):
            heron.run(verb)  # doctor may doubt this machine

    def _follow(self, heron: Person, wren: Person) -> None:
        """Both follow, Wren by an agent, Heron by the passphrase; a core is taken of each process
        when the words are on the screen.
        """
        before = set(self.watch.pids)
        wren.do("unlock")
        (agent,) = set(self.watch.pids) - before
        volatile = unlocked.volatile(wren.profile)
        assert volatile is not None
        self.keyring.keys["Wren: volatile key"] = volatile.expose()
        readers = {each.name: each.start("read", "--follow") for each in (heron, wren)}
        fox = self.people["Fox"]
        fox.do("say", "-", "--thread", "corridor", give=SAID["off, followed"])
        fox.do("say", "-", give=SAID["followed"])
        for process in readers.values():
            assert process.stdout is not None
            assert any(SAID["followed"] in line for line in process.stdout)
        self._look("agent", agent)
        self._look("reader with an agent", readers["Wren"].pid)
        self._look("reader with a passphrase", readers["Heron"].pid)
        readers["Heron"].terminate()
        wren.do("lock")
        for process in readers.values():  # Wren's ends by itself, when the relay has answered it
            process.communicate(timeout=60)
        self.left = set(self.watch.pids) - before

    def _look(self, what: str, pid: int) -> None:
        with contextlib.suppress(PermissionError):
            self.cores[what] = core_of(pid)

    def _plant(self) -> None:
        """What a search must find, else it would find nothing."""
        relays.HTTP.get(f"{self.tap.url}/v1/relay", headers={"x-planted": PLANTED})
        write = "import os, sys; f = open(os.environ['TMPDIR'] + '/planted', 'w'); "
        write += "f.write(sys.argv[1]); f.flush(); sys.stdin.read(); os.unlink(f.name)"
        env = self.people["Fox"].env | {"PLANTED": PLANTED}
        command = [sys.executable, "-c", write, PLANTED]
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE) as process:
            next(each for each in relays.until(60) if self.watch.saw(PLANTED.encode()))
            process.communicate()
        assert process.returncode == 0

    def _note_keys(self) -> None:
        for name, person in self.people.items():
            with person.vault() as vault:
                self.keyring.note(name, vault)

    def of_relay(self) -> dict[str, bytes]:
        """Its folder, every byte, and what it said."""
        paths = [path for path in self.relay.data.rglob("*") if path.is_file()]
        files = {path.name: path.read_bytes() for path in paths}
        return files | {"log": self.relay.log.read_bytes()}

    def of_person(self, name: str) -> dict[str, bytes]:
        """Every file below somebody's home."""
        paths = [path for path in self.people[name].home.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in paths}


@contextlib.contextmanager
def play() -> Iterator[Play]:
    """The dialogue, acted; the relay still runs."""
    with (
        tempfile.TemporaryDirectory(prefix="leaks-") as name,
        relays.running_relay(start=False) as relay,
        Watch(Path(name)) as watch,
    ):
        with (relay.data / "relay.toml").open("a") as settings:
            settings.write('log_level = "debug"\n')
        marked = ("env", *(f"{key}={value}" for key, value in watch.env.items()))
        looks = may_look()
        lines = SOFT.format("server") * (not looks) + relays.PROGRAM[2]
        relay.start(program=(*marked, *relays.PROGRAM[:2], lines))
        with packets(int(relay.url.rpartition(":")[2])) as listening, Tap(relay.url) as tap:
            acted = Play(Path(name), relay, watch, tap, looks)
            acted.act()
            acted.packets = listening.stop() if listening else None
            yield acted
