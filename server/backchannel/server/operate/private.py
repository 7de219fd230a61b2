"""New files outside the data directory that only their owner may read. Knows nothing of what is in
them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from backchannel.server import exits
from backchannel.server.errors import OperatorError


@contextmanager
def new(file: Path) -> Iterator[BinaryIO]:
    """To write; 0600, and on the disk when this ends. It follows no link and overwrites nothing
    (`OperatorError`); where writing fails, no file is left.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        message = f"the file {file} cannot be made: {error.strerror}"
        raise OperatorError(message, next_="name a new file", code=exits.REFUSED) from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
    except OSError as error:
        file.unlink(missing_ok=True)
        message = f"{file} cannot be written: {error.strerror}"
        raise OperatorError(message, next_="make room, or name a file elsewhere") from None
    except BaseException:
        file.unlink(missing_ok=True)
        raise
