"""How long one command waits for relays that ask for it, and what a person sees of that.

Knows neither vault nor network.
"""

import time
from typing import TYPE_CHECKING, Final, final

from backchannel.client.errors import RateLimited
from backchannel.client.wire.respite import UNPROVED

if TYPE_CHECKING:
    from backchannel.client.app import App

_SHORT: Final = UNPROVED + UNPROVED // 4  # seconds that a command waits rather than end
_IN_ALL: Final = 600  # seconds of waiting in one command, while it gets on
_IN_VAIN: Final = 2  # waits after which nothing had moved


@final
class Patience:
    """One command's: it waits where that is short, shows it, and has an end."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self._spent = 0
        self._vain = 0

    def again(self, error: RateLimited, *, moved: bool) -> bool:
        """Wait as `error` says, and whether to try again; at once false where that is too long for
        a command. `moved` says whether the last try got anything further.
        """
        self._vain = 0 if moved else self._vain + 1
        self._spent += error.retry_after
        if error.retry_after > _SHORT or self._spent > _IN_ALL or self._vain > _IN_VAIN:
            return False
        text = f"The relay asks to wait {error.span}; it goes on by itself then."
        with self._app.ui.countdown(text, error.retry_after) as tell:
            for left in range(error.retry_after, 0, -1):
                self._app.awake()
                tell(left)
                time.sleep(1)
        return True
