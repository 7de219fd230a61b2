"""What a person is told of several relays: little, while one of them will do."""

import pytest

from backchannel.client.errors import (
    ClientError,
    ClockApart,
    DropFull,
    DropSealed,
    NoVoucher,
    RateLimited,
    RelayDown,
    RelayGarbage,
    RelayKeyChanged,
    RelaySlow,
    UnknownDrop,
    UsageMistake,
    VoucherRefused,
)
from backchannel.client.rounds.verdict import worth_telling

ONE, TWO, LEFT = "https://one", "https://two", "https://left"
PASSING = [
    RelayDown("down"), RelaySlow("slow"), RelayGarbage("garbage"), RateLimited("It", 5),
    UnknownDrop("unknown"), DropFull("full"), DropSealed("sealed"), UsageMistake("address"),
]  # fmt: skip
GRAVE = [
    RelayKeyChanged("key"), ClockApart("clock"), VoucherRefused("voucher"), NoVoucher("voucher")
]  # fmt: skip


@pytest.mark.parametrize("error", PASSING, ids=lambda each: type(each).__name__)
def test_one_that_fails_concerns_nobody_while_another_will_do(error: ClientError) -> None:
    assert worth_telling({ONE: error}, [ONE, TWO]) is None
    assert worth_telling({ONE: error}, [ONE]) is error
    assert worth_telling({TWO: error, ONE: PASSING[0]}, [ONE, TWO]) is error


@pytest.mark.parametrize("error", GRAVE, ids=lambda each: type(each).__name__)
def test_what_another_relay_does_not_make_up_for_is_told(error: ClientError) -> None:
    assert worth_telling({ONE: error}, [ONE, TWO]) is error
    assert worth_telling({TWO: PASSING[0], ONE: error}, [ONE, TWO]) is error


def test_a_relay_that_the_channel_has_left_concerns_nobody() -> None:
    for error in (*PASSING, *GRAVE):
        assert worth_telling({LEFT: error}, [ONE]) is None
    assert worth_telling({}, [ONE]) is None
