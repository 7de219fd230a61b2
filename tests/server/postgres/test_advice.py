"""Doctor says what of the database server's settings should be otherwise."""

import psycopg
import pytest

from backchannel.server.errors import Doubt, OperatorError
from backchannel.server.home import Home
from backchannel.server.operate.doctor import Finding, examine
from backchannel.server.postgres import advice
from backchannel.server.postgres.sessions import Remote
from tests.server.conftest import use
from tests.server.test_cli import failed
from tests.support.postgres import database as url_name
from tests.support.postgres import running_postgres

GOOD = """
fsync = on
log_statement = none
log_parameter_max_length_on_error = 0
"""


def finding(home: Home) -> Finding:
    return next(each for each in examine(home) if each.name == "database")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "ok", "said"),
    [
        (GOOD, True, "of another version"),
        (f"{GOOD}fsync = off\n", False, "fsync off"),
        (f"{GOOD}log_statement = mod\n", True, "log_statement"),
        (f"{GOOD}log_min_duration_statement = 100\n", True, "log_min_duration_statement"),
        (f"{GOOD}log_parameter_max_length_on_error = 64\n", True, "_on_error"),
        (f"{GOOD}log_statement = all\nlog_parameter_max_length = 0\n", True, "another version"),
    ],
)
def test_a_server_that_tells_or_forgets_is_found(
    home: Home, more: str, ok: bool, said: str
) -> None:
    with running_postgres(more) as server:
        url = server.fresh()
        use(home.path, url)
        found = finding(home)
        if "another version" not in said:
            with pytest.raises(OperatorError, match=said) as error:
                Remote(url).check()
            assert isinstance(error.value, Doubt) is ok
            assert error.value.next
            return
        Remote(url).check()
        assert (found.ok, found.next) == (True, "")
        assert said in found.detail


@pytest.mark.slow
def test_attack_116_a_database_to_which_every_role_may_connect_is_found(home: Home) -> None:
    """Such a role heard every change, and with the relay's lock held nothing could be appended."""
    with running_postgres(GOOD) as server:
        url = server.fresh()
        with server.admin() as admin:
            admin.execute("CREATE ROLE stranger LOGIN")
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(url, user="stranger")
        Remote(url).check()
        with server.admin() as admin:
            admin.execute(f"GRANT CONNECT ON DATABASE {url_name(url)} TO PUBLIC")
        with pytest.raises(Doubt, match="every role") as doubt:
            Remote(url).check()
        assert doubt.value.next == f"in psql: REVOKE ALL ON DATABASE {url_name(url)} FROM PUBLIC"


def test_a_server_that_is_too_old_is_told() -> None:
    class Old:
        def execute(self, *_: object) -> "Old":
            return self

        def fetchall(self) -> list[tuple[str, str]]:
            return [("server_version_num", "130010"), ("fsync", "on")]

    with pytest.raises(OperatorError, match="older than PostgreSQL 14"):
        advice.check(Old(), plain=False)  # type: ignore[arg-type]
    advice.check(Old(), plain=True)  # type: ignore[arg-type]


def test_check_refuses_what_is_no_url_and_does_not_repeat_it(home: Home) -> None:
    use(home.path, "mysql://relay:hunter2@localhost/relay")
    code, said = failed("check", "--data", home.path)
    assert code == 2
    assert "hunter2" not in said
    assert "postgresql://ROLE@HOST/DATABASE" in said
