"""The closed union of everything that agents, the world and people can say in this house."""

from mutable_core.messages.control import (
    Breach,
    DrillOrdered,
    IdentityIssued,
    Instrument,
    LeaseGranted,
    Mandate,
    RunStarted,
)
from mutable_core.messages.decisions import Approved, NothingProposed, ProposalMade, QuietReason, Refused
from mutable_core.messages.envelope import BODY_TYPES, KIND_OF, AnyBody, Envelope, decode, decode_trusted, encode
from mutable_core.messages.market import (
    Bar,
    Body,
    CorporateActionObserved,
    Form,
    InputRejected,
    Observed,
    Quote,
    RejectReason,
    RowReceived,
    SliceClosed,
    SourceEnded,
    Trade,
)
from mutable_core.messages.orders import (
    CancelIntended,
    Leg,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderSpec,
    OrderType,
    OrderWithheld,
    PositionLine,
    TimeInForce,
    VenueEvent,
    VenueStated,
    leg_id,
)
from mutable_core.messages.truth import DiscrepancyFound, Finding, Outcome, Reconciled, StatementWanted, Verified

__all__ = [  # noqa: RUF022 — sorted as the words are read
    "BODY_TYPES", "KIND_OF", "AnyBody", "Approved", "Bar", "Body", "Breach", "CancelIntended",
    "CorporateActionObserved", "DiscrepancyFound", "DrillOrdered", "Envelope", "Finding", "Form",
    "IdentityIssued", "InputRejected", "Instrument", "LeaseGranted", "Leg", "Mandate", "NothingProposed",
    "Observed", "OrderAccepted", "OrderAdjusted", "OrderBlocked", "OrderCancelled", "OrderExpired", "OrderFilled",
    "OrderIntended", "OrderRejected", "OrderSpec", "OrderType", "OrderWithheld", "Outcome", "PositionLine",
    "ProposalMade", "Quote", "QuietReason", "Reconciled", "Refused", "RejectReason", "RowReceived",
    "RunStarted", "SliceClosed", "SourceEnded", "StatementWanted", "TimeInForce", "Trade", "VenueEvent",
    "VenueStated", "Verified", "decode", "decode_trusted", "encode", "leg_id",
]  # fmt: skip
