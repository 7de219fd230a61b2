"""`backchannel-relay`: finds the operator's verb, runs it, and turns a failure into a sentence and
a code.

Loads a verb's module only when that verb runs. Knows no verb's options.
"""

import sys
from errno import ENOSPC
from importlib import import_module
from typing import NamedTuple, NoReturn, final

import click
from click.exceptions import NoArgsIsHelpError

from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.options import CONTEXT, hint, tell

_COMMANDS = "backchannel.server.commands."
_DOCTOR = "backchannel-relay doctor --data DIR; if that finds nothing, report a bug"


class _Verb(NamedTuple):
    where: str
    """`module:attribute` below `commands`."""
    text: str
    section: str


_RUN, _LOOK, _KEEP, _GO = "Run it", "Look at it", "Keep it", "Move it, or end it"
_VERBS = {
    "init": _Verb("running:init", "Make a relay: configuration, keys, empty store.", _RUN),
    "serve": _Verb("running:serve", "Run the relay until it is told to end.", _RUN),
    "quickstart": _Verb("running:quickstart", "All of it at once, for a trial.", _RUN),
    "vouchers": _Verb("vouchers:vouchers", "Mint, count, take back what pays for drops.", _RUN),
    "check": _Verb("looking:check", "Say whether relay.toml is right.", _LOOK),
    "doctor": _Verb("looking:doctor", "Look for trouble, and how to mend it.", _LOOK),
    "health": _Verb("looking:health", "Ask the running relay whether it works.", _LOOK),
    "test": _Verb("looking:test", "Try it from end to end, and leave nothing.", _LOOK),
    "retention": _Verb("telling:retention", "List what is kept where, how long.", _LOOK),
    "legal": _Verb("telling:legal", "Print what this server holds, for a request.", _LOOK),
    "backup": _Verb("keeping:backup", "Write what it needs to come back; check it.", _KEEP),
    "restore": _Verb("keeping:restore", "Make a relay out of a backup; list them.", _KEEP),
    "db": _Verb("keeping:db", "Bring its tables to this version; say what it takes.", _KEEP),
    "move": _Verb("ending:move", "Move its store into PostgreSQL.", _GO),
    "decommission": _Verb("ending:decommission", "End it for good, keys first.", _GO),
    "guide": _Verb("ending:guide", "Print what to do, step by step.", _GO),
}
_SECTIONS = (_RUN, _LOOK, _KEEP, _GO)


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
        for heading in _SECTIONS:
            rows = [(name, verb.text) for name, verb in _VERBS.items() if verb.section == heading]
            with formatter.section(heading):
                formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings=CONTEXT)
@click.version_option(package_name="backchannel", prog_name="backchannel-relay")
def commands() -> None:
    """Run a Backchannel relay: it keeps blocks of noise in drops, for hours, and forgets them."""


def main() -> NoReturn:
    """The program: every way out has an exit code, and none shows a traceback."""
    try:
        commands.main(prog_name="backchannel-relay", standalone_mode=False)
    except click.ClickException as error:
        _mistake(error)
        _leave(f"{_path(error)} --help", error.exit_code)
    except OperatorError as error:
        tell(f"error: {error}", err=True)
        _leave(error.next, error.code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(exits.INTERRUPTED)
    except OSError as error:
        tell(f"error: {error.strerror or type(error).__name__}", err=True)
        _leave("make room on the disk" if error.errno == ENOSPC else _DOCTOR, exits.FAILED)
    except Exception as error:  # noqa: BLE001 - the last net
        tell(f"error: unexpected: {type(error).__name__}", err=True)
        _leave(_DOCTOR, exits.FAILED)
    sys.exit(0)


def _mistake(error: click.ClickException) -> None:
    if isinstance(error, NoArgsIsHelpError):
        error.show()
    else:
        tell(f"error: {error.format_message()}", err=True)


def _leave(next_: str, code: int) -> NoReturn:
    hint(next_)
    sys.exit(code)


def _path(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return context.command_path if context else "backchannel-relay"
