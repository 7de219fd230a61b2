"""What nobody in particular says: whoever has the epoch's keys can have written it."""

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import limits, unattributed
from backchannel.protocol.codec import encode
from backchannel.protocol.core import Kind, content_hash
from backchannel.protocol.epoch import unattributed_secret
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    LocalProtocolError,
    ProtocolError,
    RefusedError,
    StaleError,
)
from backchannel.protocol.nobody import cover
from backchannel.protocol.outcome import NOBODY, Alone, Arrival, Event, Expired, Said
from backchannel.protocol.roster import Policy, Relay, Role, seal_piece
from backchannel.protocol.types import MAIN_THREAD, Core, ThreadId, hour_of
from backchannel.protocol.unattributed import (
    NOT_PROTECTED,
    Unattributed,
    open_unattributed,
    seal_unattributed,
)
from tests.support.bits import flip
from tests.support.insider import Insider, core_in, owed, refuses
from tests.support.world import LIFETIME, RELAY, Member, World, news

SPEAK = commands.SayUnattributed(MAIN_THREAD, "what if we simply asked?")


def settled(*roles: Role, policy: Policy | None = None) -> World:
    """A channel that allows it, an hour after the last one came; nobody was heard since."""
    world = World()
    for number, role in enumerate(roles, 1):
        world.admit(f"Guest {number}", role)
        world.settle()
    world.pass_time(hours=1)
    world.founder.act(commands.SetPolicy(policy or Policy(LIFETIME, unattributed=4)))
    world.founder.flush()
    world.settle()
    world.pass_time(hours=25)
    world.settle()
    return world


def heard(world: World, *places: int) -> None:
    """Who shows life."""
    for place in places:
        world[place].say("here")
        world[place].flush()
    world.settle()


@pytest.fixture
def four() -> World:
    world = settled("participant", "participant", "participant")
    heard(world, 0, 1, 2, 3)
    return world


def alone(member: Member) -> list[Alone]:
    return [each for each in member.disk.outbox if isinstance(each, Alone)]


def spoken(member: Member, command: commands.SayUnattributed = SPEAK) -> Arrival:
    """The block, as it would arrive now; nothing was sent."""
    outcome = member.twin().member.act(command, member.now, member.entropy)
    (effect,) = outcome.effects
    assert isinstance(effect, Alone)
    return Arrival(effect.drop.id, hour_of(member.now), effect.block)


def texts(events: list[Event]) -> list[tuple[int, str]]:
    return [(each.author, each.text) for each in events if isinstance(each, Said)]


def one(events: list[Event]) -> Said:
    """The one thing that was said."""
    (said,) = news(events)
    assert isinstance(said, Said)
    return said


# --- What it keeps and shows ----------------------------------------------------------------------


def test_claim_7_everybody_reads_it_and_its_author_with_them(four: World) -> None:
    four[2].act(SPEAK)
    four[2].flush()
    four.settle()
    said = [next(each for each in m.disk.said if each.author == NOBODY) for m in four.members]
    assert len(set(said)) == 1
    assert (said[0].text, said[0].thread, said[0].to) == (SPEAK.text, MAIN_THREAD, None)
    assert said[0].expires == said[0].hour + LIFETIME


def test_attack_70_its_author_keeps_no_mark_of_it(four: World) -> None:
    author = four[2]
    before, disk, clock = author.snapshot(), author.disk, author.member.clock.value
    events = author.act(SPEAK)
    assert events == []
    assert author.snapshot() == before
    assert (author.disk.cores, author.disk.said, author.disk.clocks) == (
        disk.cores,
        disk.said,
        disk.clocks,
    )
    assert author.member.clock.value == clock
    assert author.disk.outbox[: len(disk.outbox)] == disk.outbox
    assert len(author.disk.outbox) == len(disk.outbox) + 1


def test_attack_70_what_its_author_does_next_is_what_it_would_have_done(four: World) -> None:
    """No parent, number, renewal or order of a later post depends on it."""
    told, silent = four[2].twin(), four[2].twin()
    told.act(SPEAK)
    for member in (told, silent):
        member.entropy = type(member.entropy)("the same")
        member.tick()
        member.say("next")
    ours, theirs = ([core_in(four[0], each) for each in owed(m)] for m in (told, silent))
    assert ours == theirs
    assert told.snapshot() == silent.snapshot()


