"""Alerts: what people are told, once for each change, under the names that operators of ARK know.

A condition that stands is one alert, however often it is found; it is told again now and then, and when it grows
worse. It is over only when it was not found for a while, so that one which comes and goes is one alert too. An alert
that nobody looks for any more stays: silence is not good news (I10).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import IntEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from mutable_core.clock import MINUTE_NS

HISTORY = 1_000
AGAIN_NS = 10 * MINUTE_NS
CALM_NS = MINUTE_NS


class Severity(IntEnum):
    WARNING = 1
    CRITICAL = 2
    EMERGENCY = 3


class Alert(msgspec.Struct, frozen=True, gc=False):
    """One condition, as it was told.

    Attributes:
        name: `joey_isolated`; one alert stands for each name.
        scope: who looks for it: only they can find that it is over.
        text: for people; lower case, no full stop.
        since_ns: when it was found first.
        told_ns: when it was told last, and is told with this.
        seen_ns: when it was found last.
        times: how often it was found.
        is_over: it is not found any more.
    """

    name: str
    severity: Severity
    scope: str
    text: str
    since_ns: int
    told_ns: int
    seen_ns: int
    times: int = 1
    is_over: bool = False

    def __str__(self) -> str:
        """The line that people are told: `CRITICAL joey_isolated: …`, and `OVER joey_isolated: …` once it has ended."""
        return f"{'OVER' if self.is_over else self.severity.name} {self.name}: {self.text}"


class Notice(msgspec.Struct, frozen=True, gc=False):
    """What was found at one look, and would be told if it were new."""

    name: str
    severity: Severity
    text: str


class Alerts:
    """Those that stand, and the newest thousand that were told; ns on the monotonic clock.

    Args:
        again_ns: an alert that stands is told again after so long.
        calm_ns: it is over when it was not found for so long.
    """

    def __init__(self, *, again_ns: int = AGAIN_NS, calm_ns: int = CALM_NS) -> None:
        self._again_ns, self._calm_ns = again_ns, calm_ns
        self._standing: dict[str, Alert] = {}
        self.history: deque[Alert] = deque(maxlen=HISTORY)

    @property
    def standing(self) -> Mapping[str, Alert]:
        """By name, in the order in which they came."""
        return MappingProxyType(self._standing)

    def looked(self, scope: str, found: Iterable[Notice], now_ns: int) -> tuple[Alert, ...]:
        """All that one look of `scope` has found. Returns what is to be told: new, worse, told again, over."""
        notices = _worst(found)
        told = [self.found(scope, notice, now_ns) for notice in notices.values()]
        told += [
            self.over(alert.name, now_ns)
            for alert in tuple(self._standing.values())
            if alert.scope == scope and alert.name not in notices and now_ns - alert.seen_ns >= self._calm_ns
        ]
        return tuple(alert for alert in told if alert is not None)

    def found(self, scope: str, notice: Notice, now_ns: int) -> Alert | None:
        """One condition; returned where it is to be told."""
        before = self._standing.get(notice.name)
        if before is None:
            return self._tell(Alert(notice.name, notice.severity, scope, notice.text, now_ns, now_ns, now_ns))
        is_worse = notice.severity > before.severity
        alert = replace(
            before,
            severity=max(notice.severity, before.severity),
            scope=scope,
            text=notice.text,
            seen_ns=now_ns,
            times=before.times + 1,
        )
        if is_worse or now_ns - before.told_ns >= self._again_ns:
            return self._tell(replace(alert, told_ns=now_ns))
        self._standing[alert.name] = alert
        return None

    def over(self, name: str, now_ns: int) -> Alert | None:
        """It has ended, and is known to have; None where it did not stand."""
        before = self._standing.pop(name, None)
        if before is None:
            return None
        alert = replace(before, told_ns=now_ns, is_over=True)
        self.history.append(alert)
        return alert

    def since(self, then_ns: int) -> tuple[Alert, ...]:
        """What was told from then on, oldest first."""
        return tuple(alert for alert in self.history if alert.told_ns >= then_ns)

    def _tell(self, alert: Alert) -> Alert:
        self._standing[alert.name] = alert
        self.history.append(alert)
        return alert


def _worst(found: Iterable[Notice]) -> dict[str, Notice]:
    worst: dict[str, Notice] = {}
    for notice in found:
        before = worst.get(notice.name)
        if before is None or notice.severity > before.severity:
            worst[notice.name] = notice
    return worst
