"""What an operator may choose: `relay.toml`, each key also as BACKCHANNEL_RELAY_<KEY>, which comes
first.

Owns defaults, bounds and the commented file that `init` writes. Knows nothing of what the choices
do.
"""

import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from backchannel.protocol import limits
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
    workers: int = Field(
        default=1, ge=1, le=64, description="Processes that serve; more than 1 needs PostgreSQL."
    )
    database: str = Field(
        default="",
        repr=False,  # it may hold a password
        description="postgresql://ROLE@HOST/DATABASE of the store; empty is relay.db beside this.",
    )
    database_plain: bool = Field(
        default=False,
        description="That database has no partitions, notices or advisory locks: CockroachDB.",
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
    new_drops: bool = Field(
        default=True, description="Whether new drops are made; those that there are go on anyway."
    )
    rate_blocks: int = Field(
        default=6000,  # two files of 10 MiB in one go, then one in half a minute
        ge=0,
        description="The most blocks appended to one drop in a minute, 0 or at least 64; 0 is any.",
    )
    rate_requests: int = Field(
        default=12_000,  # 64 members who read again after each of 180 posts
        ge=0,
        description="The most appends and reads of one drop in a minute; 0 is any.",
    )
    most_bytes: int = Field(
        default=0,
        ge=0,
        description="The most bytes of the store, for new drops nine tenths of it; 0 is any.",
    )
    body_seconds: float = Field(
        default=120.0, gt=0, le=600, description="How long a body may take to arrive."
    )
    header_seconds: float = Field(
        default=60.0,  # over a link that is two seconds away, one lost packet is 12 of them
        gt=0,
        le=600,
        description="How long a request's headers may take, or a client that reads nothing.",
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
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of 127.0.0.1 for sums that a monitoring reads, the next for each further "
        "worker; 0 is none.",
    )

    @field_validator("rate_blocks")
    @classmethod
    def _one_request(cls, blocks: int) -> int:
        if 0 < blocks < limits.MOST_BLOCKS:
            msg = f"a request of {limits.MOST_BLOCKS} blocks would never fit"
            raise ValueError(msg)
        return blocks

    @property
    def scheme(self) -> str:
        """Of the addresses at which it serves."""
        return "https" if self.tls_cert else "http"

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            msg = "tls_cert and tls_key go together"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_file_one_process(self) -> Self:
        if self.workers > 1 and not self.database:
            msg = "workers: relay.db is written by one process; more than 1 needs `database`"
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
        raise OperatorError(message, next_=_where(file, error), code=exits.USAGE) from None
    return settings, sorted(set(values) - set(Settings.model_fields))


def meant(unknown: Iterable[str]) -> list[str]:
    """Keys that mean nothing, each with the one that is spelled most like it."""
    near = {key: get_close_matches(key, Settings.model_fields, 1) for key in unknown}
    return [f"{key} (did you mean {like[0]}?)" if like else key for key, like in near.items()]


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


def _where(file: Path, error: ValidationError) -> str:
    """What is to be corrected: the environment comes before the file."""
    keys = {str(each["loc"][0]).upper() for each in error.errors() if each["loc"]}
    told = sorted({f"BACKCHANNEL_RELAY_{key}" for key in keys} & os.environ.keys())
    return f"correct {', '.join(told)} in the environment" if told else f"correct {file}"


def _problems(error: ValidationError) -> Iterator[str]:
    """Without the values, which may be secrets of somebody's environment."""
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        where = ".".join(map(str, problem["loc"]))
        what = problem["msg"].removeprefix("Value error, ")
        yield f"{where}: {what}" if where else what
