"""A worker among others: it tells and hears what changes, and looks for what it did not hear."""

from typing import final

from backchannel.protocol.secret import StoreKey
from backchannel.server.entropy import SystemEntropy
from backchannel.server.postgres.lookout import Lookout
from backchannel.server.postgres.notices import Notices, naming
from backchannel.server.postgres.sessions import Remote
from backchannel.server.readers import Readers
from backchannel.server.wakeup import Wakeup


@final
class Watching:
    """Of one worker. On the loop only."""

    def __init__(self, remote: Remote, wakeup: Wakeup, readers: Readers, key: StoreKey) -> None:
        self._notices = Notices(remote, wakeup, SystemEntropy())
        self._lookout = Lookout(wakeup, readers, lambda: self._notices.hears)
        wakeup.join(naming(key), self._notices.tell)

    def start(self) -> None:
        self._notices.start()
        self._lookout.start()

    async def stop(self) -> None:
        await self._notices.stop()
        await self._lookout.stop()
