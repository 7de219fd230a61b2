"""The duress passphrase as a person sets and types it: never by a slip, never to be seen."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backchannel.client.errors import UsageMistake, WrongPassphrase
from backchannel.client.keeping import duress
from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking import unlocked
from backchannel.client.unlocking.passphrases import near
from backchannel.client.vault.folder import HEAD, KEYS, Folder
from backchannel.client.vault.head import VaultKey, Way
from backchannel.client.vault.vault import Vault
from tests.support.people import (
    ENTROPY,
    NOON,
    PASSPHRASE,
    add_channel,
    make_vault,
    passphrase_file,
    program,
)

Made = tuple[Profile, VaultKey]
DURESS = "summer holidays in the mountains"


def channels(profile: Profile, passphrase: str) -> list[str]:
    with Vault(profile, Vault.key(profile, passphrase, NOON, ENTROPY), NOON) as vault:
        return [row.name for row in vault.channels.list()]


@pytest.fixture
def armed(made: Made) -> Profile:
    """A vault with a channel, and a duress passphrase."""
    with Vault(*made, NOON) as vault:
        add_channel(vault)
    profile = made[0]
    duress.put(profile, DURESS, NOON, ENTROPY)
    return profile


def test_typed_where_ones_own_is_asked_for_it_erases_and_opens_an_empty_vault(
    armed: Profile,
) -> None:
    assert channels(armed, PASSPHRASE) == ["north"]
    assert channels(armed, DURESS) == []
    assert channels(armed, DURESS) == []
    with pytest.raises(WrongPassphrase):
        channels(armed, PASSPHRASE)


def test_attack_nobody_learns_which_passphrase_it_is_without_setting_it_off(
    armed: Profile, tmp_path: Path
) -> None:
    """Asked for one's own, `duress` takes it like any other verb: as the one that opens."""
    file = str(passphrase_file(tmp_path, DURESS))
    for _ in range(2):
        done = program("duress", "clear", "--passphrase-file", file, home=armed.data)
        assert done.returncode == 0, done.stderr
        assert "No passphrase but your own" in done.stdout
    assert channels(armed, DURESS) == []
    with pytest.raises(WrongPassphrase):
        channels(armed, PASSPHRASE)


def test_taken_away_it_opens_nothing_and_erases_nothing(armed: Profile) -> None:
    duress.take_away(armed, NOON, ENTROPY)
    with pytest.raises(WrongPassphrase):
        channels(armed, DURESS)
    assert channels(armed, PASSPHRASE) == ["north"]


def test_set_again_the_one_before_is_any_wrong_passphrase(armed: Profile) -> None:
    duress.put(armed, "another long sentence here", NOON, ENTROPY)
    with pytest.raises(WrongPassphrase):
        channels(armed, DURESS)
    assert channels(armed, PASSPHRASE) == ["north"]
    assert channels(armed, "another long sentence here") == []


LETTERS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=8, max_size=30)


@example("0101\u00df0000", [(0, "s"), (24, "d")])  # one letter that stands for two
@given(LETTERS, st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ads")), max_size=2))
def test_attack_no_slip_of_two_letters_reaches_it(text: str, slips: list[tuple[int, str]]) -> None:
    typed = text
    for where, kind in slips:
        at = where % (len(typed) + 1)
        if kind == "a":
            typed = typed[:at] + "x" + typed[at:]
        elif kind == "d":
            typed = typed[:at] + typed[at + 1 :]
        else:
            typed = typed[:at] + typed[at : at + 2][::-1] + typed[at + 2 :]
    swaps = sum(kind == "s" for _, kind in slips)
    if swaps < 2:
        assert near(text, typed)
    with pytest.raises(UsageMistake):
        duress.refuse_near(text, text.upper())


@pytest.mark.parametrize(
    "slip",
    ["Four plain words here", "four plain words", "fourplainwordshere", "FOUR PLAIN WORDS HERE",
     "four plain wrods here", "four plain words here and more", "plain words here", "words here",
     "and four plain words here", "here words plain four", "Four words plain here"],
)  # fmt: skip
def test_capitals_spaces_swaps_and_a_missing_end_are_slips(slip: str) -> None:
    with pytest.raises(UsageMistake, match="slip"):
        duress.refuse_near(PASSPHRASE, slip)


def test_quite_another_is_taken() -> None:
    duress.refuse_near(PASSPHRASE, DURESS)


def test_the_header_tells_nothing(tmp_path: Path) -> None:
    """The same number of bytes, and noise where the duress check stands, set or not."""
    heads = []
    for name in ("set", "unset"):
        profile, _ = make_vault(tmp_path / name)
        if name == "set":
            duress.put(profile, DURESS, NOON, ENTROPY)
        heads.append((profile.vault / HEAD).read_bytes())
    assert len(heads[0]) == len(heads[1])
    assert heads[0][:36] == heads[1][:36]
    assert Folder(tmp_path / "set" / "vault").head().key(DURESS)[1] is Way.DURESS


def test_at_the_command_line(armed: Profile, tmp_path: Path) -> None:
    home = armed.data
    own = str(passphrase_file(tmp_path))
    (tmp_path / "other").mkdir()
    other = str(passphrase_file(tmp_path / "other", "a completely different sentence"))
    alike = program("duress", "set", "--yes", "--passphrase-file", own,
                    "--duress-passphrase-file", own, home=home)  # fmt: skip
    assert alike.returncode != 0
    assert "slip" in alike.stderr
    done = program("duress", "set", "--yes", "--passphrase-file", own,
                   "--duress-passphrase-file", other, home=home)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "erases everything" in done.stdout
    was = (armed.vault / KEYS).read_bytes()
    (base,) = (was[at + 33 : at + 65] for at in range(0, len(was), 512) if was[at] == 5)
    real = (armed.vault / KEYS).open("rb")
    shown = program("channel", "list", "--passphrase-file", other, home=home)
    assert shown.returncode == 0, shown.stderr
    assert "north" not in shown.stdout + shown.stderr
    assert base not in real.read()
    real.close()
    gone = program("channel", "list", "--passphrase-file", own, home=home)
    assert "does not open this vault" in gone.stderr


def test_attack_an_agent_that_still_holds_the_real_key_shows_what_was_done(
    armed: Profile, tmp_path: Path
) -> None:
    """Every command would say that the vault is damaged, and the key would still be in memory."""
    own = str(passphrase_file(tmp_path))
    (tmp_path / "other").mkdir()
    other = str(passphrase_file(tmp_path / "other", DURESS))
    home = armed.data
    assert program("unlock", "--passphrase-file", own, home=home).returncode == 0
    try:
        done = program("backup", str(tmp_path / "b"), "--passphrase-file", other, home=home)
        assert done.returncode == 0, done.stderr
        assert unlocked.ask(armed) is None
        shown = program("channel", "list", "--passphrase-file", other, home=home)
        assert "no channel" in shown.stdout, shown.stderr
    finally:
        unlocked.end(armed)
