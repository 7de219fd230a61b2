"""A file between vault and disk: whether it is whole, where it may be written. Shows nothing."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from backchannel.client.app import App
from backchannel.client.errors import ClientError, NotFound, Refused, UsageMistake
from backchannel.client.rounds.session import look
from backchannel.client.telling.shown import Opened
from backchannel.protocol import files as rules
from backchannel.protocol.errors import DecodeError, RemoteProtocolError
from backchannel.protocol.filename import check_file_name
from backchannel.protocol.outcome import Offered
from backchannel.protocol.secret import FileKey
from backchannel.protocol.types import ContentHash, Core

if TYPE_CHECKING:
    from backchannel.client.vault.channels import ChannelRow
    from backchannel.client.vault.vault import Vault


def offer(found: Opened) -> Offered:
    """What the vault keeps of an offer, as the protocol has it."""
    message, plain = found
    return Offered(
        message.id,
        message.thread,
        message.author,
        plain["name"],
        plain["size"],
        FileKey(bytes.fromhex(plain["key"])),
        tuple(ContentHash(bytes.fromhex(name)) for name in plain["index"]),
        message.hour,
        message.order,
        message.content,
        message.expires,
    )


def shelf(app: App, vault: "Vault", row: "ChannelRow") -> rules.Shelf:
    """Where the cores of a channel's files are kept."""
    now = app.now()
    session = look(vault, row.name, now, app.entropy)
    kept: dict[ContentHash, Core | None] = {}

    def get(name: ContentHash) -> Core | None:
        if name not in kept:
            kept[name] = vault.cores.get(row.id, name, now)
        return kept[name]

    return rules.Shelf(session.state, session.channel.clocks, get, now)


def progress(app: App, vault: "Vault", row: "ChannelRow", found: Opened) -> rules.Progress:
    """How much of a file is here."""
    return rules.progress(shelf(app, vault, row), offer(found))


def whole(
    app: App, vault: "Vault", row: "ChannelRow", found: Opened, problem: ClientError | None
) -> bytes:
    """All of it; `NotFound` while blocks are missing, `Refused` for one that was spoiled."""
    held, wanted = shelf(app, vault, row), offer(found)
    try:
        here, total = rules.progress(held, wanted)
        if here < total:
            raise _missing(here, total, problem)
        return rules.assemble(held, wanted)
    except RemoteProtocolError:
        msg = f"{wanted.name} is not what its post says: its author sent something else."
        raise Refused(msg, "ask for it again, by voice") from None


def _missing(here: int, total: int, problem: ClientError | None) -> ClientError:
    msg = f"{total - here} of {total} blocks of this file are not here yet."
    if problem is not None:
        problem.message = f"{problem.message} {msg}"
        return problem
    step = "backchannel sync, and again in a few minutes; if it stays so, ask for the file again"
    return NotFound(msg, step)


def place(path: Path | None, name: str) -> Path:
    """Where to write: a name that others chose is checked, one's own path is one's own matter."""
    if path is not None and not path.is_dir():
        target = path
    else:
        try:
            target = (path or Path()) / check_file_name(name)
        except DecodeError:
            msg = "The file's name could mislead. Nothing was written."
            raise UsageMistake(msg, "backchannel file save N PATH, with a name of yours") from None
    if os.path.lexists(target):
        msg = f"{target} is there already. Nothing was written."
        raise UsageMistake(msg, "backchannel file save N PATH, with another name")
    return target


def write(target: Path, data: bytes, instead: str = "backchannel file save N PATH") -> None:
    """A new file for nobody else; what stands there is never touched, and no half is left."""
    write_parts(target, [data], instead)


def write_parts(target: Path, parts: Iterable[bytes], instead: str, *, force: bool = False) -> int:
    """The same, of parts; how many bytes. With `force` in place of a file or of a link, never of
    what that leads to.
    """
    made = done = False
    try:
        if force and (target.is_symlink() or target.is_file()):
            target.unlink()
        number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        made = True
        with os.fdopen(number, "wb") as file:
            size = sum(map(file.write, parts))
            file.flush()
            os.fsync(number)
        done = True
    except OSError as error:
        msg = f"{target} cannot be written: {error.strerror}. Nothing was written."
        raise UsageMistake(msg, instead) from None
    finally:
        if made and not done:
            target.unlink(missing_ok=True)
    return size
