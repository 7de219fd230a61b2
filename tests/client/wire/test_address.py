"""A relay's address: one spelling, and nothing sent in the clear by mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.client.errors import UsageMistake
from backchannel.client.wire.address import Address

ONION = "a" * 56 + ".onion"


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("https://relay.example", "https://relay.example"),
        (" HTTPS://Relay.Example:443/ ", "https://relay.example"),
        ("https://relay.example:8443", "https://relay.example:8443"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        (f"http://{ONION}", f"http://{ONION}"),
    ],
)
def test_one_spelling_of_each(text: str, spelled: str) -> None:
    assert str(Address.parse(text)) == spelled
    assert str(Address.parse(spelled)) == spelled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "relay.example",
        "ftp://relay.example",
        "https://",
        "https://user:secret@relay.example",
        "https://relay.example/path",
        "https://relay.example?drop=1",
        "https://relay.example#a",
        "https://relay.example:0",
        "https://relay.example:65536",
        "https://relay..example",
        "https://-relay.example",
        "https://relay.exam\u0440le",
        "https://relay.example\\@127.0.0.1",
        "https://" + "a" * 249,
    ],
)
def test_nothing_else_is_an_address(text: str) -> None:
    with pytest.raises(UsageMistake, match="not the address of a relay"):
        Address.parse(text)


@pytest.mark.parametrize("host", ["relay.example", "127.0.0.1.example", "localhost.it", "10.0.0.1"])
def test_without_tls_only_this_machine_and_onions_are_reached(host: str) -> None:
    with pytest.raises(UsageMistake, match="everybody on the way") as caught:
        Address.parse(f"http://{host}")
    assert "https" in caught.value.next_step
    assert Address.parse(f"http://{host}", allow_http=True).host == host


@given(st.text())
def test_whatever_is_given_it_is_an_address_or_a_mistake(text: str) -> None:
    try:
        address = Address.parse(text)
    except UsageMistake:
        return
    assert Address.parse(str(address)) == address
