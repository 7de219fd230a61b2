"""`init`, `serve`, `quickstart`: a relay comes to be, and runs."""

from typing import TYPE_CHECKING

import click

from backchannel.server.options import CONTEXT, as_json, data, hint, say, settings_of

if TYPE_CHECKING:
    from backchannel.server.home import Home


_FIRST = 10  # vouchers of a relay that has none


@click.command(context_settings=CONTEXT)
@data
@as_json
def init(home: "Home", *, as_json: bool) -> None:
    """Make a relay: configuration, keys and an empty store in DIR."""
    from backchannel.server.operate import setup

    key = setup.make(home).value.hex()
    say(
        [f"a relay is made in {home.path}", f"its key: {key}"],
        {"data": str(home.path), "static_key": key},
        as_json=as_json,
    )
    if not as_json:
        hint(f"backchannel-relay serve --data {home.path}")


@click.command(context_settings=CONTEXT)
@data
@click.option("--host", help="The address to listen on.  [default: from relay.toml]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 takes a free one.")
@click.option("--tls-cert", type=click.Path(), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(), help="Its private key (PEM).")
@click.option(
    "--accept-clock", is_flag=True, help="The clock is right: destroy what expired by it."
)
def serve(home: "Home", *, accept_clock: bool, **chosen: str | int | None) -> None:
    """Run the relay in DIR until it is told to end."""
    told = {key: value for key, value in chosen.items() if value is not None}
    _serve(home, told, accept_clock=accept_clock)


@click.command(context_settings=CONTEXT)
@data
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 takes a free one.")
@click.option(
    "--vouchers",
    type=click.IntRange(0, 1000),
    help="How many to mint.  [default: 10 where none is left]",
)
def quickstart(home: "Home", port: int | None, vouchers: int | None) -> None:
    """A working relay on this machine: init and mint vouchers if need be, serve."""
    from backchannel.server.operate import setup
    from backchannel.server.operate import vouchers as minting
    from backchannel.server.process.sockets import listen

    chosen: dict[str, str | int] = {} if port is None else {"port": port}
    if not home.config.exists():
        setup.make(home)
    settings = settings_of(home, chosen)
    listen(settings.host, settings.port).close()  # no voucher for a relay that cannot be reached
    if vouchers is None:
        vouchers = 0 if minting.count(home) else _FIRST
    for voucher in minting.mint(home, vouchers) if vouchers else []:
        click.echo(voucher)
    _serve(home, chosen)


def _serve(home: "Home", chosen: dict[str, str | int], *, accept_clock: bool = False) -> None:
    from backchannel.server.process import serve
    from backchannel.server.process.start import Start

    serve.serve(Start(home, chosen), settings_of(home, chosen), accept_clock=accept_clock)
