"""Words that people say to each other: SPEC.md section 10."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from backchannel.protocol import primitives, words
from backchannel.protocol.errors import DecodeError

VECTORS = {
    "00" * 16: "abandon " * 11 + "about",
    "7f" * 16: "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "80" * 16: "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
    "ff" * 16: "zoo " * 11 + "wrong",
    "9e885d952ad362caeb4efe34a8e91bd2": (
        "ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic"
    ),
}
"""Of BIP-39's reference implementation."""
PHRASE = VECTORS["9e885d952ad362caeb4efe34a8e91bd2"]
ENTROPY = st.binary(min_size=16, max_size=16)


@pytest.mark.parametrize("entropy", VECTORS)
def test_the_vectors_of_bip_39(entropy: str) -> None:
    said = words.invite_words(bytes.fromhex(entropy))
    assert " ".join(said) == VECTORS[entropy]
    assert words.invite_entropy(VECTORS[entropy]).hex() == entropy


@given(ENTROPY)
def test_words_carry_their_bytes(entropy: bytes) -> None:
    said = words.invite_words(entropy)
    assert len(said) == words.INVITE
    assert words.invite_entropy(" ".join(said)) == entropy


@given(ENTROPY, st.data())
def test_words_may_be_typed_as_people_type(entropy: bytes, data: st.DataObject) -> None:
    typed = ""
    for word in words.invite_words(entropy):
        cut = word[: data.draw(st.integers(4, 8))]
        case = data.draw(st.sampled_from([str.lower, str.upper, str.title]))
        typed += data.draw(st.sampled_from([" ", "  ", "\n", ", ", "\t"])) + case(cut)
    assert words.invite_entropy(typed) == entropy


@given(ENTROPY, st.data())
def test_swapped_words_are_noticed_or_another_invite(entropy: bytes, data: st.DataObject) -> None:
    """One in sixteen mistakes passes the checksum; none of them may pass as the same invite."""
    said = list(words.invite_words(entropy))
    at = data.draw(st.integers(0, 11))
    said[at] = data.draw(st.sampled_from(["abandon", "about", "zoo", "wrong", "act"]))
    try:
        read = words.invite_entropy(" ".join(said))
    except DecodeError:
        return
    assert words.invite_words(read) == tuple(said)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not 0"),
        (PHRASE.rsplit(" ", 1)[0], "not 11"),
        (PHRASE + " zoo", "not 13"),
        (PHRASE.replace("picnic", "zoo"), "mistyped"),
        (PHRASE.replace("curtain", "courtain"), "word 5 is not on the list"),
        (PHRASE.replace("ozone", "ozo"), "word 1 is not on the list"),
        (PHRASE.replace("ozone", "о" + "zone"), "word 1 is not on the list"),
        (PHRASE.replace("ozone", "oz\0ne"), "word 1 is not on the list"),
    ],
)
def test_mistyped_words_are_refused_by_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        words.invite_entropy(text)


def test_a_refusal_repeats_no_word() -> None:
    with pytest.raises(DecodeError) as refused:
        words.invite_entropy(PHRASE.replace("curtain", "courtain"))
    assert not any(word in str(refused.value).split() for word in [*PHRASE.split(), "courtain"])


def test_three_letters_are_a_word_only_where_the_list_has_it() -> None:
    said = words.invite_words(bytes.fromhex("01" * 16))
    whole = " ".join(said)
    assert any(len(word) == 3 for word in words.invite_words(b"\xff" * 16))
    assert words.invite_entropy(whole) == b"\x01" * 16


def test_attack_62_spoken_words_cost_256_mebibytes() -> None:
    """The known answer is computed here from the specification's text, not from the program."""
    data = b"roster" + bytes(range(48))
    hashed = [
        hashlib.sha256(bytes([len(name)]) + name + data).digest()
        for name in (b"backchannel/1 words", b"backchannel/1 words salt")
    ]
    digest = sodium.crypto_pwhash_alg(
        32, hashed[0], hashed[1][:16], 3, 2**28, sodium.crypto_pwhash_ALG_ARGON2ID13
    )
    bits = "".join(f"{byte:08b}" for byte in digest)
    known = words._list().wordlist
    expected = tuple(known[int(bits[at : at + 11], 2)] for at in range(0, 110, 11))
    assert words.spoken(data, words.ROSTER) == expected
    assert (primitives._ARGON2_BYTES, primitives._ARGON2_PASSES) == (256 * 2**20, 3)


def test_spoken_words_are_the_first_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "argon2id", lambda password, salt: password)
    for count in (words.CHECK, words.ROSTER, 23):
        assert words.spoken(b"data", count) == words.spoken(b"data", 23)[:count]
    assert len(words.spoken(b"data", words.ROSTER)) == 10
    assert words.spoken(b"data", words.CHECK) != words.spoken(b"date", words.CHECK)
