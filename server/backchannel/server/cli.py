"""`backchannel-relay`: the operator's commands. Words in and out; what they do stands elsewhere."""

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from backchannel.server import exits
from backchannel.server.errors import OperatorError

if TYPE_CHECKING:
    from backchannel.server.holdings import Holding
    from backchannel.server.home import Home
    from backchannel.server.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
_SCHEMA_VERSION = 1


def _data(command: F) -> F:
    return click.option(
        "--data",
        "home",
        required=True,
        envvar="BACKCHANNEL_RELAY_DATA",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        callback=_home,
        help="The relay's data directory (or BACKCHANNEL_RELAY_DATA).",
    )(command)


def _json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def _home(_context: click.Context, _parameter: click.Parameter, path: Path) -> "Home":
    from backchannel.server.home import Home

    return Home(path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="backchannel", prog_name="backchannel-relay")
def commands() -> None:
    """Run a Backchannel relay: it keeps blocks of noise in drops, for hours, and forgets them."""


@commands.command()
@_data
@_json
def init(home: "Home", *, as_json: bool) -> None:
    """Make a relay: configuration, keys and an empty store in DIR."""
    from backchannel.server import setup

    key = setup.make(home).value.hex()
    _say(
        [f"a relay is made in {home.path}", f"its key: {key}"],
        {"data": str(home.path), "static_key": key},
        as_json=as_json,
    )
    if not as_json:
        _next(f"backchannel-relay serve --data {home.path}")


@commands.command()
@_data
@click.option("--host", help="The address to listen on.  [default: from relay.toml]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 takes a free one.")
@click.option("--tls-cert", type=click.Path(), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(), help="Its private key (PEM).")
@click.option(
    "--accept-clock", is_flag=True, help="The clock is right: destroy what expired by it."
)
def serve(home: "Home", *, accept_clock: bool, **chosen: str | int | None) -> None:
    """Run the relay in DIR until it is told to end."""
    settings = _settings(home, {key: value for key, value in chosen.items() if value is not None})
    _serve(home, settings, accept_clock=accept_clock)


@commands.command()
@_data
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 takes a free one.")
@click.option(
    "--vouchers",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    help="How many to mint.",
)
def quickstart(home: "Home", port: int | None, vouchers: int) -> None:
    """A working relay on this machine: init if need be, mint vouchers, serve."""
    from backchannel.server import setup

    if not home.config.exists():
        setup.make(home)
    for voucher in setup.mint(home, vouchers):
        click.echo(voucher)
    _serve(home, _settings(home, {} if port is None else {"port": port}))


@commands.group()
def vouchers() -> None:
    """Vouchers: each pays for one drop."""


@vouchers.command()
@click.argument("count", metavar="N", type=click.IntRange(1, 10_000))
@_data
@_json
def mint(home: "Home", count: int, *, as_json: bool) -> None:
    """Make N vouchers and print them, one a line. Nobody can print them again."""
    from backchannel.server import setup

    minted = setup.mint(home, count)
    _say(minted, {"vouchers": minted}, as_json=as_json)


@commands.command()
@_data
@_json
def check(home: "Home", *, as_json: bool) -> None:
    """Say whether relay.toml is right, before a restart finds out."""
    from backchannel.server import settings, tls

    home.check()
    loaded, unknown = settings.load(home.config)
    tls.check_certificate(loaded)
    warnings = [f"unknown key: {key}" for key in unknown]
    _say(
        [*warnings, "the configuration is right"],
        {"ok": True, "warnings": warnings},
        as_json=as_json,
    )


