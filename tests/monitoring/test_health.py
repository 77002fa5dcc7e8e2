from __future__ import annotations

import pytest

from monitoring.health import LOOP, Health
from tests.monitoring.makers import SECOND, HandClock


def fine() -> tuple[bool, str]:
    return True, "fine"


def test_an_empty_house_is_not_ready() -> None:
    assert not Health().ready()


def test_it_is_ready_when_every_component_is() -> None:
    health = Health()
    health.register("journal", fine)
    health.register("source", fine)
    assert health.ready()


def test_one_component_that_is_not_well_is_enough() -> None:
    health, well = Health(), [True]
    health.register("journal", fine)
    health.register("kenny", lambda: (well[0], "quarantined"))
    assert health.ready()
    well[0] = False
    assert not health.ready()
    (found,) = (part for part in health.components() if not part.ok)
    assert (found.name, found.detail) == ("kenny", "quarantined")
    well[0] = True
    assert health.ready()


def test_a_heartbeat_that_never_came_is_too_old() -> None:
    health = Health()
    health.register("kyle", fine, heartbeat_limit_ns=SECOND)
    assert not health.ready()


def test_a_heartbeat_of_exactly_the_limit_is_fresh_and_an_older_one_is_not() -> None:
    clock = HandClock()
    health = Health(clock)
    health.register("kyle", heartbeat_limit_ns=SECOND)
    health.beat("kyle")
    clock.pass_(1)
    assert health.ready()
    clock.now_ns += 1
    assert not health.ready()
    health.beat("kyle")
    assert health.ready()


def test_a_fresh_heartbeat_does_not_outweigh_a_failing_check() -> None:
    health = Health()
    health.register("kyle", lambda: (False, "no source"), heartbeat_limit_ns=SECOND)
    health.beat("kyle")
    assert not health.ready()


def test_a_component_that_is_started_anew_must_beat_anew() -> None:
    health = Health()
    for _ in range(2):
        health.register("kyle", heartbeat_limit_ns=SECOND)
        assert not health.ready()
        health.beat("kyle")
        assert health.ready()


@pytest.mark.parametrize("check", [lambda: 1 / 0, lambda: None, lambda: ("yes", ""), lambda: (None, "")])
def test_a_check_that_fails_or_answers_anything_but_true_is_not_ok(check: object) -> None:
    health = Health()
    health.register("odd", check)
    assert not health.ready()


def test_a_component_that_nothing_could_find_ill_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a check nor a heartbeat"):
        Health().register("kyle")


def test_the_loop_is_not_well_before_it_is_registered() -> None:
    health = Health()
    assert not health.loop().ok
    health.register(LOOP, heartbeat_limit_ns=SECOND)
    health.beat(LOOP)
    assert health.loop().ok
