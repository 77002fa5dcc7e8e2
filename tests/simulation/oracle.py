"""The oracle: what must hold, computed a second time from the log and from what the venue saw, in code of its own.

It uses messages and nothing else of the house: no book, no docket, no check of Aletheia's. It is told each message as it
is appended, each order as it leaves, each power cut, and it raises `Violation` at the first thing that must not be.

I1  an order leaves only with a proposal, a verdict and an intent in the log that say exactly this order, once.
I2  an approval names no violated clause; nothing is approved that a halt forbids.
I3  ... in the part of the log that is on the disk.
I4  an id leaves once, and again only after the venue has said that it has none; venue events stand in the log once, in
    their order; an unknown order ends by the venue's word alone, said twice where the word is no.
I5  what is held, open or unknown in an instrument stays within the limits, worst case.
I6  each message names a cause that stands before it in its own trace, and at the end nothing is awaited.
I7  (by the simulation) a replay says the same.
I8  once books and venue were found apart, nothing opens; when they are said to agree, they do.
I9  nothing opens but under a lease that the Watchdog wrote on the page, and in the log, not long ago, while everybody
    who vets is heard.
I10 nothing opens on a price that is old; what nobody answers is never taken for good news.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from graveyard.words import Proposal
from mutable_core.clock import SECOND_NS
from mutable_core.messages import (
    AccountHalted,
    AgentHeld,
    AgentReleased,
    Approved,
    CorporateActionObserved,
    DiscrepancyFound,
    Envelope,
    HaltOrdered,
    InputRejected,
    LeaseGranted,
    NothingProposed,
    Observed,
    OperationApproved,
    OperationAsked,
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
    PersonSigned,
    ProposalMade,
    Reconciled,
    Refused,
    RowReceived,
    RunStarted,
    VenueEvent,
    VenueStated,
    VetoLifted,
    VetoSet,
)

TERM_NS = 5 * SECOND_NS
PATIENCE_NS = 30 * SECOND_NS
QUOTE_AGE_NS = 2 * SECOND_NS
_ATOMS2_PER_MICRO = 10**10
VETTING = frozenset({"hrm", "aletheia", "id"})
"""While one of them is not heard, nothing opens."""
LEVELS = {"reduce_only": 1, "halted": 2, "flattening": 2}


class Violation(AssertionError):
    """Something that must never be. `law` is I1 … I10, `what` says it with its numbers."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(f"{law}: {what}")
        self.law, self.what = law, what


def must(holds: object, law: str, what: str) -> None:
    if not holds:
        raise Violation(law, what)


class World:
    """What happened outside, which no power cut undoes.

    Attributes:
        left: client order id → how often it left the house.
        denied: ids of which the venue has said that it has none since they left, and when first and last (ns, log time).
        page_until_ns: until when the newest page of the Watchdog's lease lets risk be opened, monotonic.
    """

    def __init__(self, monotonic: Callable[[], int]) -> None:
        self.monotonic = monotonic
        self.left: Counter[str] = Counter()
        self.denied: dict[str, tuple[int, int]] = {}
        self.page_until_ns = 0
        self.page_written_ns = 0

    def renewed(self) -> None:
        """The Watchdog has found all well, now."""
        self.page_written_ns = self.monotonic()
        self.page_until_ns = self.page_written_ns + TERM_NS


