"""The few threads that read, each over a connection of its own. Knows nothing of what is asked."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, final

from sqlalchemy import Connection, Engine

from backchannel.server import database
from backchannel.server.database import is_trouble
from backchannel.server.errors import BusyError
from backchannel.server.limits import READERS, TRIES
from backchannel.server.logs import store_trouble
from backchannel.server.repository import Repository

T = TypeVar("T")


@final
class Readers:
    """Runs questions off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    async def ask(self, question: Callable[[Repository], T]) -> T:
        """The answer out of one consistent view; `BusyError` where the store gives none."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, question)

    def close(self) -> None:
        self._pool.shutdown()

    def _ask(self, question: Callable[[Repository], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return _answer(connection, question)
        except Exception as error:
            if not is_trouble(error):
                raise
            store_trouble(error)
            raise BusyError from None


def _answer(connection: Connection, question: Callable[[Repository], T], tries: int = TRIES) -> T:
    try:
        with connection.begin():
            return question(database.repository(connection))
    except Exception as error:
        if tries and database.recover(connection, error):
            return _answer(connection, question, tries - 1)
        raise
