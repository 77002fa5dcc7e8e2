"""What stands until somebody ends it: halts, vetoes, consents, and what is known of markets and other profiles.

Folded from messages of people and of the Watchdog; it changes rarely, so it is one value beside the busy parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from immutables import Map

from mutable_core.clock import DAY_NS, MINUTE_NS
from mutable_core.messages import (
    AccountHalted,
    BroadcastPublished,
    CatalystFiled,
    ConsentRecorded,
    DrillOrdered,
    Envelope,
    HaltOrdered,
    OperationApproved,
    OperationAsked,
    SignalDeclared,
    SnapshotTaken,
    VetoLifted,
    VetoSet,
)

REDUCE_ONLY, HALTED = 1, 2
FRONT_RUNNING_NS = 5 * MINUTE_NS
BROADCAST_SESSIONS = 2
CATALYST_SESSIONS = 5
TRADING = "trading"

Covered = tuple[str, str]  # scope and name


class Standing(NamedTuple):
    """Times are log time, ns."""

    halts: Map[Covered, int]
    halted_at: Map[Covered, int]  # log position of the last message that halted there
    vetoes: Map[Covered, int]  # how many operators' vetoes stand
    consents: Map[Covered, int]  # (person, purpose) → until
    broadcasts: tuple[tuple[str, int], ...]  # (instrument, when)
    catalysts: tuple[tuple[str, int], ...]
    signals: tuple[tuple[str, str, int], ...]  # (instrument, side, when) of other profiles
    snapshot_ns: int | None
    drills: tuple[str, ...]  # traces that began with the order of one
    closing: frozenset[Covered] = frozenset()  # where the kill switch closes positions; only where a halt stands


NONE = Standing(Map(), Map(), Map(), Map(), (), (), (), None, ())


def fold(standing: Standing, envelope: Envelope) -> Standing:
    """What stands after one message; messages that do not concern it leave it as it is."""
    change = _FOLDS.get(type(envelope.body))
    return standing if change is None else change(standing, envelope, envelope.body)


def _halted(standing: Standing, envelope: Envelope, body: HaltOrdered) -> Standing:
    covered = (body.scope, _name(body))
    level = REDUCE_ONLY if body.level == "reduce_only" else HALTED
    after = halted(standing, covered, level, envelope.seq)
    return after._replace(closing=after.closing | {covered}) if body.level == "flattening" else after


def _name(body: Any) -> str:
    return "" if body.scope == "global" else str(body.name)


def halted(standing: Standing, covered: Covered, level: int, position: int) -> Standing:
    """A halt there is at least of this level; what was asked for before it does not lift it."""
    return standing._replace(
        halts=standing.halts.set(covered, max(level, standing.halts.get(covered, 0))),
        halted_at=standing.halted_at.set(covered, position),
    )


def is_overtaken(standing: Standing, asked: OperationAsked, position: int) -> bool:
    """Whether it would lift a halt that was ordered after it was asked for at `position`."""
    return asked.operation == "resume" and standing.halted_at.get((asked.scope, _name(asked)), 0) > position


def _account_halted(standing: Standing, envelope: Envelope, body: AccountHalted) -> Standing:
    covered = ("account", body.account)
    if standing.halts.get(covered, 0) >= REDUCE_ONLY:
        return standing  # whoever answers has noted it at once
    return halted(standing, covered, REDUCE_ONLY, envelope.seq)


def _operated(standing: Standing, _envelope: Envelope, body: OperationApproved) -> Standing:
    return resumed(standing, body)


def resumed(standing: Standing, body: OperationApproved) -> Standing:
    """What stands once the operation was approved: a `resume` lifts the halt of exactly its scope and name."""
    covered = (body.scope, _name(body))
    if body.operation != "resume" or covered not in standing.halts:
        return standing
    return standing._replace(halts=standing.halts.delete(covered), closing=standing.closing - {covered})


def _vetoed(standing: Standing, _envelope: Envelope, body: VetoSet) -> Standing:
    return standing._replace(vetoes=standing.vetoes.set((body.scope, _name(body)), 1))


def _unvetoed(standing: Standing, _envelope: Envelope, body: VetoLifted) -> Standing:
    covered = (body.scope, _name(body))
    return standing._replace(vetoes=standing.vetoes.delete(covered)) if covered in standing.vetoes else standing


def _consented(standing: Standing, _envelope: Envelope, body: ConsentRecorded) -> Standing:
    return standing._replace(consents=standing.consents.set((body.person, body.purpose), body.until_ns))


def _of_days(events: tuple[tuple[str, int], ...], now_ns: int, days: int) -> tuple[tuple[str, int], ...]:
    """Those that still count. Never cut by their number: many messages on one instrument must not hide one on another."""
    since = now_ns // DAY_NS - days
    return tuple([one for one in events if one[1] // DAY_NS >= since])


def _broadcast(standing: Standing, envelope: Envelope, body: BroadcastPublished) -> Standing:
    kept = _of_days(standing.broadcasts, envelope.ts_seen_ns, BROADCAST_SESSIONS)
    return standing._replace(broadcasts=(*kept, (body.instrument, envelope.ts_seen_ns)))


def _filed(standing: Standing, envelope: Envelope, body: CatalystFiled) -> Standing:
    kept = _of_days(standing.catalysts, envelope.ts_seen_ns, CATALYST_SESSIONS)
    return standing._replace(catalysts=(*kept, (body.instrument, envelope.ts_seen_ns)))


def _signalled(standing: Standing, envelope: Envelope, body: SignalDeclared) -> Standing:
    now = envelope.ts_seen_ns
    kept = tuple(one for one in standing.signals if one[2] >= now - FRONT_RUNNING_NS)
    return standing._replace(signals=(*kept, (body.instrument, body.side, now)))


def _snapshot(standing: Standing, envelope: Envelope, _body: SnapshotTaken) -> Standing:
    return standing._replace(snapshot_ns=envelope.ts_seen_ns)


def _drilled(standing: Standing, envelope: Envelope, _body: DrillOrdered) -> Standing:
    return standing._replace(drills=(*standing.drills[-63:], envelope.trace_id))


_FOLDS: dict[type, Callable[[Standing, Envelope, Any], Standing]] = {
    HaltOrdered: _halted,
    AccountHalted: _account_halted,
    OperationApproved: _operated,
    VetoSet: _vetoed,
    VetoLifted: _unvetoed,
    ConsentRecorded: _consented,
    BroadcastPublished: _broadcast,
    CatalystFiled: _filed,
    SignalDeclared: _signalled,
    SnapshotTaken: _snapshot,
    DrillOrdered: _drilled,
}

HEARD: tuple[type, ...] = tuple(_FOLDS)
"""The body types that change what stands."""


def _covering(table: Map[Covered, int], account: str, strategy: str, instrument: str) -> list[int]:
    keys = (("global", ""), ("account", account), ("strategy", strategy), ("instrument", instrument))
    return [table[key] for key in keys if key in table]


def halt_level(standing: Standing, account: str, strategy: str, instrument: str) -> int:
    """0 normal, 1 reduce-only, 2 halted: the widest of all that cover the act."""
    return max(_covering(standing.halts, account, strategy, instrument), default=0) if standing.halts else 0


def is_closing(standing: Standing, account: str, instrument: str) -> bool:
    """Whether the kill switch was ordered to close what is held there, and nobody has resumed since."""
    return not standing.closing.isdisjoint((("global", ""), ("account", account), ("instrument", instrument)))


def vetoes(standing: Standing, account: str, strategy: str, instrument: str) -> int:
    """Operators' vetoes that cover the act."""
    return sum(_covering(standing.vetoes, account, strategy, instrument)) if standing.vetoes else 0


