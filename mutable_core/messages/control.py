"""How a run begins, who may speak, the lease, and what people order, forbid, record and sign."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from graveyard.words import Operation, Side
from mutable_core.messages.market import Body


class Instrument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What we trade. `tick` and `lot` are the smallest steps of price and size, in atoms (10⁻⁸).

    `day_volume_atoms` is the mean day's volume by reference data, 0 where there is none: what a day counts as on which
    the market itself showed no volume.
    """

    instrument: str
    tick_atoms: int
    lot_atoms: int
    day_volume_atoms: int = 0


class Session(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """When the owner allows trading, UTC: on these weekdays (0 is Monday), from a minute of the day up to another."""

    weekdays: tuple[int, ...]
    from_minute: int
    until_minute: int


ALWAYS = (Session((0, 1, 2, 3, 4, 5, 6), 0, 1_440),)


class Mandate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the owner allows. Empty `instruments`, `strategies`, `sides` or `sessions` allow nothing."""

    instruments: tuple[str, ...]
    strategies: tuple[str, ...]
    sides: tuple[str, ...]
    sessions: tuple[Session, ...]
    day_notional_micros: int


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Somebody who may sign critical acts. `public_key` is Ed25519, 64 hex digits."""

    name: str
    public_key: str


class RunStarted(Body, frozen=True, tag="control.run_started/2"):
    """The genesis row: everything that the rest of the journal depends on and that is not in it.

    Attributes:
        build: SHA-256 of the source of the packages.
        ruleset: SHA-256 of the rules in force.
        proofs: SHA-256 of the report that proves these rules.
        source: name of the market source, as its rows carry it.
        source_sha256: over everything that its rows depend on, 64 hex digits; "" where nothing vouches for it.
        source_is_public: whether its rows are public market data.
        seed: of the synthetic source; 0 where there is none.
        tick_bar_ns: length of the bars that are built from quotes and trades.
        restricted: instruments that nobody here may trade.
        people: who may sign critical acts.
        owner: the person whose money it is; "" for the house's own paper account, which is nobody's.
    """

    IS_INPUT: ClassVar[bool] = True
    mode: Literal["PAPER"]
    build: str
    ruleset: str
    proofs: str
    source: str
    source_sha256: str
    source_is_public: bool
    seed: int
    tick_bar_ns: int
    account: str
    currency: str
    cash_micros: int
    instruments: tuple[Instrument, ...]
    mandate: Mandate
    restricted: tuple[str, ...] = ()
    people: tuple[Person, ...] = ()
    owner: str = ""


class IdentityIssued(Body, frozen=True, tag="control.identity_issued/1"):
    """ID says who may say what; the bus enforces the same table."""

    agent: str
    build: str
    may_say: tuple[str, ...]


class Inspection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the Watchdog found when it looked at the house itself.

    Attributes:
        ruleset: SHA-256 of the rules in memory.
        seal_signatures: valid ones, by different known keys.
        seal_faults: what is wrong with the seal, a sentence each; empty where it is whole.
        keystore_exposed: key files that another user could read.
        venue_is_up: it answered.
        kill_path_is_up: a cancel could be sent past everybody.
    """

    ruleset: str
    seal_version: int
    seal_signatures: int
    seal_faults: tuple[str, ...]
    keystore_exposed: int
    venue_is_up: bool
    kill_path_is_up: bool


class LeaseGranted(Body, frozen=True, tag="control.lease_granted/2"):
    """The Watchdog has inspected the house and lets `agent` open risk until `until_ns` of log time."""

    IS_INPUT: ClassVar[bool] = True
    agent: str
    granted_ns: int
    until_ns: int
    inspection: Inspection


Scope = Literal["global", "account", "strategy", "instrument"]
Level = Literal["reduce_only", "halted", "flattening"]


class HaltOrdered(Body, frozen=True, tag="control.halt_ordered/1"):
    """Stop opening (reduce_only) or stop everything (halted). `name` says which account, strategy or instrument.

    `flattening` is `halted`, and the kill switch closes at the venue what is held there, past everybody: fills of its
    orders (`is_kill_order`) are expected from here on. Only an approved `resume` lifts it.
    """

    IS_INPUT: ClassVar[bool] = True
    scope: Scope
    name: str
    level: Level
    by: str
    reason: str


class VetoSet(Body, frozen=True, tag="control.veto_set/1"):
    """An operator forbids acts of this account, strategy or instrument until the veto is lifted."""

    IS_INPUT: ClassVar[bool] = True
    scope: Scope
    name: str
    by: str
    reason: str


class VetoLifted(Body, frozen=True, tag="control.veto_lifted/1"):
    IS_INPUT: ClassVar[bool] = True
    scope: Scope
    name: str
    by: str


class BroadcastPublished(Body, frozen=True, tag="control.broadcast_published/1"):
    """We published something on this instrument."""

    IS_INPUT: ClassVar[bool] = True
    instrument: str
    title: str


class CatalystFiled(Body, frozen=True, tag="control.catalyst_filed/1"):
    """A filing on this instrument that anybody can read."""

    IS_INPUT: ClassVar[bool] = True
    instrument: str
    filing: str


class SignalDeclared(Body, frozen=True, tag="control.signal_declared/1"):
    """Another profile has a signal or an order pending that this house can see."""

    IS_INPUT: ClassVar[bool] = True
    profile: str
    instrument: str
    side: Side


class ConsentRecorded(Body, frozen=True, tag="control.consent_recorded/1"):
    """A person agrees that data about them is used for this purpose, until then (log time). An earlier time withdraws it."""

    IS_INPUT: ClassVar[bool] = True
    person: str
    purpose: str
    until_ns: int


class SnapshotTaken(Body, frozen=True, tag="control.snapshot_taken/1"):
    """A state to go back to."""

    IS_INPUT: ClassVar[bool] = True
    name: str


class OperationAsked(Body, frozen=True, tag="control.operation_asked/1"):
    """A person asks for a critical operation. It waits for two other people's signatures.

    Attributes:
        operation_id: 32 hex digits.
        scope, name: what a `resume` lifts the halt of, or what else it is about.
        by: who asks; cannot sign it too.
    """

    IS_INPUT: ClassVar[bool] = True
    operation_id: str
    operation: Operation
    scope: Scope
    name: str
    by: str
    reason: str


class PersonSigned(Body, frozen=True, tag="control.person_signed/1"):
    """A person agrees to exactly one waiting act.

    Attributes:
        act_id: the proposal's or operation's id.
        position: log position of the `ApprovalAwaited` that was signed.
        signature: Ed25519 over `graveyard.people.statement` of them, 128 hex digits.
    """

    IS_INPUT: ClassVar[bool] = True
    act_id: str
    digest: str
    position: int
    person: str
    signature: str


Breach = Literal["oversize", "no_stop", "over_leveraged", "stale_data", "unknown_instrument", "not_a_number"]


class DrillOrdered(Body, frozen=True, tag="control.drill_ordered/1"):
    """An operator orders Joey to propose something that breaks one rule, to see it refused. PAPER only."""

    IS_INPUT: ClassVar[bool] = True
    breach: Breach
