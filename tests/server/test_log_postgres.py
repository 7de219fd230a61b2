"""Attack class 55 with a database server: what a relay says of one that ends and comes back holds
none of the server's words either.
"""

import re
from contextlib import suppress
from pathlib import Path

import pytest

from tests.server.session import Session
from tests.server.test_log import LEAKS, SAYS, lines
from tests.support.postgres import missing, running_postgres
from tests.support.relay import RefusedError, RelayProcess, noise, until

OF_A_SERVER = re.compile(
    r"the store refuses: \w+( \([0-9A-Z]{5}\))?; next: backchannel-relay doctor"
    r"|the database has no notices \((\w+ \([0-9A-Z]{5}\)|the database does not answer)\); readers "
    "are woken late"
    r"|notices of other workers do not come: (\w+ \([0-9A-Z]{5}\)|the database does not answer)"
    "|the database does not say what its log may be told"
)
"""Beside what any relay says; five characters are PostgreSQL's code of an error."""


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_attack_55_of_a_server_that_comes_and_goes_nothing_is_repeated(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay")
    with running_postgres() as server:
        session = Session.begin(relay, f'database = "{server.fresh()}"\n')
        try:
            session.crowd()
            server.kill()
            with pytest.raises(RefusedError, match="503 busy"):
                session.clients[1].append(*noise())
            server.start()
            for _ in until(60):
                with suppress(RefusedError):
                    session.clients[1].append(*noise())
                    break
            names = session.names()
        finally:
            relay.stop()
    said = relay.log.read_bytes()
    log = b"\n".join(each for each in said.splitlines() if not each.startswith(b"listening on "))
    assert [name for name in names if name in log] == []
    assert not LEAKS.search(log)
    messages, bugs = lines(log.decode("ascii"))
    known = (SAYS, OF_A_SERVER)
    assert [each for each in messages if not any(of.fullmatch(each) for of in known)] == []
    assert len(bugs) == 1
    assert any(each.startswith("the store refuses") for each in messages)
