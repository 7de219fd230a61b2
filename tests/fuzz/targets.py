"""All targets by name."""

from tests.fuzz import cores, doors, drops, lobbies, stores, texts, values
from tests.fuzz.target import Target

ALL: dict[str, Target] = {
    each.name: each
    for family in (values, cores, drops, texts, stores, lobbies, doors)
    for each in family.TARGETS
}
