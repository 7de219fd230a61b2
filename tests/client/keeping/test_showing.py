"""A conversation as a file, from a real vault: what is in it, what is left out, and who is told."""

from pathlib import Path

import pytest

from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.keeping import showing
from backchannel.client.telling.documents import of_event
from backchannel.client.telling.shown import Opened, opened
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command as commands
from backchannel.protocol import exhibit
from backchannel.protocol.core import head_of
from backchannel.protocol.outcome import Keep
from backchannel.protocol.types import ContentHash, hour_of
from tests.support.people import ENTROPY
from tests.support.world import Member, World


@pytest.fixture
def three() -> World:
    world = World.of(3)
    for number, member in enumerate(world.members):
        member.say(f"text {number}")
    world.settle(rounds=2)
    return world


def keep(vault: Vault, member: Member, without: ContentHash | None = None) -> list[Opened]:
    """What a member heard, in a vault of its own; a core may be gone."""
    state, now = member.state, member.now
    with vault.exclusive(now), vault.transaction():
        vault.channels.add(state.id, "North", b"", {})
        kept = [
            Keep(name, core, head_of(core).hour, expires)
            for name, (core, expires) in member.disk.cores.items()
            if name != without
        ]
        vault.cores.add(state.id, kept, now, ENTROPY)
        for number, said in enumerate(member.disk.said, 1):
            message = of_event(state, said, hour_of(now), number)
            vault.messages.add(message, now, ENTROPY)
    return opened(vault.messages.list(state.id, now))


def drawn(vault: Vault, member: Member, found: list[Opened]) -> showing.Drawn:
    row = vault.channels.get("North")
    return showing.of_vault(vault, row, member.state, found, member.now)


def test_what_a_vault_holds_is_written_with_what_opens_it(three: World, vault: Vault) -> None:
    made = drawn(vault, three[1], keep(vault, three[1]))
    assert exhibit.read(made.data) == made.exhibit
    texts = [each.text for each in made.exhibit.statements]
    assert sorted(texts) == ["text 0", "text 1", "text 2"]
    assert [each.alias for each in made.exhibit.members] == ["Founder", "Guest 1", "Guest 2"]
    assert made.left_out == 0


def test_a_message_whose_block_is_gone_is_left_out_and_counted(three: World, vault: Vault) -> None:
    first = three[1].disk.said[0]
    made = drawn(vault, three[1], keep(vault, three[1], without=first.hash))
    assert first.text not in [each.text for each in made.exhibit.statements]
    assert made.left_out == 1


def test_notes_and_what_nobody_said_are_not_even_counted(three: World, vault: Vault) -> None:
    three[0].act(commands.Whisper("Guest 1", "note"))
    three.settle(rounds=1)
    found = keep(vault, three[1])
    assert "note" in [each.plain["text"] for each in found]
    made = drawn(vault, three[1], found)
    assert "note" not in [each.text for each in made.exhibit.statements]
    assert made.left_out == 0


def test_what_is_off_the_record_may_not_leave_by_any_way(three: World) -> None:
    three[0].act(commands.Begin("Quiet", off=True))
    three.settle(rounds=1)
    (quiet,) = three[0].state.threads
    three[0].say("off", quiet)
    three.settle(rounds=1)
    said = next(each for each in three[1].disk.said if each.text == "off")
    assert said.off
    plain = of_event(three[1].state, said, hour_of(three.now), 1).plain
    assert b'"leaves":[]' in plain
    cores = {name: core for name, (core, _) in three[1].disk.cores.items()}
    assert showing.of_said(three[1].state, said, cores) is None


def test_who_spoke_and_went_stands_in_it_under_the_name_of_then(three: World, vault: Vault) -> None:
    three.founder.act(commands.Remove("Guest 2"))
    three.founder.flush()
    three.settle()
    made = drawn(vault, three[1], keep(vault, three[1]))
    assert [each.alias for each in made.exhibit.members] == ["Founder", "Guest 1", "Guest 2"]
    assert "text 2" in [each.text for each in made.exhibit.statements]


def test_words_are_never_shown_under_the_name_of_who_has_the_place_now(
    three: World, vault: Vault
) -> None:
    found = keep(vault, three[1])
    renamed = [each._replace(plain=each.plain | {"from": "Somebody else"}) for each in found[:1]]
    made = drawn(vault, three[1], [*renamed, *found[1:]])
    assert made.left_out == 1


def test_where_nothing_may_leave_no_file_is_made(three: World, vault: Vault) -> None:
    keep(vault, three[1])
    with pytest.raises(NotFound, match="nothing to write"):
        drawn(vault, three[1], [])


def test_a_text_of_an_older_vault_without_leaf_keys_is_left(three: World, vault: Vault) -> None:
    found = keep(vault, three[1])
    for each in found:
        each.plain.pop("leaves")
        assert not showing.may_leave(each)


def test_a_file_that_cannot_be_read_or_written_is_told(tmp_path: Path, three: World) -> None:
    with pytest.raises(UsageMistake, match="cannot be read"):
        showing.read(tmp_path / "nowhere")
    (tmp_path / "noise").write_bytes(b"noise")
    with pytest.raises(UsageMistake, match="no whole transcript"):
        showing.read(tmp_path / "noise")
    me = three[1]
    cores = {name: core for name, (core, _) in me.disk.cores.items()}
    statements = [showing.of_said(me.state, each, cores) for each in me.disk.said]
    made = showing.draw_up(me.state, statements, 3)
    showing.write(tmp_path / "new", made, "another name")
    assert showing.read(tmp_path / "new") == made.exhibit
    for path in (tmp_path / "new", tmp_path / "no" / "folder"):
        with pytest.raises(UsageMistake, match="Nothing was written") as told:
            showing.write(path, made, "another name")
        assert told.value.next_step == "another name"
