"""Any past moment of a journal, answered from its rows alone: what was held, what worked, what agents knew, what was met.

*At a log position* is after that row; *at a time* is after all rows that had been seen by then. Times are the log's
own (`ts_seen_ns`: the market's in a replayed market, the wall's in a live one). Every row that an answer rests on is
verified on the way; nothing later is read, so that nothing later can colour it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mutable_core.accounts import AccountLedger, Nav, Result, account_nav, results
from mutable_core.book import Book, fold
from mutable_core.clock import SECOND_NS
from mutable_core.errors import LedgerUnbalanced, UnknownName
from mutable_core.journal import Checked, checked_rows
from mutable_core.messages import (
    AnyBody,
    Envelope,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderSpec,
    OrderUnknown,
    OrderWithheld,
    leg_id,
)
from mutable_core.money import atoms
from mutable_core.privacy import redacted
from mutable_core.state.errors import ValueRefused
from mutable_core.state.points import moment_ns

if TYPE_CHECKING:
    from mutable_core.state_manager import Entry as StoreEntry
    from mutable_core.state_manager import StateManager

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSITION = re.compile(r"[0-9]{1,15}", re.ASCII)
END = "end"

# -- moments ----------------------------------------------------------------------------------------------------------


class Moment(msgspec.Struct, frozen=True):
    """After row `seq`, or after every row seen by `ts_ns`; both None: after the last row."""

    text: str
    seq: int | None = None
    ts_ns: int | None = None


def moment_of(text: str) -> Moment:
    """A log position (`1200`), a time (ISO 8601, UTC unless it says otherwise, to the nanosecond), or `end`.

    Raises:
        UnknownName: it is none of these.
    """
    if text == END:
        return Moment(text)
    if _POSITION.fullmatch(text):
        return Moment(text, seq=int(text))
    try:
        return Moment(text, ts_ns=moment_ns(text))
    except ValueRefused as error:
        raise UnknownName(
            f"{text[:40]!a} is no moment",
            to_do="write a log position, a UTC time such as `2024-03-01T14:30:00Z`, or `end`",
        ) from error


def utc(ts_ns: int) -> str:
    """ISO 8601 with the nanoseconds that there are: `2024-03-01T14:30:00Z`."""
    seconds, fraction = divmod(ts_ns, SECOND_NS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{fraction:09}".rstrip("0") if fraction else "") + "Z"


def rows_until(path: Path, moment: Moment) -> Iterator[Checked]:
    """The journal's rows up to the moment, each verified before it is handed out.

    Raises:
        JournalBroken: at the first bad row.
        UnknownName: the moment lies before the log's beginning or after its end. The genesis row has no time of its
            own: times begin with the first row that has.
    """
    last: Envelope | None = None
    for checked in checked_rows(path):
        envelope = checked.envelope
        if moment.ts_ns is not None and envelope.ts_seen_ns > moment.ts_ns:
            if last is None or not last.ts_seen_ns:
                raise _outside(moment, path, f"the log begins at {utc(envelope.ts_seen_ns)}")
            return
        yield checked
        last = envelope
        if envelope.seq == moment.seq:
            return
    if last is not None and (moment.text == END or last.ts_seen_ns == moment.ts_ns):
        return
    ends = "the log is empty" if last is None else f"the log ends with row {last.seq} at {utc(last.ts_seen_ns)}"
    raise _outside(moment, path, ends)


def is_after(envelope: Envelope, moment: Moment) -> bool:
    """Whether the row lies behind the moment; `end` has nothing behind it."""
    if moment.ts_ns is not None:
        return envelope.ts_seen_ns > moment.ts_ns
    return moment.seq is not None and envelope.seq > moment.seq


def _outside(moment: Moment, path: Path, why: str) -> UnknownName:
    return UnknownName(
        f"`{moment.text}` is outside this journal: {why}", where=str(path), to_do="ask for a moment inside it, or `end`"
    )


class _Answer(msgspec.Struct, kw_only=True):
    """Where an answer stands: after row `seq`, seen at `ts_ns` (a string: it exceeds what browsers keep exactly)."""

    journal: str
    seq: int
    ts_ns: str
    at: str


def _standing(path: Path, last: Envelope | None) -> dict[str, Any]:
    seq, ts_ns = (0, 0) if last is None else (last.seq, last.ts_seen_ns)
    return {"journal": str(path), "seq": seq, "ts_ns": str(ts_ns), "at": utc(ts_ns)}


# -- positions --------------------------------------------------------------------------------------------------------


class PositionAt(msgspec.Struct):
    """The account's netted position, as agents decide by it, and what it is made of (`strategy` → quantity)."""

    instrument: str
    quantity_atoms: int
    cost_micros: int
    mark_atoms: int
    value_micros: int
    unrealised_micros: int
    by_strategy: dict[str, int]


