"""Settings: checked once, at the edge; an unknown name stops the start and is never replaced by a default."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from mutable_core.errors import SettingsRefused
from mutable_core.settings import STRATEGIES, settings_from


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


@pytest.mark.parametrize(
    ("name", "value", "field", "is_now"),
    [
        ("ARK_CASH", "2500.50", "cash", Decimal("2500.50")),
        ("ARK_METRICS_PORT", "0", "metrics_port", 0),
        ("ARK_STATE_DIR", "/somewhere", "state_dir", Path("/somewhere")),
        ("ARK_STRATEGIES", " mean_reversion ,donchian_breakout,", "strategies", ("mean_reversion", "donchian_breakout")),
        ("ARK_STRATEGIES", "", "strategies", ()),
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
    ],
)
def test_what_is_unknown_or_out_of_range_stops_the_start_and_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsRefused, match=f"`{name}`") as raised:
        settings_from({name: value})
    assert raised.value.exit_code == 2


def test_only_the_environment_that_was_given_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARK_CASH", "5")
    assert settings_from({}).cash == Decimal(1_000_000)
