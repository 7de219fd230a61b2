"""`demo`: the whole job, played on this machine with real processes."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import click

from backchannel.client.app import App
from backchannel.client.machine.clock import elapsed
from backchannel.client.options import verb


@verb("demo")
@click.option(
    "--keep", is_flag=True, help="Leave the homes and the relay's data, and say how to go on."
)
def demo(app: App, *, keep: bool) -> None:
    """Play a whole dialogue: a relay, a facilitator, two participants, each with a vault.

    Uses a temporary folder and ports of this machine only; touches nothing of yours.

    \b
    Examples:
      backchannel demo
      backchannel demo --keep
    """
    from backchannel.client.demo.play import Play

    folder, began = Path(tempfile.mkdtemp(prefix="backchannel-demo-")), elapsed()
    try:
        play = Play(app.ui, folder)
        try:
            found = play.perform()
        finally:
            play.end()
        _conclude(app, play, found, elapsed() - began, folder if keep else None)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _conclude(
    app: App, play: Any, found: dict[str, Any], seconds: float, kept: Path | None
) -> None:
    by_hand = [f"cd {kept}", f"{play.operator.by_hand()} &"]
    by_hand += [each.by_hand() for each in play.people.values()]
    document = {"seconds": round(seconds, 1), "kept": str(kept) if kept else None}
    app.ui.show(found | document | {"by_hand": by_hand if kept else []})
    app.ui.say()
    app.ui.say(f"Done in {seconds:.0f} seconds, with {len(found['claims'])} claims checked.")
    if not kept:
        app.ui.say("All of it has been removed. To keep it: backchannel demo --keep")
        return
    app.ui.say("To go on, start the relay again, and be any of the three:")
    for line in by_hand:
        app.ui.say(f"  {line}")
    app.ui.say(f"When you are done: rm -r {kept}")