def consents_missing(standing: Standing, owner: str, now_ns: int) -> int:
    """1 where the money is a person's who has not agreed, or no more; 0 where it is nobody's or all is well."""
    return int(bool(owner) and standing.consents.get((owner, TRADING), 0) <= now_ns)


def broadcasts(standing: Standing, instrument: str, now_ns: int) -> int:
    """Own messages on the instrument today or within the two days before."""
    return _young(standing.broadcasts, instrument, now_ns, BROADCAST_SESSIONS)


def catalysts(standing: Standing, instrument: str, now_ns: int) -> int:
    """Filings on the instrument today or within the five days before."""
    return _young(standing.catalysts, instrument, now_ns, CATALYST_SESSIONS)


def _young(events: tuple[tuple[str, int], ...], instrument: str, now_ns: int, days: int) -> int:
    if not events:
        return 0
    return sum(1 for name, _ in _of_days(events, now_ns, days) if name == instrument)


def others_signals(standing: Standing, instrument: str, side: str, now_ns: int) -> int:
    """Other profiles' signals in this instrument and direction, five minutes old or less."""
    since = now_ns - FRONT_RUNNING_NS
    return sum(1 for name, way, when in standing.signals if name == instrument and way == side and when >= since)


def is_stopped(standing: Standing, account: str, strategy: str, instrument: str) -> bool:
    """Whether a halt or a veto lets nothing new be opened there."""
    if not standing.halts and not standing.vetoes:
        return False
    return bool(halt_level(standing, account, strategy, instrument) or vetoes(standing, account, strategy, instrument))
