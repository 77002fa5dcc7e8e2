"""What the Watchdog does when a child ends, misbehaves, or a person says so: pure, in OTP's words.

```
 stopped ──begin──▶ starting ──caught_up──▶ running ──60 s──▶ all failures forgotten
                      ▲  ▲                     │ ended
       due, at once or  │                      ▼
       after a backoff  └──────────────── backing_off      within the intensity (5 restarts in 60 s)
                                               │ one more
                     probe_failed, doubled     ▼
            probing ─────────────────────▶ quarantined ──due──▶ probing ──probe_passed──▶ running
 any ──isolate by a person──▶ isolated ──release by a person──▶ probing
```

A `Ward` is what is known of one child; each function takes it with the monotonic time and gives it back changed, with the
action to do **now**, if there is one. Nothing here waits: `Ward.due_ns` says when `due` will have something to do.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from mutable_core.clock import HOUR_NS, MINUTE_NS, SECOND_NS
from mutable_core.errors import Unacceptable
from watchdog.backoff import delay_ns

Restart = Literal["permanent", "transient", "temporary"]
"""Always started again; only where it ended with an error; never."""

Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]
"""Who is started again with a child: nobody; those that were started after it; everybody."""

Phase = Literal["stopped", "starting", "running", "backing_off", "quarantined", "probing", "isolated"]

ALIVE: frozenset[Phase] = frozenset({"starting", "running", "probing"})
"""Phases in which there is, or is about to be, a process."""
SHUT_OUT: frozenset[Phase] = frozenset({"quarantined", "probing", "isolated"})
"""Phases in which the bus delivers nothing and takes nothing."""

MILLI_NS = 1_000_000
WATCHDOG = "watchdog"


class Rules(msgspec.Struct, frozen=True):
    """The numbers; ns on the monotonic clock.

    Attributes:
        intensity, period_ns: at most so many restarts within so long, as in OTP; the end that would need one more
            quarantines.
        backoff_base_ns, backoff_cap_ns, jitter: see `watchdog.backoff`; a base of 0 starts again at once, always.
        stable_ns: so long after it had caught up, a child's failures are forgotten.
        quarantine_ns, quarantine_cap_ns: the first quarantine, doubled with each further one up to the cap.
        probe_ns: a probe that has not passed after so long has failed.
    """

    intensity: int = 5
    period_ns: int = 60 * SECOND_NS
    backoff_base_ns: int = 5 * MILLI_NS
    backoff_cap_ns: int = 5 * SECOND_NS
    jitter: float = 0.2
    stable_ns: int = 60 * SECOND_NS
    quarantine_ns: int = MINUTE_NS
    quarantine_cap_ns: int = HOUR_NS
    probe_ns: int = 10 * SECOND_NS


RULES = Rules()


class Start(msgspec.Struct, frozen=True, tag=True):
    """Fork it, give it its state and what it missed; then say `started`, and `caught_up`. It was due at `at_ns`."""

    at_ns: int


class Kill(msgspec.Struct, frozen=True, tag=True):
    """End its process at once; `ended` will say what comes next."""

    why: str


class Quarantine(msgspec.Struct, frozen=True, tag=True):
    """End its process, if it has one; hold it at the bus. `until_ns` None: until a person releases it."""

    until_ns: int | None
    why: str
    by: str = WATCHDOG


class Probe(msgspec.Struct, frozen=True, tag=True):
    """Fork it as for `Start`, still held; let it answer one message in shadow: nothing of it is appended.

    Then say `probe_passed` or `probe_failed`.
    """


class Readmit(msgspec.Struct, frozen=True, tag=True):
    """Release it at the bus: it gets what was put aside, in order. `why` is what whoever released it said."""

    by: str
    why: str = "its probe has passed"


Action = Start | Kill | Quarantine | Probe | Readmit


class Ward(msgspec.Struct, frozen=True, gc=False):
    """One child, as its supervisor knows it.

    Attributes:
        incarnation: of the newest process, from 1; 0 before the first.
        since_ns: when the phase began.
        due_ns: when `due` has something to do; None where only an event changes anything.
        restarts_ns: of the restarts within the period, oldest first; at most `intensity`.
        failures: ends since it last worked stably.
        quarantines: since it last worked stably.
        why, by: of the last end, quarantine or isolation; who did it.
        is_asked: the next end was asked for and does not count.
    """

    name: str
    restart: Restart = "permanent"
    phase: Phase = "stopped"
    incarnation: int = 0
    since_ns: int = 0
    due_ns: int | None = None
    restarts_ns: tuple[int, ...] = ()
    failures: int = 0
    quarantines: int = 0
    why: str = ""
    by: str = WATCHDOG
    is_asked: bool = False


Turn = tuple[Ward, Action | None]


# -- what happens to a process ------------------------------------------------------------------------------------------


def begin(ward: Ward, now_ns: int) -> Turn:
    """Start a child that does not run; one that runs, or is shut out, is left as it is."""
    return _start(ward, now_ns, now_ns) if ward.phase == "stopped" else (ward, None)


def started(ward: Ward, now_ns: int) -> Ward:
    """Its process is there; the time that it has to catch up, or to pass its probe, counts from now."""
    if ward.phase == "probing" and ward.due_ns is not None:
        return replace(ward, since_ns=now_ns, due_ns=ward.due_ns + now_ns - ward.since_ns)
    return replace(ward, since_ns=now_ns) if ward.phase == "starting" else ward


def caught_up(ward: Ward, now_ns: int, *, incarnation: int | None = None) -> Ward:
    """It has its state and all that it missed, and works. A probe has yet to pass; an older incarnation says nothing."""
    if ward.phase != "starting" or (incarnation is not None and incarnation != ward.incarnation):
        return ward
    return _to(ward, "running", now_ns)


def ended(
    ward: Ward,
    now_ns: int,
    rules: Rules,
    chance: float,
    *,
    is_normal: bool = False,
    incarnation: int | None = None,
    why: str = "ended",
) -> Turn:
    """Its process is gone.

    `chance`, in [0, 1), is for the jitter. `is_normal`: it ended as it should, with exit code 0. `incarnation` says whose
    end it is: that of an older one than the newest says nothing; None is the newest's. `why`: how it ended, for people.
    """
    if ward.phase not in ALIVE or (incarnation is not None and incarnation != ward.incarnation):
        return ward, None
    if ward.phase == "probing":
        return probe_failed(ward, now_ns, rules, why=why)
    if ward.is_asked:
        return _start(ward, now_ns, now_ns)
    ward = _forgiven(ward, now_ns, rules)
    if ward.restart == "temporary" or (ward.restart == "transient" and is_normal):
        return replace(_to(ward, "stopped", now_ns), why=why, by=WATCHDOG), None
    recent_ns = _since(ward.restarts_ns, now_ns - rules.period_ns)
    if len(recent_ns) >= rules.intensity:
        return quarantine(ward, now_ns, rules, why=f"{why}; {rules.intensity} restarts were not enough")
    wait_ns = _backoff_ns(ward.failures, rules, chance)
    ward = replace(ward, restarts_ns=(*recent_ns, now_ns), failures=ward.failures + 1, why=why, by=WATCHDOG)
    if wait_ns <= 0:
        return _start(ward, now_ns, now_ns)
    return _to(ward, "backing_off", now_ns, now_ns + wait_ns), None


def due(ward: Ward, now_ns: int, rules: Rules = RULES) -> Turn:
    """What time alone brings: the end of a backoff, of a quarantine, or of the patience with a probe."""
    if ward.due_ns is None or now_ns < ward.due_ns:
        return ward, None
    match ward.phase:
        case "backing_off":
            return _start(ward, ward.due_ns, now_ns)
        case "quarantined":
            return _probe(ward, now_ns, rules)
        case "probing":
            return probe_failed(ward, now_ns, rules, why=f"no answer to its probe for {rules.probe_ns // MILLI_NS} ms")
        case _:
            raise AssertionError(f"nothing is ever due while {ward.phase}")


# -- misbehaviour -------------------------------------------------------------------------------------------------------


def kill(ward: Ward, why: str) -> Turn:
    """It is late, or ill: its process is to end. What comes next is decided when it has ended."""
    return (replace(ward, why=why, by=WATCHDOG), Kill(why)) if ward.phase in ALIVE else (ward, None)


def quarantine(ward: Ward, now_ns: int, rules: Rules, *, why: str) -> Turn:
    """Shut it out: at once for what no restart cures (it lies, it chokes on one message), or after too many restarts."""
    if ward.phase in {"quarantined", "isolated", "stopped"}:
        return ward, None
    ward = _forgiven(ward, now_ns, rules)
    length_ns = min(rules.quarantine_cap_ns, rules.quarantine_ns << min(ward.quarantines, 40))
    until_ns = now_ns + length_ns
    ward = replace(
        _to(ward, "quarantined", now_ns, until_ns),
        restarts_ns=(),
        quarantines=ward.quarantines + 1,
        why=why,
        by=WATCHDOG,
    )
    return ward, Quarantine(until_ns, why)


def probe_passed(ward: Ward, now_ns: int) -> Turn:
    """It answered in shadow: it is let in again. A further quarantine is still longer, until it has worked stably."""
    if ward.phase != "probing":
        return ward, None
    readmit = Readmit(ward.by) if ward.by == WATCHDOG else Readmit(ward.by, ward.why)
    return _to(ward, "running", now_ns), readmit


def probe_failed(ward: Ward, now_ns: int, rules: Rules, *, why: str = "its probe failed") -> Turn:
    """Back into quarantine, for twice as long."""
    return quarantine(ward, now_ns, rules, why=why) if ward.phase == "probing" else (ward, None)


# -- what people say ----------------------------------------------------------------------------------------------------


def isolate(ward: Ward, by: str, now_ns: int, *, why: str = "isolated") -> Turn:
    """Shut it out until a person releases it. Said twice it is one isolation."""
    if ward.phase == "isolated":
        return ward, None
    return replace(_to(ward, "isolated", now_ns), restarts_ns=(), why=why, by=by), Quarantine(None, why, by)


def release(ward: Ward, by: str, now_ns: int, rules: Rules = RULES, *, why: str = "released") -> Turn:
    """Let a child in again that was isolated or is in quarantine; it must pass its probe even so.

    Raises:
        Unacceptable: it is not shut out.
    """
    if ward.phase == "probing":
        return replace(ward, by=by, why=why), None
    if ward.phase not in SHUT_OUT:
        raise Unacceptable(f"`{ward.name}` is not shut out, it is {ward.phase.replace('_', ' ')}")
    return _probe(replace(ward, why=why), now_ns, rules, by)


def restart(ward: Ward, by: str, now_ns: int, *, why: str = "") -> Turn:
    """Start it anew; what ends for that does not count against it. `why` goes with it into the record of its end.

    Raises:
        Unacceptable: it is shut out, and a restart must not be a way back in.
    """
    if ward.phase in SHUT_OUT:
        raise Unacceptable(f"`{ward.name}` is {ward.phase}", to_do="release it")
    if ward.phase in ALIVE:
        said = f"restarted by {by}: {why}" if why else f"restarted by {by}"
        return replace(ward, is_asked=True, why=why or "restarted", by=by), Kill(said)
    return _start(replace(ward, by=by, why=why or ward.why), now_ns, now_ns)


def stop(ward: Ward, now_ns: int) -> Ward:
    """It is being shut down in order: its end starts nothing."""
    return _to(ward, "stopped", now_ns)


# -- the tree -----------------------------------------------------------------------------------------------------------


def affected(strategy: Strategy, order: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Who is torn down and started again where `name` ends, in start order; torn down in the reverse of it.

    Raises:
        ValueError: `name` is not in `order`, in which all children are as they are started.
    """
    at = order.index(name)
    match strategy:
        case "one_for_one":
            return (name,)
        case "rest_for_one":
            return order[at:]
        case "one_for_all":
            return order


