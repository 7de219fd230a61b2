"""What answers at an address may be anybody."""

import pytest

from backchannel.server.operate.asking import Said


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"\xff", b"[" * 1_000_000, b'{"a":' * 200_000])
def test_attack_what_is_no_document_is_an_empty_one(body: bytes) -> None:
    assert Said(200, body).json() == {}
