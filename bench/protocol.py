"""What one block costs: posts of 1 KiB among 30 members, blocks of a line, catching up on many.

Beside them, in the same run and by turns, their floors (`bench.floors`) and a peer
(`bench.libsignal`). Prints one JSON document: ratios, their goals, and the microseconds behind
them. A ratio is null where the peer is missing. `make bench-protocol`.
"""

import json
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from backchannel.client.machine.entropy import SystemEntropy
from backchannel.protocol import block, intro, limits, line, sender_key
from backchannel.protocol.core import Head, Kind, head_of
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.identity import BundleKeys
from backchannel.protocol.secret import (
    ChainKey,
    ClockValue,
    IntroKey,
    MaskKey,
    MessageKey,
    OuterSecret,
)
from backchannel.protocol.types import (
    Block,
    ChannelId,
    GenerationId,
    Hour,
    RosterHash,
    Slot,
    Step,
)
from bench import floors
from bench.catching_up import Absent
from bench.libsignal import Libsignal, Missing
from bench.side_by_side import Round, SideBySide, repeated

MEMBERS = 30
PART = b"\x2a" * 1024
HOUR = Hour(500_000)
ENTROPY = SystemEntropy()

Comparison = tuple[str, str, float]
"""Which figure, against which, and how many times as long it may take."""
POSTS: dict[str, Comparison] = {
    "seal_vs_floor": ("seal", "seal_floor", 1.5),
    "open_vs_floor": ("open", "open_floor", 1.5),
    "seal_vs_libsignal": ("seal", "libsignal_encrypt", 2.0),
    "open_vs_libsignal": ("open", "libsignal_decrypt", 1.0),
    "seal_vs_libsignal_pairwise": ("seal", "libsignal_pairwise", 0.1),
}
LINES: dict[str, Comparison] = {
    "line_vs_floor": ("line", "line_floor", 1.3),
    "line_vs_kept_floor": ("line", "line_kept_floor", 1.3),
}
CATCHING_UP: dict[str, Comparison] = {"catch_up_vs_open": ("catch_up", "catch_up_open", 3.0)}


class Posts:
    """One member's posts, and another who reads them; the outer layer is within."""

    def __init__(self) -> None:
        self._clock = EpochClock(HOUR, ClockValue(bytes(32)))
        self._outer, self._roster = OuterSecret(bytes(32)), RosterHash(bytes(32))
        wraps = {
            Slot(n): line.Wrap(Step(0), 0, MessageKey(ENTROPY.draw(32)), MaskKey(ENTROPY.draw(32)))
            for n in range(1, MEMBERS)
        }
        head = Head(Kind.KEY, HOUR, bytes(limits.SALT))
        self._own, core = sender_key.seal_key_block(
            Slot(0), self._roster, wraps, self._clock, head, ENTROPY
        )
        header, secret = sender_key.KeyHeader.read(core), wraps[Slot(1)].secret
        self._held = sender_key.open_key_block(core, header, Slot(1), secret, self._clock, head)
        self._sealed = self.seal()

    def seal(self) -> Block:
        """Seal one."""
        head = Head(Kind.GROUP, HOUR, ENTROPY.draw(limits.SALT))
        sealed = sender_key.seal_post(
            self._own, Slot(0), self._roster, (), PART, self._clock, head, ENTROPY
        )
        return block.wrap(sealed.core, self._outer, self._clock, ENTROPY)

    def open(self) -> bytes:
        """Open one."""
        core = block.unwrap(self._sealed, self._outer, self._clock, HOUR, (HOUR, HOUR))
        header, head = sender_key.GroupHeader.read(core), head_of(core)
        return sender_key.open_post(self._held, header, core, Slot(1), self._clock, head).part

    def rounds(self) -> dict[str, Round]:
        """Sealing and opening, with their floors."""
        return {
            "seal": repeated(self.seal, 100),
            "seal_floor": repeated(partial(floors.seal_post, MEMBERS - 1), 100),
            "open": repeated(self.open, 200),
            "open_floor": repeated(floors.open_post, 200),
        }


class Pair:
    """Two members who answer one another: each block makes a step of the ratchet."""

    def __init__(self) -> None:
        self._clock = EpochClock(HOUR, ClockValue(bytes(32)))
        a, b = BundleKeys.draw(ENTROPY), BundleKeys.draw(ENTROPY)
        sides = intro.Side(Slot(0), 0), intro.Side(Slot(1), 1)
        setting = intro.Setting(ChannelId(bytes(16)), RosterHash(bytes(32)), *sides)
        seeds = intro.Seeds(GenerationId(bytes(16)), 0, ChainKey(bytes(32)))
        head, key = Head(Kind.INTRO, HOUR, bytes(limits.SALT)), IntroKey(bytes(32))
        started = intro.start(setting, a, b.public(), key, seeds, None, self._clock, head, ENTROPY)
        accepted = intro.accept(
            started.core, head, setting, b, a.identity.public(), key, self._clock
        )
        self._reader = line.begin(started.keys, started.ratchet, HOUR)
        self._sender = line.answer(accepted.keys, accepted.ratchet, HOUR)
        self._identity, self._seed = a.identity.public().kem, a.identity.kem
        for _ in range(2):
            self.exchange()  # the reply is dearer than what follows

    def exchange(self) -> None:
        """One block, sent and received; the next goes the other way."""
        head = Head(Kind.LINE, HOUR, ENTROPY.draw(limits.SALT))
        sent = line.send(self._sender, b"hello", self._identity, self._clock, head, ENTROPY)
        opened = line.open_(self._reader, sent.core, self._clock, head, self._seed)
        if opened is None:
            raise RuntimeError
        self._sender, self._reader = opened.line, sent.line

    def rounds(self) -> dict[str, Round]:
        """A block sent and received, with its floors."""
        return {
            "line": repeated(self.exchange, 10),
            "line_floor": repeated(floors.line_block, 10),
            "line_kept_floor": repeated(floors.kept_line_block, 10),
        }


def measure() -> dict[str, object]:
    """All figures."""
    with ExitStack() as stack:
        try:
            peer = stack.enter_context(Libsignal(MEMBERS - 1, len(PART)))
            asked = {"encrypt": 100, "decrypt": 100, "pairwise": 3}
            rounds = {f"libsignal_{what}": peer.round(what, asked[what]) for what in asked}
            missing = None
        except Missing as problem:
            rounds, missing = {}, str(problem)
        posts = SideBySide(41, Posts().rounds() | rounds)
    lines = SideBySide(41, Pair().rounds())
    with tempfile.TemporaryDirectory(prefix="catching-up-") as folder:
        absent = Absent(Path(folder))
        catching_up = SideBySide(7, {"catch_up": absent.into_vault, "catch_up_open": absent.bare})
    parts = (posts, POSTS), (lines, LINES), (catching_up, CATCHING_UP)
    return {
        **{name: ratio for part in parts for name, ratio in _ratios(*part).items()},
        "goals": {name: goal for _, wanted in parts for name, (_, _, goal) in wanted.items()},
        "microseconds": {k: v for part, _ in parts for k, v in part.microseconds().items()},
        "libsignal_missing": missing,
    }


def _ratios(part: SideBySide, wanted: dict[str, Comparison]) -> dict[str, float | None]:
    return {name: part.ratio(one, other) for name, (one, other, _) in wanted.items()}


def main() -> None:
    """Print them."""
    print(json.dumps(measure(), indent=2))


if __name__ == "__main__":
    main()