def test_attack_70_after_it_is_read_all_hold_alike(four: World) -> None:
    """Whoever compares the states of author and reader learns nothing from this message."""
    block = spoken(four[2])
    for member in (four[1], four[2]):
        kept = [(peer.generations, peer.line, peer.steps) for peer in member.state.peers.values()]
        parts = [member.state.transcript, member.state.alive, member.state.own, kept]
        before = [repr(part) for part in parts]
        said = one(member.receive(block))
        assert [repr(part) for part in parts] == before
    seen = [m.state.epoch.seen[said.hash] for m in (four[1], four[2])]
    assert seen[0] == seen[1]


def test_it_stands_in_no_record_and_no_post_names_it(four: World) -> None:
    block = spoken(four[2])
    (said,) = [e for e in four[1].receive(block) if isinstance(e, Said)]
    assert said.hash not in four[1].state.transcript
    assert all(parent.hash != said.hash for parent in four[1].state.transcript.parents(1))
    assert said.hash not in four[1].state.record.sent


def test_it_is_one_block_for_each_relay_and_each_goes_alone(four: World) -> None:
    author = four[2]
    other = Relay("https://second.example", RELAY.key)
    author.state.epoch.relays = (RELAY, other)
    outcome = author.member.act(SPEAK, author.now, author.entropy)
    assert [type(each) for each in outcome.effects] == [Alone, Alone]
    assert [each.relay for each in outcome.effects if isinstance(each, Alone)] == [
        RELAY.url,
        other.url,
    ]
    assert all(
        len(each.block) == limits.BLOCK for each in outcome.effects if isinstance(each, Alone)
    )


def test_it_answers_as_little_as_it_asks(four: World) -> None:
    four[2].act(SPEAK)
    four[2].flush()
    count = four.drops.count()
    four.settle()
    four.minutes()
    assert four.drops.count() == count


def test_its_order_tells_nothing_of_what_its_author_had_read(four: World) -> None:
    late = four[2].twin()
    for _ in range(3):
        four[0].say("more")
    four[0].flush()
    four[2].listen()
    for author in (late, four[2]):
        said = one(four[1].twin().receive(spoken(author)))
        assert said.order == 0


def test_any_two_members_could_have_made_the_same_core(four: World) -> None:
    """With the same coins, byte for byte: there is nothing of its author in it."""
    cores = []
    for place in (1, 2, 3):
        author = four[place]
        coins = type(author.entropy)("the same coins")
        (effect,) = author.member.act(SPEAK, author.now, coins).effects
        assert isinstance(effect, Alone)
        cores.append(effect.block)
    assert len(set(cores)) == 1


# --- Who may, and when ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "place", "allowed"),
    [
        (("participant", "participant", "participant"), 0, True),
        (("participant", "participant", "participant"), 1, True),
        (("facilitator", "participant", "participant", "note-taker"), 4, False),
        (("participant", "participant", "participant", "observer"), 4, False),
    ],
)
def test_roles(roles: tuple[Role, ...], place: int, *, allowed: bool) -> None:
    world = settled(*roles)
    heard(world, 0, 1, 2, 3)
    if allowed:
        world[place].act(SPEAK)
        assert len(alone(world[place])) == 1
    else:
        with pytest.raises(LocalProtocolError, match="does not speak unattributed"):
            world[place].act(SPEAK)


def test_where_the_rules_have_none() -> None:
    world = World.of(2)
    with pytest.raises(LocalProtocolError, match="takes no unattributed messages"):
        world[1].act(SPEAK)


def test_too_few_of_a_large_group() -> None:
    """Rows T08 and A024: refused below the least number, with the reason."""
    world = settled("participant", "participant", "participant", "observer", "note-taker")
    heard(world, 0, 1, 5)
    with pytest.raises(LocalProtocolError, match=r"2 of the 4 people .* last 24 hours"):
        world[2].act(SPEAK)
    heard(world, 2)
    with pytest.raises(LocalProtocolError, match="3 of the 4 people"):
        world[2].act(SPEAK)
    heard(world, 3)
    world[2].act(SPEAK)
    assert len(alone(world[2])) == 1


