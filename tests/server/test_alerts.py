"""The recipes in server/deploy/alerts: one alert for each way in which a relay fails, row OP22."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from backchannel.protocol.types import Hour
from backchannel.server.exposition import DISK_STEP, Machine, page
from backchannel.server.limits import CERTIFICATE_DAYS, FREE_DISK, SWEEP_EVERY
from backchannel.server.metrics import Sums
from tests.server.certificates import make_certificate
from tests.server.test_metrics import samples
from tests.support.cited import ROOT
from tests.support.relay import PROGRAM, running_relay

ALERTS = ROOT / "server" / "deploy" / "alerts"
RULES = ALERTS / "backchannel-relay.rules.yml"
UP = {'up{job="backchannel-relay"}': 1.0}
WELL = Machine(clock_ahead=0, disk_free=20 * DISK_STEP, certificate_days=80)
COMPARED = re.compile(r"(\S+) (<|>|==) (-?\d+)")
"""All that a rule does to a figure."""
HELD: dict[str, Callable[[float, float], bool]] = {
    "<": lambda figure, bound: figure < bound,
    ">": lambda figure, bound: figure > bound,
    "==": lambda figure, bound: figure == bound,
}


def rules() -> dict[str, dict[str, Any]]:
    """By name."""
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {rule["alert"].removeprefix("BackchannelRelay"): rule for rule in group["rules"]}


def figures(sums: Sums, machine: Machine) -> dict[str, float]:
    told = samples(page(sums, lambda: machine))
    return UP | {each.name: each.value for each in told if not each.labels}


def fires(rule: dict[str, Any], now: dict[str, float], before: dict[str, float]) -> bool:
    """As Prometheus would, with the two hours' increase as the difference of two pages."""
    for part in rule["expr"].split(" or "):
        matched = COMPARED.fullmatch(re.sub(r"increase\((\S+)\[2h\]\)", r"increase:\1", part))
        assert matched, part
        name, relation, bound = matched.groups()
        name, grown = name.removeprefix("increase:"), name.startswith("increase:")
        figure = now[name] - before[name] if grown else now[name]
        if HELD[relation](figure, float(bound)):
            return True
    return False


def alarms(now: dict[str, float], before: dict[str, float]) -> list[str]:
    return [name for name, rule in rules().items() if fires(rule, now, before)]


def relay(seconds: float = SWEEP_EVERY, *, bug: bool = False) -> Sums:
    """One that swept so many seconds ago."""
    moments = iter([0.0, 0.0, 0.0, seconds])
    sums = Sums(lambda: next(moments))
    sums.swept(Hour(1))
    if bug:
        sums.bug()
    sums.swept(Hour(2))
    return sums


@pytest.mark.parametrize(
    ("now", "alarm"),
    [
        (figures(relay(), WELL), []),
        (figures(relay(), WELL) | {'up{job="backchannel-relay"}': 0.0}, ["Down"]),
        (figures(relay(), WELL._replace(disk_free=2 * FREE_DISK)), []),
        (figures(relay(), WELL._replace(disk_free=2 * FREE_DISK - 1)), ["DiskNearlyFull"]),
        (figures(relay(5 * SWEEP_EVERY + 1), WELL), ["ExpiryLate"]),
        (figures(relay(), WELL._replace(clock_ahead=1)), []),
        (figures(relay(), WELL._replace(clock_ahead=25)), ["Clock"]),
        (figures(relay(), WELL._replace(clock_ahead=-1)), ["Clock"]),
        (figures(relay(), WELL._replace(certificate_days=CERTIFICATE_DAYS)), []),
        (figures(relay(), WELL._replace(certificate_days=CERTIFICATE_DAYS - 1)), ["Certificate"]),
        (figures(relay(bug=True), WELL), ["Bug"]),
    ],
)
def test_op22_each_failure_has_the_one_alert_that_names_it(
    now: dict[str, float], alarm: list[str]
) -> None:
    assert alarms(now, before=figures(relay(), WELL)) == alarm


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules().values():
        assert set(rule["annotations"]) == {"summary", "next"}
        assert "{{" not in str(rule["annotations"])  # what a label says stays where it is


def test_prometheus_own_tool_agrees() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: Debian's package prometheus has it")
    tests = ALERTS / "backchannel-relay.test.yml"
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(tests)]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def watch(data: Path, tmp_path: Path, *arguments: str) -> tuple[int, str]:
    """What the script without Prometheus says, with this source's own program on its path."""
    program = tmp_path / "backchannel-relay"
    program.write_text(f'#!/bin/sh\nexec "{PROGRAM[0]}" {PROGRAM[1]} "{PROGRAM[2]}" "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "BACKCHANNEL_RELAY_DATA": str(data)}
    command = [str(ALERTS / "backchannel-relay-watch"), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_without_prometheus_a_script_says_what_is_wrong_and_else_nothing(tmp_path: Path) -> None:
    with running_relay() as served:
        assert watch(served.data, tmp_path, served.url) == (0, "")
        served.kill()
        code, said = watch(served.data, tmp_path)
        assert code == 1
        assert "error: the relay does not answer" in said
        assert "FAIL port" in said
        served.start()
        (served.data / "relay.toml").write_text("nonsense")
        code, said = watch(served.data, tmp_path)
        assert (code, "FAIL configuration" in said, "next: " in said) == (1, True, True)


def test_the_script_warns_of_a_certificate_that_ends_soon(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, days=3)
    with running_relay("--tls-cert", str(certificate), "--tls-key", str(key)) as served:
        text = f"tls_cert = '{certificate}'\ntls_key = '{key}'\n"
        (served.data / "relay.toml").write_text(text)
        code, said = watch(served.data, tmp_path)
    assert code == 1
    assert said.startswith("warn certificate: ")
    assert "next: renew the certificate" in said


def test_the_script_fails_where_it_is_not_told_of_a_relay(tmp_path: Path) -> None:
    code, said = watch(tmp_path / "none", tmp_path)
    assert code == 1
    assert "there is no relay" in said
