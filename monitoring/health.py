"""Is the house alive, is it ready, and for what part of the last minutes was it.

Fails shut: nothing registered is not ready, a check that raises is not ok, a heartbeat that never came is too old.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from monitoring.tap import WINDOW_S
from mutable_core.clock import SECOND_NS, monotonic_ns

Check: TypeAlias = Callable[[], tuple[bool, str]]
"""(ok, detail for a person). Called from the server's thread: it must not wait."""

LOOP = "loop"
"""The component whose heartbeat says that the main loop turns; `/healthz` asks for it alone."""


class Component(msgspec.Struct, frozen=True):
    """One component as it was found; `heartbeat_age_ms` is None where no heartbeat is asked for or none has come."""

    name: str
    ok: bool
    detail: str
    heartbeat_age_ms: float | None = None


class _Part(msgspec.Struct):
    name: str
    check: Check | None
    limit_ns: int | None
    beat_ns: int | None = None


class Health:
    """The components that must all be well. Register before the server starts; `beat` and read from any thread."""

    def __init__(self, now_ns: Callable[[], int] = monotonic_ns) -> None:
        self._now_ns = now_ns
        self._parts: dict[str, _Part] = {}

    def register(self, name: str, check: Check | None = None, *, heartbeat_limit_ns: int | None = None) -> None:
        """`name` is ok while `check` says so and its last heartbeat is no older than the limit, where one is given.

        Registering again replaces the check and forgets the heartbeat: the component has been started anew.
        """
        if check is None and heartbeat_limit_ns is None:
            raise ValueError(f"component `{name}` has neither a check nor a heartbeat: nothing could find it ill")
        self._parts = {**self._parts, name: _Part(name, check, heartbeat_limit_ns)}

    def beat(self, name: str) -> None:
        self._parts[name].beat_ns = self._now_ns()

    def components(self) -> tuple[Component, ...]:
        return tuple(self._found(part) for part in self._parts.values())

    def ready(self) -> bool:
        return is_ready(self.components())

    def loop(self) -> Component:
        """How the main loop is; not ok where none is registered."""
        part = self._parts.get(LOOP)
        return Component(LOOP, ok=False, detail="no loop is registered") if part is None else self._found(part)

    def _found(self, part: _Part) -> Component:
        age_ns = None if part.beat_ns is None else self._now_ns() - part.beat_ns
        age_ms = None if age_ns is None else age_ns / 1_000_000
        if part.limit_ns is not None:
            if age_ns is None:
                return Component(part.name, ok=False, detail="no heartbeat yet")
            if age_ns > part.limit_ns:
                limit_ms = part.limit_ns // 1_000_000
                return Component(
                    part.name, ok=False, detail=f"heartbeat older than {limit_ms} ms", heartbeat_age_ms=age_ms
                )
        ok, detail = (True, "") if part.check is None else _asked(part.check)
        return Component(part.name, ok=ok, detail=detail, heartbeat_age_ms=age_ms)


def is_ready(components: tuple[Component, ...]) -> bool:
    return bool(components) and all(component.ok for component in components)


def _asked(check: Check) -> tuple[bool, str]:
    try:
        ok, detail = check()
    except Exception as error:  # noqa: BLE001  # a check that raises is an ill component, not an ill server
        return False, f"the check raised {type(error).__name__}"
    return ok is True, str(detail)


class Availability:
    """For what fraction of the window the house was ready, once it had been ready for the first time.

    A look vouches for the time until the next one, at most for `vouches_ns`: what nobody looked at was not available.
    """

    def __init__(self, *, window_ns: int = WINDOW_S * SECOND_NS, vouches_ns: int = 3 * SECOND_NS) -> None:
        self._window_ns, self._vouches_ns = window_ns, vouches_ns
        self._looks: deque[tuple[int, bool]] = deque(maxlen=2 * window_ns // SECOND_NS)

    def look(self, stamp_ns: int, *, is_ready: bool) -> None:
        """To be called about once a second."""
        if is_ready or self._looks:
            self._looks.append((stamp_ns, is_ready))

    def over_window(self, now_ns: int) -> tuple[float | None, int]:
        """(fraction 0…1, looks it rests on); None before the house was first ready or with no look in the window."""
        looks = [look for look in tuple(self._looks) if look[0] >= now_ns - self._window_ns]
        if not looks:
            return None, 0
        ends = [stamp for stamp, _ in looks[1:]] + [now_ns]
        ready_ns = sum(min(end - stamp, self._vouches_ns) for (stamp, ok), end in zip(looks, ends, strict=True) if ok)
        span_ns = now_ns - looks[0][0]
        return (ready_ns / span_ns if span_ns > 0 else float(looks[0][1])), len(looks)
