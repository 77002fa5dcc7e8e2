"""Kenny's hands where he has a process of his own: the effects, the door and the connection to the venue live there.

Nobody else's process can place an order. The core asks for one thing at a time, and is asked back for approvals, since the
authority listens to the core only, and for the place in the log of everything that the venue said: a report is folded
here, as in any house, before the next one is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from agents.kenny.door import Door
from agents.kenny.effects import Asked, Effects
from agents.kenny.state import State
from agents.kenny.venues.port import Venue
from agents.runtime.agent import Cause
from graveyard.authority.signing import PublicVerifier
from graveyard.words import Approval
from mutable_core.errors import ApprovalForged, AuthoritySilent, Unacceptable
from mutable_core.freezing import freeze, thaw
from mutable_core.messages import (
    AnyBody,
    Envelope,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderUnknown,
    VenueStated,
)

Back = Callable[[str, bytes], bytes]
"""Asks the core something, and waits for what it says."""


class Turn(msgspec.Struct, frozen=True):
    """What `perform` and `collect` are told.

    Attributes:
        now_ns: log time.
        durable_seq: up to where the journal is on the disk.
        may_open: whether the core, for its part, lets risk be opened; the lease page is asked besides.
        public_key: of the authority that approves in this run, in hex; empty where none is known yet.
    """

    now_ns: int
    durable_seq: int
    may_open: bool
    public_key: str


class Standing(msgspec.Struct, frozen=True):
    """How the effects stand after what they were asked to do; as the attributes of `Effects`."""

    is_waiting: bool
    is_settled: bool
    unknown: tuple[str, ...]
    venue_seq: int


class Found(msgspec.Struct, frozen=True):
    """What `adopt` answers; see `agents.kenny.effects.Unanswered`."""

    counts: dict[str, int]
    at_venue: tuple[str, ...]
    unsent: tuple[str, ...]
    cancels: tuple[str, ...]
    untold: tuple[str, ...]
    standing: Standing


Reported = (
    OrderAccepted
    | OrderRejected
    | OrderFilled
    | OrderCancelled
    | OrderExpired
    | OrderAdjusted
    | OrderBlocked
    | OrderUnknown
    | VenueStated
)


class Report(msgspec.Struct, frozen=True):
    """An input for the log, and what it answers; asked back as `report`."""

    body: Reported
    cause: Cause | None


class Wanted(msgspec.Struct, frozen=True):
    """Approvals, by proposal and log position of the verdict; asked back as `approve`."""

    items: tuple[tuple[str, int], ...]


class Given(msgspec.Struct, frozen=True):
    """The answer: an approval or a sentence for each; or why the authority did not answer."""

    silent: str
    answers: tuple[Approval | str, ...]


_encode = msgspec.msgpack.encode
_turn = msgspec.msgpack.Decoder(Turn)
_given = msgspec.msgpack.Decoder(Given)


class KennyHands:
    """Implements `agents.runtime.hands.Hands`, and for its own effects the authority and the verifier.

    Args:
        venue: by Kenny's own connection.
        lease_is_fresh: whether the Watchdog's lease stands, now.
    """

    def __init__(self, venue: Venue, lease_is_fresh: Callable[[], bool]) -> None:
        self._lease_is_fresh = lease_is_fresh
        self._turn = Turn(0, 0, may_open=False, public_key="")
        self._verifier: PublicVerifier | None = None
        self._back: Back | None = None
        self._state: Callable[[], State] | None = None
        door = Door(venue, self, lambda: self._turn.durable_seq, self._may_open)
        self._effects = Effects(venue, door, self, self._known)

    # -- what the process tells ----------------------------------------------------------------------------------------

    def attach(self, state: Callable[[], Any]) -> None:
        """From now on `state` gives what Kenny knows."""
        self._state = state

    def fold(self, envelope: Envelope) -> None:
        self._effects.reported(envelope)

    def want(self, wants: Sequence[Any]) -> None:
        self._effects.want(wants)

    def kept(self) -> bytes | None:
        """What another incarnation begins with; None while an order is on its way."""
        return freeze(self._effects.memory()) if self._effects.is_settled else None

    def resume(self, kept: bytes) -> None:
        self._effects.resume(thaw(kept))

    # -- what the core asks ---------------------------------------------------------------------------------------------

    def call(self, what: str, payload: bytes, back: Back) -> bytes:
        """`perform` and `collect`, with a `Turn` → `Standing`; `standing` → `Standing`; `adopt` → `Found`; `memory`.

        Raises:
            ApprovalForged: something was to leave the house that was not approved.
            Unacceptable: nothing that these hands can do.
        """
        effects = self._effects
        match what:
            case "perform" | "collect":
                self._believe(_turn.decode(payload))
                self._back = back
                try:
                    (effects.perform if what == "perform" else effects.collect)(self._turn.now_ns, self._report)
                finally:
                    self._back = None
                return _encode(self._standing())
            case "standing":
                return _encode(self._standing())
            case "adopt":
                found = effects.unanswered()
                return _encode(Found(effects.adopt(), *found, self._standing()))
            case "memory":
                return freeze(effects.memory())
            case _:
                raise Unacceptable(f"Kenny's hands cannot do `{what}`")

    def _standing(self) -> Standing:
        effects = self._effects
        return Standing(effects.is_waiting, effects.is_settled, effects.unknown, effects.venue_seq)

    def _believe(self, turn: Turn) -> None:
        if turn.public_key != self._turn.public_key:
            self._verifier = PublicVerifier(turn.public_key)
        self._turn = turn

    # -- what the effects ask -------------------------------------------------------------------------------------------

    def approve(self, asked: Sequence[Asked]) -> Sequence[Approval | str]:
        """As `agents.kenny.effects.Authority`."""
        items = tuple((one.approved.proposal_id, one.position) for one in asked)
        given = _given.decode(self._asked_back("approve", _encode(Wanted(items))))
        if given.silent:
            raise AuthoritySilent(given.silent)
        if len(given.answers) != len(asked):
            raise ApprovalForged("the core gave another number of approvals than were asked for")
        return given.answers

    def verify(self, approval: Approval) -> bool:
        """As `agents.kenny.door.Verifier`; without a key no approval is real."""
        return self._verifier is not None and self._verifier.verify(approval)

    def _report(self, body: AnyBody, cause: Cause | None) -> None:
        assert isinstance(body, Reported)
        self._asked_back("report", _encode(Report(body, cause)))  # its row is folded before the answer comes

    def _asked_back(self, what: str, payload: bytes) -> bytes:
        assert self._back is not None  # the effects are only called within a call
        return self._back(what, payload)

    def _may_open(self) -> bool:
        return self._turn.may_open and self._lease_is_fresh()

    def _known(self) -> State:
        assert self._state is not None
        return self._state()
