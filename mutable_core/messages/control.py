"""How a run begins, who may speak, and the lease."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from mutable_core.messages.market import Body


class Instrument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What we trade. `tick` and `lot` are the smallest steps of price and size, in atoms (10⁻⁸)."""

    instrument: str
    tick_atoms: int
    lot_atoms: int


class Mandate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the owner allows. Empty `instruments` or `strategies` allow nothing."""

    instruments: tuple[str, ...]
    strategies: tuple[str, ...]
    sides: tuple[str, ...]
    day_notional_micros: int


class RunStarted(Body, frozen=True, tag="control.run_started/1"):
    """The genesis row: everything that the rest of the journal depends on and that is not in it.

    Attributes:
        build: SHA-256 of the source of the packages.
        ruleset: SHA-256 of the rules in force.
        source: name of the market source, as its rows carry it.
        source_sha256: over everything that its rows depend on, 64 hex digits; "" where nothing vouches for it.
        seed: of the synthetic source; 0 where there is none.
        tick_bar_ns: length of the bars that are built from quotes and trades.
    """

    IS_INPUT: ClassVar[bool] = True
    mode: Literal["PAPER"]
    build: str
    ruleset: str
    source: str
    source_sha256: str
    seed: int
    tick_bar_ns: int
    account: str
    currency: str
    cash_micros: int
    instruments: tuple[Instrument, ...]
    mandate: Mandate


class IdentityIssued(Body, frozen=True, tag="control.identity_issued/1"):
    """ID says who may say what; the bus enforces the same table."""

    agent: str
    build: str
    may_say: tuple[str, ...]


class LeaseGranted(Body, frozen=True, tag="control.lease_granted/1"):
    """The Watchdog lets `agent` open risk until `until_ns` of log time."""

    IS_INPUT: ClassVar[bool] = True
    agent: str
    granted_ns: int
    until_ns: int


Breach = Literal["oversize", "no_stop", "over_leveraged", "stale_data", "unknown_instrument", "not_a_number"]


class DrillOrdered(Body, frozen=True, tag="control.drill_ordered/1"):
    """An operator orders Joey to propose something that breaks one rule, to see it refused. PAPER only."""

    IS_INPUT: ClassVar[bool] = True
    breach: Breach
