"""What a backup holds, how it is sealed, and what is told to whoever gives a wrong file."""

import msgspec
import pytest

from backchannel.client.errors import UsageMistake, VaultDamaged, VaultTooNew, WrongPassphrase
from backchannel.client.keeping import backup
from backchannel.client.keeping.backup import Backup, Place
from backchannel.client.vault.head import Head
from backchannel.protocol.expiry import seal_item
from tests.support.people import CHEAP, ENTROPY, PASSPHRASE

PLACE = Place(
    id=b"north".ljust(16, b"."),
    name="North",
    alias="Heron",
    role="participant",
    facilitators=("Fox",),
    relays=(("https://relay.example", "ab" * 32),),
    compared=("cd" * 32,),
)


def made(places: int = 1, vouchers: int = 2) -> Backup:
    bought = {"https://relay.example": tuple(n.to_bytes(16) for n in range(vouchers))}
    return backup.new((PLACE,) * places, bought, 'unlock-for = "1h"\n')


def sealed(found: Backup | None = None) -> bytes:
    return backup.seal(found or made(), PASSPHRASE, ENTROPY, CHEAP)


def test_it_comes_back_as_it_was() -> None:
    assert backup.open_(sealed(), PASSPHRASE) == made()


def test_another_passphrase_does_not_open_it() -> None:
    with pytest.raises(WrongPassphrase, match="of the day it was made"):
        backup.open_(sealed(), PASSPHRASE + "x")


def test_two_of_the_same_have_nothing_in_common_but_their_kind() -> None:
    one, two = sealed(), sealed()
    kind = 24 + 36  # both magics, version and cost
    assert one[:kind] == two[:kind]
    assert sum(a == b for a, b in zip(one[kind:], two[kind:], strict=True)) < len(one) // 100


def test_its_size_tells_a_class_alone() -> None:
    sizes = {len(sealed(made(places, vouchers))) for places, vouchers in ((0, 0), (1, 2), (6, 20))}
    assert len(sizes) == 1
    assert sizes < {len(sealed(made(40))), *sizes}
    assert (len(sealed(made(40))) - 180) % 4096 == 0


@pytest.mark.parametrize("at", [0, 30, 50, 60, 130, 139, 140, 200, -1])
def test_attack_a_file_that_was_changed_anywhere_opens_for_nobody(at: int) -> None:
    data = bytearray(sealed())
    data[at] ^= 1
    with pytest.raises((UsageMistake, WrongPassphrase, VaultDamaged, VaultTooNew)) as error:
        backup.open_(bytes(data), PASSPHRASE)
    assert error.value.next_step, "whoever gave it is told what to do"


@pytest.mark.parametrize("data", [b"", b"x" * 5000, b"backchannel/1 backup".ljust(24, b"\0")])
def test_what_is_no_backup_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(UsageMistake, match="no backup"):
        backup.open_(data, PASSPHRASE)


def test_a_file_cut_short_opens_for_nobody() -> None:
    data = sealed()
    for size in (141, 170, len(data) - 1):
        with pytest.raises(UsageMistake, match="damaged"):
            backup.open_(data[:size], PASSPHRASE)


@pytest.mark.parametrize(
    "plain", [b"{}", b"\xff", b'{"v\x91rsion":1}', b"[" * 4000, b'{"version":2}']
)
def test_what_somebody_with_the_passphrase_wrote_may_be_none_either(plain: bytes) -> None:
    head, key = Head.new(PASSPHRASE, CHEAP, ENTROPY)
    headed = b"backchannel/1 backup".ljust(24, b"\0") + head.pack()
    item = seal_item(backup._item_key(key), plain.ljust(4096), headed, ENTROPY)
    with pytest.raises(UsageMistake, match="damaged"):
        backup.open_(headed + item, PASSPHRASE)


def test_attack_what_asks_for_too_much_is_refused_before_it_is_done() -> None:
    """A header from elsewhere may not ask for 100 GiB."""
    data = bytearray(sealed())
    data[24 + 28 : 24 + 32] = (100_000).to_bytes(4)
    with pytest.raises(VaultDamaged, match="no vault of ours"):
        backup.open_(bytes(data), PASSPHRASE)


def test_t05_there_is_no_place_in_it_for_a_key_or_for_words() -> None:
    """Whoever adds a field has to come by here."""
    fields = {each.name for each in msgspec.structs.fields(Place)}
    assert fields == {"id", "name", "alias", "role", "facilitators", "relays", "compared"}
    fields = {each.name for each in msgspec.structs.fields(Backup)}
    assert fields == {"version", "places", "vouchers", "settings", "proxied"}
