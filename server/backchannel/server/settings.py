"""What an operator may choose: `relay.toml`, each key also as BACKCHANNEL_RELAY_<KEY>, which comes
first.

Owns defaults, bounds and the commented file that `init` writes. Knows nothing of what the choices
do.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from backchannel.server import exits
from backchannel.server.errors import OperatorError

_HEADING = """\
# A Backchannel relay. Every key is shown with its default; take away the `#` to change one.
# `backchannel-relay check` says whether the file is right. The relay reads it when it starts.
"""


class Settings(BaseSettings):
    """Read-only once loaded."""

    model_config = SettingsConfigDict(env_prefix="BACKCHANNEL_RELAY_", extra="ignore", frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(
        default=8440, ge=0, le=65535, description="The port to listen on; 0 takes a free one."
    )
    tls_cert: str = Field(
        default="", description="Certificate chain (PEM) for TLS; empty behind a proxy."
    )
    tls_key: str = Field(default="", description="Private key (PEM) of that certificate.")
    quota: int = Field(
        default=65_536,  # a file of 10 MiB is about 2,660: two dozen of them, and talk
        ge=1,
        description="The most blocks of 4,096 bytes that one drop holds; sealing it adds up to 64.",
    )
    body_seconds: float = Field(
        default=60.0, gt=0, le=600, description="How long a body may take to arrive."
    )
    header_seconds: float = Field(
        default=10.0, gt=0, le=600, description="How long a request's headers may take."
    )
    most_requests: int = Field(
        default=512, ge=1, description="Requests in hand; the next are told `busy`."
    )
    most_waiting: int = Field(
        default=2048, ge=0, description="Reads that may wait; the next are answered at once."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="No level ever shows an address, a drop or a size."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="One line for each thing that is said, or one JSON document."
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            msg = "tls_cert and tls_key go together"
            raise ValueError(msg)
        return self


def load(file: Path, chosen: Mapping[str, Any] | None = None) -> tuple[Settings, list[str]]:
    """The settings, and the keys of the file that mean nothing; `OperatorError` for a bad file.

    What was `chosen` on the command line comes before environment and file.
    """
    values = _read(file)

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            """The first that names a key wins."""
            del dotenv_settings, file_secret_settings
            return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    try:
        settings = Layered(**(chosen or {}))
    except ValidationError as error:
        message = f"{file}: " + "; ".join(_problems(error))
        raise OperatorError(message, next_=f"correct {file}", code=exits.USAGE) from None
    return settings, sorted(set(values) - set(Settings.model_fields))


def template() -> str:
    """The text of a fresh `relay.toml`: every key, commented out, with its default."""
    keys = (
        f"\n# {field.description}\n# {name} = {json.dumps(field.default)}\n"
        for name, field in Settings.model_fields.items()
    )
    return _HEADING + "".join(keys)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # beyond all use is no TOML either
        message = f"{file} cannot be read: {error}"
        raise OperatorError(message, next_=f"correct {file}", code=exits.USAGE) from None


def _problems(error: ValidationError) -> Iterator[str]:
    """Without the values, which may be secrets of somebody's environment."""
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        where = ".".join(map(str, problem["loc"]))
        yield f"{where}: {problem['msg']}" if where else problem["msg"]
