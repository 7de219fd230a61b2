"""Which secrets open what, computed, compared with `protocol/model/leaks.md`, and tried."""

from functools import cache
from pathlib import Path

import pytest

from tests.support.key_schedule import HOURS, another, rules, scene
from tests.support.leaks import Leak, Rule, closure, reach, smallest, weakest

TABLE = Path(__file__).parents[2] / "protocol" / "model" / "leaks.md"
RULES = rules()
SCENE = scene()
ATOMS = frozenset(SCENE.secrets)
CLOCKS = {"epoch seed", "clock then", "clock later"}
IN_DROP = sorted(HOURS)


def documented(heading: str) -> dict[str, set[Leak]]:
    """The rows below a heading."""
    text = TABLE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    cells = [line.strip("| ").split(" | ") for line in lines]
    return {row[0]: {frozenset(way.split(" + ")) for way in row[1].split("<br>")} for row in cells}


@cache
def every_way(goal: str) -> frozenset[Leak]:
    return frozenset(smallest(RULES, goal, ATOMS))


READ = documented("What can be read")
WAYS = sorted((goal, tuple(sorted(way))) for goal, ways in READ.items() for way in ways)


def opens(goal: str, given: dict[str, object]) -> bool:
    return bool(reach(RULES, given).get(goal) == SCENE.contents[goal])


def test_the_table_says_what_opens_each_kind() -> None:
    computed = {goal: weakest(RULES, set(every_way(goal))) for goal in SCENE.contents}
    assert computed == READ


def test_the_table_says_what_each_secret_follows_from() -> None:
    ways = {atom: smallest(RULES, atom, ATOMS - {atom}) for atom in SCENE.secrets}
    computed = {atom: weakest(RULES, found) for atom, found in ways.items() if found}
    assert computed == documented("What follows from what")


@pytest.mark.parametrize(("goal", "way"), WAYS)
def test_a_set_opens_the_real_bytes(goal: str, way: tuple[str, ...]) -> None:
    assert opens(goal, {each: SCENE.secrets[each] for each in way})


@pytest.mark.parametrize(("goal", "way"), WAYS)
def test_a_set_with_one_secret_replaced_opens_nothing(goal: str, way: tuple[str, ...]) -> None:
    held = {each: SCENE.secrets[each] for each in way}
    for each in way:
        assert not opens(goal, held | {each: another(held[each])}), each


@pytest.mark.parametrize("goal", ["intro", "reply", "line block", "post", "file chunk"])
def test_every_smallest_set_opens_the_real_bytes(goal: str) -> None:
    for way in every_way(goal):
        assert opens(goal, {each: SCENE.secrets[each] for each in way}), sorted(way)


@pytest.mark.parametrize("goal", IN_DROP)
def test_attack_59_without_a_clock_every_other_secret_opens_nothing(goal: str) -> None:
    everything = {name: each for name, each in SCENE.secrets.items() if name not in CLOCKS}
    found = reach(RULES, everything)
    assert not {name for name in HOURS if name in found}
    assert all(way & CLOCKS for way in every_way(goal))


@pytest.mark.parametrize("goal", IN_DROP)
def test_attack_59_nor_does_it_for_who_kept_every_core_unwrapped(goal: str) -> None:
    """The outer layer aside: the clock is in each core's own key as well. A leaf key and a file's
    are of one text or file, and stand and die with it.
    """
    every = reach(RULES, SCENE.secrets)
    cores = {name: each for name, each in every.items() if name.startswith("CORE of ")}
    wrong = {name: another(SCENE.secrets[name]) for name in CLOCKS - {"epoch seed"}}
    with_it = {"post's leaf key", *CLOCKS}
    held = {name: each for name, each in SCENE.secrets.items() if name not in with_it}
    assert opens(goal, held | cores | {name: SCENE.secrets[name] for name in wrong})
    assert not opens(goal, held | cores | wrong)


@pytest.mark.parametrize("goal", IN_DROP)
def test_no_later_clock_and_no_relay_ever_helps(goal: str) -> None:
    for way in every_way(goal):
        assert not way & {"clock after that", "relay's key"}


@pytest.mark.parametrize("goal", [name for name, when in HOURS.items() if when == "then"])
def test_an_hour_that_is_over_is_not_opened_by_the_hours_after_it(goal: str) -> None:
    later = {n: each for n, each in SCENE.secrets.items() if n not in {"epoch seed", "clock then"}}
    assert goal not in reach(RULES, later)


@pytest.mark.parametrize("goal", IN_DROP)
def test_attack_24_the_drop_alone_opens_nothing(goal: str) -> None:
    assert goal not in reach(RULES, {"relay's key": SCENE.secrets["relay's key"]})
    assert all(way & {"epoch secret", "epoch seed"} for way in every_way(goal))


@pytest.mark.parametrize("goal", ["intro", "reply", "line block", "admission", "join"])
def test_either_half_of_the_hybrid_keeps_it_shut(goal: str) -> None:
    """Whoever has the X25519 half of every key, or the KEM half, still lacks something."""
    halves = {rule.goal for rule in RULES if rule.goal.endswith((" (X25519)", " (ML-KEM)"))}
    kept = {"invite's words", "once", "epoch secret", "clock then"}
    for half in ("X25519", "ML-KEM"):
        known = kept | {each for each in halves if each.endswith(f"({half})")}
        assert goal not in closure(RULES, known), half
    assert goal in closure(RULES, kept | halves | {"first root", "B's header key"})


def test_attack_65_a_thief_of_the_authors_state_lacks_the_coins() -> None:
    """All that A ever kept, A's ratchet keys included, but not what A drew for the block."""
    thief = {name for name in ATOMS if name.startswith("A's ")}
    thief |= {"first root", "second root", "reply secret", "epoch seed"}
    known = closure(RULES, thief)
    assert not {"line block", "export", "key block", "post"} & known
    assert "line block" in closure(RULES, thief | {"line block's coins"})


def test_the_rules_find_every_secret_of_the_scene_as_it_is() -> None:
    for name, value in SCENE.secrets.items():
        others = {each: known for each, known in SCENE.secrets.items() if each != name}
        found = reach(RULES, others).get(name, value)
        assert found == value, name


def test_one_way_more_would_be_seen() -> None:
    shortcut = Rule("post", ("epoch secret",), lambda secret: secret)
    assert frozenset(["epoch secret"]) in smallest([*RULES, shortcut], "post", ATOMS)
    assert frozenset(["epoch secret"]) not in every_way("post")


def test_a_binding_left_out_would_be_seen() -> None:
    loose = [
        rule._replace(premises=tuple(each for each in rule.premises if each != "clock later"))
        for rule in RULES
    ]
    assert weakest(loose, smallest(loose, "post", ATOMS)) != READ["post"]


def test_smallest_sets_hold_no_part_that_suffices_and_follow_circles() -> None:
    made = [Rule(goal, tuple(way), lambda *_: None) for goal, way in (
        ("z", "ab"), ("z", "c"), ("c", "d"), ("d", "c"), ("z", "ca"),
    )]  # fmt: skip
    assert smallest(made, "z", "abd") == {frozenset("ab"), frozenset("d")}
    assert weakest(made, {frozenset("ab"), frozenset("c")}) == {frozenset("ab"), frozenset("c")}
    assert weakest([Rule("a", ("e",), lambda _: None)], {frozenset("a"), frozenset("e")}) == {
        frozenset("a")
    }
