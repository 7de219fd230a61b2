"""`paths`: where everything is kept. Makes none of it."""

from backchannel.client.app import App
from backchannel.client.options import verb


@verb("paths")
def paths(app: App) -> None:
    """Show the folders and files of this profile.

    \b
    Example:
      backchannel paths
    """
    profile = app.profile
    found = {
        **{name: str(path) for name, path in profile._asdict().items()},
        "vault": str(profile.vault),
        "settings": str(profile.settings_file),
    }
    app.ui.show(found, *(f"{name:<9} {path}" for name, path in found.items()))