class Positions(_Answer, kw_only=True):
    """`sub_ledgers` split costs and results by strategy; see `mutable_core/accounts/` for what differs."""

    account: str
    currency: str
    nav: Nav
    positions: list[PositionAt]
    sub_ledgers: list[Result]


def positions(path: Path, moment: Moment) -> Positions:
    """What was held, folded twice: as agents do it, and by the ledger of strategies.

    Raises:
        LedgerUnbalanced: the two foldings differ.
    """
    book, ledger, last = Book.empty(), AccountLedger(), None
    for checked in rows_until(path, moment):
        last = checked.envelope
        book = fold(book, last)
        ledger.take(last)
    nav = account_nav(ledger)
    quantities = {name: held.quantity_atoms for name, held in book.positions.items()}
    if (quantities, book.equity_micros()) != (ledger.quantities(), nav.nav_micros):
        raise LedgerUnbalanced("book and ledger differ", where=f"row {ledger.seq}", to_do="keep the journal; report it")
    return Positions(
        **_standing(path, last),
        account=redacted(ledger.account),
        currency=ledger.currency,
        nav=nav,
        positions=[_position(book, ledger, name) for name in sorted(quantities)],
        sub_ledgers=list(results(ledger)),
    )


def _position(book: Book, ledger: AccountLedger, instrument: str) -> PositionAt:
    held, value = book.positions[instrument], book.position_value_micros(instrument)
    parts = {owner: one.quantity_atoms for (owner, name), one in sorted(ledger.positions.items()) if name == instrument}
    return PositionAt(
        instrument, held.quantity_atoms, held.cost_micros, book.marks.get(instrument, 0), value,
        value - held.cost_micros, parts,
    )  # fmt: skip


# -- orders -----------------------------------------------------------------------------------------------------------


class WorkingOrder(msgspec.Struct):
    """An entry that has not ended. `remaining` in units; `held_micros` is what is still reserved for it."""

    order: OrderSpec
    strategy: str
    status: str
    remaining: Decimal
    held_micros: int
    legs: list[str]


class WorkingLeg(msgspec.Struct):
    """A protective leg that works at the venue. `limit_atoms` is 0 for a stop, `stop_atoms` for a target."""

    leg_id: str
    strategy: str
    instrument: str
    side: str
    limit_atoms: int
    stop_atoms: int


class HoldAt(msgspec.Struct):
    """What an approval reserves."""

    proposal_id: str
    strategy: str
    instrument: str
    notional_micros: int
    risk_micros: int
    reduces_atoms: int


class Orders(_Answer, kw_only=True):
    """`ended` counts orders by how they had ended by then."""

    account: str
    working: list[WorkingOrder]
    legs: list[WorkingLeg]
    holds: list[HoldAt]
    ended: dict[str, int]


_STATUS: dict[type, str] = {
    OrderRejected: "rejected",
    OrderCancelled: "cancelled",
    OrderExpired: "expired",
    OrderBlocked: "blocked",
}


