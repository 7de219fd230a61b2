"""Which secrets open what: rules of derivation, and the smallest sets of secrets for a goal.

A rule carries the computation that it stands for, so that a set can be tried on real bytes. Knows
no protocol; `key_schedule` does.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from backchannel.protocol.errors import ProtocolError

Leak = frozenset[str]


class Rule(NamedTuple):
    """Whoever has the premises finds the goal, by `find` of their values."""

    goal: str
    premises: tuple[str, ...]
    find: Callable[..., Any]


def reach(rules: Iterable[Rule], given: Mapping[str, Any]) -> dict[str, Any]:
    """All that follows from what is given, by real computation; what fails gives nothing."""
    found, waiting = dict(given), list(rules)
    moved = True
    while moved:
        moved = False
        for rule in list(waiting):
            if rule.goal in found or not all(each in found for each in rule.premises):
                continue
            waiting.remove(rule)
            try:
                found[rule.goal] = rule.find(*(found[each] for each in rule.premises))
            except (ProtocolError, ValueError):
                continue
            moved = True
    return found


def closure(rules: Iterable[Rule], given: Iterable[str]) -> set[str]:
    """The names of all that follows."""
    known, rules = set(given), list(rules)
    before = -1
    while before != len(known):
        before = len(known)
        known |= {rule.goal for rule in rules if known.issuperset(rule.premises)}
    return known


def smallest(rules: Iterable[Rule], goal: str, atoms: Iterable[str]) -> set[Leak]:
    """All sets of atoms that reach the goal and of which no part does."""
    rules = list(rules)
    known: dict[str, set[Leak]] = {atom: {frozenset([atom])} for atom in atoms}
    changed = True
    while changed:
        changed = False
        for rule in rules:
            before = known.get(rule.goal, set())
            after = _least(before | _joined(known, rule.premises))
            if after != before:
                known[rule.goal], changed = after, True
    return known.get(goal, set())


def _joined(known: Mapping[str, set[Leak]], premises: tuple[str, ...]) -> set[Leak]:
    """Every way to have all premises."""
    ways: set[Leak] = {frozenset()}
    for premise in premises:
        ways = _least({way | more for way in ways for more in known.get(premise, set())})
    return ways


def _least(ways: set[Leak]) -> set[Leak]:
    return {way for way in ways if not any(other < way for other in ways)}


def weakest(rules: Iterable[Rule], ways: set[Leak]) -> set[Leak]:
    """Without the sets from which another one follows: they take more than is needed."""
    rules = list(rules)
    reached = {way: closure(rules, way) for way in ways}
    return {
        way
        for way in ways
        if not any(other <= reached[way] and not way <= reached[other] for other in ways)
    }
