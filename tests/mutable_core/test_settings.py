"""Settings: checked once, at the edge; an unknown name stops the start and is never replaced by a default."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mutable_core.errors import SettingsRefused
from mutable_core.messages import ALWAYS, Session
from mutable_core.settings import STRATEGIES, settings_from
from tests.people import PEOPLE


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("ARK_")]:
        monkeypatch.delenv(name)


def test_the_defaults_are_paper_and_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    found = settings_from({"PATH": "/bin", "ARK": "no setting of ours"})
    assert found.state_dir == Path("/data/ark")
    assert (found.metrics_host, found.metrics_port, found.account, found.currency) == (
        "127.0.0.1",
        9090,
        "paper",
        "USD",
    )
    assert (found.cash, found.strategies) == (Decimal(1_000_000), STRATEGIES)
    assert (found.sessions, found.restricted, found.day_volumes) == (ALWAYS, (), {})
    assert (found.owner, found.people, found.authority) == ("", (), "auto")
    assert (found.backup_every, found.backup_keep_days, found.backup_max_bytes) == (3_600, 7, 0)
    assert found.disk_free_min == 256 * 1_024 * 1_024


@pytest.mark.parametrize(
    ("name", "value", "field", "is_now"),
    [
        ("ARK_CASH", "2500.50", "cash", Decimal("2500.50")),
        ("ARK_METRICS_PORT", "0", "metrics_port", 0),
        ("ARK_STATE_DIR", "/somewhere", "state_dir", Path("/somewhere")),
        ("ARK_STRATEGIES", " mean_reversion ,donchian_breakout,", "strategies", ("mean_reversion", "donchian_breakout")),
        ("ARK_STRATEGIES", "", "strategies", ()),
        ("ARK_SESSIONS", "mon-fri 14:30-21:00", "sessions", (Session((0, 1, 2, 3, 4), 870, 1_260),)),
        ("ARK_SESSIONS", "Sun 00:00-24:00", "sessions", (Session((6,), 0, 1_440),)),
        ("ARK_SESSIONS", "mon-mon 00:00-00:01, sat 23:59-24:00,", "sessions", (Session((0,), 0, 1), Session((5,), 1_439, 1_440))),
        ("ARK_SESSIONS", "", "sessions", ()),
        ("ARK_RESTRICTED", "IBM, GME ,", "restricted", ("IBM", "GME")),
        ("ARK_DAY_VOLUMES", "EURUSD=50000000, IBM=0.5", "day_volumes", {"EURUSD": Decimal(50_000_000), "IBM": Decimal("0.5")}),
        ("ARK_DAY_VOLUMES", "ES=F=7", "day_volumes", {"ES=F": Decimal(7)}),
        ("ARK_ANCHOR_COMMAND", "tee -a '/a b/anchor.log'", "anchor_command", ("tee", "-a", "/a b/anchor.log")),
        ("ARK_ANCHOR_COMMAND", "", "anchor_command", ()),
        ("ARK_OWNER", "ann", "owner", "ann"),
        ("ARK_OWNER", "", "owner", ""),
        ("ARK_AUTHORITY", "embedded", "authority", "embedded"),
        ("ARK_AUTHORITY", "process", "authority", "process"),
        ("ARK_BACKUP_EVERY", "0", "backup_every", 0),
        ("ARK_BACKUP_KEEP_DAYS", "30", "backup_keep_days", 30),
        ("ARK_BACKUP_MAX_BYTES", "10000000000", "backup_max_bytes", 10_000_000_000),
        ("ARK_DISK_FREE_MIN", "0", "disk_free_min", 0),
    ],
)  # fmt: skip
def test_a_setting_is_taken_from_its_variable(name: str, value: str, field: str, is_now) -> None:
    assert getattr(settings_from({name: value}), field) == is_now


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARK_CASSH", "5"),
        ("ARK_", "5"),
        ("ARK_CASH", "NaN"),
        ("ARK_CASH", "Infinity"),
        ("ARK_CASH", "0"),
        ("ARK_CASH", "-1"),
        ("ARK_CASH", "1.001"),
        ("ARK_CASH", "1e12"),
        ("ARK_CASH", "lots"),
        ("ARK_METRICS_PORT", "65536"),
        ("ARK_METRICS_PORT", "-1"),
        ("ARK_ACCOUNT", "Me & you"),
        ("ARK_ACCOUNT", ""),
        ("ARK_CURRENCY", "usd"),
        ("ARK_DAY_NOTIONAL", "0"),
        ("ARK_SESSIONS", "always"),
        ("ARK_SESSIONS", "mon-fri"),
        ("ARK_SESSIONS", "mon-fri 14:30-21:00;sat 10:00-11:00"),
        ("ARK_SESSIONS", "fri-mon 10:00-11:00"),
        ("ARK_SESSIONS", "xyz 10:00-11:00"),
        ("ARK_SESSIONS", "mon 11:00-10:00"),
        ("ARK_SESSIONS", "mon 10:00-10:00"),
        ("ARK_SESSIONS", "mon 10:60-11:00"),
        ("ARK_SESSIONS", "mon 10:00-24:01"),
        ("ARK_SESSIONS", "mon 1:00-2:00"),
        ("ARK_DAY_VOLUMES", "EURUSD"),
        ("ARK_DAY_VOLUMES", "=5"),
        ("ARK_DAY_VOLUMES", "EURUSD="),
        ("ARK_DAY_VOLUMES", "EURUSD=lots"),
        ("ARK_DAY_VOLUMES", "EURUSD=NaN"),
        ("ARK_DAY_VOLUMES", "EURUSD=Infinity"),
        ("ARK_DAY_VOLUMES", "EURUSD=-1"),
        ("ARK_DAY_VOLUMES", "EURUSD=1e30"),
        ("ARK_DAY_VOLUMES", "IBM=1,IBM=2"),
        ("ARK_OWNER", "Ann & Bob"),
        ("ARK_AUTHORITY", "nobody"),
        ("ARK_AUTHORITY", ""),
        ("ARK_ANCHOR_COMMAND", "tee 'open"),
        ("ARK_ANCHOR_COMMAND", "no-such-program-here -a file"),
        ("ARK_BACKUP_EVERY", "-1"),
        ("ARK_BACKUP_EVERY", "hourly"),
        ("ARK_BACKUP_KEEP_DAYS", "0"),
        ("ARK_BACKUP_MAX_BYTES", "-1"),
        ("ARK_BACKUP_MAX_BYTES", "10GB"),
        ("ARK_DISK_FREE_MIN", "-1"),
        ("ARK_DISK_FREE_MIN", "1.5"),
    ],
)
def test_what_is_unknown_or_out_of_range_stops_the_start_and_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsRefused, match=f"`{name}`") as raised:
        settings_from({name: value})
    assert raised.value.exit_code == 2


def test_only_the_environment_that_was_given_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARK_CASH", "5")
    assert settings_from({}).cash == Decimal(1_000_000)


# -- the people's file ------------------------------------------------------------------------------------------------


def a_file_of(folder: Path, *lines: str) -> dict[str, str]:
    path = folder / "people"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"ARK_PEOPLE": str(path)}


LINES = [f"{person.name} {person.public_key}" for person in PEOPLE]


def test_the_people_who_may_sign_stand_in_a_file_a_name_and_a_key_in_each_line(tmp_path: Path) -> None:
    assert settings_from(a_file_of(tmp_path, LINES[0], "", f"  {LINES[1]}  ", LINES[2])).people == PEOPLE
    assert settings_from(a_file_of(tmp_path)).people == ()


@pytest.mark.parametrize(
    "lines",
    [
        ["ann"],
        [f"{LINES[0]} more"],
        ["ann " + "0" * 63],
        ["ann " + "0" * 65],
        ["ann " + "g" * 64],
        ["ann " + "A" * 64],
        ["Ann " + "0" * 64],
        ["a" * 33 + " " + "0" * 64],
        [LINES[0], LINES[0]],
        [LINES[0], "ann " + "0" * 64],  # one name, two keys
        [LINES[0], LINES[0].replace("ann", "bob")],  # two names, one key: one person could sign as two
        ["# ann is on holiday"],
    ],
)
def test_a_people_file_that_is_not_one_stops_the_start_with_one_line(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(SettingsRefused, match="ARK_PEOPLE") as raised:
        settings_from(a_file_of(tmp_path, *lines))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("what", ["missing", "folder", "bytes"])
def test_a_people_file_that_cannot_be_read_stops_the_start_and_is_named(tmp_path: Path, what: str) -> None:
    """I2: without it nobody could sign, and nobody would know why."""
    path = tmp_path / "people"
    if what == "folder":
        path.mkdir()
    elif what == "bytes":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsRefused, match="ARK_PEOPLE") as raised:
        settings_from({"ARK_PEOPLE": str(path)})
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", ["", "a\x00b"])
def test_no_path_at_all_is_refused_too(value: Any) -> None:
    with pytest.raises(SettingsRefused, match="ARK_PEOPLE"):
        settings_from({"ARK_PEOPLE": value})