class _Fold:
    """What follows from the log so far."""

    def __init__(self) -> None:
        self.log: list[Envelope] = []
        self.at: dict[str, tuple[str, int]] = {}  # message id → its trace and depth
        self.awaited: dict[str, str] = {}  # what must still be answered → by what
        self.proposals: dict[str, tuple[Proposal, Envelope]] = {}
        self.leases: dict[str, LeaseGranted | None] = {}  # proposal id → the newest lease when it was made
        self.approved: dict[str, Envelope] = {}
        self.intended: dict[str, Envelope] = {}
        self.used: set[str] = set()
        self.working: dict[str, OrderSpec] = {}  # client order id → entry that has not ended
        self.left_micros: dict[str, int] = {}  # proposal id → what it may still cost
        self.halts: dict[tuple[str, str], tuple[int, int]] = {}  # → level, position
        self.vetoes: dict[tuple[str, str], int] = {}
        self.unknown: dict[str, int] = {}  # → since when (log position)
        self.venue_seq = 0
        self.positions: defaultdict[str, int] = defaultdict(int)
        self.marks: dict[str, int] = {}
        self.prices_ns: dict[str, tuple[str, int]] = {}  # observation id → instrument, when the price was made
        self.cash_micros = 0
        self.is_cash_known = True  # to the micro, but for rounding: fractions of a lot were not paid out lately
        self.lease: LeaseGranted | None = None
        self.discrepancy = ""
        self.apart: dict[str, str] = {}  # id of a statement → what differed when it was made
        self.newest_ns = 0
        self.account = ""
        self.held: set[str] = set()
        self.asked: dict[str, OperationAsked] = {}
        self.signers: dict[int, str] = {}  # position of a signature → whose it is

    @property
    def equity_micros(self) -> int:
        return self.cash_micros + sum(
            self.marks.get(name, 0) * units // _ATOMS2_PER_MICRO for name, units in self.positions.items()
        )


def _atoms(value: Any) -> int:
    return int(value.scaleb(8))