class _Lives:
    """Entries that work, with status and what remains; how many ended, and how; where stops stand, by leg id."""

    def __init__(self) -> None:
        self.working: dict[str, tuple[str, Decimal]] = {}
        self.ended: dict[str, int] = {}
        self.stops: dict[str, Decimal] = {}

    def take(self, envelope: Envelope) -> None:
        body = envelope.body
        self._note_stop(body)
        match body:
            case OrderIntended(order=order):
                self.working[order.client_order_id] = ("intended", order.quantity)
            case OrderWithheld():
                if body.client_order_id not in self.working:  # else the approval's first order works
                    self._end("", "withheld")
            case OrderAccepted():
                if self._status(body.client_order_id) in {"intended", "unknown"}:
                    self._move(body.client_order_id, "accepted", None)
            case OrderUnknown():
                if self._status(body.client_order_id) == "intended":
                    self._move(body.client_order_id, "unknown", None)
            case OrderAdjusted():
                self._move(body.client_order_id, None, body.quantity)
            case OrderFilled(leg="entry"):
                if body.client_order_id in self.working:
                    self._move(body.client_order_id, "partly_filled", body.remaining)
                    if not body.remaining:
                        self._end(body.client_order_id, "filled")
            case OrderRejected() | OrderCancelled() | OrderExpired() | OrderBlocked():
                if body.client_order_id in self.working:
                    self._end(body.client_order_id, _STATUS[type(body)])
            case _:
                pass

    def _note_stop(self, body: AnyBody) -> None:
        match body:
            case OrderIntended(order=order) if order.stop_price is not None:
                self.stops[leg_id(order.client_order_id, "stop")] = order.stop_price
            case OrderAdjusted(stop_price=Decimal() as price):  # of an entry, or of the leg itself
                entry = body.client_order_id.partition(".")[0]
                self.stops[leg_id(entry, "stop")] = price
            case _:
                pass

    def _status(self, client_order_id: str) -> str:
        """Empty for what does not work."""
        return self.working.get(client_order_id, ("",))[0]

    def _move(self, client_order_id: str, status: str | None, remaining: Decimal | None) -> None:
        known = self.working.get(client_order_id)
        if known is not None:
            self.working[client_order_id] = (status or known[0], known[1] if remaining is None else remaining)

    def _end(self, client_order_id: str, how: str) -> None:
        self.working.pop(client_order_id, None)
        self.ended[how] = self.ended.get(how, 0) + 1


def orders(path: Path, moment: Moment) -> Orders:
    """What worked at the venue or was on its way there, and what approvals reserved."""
    book, ledger, lives, last = Book.empty(), AccountLedger(), _Lives(), None
    for checked in rows_until(path, moment):
        last = checked.envelope
        book = fold(book, last)
        ledger.take(last)
        lives.take(last)
    return Orders(
        **_standing(path, last),
        account=redacted(ledger.account),
        working=[_working(one, book, ledger, lives) for _, one in sorted(book.orders.items())],
        legs=[
            WorkingLeg(key, ledger.order(key).strategy, leg.instrument, leg.side, leg.limit_atoms,
                       0 if leg.limit_atoms else atoms(lives.stops.get(key, Decimal())))
            for key, leg in sorted(book.legs.items())
        ],
        holds=[
            HoldAt(key, ledger.holds[key].strategy, hold.instrument, hold.notional_micros, hold.risk_micros,
                   hold.reduces_atoms)
            for key, hold in sorted(book.holds.items())
        ],
        ended=dict(sorted(lives.ended.items())),
    )  # fmt: skip


def _working(order: OrderSpec, book: Book, ledger: AccountLedger, lives: _Lives) -> WorkingOrder:
    key = order.client_order_id
    status, remaining = lives.working[key]
    hold = book.holds.get(order.proposal_id)
    armed = sorted(leg for leg in book.legs if leg.startswith(f"{key}."))
    held = 0 if hold is None else hold.notional_micros
    return WorkingOrder(order, ledger.order(key).strategy, status, remaining, held, armed)


# -- agents' states ---------------------------------------------------------------------------------------------------


class Kept(msgspec.Struct):
    """A key of the versioned state as it stood: `value` is None where nobody may read it here, and `note` says why."""

    namespace: str
    key: str
    version: int
    author: str
    ts_ns: str
    value: Any
    note: str = ""


class States(_Answer, kw_only=True):
    """Agent → its state as plain data; and the versioned state, None where the state folder has no store.

    The store's times are the wall's. For a time they are asked for that time, for a log position for when its row was
    seen: in a replayed market, whose log runs on the market's clock, that is mostly before the store began.
    """

    agents: dict[str, Any]
    kept: list[Kept] | None


