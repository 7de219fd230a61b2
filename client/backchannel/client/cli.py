"""The program `backchannel`: finds the verb, runs it, turns a failure into a sentence and a code.

Loads a verb's module only when that verb runs. Knows no verb's options.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, NoReturn, final

import click
from click.exceptions import NoArgsIsHelpError, NoSuchOption

from backchannel.client.app import App
from backchannel.client.errors import Problem, explain
from backchannel.client.exits import Exit
from backchannel.client.machine.memory import harden
from backchannel.client.options import common
from backchannel.protocol.errors import BackchannelError

_COMMANDS = "backchannel.client.commands."
_DEBUG = "BACKCHANNEL_DEBUG"


class _Verb(NamedTuple):
    where: str
    """`module:attribute` below `commands`."""
    text: str
    section: str


_TALK, _ROOM, _LEAD, _HERE = "Talk", "Join, and know the room", "Convene", "This machine"
_LINE = "Hotline"
_VERBS = {
    "say": _Verb("talk:say", "Send a message; returns when a relay has it.", _TALK),
    "read": _Verb("talk:read", "Show the messages that have not expired.", _TALK),
    "thread": _Verb("thread:thread", "Open a thread, shorten one, list them.", _TALK),
    "file": _Verb("file:file", "Send a file, save one, list them.", _TALK),
    "hand": _Verb("hand:hand", "Ask for the floor, or no longer.", _TALK),
    "release": _Verb("carry:release", "Let words of yours be carried elsewhere.", _TALK),
    "drafts": _Verb("drafts:drafts", "Show what waits to be said unattributed.", _TALK),
    "sync": _Verb("sync:sync", "Fetch and deliver without showing anything.", _TALK),
    "status": _Verb("status:status", "Show where things stand and what to do next.", _TALK),
    "watch": _Verb("watch:watch", "Stay, keep the line going, tell what changes.", _TALK),
    "courier": _Verb("courier:courier", "Carry a channel by hand, in a file.", _TALK),
    "incident": _Verb("incident:incident", "Report an incident, and see it through.", _LINE),
    "convene": _Verb("convene:convene", "Call everybody together at once; answer.", _LINE),
    "hotline": _Verb("hotline:hotline", "Test whether the line carries.", _LINE),
    "duty": _Verb("duty:duty", "Say who is on duty and when; check it.", _LINE),
    "join": _Verb("join:join", "Join a channel with twelve words.", _ROOM),
    "channel": _Verb("channel:channel", "Open a channel, list, show or leave them.", _ROOM),
    "relay": _Verb("relay:relay", "Show or change on which relays it stands.", _ROOM),
    "members": _Verb("members:members", "Show who can read, and ten words.", _ROOM),
    "verify": _Verb("verify:verify", "Compare words, and mark who was compared.", _ROOM),
    "whoami": _Verb("members:whoami", "Show who you are here, and what you may do.", _ROOM),
    "roles": _Verb("role:roles", "Show what each role may do.", _ROOM),
    "policy": _Verb("policy:policy", "Show the rules, change or agree to them.", _ROOM),
    "vouch": _Verb("vouch:vouch", "Stand up for somebody who is presented.", _ROOM),
    "object": _Verb("vouch:object_", "Object to them, to the facilitators alone.", _ROOM),
    "epoch": _Verb("epoch:epoch", "Show how old the keys are, or renew them.", _ROOM),
    "log": _Verb("log:log", "Show what facilitators did.", _ROOM),
    "record": _Verb("log:record", "Show whether all have the same record.", _ROOM),
    "alarms": _Verb("log:alarms", "Show what an honest channel does not show.", _ROOM),
    "transcript": _Verb("transcript:transcript", "Put what was said in a file; check one.", _ROOM),
    "forge": _Verb("forge:forge", "Forge a transcript: why none proves anything.", _ROOM),
    "invite": _Verb("invite:invite", "Invite one person: a relay and twelve words.", _LEAD),
    "lobby": _Verb("lobby:lobby", "Show who waits to be admitted.", _LEAD),
    "present": _Verb("vouch:present", "Ask the members about somebody who waits.", _LEAD),
    "admit": _Verb("lobby:admit", "Admit somebody who waits.", _LEAD),
    "refuse": _Verb("lobby:refuse", "Refuse somebody who waits.", _LEAD),
    "remove": _Verb("remove:remove", "Take somebody out, under new keys.", _LEAD),
    "compromised": _Verb("remove:compromised", "The same for a lost device, at once.", _LEAD),
    "handover": _Verb("handover:handover", "Let somebody take another's place.", _LEAD),
    "role": _Verb("role:role", "Give somebody another role.", _LEAD),
    "floor": _Verb("hand:floor", "Let one speak, or everybody.", _LEAD),
    "carry": _Verb("carry:carry", "Carry released words to another channel.", _LEAD),
    "paraphrase": _Verb("carry:paraphrase", "Ask an author for other words.", _LEAD),
    "unlock": _Verb("unlock:unlock", "Type the passphrase once for a while.", _HERE),
    "lock": _Verb("unlock:lock", "Forget the key now.", _HERE),
    "tick": _Verb("tick:tick", "Erase what has expired; by a timer, too.", _HERE),
    "purge": _Verb("purge:purge", "Erase a thread, or everything, now.", _HERE),
    "duress": _Verb("duress:duress", "Set a passphrase that erases everything.", _HERE),
    "backup": _Verb("backup:backup", "Write where you are, not what was said.", _HERE),
    "restore": _Verb("backup:restore", "List channels again that a backup names.", _HERE),
    "retention": _Verb("retention:retention", "List what is kept where, how long.", _HERE),
    "passphrase": _Verb("passphrase:passphrase", "Practise your passphrase.", _HERE),
    "doctor": _Verb("doctor:doctor", "Check this installation and its relays.", _HERE),
    "paths": _Verb("paths:paths", "Show where everything is kept.", _HERE),
    "demo": _Verb("demo:demo", "Play a whole dialogue on this machine.", _HERE),
}
_EXAMPLES = """\b
Examples:
  backchannel join https://relay.example
  backchannel unlock --for 1h
  backchannel say 'We can meet on Thursday.'
  backchannel read --follow
