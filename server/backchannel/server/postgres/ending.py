"""The end of a relay's tables in PostgreSQL. What the server keeps of them elsewhere is its
operator's: standbys, archives, backups.
"""

from contextlib import closing

from psycopg import sql

from backchannel.server.postgres import partitions
from backchannel.server.postgres.sessions import Remote
from backchannel.server.postgres.tables import partition

_TABLES = ("bodies", "blocks", "drops", "vouchers", "alembic_version")


def destroy(remote: Remote) -> None:
    """All of them, a partition at a time: a transaction cannot hold the locks of thousands."""
    drop = sql.SQL("DROP TABLE IF EXISTS {}")
    with remote.usable(), closing(remote.connect()) as driver:
        for each in partitions.standing(driver):
            driver.execute(drop.format(sql.Identifier(partition(each.hour))))
        for name in _TABLES:
            driver.execute(drop.format(sql.Identifier(name)))
