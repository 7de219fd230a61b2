"""The relays that one command speaks to: each over lanes of its own, and each the one that was
trusted before; which of them failed, and which are left alone for now.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, final

from backchannel.client.app import App
from backchannel.client.errors import (
    ClientError,
    ClockApart,
    ProxyDown,
    RelayDown,
    RelayError,
    RelayKeyChanged,
    RelaySlow,
    span,
)
from backchannel.client.rounds import health
from backchannel.client.telling.summary import pins
from backchannel.client.wire.lanes import GRACE, Ask, Heard, Lanes
from backchannel.client.wire.silence import Silence

if TYPE_CHECKING:
    from backchannel.client.vault.vault import Vault


@final
class Relays:
    """By address. What is read and what is sent goes over different lanes."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._owner = b""
        self._failed: dict[str, ClientError] = {}
        self._resting: dict[str, int] = {}
        self._grace = GRACE
        self.silence: Silence | None = None
        """Where a person waits: all are given up once nothing comes from any."""
        self._news: dict[str, str] = {}
        """For the vault: which failed, by the error's code, and which did not."""
        self._connect()

    def _connect(self) -> None:
        self.reads, self.writes = Lanes(self._app.relay), Lanes(self._app.relay)

    def speak_for(self, owner: bytes) -> None:
        """What follows is for this channel or join: lanes that served another are left, or a relay
        could tell that both are one person's. `Locked` where the vault is meanwhile.
        """
        self._app.awake()
        if owner != self._owner:
            self.close()
            self._connect()
            self._owner = owner

    def close(self) -> None:
        """Hang up everywhere."""
        for lanes in (self.reads, self.writes):
            lanes.close()
            self._news.update(dict.fromkeys(lanes.slow & lanes.busy, RelaySlow.code))

    @property
    def frugal(self) -> bool:
        """Whether bytes are counted, so that one relay after another has its turn."""
        return self._app.budget.bounded

    def batch(self, url: str) -> int:
        """How many blocks a relay is sent in one request: more would be lost with it."""
        return self._app.budget.blocks(self._app.paces.of(url, reads=False).blocks)

    def forgive(self) -> None:
        """Try all of them again."""
        self._failed.clear()

    def rest(self, relays: Mapping[str, int], grace: float = GRACE) -> None:
        """Leave these alone, for so many seconds, and no others; give slow ones so many."""
        self._resting, self._grace = dict(relays), grace

    @property
    def resting(self) -> bool:
        """Whether any is left alone."""
        return bool(self._resting)

    def out(self, url: str) -> ClientError | None:
        """Why a relay is not asked, if it is not."""
        if url in self._failed or url not in self._resting:
            return self._failed.get(url)
        wait = span(self._resting[url])
        return RelayDown(f"{url} failed lately, and is left alone for {wait}.", "backchannel sync")

    def none_of(self, urls: Collection[str]) -> bool:
        """Whether none of these can be asked."""
        return all(self.out(url) is not None for url in urls)

    def free(self, lanes: Lanes, urls: Collection[str]) -> bool:
        """Whether one of these has answered all that it was asked, as far as it was."""
        return any(url not in lanes.busy and self.out(url) is None for url in urls)

    def hear(
        self,
        lanes: Lanes,
        enough: Callable[[], bool],
        *,
        grace: float | None = None,
        most: float | None = None,
    ) -> Iterator[Heard]:
        """As `Lanes.answers`; who failed is not asked again before it is forgiven. Without `grace`
        silence is no failure: whoever was asked to wait says nothing meanwhile.
        """
        grace = self._grace if grace is None else grace
        silence = self.silence if grace else None
        for heard in lanes.answers(enough, grace=grace, most=most, silence=silence):
            self._app.awake()  # what comes after `lock` is not kept
            self._note(heard.ask, heard.said)
            yield heard
        if silence is not None and not silence.left:
            for url in lanes.busy:
                self.failed(url, RelaySlow("No relay answers."))

    def _note(self, ask: Ask, said: object) -> None:
        if isinstance(said, RelayError) and not isinstance(said, ClockApart):
            self.failed(ask.url, said)
        elif isinstance(said, RelayKeyChanged):
            self._news[ask.url] = said.code
        else:
            self._news[ask.url] = ""

    def failed(self, url: str, error: ClientError) -> None:
        """Do not wait for this one again, for now."""
        self._failed[url] = error
        if not isinstance(error, ProxyDown):  # which is no fault of the relay
            self._news[url] = error.code

    def remember(self, vault: "Vault") -> None:
        """Note in the vault who failed, and who is well again."""
        known, now, entropy = vault.health.all(), self._app.now(), self._app.entropy
        news, self._news = self._news, {}
        bad = {url: why for url, why in news.items() if why}
        well = [url for url, why in news.items() if not why and url in known]
        if not bad and not well:
            return
        with vault.exclusive(now), vault.transaction():
            vault.health.forget(well)
            for url, why in bad.items():
                vault.health.put(health.failed(known.get(url), url, why, now, entropy))
            forget_strangers(vault)


def forget_strangers(vault: "Vault") -> None:
    """Keep nothing of relays that no channel or join is on, in the caller's transaction."""
    summaries = [row.summary for row in vault.channels.list()]
    summaries += [row.summary for row in vault.joins.list()]
    read = {str(url) for about in summaries for url, _ in about.get("drops", ())}
    vault.health.forget(vault.health.all().keys() - pins(summaries).keys() - read)


def refuse_other_key(vault: "Vault", url: str, key: bytes) -> None:
    """`RelayKeyChanged` where another key was trusted at that address, in whichever channel: what
    one channel's list of relays says makes no other key trusted elsewhere.
    """
    summaries = [row.summary for row in vault.channels.list()]
    summaries += [row.summary for row in vault.joins.list()]
    summaries += [row.about for row in vault.lost.list()]
    if any(pins([about]).get(url, key.hex()) != key.hex() for about in summaries):
        msg = f"{url} has another key than the one you trusted. Nothing was done."
        raise RelayKeyChanged(msg)
