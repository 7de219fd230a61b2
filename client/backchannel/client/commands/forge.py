"""`forge`: a transcript in anybody's name, by the same code that makes real ones."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.errors import Refused, UsageMistake
from backchannel.client.options import channel_option, thread_option, verb
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.client.keeping.script import Line
    from backchannel.client.keeping.showing import Drawn
    from backchannel.client.rounds.session import Session
    from backchannel.protocol.types import ThreadId


@verb("forge")
@click.option("--as", "alias", metavar="ALIAS", help="Who is to have said it.")
@click.option("--text", metavar="TEXT", help="What they are to have said.")
@click.option(
    "--script", metavar="FILE", type=click.Path(path_type=Path),
    help="A whole conversation, in lines of ALIAS: TEXT.",
)  # fmt: skip
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), required=True,
    help="The transcript, a new file.",
)  # fmt: skip
@thread_option
@channel_option
def forge(
    app: App,
    *,
    alias: str | None,
    text: str | None,
    script: Path | None,
    out: Path,
    thread: str | None,
    channel: str | None,
) -> None:
    """Write a transcript of what nobody said, which is accepted like a real one.

    This is why a transcript proves nothing: all that you need to read somebody is all that it
    takes to write as them. Nothing is sent, and nothing in your vault changes.

    A script has a line for each message: ALIAS: TEXT. An hour may stand before it, in UTC and
    rising: [2026-11-22 08] ALIAS: TEXT. A line that begins with a space goes on with the message
    above, one that begins with # is skipped. With --as, lines that name nobody are theirs.

    \b
    Examples:
      backchannel forge --as Heron --text 'I never said so.' --out heron.txt
      backchannel forge --script talk.txt --out talk.transcript
      backchannel transcript check talk.transcript
    """
    from backchannel.client.keeping import showing
    from backchannel.client.rounds.session import look
    from backchannel.client.telling.choosing import pick_channel, pick_thread

    if (text is None) == (script is None) or (text is not None and alias is None):
        msg = "Say who is to have said what. Nothing was written."
        raise UsageMistake(msg, "give --as ALIAS with --text TEXT, or give --script FILE")
    with app.vault() as vault:
        row = pick_channel(vault, channel)
        session = look(vault, row.name, app.now(), app.entropy)
        where = pick_thread(session.state, thread).id
        if session.state.off_the_record(where):
            msg = "What is said off the record stands in no transcript. Nothing was written."
            raise Refused(msg, "leave out --thread, or name another")
        lines = _lines(session, alias, text, script)
        drawn = _drawn(app, session, lines, where)
    showing.write(out, drawn, "backchannel forge --out FILE, with another name")
    count = len(drawn.exhibit.statements)
    app.ui.show(
        {"channel": row.name, "path": str(out), "messages": count, "size": len(drawn.data)},
        f"Wrote {phrases.count(count, 'message')} to {out}, which nobody said.",
        f"next: backchannel transcript check {out}",
    )


def _lines(
    session: "Session", alias: str | None, text: str | None, path: Path | None
) -> "list[Line]":
    from backchannel.client.keeping import script

    state, now = session.state, session.hour

    def known(name: str) -> bool:
        return state.current().named(name) is not None

    if alias is not None and not known(alias):
        msg = f"Nobody here is called {alias}. Nothing was written."
        raise UsageMistake(msg, "backchannel members")
    if path is not None:
        return script.read(path, known, alias, now)
    return [script.Line(0, alias or "", text or "", now)]


def _drawn(app: App, session: "Session", lines: "list[Line]", thread: "ThreadId") -> "Drawn":
    """Each line is said on a copy of the channel, and taken in as from a relay."""
    from backchannel.client.keeping import script, showing
    from backchannel.client.rounds.session import allowed
    from backchannel.protocol.errors import DecodeError, LocalProtocolError
    from backchannel.protocol.forge import Forger
    from backchannel.protocol.types import start_of

    forger, made = Forger(session.channel), []
    for line in lines:
        now = session.now if line.hour == session.hour else start_of(line.hour)
        try:
            forged = forger.say(line.alias, thread, line.text, now, app.entropy)
        except (DecodeError, LocalProtocolError) as error:
            if line.number:
                raise script.mistake(line.number, phrases.sentence(str(error))) from None
            with allowed():
                raise
        made.append(showing.of_said(session.state, forged.said, forged.cores))
    return showing.draw_up(session.state, made, len(lines))
