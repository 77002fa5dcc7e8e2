"""Settings of a process: environment variables `ARK_…`, checked once, at the edge. An unknown one stops the start."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mutable_core.errors import SettingsRefused
from mutable_core.messages import ALWAYS, Person, Session

PREFIX = "ARK_"
MINUTES_PER_DAY = 1_440
STRATEGIES = ("donchian_breakout", "mean_reversion", "moving_average_trend")


def default_state_dir() -> Path:
    """`$XDG_DATA_HOME/ark`, by default `~/.local/share/ark`."""
    data_home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "ark"


def default_vault_key_file() -> Path:
    """`$XDG_CONFIG_HOME/ark/vault.key`, by default `~/.config/ark/vault.key`."""
    config_home = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(config_home) if config_home else Path.home() / ".config") / "ark" / "vault.key"


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
        account: the name of the paper account.
        currency: of the account, three to five capitals.
        cash: the paper account's money at the beginning, in units of `currency`.
        strategies: what the mandate allows, comma-separated.
        day_notional: what the mandate allows to be opened in a day, in units of `currency`.
        sessions: when the mandate allows opening, UTC: `mon-fri 14:30-21:00`, several separated by commas; default always.
        restricted: instruments that nobody here may trade, comma-separated.
        day_volumes: mean day volumes by reference data, `EURUSD=50000000`, comma-separated; for markets that show none.
        owner: the person whose money it is; without one it is the house's own paper account. Needs a recorded consent.
        people: who may sign critical acts: a file with a line `NAME PUBLIC_KEY` (64 hex digits) for each.
        kill_port: where the kill switch listens for HTTP on loopback; 0 opens none.
        authority: who approves: `process` (one of its own), `embedded` (this process), `auto`: `process` for a run that
            stays up, `embedded` for one that ends with its source.
        topology: `processes` (the Watchdog, and everybody in a process of his own), `embedded` (all in one process), `auto`:
            `processes` for a run that stays up, `embedded` for one that ends with its source.
        snapshot_rows: journal rows between two snapshots; 0 takes none, and each start replays the whole journal.
        backup_every: seconds between two backups of a run that stays up; 0 takes none.
        backup_keep_days: how many days a backup is kept; the newest good one is always kept.
        backup_max_bytes: what all backups together may take, the oldest go first; 0 sets no limit.
        disk_free_min: bytes that must be free on the state folder's disk: with less a run does not start, and one that
            runs opens nothing more until it is started again; 0 sets no limit.
        anchor_command: a command that gets each signed checkpoint, a line of JSON, on its standard input, so that a copy lies
            where nobody here can change it: `tee -a ELSEWHERE/anchor.log`. `anchor.log` in the state folder has all.
        drills: whether faults may be injected into a running paper house: `on` or `off`.
        drill_every: seconds between two scheduled fault drills of a run that stays up, one cell after another; 0 holds none.
        vault_key_file: the key of secrets in the state store, outside the state folder; `ark state key new` makes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    state_dir: Annotated[Path, AfterValidator(_named)] = Field(default_factory=default_state_dir)
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 9090
    account: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] = "paper"
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3,5}$")] = "USD"
    cash: Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 11, decimal_places=2)] = Decimal(1_000_000)
    strategies: tuple[str, ...] = STRATEGIES
    day_notional: Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 12, decimal_places=2)] = Decimal(5_000_000)
    sessions: tuple[Session, ...] = ALWAYS
    restricted: tuple[str, ...] = ()
    day_volumes: dict[str, Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 12, decimal_places=8)]] = Field(
        default_factory=dict
    )
    owner: Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,32}$")] = ""
    people: tuple[Person, ...] = ()
    kill_port: Annotated[int, Field(ge=0, le=65_535)] = 9092
    authority: Literal["auto", "embedded", "process"] = "auto"
    topology: Literal["auto", "embedded", "processes"] = "auto"
    snapshot_rows: Annotated[int, Field(ge=0, le=10_000_000)] = 8_192
    backup_every: Annotated[int, Field(ge=0, le=31_536_000)] = 3_600
    backup_keep_days: Annotated[int, Field(ge=1, le=36_500)] = 7
    backup_max_bytes: Annotated[int, Field(ge=0, le=2**62)] = 0
    disk_free_min: Annotated[int, Field(ge=0, le=2**62)] = 268_435_456
    anchor_command: tuple[str, ...] = ()
    drills: Literal["on", "off"] = "on"
    drill_every: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400
    vault_key_file: Annotated[Path, AfterValidator(_named)] = Field(default_factory=default_vault_key_file)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


_SESSION = re.compile(r"([a-z]{3})(?:-([a-z]{3}))? (\d\d):(\d\d)-(\d\d):(\d\d)")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _sessions(text: str) -> tuple[Session, ...]:
    return tuple(_session(part) for part in _names(text))


def _session(text: str) -> Session:
    found = _SESSION.fullmatch(text.lower())
    if not found or not {found[1], found[2] or found[1]} <= set(_WEEKDAYS):
        raise ValueError(f"`ARK_SESSIONS` has `{text[:40]}`, which is not like `mon-fri 14:30-21:00`")
    first, last = _WEEKDAYS.index(found[1]), _WEEKDAYS.index(found[2] or found[1])
    begins, ends = int(found[3]) * 60 + int(found[4]), int(found[5]) * 60 + int(found[6])
    if first > last or not 0 <= begins < ends <= MINUTES_PER_DAY or int(found[4]) > 59 or int(found[6]) > 59:
        raise ValueError(f"`ARK_SESSIONS` has `{text[:40]}`, which ends before it begins, or is no time")
    return Session(tuple(range(first, last + 1)), begins, ends)


def _volumes(text: str) -> dict[str, str]:
    pairs = [part.rpartition("=") for part in _names(text)]
    if any(not name or not volume for name, _, volume in pairs):
        raise ValueError("`ARK_DAY_VOLUMES` is not like `EURUSD=50000000,IBM=4000000`")
    volumes = {name.strip(): volume.strip() for name, _, volume in pairs}
    if len(volumes) != len(pairs):
        raise ValueError("`ARK_DAY_VOLUMES` has an instrument twice")
    return volumes


def _people(text: str) -> tuple[Person, ...]:
    """The people of the file that the variable names.

    Raises:
        ValueError: it cannot be read, a line is not a name and a public key, or a name or a key comes twice.
    """
    try:
        lines = [line.split() for line in Path(text).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"`ARK_PEOPLE` names `{text[:200]}`, which cannot be read: {why}") from error
    for words in lines:
        if (
            len(words) != 2
            or not re.fullmatch(r"[a-z0-9_-]{1,32}", words[0])
            or not re.fullmatch(r"[0-9a-f]{64}", words[1])
        ):
            raise ValueError(f"`ARK_PEOPLE`: `{' '.join(words)[:40]}` is not a name and a public key of 64 hex digits")
    for column in (0, 1):
        if len({words[column] for words in lines}) != len(lines):
            raise ValueError("`ARK_PEOPLE`: two people have the same name or the same key")
    return tuple(Person(*words) for words in lines)


def _command(text: str) -> tuple[str, ...]:
    """The words of a command, quoted as for a shell.

    Raises:
        ValueError: a quote is not closed, or the first word is no program.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"`ARK_ANCHOR_COMMAND` cannot be read: {str(error).lower()}") from error
    if words and shutil.which(words[0]) is None:
        raise ValueError(f"`ARK_ANCHOR_COMMAND` names `{words[0][:200]}`, which is no program here")
    return words


_READERS: dict[str, Callable[[str], object]] = {
    "anchor_command": _command,
    "strategies": _names,
    "restricted": _names,
    "sessions": _sessions,
    "day_volumes": _volumes,
    "people": _people,
}


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
    try:
        values: dict[str, object] = {name: _READERS.get(name, str)(text) for name, text in given.items()}
    except ValueError as error:
        raise SettingsRefused(str(error), where="environment", to_do="correct or unset it") from error
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{PREFIX}{str(first['loc'][0]).upper()}"
        raise SettingsRefused(
            f"`{name}` was not accepted: {first['msg'].lower()}", where="environment", to_do="correct or unset it"
        ) from error
