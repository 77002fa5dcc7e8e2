"""Makers of messages and parts: real values with sensible defaults, changed where a test cares."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from graveyard.words import Evidence, Facts, Proposal
from mutable_core.clock import DAY_NS, SECOND_NS
from mutable_core.ids import derived_id
from mutable_core.messages import (
    ALWAYS,
    AnyBody,
    Bar,
    Envelope,
    Grounds,
    Inspection,
    Instrument,
    LeaseGranted,
    Mandate,
    Observed,
    OrderFilled,
    OrderSpec,
    RunStarted,
)
from mutable_core.money import ATOMS_PER_UNIT

DAY_1_NS = 20_000 * DAY_NS
CENT = ATOMS_PER_UNIT // 100
RULESET = "r" * 64
DAY_VOLUME_ATOMS = 10_000_000 * ATOMS_PER_UNIT
"""What reference data says of every instrument of `a_run`: enough for any order that a test may want."""


def an_envelope(
    body: AnyBody, *, seq: int = 1, ts_ns: int = DAY_1_NS, author: str = "kyle", **changes: Any
) -> Envelope:
    message_id = derived_id("message", str(seq))
    values: dict[str, Any] = {
        "seq": seq,
        "id": message_id,
        "author": author,
        "trace_id": message_id,
        "cause_id": message_id,
        "depth": 0,
        "ts_event_ns": ts_ns,
        "ts_seen_ns": ts_ns,
        "body": body,
    }
    return Envelope(**(values | changes))


def a_run(**changes: Any) -> RunStarted:
    values: dict[str, Any] = {
        "mode": "PAPER",
        "build": "b" * 64,
        "ruleset": RULESET,
        "proofs": "p" * 64,
        "source": "test",
        "source_sha256": "5" * 64,
        "source_is_public": True,
        "seed": 0,
        "tick_bar_ns": SECOND_NS,
        "account": "paper",
        "currency": "USD",
        "cash_micros": 1_000_000 * 1_000_000,
        "instruments": tuple(
            Instrument(name, CENT, ATOMS_PER_UNIT, DAY_VOLUME_ATOMS) for name in ("A", "B", "C", "D", "E", "F")
        ),
        "mandate": a_mandate(),
    }
    return RunStarted(**(values | changes))


def a_mandate(**changes: Any) -> Mandate:
    values: dict[str, Any] = {
        "instruments": ("A", "B", "C", "D", "E", "F"),
        "strategies": ("test",),
        "sides": ("buy", "sell"),
        "sessions": ALWAYS,
        "day_notional_micros": 10**13,
    }
    return Mandate(**(values | changes))


def an_inspection(**changes: Any) -> Inspection:
    """All is well: the rules of `a_run`, signed by two."""
    values: dict[str, Any] = {
        "ruleset": RULESET,
        "seal_version": 1,
        "seal_signatures": 2,
        "seal_faults": (),
        "keystore_exposed": 0,
        "venue_is_up": True,
        "kill_path_is_up": True,
    }
    return Inspection(**(values | changes))


def a_lease(granted_ns: int = DAY_1_NS, *, term_ns: int = 5 * SECOND_NS, **inspected: Any) -> LeaseGranted:
    """For Kenny, 5 s from `granted_ns` on; other words are what the inspection found."""
    return LeaseGranted("kenny", granted_ns, granted_ns + term_ns, an_inspection(**inspected))


def a_bar(close: str = "100", **changes: str) -> Bar:
    values = {"open": close, "high": close, "low": close, "close": close, "volume": "1000000"} | changes
    return Bar(**{name: Decimal(value) for name, value in values.items()})


def an_observation(instrument: str = "A", close: str = "100", *, row: int = 1, **changes: Any) -> Observed:
    values: dict[str, Any] = {
        "instrument": instrument,
        "source": "test",
        "row": row,
        "interval_ns": DAY_NS,
        "market": a_bar(close),
        "attested": True,
        "is_public": True,
    }
    return Observed(**(values | changes))


def a_proposal(observation_id: str = "0" * 32, **changes: Any) -> Proposal:
    """Buys 100 A at 100 with a stop at 98 and a target at 104: 1 % of a million, 2 R."""
    values: dict[str, Any] = {
        "proposal_id": derived_id("proposal", observation_id),
        "account": "paper",
        "strategy": "test",
        "instrument": "A",
        "side": "buy",
        "quantity": Decimal(100),
        "limit_price": Decimal(100),
        "stop_price": Decimal(98),
        "target_price": Decimal(104),
        "reason": "a test wants this order",
        "evidence": (Evidence(observation_id, "last", Decimal(100)),),
    }
    return Proposal(**(values | changes))


def an_order(**changes: Any) -> OrderSpec:
    values: dict[str, Any] = {
        "client_order_id": derived_id("order"),
        "proposal_id": derived_id("proposal"),
        "instrument": "A",
        "side": "buy",
        "quantity": Decimal(100),
        "type": "limit",
        "limit_price": Decimal(100),
        "time_in_force": "next_bar",
        "stop_price": Decimal(98),
        "target_price": Decimal(104),
        "reduces": False,
    }
    return OrderSpec(**(values | changes))


def a_fill(order: OrderSpec, *, venue_seq: int = 1, **changes: Any) -> OrderFilled:
    values: dict[str, Any] = {
        "venue_seq": venue_seq,
        "client_order_id": order.client_order_id,
        "instrument": order.instrument,
        "leg": "entry",
        "side": order.side,
        "price": order.limit_price or Decimal(100),
        "quantity": order.quantity,
        "fee_micros": 1_000_000,
        "remaining": Decimal(0),
    }
    return OrderFilled(**(values | changes))


def some_grounds(**changes: Any) -> Grounds:
    """Of an act at position 1 that cites one observation."""
    values: dict[str, Any] = {
        "proofs": "p" * 64,
        "proposal": 1,
        "evidence": (1,),
        "market": 1,
        "book": 1,
        "day": 1,
        "lease": 1,
        "standing": 1,
        "people": (),
    }
    return Grounds(**(values | changes))


def facts_with(facts: Facts, **changes: Any) -> Facts:
    return msgspec.structs.replace(facts, **changes)
