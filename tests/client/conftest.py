"""What most tests of the client start from: a home with a vault, and the vault open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.client.machine.profile import Profile
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.vault import Vault
from tests.support.people import NOON, add_channel, make_vault


@pytest.fixture
def made(tmp_path: Path) -> tuple[Profile, VaultKey]:
    """A home with a fresh vault."""
    return make_vault(tmp_path / "home")


@pytest.fixture
def vault(made: tuple[Profile, VaultKey]) -> Iterator[Vault]:
    """That vault, open, with one channel."""
    with Vault(*made, NOON) as opened:
        add_channel(opened)
        yield opened
