"""Attack class 56: an answer means that the disk has it. What is killed meanwhile: `test_kills`."""

from backchannel.protocol.types import Hour
from backchannel.server.repository import Repository
from tests.server.inside import Inside


def test_attack_56_the_writer_waits_for_the_disk(inside: Inside) -> None:
    def pragmas(store: Repository, _hour: Hour) -> list[object]:
        names = ("synchronous", "journal_mode", "secure_delete")
        return [store._connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    assert inside.write(pragmas) == [2, "wal", 1]
