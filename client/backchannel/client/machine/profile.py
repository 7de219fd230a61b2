"""The folders of one person's Backchannel: where they are, and that they are private.

`--home DIR` keeps everything below one folder; without it the XDG folders are used.
"""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from backchannel.client.errors import UnsafeFile

_OTHERS = 0o077
_NAME = "backchannel"


class Profile(NamedTuple):
    """Five folders; the vault is one more below `data`."""

    config: Path
    data: Path
    state: Path
    cache: Path
    runtime: Path

    @classmethod
    def at(cls, home: Path) -> "Profile":
        """Everything below one folder."""
        home = Path(os.path.abspath(home))  # noqa: PTH100 - resolve() would follow links that a person chose
        return cls(home, home, home / "state", home / "cache", home / "run")

    @classmethod
    def of_user(cls) -> "Profile":
        """The XDG folders."""
        import platformdirs

        folders = platformdirs.PlatformDirs(_NAME, appauthor=False)
        # Where the system has no such folder, not one in /tmp, whose name others can foresee.
        has_runtime = bool(os.environ.get("XDG_RUNTIME_DIR"))
        runtime = folders.user_runtime_path if has_runtime else folders.user_state_path / "run"
        return cls(
            folders.user_config_path,
            folders.user_data_path,
            folders.user_state_path,
            folders.user_cache_path,
            runtime,
        )

    @property
    def settings_file(self) -> Path:
        """What a person may write: defaults of options."""
        return self.config / "config.toml"

    @property
    def vault(self) -> Path:
        """Folder of the vault; it is there whole or not at all."""
        return self.data / "vault"

    @property
    def proxied(self) -> Path:
        """Whether this is there says whether the vault was ever used through a proxy."""
        return self.vault / "proxied"

    @property
    def lock(self) -> Path:
        """One process at a time changes the vault."""
        return self.data / "lock"

    @property
    def demo_hours(self) -> Path:
        """Whole hours that the clock is ahead: only a demonstration's home has this file."""
        return self.data / "demo-hours"

    @property
    def has_vault(self) -> bool:
        """Whether a vault was made."""
        return self.vault.is_dir()

    def make(self, folder: Path) -> Path:
        """`folder` of this profile: made private if it was not there, refused if it is not."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_unless_private(folder)
        return folder

    def refuse_unless_private(self) -> None:
        """`UnsafeFile` when a folder or file that exists is another's, or open to others."""
        vault = sorted(self.vault.glob("*")) if self.has_vault else []
        for path in (*self, self.vault, self.settings_file, self.lock, *vault):
            refuse_unless_private(path)


def refuse_unless_private(path: Path) -> None:
    """`UnsafeFile` when `path` exists and is another user's, or lets others in."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if found.st_uid != os.geteuid():
        msg = f"{path} belongs to another user."
        raise UnsafeFile(msg, f"chown {os.geteuid()} {_quoted(path)}, or choose another --home")
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        msg = f"Others on this machine may look into {path}."
        raise UnsafeFile(msg, f"chmod go-rwx {_quoted(path)}")


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
