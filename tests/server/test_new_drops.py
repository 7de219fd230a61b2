"""The operator's emergency switch: no new drops, while those that there are go on: row OP04."""

import pytest

from backchannel.protocol.drop import read_voucher
from backchannel.server.operate import vouchers
from backchannel.server.operate.reach import reach
from tests.server.inside import Opener
from tests.server.test_cli import document, invoke
from tests.support.relay import DropClient, RefusedError, noise, running_relay

pytestmark = pytest.mark.stores


def test_no_new_drop_is_made_and_nobody_loses_a_voucher(open_inside: Opener) -> None:
    inside = open_inside()
    there, voucher = inside.stranger(), inside.voucher()
    there.create(voucher)
    (later,) = vouchers.mint(inside.home, 1)
    inside = open_inside(new_drops=False)
    there.http = inside.http
    with pytest.raises(RefusedError, match="busy"):
        inside.stranger().create(read_voucher(later))
    there.create(voucher)  # who lost the answer asks again
    there.append(*noise(2))
    assert len(there.read().rows) == 2
    there.seal()
    there.delete()
    assert vouchers.count(inside.home) == 1
    open_inside().stranger().create(read_voucher(later))


def test_a_stranger_learns_nothing_of_it(open_inside: Opener) -> None:
    """Who has no voucher is told what it is told at any time."""
    for new_drops in (True, False):
        stranger = open_inside(new_drops=new_drops).stranger()
        with pytest.raises(RefusedError, match="voucher-refused"):
            stranger.create(bytes(16))


@pytest.mark.sqlite
def test_a_reload_is_enough_and_doctor_and_test_know_of_it() -> None:
    with running_relay() as relay:
        client = DropClient.connect(relay.url)
        client.create(relay.voucher())
        (relay.data / "relay.toml").write_text("new_drops = false\n")
        relay.restart()
        client.url = relay.url
        client.append(*noise())
        assert "this relay's key" in reach(relay.url, client.relay)
        _, said, _ = invoke("test", "--data", relay.data)
        assert "new_drops" in said
        assert document("vouchers", "count", "--data", relay.data)["unused"] == 0