class Oracle:
    """Follows one run, over all of its restarts.

    Args:
        world: what lasts.
        durable: position of the last row that is on the disk, now.
        reached: told the rare states that the log shows.
    """

    def __init__(self, world: World, durable: Callable[[], int], reached: Callable[[str], None]) -> None:
        self.world = world
        self._durable = durable
        self._reached = reached
        self._is_live = True  # and not told the same again after a power cut
        self._fold = _Fold()
        self._hear: dict[type, Callable[[Envelope, Any], None]] = {
            RunStarted: self._started, RowReceived: self._row, Observed: self._observed,
            InputRejected: self._answered_row, NothingProposed: self._quiet, ProposalMade: self._proposed,
            Approved: self._approved, Refused: self._refused, OrderIntended: self._intended,
            OrderWithheld: self._withheld, OrderAccepted: self._venue, OrderRejected: self._venue,
            OrderFilled: self._venue, OrderCancelled: self._venue, OrderExpired: self._venue, OrderAdjusted: self._venue,
            OrderBlocked: self._blocked, OrderUnknown: self._unknown, HaltOrdered: self._halted,
            OperationAsked: self._operation, OperationApproved: self._resumed, VetoSet: self._vetoed,
            VetoLifted: self._unvetoed, LeaseGranted: self._leased, DiscrepancyFound: self._found,
            VenueStated: self._stated, Reconciled: self._reconciled,
            AccountHalted: self._account_halted, AgentHeld: self._held, AgentReleased: self._released, PersonSigned: self._signed,
            CorporateActionObserved: self._acted,
        }  # fmt: skip

    @property
    def rows(self) -> int:
        return len(self._fold.log)

    @property
    def discrepancy(self) -> str:
        return self._fold.discrepancy

    @property
    def positions(self) -> dict[str, int]:
        return {name: units for name, units in sorted(self._fold.positions.items()) if units}

    @property
    def halts(self) -> tuple[tuple[str, str], ...]:
        return tuple(self._fold.halts)

    def newest(self, count: int) -> list[Envelope]:
        """The last rows."""
        return self._fold.log[-count:]

    # -- what it is told --------------------------------------------------------------------------------------------

    def appended(self, envelope: Envelope, _stamp_ns: int = 0) -> None:
        """A message was appended."""
        fold, seq = self._fold, envelope.seq
        if seq != len(fold.log) + 1:
            raise Violation("I7", f"row {seq} was appended after row {len(fold.log)}")
        fold.log.append(envelope)
        if envelope.depth:
            cause = fold.at.get(envelope.cause_id)
            if cause != (envelope.trace_id, envelope.depth - 1):
                raise Violation("I6", f"row {seq} (`{envelope.kind}`) names a cause that is {cause}")
        elif envelope.cause_id != envelope.id or envelope.trace_id != envelope.id:
            raise Violation("I6", f"row {seq} begins a trace that is not its own")
        fold.at[envelope.id] = (envelope.trace_id, envelope.depth)
        if envelope.ts_seen_ns < fold.newest_ns:
            raise Violation("I7", f"row {seq} was seen before the row before it")
        fold.newest_ns = envelope.ts_seen_ns
        hear = self._hear.get(type(envelope.body))
        if hear is not None:
            hear(envelope, envelope.body)

    def power_cut(self) -> None:
        """What was not on the disk is gone; what was sent, was sent."""
        kept = self._fold.log[: self._durable()]
        for envelope in self._fold.log[len(kept) :]:
            if isinstance(envelope.body, OrderIntended):
                self._reached("intent lost")
        self._fold, self._is_live = _Fold(), False
        for envelope in kept:
            self.appended(envelope)
        self._is_live = True
        gone = self.world.left.keys() - self._fold.intended.keys()
        must(not gone, "I3", f"orders {sorted(gone)[:3]} left, and after a power cut their intents are gone")

    def left(self, order: OrderSpec) -> None:
        """An order leaves the house, now."""
        fold, key, world = self._fold, order.client_order_id, self.world
        intent = fold.intended.get(key)
        must(intent is not None, "I1", f"order `{key}` left without an intent in the log")
        assert intent is not None
        assert isinstance(intent.body, OrderIntended)
        must(intent.body.order == order, "I1", f"order `{key}` is not the one that was intended")
        verdict = fold.approved.get(order.proposal_id)
        must(verdict is not None, "I1", f"order `{key}` left without a verdict in the log")
        assert verdict is not None
        durable = self._durable()
        must(
            intent.seq <= durable,
            "I3",
            f"order `{key}` left with its intent at row {intent.seq}, {durable} are on disk",
        )
        must(verdict.seq <= durable, "I3", f"order `{key}` left with its verdict at row {verdict.seq}")
        if world.left[key]:
            must(
                key in world.denied, "I4", f"order `{key}` was sent again, and the venue had not said that it has none"
            )
            self._reached("sent again")
        world.left[key] += 1
        world.denied.pop(key, None)
        assert isinstance(verdict.body, Approved)
        must(fold.newest_ns <= verdict.body.expires_ns, "I1", f"order `{key}` left after its approval had expired")
        if not order.reduces:
            self._opens(order, verdict)

    def _opens(self, order: OrderSpec, verdict: Envelope) -> None:
        fold, world, key = self._fold, self.world, order.client_order_id
        now = world.monotonic()
        must(
            now < world.page_until_ns,
            "I9",
            f"order `{key}` opened {(now - world.page_until_ns) / 1e9:.1f} s after the lease",
        )
        unheard = fold.held & VETTING
        must(not unheard, "I9", f"order `{key}` opened while {sorted(unheard)} was held")
        must(not fold.discrepancy, "I8", f"order `{key}` opened after `{fold.discrepancy}`")
        level = self._halt_level(fold.proposals[order.proposal_id][0])
        must(level == 0, "I9", f"order `{key}` opened under a halt of level {level}; verdict at row {verdict.seq}")

    def denied(self, client_order_id: str) -> None:
        """The venue has said that it has no such order."""
        now = self._fold.newest_ns
        first, _ = self.world.denied.get(client_order_id, (now, now))
        self.world.denied[client_order_id] = (first, now)

    # -- the market -------------------------------------------------------------------------------------------------

    def _started(self, _: Envelope, body: RunStarted) -> None:
        self._fold.cash_micros, self._fold.account = body.cash_micros, body.account

    def _row(self, envelope: Envelope, _body: RowReceived) -> None:
        self._fold.awaited[envelope.trace_id] = "row"

    def _answered_row(self, envelope: Envelope, _body: InputRejected) -> None:
        must(self._fold.awaited.pop(envelope.trace_id, "") == "row", "I6", f"row {envelope.seq} answers no row")

    def _observed(self, envelope: Envelope, body: Observed) -> None:
        fold = self._fold
        must(fold.awaited.get(envelope.trace_id) == "row", "I6", f"row {envelope.seq} answers no row")
        fold.awaited[envelope.trace_id] = "observation"
        fold.marks[body.instrument] = price = _atoms(body.market.last)
        if price <= 0:
            raise Violation("I2", f"row {envelope.seq} lets a price of {price} atoms through")
        fold.prices_ns[envelope.id] = (body.instrument, envelope.ts_event_ns)

    def _acted(self, _: Envelope, body: CorporateActionObserved) -> None:
        """A jump in the ratio of a split is one: units become more or fewer, whole lots (of one unit here) stay."""
        fold, name, lot = self._fold, body.instrument, 10**8
        units = fold.positions[name]
        if units:
            sign = 1 if units > 0 else -1
            fold.positions[name] = sign * (abs(units) * body.numerator // body.denominator // lot * lot)
            fold.is_cash_known = False
        fold.marks[name] = fold.marks.get(name, 0) * body.denominator // body.numerator
        self._reached("split")

    def _quiet(self, envelope: Envelope, _body: NothingProposed) -> None:
        must(
            self._fold.awaited.pop(envelope.trace_id, "") == "observation", "I6", f"row {envelope.seq} answers nothing"
        )

    # -- decisions --------------------------------------------------------------------------------------------------

    def _proposed(self, envelope: Envelope, body: ProposalMade) -> None:
        fold, key = self._fold, body.proposal.proposal_id
        must(key not in fold.proposals, "I6", f"row {envelope.seq} proposes `{key}` a second time")
        fold.awaited.pop(envelope.trace_id, "")
        fold.awaited[key] = "verdict"
        fold.proposals[key] = (body.proposal, envelope)
        fold.leases[key] = fold.lease
        if body.is_drill:
            self._reached("drill")

    def _verdict(self, envelope: Envelope, body: Approved | Refused) -> Proposal:
        fold, key = self._fold, body.proposal_id
        must(fold.awaited.pop(key, "") == "verdict", "I6", f"row {envelope.seq} answers `{key}`, which awaits none")
        proposal, asked = fold.proposals[key]
        must(envelope.cause_id == asked.id, "I6", f"the verdict at row {envelope.seq} names another cause")
        return proposal

    def _refused(self, envelope: Envelope, body: Refused) -> None:
        self._verdict(envelope, body)
        self._reached("refused")

    def _approved(self, envelope: Envelope, body: Approved) -> None:
        fold, key = self._fold, body.proposal_id
        proposal = self._verdict(envelope, body)
        must(body.verdict.approved and not body.verdict.violations, "I2", f"row {envelope.seq} approves against a rule")
        must(key not in fold.approved, "I1", f"row {envelope.seq} approves `{key}` a second time")
        fold.approved[key] = envelope
        fold.awaited[key] = "intent"
        # HRM may have been held: its answer knows what stood in the log when it was asked.
        asked_at = fold.proposals[key][1].seq
        level = self._halt_level(proposal, asked_at)
        is_opening = body.facts.is_opening != 0
        must(level < (1 if is_opening else 2), "I2", f"row {envelope.seq} approves under a halt of level {level}")
        must(
            not is_opening or not self._is_vetoed(proposal, asked_at),
            "I2",
            f"row {envelope.seq} approves against a veto",
        )
        position = fold.positions[proposal.instrument]
        units = _atoms(proposal.quantity) * (1 if proposal.side == "buy" else -1)
        if not is_opening:
            is_smaller = position and (position > 0) != (units > 0) and abs(units) <= abs(position)
            must(is_smaller, "I5", f"row {envelope.seq} takes {units} atoms for a reduction of {position}")
            return
        self._may_open(envelope, body, proposal)

    def _may_open(self, envelope: Envelope, body: Approved, proposal: Proposal) -> None:
        fold, where = self._fold, f"row {envelope.seq}"
        asked_ns = fold.proposals[body.proposal_id][1].ts_seen_ns
        for cited in proposal.evidence:
            instrument, made_ns = fold.prices_ns.get(cited.observation_id, ("", -(10**18)))
            must(instrument == proposal.instrument, "I10", f"{where} opens on a price that is not in the log")
            age = asked_ns - made_ns
            must(age <= QUOTE_AGE_NS, "I10", f"{where} opens on a price that is {age / 1e9:.1f} s old")
        lease = fold.leases[body.proposal_id]
        stands = lease is not None and lease.granted_ns <= asked_ns <= lease.until_ns > lease.granted_ns
        must(stands, "I9", f"{where} opens without a lease")
        asked = _atoms(proposal.quantity) * _atoms(proposal.limit_price) // _ATOMS2_PER_MICRO
        must(body.hold_micros >= asked, "I5", f"{where} holds {body.hold_micros} of {asked} micros")
        fold.left_micros[body.proposal_id] = body.hold_micros
        self._exposure(where, proposal.instrument)

    def _exposure(self, where: str, instrument: str) -> None:
        """Positions at their last price, and all that may still be filled, against equity."""
        fold = self._fold
        by_name: Counter[str] = Counter()
        for name, units in fold.positions.items():
            by_name[name] += abs(units) * fold.marks.get(name, 0) // _ATOMS2_PER_MICRO
        for key, micros in fold.left_micros.items():
            by_name[fold.proposals[key][0].instrument] += micros
        equity = fold.equity_micros
        must(
            by_name[instrument] * 10 <= equity,
            "I5",
            f"{where} leads to {by_name[instrument]} micros in {instrument} of {equity}",
        )
        must(sum(by_name.values()) <= 2 * equity, "I5", f"{where} leads to {sum(by_name.values())} micros of {equity}")

    def _halt_level(self, proposal: Proposal, before: int = 2**62) -> int:
        """Of halts that were ordered before that log position."""
        halts = self._fold.halts
        if not halts:
            return 0
        found = [halts[one] for one in self._covering(proposal) if one in halts]
        return max([level for level, position in found if position < before], default=0)

    def _is_vetoed(self, proposal: Proposal, before: int) -> bool:
        return any(self._fold.vetoes.get(one, 2**62) < before for one in self._covering(proposal))

    def _covering(self, proposal: Proposal) -> Iterable[tuple[str, str]]:
        return (
            ("global", ""),
            ("account", proposal.account),
            ("strategy", proposal.strategy),
            ("instrument", proposal.instrument),
        )

    # -- orders -----------------------------------------------------------------------------------------------------

    def _intended(self, envelope: Envelope, body: OrderIntended) -> None:
        fold, order = self._fold, body.order
        key, where = order.proposal_id, f"row {envelope.seq}"
        must(fold.awaited.pop(key, "") == "intent", "I1", f"{where} intends `{key}`, which was not approved, or twice")
        approved = fold.approved[key].body
        proposal = fold.proposals[key][0]
        assert isinstance(approved, Approved)
        is_opening = approved.facts.is_opening != 0
        meant = (proposal.instrument, proposal.side, proposal.quantity, proposal.limit_price, not is_opening)
        said = (order.instrument, order.side, order.quantity, order.limit_price, order.reduces)
        must(said == meant, "I1", f"{where} intends {said}, approved was {meant}")
        if is_opening:
            legs = (order.stop_price, order.target_price)
            must(
                legs == (proposal.stop_price, proposal.target_price), "I1", f"{where} intends other legs than approved"
            )
        must(order.client_order_id not in fold.intended, "I4", f"{where} uses an id again")
        must(body.digest == approved.digest, "I1", f"{where} intends what has another digest")
        fold.intended[order.client_order_id] = envelope
        fold.working[order.client_order_id] = order
        fold.awaited[order.client_order_id] = "end"

    def _withheld(self, envelope: Envelope, body: OrderWithheld) -> None:
        self._reached(f"withheld {body.reason}")
        if self._fold.awaited.get(body.proposal_id) == "intent":
            del self._fold.awaited[body.proposal_id]
            self._fold.left_micros.pop(body.proposal_id, None)

    def _venue(self, envelope: Envelope, body: VenueEvent) -> None:
        fold, key = self._fold, body.client_order_id
        expected = fold.venue_seq + 1
        must(
            body.venue_seq == expected,
            "I4",
            f"row {envelope.seq} holds venue event {body.venue_seq}, {expected} was next",
        )
        fold.venue_seq = expected
        if isinstance(body, OrderFilled):
            self._filled(body)
        if fold.unknown.pop(key, None) is not None:
            self._reached("unknown resolved by the venue")
        if key in fold.working and (
            isinstance(body, OrderRejected | OrderCancelled | OrderExpired)
            or (isinstance(body, OrderFilled) and body.leg == "entry" and not body.remaining)
        ):
            self._over(key)

    def _filled(self, body: OrderFilled) -> None:
        fold, key = self._fold, body.client_order_id
        units, price = _atoms(body.quantity), _atoms(body.price)
        sign = 1 if body.side == "buy" else -1
        fold.positions[body.instrument] += sign * units
        # The venue's rounding: against us by less than a micro; the statement says what it was, to the micro.
        fold.cash_micros -= sign * (price * units // _ATOMS2_PER_MICRO) + body.fee_micros
        order = fold.working.get(key)
        if order is not None and body.leg == "entry":
            left, before = _atoms(body.remaining), units + _atoms(body.remaining)
            held = fold.left_micros.get(order.proposal_id)
            if held is not None:
                fold.left_micros[order.proposal_id] = -(-held * left // before)
            if left:
                self._reached("partial fill")

    def _over(self, key: str) -> None:
        fold = self._fold
        order = fold.working.pop(key)
        fold.left_micros.pop(order.proposal_id, None)
        fold.awaited.pop(key, None)
        fold.unknown.pop(key, None)

    def _blocked(self, envelope: Envelope, body: OrderBlocked) -> None:
        key, where = body.client_order_id, f"row {envelope.seq}"
        if not self._is_live:
            pass
        elif body.reason == "never_arrived":
            first, last = self.world.denied.get(key, (0, 0))
            must(
                last - first >= PATIENCE_NS,
                "I10",
                f"{where} takes order `{key}` for lost; the venue has denied it over {(last - first) / 1e9:.1f} s",
            )
        else:
            is_out = self.world.left[key] and key not in self.world.denied
            must(not is_out, "I4", f"{where} says that order `{key}` never left ({body.reason}), and it did")
        self._reached(f"blocked {body.reason}")
        if key in self._fold.working:
            self._over(key)

    def _unknown(self, envelope: Envelope, body: OrderUnknown) -> None:
        self._reached("unknown order")
        self._fold.unknown[body.client_order_id] = envelope.seq
        must(body.client_order_id in self._fold.working, "I4", f"row {envelope.seq} doubts an order that is over")

    # -- permission -------------------------------------------------------------------------------------------------

    def _halted(self, envelope: Envelope, body: HaltOrdered) -> None:
        covered = (body.scope, "" if body.scope == "global" else body.name)
        level = LEVELS[body.level]
        before, _ = self._fold.halts.get(covered, (0, 0))
        self._fold.halts[covered] = (max(level, before), envelope.seq)
        self._reached(f"halt {body.level}")

    def _account_halted(self, envelope: Envelope, body: AccountHalted) -> None:
        covered = ("account", body.account)
        before, _ = self._fold.halts.get(covered, (0, 0))
        self._fold.halts[covered] = (max(1, before), envelope.seq)
        self._reached("account halted")

    def _released(self, _: Envelope, body: AgentReleased) -> None:
        self._fold.held.discard(body.agent)

    def _held(self, _: Envelope, body: AgentHeld) -> None:
        self._fold.held.add(body.agent)
        self._reached(f"held {body.why}")

    def _operation(self, _: Envelope, body: OperationAsked) -> None:
        self._fold.asked[body.operation_id] = body

    def _signed(self, envelope: Envelope, body: PersonSigned) -> None:
        self._fold.signers[envelope.seq] = body.person

    def _resumed(self, envelope: Envelope, body: OperationApproved) -> None:
        covered = (body.scope, "" if body.scope == "global" else body.name)
        _, ordered_at = self._fold.halts.pop(covered, (0, 0))
        must(
            body.position > ordered_at, "I2", f"row {envelope.seq} lifts a halt that was ordered after it was asked for"
        )
        asked = self._fold.asked[body.operation_id]
        signers = {self._fold.signers.get(position, "") for position in body.grounds.people} - {asked.by, ""}
        must(len(signers) >= 2, "I2", f"row {envelope.seq} lifts a halt with the signatures of {sorted(signers)}")
        self._reached("resumed")

    def _vetoed(self, envelope: Envelope, body: VetoSet) -> None:
        self._fold.vetoes[body.scope, "" if body.scope == "global" else body.name] = envelope.seq

    def _unvetoed(self, _: Envelope, body: VetoLifted) -> None:
        self._fold.vetoes.pop((body.scope, "" if body.scope == "global" else body.name), None)

    def _leased(self, envelope: Envelope, body: LeaseGranted) -> None:
        now = self.world.monotonic()
        must(
            now < self.world.page_until_ns or not self._is_live or body.until_ns == body.granted_ns,
            "I9",
            f"row {envelope.seq} grants a lease {(now - self.world.page_until_ns) / 1e9:.1f} s after the page has faded",
        )
        must(
            body.until_ns - body.granted_ns <= TERM_NS, "I9", f"row {envelope.seq} grants a lease longer than its term"
        )
        self._fold.lease = body

    def _found(self, envelope: Envelope, body: DiscrepancyFound) -> None:
        self._fold.discrepancy = self._fold.discrepancy or f"{body.finding} at row {envelope.seq}: {body.detail}"
        self._reached(f"discrepancy {body.finding}")

    def _stated(self, envelope: Envelope, body: VenueStated) -> None:
        fold = self._fold
        theirs = {line.instrument: line.quantity_atoms for line in body.positions}
        off = abs(body.cash_micros - fold.cash_micros)
        if theirs != self.positions:
            fold.apart[envelope.id] = f"the venue has {theirs}, the log says {self.positions}"
        elif fold.is_cash_known and off > 4 * fold.venue_seq:
            fold.apart[envelope.id] = f"cash is {off} micros apart"
        else:
            fold.apart[envelope.id] = ""
            fold.cash_micros, fold.is_cash_known = body.cash_micros, True  # what was rounded is told now

    def _reconciled(self, envelope: Envelope, _body: Reconciled) -> None:
        """Aletheia says that they agree: did they?"""
        apart = self._fold.apart[envelope.cause_id]
        must(not apart, "I8", f"row {envelope.seq}: {apart}")

    # -- the end ----------------------------------------------------------------------------------------------------

    def converged(self) -> None:
        """After the calm: nothing is awaited any more."""
        waits = {key: what for key, what in self._fold.awaited.items() if what != "end"}
        must(not waits, "I6", f"{len(waits)} traces never ended: {list(waits.items())[:3]}")
        must(
            not self._fold.working,
            "I4",
            f"{len(self._fold.working)} orders never ended: {list(self._fold.working)[:3]}",
        )
        must(not self._fold.unknown, "I4", f"{len(self._fold.unknown)} orders are unknown for ever")
