"""What HRM hears, says and may do."""

from agents.runtime.agent import AgentSpec
from mutable_core import docket
from mutable_core.messages import Approved, Refused

SPEC = AgentSpec(
    name="hrm",
    does="vets every proposal: folds the facts from the log and judges them by the Graveyard's rules",
    hears=tuple(kind for kind in docket.HEARD if kind is not Approved),  # it noted its own approvals when it gave them
    says=(Approved, Refused),
)
