"""`check`, `doctor`, `health`, `test`: does the relay work, and if not, why."""

import sys
from typing import TYPE_CHECKING

import click

from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.options import CONTEXT, as_json, data, say, tell

if TYPE_CHECKING:
    from backchannel.server.home import Home
    from backchannel.server.operate.selftest import Step


@click.command(context_settings=CONTEXT)
@data
@as_json
def check(home: "Home", *, as_json: bool) -> None:
    """Say whether relay.toml is right, before a restart finds out."""
    from backchannel.server import settings, stores
    from backchannel.server.process import tls

    home.check()
    loaded, unknown = settings.load(home.config)
    tls.check_certificate(loaded)
    stores.of(home, loaded)
    warnings = [f"unknown key: {each}" for each in settings.meant(unknown)]
    say(
        [*warnings, f"the {'rest of the ' if warnings else ''}configuration is right"],
        {"ok": True, "warnings": warnings},
        as_json=as_json,
    )


@click.command(context_settings=CONTEXT)
@data
@as_json
@click.option("--url", help="The relay's public address: is it reached from outside?")
def doctor(home: "Home", url: str | None, *, as_json: bool) -> None:
    """Look for trouble: a line per check, and how to mend what is wrong."""
    from backchannel.server.operate.doctor import examine

    findings = list(examine(home, url))
    well = all(finding.ok for finding in findings)
    lines = []
    for finding in findings:
        mark = "FAIL" if not finding.ok else "warn" if finding.next else "ok  "
        lines.append(f"{mark} {finding.name}: {finding.detail}")
        lines += [f"     next: {finding.next}"] if finding.next else []
    document = {"ok": well, "checks": [finding._asdict() for finding in findings]}
    say(lines, document, as_json=as_json)
    sys.exit(0 if well else exits.FAILED)


@click.command(context_settings=CONTEXT)
@data
@as_json
def health(home: "Home", *, as_json: bool) -> None:
    """Ask the running relay whether it works; exit code 0 or 1."""
    from backchannel.server.operate import health as asking

    try:
        hour = asking.ask(home)
    except OperatorError as error:
        error.code = exits.FAILED  # what a container's health check understands
        raise
    say(["the relay answers"], {"ok": True, "hour": hour}, as_json=as_json)


@click.command(context_settings=CONTEXT)
@data
@as_json
@click.option("--url", help="Go by the relay's public address.  [default: straight to it]")
def test(home: "Home", url: str | None, *, as_json: bool) -> None:
    """Try the running relay from end to end; exit code 0 or 1, 3 where it is not reached.

    It makes a voucher and a drop for itself, uses both, and takes all of it away again,
    also when it is interrupted.
    """
    from backchannel.server.operate import selftest

    steps = []
    try:
        with selftest.trial(home, url) as trial:
            for step in trial:
                steps.append(step)
                if not as_json:
                    for line in _step(step):
                        tell(line)
    except KeyboardInterrupt:
        click.echo("interrupted; nothing of it is left", err=True)
        raise
    well = all(step.ok for step in steps)
    end = ["all is well; nothing of it is left" if well else "nothing of it is left"]
    say(end, {"ok": well, "steps": [step._asdict() for step in steps]}, as_json=as_json)
    sys.exit(0 if well else exits.FAILED)


def _step(step: "Step") -> list[str]:
    if step.ok:
        return [f"ok   {step.name} ({step.seconds * 1000:.0f} ms)"]
    return [f"FAIL {step.name}: {step.detail}", f"     next: {step.next}"]