@commands.command()
@_data
@_json
@click.option("--url", help="The relay's public address: is it reached from outside?")
def doctor(home: "Home", url: str | None, *, as_json: bool) -> None:
    """Look for trouble: a line per check, and how to mend what is wrong."""
    from backchannel.server.doctor import examine

    findings = list(examine(home, url))
    well = all(finding.ok for finding in findings)
    lines = []
    for finding in findings:
        mark = "FAIL" if not finding.ok else "warn" if finding.next else "ok  "
        lines.append(f"{mark} {finding.name}: {finding.detail}")
        lines += [f"     next: {finding.next}"] if finding.next else []
    document = {"ok": well, "checks": [finding._asdict() for finding in findings]}
    _say(lines, document, as_json=as_json)
    sys.exit(0 if well else exits.FAILED)


@commands.command()
@_data
@_json
def health(home: "Home", *, as_json: bool) -> None:
    """Ask the running relay whether it works; exit code 0 or 1."""
    from backchannel.server import health as asking

    try:
        hour = asking.ask(home)
    except OperatorError as error:
        error.code = exits.FAILED  # what a container's health check understands
        raise
    _say(["the relay answers"], {"ok": True, "hour": hour}, as_json=as_json)


@commands.command()
@_data
@_json
def retention(home: "Home", *, as_json: bool) -> None:
    """List every place where this relay keeps anything, and for how long."""
    from backchannel.server.holdings import holdings

    held = holdings(home)
    pairs = zip(held, [None, *held], strict=False)
    lines = [line for each, before in pairs for line in _held(each, before)]
    _say(lines, {"holdings": [each._asdict() for each in held]}, as_json=as_json)


@commands.command()
@_data
@_json
def legal(home: "Home", *, as_json: bool) -> None:
    """Print what this server holds and what it does not, for answering a request."""
    from backchannel.server.holdings import survey
    from backchannel.server.legal import absent, letter

    store = survey(home)
    tables = {
        name: {"rows": store.rows[name], "columns": columns}
        for name, columns in store.columns.items()
    }
    document = {"hour": store.now, "tables": tables, "absent": absent(store)}
    _say(letter(store), document, as_json=as_json)


def main() -> NoReturn:
    """The program: every way out has an exit code, and none shows a traceback."""
    try:
        commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        _leave(f"{_path(error)} --help", error.exit_code)
    except OperatorError as error:
        click.echo(f"error: {error}", err=True)
        _leave(error.next, error.code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(exits.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last net
        click.echo(f"error: unexpected: {type(error).__name__}", err=True)
        _leave(
            "backchannel-relay doctor --data DIR; if that finds nothing, report a bug", exits.FAILED
        )
    sys.exit(0)


def _held(holding: "Holding", before: "Holding | None") -> list[str]:
    now = f" ({holding.now})" if holding.now else ""
    known = before is not None and before.what == holding.what
    said = [] if known else [f"what: {holding.what}"]
    lines = [f"{holding.name}, in {holding.where}{now}"]
    for each in (*said, f"kept: {holding.kept}"):
        lines += textwrap.wrap(each, 78, initial_indent="  ", subsequent_indent="    ")
    return lines


def _leave(next_: str, code: int) -> NoReturn:
    _next(next_)
    sys.exit(code)


def _next(what: str) -> None:
    click.echo(f"next: {what}", err=True)


def _path(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return context.command_path if context else "backchannel-relay"


def _say(lines: list[str], document: dict[str, Any], *, as_json: bool) -> None:
    whole = {"schema_version": _SCHEMA_VERSION, **document}
    click.echo(json.dumps(whole, indent=2) if as_json else "\n".join(lines))


def _settings(home: "Home", chosen: dict[str, Any]) -> "Settings":
    from backchannel.server import settings

    home.check()
    loaded, unknown = settings.load(home.config, chosen)
    for key in unknown:
        click.echo(f"warning: unknown key in relay.toml: {key}", err=True)
    return loaded


def _serve(home: "Home", settings: "Settings", *, accept_clock: bool = False) -> None:
    from backchannel.server import logs, server

    logs.configure(settings.log_level, settings.log_format)
    server.serve(home, settings, accept_clock=accept_clock)
