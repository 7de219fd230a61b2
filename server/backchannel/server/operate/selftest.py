"""Tries a running relay from end to end, with a voucher, a drop and blocks made up for it.

All of them are taken away again, whatever happens: what stays is what stays of any drop that was
deleted, which is nothing but the hour's key until its hour.
"""

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, NamedTuple, final

from sqlalchemy import delete

from backchannel.protocol import limits
from backchannel.protocol.drop import voucher_hash
from backchannel.protocol.errors import BackchannelError
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.types import Block, Hour
from backchannel.server import database, exits, stores
from backchannel.server.entropy import SystemEntropy
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.models import Voucher
from backchannel.server.operate import health, reach, vouchers
from backchannel.server.operate.asking import Address
from backchannel.server.operate.visitor import Heard, Visitor, page_of, stored_of
from backchannel.server.settings import load

_SETTLE: Final = 0.5  # seconds that a read is given to begin its waiting
_WAIT: Final = 20  # seconds that it may wait
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Step(NamedTuple):
    """How one step ended; `next` where it went wrong."""

    name: str
    ok: bool
    seconds: float
    detail: str = ""
    next: str = ""


@contextmanager
def trial(home: Home, url: str | None = None) -> Iterator[Iterator[Step]]:
    """The steps, each as it ends, up to the first that goes wrong; by the relay's public address
    where one is given. `OperatorError` where it cannot begin.
    """
    home.check()
    key = x25519_public(home.static_key())
    address = health.address(home) if url is None else reach.public(url)
    entropy = SystemEntropy()
    visitor = Visitor(address, key, _hour(address, key), entropy)
    voucher = entropy.draw(limits.ID)
    with _interruptible():
        try:
            vouchers.admit(home, [voucher])
            yield _Trial(home, visitor, voucher).steps()
        finally:
            _clean(home, visitor, voucher)


def _hour(address: Address, key: X25519Public) -> Hour:
    try:
        return reach.describe(address, key)
    except OperatorError as error:
        message = f"at {address.url}: {error}"
        raise OperatorError(message, next_=error.next, code=exits.NETWORK) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Whatever asks the program to end is heard as Ctrl-C."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _clean(home: Home, visitor: Visitor, voucher: bytes) -> None:
    """In one transaction: a request that is still on its way finds neither voucher nor drop. The
    relay is asked first, so that its memory lets go of them, too.
    """
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    with suppress(OperatorError):
        visitor.delete()
    with stores.writing(home) as connection:
        repository = database.repository(connection)
        if repository.drop(visitor.drop) is not None:
            repository.delete_drop(visitor.drop)
        connection.execute(delete(Voucher).where(Voucher.digest == voucher_hash(voucher)))
    stores.forget(home)


@final
class _Trial:
    def __init__(self, home: Home, visitor: Visitor, voucher: bytes) -> None:
        self._home = home
        self._visitor = visitor
        self._voucher = voucher
        self._blocks = [Block(SystemEntropy().draw(limits.BLOCK)) for _ in range(5)]

    def steps(self) -> Iterator[Step]:
        """Each as it ends; none after one that went wrong."""
        for name, do in self._plan().items():
            begun = time.monotonic()
            try:
                do()
            except BackchannelError as error:
                next_ = getattr(error, "next", f"backchannel-relay doctor --data {self._home.path}")
                yield Step(name, ok=False, seconds=_since(begun), detail=str(error), next=next_)
                return
            yield Step(name, ok=True, seconds=_since(begun))

    def _plan(self) -> dict[str, Callable[[], object]]:
        visitor, (first, second, third, last, late) = self._visitor, self._blocks
        many = self._blocks * (limits.MOST_BLOCKS // 5 + 1)
        return {
            "a voucher makes a drop": partial(self._expect, visitor.create, self._voucher),
            "asked again, the answer is the same": partial(
                self._expect, visitor.create, self._voucher
            ),
            "the voucher makes no second drop": partial(
                self._expect, visitor.stranger().create, self._voucher, code="voucher-refused"
            ),
            "blocks are taken": partial(self._append, [first, second], [1, 2]),
            "sent again, they stand where they were": partial(
                self._append, [second, first], [2, 1]
            ),
            "and are read as they were sent": partial(self._read, 1, [first, second]),
            "a wrong key is refused": partial(
                self._expect, visitor.impostor().read, 1, code="unknown-drop"
            ),
            "too much at once is refused": partial(
                self._expect, visitor.append, *many, code="too-large"
            ),
            "a reader who waits is woken": partial(self._wake, third),
            "the drop is sealed with a last block": partial(self._expect, visitor.seal, last),
            "and takes no other": partial(self._expect, visitor.append, late, code="sealed"),
            "and is read to its end": partial(self._read, 1, [first, second, third, last]),
            "it is deleted": partial(self._expect, visitor.delete),
            "and is gone": partial(self._expect, visitor.read, 1, code="unknown-drop"),
        }

    def _append(self, blocks: list[Block], positions: list[int]) -> None:
        heard = self._expect(self._visitor.append, *blocks)
        if [row.position for row in stored_of(heard, len(blocks))] != positions:
            raise _wrong("the answer names other places")

    def _read(self, position: int, blocks: list[Block]) -> None:
        heard = self._expect(self._visitor.read, position)
        if [row.block for row in page_of(heard).rows] != blocks:
            raise _wrong("what is read is not what was sent")

    def _wake(self, block: Block) -> None:
        heard: queue.SimpleQueue[Heard | OperatorError] = queue.SimpleQueue()

        def wait() -> None:
            try:
                heard.put(self._visitor.read(3, _WAIT))
            except OperatorError as error:
                heard.put(error)

        threading.Thread(target=wait, daemon=True).start()
        time.sleep(_SETTLE)
        if not heard.empty():
            raise _wrong("it is answered at once: most_waiting reads wait, or a proxy ends it")
        self._append([block], [3])
        self._woken(heard.get(), block)

    def _woken(self, heard: Heard | OperatorError, block: Block) -> None:
        if isinstance(heard, OperatorError):
            raise heard
        if [row.block for row in page_of(self._expect(lambda: heard)).rows] != [block]:
            raise _wrong("it waited to its end and was not told")

    def _expect(self, ask: Callable[..., Heard], *arguments: object, code: str = "done") -> Heard:
        heard = ask(*arguments)
        if heard.code != code:
            closed = heard.code == "busy" and not load(self._home.config)[0].new_drops
            why = ": new_drops is false in relay.toml" if closed else ""
            raise _wrong(f"it answers {heard.code} (status {heard.status}), not {code}{why}")
        return heard


def _wrong(what: str) -> OperatorError:
    return OperatorError(what, next_="look at the relay's log")


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)
