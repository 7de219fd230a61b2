"""What verbs share: `@verb` and `@verbs`, their common options, which channel, durations."""

from collections.abc import Callable
from typing import Any, final

import click

from backchannel.client.app import App

Command = Callable[..., Any]
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST_DIGITS = 6


def _remember(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    app = context.find_object(App)
    if app is not None and parameter.name and value:
        app.flags[parameter.name.replace("_", "-")] = value


def _remember_flag(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    _remember(context, parameter, "yes" if value else None)


def _set_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    app = context.find_object(App)
    if app is not None and value:
        app.json = True


def _option(name: str, text: str, metavar: str) -> Callable[[Command], Command]:
    return click.option(
        name, help=text, metavar=metavar, expose_value=False, is_eager=True, callback=_remember
    )


_COMMON = (
    _option("--home", "Keep everything below this folder.", "DIR"),
    _option("--passphrase-file", "Read the vault's passphrase from this file.", "FILE"),
    _option("--proxy", "Reach relays through it: socks5h://HOST:PORT.", "URL"),
    click.option(
        "--tor",
        help="Reach relays through Tor on this machine.",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_flag,
    ),
    click.option(
        "--memory-only",
        help="Write nothing to a disk: all of it ends with `lock`.",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_flag,
    ),
    click.option(
        "--now",
        help="Break cover: send at once, for the relay to see.",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_flag,
    ),
    click.option(
        "--json",
        help="Print documents for programs instead of sentences.",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_json,
    ),
)


def common(function: Command) -> Command:
    """Add the options that every verb takes."""
    for option in reversed(_COMMON):
        function = option(function)
    return function


def verb(name: str, **more: Any) -> Callable[[Command], click.Command]:
    """A command whose function is given the `App` first."""

    def make(function: Command) -> click.Command:
        shared = common(click.pass_obj(function))
        return click.command(name, click.Command, context_settings=_SETTINGS, **more)(shared)

    return make


def verbs(name: str, **more: Any) -> Callable[[Command], click.Group]:
    """A verb with verbs of its own, as `channel new`; they are added with `group.add_command`."""

    def make(function: Command) -> click.Group:
        shared = common(click.pass_obj(function))
        return click.command(name, click.Group, context_settings=_SETTINGS, **more)(shared)

    return make


def remember_channel(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """For what is said next: it names the same one."""
    app = context.find_object(App)
    if app is not None and name:
        app.channel = name
    return name


channel_option: Callable[[Command], Command] = click.option(
    "--channel",
    metavar="NAME",
    callback=remember_channel,
    help="Which channel; needed only where there are several.",
)
thread_option: Callable[[Command], Command] = click.option(
    "--thread", metavar="TOPIC", help="Which thread: the start of its topic, or its id.  [main]"
)


@final
class Duration(click.ParamType[int]):
    """`90s`, `15m`, `24h`, `7d` as whole seconds, or as whole hours for what expires."""

    name = "duration"

    def __init__(self, least: str, most: str, *, hours: bool = False) -> None:
        self._unit = 3600 if hours else 1
        self._range = (_seconds(least) or 0, _seconds(most) or 0)
        self._said = f"from {least} to {most}"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Seconds or hours; click shows the refusal."""
        seconds = value * self._unit if isinstance(value, int) else _seconds(str(value))
        if seconds is None or seconds % self._unit:
            such = (
                "whole hours, such as 24h or 7d" if self._unit > 1 else "a time such as 15m or 8h"
            )
            self.fail(f"{value!r} is not {such}.", param, ctx)
        least, most = self._range
        if not least <= seconds <= most:
            self.fail(f"{value} is not {self._said}.", param, ctx)
        return seconds // self._unit


def _seconds(text: str) -> int | None:
    digits, unit = text[:-1], text[-1:]
    fits = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
    return int(digits) * _UNITS[unit] if fits and unit in _UNITS else None
