"""How a relay's sessions with PostgreSQL begin: what they may wait for, that a commit is on the
disk when it is answered, and that as little as possible reaches the server's log.

A database is named by a URL as libpq knows them, with service, passfile and environment. It may
hold a password: it is never said, logged or put into an error. Knows no table.
"""

from contextlib import AbstractContextManager, closing
from typing import Any, Final, final

import psycopg
from psycopg import conninfo
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool

from backchannel.protocol.secret import StoreKey
from backchannel.protocol.types import Hour
from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.limits import READERS
from backchannel.server.logs import LOG
from backchannel.server.postgres.troubles import usable
from backchannel.server.readers import Readers
from backchannel.server.store import Store, Watch
from backchannel.server.wakeup import Wakeup

_LIBPQ: Final = {
    "application_name": "backchannel-relay",
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds: a server that is silently gone is given up
}
_CONNECT: Final = 5  # seconds
_SETTINGS: Final = {
    "synchronous_commit": "on",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10min",  # a backup may wait for somebody's passphrase
    "enable_seqscan": "off",  # each statement of ours goes by an index, whatever statistics say
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
_QUIET: Final = {
    "log_statement": "none",
    "log_duration": "off",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""For roles that may; attack class 55."""
_SET = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s(name, value)"
_SET_ALLOWED = f"{_SET} WHERE has_parameter_privilege(current_user, name, 'SET')"


@final
class Remote(Store):
    """A database, by the URL that an operator gave."""

    shared = True

    def __init__(self, url: str, *, plain: bool = False) -> None:
        """`OperatorError` for what is no URL of PostgreSQL."""
        self._url = url
        self.plain = plain
        """Whether to do without what PostgreSQL alone has: partitions, notices, advisory locks."""
        try:
            self._named = conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            message = "the setting `database` is no URL of PostgreSQL"
            next_ = "write postgresql://ROLE@HOST/DATABASE, and the password into ~/.pgpass"
            raise OperatorError(message, next_=next_, code=exits.USAGE) from None

    def __str__(self) -> str:
        """Where it leads, without what opens it."""
        if "service" in self._named:
            return f"PostgreSQL by the service {self._named['service']}"
        return f"PostgreSQL, database {self._named.get('dbname', 'of the role')}"

    __repr__ = __str__

    def writer(self) -> Engine:
        return _engine(self, read_only=False)

    def readers(self) -> Engine:
        return _engine(self, read_only=True)

    def usable(self) -> AbstractContextManager[None]:
        return usable(self)

    def tidy(self, engine: Engine, now: Hour) -> bool:
        """In a session of its own, so that it may wait where nobody waits for it."""
        from backchannel.server.postgres.partitions import upkeep  # noqa: PLC0415 - they stand on this

        del engine
        with closing(self.connect()) as driver:
            return upkeep(driver, now)

    def destroy(self) -> None:
        from backchannel.server.postgres.ending import destroy  # noqa: PLC0415

        destroy(self)

    def check(self) -> str:
        from backchannel.server.postgres import advice  # noqa: PLC0415

        with self.usable(), closing(self.connect()) as driver:
            advice.check(driver, plain=self.plain)
        return "the database server answers"

    def watch(self, wakeup: Wakeup, readers: Readers, key: StoreKey) -> Watch:
        from backchannel.server.postgres.watch import Watching  # noqa: PLC0415

        return Watching(self, wakeup, readers, key)

    def connect(self) -> psycopg.Connection:
        """A session by itself, each statement a transaction."""
        connection = psycopg.connect(self._url, autocommit=True, **self._options())
        connection.execute(_SET, [list(_SETTINGS), list(_SETTINGS.values())])
        try:
            connection.execute(_SET_ALLOWED, [list(_QUIET), list(_QUIET.values())])
        except psycopg.ProgrammingError:  # a server that does not know the question
            LOG.debug("the database does not say what its log may be told")
        return connection

    async def session(self) -> psycopg.AsyncConnection:
        """The same on the running loop, for notices."""
        options = self._options()
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True, **options)

    def _options(self) -> dict[str, Any]:
        """What libpq is told beside the URL."""
        return {**_LIBPQ, "connect_timeout": self._named.get("connect_timeout", _CONNECT)}


def _engine(remote: Remote, *, read_only: bool) -> Engine:
    def create() -> psycopg.Connection:
        connection = remote.connect()
        connection.autocommit = False
        connection.read_only = read_only
        if read_only:  # a drop and its blocks as they stand at one moment
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return connection

    engine = create_engine(
        "postgresql+psycopg://",
        creator=create,
        hide_parameters=True,  # a parameter in a log would be an id
        poolclass=QueuePool,
        pool_size=READERS,
        use_native_hstore=False,
        execution_options={"postgresql_readonly": read_only},
    )
    # Nothing here depends on it, and another engine's word for it would not be understood.
    setattr(engine.dialect, "_get_server_version_info", lambda _connection: (14, 0))  # noqa: B010
    return engine