def states(path: Path, moment: Moment, names: Sequence[str] = ()) -> States:
    """What each agent knew once it had heard every row up to the moment: new agents are given the same rows.

    Raises:
        ReplayDiverged: an agent of this build says something else than the journal holds.
        UnknownName: `names` has one that no agent has.
    """
    from deployment.topology.house import EDGES
    from deployment.topology.wiring import hosted_agents
    from mutable_core.bus.ordering import Bus
    from mutable_core.journal import Journal

    hosts = hosted_agents()
    known = [host.name for host in hosts]
    for name in names:
        if name not in known:
            raise UnknownName(f"no agent is called {name[:40]!a}", to_do=f"write one of {', '.join(known)}")
    bus = Bus(Journal.in_memory(), hosts, EDGES)
    bus.on_wants = _grant_nothing
    heard = _Heard(rows_until(path, moment))
    bus.replay(heard)
    bus.run()  # the last rows are heard too; what would have been said about them is a later row
    return States(
        **_standing(path, heard.last),
        agents={host.name: view(host.state) for host in hosts if not names or host.name in names},
        kept=_kept(path.parent.parent, moment, heard.last),
    )


def _kept(state_dir: Path, moment: Moment, last: Envelope | None) -> list[Kept] | None:
    """What the store held: now, for `end`."""
    from mutable_core.state.points import Moment as StoreMoment
    from mutable_core.state.points import Revision
    from mutable_core.state_manager import STATE, StateManager

    if not (state_dir / STATE).is_file() or last is None:
        return None
    with StateManager.open_read_only(state_dir / STATE) as manager:
        seen_ns = last.ts_seen_ns if moment.ts_ns is None else moment.ts_ns
        point = Revision(manager.head()[0]) if moment.text == END else StoreMoment(seen_ns)
        there = [change.after for change in manager.diff(Revision(0), point) if change.after is not None]
        return [_kept_one(manager, entry) for entry in there]


def _kept_one(manager: StateManager, entry: StoreEntry) -> Kept:
    from mutable_core.state.points import Version

    told = Kept(entry.namespace, entry.key, entry.version, entry.author, str(entry.ts_ns), None)
    if entry.is_secret or entry.is_pruned:
        told.note = "secret" if entry.is_secret else "dropped by retention"
        return told
    found = manager.get(entry.namespace, entry.key, at=Version(entry.version))
    told.value = None if found is None else view(found.value)
    return told


class _Heard:
    """Rows as a replay takes them; remembers the last."""

    def __init__(self, rows: Iterable[Checked]) -> None:
        self._rows = rows
        self.last: Envelope | None = None

    def __iter__(self) -> Iterator[tuple[bytes, Envelope]]:
        for checked in self._rows:
            self.last = checked.envelope
            yield checked.row, checked.envelope


def _grant_nothing(wants: Sequence[Any]) -> None:
    """A replay sends nothing."""


def view(value: Any) -> Any:
    """A frozen state as plain data: objects, lists, text, numbers. Decimals are text, keys are text, sets are sorted.

    What people wrote, and what must not leave the house, is taken out of the texts.
    """
    match value:
        case str():
            return redacted(value)
        case None | bool() | int() | float():
            return value
        case Decimal():
            return str(value)
        case bytes():
            return value.hex()
        case msgspec.Struct():
            return {name: view(getattr(value, name)) for name in value.__struct_fields__}
        case tuple() if hasattr(value, "_fields"):
            return {name: view(getattr(value, name)) for name in value._fields}
        case Mapping():
            return {key: view(one) for key, one in sorted((_key(key), one) for key, one in value.items())}
        case frozenset() | set():
            return sorted((view(one) for one in value), key=str)
        case Iterable():
            return [view(one) for one in value]
        case _:
            return str(value)


def _key(key: Any) -> str:
    return "/".join(str(part) for part in key) if isinstance(key, tuple) else str(key)


# -- promises ---------------------------------------------------------------------------------------------------------


class Slos(_Answer, kw_only=True):
    """What `/slos` would have answered, as far as the log can tell.

    The log holds when each row got its place; it does not hold how long a commit took, nor whether anybody found the
    house ready: those are unknown, and unknown is not met.
    """

    report: dict[str, Any]


def slos(path: Path, moment: Moment) -> Slos:
    """The promises over the window that ended with the moment's row, by the stamps that lie beside the rows."""
    from monitoring.health import Availability
    from monitoring.slos import Signals, report
    from monitoring.tap import Tap

    tap, now_ns, last = Tap(lambda: 0), 0, None
    for checked in rows_until(path, moment):
        if checked.stamp_ns < now_ns:  # another boot: its clock began anew, and so did who listened
            tap = Tap(lambda: 0)
        last, now_ns = checked.envelope, checked.stamp_ns
        tap.seen(last, now_ns)
    return Slos(**_standing(path, last), report=report(Signals(tap, Availability(), now_ns)))
