"""One message body of every kind."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from graveyard.words import Verdict
from mutable_core.messages import (
    AccountHalted,
    ApprovalAwaited,
    Approved,
    BroadcastPublished,
    CancelIntended,
    CatalystFiled,
    ConsentRecorded,
    CorporateActionObserved,
    DiscrepancyFound,
    DrillOrdered,
    HaltOrdered,
    IdentityIssued,
    InputRejected,
    NothingProposed,
    OperationApproved,
    OperationAsked,
    OperationRefused,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    OrderWithheld,
    PersonSigned,
    PositionLine,
    ProposalMade,
    Reconciled,
    Refused,
    RowReceived,
    SignalDeclared,
    SliceClosed,
    SnapshotTaken,
    SourceEnded,
    StatementWanted,
    VenueStated,
    Verified,
    VetoLifted,
    VetoSet,
)
from tests.graveyard.makers import good_facts
from tests.makers import a_fill, a_lease, a_proposal, a_run, an_observation, an_order, some_grounds

_VERDICT = Verdict(True, 12, "r" * 64, ())
_KEY = "0" * 32

SAMPLES: dict[type, Any] = {
    type(body): body
    for body in (
        RowReceived("s", 1, "bar", "A", 1, 1, ("1",) * 6),
        SliceClosed(1, 1),
        SourceEnded(1),
        an_observation(),
        InputRejected("A", 1, "stale", ""),
        CorporateActionObserved("A", 2, 1, Decimal(0), "inferred"),
        a_run(),
        IdentityIssued("a", "b", ()),
        a_lease(),
        HaltOrdered("global", "", "halted", "ann", "r"),
        VetoSet("instrument", "A", "ann", "r"),
        VetoLifted("instrument", "A", "ann"),
        BroadcastPublished("A", "t"),
        CatalystFiled("A", "f"),
        SignalDeclared("other", "A", "buy"),
        ConsentRecorded("ann", "trading", 1),
        SnapshotTaken("s"),
        OperationAsked(_KEY, "resume", "global", "", "ann", "r"),
        PersonSigned(_KEY, "d", 1, "ann", "5" * 128),
        DrillOrdered("no_stop"),
        ProposalMade(a_proposal()),
        NothingProposed("A", "no_signal"),
        Approved(_KEY, "A", "d", 1, good_facts(), _VERDICT, some_grounds(), 1, 1, 1),
        Refused(_KEY, "A", "d", 1, good_facts(), _VERDICT, some_grounds()),
        ApprovalAwaited(_KEY, "A", "d", 1, good_facts(), _VERDICT, some_grounds(), 1, 1),
        OperationApproved(_KEY, "resume", "global", "", "d", 1, good_facts(), _VERDICT, some_grounds()),
        OperationRefused(_KEY, "resume", "d", 1, good_facts(), _VERDICT, some_grounds()),
        AccountHalted(_KEY, "paper", (6,)),
        OrderIntended(an_order(), "d", 1, 1, 1),
        CancelIntended(_KEY, "source_ended"),
        OrderWithheld(_KEY, _KEY, "not_approved"),
        OrderBlocked(_KEY, "lease_stale"),
        OrderUnknown(_KEY),
        OrderAccepted(1, _KEY),
        OrderRejected(1, _KEY, "no"),
        a_fill(an_order()),
        OrderCancelled(1, _KEY, "by_us"),
        OrderExpired(1, _KEY),
        OrderAdjusted(1, _KEY, Decimal(1), None, None),
        VenueStated(1, 1, (PositionLine("A", 1),), (_KEY,)),
        Verified(_KEY, "accepted"),
        StatementWanted(1),
        Reconciled(1, 1, 1, 1, 1),
        DiscrepancyFound("s", "books_differ", "d"),
    )
}
