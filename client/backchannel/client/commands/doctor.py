"""`doctor`: a line for each thing that can be wrong here, and how to mend it. Mends nothing."""

import platform
import resource
from collections.abc import Iterator
from importlib.metadata import version
from typing import NamedTuple

import click

from backchannel.client.app import App
from backchannel.client.errors import ClockApart, RelayKeyChanged, UnsafeFile, explain
from backchannel.client.exits import Exit
from backchannel.client.machine import clock, swap
from backchannel.client.machine.profile import Profile
from backchannel.client.options import verb
from backchannel.client.telling import phrases
from backchannel.client.unlocking import unlocked
from backchannel.protocol.errors import BackchannelError
from backchannel.protocol.types import hour_of

_DAY = 24
_PROXY_PATIENCE = 5.0  # seconds: it is near


class Check(NamedTuple):
    """One line."""

    name: str
    state: str
    """`ok`, `note` or `bad`."""
    text: str
    next_step: str = ""
    status: Exit = Exit.DONE
    code: str = ""
    """Of what is wrong: says nothing of where."""


@verb("doctor")
@click.option("--bundle", is_flag=True, help="Leave out addresses, names and folders, to show it.")
def doctor(app: App, *, bundle: bool) -> None:
    """Check folders, vault, agent, clock and relays.

    Asks for no passphrase: while the vault is locked, what is inside is not checked. With --bundle
    it says only what may be shown to whoever helps you: read it before you send it.

    \b
    Examples:
      backchannel doctor
      backchannel doctor --bundle > for-whoever-helps
    """
    found = [_bare(check) if bundle else check for check in _checks(app)]
    document = [check._asdict() | {"status": int(check.status)} for check in found]
    app.ui.show({"checks": document}, *map(_line, found))
    click.get_current_context().exit(
        next((check.status for check in found if check.state == "bad"), Exit.DONE)
    )


def _line(check: Check) -> str:
    line = f"{check.state:<5}{check.name:<9} {check.text}"
    return f"{line}\n{'':5}{'':9} next: {check.next_step}" if check.next_step else line


def _bare(check: Check) -> Check:
    """By its name and code alone: no text that names anything is looked for words to strike."""
    text = check.text if check.name == "versions" else check.code
    return check._replace(text=text, next_step="")


def _checks(app: App) -> Iterator[Check]:
    yield Check("versions", "ok", _versions())
    profile = app.settings.profile
    yield _folders(profile)
    proxy = _proxy(app, profile)
    yield proxy
    if not profile.has_vault:
        yield Check("vault", "note", "none was made yet", "backchannel join URL")
    else:
        yield from _vault(app, profile, reached=proxy.state != "bad")
    yield _memory()
    yield _swap()


def _folders(profile: Profile) -> Check:
    try:
        profile.refuse_unless_private()
    except UnsafeFile as error:
        return _bad("folders", error)
    return Check("folders", "ok", f"{profile.data} is private")


def _proxy(app: App, profile: Profile) -> Check:
    from backchannel.client.wire.route import Proxy, chosen

    try:
        # To ask whether one is there is no use of it, after which the vault would want it always.
        proxy = chosen(profile, app.settings.proxy, loopback=True)
        if proxy is None:
            text = "none: each relay, and whoever watches it, sees from which address you come"
            return Check("proxy", "note", text, "install Tor; then the same commands with --tor")
        from backchannel.client.wire.transport import greet

        greet(proxy, _PROXY_PATIENCE)
    except BackchannelError as error:
        return _bad("proxy", error)
    return Check("proxy", "ok", f"{Proxy.parse(proxy)} answers, and takes a name for each drop")


def _versions() -> str:
    from sqlcipher3 import dbapi2

    python, sqlite = platform.python_version(), dbapi2.sqlite_version
    return f"backchannel {version('backchannel')}, Python {python}, SQLite {sqlite}"


def _vault(app: App, profile: Profile, *, reached: bool) -> Iterator[Check]:
    yield _keys(profile)
    if not app.settings.memory_only:
        yield _timer(profile)
    left = unlocked.seconds_left(profile)
    if left is None:
        yield Check("agent", "ok", "none is running: the vault is locked")
        yield Check("vault", "note", "locked, so not looked into", "backchannel unlock")
        return
    yield Check("agent", "ok", f"holds the key for {phrases.minutes(-(-left // 60))} more")
    try:
        with app.vault() as vault:
            channels, owed = vault.channels.list(), vault.outbox.count()
    except BackchannelError as error:
        yield _bad("vault", error)
        return
    yield Check("vault", "ok", _held(len(channels), owed))
    relays = {tuple(relay) for row in channels for relay in row.summary.get("relays", [])}
    for url, key in sorted(relays) if reached else ():
        yield _relay(app, url, key)


def _keys(profile: Profile) -> Check:
    from backchannel.client.vault.expiry_file import ExpiryFile
    from backchannel.client.vault.folder import Folder

    hour = hour_of(clock.now(profile))
    try:
        with ExpiryFile(Folder(profile.vault).first.keys) as file:
            highest = file.keys.highest
    except (BackchannelError, OSError):
        text = "the file of expiry keys is missing or damaged: what was kept is lost"
        return Check("keys", "bad", text, "move the vault away and join anew", Exit.UNEXPECTED)
    if highest > hour:
        text = f"this machine's clock is {highest - hour} hours behind what it once said"
        instead = "set the clock right; if it is, wait so long: it was wrong then, and believed"
        return Check("keys", "bad", text, instead, Exit.UNEXPECTED)
    if hour - highest > _DAY:
        return Check("keys", "note", f"last looked after {hour - highest} hours ago")
    return Check("keys", "ok", "expiry keys are looked after")


def _timer(profile: Profile) -> Check:
    from backchannel.client.machine import timer

    found = timer.found(profile)
    if found is None:
        text = "none: what has expired is erased when the next command runs"
        return Check("timer", "note", text, "backchannel tick --install")
    return Check("timer", "ok", f"erases what has expired every hour ({found.kind})")


def _relay(app: App, url: str, key: str) -> Check:
    try:
        found = app.describe(url)
        if found.key.value.hex() != key:
            msg = f"{url} has another key than the one you trusted."
            raise RelayKeyChanged(msg)
        apart = found.hour - hour_of(app.now())
        if abs(apart) > 1:
            msg = f"{url} and this machine are {abs(apart)} hours apart."
            raise ClockApart(msg)
    except BackchannelError as error:
        return _bad("relay", error)
    return Check("relay", "ok", f"{url} answers, with the key you trusted, at the same hour")


def _memory() -> Check:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if 0 <= soft < resource.getpagesize():
        text = "this system lets no memory be locked: the agent's key might be swapped out"
        return Check("memory", "note", text, "ulimit -l 64")
    return Check("memory", "ok", "core dumps are off, the agent's key is locked in memory")


def _swap() -> Check:
    places = swap.on_disk()
    if places is None:
        return Check("swap", "note", "cannot be seen on this system")
    if places:
        text = "is in use: what you read may be written to disk"
        return Check("swap", "note", text, "encrypt it, or switch it off")
    return Check("swap", "ok", "is not in use")


def _bad(name: str, error: BackchannelError) -> Check:
    problem = explain(error)
    step = problem.next_step
    if step == "backchannel doctor":  # it runs already
        step = "try again later; if it stays, ask whoever runs the relay, or who invited you"
    return Check(name, "bad", problem.message, step, problem.status, problem.code)


def _held(channels: int, owed: int) -> str:
    return f"{phrases.count(channels, 'channel')}, {phrases.count(owed, 'request')} owed to relays"