def _to(ward: Ward, phase: Phase, now_ns: int, due_ns: int | None = None) -> Ward:
    return replace(ward, phase=phase, since_ns=now_ns, due_ns=due_ns, is_asked=False)


def _start(ward: Ward, at_ns: int, now_ns: int) -> Turn:
    return replace(_to(ward, "starting", now_ns), incarnation=ward.incarnation + 1), Start(at_ns)


def _probe(ward: Ward, now_ns: int, rules: Rules, by: str = WATCHDOG) -> Turn:
    probing = _to(ward, "probing", now_ns, now_ns + rules.probe_ns)
    return replace(probing, incarnation=ward.incarnation + 1, by=by), Probe()


def _backoff_ns(failures: int, rules: Rules, chance: float) -> int:
    base_ns, cap_ns = rules.backoff_base_ns, rules.backoff_cap_ns
    return delay_ns(failures, base_ns=base_ns, cap_ns=cap_ns, jitter=rules.jitter, chance=chance)


def _since(restarts_ns: tuple[int, ...], then_ns: int) -> tuple[int, ...]:
    """They are in order: nearly always all, or nearly none, are recent."""
    for index, restart_ns in enumerate(restarts_ns):
        if restart_ns >= then_ns:
            return restarts_ns[index:]
    return ()


def _forgiven(ward: Ward, now_ns: int, rules: Rules) -> Ward:
    """Stable work, not a mere start, makes failures forgotten."""
    if ward.phase == "running" and now_ns - ward.since_ns >= rules.stable_ns:
        return replace(ward, failures=0, quarantines=0)
    return ward