def test_attack_70_the_silent_are_refused_by_the_same_count_as_those_who_spoke() -> None:
    """Did oneself always count, what is said at the threshold would come from a silent one."""
    world = settled("participant", "participant", "participant", "participant")
    heard(world, 0, 1, 2)
    assert [cover(member.state, hour_of(world.now)) for member in world.members] == [3] * 5
    for member in world.members:
        with pytest.raises(LocalProtocolError, match="3 of the 4"):
            member.act(SPEAK)


def test_who_was_heard_a_day_ago_counts_no_more(four: World) -> None:
    four.pass_time(hours=limits.COVER_HOURS - 1)
    four[1].act(SPEAK)
    four.pass_time(hours=1)
    with pytest.raises(LocalProtocolError, match="0 of the 4"):
        four[1].act(SPEAK)


# --- What it says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not a structure"),
        ("\ud800", "half a character"),
        ("w" * (unattributed.MOST + 1), "one block: at most 3,961 bytes"),
    ],
)
def test_what_cannot_be_said(four: World, text: str, match: str) -> None:
    before = four[1].snapshot()
    with pytest.raises(ProtocolError, match=match):
        four[1].act(commands.SayUnattributed(MAIN_THREAD, text))
    assert four[1].snapshot() == before
    assert alone(four[1]) == []


def test_the_longest_text_is_read_whole(four: World) -> None:
    longest = commands.SayUnattributed(MAIN_THREAD, "w" * unattributed.MOST)
    assert texts(four[0].receive(spoken(four[1], longest))) == [(NOBODY, longest.text)]


def test_a_text_goes_out_composed(four: World) -> None:
    said = commands.SayUnattributed(MAIN_THREAD, "Zoe\u0308")
    assert texts(four[0].receive(spoken(four[1], said))) == [(NOBODY, "Zo\u00eb")]


@pytest.mark.parametrize(("lifetime", "lives"), [(1, 1), (LIFETIME, LIFETIME), (2160, LIFETIME)])
def test_it_lives_no_longer_than_the_rules_say(four: World, lifetime: int, lives: int) -> None:
    said = one(four[0].receive(made(four[1], Unattributed(MAIN_THREAD, lifetime, "x"))))
    assert said.expires == said.hour + lives


def test_it_lives_no_longer_than_its_thread(four: World) -> None:
    four[1].act(commands.Begin("short", 3))
    four[1].flush()
    four.settle()
    (thread,) = four[0].state.threads
    said = one(four[0].receive(made(four[1], Unattributed(thread, 100, "x"))))
    assert (said.expires, said.thread) == (said.hour + 3, ThreadId(thread))
    own = spoken(four[2], commands.SayUnattributed(thread, "x"))
    core = core_in(four[0], own)
    clock, head = four[0].member.clock, Insider(four[0]).head(Kind.UNATTRIBUTED)
    head = head._replace(salt=core[5:21])
    assert open_unattributed(core, four[0].state.epoch.secret, clock, head).lifetime == 3


def test_attack_25_one_that_comes_at_its_hour_is_not_shown(four: World) -> None:
    block = spoken(four[1])
    four.pass_time(hours=LIFETIME)
    assert news(four[0].receive(block)) == [Expired(NOBODY)]


def test_whoever_has_the_floor_it_is_not_told_who_spoke(four: World) -> None:
    four.founder.act(commands.GiveFloor("Guest 1"))
    four.founder.flush()
    four.settle()
    said = one(four[3].receive(spoken(four[2])))
    assert not said.out_of_turn


# --- What readers refuse --------------------------------------------------------------------------


def made(member: Member, post: Unattributed, hours: int = 0) -> Arrival:
    """What honest code would not send, as it would arrive."""
    liar = Insider(member)
    head, clock = liar.head(Kind.UNATTRIBUTED, hours), liar.member.member.clock
    secret = unattributed_secret(liar.state.epoch.secret)
    return liar.arrival(seal_piece(encode(post), secret, clock, head))


POST = Unattributed(MAIN_THREAD, 24, "x")


