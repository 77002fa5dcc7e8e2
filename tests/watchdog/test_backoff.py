"""How long a child waits before it is started again: doubled with each failure, capped, spread."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchdog.backoff import delay_ns

MS = 1_000_000


def delay(failures: int, chance: float = 0.5) -> int:
    return delay_ns(failures, base_ns=5 * MS, cap_ns=5_000 * MS, jitter=0.2, chance=chance)


@pytest.mark.parametrize(
    ("failures", "ms"),
    [(0, 0), (1, 5), (2, 10), (3, 20), (4, 40), (10, 2_560), (11, 5_000), (12, 5_000), (63, 5_000), (10**9, 5_000)],
)
def test_it_doubles_from_5_ms_up_to_5_s(failures: int, ms: int) -> None:
    assert delay(failures) == ms * MS


@pytest.mark.parametrize(("chance", "ms"), [(0.0, 8.0), (0.25, 9.0), (0.5, 10.0), (0.75, 11.0)])
def test_chance_spreads_it_by_a_fifth(chance: float, ms: float) -> None:
    assert delay(2, chance) == ms * MS


def test_capped_children_spread_too() -> None:
    """Else all that failed long would come back at one moment."""
    assert (delay(40, 0.0), delay(40, 0.999999)) == (4_000 * MS, pytest.approx(6_000 * MS, rel=1e-5))


def test_the_first_waits_for_nothing_whatever_chance_says() -> None:
    assert {delay(0, chance) for chance in (0.0, 0.5, 0.999)} == {0}


@settings(deadline=None)
@given(
    failures=st.integers(1, 10_000),
    base_ns=st.integers(0, 10**12),
    cap_ns=st.integers(0, 10**13),
    jitter=st.floats(0, 1),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_it_stays_within_its_jitter_of_the_plain_delay(
    failures: int, base_ns: int, cap_ns: int, jitter: float, chance: float
) -> None:
    plain_ns = min(cap_ns, base_ns * 2 ** (failures - 1))
    found_ns = delay_ns(failures, base_ns=base_ns, cap_ns=cap_ns, jitter=jitter, chance=chance)
    assert found_ns >= 0
    assert plain_ns * (1 - jitter) - 1 <= found_ns <= plain_ns * (1 + jitter) + 1
