"""What an operator should know of the server's own settings: whether an answer means its disk,
whether its log is told what relays send it, and who else may connect. Changes nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

import psycopg

from backchannel.server.errors import Doubt, OperatorError

_OLDEST: Final = 140_000  # server_version_num: the first that detaches partitions concurrently
_ASKED: Final = (
    "server_version_num",
    "fsync",
    "full_page_writes",
    "log_statement",
    "log_min_duration_statement",
    "log_min_duration_sample",
    "log_transaction_sample_rate",
    "log_parameter_max_length",
    "log_parameter_max_length_on_error",
)
_OPEN: Final = (
    "SELECT quote_ident(current_database()),"
    " has_database_privilege('public', current_database(), 'CONNECT')"
)
_SETTINGS: Final = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"


def check(driver: psycopg.Connection[Any], *, plain: bool) -> None:
    """`OperatorError` for what must be otherwise, `Doubt` for what should."""
    found = dict(driver.execute(_SETTINGS, [list(_ASKED)]).fetchall())
    if not plain and int(found.get("server_version_num", _OLDEST)) < _OLDEST:
        message = "the database server is older than PostgreSQL 14"
        raise OperatorError(message, next_="install a newer one")
    off = [name for name in ("fsync", "full_page_writes") if found.get(name) == "off"]
    if off:
        message = f"the database server answers before its disk has it: {' and '.join(off)} off"
        raise OperatorError(message, next_=f"in postgresql.conf: {off[0]} = on; then reload it")
    told = list(_told(found))
    if told:
        message = f"the database server's log is told what relays send it, by {', '.join(told)}"
        next_ = "take over server/deploy/postgresql/quiet.conf, and reload PostgreSQL"
        raise Doubt(message, next_=next_)
    if not plain:
        _check_alone(driver)


def _check_alone(driver: psycopg.Connection[Any]) -> None:
    """Whoever may connect, and no more, hears when drops change, and can hold the relay's locks."""
    name, open_ = driver.execute(_OPEN).fetchone() or ("", False)
    if open_:
        message = "every role of the database server may connect to the relay's database"
        raise Doubt(message, next_=f"in psql: REVOKE ALL ON DATABASE {name} FROM PUBLIC")


def _told(found: Mapping[str, str]) -> list[str]:
    """Settings by which values come into the log."""
    if found.get("log_parameter_max_length", "0") == "0":
        shown = []
    else:
        durations = ("log_min_duration_statement", "log_min_duration_sample")
        shown = [name for name in durations if found.get(name, "-1") != "-1"]
        shown += ["log_statement"] if found.get("log_statement", "none") in {"mod", "all"} else []
        sampled = float(found.get("log_transaction_sample_rate", "0"))
        shown += ["log_transaction_sample_rate"] if sampled else []
    errors = found.get("log_parameter_max_length_on_error", "0") != "0"
    return [*shown, *(["log_parameter_max_length_on_error"] if errors else [])]
