"""Alerts: one for each change of state, told again now and then, never a storm, never silently over."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mutable_core.clock import HOUR_NS, MINUTE_NS, SECOND_NS
from watchdog.alerts import AGAIN_NS, CALM_NS, HISTORY, Alert, Alerts, Notice, Severity

JOEY = Notice("joey_high_latency", Severity.WARNING, "joey: latency 3600 ms (allowed 5000)")
WORSE = Notice("joey_high_latency", Severity.CRITICAL, "joey: latency 9000 ms (allowed 5000)")


def test_what_is_found_fifty_times_is_told_once() -> None:
    """The public ARK: 50 looks, 50 alerts."""
    alerts = Alerts()
    told = [alert for second in range(50) for alert in alerts.looked("agents", [JOEY], second * SECOND_NS)]
    assert [alert.name for alert in told] == ["joey_high_latency"]
    assert (alerts.standing["joey_high_latency"].times, len(alerts.history)) == (50, 1)


def test_it_is_told_again_every_ten_minutes_while_it_stands() -> None:
    alerts = Alerts()
    told = [second for second in range(3_600) if alerts.looked("agents", [JOEY], second * SECOND_NS)]
    assert told == list(range(0, 3_600, 600))


def test_it_is_told_at_once_when_it_grows_worse_and_does_not_grow_milder() -> None:
    alerts = Alerts()
    alerts.looked("agents", [JOEY], 0)
    [worse] = alerts.looked("agents", [WORSE], SECOND_NS)
    assert (worse.severity, worse.since_ns, worse.told_ns) == (Severity.CRITICAL, 0, SECOND_NS)
    assert alerts.looked("agents", [JOEY], 2 * SECOND_NS) == ()
    assert alerts.standing[JOEY.name].severity is Severity.CRITICAL


def test_the_worst_of_one_look_counts() -> None:
    for order in ([JOEY, WORSE], [WORSE, JOEY]):
        [alert] = Alerts().looked("agents", order, 0)
        assert alert.severity is Severity.CRITICAL


def test_it_is_over_when_it_was_not_found_for_a_minute_and_that_is_told_once() -> None:
    alerts = Alerts()
    alerts.looked("agents", [JOEY], 0)
    told = [(second, alert) for second in range(1, 200) for alert in alerts.looked("agents", [], second * SECOND_NS)]
    assert [(second, alert.is_over, alert.since_ns) for second, alert in told] == [(60, True, 0)]
    assert not alerts.standing


def test_what_comes_and_goes_is_one_alert() -> None:
    """A condition that flaps every second for an hour is told as often as one that stands."""
    alerts, told = Alerts(), 0
    for second in range(3_600):
        told += len(alerts.looked("agents", [JOEY] * (second % 2 == 0), second * SECOND_NS))
    assert told == HOUR_NS // AGAIN_NS


def test_it_may_come_back() -> None:
    alerts = Alerts()
    alerts.looked("agents", [JOEY], 0)
    alerts.looked("agents", [], CALM_NS)
    [again] = alerts.looked("agents", [JOEY], CALM_NS + 1)
    assert (again.since_ns, again.times, again.is_over) == (CALM_NS + 1, 1, False)


def test_only_who_looks_for_it_can_find_that_it_is_over() -> None:
    alerts = Alerts()
    alerts.looked("agents", [JOEY], 0)
    assert alerts.looked("queues", [], HOUR_NS) == ()
    assert JOEY.name in alerts.standing, "silence is not good news"
    assert len(alerts.looked("agents", [], HOUR_NS)) == 1


def test_what_is_known_to_have_ended_is_over_at_once() -> None:
    alerts = Alerts()
    isolated = Notice("joey_isolated", Severity.CRITICAL, "it raised")
    alerts.found("policy", isolated, 0)
    over = alerts.over("joey_isolated", 5)
    assert over == Alert("joey_isolated", Severity.CRITICAL, "policy", "it raised", 0, 5, 0, is_over=True)
    assert alerts.over("joey_isolated", 6) is None
    assert [alert.is_over for alert in alerts.since(0)] == [False, True], "people find both in the history"


def test_the_end_of_an_alert_is_told_in_another_line_than_its_beginning() -> None:
    alerts = Alerts()
    begun = alerts.found("policy", Notice("joey_isolated", Severity.CRITICAL, "it raised"), 0)
    over = alerts.over("joey_isolated", 5)
    assert [str(begun), str(over)] == ["CRITICAL joey_isolated: it raised", "OVER joey_isolated: it raised"]


def test_the_history_holds_the_newest_thousand() -> None:
    alerts = Alerts()
    for number in range(HISTORY + 500):
        alerts.looked("agents", [Notice(f"a{number % 50}", Severity.WARNING, "x")], number * HOUR_NS)
        alerts.over(f"a{number % 50}", number * HOUR_NS + 1)
    assert len(alerts.history) == HISTORY == 1_000


def test_what_was_told_since_a_moment() -> None:
    alerts = Alerts()
    for minute in range(5):
        alerts.found("policy", Notice(f"a{minute}", Severity.WARNING, "x"), minute * MINUTE_NS)
    assert [alert.name for alert in alerts.since(3 * MINUTE_NS)] == ["a3", "a4"]


@settings(deadline=None)
@given(
    looks=st.lists(
        st.tuples(st.integers(0, 30), st.lists(st.sampled_from([JOEY, WORSE, Notice("b", Severity.EMERGENCY, "y")]))),
        max_size=200,
    )
)
def test_people_can_rebuild_what_stands_from_what_they_were_told(looks: list[tuple[int, list[Notice]]]) -> None:
    """Every change is told: the alerts told, taken together, say what stands and how bad it is."""
    alerts, told, now_ns = Alerts(), dict[str, Severity](), 0
    for seconds, notices in looks:
        now_ns += seconds * SECOND_NS
        for alert in alerts.looked("agents", notices, now_ns):
            if alert.is_over:
                del told[alert.name]
            else:
                told[alert.name] = alert.severity
        assert told == {name: alert.severity for name, alert in alerts.standing.items()}
        assert {notice.name for notice in notices} <= set(told)
