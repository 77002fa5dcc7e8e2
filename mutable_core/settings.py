"""Settings of a process: environment variables `ARK_…`, checked once, at the edge. An unknown one stops the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mutable_core.errors import SettingsRefused

PREFIX = "ARK_"
STRATEGIES = ("donchian_breakout", "mean_reversion", "moving_average_trend")


def default_state_dir() -> Path:
    """`$XDG_DATA_HOME/ark`, by default `~/.local/share/ark`."""
    data_home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "ark"


def _named(path: Path) -> Path:
    """An empty variable is an accident, not the current folder."""
    if str(path) in ("", "."):
        raise ValueError("it names no folder")
    return path


class Settings(BaseModel):
    """What an operator may set; each field is the variable `ARK_` + its name in capitals.

    Attributes:
        state_dir: where journals and the paper venue's log live.
        metrics_host, metrics_port: where the metrics server listens; loopback unless set otherwise. Port 0 picks one.
        cash: the paper account's money at the beginning, in units of `currency`.
        strategies: what the mandate allows, comma-separated.
        day_notional: what the mandate allows to be opened in a day, in units of `currency`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    state_dir: Annotated[Path, AfterValidator(_named)] = Field(default_factory=default_state_dir)
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 9090
    account: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] = "paper"
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3,5}$")] = "USD"
    cash: Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 11, decimal_places=2)] = Decimal(1_000_000)
    strategies: tuple[str, ...] = STRATEGIES
    day_notional: Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 12, decimal_places=2)] = Decimal(5_000_000)


def settings_from(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment.

    Raises:
        SettingsRefused: an `ARK_` variable that does not exist, or a value out of range; one line names it.
    """
    environ = os.environ if environ is None else environ
    given = {name[len(PREFIX) :].lower(): value for name, value in environ.items() if name.startswith(PREFIX)}
    unknown = sorted(set(given) - set(Settings.model_fields))
    if unknown:
        raise SettingsRefused(
            f"`{PREFIX}{unknown[0].upper()}` is no setting",
            where="environment",
            to_do="unset it, or see docs/reference/settings.md",
        )
    values: dict[str, object] = dict(given)
    if "strategies" in given:
        values["strategies"] = tuple(name.strip() for name in given["strategies"].split(",") if name.strip())
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{PREFIX}{str(first['loc'][0]).upper()}"
        raise SettingsRefused(
            f"`{name}` was not accepted: {first['msg'].lower()}", where="environment", to_do="correct or unset it"
        ) from error
