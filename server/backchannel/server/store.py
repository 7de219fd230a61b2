"""What a relay's store can do, whichever it is. Knows no table, and none of the stores."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Engine

from backchannel.protocol.secret import StoreKey
from backchannel.protocol.types import Hour

if TYPE_CHECKING:  # what serves stands on this
    from backchannel.server.readers import Readers
    from backchannel.server.wakeup import Wakeup


class Watch(Protocol):
    """Tells and hears of changes that other processes make."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...


class Store(ABC):
    """Where vouchers, drops and blocks stand."""

    plain = False
    """Whether it is a PostgreSQL without partitions."""
    shared: bool
    """Whether several processes may serve it at once."""

    @abstractmethod
    def writer(self) -> Engine:
        """For the one thread that writes, and for commands."""

    @abstractmethod
    def readers(self) -> Engine:
        """To read: each transaction sees the store as it stands at one moment."""

    @abstractmethod
    def usable(self) -> AbstractContextManager[None]:
        """Around its first use; `OperatorError` where it cannot be used."""

    @abstractmethod
    def tidy(self, engine: Engine, now: Hour) -> bool:
        """Let go of what was deleted or is over at `now`, and make ready for what comes; false
        where something was in the way. For another thread than that which writes.
        """

    @abstractmethod
    def destroy(self) -> None:
        """Take all of it away, when nobody uses it any more."""

    @abstractmethod
    def check(self) -> str:
        """What is well with it, for doctor; `OperatorError` where it is damaged, and where whoever
        keeps it must do otherwise, `Doubt` where they should.
        """

    def watch(self, wakeup: "Wakeup", readers: "Readers", key: StoreKey) -> Watch | None:
        """Who wakes readers when another process changes a drop; none where there is no other."""
        del wakeup, readers, key
        return None
