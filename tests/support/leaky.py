"""A dialogue in which every name, word and key is a canary: played by the real programs over a real
relay, while everything that anybody could look at is written down. Searches nothing.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backchannel.client import unlocked
from backchannel.client.entropy import SystemEntropy
from backchannel.client.profile import Profile
from backchannel.client.session import look
from backchannel.client.vault.vault import Vault
from backchannel.protocol.block import outer_key
from backchannel.protocol.drop import show_voucher
from backchannel.protocol.errors import StaleError
from backchannel.protocol.types import Hour, Timestamp, hour_of
from tests.support import relay as relays
from tests.support.filled import secrets_of
from tests.support.member import Member
from tests.support.memory import Region, core_of, may_look
from tests.support.people import CHEAP, PROGRAM
from tests.support.relay import RelayProcess
from tests.support.watched import Watch
from tests.support.wire import Tap, packets

SOFT = "import backchannel.{}.memory as memory; memory.harden = lambda: None; "
"""Before a program's own lines, where the machine lets nobody look into what hardened itself."""

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
    "quote": "the minister out of it",
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
PASSPHRASE = "lapwing cartwheel dormouse vinegar"


@dataclass
class Person(Member):
    """Somebody whose programs are watched; at home in a folder, or wherever XDG says."""

    watch: Watch | None = None
    xdg: bool = False
    soft: bool = False

    @property
    def command(self) -> list[str]:
        lines = SOFT.format("client") * self.soft + PROGRAM[2]
        return [*PROGRAM[:2], lines, *(() if self.xdg else ("--home", str(self.home)))]

    @property
    def env(self) -> dict[str, str]:
        inherited = {k: v for k, v in super().env.items() if not k.startswith("XDG_")}
        own = {"HOME": str(self.home), "BACKCHANNEL_PASSPHRASE_FILE": str(self.secret)}
        return inherited | own | (self.watch.env if self.watch else {})

    @property
    def secret(self) -> Path:
        """The file with the passphrase, outside the home."""
        return self.home.with_name(f"{self.home.name}.passphrase")

    @property
    def profile(self) -> Profile:
        """As this person's programs find it."""
        if not self.xdg:
            return Profile.at(self.home)
        local = self.home / ".local"
        state, data = (local / each / "backchannel" for each in ("state", "share"))
        config, cache = (self.home / each / "backchannel" for each in (".config", ".cache"))
        return Profile(config, data, state, cache, state / "run")

    def enter(self) -> None:
        """A home with a vault in it, and the passphrase at hand."""
        self.home.mkdir(0o700)
        self.secret.touch(0o600)
        self.secret.write_text(PASSPHRASE + "\n")
        Vault.create(self.profile, PASSPHRASE, now(), SystemEntropy(), CHEAP)

    def vault(self) -> Vault:
        key = Vault.key(self.profile, PASSPHRASE, now(), SystemEntropy())
        return Vault(self.profile, key, now())


def now() -> Timestamp:
    return Timestamp(int(time.time()))  # noqa: TID251 - the programs beside us read the same clock


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
    keys: dict[str, bytes] = field(default_factory=dict)
    """All that ever stood in anybody's saved state, and what follows from it."""
    on_disk: dict[str, bytes] = field(default_factory=dict)
    """Keys that stand outside the vault by design: in the file of expiry keys."""
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
        self.keys["Wren: volatile key"] = volatile.expose()
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
        for process in readers.values():
            process.terminate()
            process.communicate(timeout=20)
        wren.do("lock")
        self.left = set(self.watch.pids) - before

    def _look(self, what: str, pid: int) -> None:
        with contextlib.suppress(PermissionError):
            self.cores[what] = core_of(pid)

    def _plant(self) -> None:
        """What a search must find, else it would find nothing."""
        relays.HTTP.get(f"{self.tap.url}/v1/relay", headers={"x-planted": PLANTED})
        write = "import sys, tempfile, time; f = tempfile.NamedTemporaryFile(); time.sleep(0.01); "
        write += "f.write(sys.argv[1].encode()); f.flush(); time.sleep(0.5)"
        env = self.people["Fox"].env | {"PLANTED": PLANTED}
        subprocess.run([sys.executable, "-c", write, PLANTED], env=env, check=True)

    def _note_keys(self) -> None:
        for name, person in self.people.items():
            with person.vault() as vault:
                self._note(name, vault)

    def _note(self, name: str, vault: Vault) -> None:
        kept = self.keys.__setitem__
        kept(f"{name}: vault key", vault._key.expose())
        kept(f"{name}: database key", vault._database.key.expose())
        kept(f"{name}: store key", vault._store_key().expose())
        places = (self.people[name].profile.vault / "expiry.keys").read_bytes()
        for at in range(1024, len(places), 512):
            value = places[at + 33 : at + 65]
            if any(value):
                self.on_disk[f"{name}: place {value[:4].hex()}"] = value
        for join in vault.joins.list():
            self._note_invite(name, join.state)
        for row in vault.channels.list():
            self._note_channel(name, vault, row.name)

    def _note_invite(self, name: str, state: bytes) -> None:
        from backchannel.protocol.candidate import Candidate

        for secret in secrets_of(Candidate.open(state).state):
            self._keep(f"{name} outside: {type(secret).__name__}", secret.expose())

    def _note_channel(self, name: str, vault: Vault, channel: str) -> None:
        session = look(vault, channel, now(), SystemEntropy())
        for secret in secrets_of(session.state):
            self._keep(f"{name}: {type(secret).__name__}", secret.expose())
        for epoch in session.state.epochs:
            for _, drop in epoch.drops():
                self._keep(f"{name}: access key", drop.access.expose())
                self._keep(f"{name}: outer secret", drop.outer.expose())
                clock = session.channel.clocks[epoch.id]
                for hour in range(hour_of(now()) - 1, hour_of(now()) + 2):
                    with contextlib.suppress(StaleError):
                        key = outer_key(drop.outer, clock, Hour(hour))
                        self._keep(f"{name}: outer key", key.expose())

    def _keep(self, what: str, value: bytes) -> None:
        self.keys[f"{what} {value[:4].hex()}"] = value

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
