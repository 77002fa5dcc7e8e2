"""What HRM hears, says and may do."""

from agents.runtime.agent import AgentSpec
from mutable_core import docket
from mutable_core.messages import (
    AccountHalted,
    ApprovalAwaited,
    Approved,
    OperationApproved,
    OperationRefused,
    Refused,
)

SPEC = AgentSpec(
    name="hrm",
    does="vets every act: folds the facts from the log and judges them by the Graveyard's rules; asks people where they must agree",
    hears=docket.HEARD,  # it notes its own answers when it gives them
    says=(Approved, Refused, ApprovalAwaited, OperationApproved, OperationRefused, AccountHalted),
)