@pytest.mark.parametrize(
    "wrong",
    [
        Unattributed(bytes(15), 24, "x"),
        Unattributed(MAIN_THREAD, 0, "x"),
        Unattributed(MAIN_THREAD, 2161, "x"),
        Unattributed(MAIN_THREAD, 24, ""),
        Unattributed(MAIN_THREAD, 24, "Zoe\u0308"),
    ],
)
def test_what_is_none(four: World, wrong: Unattributed) -> None:
    refuses(four[0], made(four[1], wrong), DecodeError)


def test_where_the_rules_have_none_it_is_refused() -> None:
    world = settled("participant", "participant", policy=Policy(LIFETIME - 1))
    refuses(world[0], made(world[1], POST), RefusedError, "takes no unattributed")


def test_a_copy_under_another_outer_layer_is_one_message(four: World) -> None:
    block = spoken(four[1])
    core = core_in(four[0], block)
    assert len(news(four[0].receive(block))) == 1
    again = Insider(four[2]).arrival(core)
    assert again.block != block.block
    assert four[0].receive(again) == []


def test_its_id_is_of_its_content_so_that_no_other_can_take_its_place(four: World) -> None:
    block = spoken(four[1])
    said = one(four[0].receive(block))
    assert said.id == content_hash(core_in(four[1], block))[: limits.ID]


def test_any_bit_turned_is_refused(four: World) -> None:
    core = core_in(four[0], spoken(four[1]))
    for bit in (8 * 6, 8 * 21, 8 * 60, 8 * len(core) - 1):
        refuses(four[0], Insider(four[2]).arrival(flip(core, bit)), AuthenticationError)


def test_attack_3_of_another_epoch_or_hour(four: World) -> None:
    core = core_in(four[0], spoken(four[1]))
    moved = Core(core[:1] + (hour_of(four.now) - 1).to_bytes(4) + core[5:])
    refuses(four[0], Insider(four[2]).arrival(moved), AuthenticationError)
    four.founder.act(commands.Turn())
    four.founder.flush()
    four.settle()
    refuses(four[0], Insider(four[2]).arrival(core), AuthenticationError)


def test_attack_72_of_an_epoch_that_is_over(four: World) -> None:
    """Whoever was removed has the old epoch's keys, and nobody could tell."""
    gone = four[3]
    late = spoken(gone)
    four.founder.act(commands.Remove("Guest 3"))
    four.founder.flush()
    four.settle(four.members[:3])
    refuses(four[0], late, StaleError, "epoch that is over")


def test_a_newcomer_reads_nothing_that_may_be_from_before_its_time(four: World) -> None:
    before = spoken(four[1])
    newcomer = four.admit("Guest 4")
    four.settle()
    refuses(newcomer, before, StaleError, "before my time")
    four.pass_time(hours=1)
    assert texts(newcomer.receive(made(four[1], POST))) == [(NOBODY, "x")]


def test_before_the_list_of_members_it_waits(four: World) -> None:
    newcomer = four.admit("Guest 4")
    four.pass_time(hours=1)
    block = made(four[1], POST)
    twin = newcomer.twin()
    twin.state.roster = None
    assert twin.receive(block) == []
    assert len(twin.state.pending) == 1


# --- The core -------------------------------------------------------------------------------------


def test_the_core_says_what_was_sealed_and_takes_no_more_than_fits(four: World) -> None:
    liar = Insider(four[1])
    secret, clock = liar.state.epoch.secret, liar.member.member.clock
    head = liar.head(Kind.UNATTRIBUTED)
    longest = Unattributed(MAIN_THREAD, 2160, "w" * unattributed.MOST)
    core = seal_unattributed(longest, secret, clock, head)
    assert len(core) == limits.CORE
    assert open_unattributed(core, secret, clock, head) == longest
    with pytest.raises(DecodeError, match="3,961"):
        seal_unattributed(
            Unattributed(MAIN_THREAD, 2160, "w" * (unattributed.MOST + 1)), secret, clock, head
        )


def test_what_is_not_protected_is_said_in_plain_words() -> None:
    text = " ".join(NOT_PROTECTED)
    for fact in ("group of four", "Tor", "how you write", "never count"):
        assert fact in text
    assert all(len(line) < 100 for line in NOT_PROTECTED)