"""


@final
class LazyGroup(click.Group):
    """Verbs by a table: `--help` loads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of the table."""
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one."""
        del ctx
        found = _VERBS.get(cmd_name)
        if found is None:
            return None
        module, _, attribute = found.where.partition(":")
        command: click.Command = getattr(import_module(_COMMANDS + module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that was typed; for an unknown one, the nearest is named."""
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], _VERBS, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            msg = f"There is no verb {args[0]!r}.{meant}"
            raise click.UsageError(msg, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs under their headings."""
        del ctx
        for heading in (_TALK, _LINE, _ROOM, _LEAD, _HERE):
            rows = [(name, verb.text) for name, verb in _VERBS.items() if verb.section == heading]
            with formatter.section(heading):
                formatter.write_dl(rows)


def _show_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"backchannel {version('backchannel')}")
        context.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and exit.",
)  # fmt: skip
@common
@click.pass_context
def backchannel(context: click.Context) -> None:
    """Quiet, deniable, expiring channels for small unofficial dialogues."""
    if context.invoked_subcommand is None:
        _welcome(context, context.ensure_object(App))


def _welcome(context: click.Context, app: App) -> None:
    """`backchannel` alone: where things stand, and the next useful command. Asks for nothing."""
    from backchannel.client.unlocking import unlocked

    if not app.profile.has_vault:
        app.ui.show(
            {"vault": "none", "next": "backchannel join URL"},
            "Backchannel has not been used here yet.",
            "next: backchannel join URL        with the twelve words you were given",
            "   or backchannel channel new NAME   to convene a channel of your own",
        )
    elif unlocked.ask(app.profile) is None:
        app.ui.show(
            {"vault": "locked", "next": "backchannel unlock"},
            "The vault is locked.",
            "next: backchannel unlock",
        )
    else:
        from backchannel.client.commands.status import status

        context.invoke(status, offline=True)


def run(arguments: Sequence[str], app: App) -> int:
    """Run one command line; the exit code."""
    try:
        result = backchannel.main(
            list(arguments), prog_name="backchannel", standalone_mode=False, obj=app
        )
    except click.ClickException as error:
        return _fail(app, _usage(error))
    except click.Abort:
        return Exit.INTERRUPTED
    except BackchannelError as error:
        _trace(app)
        return _fail(app, explain(error))
    except BrokenPipeError:
        # The reader has gone; without this the interpreter complains when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.UNEXPECTED
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets a sentence
        _trace(app)
        return _fail(app, _unexpected(error))
    return result if isinstance(result, int) else Exit.DONE


def _fail(app: App, problem: Problem) -> int:
    if "--json" in sys.argv:  # parsing may have failed before it came to this flag
        app.ui.json = True
    app.ui.fail(problem)
    return problem.status


def _usage(error: click.ClickException) -> Problem:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path, message = context.command_path if context else "backchannel", error.format_message()
    if (
        context
        and isinstance(error, NoArgsIsHelpError)
        and isinstance(context.command, click.Group)
    ):
        message = f"{path} is followed by one of: {', '.join(context.command.commands)}."
    group = context and isinstance(context.command, click.Group)
    if group and isinstance(error, NoSuchOption) and error.option_name == "--channel":
        message = "--channel NAME stands after the verb, as in: backchannel read --channel NAME"
    return Problem("usage", message, f"{path} --help", Exit.USAGE)


def _unexpected(error: Exception) -> Problem:
    # Not its text: nobody has looked whether that may be shown.
    message = f"Unexpected: {type(error).__name__}. This is a fault of the program."
    return Problem("unexpected", message, f"set {_DEBUG}=1 to see where", Exit.UNEXPECTED)


def _trace(app: App) -> None:
    if os.environ.get(_DEBUG) == "1":
        import traceback

        app.ui.note(traceback.format_exc().rstrip())  # it may quote what others wrote


def main() -> NoReturn:
    """The installed program."""
    os.umask(0o077)
    harden()
    sys.exit(run(sys.argv[1:], App()))
