"""The least of a schedule that still breaks the same claim."""

from tests.simulation.claims import Broken
from tests.simulation.run import run
from tests.simulation.schedule import Schedule


def broken(schedule: Schedule) -> str:
    """The claim that does not hold, or what went wrong; empty where all is well."""
    try:
        run(schedule)
    except Broken as error:
        return error.claim
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to be found
        return repr(error)
    return ""


def shrunk(schedule: Schedule) -> Schedule:
    """Steps are left out, many at first, as long as the same claim breaks."""
    claim, size = broken(schedule), len(schedule.steps) // 2
    while claim and size:
        start = 0
        while start < len(schedule.steps):
            less = schedule.without(start, size)
            if broken(less) == claim:
                schedule = less
            else:
                start += size
        size //= 2
    return schedule
